#!/usr/bin/env bash
# Convolution algorithms chosen by measurement: kept choices apply to later starts, a resumed training uses the choices
# with which it began, and --deterministic ignores all measurements.
#
#   tests/program/test_tune.sh P2P DEVICE KEEP_CHOICES     KEEP_CHOICES: writes choices as if an algorithm had been fastest
keep_choices=$(realpath "$3")
. "$(dirname "$0")/../support/expect.sh" "$1" "$2"

export P2P_CACHE_DIR=$PWD/cache
net=(--size 32 --ngf 8 --ndf 8)
train=("$p2p" train --data toys "${net[@]}" --device "$device" --checkpoint-every 1)

# keep ALGORITHM: replaces all kept choices by this algorithm.
keep() {
    rm -f cache/tune-*
    "$p2p" plan "${net[@]}" --device "$device" --deterministic 2>/dev/null | "$keep_choices" "$1" >kept.txt ||
        fail "nothing was kept for $1"
}
# not_printed WORDS WHAT: checks that the last command did not print the words.
not_printed() { grep -qF -- "$1" out.txt err.txt && fail "'$1' is printed by: $2" || true; }
differ() { cmp -s "$1" "$2" && fail "$1 and $2 are the same" || true; }

expect 0 toys "$p2p" sample-data toys --count 3 --size 32

echo "-- what is kept decides"
expect 0 "_tile" "$p2p" plan "${net[@]}" --device "$device"
not_printed " as measured" "a plan without measurements"
keep winograd
expect 0 "winograd" "$p2p" plan "${net[@]}" --device "$device"
printed " as measured" "a plan with measurements"
expect 0 "winograd" "$p2p" plan "${net[@]}" --device "$device" --mode translate
for off in "--tune off" --deterministic; do
    # shellcheck disable=SC2086
    expect 0 "_tile" "$p2p" plan "${net[@]}" --device "$device" $off
    not_printed "winograd" "p2p plan $off"
done
expect 2 "--deterministic contradicts --tune on" "$p2p" plan "${net[@]}" --device "$device" --deterministic --tune on
expect 2 "--tune: 'maybe' is not one of auto|on|off" "$p2p" plan "${net[@]}" --tune maybe

echo "-- a resumed training uses its own choices"
expect 0 "" "${train[@]}" --out whole --steps 4
not_printed "measuring the algorithms" "a training on a CPU"
printed " convolutions as measured on this device; --deterministic ignores measurements" "a training by measurements"
grep -q '"algorithms": "measured"' whole/config.json || fail "config.json does not record that algorithms were measured"
expect 0 "" "${train[@]}" --out parts --steps 2
keep direct
expect 0 "" "${train[@]}" --out direct --steps 4
expect 0 "" "$p2p" train --out parts --resume --device "$device" --steps 4
printed "algorithms: those of the checkpoint, chosen by measurements" "a resumed training"
same whole/generator.safetensors parts/generator.safetensors
same whole/discriminator.safetensors parts/discriminator.safetensors
differ whole/generator.safetensors direct/generator.safetensors # without this difference the comparisons above show nothing
rm -r parts
keep winograd
expect 0 "" "${train[@]}" --out parts --steps 2 --deterministic
expect 0 "" "$p2p" train --out parts --resume --device "$device" --steps 4
keep direct
expect 0 "" "${train[@]}" --out plain --steps 4 --deterministic
not_printed "as measured" "a training with --deterministic"
grep -q '"algorithms": "heuristic"' plain/config.json || fail "config.json does not record the heuristic's algorithms"
same plain/generator.safetensors parts/generator.safetensors
differ plain/generator.safetensors whole/generator.safetensors

echo "-- a damaged choice"
expect 0 "" "${train[@]}" --out damaged --steps 2
for file in damaged/checkpoints/*; do
    unseal "$file"
    sed -i 's/ conv_fwd / conv_fwx /g' "$file"
done
expect 3 "conv_fwx" "$p2p" train --out damaged --resume --device "$device" --steps 4

echo "-- p2p tune"
rm -f cache/tune-*
model=(--size 8 --generator 3 --ngf 4 --d-net pixel)
small=(--mode translate "${model[@]}" --device "$device")
expect 0 "speedup" "$p2p" tune "${small[@]}"
printed "conv_fwd 1x3x8x8 4x3x4x4 1x4x4x4" "the table"
printed "each once" "the table"
printed "1 of 6 convolutions" "the progress"
[ "$(find cache -name 'tune-*' | wc -l)" -eq 1 ] || fail "not one file: $(ls cache)"
expect 0 " as measured" "$p2p" plan "${small[@]}"
not_printed "measuring the algorithms" "a plan"
rm -f cache/tune-*
expect 0 "measuring the algorithms of 6 convolutions" \
    "$p2p" bench --what translate --steps 1 "${model[@]}" --device "$device" --tune on
expect 0 " as measured" "$p2p" plan "${small[@]}"
expect 0 "nothing to tune" "$p2p" tune --mode translate "${model[@]}" --device reference:0
expect 2 "takes options only" "$p2p" tune now
finish
