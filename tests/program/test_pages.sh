#!/usr/bin/env bash
# The pages of p2p in a browser without a screen: no errors, no requests, at the size of a desktop and of a phone, light and
# dark; curves, pictures, slider, keyboard, loupe, lists and what the pages say. Prints how long the page of a long training
# takes, and checks how much it draws.
#
#   tests/program/test_pages.sh P2P DEVICE CHROMIUM [FOLDER]      FOLDER: keeps pictures of the pages there
here=$(cd "$(dirname "$0")" && pwd)
kept=${4:+$(realpath "$4")}
. "$here/../support/expect.sh" "$1" "$2"
chromium=$3

# browse ARGUMENT...: runs the browser with a profile of its own; the page's console output is in console.txt.
browse() {
    timeout 120 "$chromium" --headless=new --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$work/profile" \
        --enable-logging=stderr --virtual-time-budget=20000 "$@" 2>console.txt
}

# frame PAGE WIDTH HEIGHT: prints a page that shows another in a frame of this size, and what that one sends. A window of the
# browser is at least 500 pixels wide.
frame() {
    echo "<!DOCTYPE html><meta charset=utf-8><meta name=color-scheme content='light dark'><title>frame</title>
        <body style='margin: 0'><iframe src='$1#$2' style='border: 0; width: $2px; height: $3px'></iframe>
        <script>addEventListener('message', e => { document.body.append(e.data); });</script>"
}

# opens PAGE TEXT...: uses a copy of the page beside it, in each size and colour. What the probe finds has the texts.
opens() {
    local page=$1 folder size look seen text
    shift
    folder=$work/$(dirname "$page")
    { cat "$page"; echo "<script>"; cat "$here/pages_probe.js"; echo "</script>"; } >"$folder/probed.html"
    for size in 1280,900 390,800; do
        for look in light dark; do
            local colours=()
            [ $look = light ] || colours=(--blink-settings=preferredColorScheme=0)
            frame probed.html ${size/,/ } >"$folder/frame.html"
            browse "${colours[@]}" --window-size=1400,1000 --dump-dom "file://$folder/frame.html" >dom.txt
            seen=$(grep -o 'PROBED .*' dom.txt) ||
                fail "$page, $size, $look: the page was not used: $(grep -m 3 CONSOLE console.txt)"
            if [[ $seen == *FAILED* ]]; then fail "$page, $size, $look: $seen"; fi
            if grep CONSOLE console.txt; then fail "$page, $size, $look: the console is not empty"; fi
            for text in "$look" "$@"; do
                [[ $seen == *"$text"* ]] || fail "$page, $size, $look: no '$text' in: $seen"
            done
            [ -n "$kept" ] || continue
            frame "$(basename "$page")" "${size%,*}" 2400 >"$folder/frame.html"
            browse "${colours[@]}" --window-size="$((${size%,*} > 500 ? ${size%,*} : 500)),2400" \
                --screenshot="$kept/$(tr / - <<<"$page")-${size%,*}-$look.png" "file://$folder/frame.html"
        done
    done
    seen=${seen%%</body>*}
    echo "$page: ${seen#*PROBED }"
    rm "$folder/probed.html" "$folder/frame.html"
}

draw_toys 8
"$p2p" train "${small[@]}" --out run --epochs 8 --lr-policy constant >/dev/null 2>&1 || fail "no training"
"$p2p" train "${small[@]}" --out 'other <i>&"#' --epochs 6 --steps 33 --seed 2 --gan-mode lsgan >/dev/null 2>&1 || fail "no training"
opens run/report.html "charts 6; marks D guesses,mean target; stops 8; words Finished: all 64 steps are made." \
    "The validation L1 is not below that of the mean target yet"
"$p2p" train --data toys --size 32 --ngf 4 --ndf 4 --device "$device" --out first --steps 3 >/dev/null 2>&1
opens first/report.html "charts 4; marks D guesses; stops 1; words Finished: all 3 steps are made." # within the first epoch

