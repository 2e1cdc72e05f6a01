#!/usr/bin/env bash
# The memory of a training doesn't grow: over STEPS steps with epochs, validations and checkpoints, the most resident
# memory of the second half is at most 1 % above that of the first, whose first tenth isn't counted.
#
#   tests/program/test_memory_flat.sh P2P DEVICE STEPS     P2P: the program; DEVICE: e.g. reference:0, opencl:0
. "$(dirname "$0")/../support/expect.sh" "$@"
steps=$3

# sample: prints "STEP KILOBYTES" of the training of begin() until it has ended.
sample() {
    local memory
    while memory=$(sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$training/status" 2>/dev/null) && [ "$memory" ]; do
        echo "$(grep -c '"lr"' run/metrics.jsonl) $memory"
        sleep 0.02
    done
}

# Epochs of two pairs, so that the curves of the page have all their points, and the extremes of each, within the first
# half: after 1,000 epochs (curve.h).
draw_toys 2
begin run 1 "${small[@]}" --steps "$steps" --checkpoint-every $((steps / 25)) --save-every 200 --keep-epochs 2
sample >samples.txt
ends run 0 "done: the model is run/generator.safetensors"

read -r first second counted < <(awk -v steps="$steps" '
    $1 < steps / 10 { next }
    $1 < steps / 2 { early++; if ($2 > first) first = $2; next }
    { late++; if ($2 > second) second = $2 }
    END { print first + 0, second + 0, (early < late ? early : late) + 0 }' samples.txt)
echo "$first kB in the first half, $second kB in the second, at least $counted samples of each"
[ "$counted" -ge 10 ] || fail "only $counted samples of a half: the training is too short to be measured"
[ $((second * 100)) -le $((first * 101)) ] || fail "memory grew from $first to $second kB"
finish
