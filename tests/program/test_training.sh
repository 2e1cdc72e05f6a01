#!/usr/bin/env bash
# The course of a training: length, learning rates, validation, the best epoch, kept epochs and checkpoints; what it prints
# at the start, and where it prints colours.
#
#   tests/program/test_training.sh P2P DEVICE     P2P: the program; DEVICE: e.g. reference:0, opencl:0
#
# SHORT=1: learning rates, and the bits of a training that is resumed. The rest depends on no device.
. "$(dirname "$0")/../support/expect.sh" "$@"

# rates OUT: prints epoch and learning rate of its steps, a line for each change.
rates() {
    sed -nE 's/.*"epoch":([0-9]+).*"lr":([^,}]*).*/\1 \2/p' "$1/metrics.jsonl" | uniq
}

draw_toys 3

echo "-- learning rates"
expect 0 "epoch 4/4" "$p2p" train "${small[@]}" --out linear --epochs 2 --lr-policy linear --epochs-decay 2 --lr 0.03
[ "$(rates linear | awk '{printf "%s:%.6f ", $1, $2}')" = "1:0.030000 2:0.030000 3:0.020000 4:0.010000 " ] ||
    fail "not the rates of 2 + 2 epochs: $(rates linear)"
expect 0 "" "$p2p" train "${small[@]}" --out constant --epochs 4
[ "$(rates constant | awk '{printf "%s:%s ", $1, $2 * 1}')" = "1:0.0002 2:0.0002 3:0.0002 4:0.0002 " ] ||
    fail "not the default rate: $(rates constant)"
cmp -s linear/generator.safetensors constant/generator.safetensors && fail "the rate changed nothing"
# The last step of an epoch, which none follows, takes no part in the mean of images per second.
sed -nE 's/.*"step":([36]),.*"images_per_s":([^,}]*).*/\2/p; s/.*"step":([25]),.*"images_per_s":([^,}]*).*/\2/p' \
    constant/metrics.jsonl | uniq -c | awk '$1 != 2 { exit 1 }' || fail "images per second of an epoch's last step"
expect 0 "" "$p2p" train "${small[@]}" --out scaled --epochs 4 --lr-scale linear
same_weights constant/generator.safetensors scaled/generator.safetensors # one device
expect 2 "--lr: 0 is outside" "$p2p" train "${small[@]}" --out x --lr 0
expect 2 "--lr-policy: 'cosine' is not one of constant|linear" "$p2p" train "${small[@]}" --out x --lr-policy cosine
expect 2 "--lr-scale: 'cube' is not one of none|linear|sqrt" "$p2p" train "${small[@]}" --out x --lr-scale cube
expect 2 "--epochs-decay requires --lr-policy linear" "$p2p" train "${small[@]}" --out x --epochs-decay 3

echo "-- lengths when resuming"
long=(--lr-policy linear --epochs 2 --epochs-decay 2 --lr 0.03)
expect 0 "" "$p2p" train "${small[@]}" --out parts "${long[@]}" --steps 7
expect 0 "epoch 4/4" "$p2p" train --out parts --resume --device "$device" --steps 1000
same linear/generator.safetensors parts/generator.safetensors
same linear/discriminator.safetensors parts/discriminator.safetensors
if [ -n "${SHORT:-}" ]; then
    finish
    exit
fi
expect 2 "would change the learning rate" "$p2p" train --out parts --resume --epochs 3
expect 2 "would change the learning rate" "$p2p" train --out parts --resume --lr-policy constant
expect 2 "--lr 1 contradicts" "$p2p" train --out parts --resume --lr 1
printed "was trained with 0.03" "--lr 1 --resume"
expect 2 "--lr-scale linear contradicts" "$p2p" train --out parts --resume --lr-scale linear
expect 0 "" "$p2p" train "${small[@]}" --out early "${long[@]}" --steps 3
expect 0 "epoch 6/6" "$p2p" train --out early --resume --device "$device" --epochs 4
[ "$(rates early | tail -n 1 | awk '{printf "%s:%.6f", $1, $2}')" = 6:0.010000 ] || fail "not 4 + 2 epochs"
expect 0 "" "$p2p" train "${small[@]}" --out steps --steps 2
expect 0 "epoch 1/1" "$p2p" train --out steps --resume --device "$device" --epochs 1
expect 0 "step 5/5" "$p2p" train --out steps --resume --device "$device" --steps 5

echo "-- validation, the best, and epochs"
# numbers FIELD OUT: prints the values of a field of the epochs in order.
numbers() {
    sed -nE "s/.*\"event\":\"epoch\".*\"$1\":([^,}]*).*/\1/p" "$2/metrics.jsonl"
}
expect 0 " dB  SSIM " "$p2p" train "${small[@]}" --out epochs --epochs 13 --lr 0.01
printed " best  " "an epoch's line"
for field in val_l1 val_psnr val_ssim val_l1_of_mean_target; do
    [ "$(numbers $field epochs | grep -c '[0-9]')" -eq 13 ] || fail "not 13 values of $field"
