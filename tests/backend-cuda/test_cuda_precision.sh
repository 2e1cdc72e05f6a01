#!/usr/bin/env bash
# The default precision: tf32 if all devices are cards with tensor cores for it, else fp32. It is recorded, and a resumed
# training keeps it; one that moves to a device without it continues in fp32 if that is requested.
#
#   tests/backend-cuda/test_cuda_precision.sh P2P     The machine has two devices.
. "$(dirname "$0")/../support/expect.sh" "$1" cuda:0
export P2P_CACHE_DIR=$PWD/cache
chosen="precision: tf32, the default on this device; --precision fp32 is exact"
draw_toys 4
network=(--size 32 --ngf 8 --ndf 8)
train=("$p2p" train --deterministic)

# on CARDS COMMAND...: runs it with these cards.
on() { env P2P_MACHINE_CARD="$1" "${@:2}"; }

# unprinted WORDS WHAT: the last command printed no such words.
unprinted() {
    if grep -qF -- "$1" out.txt err.txt; then fail "'$1' is printed by: $2"; fi
}

# recorded OUT PRECISION
recorded() { grep -qF "\"precision\": \"$2\"" "$1/config.json" || fail "$1/config.json does not record $2"; }

echo "-- the default of each device"
for card in a100 h200; do
    expect 0 "math=tf32" on $card "$p2p" plan "${network[@]}" --device cuda:0
    printed "$chosen" "a plan on $card"
done
expect 0 "nhwc8" on t4 "$p2p" plan "${network[@]}" --device cuda:0
unprinted tf32 "a plan on a card without tf32"
expect 0 "" "$p2p" plan "${network[@]}" --device reference:0
unprinted tf32 "a plan on the reference, which imitates tf32"
expect 0 "" on h200 "$p2p" plan "${network[@]}" --device cuda:0 --precision fp32
unprinted tf32 "a plan in fp32"
expect 0 "$chosen" on a100,h200 "$p2p" plan "${network[@]}" --device cuda:0,cuda:1
for cards in t4,h200 h200,t4; do
    expect 0 "" on $cards "$p2p" plan "${network[@]}" --device cuda:0,cuda:1
    unprinted tf32 "a plan on the cards $cards, of which one has no tf32"
done
expect 0 "$chosen" on h200 "$p2p" tune "${network[@]}" --mode translate --device cuda:0
expect 0 '"precision":"tf32"' on h200 "$p2p" bench "${network[@]}" --what translate --steps 1 --device cuda:0 --json
printed "$chosen" "a bench"
expect 0 '"precision":"fp32"' on t4 "$p2p" bench "${network[@]}" --what translate --steps 1 --device cuda:0 --json

echo "-- a training records it and is the training of that precision"
expect 0 "$chosen" on h200 "${train[@]}" "${small[@]}" --steps 4 --out default
recorded default tf32
for precision in tf32 fp32; do
    expect 0 "done" on h200 "${train[@]}" "${small[@]}" --steps 4 --precision $precision --out $precision
    recorded $precision $precision
done
equal_runs default tf32
if cmp -s default/generator.safetensors fp32/generator.safetensors; then fail "tf32 has the bits of fp32"; fi
expect 0 "$chosen" on h200 "$p2p" translate --model default --device cuda:0 --out pictures toys/val
expect 0 "$chosen" on h200 "$p2p" test --model default --data toys --device cuda:0 --out measured

echo "-- a resumed training keeps it"
resume=("${train[@]}" --resume --steps)
for precision in tf32 fp32; do
    expect 0 "continuing after step 4" on h200 "${resume[@]}" 6 --out $precision
    unprinted "the default" "a training that is resumed in $precision"
    recorded $precision $precision
done
expect 2 "--precision fp32 contradicts" on h200 "${resume[@]}" 8 --out tf32 --precision fp32

echo "-- a training moves to a card without tf32, and back"
for allowed in "" --allow-other-device; do
    expect 1 "has no tf32" on t4 "${resume[@]}" 8 --out tf32 $allowed
    printed "hint: --allow-other-device --precision fp32 continues in float32" "a card without tf32"
done
expect 0 "continuing after step 6" on t4 "${resume[@]}" 8 --out tf32 --allow-other-device --precision fp32
printed "was trained with tf32; --precision fp32 replaces it" "a training in another precision"
recorded tf32 fp32
expect 0 "continuing after step 8" on h200 "${resume[@]}" 10 --out tf32 --allow-other-device
recorded tf32 fp32
expect 0 "$chosen" on h200 "${resume[@]}" 12 --out tf32 --allow-other-device --precision auto
recorded tf32 tf32

finish
