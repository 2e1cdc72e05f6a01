#!/usr/bin/env bash
# Training and translation with pictures of every kind.
#
#   tests/program/test_data.sh P2P DEVICE     P2P: the program; DEVICE: e.g. reference:0, opencl:0
images=$(realpath "${P2P_TEST_GOLDEN:-$(dirname "$0")/../golden}/images")
. "$(dirname "$0")/../support/expect.sh" "$@"

draw_toys 8
tiny=(--size 32 --ngf 4 --ndf 4 --device "$device")

# wait_shares OUT: prints for each step the share of time that it waited for data.
wait_shares() {
    sed -nE 's/.*"data_wait":([^,}]*).*/\1/p' "$1/metrics.jsonl"
}

# png_kind FILE: prints bits and colour type of a PNG file's header (0 grey, 2 RGB, 4 and 6 with alpha).
png_kind() {
    od -An -j24 -N2 -tu1 "$1" | xargs
}

echo "-- workers change nothing"
expect 0 "waiting for data" "$p2p" train "${small[@]}" --out workers1 --steps 9 --batch 2 --workers 1
for workers in 2 5; do
    expect 0 "" "$p2p" train "${small[@]}" --out workers$workers --steps 9 --batch 2 --workers $workers
    equal_runs workers1 workers$workers
done
expect 0 "" "$p2p" train "${small[@]}" --out parts --steps 5 --batch 2 --workers 1
expect 0 "" "$p2p" train --out parts --resume --device "$device" --steps 9 --workers 5
equal_runs workers1 parts
expect 0 "" "$p2p" train "${small[@]}" --out automatic --steps 9 --batch 2
equal_runs workers1 automatic
[ "$(wait_shares workers1 | awk '$1 >= 0 && $1 <= 1' | wc -l)" -eq 9 ] || fail "no shares: $(wait_shares workers1)"
expect 2 "--workers: 0 is outside" "$p2p" train "${small[@]}" --out x --workers 0

echo "-- bad pairs"
cp -r toys marred
echo "no picture" >marred/train/00002.jpg
expect 3 "00002.jpg is neither" "$p2p" train "${tiny[@]}" --data marred --out x --steps 2
expect 0 "train: 1 left out" "$p2p" train "${tiny[@]}" --data marred --out skipped --steps 6 --on-bad-image skip
printed "00002.jpg is neither" "the training that skips"
printed "data: 7 training pairs" "the training that skips"
cp -r toys fewer && rm fewer/train/00002.jpg
expect 0 "" "$p2p" train "${tiny[@]}" --data fewer --out fewer6 --steps 6
equal_runs fewer6 skipped
cp toys/train/00002.jpg marred/train/
expect 3 "the checkpoint was made with 7" "$p2p" train --out skipped --resume --device "$device" --steps 8
for side in train val; do
    head -c "$(($(wc -c <toys/$side/00001.jpg) - 50))" toys/$side/00001.jpg >marred/$side/00001.jpg # the header remains valid
