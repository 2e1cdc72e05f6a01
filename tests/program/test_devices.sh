#!/usr/bin/env bash
# Several devices of one process: how they are named, what is printed, equal bits, other numbers of devices when a
# training is resumed, and pictures that they share. tests/models/test_shares.c compares them with one device.
#
#   tests/program/test_devices.sh P2P BACKEND     BACKEND: one with at least three devices
. "$(dirname "$0")/../support/expect.sh" "$1" "$2:0,$2:1,$2:2"
backend=$2
draw_toys 11
base=(--data toys --size 32 --ngf 4 --ndf 4 --seed 5 --checkpoint-every 3)
small=("${base[@]}" --device "$device")
one=(--device "$backend:0")

# steps OUT: prints the number of steps in the log.
steps() {
    grep -c '"images_per_s"' "$1/metrics.jsonl"
}

echo "-- what is printed"
expect 0 "batch: 1 pair on each of 3 devices, 3 per step; learning rate 0.0002" \
    "$p2p" train "${small[@]}" --out three --epochs 2
for i in 0 1 2; do printed "device: $backend:$i, " "a training on three devices"; done
printed "MB on each device" "a training on three devices"
[ "$(steps three)" -eq 8 ] || fail "not 4 steps of 11 pairs in each epoch: $(steps three)"

