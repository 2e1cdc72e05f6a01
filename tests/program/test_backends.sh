#!/usr/bin/env bash
# A training in fp32 begins on one backend, continues on another and returns: its weights are those of a training that
# stayed on the first one, but for rounding. A model of either draws on the other.
#
#   tests/program/test_backends.sh P2P DEVICE OTHER COMPARE     e.g. cuda:0 opencl:0; COMPARE: the program compare_tensors
compare=$(realpath "$4")
. "$(dirname "$0")/../support/expect.sh" "$1" "$2"
other=$3
draw_toys 4
options=("${small[@]}" --precision fp32)
# Adam divides by the root of the mean square, so what rounds differently where a gradient is almost zero can move a weight
# by up to the learning rate in each step. Measured: 1e-6.
bound=1e-4

expect 0 "" "$p2p" train "${options[@]}" --out stays --steps 12
expect 0 "" "$p2p" train "${options[@]}" --out moves --steps 4
expect 2 "--allow-other-device continues all the same" "$p2p" train --out moves --resume --device "$other" --steps 8
expect 0 "" "$p2p" train --out moves --resume --device "$other" --steps 8 --allow-other-device
expect 0 "step 12/12" "$p2p" train --out moves --resume --device "$device" --steps 12 --allow-other-device
for network in generator discriminator; do
    "$compare" moves/$network.safetensors stays/$network.safetensors . $bound >difference.txt 2>&1 ||
        fail "$network: $(cat difference.txt)"
    echo "$network: $(cat difference.txt)"
done
cmp -s moves/generator.safetensors stays/generator.safetensors && fail "the bits are those of a training on $device alone"

picture=$(find toys/val -type f | head -n 1)
expect 0 "" "$p2p" translate --model moves --device "$other" -o other.png "$picture"
expect 0 "" "$p2p" translate --model moves --device "$device" -o own.png "$picture"
[ -s other.png ] && [ -s own.png ] || fail "no pictures"

finish