done
expect 3 "00001.jpg" "$p2p" train "${tiny[@]}" --data marred --out begun --steps 16 # before the training begins
[ ! -e begun ] || fail "a training that did not begin has left its folder"
expect 3 "00001.jpg" "$p2p" test --model workers1 --data marred --out x --device "$device"
expect 0 "1 pairs were unusable and have been replaced" "$p2p" train "${tiny[@]}" --data marred --out stood1 --steps 16 --workers 1 --on-bad-image skip
printed "the first: marred/train/00001.jpg" "the training with a stand-in"
printed "step 16/16" "the training with a stand-in"
printed "val: 1 left out as unusable; the first: marred/val/00001.jpg" "the training with a stand-in"
cp -r toys without && rm without/val/00001.jpg # what is left out counts for nothing
cp marred/train/00001.jpg without/train/
expect 0 "" "$p2p" train "${tiny[@]}" --data without --out stood0 --steps 16 --on-bad-image skip
validated() { grep -o '"val_.*' "$1/metrics.jsonl" | sed 's/"time".*//'; }
[ "$(validated stood0 | wc -l)" -eq 2 ] || fail "stood0/metrics.jsonl has no validations"
[ "$(validated stood0)" = "$(validated stood1)" ] || fail "a validation pair that is left out counts"
same_weights stood1/generator.safetensors stood0/generator.safetensors
expect 0 '"count":1' "$p2p" test --model stood1 --data marred --out tested1 --device "$device" --on-bad-image skip
printed "left out: marred/val/00001.jpg" "a test of a damaged pair"
printed "1 unusable pairs were left out" "a test of a damaged pair"
[ "$(ls tested1/generated)" = 00002.png ] || fail "a test has drawn $(ls tested1/generated)"
rm without/val/*.jpg && cp marred/val/00001.jpg without/val/
expect 3 "no usable pair is left" "$p2p" test --model stood1 --data without --out x --device "$device" --on-bad-image skip
expect 3 "no usable validation pair is left" "$p2p" train "${tiny[@]}" --data without --out refused --steps 1 --on-bad-image skip
[ ! -e refused ] || fail "a training that did not begin has left its folder"
expect 0 "" "$p2p" train "${tiny[@]}" --data marred --out stood5 --steps 9 --workers 5 --on-bad-image skip
expect 0 "" "$p2p" train --out stood5 --resume --device "$device" --steps 16
equal_runs stood1 stood5

echo "-- after a bad pair"
spoilt=(--data spoilt --no-shuffle --steps 8 "${tiny[@]}")
cp -r toys spoilt && rm -r spoilt/val && cp marred/train/00001.jpg spoilt/train/00005.jpg
expect 3 "spoilt/train/00005.jpg" "$p2p" train "${spoilt[@]}" --out hinted
cp -r hinted mended && cp err.txt hint.txt
printed "--allow-other-data" "the hint at a damaged pair"
rerun=$(command_of hint.txt)
case $rerun in *"--on-bad-image skip"*) ;; *) fail "the hint's command does not leave the pair out: $rerun" ;; esac
expect 0 "1 pairs were unusable" eval "$rerun"
expect 0 "" "$p2p" train "${spoilt[@]}" --out skipping --on-bad-image skip
equal_runs skipping hinted
expect 3 "spoilt/train/00005.jpg" "$p2p" train "${spoilt[@]}" --out asked2 --on-bad-image stop
expect 0 "1 pairs were unusable" eval "$(command_of err.txt)"
cp toys/train/00005.jpg spoilt/train/
expect 0 "continuing, because --allow-other-data is given" "$p2p" train --out mended --resume --device "$device" --allow-other-data
expect 2 "--on-bad-image: 'ask' is not one of stop|skip" "$p2p" train "${small[@]}" --out x --on-bad-image ask

echo "-- two folders, of all formats"
mkdir -p two/trainA two/trainB/
cp "$images"/{rgb.bmp,palette.gif,grey.jpg,rgb_alpha.png,grey16.png} two/trainA/
for name in rgb palette grey rgb_alpha grey16; do cp "$images/ycc444.jpg" two/trainB/$name.jpg; done
expect 0 "data: 5 training pairs" "$p2p" train "${tiny[@]}" --data two --out two1 --steps 5
printed "train: warning: alpha is dropped, and the input of rgb_alpha.png is transparent in places" "a training that drops alpha"
printed "(p2p train --channels-in 4 keeps alpha" "a training that drops alpha"
expect 0 "the target of rgb_alpha.png is transparent" "$p2p" train "${tiny[@]}" --data two --out seen2 --steps 1 --direction BtoA
for kept in "--channels-in 4" "--channels-in 4 --direction AtoB --channels-out 1"; do
    rm -rf seen3
    # shellcheck disable=SC2086
    expect 0 "" "$p2p" train "${tiny[@]}" --data two --out seen3 --steps 1 $kept
    grep -q "alpha is dropped" err.txt && fail "alpha that is kept is called dropped"
done
for layout in "train_A train_B" "A/train B/train"; do
    rm -rf other && mkdir -p other/A other/B
    cp -r two/trainA "other/${layout% *}" && cp -r two/trainB "other/${layout#* }"
    expect 0 "" "$p2p" train "${tiny[@]}" --data other --out other1 --steps 5
    equal_runs two1 other1
    rm -rf other1
done
mkdir two/train
expect 3 "both two/train and two/trainA exist" "$p2p" train "${tiny[@]}" --data two --out x --steps 1
rmdir two/train
cp "$images/rgb.png" two/trainB/single.png
expect 3 "two/trainB/single.png has no partner" "$p2p" train "${tiny[@]}" --data two --out x --steps 1
expect 0 "train: 1 left out" "$p2p" train "${tiny[@]}" --data two --out two2 --steps 5 --on-bad-image skip
equal_runs two1 two2
cp toys/train/00001.jpg two/trainA/single.jpg
expect 3 "two/trainA/single.jpg is 64 x 32 pixels, but two/trainB/single.png is 37 x 29" \
    "$p2p" train "${tiny[@]}" --data two --out x --steps 1
cp "$images/cmyk.jpg" two/trainA/single.jpg
expect 3 "single.jpg is a CMYK JPEG" "$p2p" train "${tiny[@]}" --data two --out x --steps 1

echo "-- lines about one pair"
expect 0 "one/train has 1 pair of 32x32" "$p2p" sample-data one --count 1 --size 32
rm -rf one/val && mkdir one/val && cp one/train/00001.jpg one/val
expect 0 "data: 1 training pair, 1 validation pair" "$p2p" train "${tiny[@]}" --data one --out one-run --steps 1
printed "length: 1 pair is 1 step per epoch; 1 step in 1 epoch" "a training of one step"
for word in pairs steps epochs; do
    grep -E "^(data|length):" err.txt | grep -q $word && fail "one is plural: $(grep -E "^(data|length):" err.txt)"
done

echo "-- a folder of photographs"
expect 3 "there is no folder toys/train/train" "$p2p" train "${tiny[@]}" --data toys/train --out x
printed "p2p pairs makes such folders of photographs or of two folders (p2p help pairs)" "a training on photographs"

echo "-- pictures that are not read"
cp -r toys phone && touch phone/val/deep.heic
expect 0 "phone/val: 1 picture has a suffix that is not read: deep.heic; convert it to PNG or JPEG" "$p2p" train "${tiny[@]}" --data phone --out phone-run --steps 1

echo "-- pictures that EXIF turns"
cp -r toys turned && turn toys/val/00001.jpg 3 turned/val/00001.jpg
expect 0 "val: 1 picture is turned upright by EXIF data" "$p2p" train "${tiny[@]}" --data turned --out turned-run --steps 1

echo "-- what is taken for a pair"
expect 0 "train: 8 pairs of 32 x 32 pixels, side by side in the pictures in toys/train" "$p2p" train "${tiny[@]}" --data toys --out shown --steps 1
printed "val: 2 pairs of 32 x 32 pixels" "the start of a training"
cp -r toys single && cp "$images/rgb.png" single/val/ # 37 x 29
cp two/trainB/rgb.jpg single/val/square.jpg
expect 3 "37 pixels wide" "$p2p" train "${tiny[@]}" --data single --out x --steps 1
rm single/val/rgb.png
cp shown/samples/*.png single/val/tall.png # a grid of samples: higher than wide
expect 3 "single/val/square.jpg is" "$p2p" train "${tiny[@]}" --data single --out x --steps 1
rm single/val/square.jpg
expect 3 "single/val/tall.png is" "$p2p" train "${tiny[@]}" --data single --out refused --steps 1
printed "the shape of a single picture" "a training with a single picture"
printed "--pairs side-by-side" "a training with a single picture"
[ ! -e refused ] || fail "a refused training has made its folder"
expect 0 "val: 1 left out" "$p2p" train "${tiny[@]}" --data single --out skip1 --steps 1 --on-bad-image skip
equal_runs shown skip1
expect 0 "val: 3 pairs of 2 sizes" "$p2p" train "${tiny[@]}" --data single --out taken --steps 1 --pairs side-by-side
expect 0 "val: 3 pairs" "$p2p" train --out taken --resume --steps 2 --device "$device"
expect 3 "val/tall.png" "$p2p" train --out taken --resume --steps 3 --pairs auto --device "$device"
expect 3 "val/tall.png" "$p2p" test --model shown --data single --out x --device "$device"
mkdir -p within/train && cp -r two/trainA within/train/A && cp -r two/trainB within/train/B
rm within/train/B/single.png
expect 3 "within/train/A/single.jpg has no partner" "$p2p" train "${tiny[@]}" --data within --out x --steps 1
rm within/train/A/single.jpg && echo "II*" >within/train/B/single.tif && cp toys/train/00001.jpg within/train/A/single.jpg
expect 3 "has the partner within/train/B/single.tif" "$p2p" train "${tiny[@]}" --data within --out x --steps 1
rm within/train/A/single.jpg
expect 0 "in within/train/A and within/train/B" "$p2p" train "${tiny[@]}" --data within --out within1 --steps 5
equal_runs two1 within1

echo "-- thumbnails"
"$p2p" sample-data wide --count 8 --size 128 >/dev/null 2>&1
mkdir wide/train/Thumbnails && cp toys/train/*.jpg wide/train/Thumbnails
expect 0 "train: 8 pairs of 128 x 128 pixels" "$p2p" train "${tiny[@]}" --data wide --out thumbs1 --steps 1
printed "wide/train: left out 8 pictures in folders of thumbnails, such as Thumbnails/0000" "a folder of thumbnails"
rm -r wide/train/Thumbnails
cp toys/train/00001.jpg wide/train/00001_thumb.jpg
expect 0 "train: warning: 1 pair is as small as thumbnails of the others, such as 00001_thumb.jpg of 32 x 32 pixels" \
    "$p2p" train "${tiny[@]}" --data wide --out thumbs2 --steps 1

echo "-- results are never taken for pairs"
for out in toys/train toys/val toys/testA; do
    expect 2 "--out $out/run lies in $out" "$p2p" train "${tiny[@]}" --data toys --out $out/run --steps 1
    expect 2 "--out $out lies in $out" "$p2p" train "${tiny[@]}" --data toys --out $out --steps 1
done
expect 2 "--out toys/val/out lies in toys/val" "$p2p" test --model shown --data toys --out toys/val/out --device "$device"
expect 2 "--out toys/more lies in toys/more" "$p2p" test --model shown --data toys --split more --out toys/more --device "$device"
for round in 1 2; do # results beside the folders of pairs are not looked at
    expect 0 "data: 8 training pairs, 2 validation pairs" "$p2p" train "${tiny[@]}" --data toys --out toys/run$round --steps 1
    expect 0 "val: 2 pairs" "$p2p" test --model shown --data toys --out toys/measured$round --device "$device"
done
rm -r toys/run? toys/measured?

echo "-- memory"
expect 3 "toys/train/00001.jpg is 64 x 32 pixels; at most 32768 on a side and 1000 in all" "$p2p" train "${tiny[@]}" --data toys --out x --steps 1 --max-pixels 1000
cp -r toys large && cp large/train/00001.jpg large/train/0.jpg
cp "$images/progressive.jpg" large/train/zzz.jpg
claim=$(LC_ALL=C grep -obUaP '\xff\xc2' large/train/zzz.jpg | head -1 | cut -d: -f1) # the frame: its height and width follow after 5 bytes
printf '\x20\x00\x40\x00' | dd of=large/train/zzz.jpg bs=1 seek=$((claim + 5)) conv=notrunc 2>/dev/null
expect 3 "large/train/zzz.jpg takes 8" "$p2p" train "${tiny[@]}" --data large --out x --steps 1 --memory 100M
expect 0 "train: 1 left out" "$p2p" train "${tiny[@]}" --data large --out large1 --steps 9 --memory 100M --on-bad-image skip
printed "zzz.jpg takes" "a training that leaves a large picture out"
expect 3 "zzz.jpg takes" "$p2p" translate --model shown -o x large/train --memory 100M --device "$device"
printed "are allowed for pictures" "a translation of a large picture"
expect 0 "left out: large/train/zzz.jpg takes" "$p2p" translate --model shown -o most large/train --memory 100M --on-bad-image skip --device "$device"
[ "$(ls most | wc -l)" -eq 9 ] || fail "not all other pictures are translated: $(ls most)"
expect 0 "" "$p2p" translate --model shown -o every large/train --memory 2M --batch 4 --on-bad-image skip --device "$device"
diff -r most every || fail "the memory for pictures changes results"
expect 2 "--memory: 'many' is not a size" "$p2p" train "${tiny[@]}" --data toys --out x --memory many

echo "-- names of any bytes"
odd=$(printf 'caf\351\033[2J')
mkdir -p "$odd/train" && cp toys/train/00001.jpg "$odd/train/$odd.jpg"
expect 0 "" "$p2p" train "${tiny[@]}" --data "$odd" --out "$odd/run" --steps 1
grep -qF '"data": "caf\\xe9' "$odd/run/config.json" || fail "config.json: $(grep data "$odd/run/config.json")"
rm -r "$odd/run"/{checkpoints,generator.safetensors,discriminator.safetensors} # so that resuming reads the name from config.json
expect 0 "data: 1 training pair, " "$p2p" train --out "$odd/run" --resume --device "$device" --steps 2
expect 0 "caf" "$p2p" test --model "$odd/run" --data "$odd" --split train --out "$odd/tested" --device "$device"
echo "no picture" >"$odd/train/$odd.jpg"
expect 3 'caf\xe9\x1b[2J/train/caf\xe9' "$p2p" train "${tiny[@]}" --data "$odd" --out x --steps 1
expect 3 "no usable pair for train" "$p2p" train "${tiny[@]}" --data "$odd" --out x --steps 1 --on-bad-image skip

echo "-- 16 bits, from the files to the files"
for number in 0 1; do
    mkdir -p deep$number/trainA deep$number/trainB
    cp "$images/deep$number.png" deep$number/trainA/x.png
    cp "$images/deep1.png" deep$number/trainB/x.png
    expect 0 "" "$p2p" train "${tiny[@]}" --data deep$number --out low$number --steps 2 --channels-in 1 \
        --channels-out 1 --no-flip
done
[ "$(losses low0/metrics.jsonl)" != "$(losses low1/metrics.jsonl)" ] || fail "low bytes of the input have no effect"
for number in 0 1; do
    expect 0 "" "$p2p" translate --model low0 -o low$number.png "$images/deep$number.png" --device "$device"
    [ "$(png_kind low$number.png)" = "16 0" ] || fail "not 16 bits of grey: $(png_kind low$number.png)"
done
cmp -s low0.png low1.png && fail "low bytes of a translation's input have no effect"
expect 2 "low.jpg: a JPEG can't hold 16 bits" "$p2p" translate --model low0 -o low.jpg "$images/deep0.png" --device "$device"
expect 0 "" "$p2p" test --model low0 --data deep0 --split train --out low0/test --device "$device"
[ "$(png_kind low0/test/generated/x.png)" = "16 0" ] || fail "a test's pictures aren't of 16 bits"

echo "-- channels"
for channels in 1 2 3 4; do
    kinds=(0 0 4 2 6)
    expect 0 "" "$p2p" train --data toys "${tiny[@]}" --out c$channels --steps 1 --channels-in $((5 - channels)) \
        --channels-out $channels
    expect 0 "" "$p2p" translate --model c$channels -o c$channels.png toys/val/00001.jpg --device "$device"
    [ "$(png_kind c$channels.png)" = "8 ${kinds[$channels]}" ] || fail "$channels channels: $(png_kind c$channels.png)"
done
expect 2 "alpha" "$p2p" translate --model c4 -o c4.jpg toys/val/00001.jpg --device "$device"
expect 0 "" "$p2p" translate --model c1 -o c1.jpg toys/val/00001.jpg --device "$device"
mkdir kinds && cp "$images"/{rgb.bmp,palette.gif} kinds/
expect 0 "kinds.out/rgb.png" "$p2p" translate --model c3 -o kinds.out/ kinds --device "$device"
[ -e kinds.out/palette.png ] || fail "a GIF in a folder isn't translated"
expect 2 "--channels-in: 5 is outside" "$p2p" train --data toys "${tiny[@]}" --out x --channels-in 5
expect 2 "--channels-out 3 contradicts" "$p2p" train --out c4 --resume --channels-out 3

echo "-- resizing"
expect 0 "" "$p2p" train "${small[@]}" --out bicubic --steps 2 --resize bicubic
expect 0 "" "$p2p" train "${small[@]}" --out nearest --steps 2 --resize nearest
expect 0 "" "$p2p" train "${small[@]}" --out preset --steps 2
same bicubic/generator.safetensors preset/generator.safetensors
losses() { grep -o '"g_l1": *[^,]*' "$1/metrics.jsonl"; }
[ "$(losses bicubic | wc -l)" -ge 2 ] || fail "bicubic/metrics.jsonl has no losses"
[ "$(losses bicubic)" != "$(losses nearest)" ] || fail "--resize changes nothing"
expect 0 '"resize":"nearest"' "$p2p" test --model nearest --data toys --split train --count 1 --out tested --device "$device"
expect 0 '"resize":"bicubic"' "$p2p" test --model nearest --data toys --split train --count 1 --out asked --resize bicubic --device "$device"
expect 2 "--resize bicubic contradicts" "$p2p" train --out nearest --resume --resize bicubic
expect 2 "--resize: 'cubic' is not one of" "$p2p" train "${small[@]}" --out x --resize cubic

finish