echo "-- a training that goes on, and one within its first epoch"
cp -r run unfinished
head -n 30 run/metrics.jsonl >unfinished/metrics.jsonl
"$p2p" report unfinished >/dev/null || fail "no page of an unfinished training"
opens unfinished/report.html "words Step 26 of 64 at 20" "reload it to see more"
"$p2p" report unfinished other* -o both.html >/dev/null || fail "no page of both"
opens both.html "charts 6; marks D guesses,D guesses,mean target; stops 9; differ 0; differ 4; words  | Step 26 of 64 at 20" \
    "p2p report writes this page anew" "Finished: all 33 steps are made."
cp -r run early
head -n 6 run/metrics.jsonl >early/metrics.jsonl
rm early/samples/*
cp run/samples/epoch-0001.png early/samples/step-000002.png
cp run/samples/epoch-0002.png early/samples/step-000004.png
"$p2p" report early >/dev/null || fail "no page of a training's beginning"
opens early/report.html "charts 4; marks D guesses; stops 2; words Step 5 of 64 at 20"

echo "-- what a page concludes"
cp -r run won
awk 'BEGIN {
    for (e = 1; e <= 20; e++) {
        for (s = 1; s <= 3; s++) printf "{\"step\":%d,\"epoch\":%d,\"d_real\":0.01,\"d_fake\":0.02,\"g_gan\":5,\"g_l1\":0.1,\"lr\":0.0002,\"images_per_s\":9}\n", 3 * e - 3 + s, e
        printf "{\"event\":\"epoch\",\"step\":%d,\"epoch\":%d,\"d_real\":0.01,\"d_fake\":0.02,\"g_gan\":5,\"g_l1\":0.1,\"val_l1\":%g,\"val_psnr\":20,\"val_ssim\":0.5,\"val_l1_of_mean_target\":0.12}\n", 3 * e, e, e == 5 ? 0.05 : 0.06
    }
}' >lines.txt
head -n 1 run/metrics.jsonl | cat - lines.txt >won/metrics.jsonl
"$p2p" report won >/dev/null || fail "no page of a training in which D has won"
opens won/report.html "The validation L1 is 50 % below that of the mean target. It was smallest after epoch 5; best/ has that model. The discriminator has won: "

echo "-- p2p test"
"$p2p" sample-data many --count 30 --size 32 --seed 4 >/dev/null 2>&1 || fail "no pairs"
mkdir 'many/train/a <b>"#?%'
cp many/train/00001.jpg 'many/train/a <b>"#?%/(1).jpg'
"$p2p" test --model run --data many --split train --out tested --device "$device" >/dev/null 2>&1 || fail "no test"
opens tested/index.html "pairs 31"

echo "-- the page of 10,000 epochs"
cp -r run long
awk 'BEGIN {
    srand(1)
    for (s = 1; s <= 100000; s++) {
        e = int((s - 1) / 10) + 1
        printf "{\"step\":%d,\"epoch\":%d,\"d_real\":%.17g,\"d_fake\":%.17g,\"g_gan\":%.17g,\"g_l1\":%.17g,\"lr\":0.0002,\"images_per_s\":%.17g}\n", s, e, rand(), rand(), rand(), rand(), rand()
        if (s % 10 == 0) printf "{\"event\":\"epoch\",\"step\":%d,\"epoch\":%d,\"d_real\":%.17g,\"d_fake\":%.17g,\"g_gan\":%.17g,\"g_l1\":%.17g,\"val_l1\":%.17g,\"val_psnr\":%.17g,\"val_ssim\":%.17g,\"val_l1_of_mean_target\":0.5}\n", s, e, rand(), rand(), rand(), rand(), rand(), 20 + rand(), rand()
    }
}' >lines.txt
head -n 1 run/metrics.jsonl | cat - lines.txt >long/metrics.jsonl
TIMEFORMAT='p2p report: %R s'
time "$p2p" report long >/dev/null || fail "no page of a long training"
size=$(wc -c <long/report.html)
[ "$size" -lt 2000000 ] || fail "the page of a long training has $size bytes"
cp long/report.html drawn.html
echo '<script>document.body.append(element("pre", {}, "SHOWN " + Math.round(performance.now()) + " ms"))</script>' >>drawn.html
browse --window-size=1280,900 --dump-dom "file://$work/drawn.html" >dom.txt
echo "$size bytes, drawn after $(grep -o 'SHOWN [0-9]* ms' dom.txt | tail -n 1)"
opens long/report.html "charts 6"
finish