echo "-- images per second are those of all devices"
"$p2p" sample-data many --count 48 --size 32 --seed 3 >/dev/null 2>&1 || fail "no data"
four=$backend:0,$backend:1,$backend:0,$backend:1
expect 0 "" "$p2p" train --data many "${base[@]:2}" --device "$four" --out fast --steps 9
# The rate of the last step, and 4 pairs in each of those since the second; the same but for their means.
rate=$(sed -nE 's/.*"step":9,.*"images_per_s":([0-9.]+).*/\1/p' fast/metrics.jsonl)
seconds() {
    date -d "$(sed -nE 's/.*"step":'"$1"',.*"time":"([^"]+)".*/\1/p' fast/metrics.jsonl | head -n 1)" +%s.%N
}
awk -v rate="$rate" -v begun="$(seconds 2)" -v ended="$(seconds 9)" \
    'BEGIN { found = rate * (ended - begun) / (4 * 7); print found " of what was made"; exit !(found > 0.5 && found < 2) }' ||
    fail "images per second: $rate"

echo "-- the same bits"
expect 0 "" "$p2p" train "${small[@]}" --out again --epochs 2 --workers 3
equal_runs three again
same three/samples/epoch-0002.png again/samples/epoch-0002.png
expect 0 "" "$p2p" train "${base[@]}" --out counted --epochs 2 --backend "$backend" --gpus 3
equal_runs three counted
expect 0 "" "$p2p" train "${small[@]}" --out parts --epochs 2 --steps 6
expect 0 "" "$p2p" train --out parts --resume --device "$device" --epochs 2
equal_runs three parts

echo "-- refusals"
expect 2 "--gpus 2 contradicts --device" "$p2p" train "${small[@]}" --out x --gpus 2
expect 2 "a name of the list is empty" "$p2p" train "${base[@]}" --out x --device "$backend:0,"
printed "with commas between them" "an empty name"
expect 2 "contradicts --backend" "$p2p" train "${base[@]}" --out x --device "$backend:0,other:1" --backend "$backend"
expect 4 "$backend:99" "$p2p" train "${base[@]}" --out x --device "$backend:0,$backend:99"
expect 4 "usable devices of the type of $backend:0" "$p2p" train --data toys --out x --backend "$backend" --gpus 64
printed "--device $backend:0,$backend:0" "too many devices"
expect 2 "--gpus: 0 is outside" "$p2p" train --data toys --out x --gpus 0
expect 2 "this command uses one device" "$p2p" tune --device "$backend:0,$backend:1"
expect 2 "this command uses one device" "$p2p" bench --what ops --device "$backend:0,$backend:1"
expect 2 "--sync-norm contradicts --norm instance" "$p2p" train "${small[@]}" --out x --sync-norm --norm instance
expect 2 "--sync-norm contradicts --grad-accumulate 2" "$p2p" train "${small[@]}" --out x --sync-norm --grad-accumulate 2
[ -e x ] && fail "a refused training has made its folder"

echo "-- learning rates"
expect 0 "learning rate 0.0006" "$p2p" train "${small[@]}" --out linear --steps 1 --lr-scale linear
expect 0 "learning rate 0.0004" "$p2p" train "${base[@]}" "${one[@]}" --out root --steps 1 --lr-scale sqrt \
    --grad-accumulate 4
printed "batch: 1 pair, 4 times, 4 per step" "--grad-accumulate 4"
expect 0 "batch: 1 pair, 1 per step; learning rate 0.0002 (0.0006 before)" \
    "$p2p" train --out linear --resume "${one[@]}" --steps 2
expect 0 "" "$p2p" train --out linear --resume "${one[@]}" --steps 3
grep -q "learning rate" err.txt && fail "the rate is as before: $(grep "learning rate" err.txt)"

echo "-- one device several times, and parts of a batch"
expect 0 "$backend:0, " "$p2p" train "${base[@]}" --device "$backend:0,$backend:0" --out twice --epochs 1
printed ", 2 times" "a device that is named twice"
expect 0 "" "$p2p" train "${base[@]}" --device "$backend:0,$backend:0" --out twice2 --epochs 1
equal_runs twice twice2
expect 0 "" "$p2p" train "${base[@]}" "${one[@]}" --grad-accumulate 3 --out accumulated --epochs 2
[ "$(steps accumulated)" -eq 8 ] || fail "not 4 steps of 11 pairs in each epoch: $(steps accumulated)"
expect 0 "" "$p2p" train "${base[@]}" "${one[@]}" --grad-accumulate 3 --out accumulated2 --steps 5
expect 0 "" "$p2p" train --out accumulated2 --resume "${one[@]}" --epochs 2
equal_runs accumulated accumulated2
expect 0 "" "$p2p" train "${small[@]}" --sync-norm --out synchronous --steps 5
expect 0 "" "$p2p" train --out synchronous --resume --device "$device" --steps 8
expect 0 "" "$p2p" train "${small[@]}" --sync-norm --out synchronous2 --steps 8
equal_runs synchronous synchronous2

echo "-- resumed with other devices: 3 of 11 pairs, then 2 by 2, then one by one"
expect 0 "" "$p2p" train "${small[@]}" --out moved --steps 1
expect 0 "devices: 2, and 3 before" "$p2p" train --out moved --resume --device "$backend:0,$backend:1" --steps 3
printed "may differ in their bits from here on" "other devices"
expect 0 "devices: 1, and 2 before" "$p2p" train --out moved --resume "${one[@]}" --epochs 2
# 1 step of 3 pairs, 2 of 2, 4 of 1; then 11 of 1
[ "$(steps moved)" -eq 18 ] || fail "not 18 steps: $(steps moved)"
grep -c '"event":"epoch"' moved/metrics.jsonl | grep -qx 2 || fail "not 2 epochs"
expect 0 "devices: 3, and 1 before" "$p2p" train --out moved --resume --device "$device" --epochs 3
[ "$(steps moved)" -eq 22 ] || fail "not 4 more steps: $(steps moved)"
expect 0 "" "$p2p" train --out moved --resume --device "$device" --epochs 4
printed "device: $backend:2" "the same devices"
grep -q "before" err.txt && fail "the same devices are taken for others"

echo "-- resumed with other devices, from the same weights: the learning rate changes none"
kept=("${base[@]}" --norm instance)
expect 0 "" "$p2p" train "${kept[@]}" "${one[@]}" --out given --epochs 1 # until no bias is 0, which has two signs
expect 0 "" "$p2p" train "${kept[@]}" --device "$device" --lr 1e-300 --init-generator given --init-discriminator given \
    --out still --steps 1
expect 0 "devices: 2, and 3 before" "$p2p" train --out still --resume --device "$backend:0,$backend:1" --steps 3
expect 0 "devices: 1, and 2 before" "$p2p" train --out still --resume "${one[@]}" --epochs 2
for model in generator discriminator; do same_weights given/$model.safetensors still/$model.safetensors; done

echo "-- as many devices as before, of which another one is named twice: the same bits"
a=$backend:0 b=$backend:1
expect 0 "" "$p2p" train "${base[@]}" --device "$a,$a,$b" --out whole --epochs 2
expect 0 "" "$p2p" train "${base[@]}" --device "$a,$a,$b" --out again3 --epochs 2 --steps 3
expect 0 "continuing after step 3" "$p2p" train --out again3 --resume --device "$a,$b,$b" --epochs 2
if [ "$backend" = reference ]; then # its devices have different names, but compute the same
    printed "devices: 3, in another order than before" "devices with other names"
    printed "may differ in their bits from here on" "devices with other names"
else
    grep -q "before" err.txt && fail "devices of one kind are taken for others: $(grep "before" err.txt)"
fi
equal_runs whole again3
expect 0 "continuing after step 8" "$p2p" train --out again3 --resume --device "$a,$b,$b" --epochs 3
grep -q "before" err.txt && fail "the same devices are taken for others: $(grep "before" err.txt)"

echo "-- pictures are shared, with the bits of one device"
for batch in 1 2; do
    use=(--model three --batch $batch)
    expect 0 "" "$p2p" test "${use[@]}" --data toys --split train --out "one$batch" "${one[@]}"
    expect 0 "" "$p2p" test "${use[@]}" --data toys --split train --out "all$batch" --device "$device"
    for file in "one$batch"/generated/*.png; do same "$file" "all$batch/generated/$(basename "$file")"; done
    same "one$batch/grid.png" "all$batch/grid.png"
    expect 0 "" "$p2p" translate "${use[@]}" -o "drawn$batch" --device "$device" "one$batch/target"
    expect 0 "" "$p2p" translate "${use[@]}" -o "drawn-one$batch" "${one[@]}" "one$batch/target"
    for file in "drawn-one$batch"/*.png; do same "$file" "drawn$batch/$(basename "$file")"; done
done

echo "-- a training's validation and sample grids are shared, with the bits of one device"
# measured FILE: prints L1, PSNR and SSIM of the last epoch, or of all pairs.
measured() {
    grep -v '"event":"start"' "$1" | tr -d ' \n' | sed 's/"images":.*//' | grep -oE '"(val_)?(l1|psnr|ssim)":[0-9.e+-]+' |
        sed 's/val_//' | tail -n 3
}
expect 0 "" "$p2p" test --model three --data toys --out validated "${one[@]}"
[ "$(measured validated/metrics.json | wc -l)" -eq 3 ] || fail "no metrics in validated/metrics.json"
[ "$(measured validated/metrics.json)" = "$(measured three/metrics.jsonl)" ] ||
    fail "the validation of three devices: $(measured three/metrics.jsonl), of one: $(measured validated/metrics.json)"
# Weights that stay, so that the pictures of two trainings are equal.
still=("${base[@]}" --norm instance --lr 1e-300 --init-generator given --init-discriminator given --epochs 1)
expect 0 "" "$p2p" train "${still[@]}" --device "$device" --out shared
expect 0 "" "$p2p" train "${still[@]}" "${one[@]}" --out alone
# pixels FILE: prints a PNG file from its pixels on; before them it names the training.
pixels() {
    tail -c +"$(grep -abo IDAT "$1" | head -n 1 | cut -d : -f 1)" "$1"
}
cmp <(pixels shared/samples/epoch-0001.png) <(pixels alone/samples/epoch-0001.png) || fail "other samples of equal weights"
[ "$(measured shared/metrics.jsonl)" = "$(measured alone/metrics.jsonl)" ] || fail "other metrics of equal weights"

echo "-- plan and bench"
expect 0 "this training needs " "$p2p" plan --size 32 --ngf 4 --ndf 4 --device "$device"
printed "reductions" "a plan for three devices"
expect 0 "images per second" "$p2p" bench --size 32 --ngf 4 --ndf 4 --steps 2 --device "$device"
printed "3 images per step in all" "a bench of three devices"

finish
