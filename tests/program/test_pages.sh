#!/usr/bin/env bash
# The pages of p2p in a browser without a screen: no errors, no requests, at the size of a desktop and of a phone, light and
# dark; curves, pictures, slider, keyboard and loupe. Prints how long the page of a long training takes.
#
#   tests/program/test_pages.sh P2P DEVICE CHROMIUM [FOLDER]      FOLDER: keeps pictures of the pages there
here=$(cd "$(dirname "$0")" && pwd)
kept=${4:+$(realpath "$4")}
. "$here/../support/expect.sh" "$1" "$2"
chromium=$3

# browse ARGUMENT...: runs the browser with a profile of its own; the page's console output is in console.txt.
browse() {
    timeout 120 "$chromium" --headless=new --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$work/profile" \
        --enable-logging=stderr --virtual-time-budget=5000 "$@" 2>console.txt
}

# opens PAGE: uses a copy of the page beside it, in each size and colour.
opens() {
    local page=$1 copy width look seen
    copy=$(dirname "$page")/probed.html
    { cat "$page"; echo "<script>"; cat "$here/pages_probe.js"; echo "</script>"; } >"$copy"
    for width in 1280,900 390,800; do
        for look in light dark; do
            local colours=()
            [ $look = light ] || colours=(--blink-settings=preferredColorScheme=0)
            browse "${colours[@]}" --window-size=$width --dump-dom "file://$work/$copy" >dom.txt
            seen=$(grep -o '<pre id="probe">PROBED[^<]*' dom.txt) ||
                fail "$page, $width, $look: the page was not used: $(grep -m 3 CONSOLE console.txt)"
            if [[ $seen == *FAILED* ]]; then fail "$page, $width, $look: $seen"; fi
            if grep CONSOLE console.txt; then fail "$page, $width, $look: the console is not empty"; fi
            [ -z "$kept" ] || browse "${colours[@]}" --window-size="${width%,*},2400" \
                --screenshot="$kept/$(tr / - <<<"$page")-${width%,*}-$look.png" "file://$work/$page"
        done
    done
    echo "$page: ${seen#*PROBED }"
    rm "$copy"
}

draw_toys 8
"$p2p" train "${small[@]}" --out run --epochs 8 --lr-policy constant >/dev/null 2>&1 || fail "no training"
"$p2p" train "${small[@]}" --out 'other <i>&"#' --epochs 6 --steps 33 --seed 2 --gan-mode lsgan >/dev/null 2>&1 || fail "no training"
opens run/report.html
"$p2p" report run other* -o both.html >/dev/null || fail "no page of both"
opens both.html
"$p2p" train --data toys --size 32 --ngf 4 --ndf 4 --device "$device" --out first --steps 3 >/dev/null 2>&1
opens first/report.html # within the first epoch
mkdir 'toys/train/a <b>"#?%'
cp toys/train/00001.jpg 'toys/train/a <b>"#?%/(1).jpg'
"$p2p" test --model run --data toys --split train --out tested --device "$device" >/dev/null 2>&1 || fail "no test"
opens tested/index.html

echo "-- the page of 10,000 epochs"
cp -r run long
awk 'BEGIN {
    srand(1)
    for (s = 1; s <= 100000; s++) {
        e = int((s - 1) / 10) + 1
        printf "{\"step\":%d,\"epoch\":%d,\"d_real\":%.17g,\"d_fake\":%.17g,\"g_gan\":%.17g,\"g_l1\":%.17g,\"lr\":0.0002,\"images_per_s\":%.17g}\n", s, e, rand(), rand(), rand(), rand(), rand()
        if (s % 10 == 0) printf "{\"event\":\"epoch\",\"step\":%d,\"epoch\":%d,\"d_real\":%.17g,\"d_fake\":%.17g,\"g_gan\":%.17g,\"g_l1\":%.17g,\"val_l1\":%.17g,\"val_psnr\":%.17g,\"val_ssim\":%.17g}\n", s, e, rand(), rand(), rand(), rand(), rand(), 20 + rand(), rand()
    }
}' >lines.txt
head -n 1 run/metrics.jsonl | cat - lines.txt >long/metrics.jsonl
TIMEFORMAT='p2p report: %R s'
time "$p2p" report long >/dev/null || fail "no page of a long training"
size=$(wc -c <long/report.html)
[ "$size" -lt 2000000 ] || fail "the page of a long training has $size bytes"
echo '<script>document.body.append(element("pre", {}, "SHOWN " + Math.round(performance.now()) + " ms"))</script>' >>long/report.html
browse --window-size=1280,900 --dump-dom "file://$work/long/report.html" >dom.txt
echo "$size bytes, drawn after $(grep -o 'SHOWN [0-9]* ms' dom.txt | tail -n 1)"
finish