done
best=$(numbers val_l1 epochs | awk 'NR == 1 || $1 < least { least = $1; epoch = NR } END { print epoch }')
[ "$best" -lt 13 ] || fail "the last epoch is the best: the test shows nothing"
grep -q "\"epoch\": $best," epochs/best/best.json || fail "best.json is not about epoch $best: $(cat epochs/best/best.json)"
for field in val_l1 val_psnr val_ssim; do
    grep -q "\"$field\": $(numbers $field epochs | sed -n "${best}p")" epochs/best/best.json || fail "best.json: $field"
done
[ "$(ls epochs/epochs | tr '\n' ' ')" = "$(printf '%03d-generator.safetensors ' $(seq 4 13))" ] ||
    fail "not the generators of epochs 4 to 13: $(ls epochs/epochs)"
same epochs/epochs/013-generator.safetensors epochs/generator.safetensors
expect 0 "" "$p2p" train "${small[@]}" --out few --epochs 13 --lr 0.01 --save-every 4 --keep-epochs 2
[ "$(ls few/epochs | tr '\n' ' ')" = "008-generator.safetensors 012-generator.safetensors " ] ||
    fail "--save-every 4 --keep-epochs 2: $(ls few/epochs)"
same epochs/epochs/012-generator.safetensors few/epochs/012-generator.safetensors
expect 0 "" "$p2p" train "${small[@]}" --out sparse --epochs 13 --lr 0.01 --keep-samples 5
[ "$(ls sparse/samples | tr -dc '0-9\n' | tr '\n' ' ')" = "0001 0004 0008 0012 0013 " ] || fail "--keep-samples 5: $(ls sparse/samples)"
grep -q '"sample_epochs":\[1,4,8,12,13\]' sparse/report.html || fail "the report has other pictures"
[ "$(ls few/samples | wc -l)" -eq 13 ] || fail "pictures are missing: $(ls few/samples)"
expect 0 "" "$p2p" train "${small[@]}" --out all --epochs 13 --lr 0.01 --keep-epochs 0
[ "$(ls all/epochs | wc -l)" -eq 13 ] || fail "--keep-epochs 0: $(ls all/epochs)"
same all/epochs/$(printf '%03d' "$best")-generator.safetensors epochs/best/generator.safetensors
expect 0 "" "$p2p" train "${small[@]}" --out best --epochs "$best" --lr 0.01
same epochs/best/discriminator.safetensors best/discriminator.safetensors

echo "-- the best epoch is known after resuming"
expect 0 "" "$p2p" train "${small[@]}" --out resumed --epochs "$best" --lr 0.01
expect 0 "" "$p2p" train --out resumed --resume --device "$device" --epochs 13
for file in best/best.json best/generator.safetensors best/discriminator.safetensors generator.safetensors; do
    same epochs/$file resumed/$file
done
printed "epoch 13/13  L1 " "the last epoch"
tail -n 3 err.txt | grep -q "^epoch .* best " && fail "an epoch after the best one is called the best"

echo "-- no validation pairs: no numbers and no best"
mkdir bare && cp -r toys/train bare/train
expect 0 "" "$p2p" train "${small[@]/toys/bare}" --out unmeasured --epochs 2
grep -q val_ unmeasured/metrics.jsonl && fail "numbers without validation pairs"
[ -e unmeasured/best ] && fail "a best epoch without validation pairs"

echo "-- what is printed at the start, and colours"
escape=$(printf '\033')
# shown VARIABLE OUT: runs a training in a terminal, with the variable set; what the terminal gets is in OUT.txt.
shown() {
    script -qec "env -u NO_COLOR TERM=xterm $1 $p2p train ${small[*]} --epochs 8 --out $2" "$2.txt" >/dev/null </dev/null || fail "$2: no training"
}
expect 0 "" "$p2p" train "${small[@]}" --epochs 8 --out piped
grep -q "$escape" err.txt out.txt && fail "colours or cursor movements in a file"
grep -qxF "length: 3 pairs are 3 steps per epoch; 24 steps in 8 epochs" err.txt || fail "the length is not printed"
grep -qE "^validation: always drawing the mean of the training targets would give L1 0\.[0-9]{4};$" err.txt || fail "no mean target"
grep -qxF "lower is better, and the val L1 of a model should get well below that" err.txt || fail "no word on the mean target"
grep -qE "^expected to take about [0-9ms]+, with validation and checkpoints$" err.txt || fail "no expected duration"
if command -v script >/dev/null; then
    shown COLUMNS=80 coloured
    grep -q "${escape}\[32mepoch 1/8" coloured.txt || fail "the best epoch has no colour: $(cat -v coloured.txt | grep 'epoch 1/8')"
    shown NO_COLOR=1 plain
    grep -q "epoch 1/8 .* best" plain.txt || fail "no line of an epoch on a terminal"
    grep -q "${escape}\[[0-9;]*m" plain.txt && fail "colours in spite of NO_COLOR"
else
    skipped "colours on a terminal" "there is no program script"
fi

echo "-- checkpoints"
expect 0 "" "$p2p" train "${small[@]}" --out often --steps 11 --checkpoint-every 2
[ "$(ls often/checkpoints | tr '\n' ' ')" = "step-000000010.safetensors step-000000011.safetensors " ] ||
    fail "not the newest two checkpoints: $(ls often/checkpoints)"

finish
