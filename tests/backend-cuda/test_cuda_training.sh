#!/usr/bin/env bash
# Tiny trainings by the program on the machine made of software: they follow the reference, have equal bits in every order
# of commands, and continue on another backend and back.
#
#   tests/backend-cuda/test_cuda_training.sh P2P OTHER     OTHER: the device that takes a training over, e.g. opencl:0
#
# WHOLE=1: three orders in each precision, not in fp32 only.
other=$2
. "$(dirname "$0")/../support/expect.sh" "$1" cuda:0
export P2P_CACHE_DIR=$PWD/cache

draw_toys 6
tiny=(--data toys --size 32 --ngf 4 --ndf 4 --batch 2 --seed 5)

# Of losses and weights in f32, as in support/error_budget.h.
single=2e-6

# numbers FILE: prints the f32 of the tensors of a model, one a line.
numbers() { tensors "$1" | od -An -v -t f4 -w4; }

# distance FILE FILE: ||a - b|| / ||b|| of all weights.
distance() {
    paste <(numbers "$1") <(numbers "$2") | awk '
        { d = $1 - $2; difference += d * d; size += $2 * $2; bad += NF != 2 || d != d }
        END { print bad || NR < 100 ? "inf" : sqrt(difference / size) }'
}

# follows OUT OUT LOSSES WEIGHTS: the first training's losses and weights differ by no more than this from the second's.
follows() {
    local given bound what
    while read -r what given bound; do
        awk -v a="$given" -v b="$bound" 'BEGIN { exit !(a + 0 == a && a <= b) }' ||
            fail "$1 does not follow $2: $what differ by $given, allowed is $bound"
        echo "$1 and $2: $what differ by $given, allowed is $bound"
    done <<<"losses $(farthest "$1" "$2") $3
generator $(distance "$1/generator.safetensors" "$2/generator.safetensors") $4
discriminator $(distance "$1/discriminator.safetensors" "$2/discriminator.safetensors") $4"
}

# train OUT DEVICE OPTION...
train() { expect 0 "done: the model is" "$p2p" train "${tiny[@]}" --out "$1" --device "$2" "${@:3}"; }

echo "-- each precision follows the reference; each order of commands has the same bits"
train reference reference:0 --steps 9
for precision in fp32 tf32 bf16; do
    train $precision cuda:0 --precision $precision --deterministic --steps 9
    [ $precision = fp32 ] || [ "${WHOLE:-}" ] && seeds="1 2 3" || seeds=1
    for seed in $seeds; do
        P2P_MACHINE_SEED=$seed train $precision-$seed cuda:0 --precision $precision --deterministic --steps 9
        equal_runs $precision $precision-$seed best/best.json
    done
done
follows fp32 reference $single $single
follows tf32 reference 1e-2 1e-2
follows bf16 reference 5e-2 5e-2
for precision in tf32 bf16; do
    same=$(distance $precision/generator.safetensors fp32/generator.safetensors)
    [ "$same" != 0 ] || fail "$precision has the bits of fp32: the test shows nothing"
done

echo "-- channels that fill no pack of eight, other networks"
# No instance norm: the true gradients of biases before it are 0, and Adam turns their noise into full steps.
other_net=(--size 64 --ngf 3 --ndf 5 --batch 3 --channels-in 1 --channels-out 4 --d-net pixel --bottleneck-norm on --steps 4)
"$p2p" sample-data wide --count 4 --size 64 --seed 4 >/dev/null 2>&1 || fail "no data"
for name in "reference reference:0" "cuda cuda:0"; do
    expect 0 "done: the model is" "$p2p" train --data wide "${other_net[@]}" --out "wide-${name% *}" --device "${name#* }" \
        --precision fp32
done
follows wide-cuda wide-reference $single $single

echo "-- a training moves to $other and back"
train moved cuda:0 --precision fp32 --steps 3
expect 2 "--allow-other-device" "$p2p" train --out moved --resume --device "$other" --steps 6
expect 0 "continuing after step 3" "$p2p" train --out moved --resume --allow-other-device --device "$other" --steps 6
expect 0 "continuing after step 6" "$p2p" train --out moved --resume --allow-other-device --device cuda:0 --steps 9
follows moved reference $single $single
train back "$other" --precision fp32 --steps 3
expect 0 "continuing after step 3" "$p2p" train --out back --resume --allow-other-device --device cuda:0 --steps 9
follows back reference $single $single

echo "-- a training that is continued on the same device has the bits of an uninterrupted one"
train parts cuda:0 --precision fp32 --deterministic --steps 4
P2P_MACHINE_SEED=2 expect 0 "continuing after step 4" "$p2p" train --out parts --resume --device cuda:0 --deterministic --steps 9
equal_runs fp32 parts

echo "-- a translation of a model is the reference's"
for name in reference:0 cuda:0; do
    expect 0 "" "$p2p" translate --model fp32 --device "$name" --precision fp32 --out "pictures-${name%:0}" toys/val
done
for picture in pictures-reference/*; do
    differ=$(cmp -l "$picture" "pictures-cuda/${picture##*/}" | wc -l)
    [ "$differ" -lt 40 ] || fail "$picture: $differ bytes differ"
done
[ "$(ls pictures-cuda | wc -l)" -ge 1 ] || fail "no pictures"

finish
