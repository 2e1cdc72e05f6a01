#!/usr/bin/env bash
# Gradients of a whole training step on a device, in each of its precisions, against those of the reference in double
# precision: after one step Adam's first moment is half the gradient. Every tensor is compared.
#
#   tests/program/test_gradients.sh P2P DEVICE COMPARE [OPTION...]
#
# COMPARE: the program compare_tensors; OPTION: of the networks, the default is tiny ones
compare=$(realpath "$3")
. "$(dirname "$0")/../support/expect.sh" "$1" "$2"
network=("${@:4}")
[ ${#network[@]} -gt 0 ] || network=(--size 32 --ngf 8 --ndf 8 --batch 2)
"$p2p" sample-data toys --count 4 --size 64 --seed 3 >/dev/null 2>&1 || fail "no data"

# step OUT OPTION...: a training of one step
step() {
    expect 0 "" "$p2p" train --data toys "${network[@]}" --seed 5 --deterministic --steps 1 --out "$@"
    [ -s "$1/checkpoints/step-000000001.safetensors" ] || fail "$1 has no checkpoint of step 1: $(ls "$1/checkpoints")"
}

step truth --device reference:0
# Bounds of a tensor: many times what devices that are right differ, a part of what a wrong gradient changes.
for row in "fp32 1e-4" "tf32 0.1" "bf16 0.5"; do
    read -r precision bound <<<"$row"
    if ! "$p2p" plan "${network[@]}" --device "$device" --precision "$precision" >plan.txt 2>&1; then
        grep -q "precision\|$precision" plan.txt || fail "$precision: $(cat plan.txt)"
        skipped "$precision" "$device has none"
        continue
    fi
    step "$precision" --device "$device" --precision "$precision"
    "$compare" "$precision/checkpoints/step-000000001.safetensors" truth/checkpoints/step-000000001.safetensors /moment1. "$bound" \
        >difference.txt 2>&1 || fail "$precision: $(cat difference.txt)"
    echo "$precision: $(cat difference.txt)"
done
# The comparison finds another gradient.
step other --device "$device" --precision fp32 --lambda-l1 101
"$compare" other/checkpoints/step-000000001.safetensors truth/checkpoints/step-000000001.safetensors /moment1. 1e-4 >difference.txt 2>&1 &&
    fail "a gradient of another loss passes: $(cat difference.txt)"

finish
