#!/usr/bin/env bash
# A long training's life as its owner sees it: its length and learning rate.
#
#   tests/test_training.sh P2P DEVICE     P2P: the program; DEVICE: e.g. reference:0, opencl:0
. "$(dirname "$0")/expect.sh" "$@"

# rates OUT: epoch and learning rate of its steps, a line for each change.
rates() {
    sed -nE 's/.*"epoch":([0-9]+).*"lr":([^,}]*).*/\1 \2/p' "$1/metrics.jsonl" | uniq
}

"$p2p" sample-data toys --count 3 --size 32 --seed 3 >/dev/null 2>&1 || fail "no data"
small=(--data toys --size 32 --ngf 4 --ndf 4 --device "$device")

echo "-- learning rates"
expect 0 "epoch 4/4" "$p2p" train "${small[@]}" --out linear --epochs 2 --lr-policy linear --epochs-decay 2 --lr 0.03
[ "$(rates linear | awk '{printf "%s:%.6f ", $1, $2}')" = "1:0.030000 2:0.030000 3:0.020000 4:0.010000 " ] ||
    fail "not the rates of 2 + 2 epochs: $(rates linear)"
expect 0 "" "$p2p" train "${small[@]}" --out constant --epochs 4
[ "$(rates constant | awk '{printf "%s:%s ", $1, $2 * 1}')" = "1:0.0002 2:0.0002 3:0.0002 4:0.0002 " ] ||
    fail "not the default rate: $(rates constant)"
cmp -s linear/generator.safetensors constant/generator.safetensors && fail "the rate changed nothing"
expect 0 "" "$p2p" train "${small[@]}" --out scaled --epochs 4 --lr-scale linear
same constant/generator.safetensors scaled/generator.safetensors # one device
expect 2 "--lr: 0 is outside" "$p2p" train "${small[@]}" --out x --lr 0
expect 2 "--lr-policy: 'cosine' is none of constant|linear" "$p2p" train "${small[@]}" --out x --lr-policy cosine
expect 2 "--lr-scale: 'sqrt' is none of none|linear" "$p2p" train "${small[@]}" --out x --lr-scale sqrt
expect 2 "--epochs-decay belongs to --lr-policy linear" "$p2p" train "${small[@]}" --out x --epochs-decay 3

echo "-- lengths when resuming"
long=(--lr-policy linear --epochs 2 --epochs-decay 2 --lr 0.03)
expect 0 "" "$p2p" train "${small[@]}" --out parts "${long[@]}" --steps 7
expect 0 "epoch 4/4" "$p2p" train --out parts --resume --device "$device" --steps 1000
same linear/generator.safetensors parts/generator.safetensors
same linear/discriminator.safetensors parts/discriminator.safetensors
expect 2 "would have changed the learning rate" "$p2p" train --out parts --resume --epochs 3
expect 2 "would have changed the learning rate" "$p2p" train --out parts --resume --lr-policy constant
expect 2 "--lr 1 contradicts" "$p2p" train --out parts --resume --lr 1
said "was trained with 0.03" "--lr 1 --resume"
expect 2 "--lr-scale linear contradicts" "$p2p" train --out parts --resume --lr-scale linear
expect 0 "" "$p2p" train "${small[@]}" --out early "${long[@]}" --steps 3
expect 0 "epoch 6/6" "$p2p" train --out early --resume --device "$device" --epochs 4
[ "$(rates early | tail -n 1 | awk '{printf "%s:%.6f", $1, $2}')" = 6:0.010000 ] || fail "not 4 + 2 epochs"
expect 0 "" "$p2p" train "${small[@]}" --out steps --steps 2
expect 0 "epoch 1/1" "$p2p" train --out steps --resume --device "$device" --epochs 1
expect 0 "step 5/5" "$p2p" train --out steps --resume --device "$device" --steps 5

finish
