#!/usr/bin/env bash
# Training with validation, resuming, testing and translating under a tool that watches memory or threads, with several
# loader threads. A build with ThreadSanitizer is such a tool by itself; otherwise the commands run in another one.
#
#   tests/program/test_watched.sh P2P DEVICE [TOOL...]     TOOL: e.g. valgrind and its options
. "$(dirname "$0")/../support/expect.sh" "$1" "$2"
tool=("${@:3}")

# watch WORDS ARGUMENT...: runs p2p in the tool, whose findings are another exit code or are printed.
watch() {
    local words=$1
    shift
    expect 0 "$words" "${tool[@]}" "$p2p" "$@"
    if grep -E "ThreadSanitizer|ERROR SUMMARY: [1-9]" err.txt; then fail "the tool has findings: $*: $(head -n 60 err.txt)"; fi
}

draw_toys 6
watch "done: the model is run/generator.safetensors" train "${small[@]}" --out run --epochs 2 --steps 9 --workers 3 \
    --checkpoint-every 4
watch "done: the model is run/generator.safetensors" train --out run --resume --device "$device" --steps 14 --epochs 4
watch "" test --model run --data toys --out measured --device "$device"
watch "" translate --model run -o drawn --device "$device" --batch 2 toys/val
printf 'damaged' >toys/train/zz.png
watch "" train "${small[@]}" --out skipped --steps 8 --workers 3 --on-bad-image skip --batch 2
finish
