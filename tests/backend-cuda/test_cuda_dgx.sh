#!/usr/bin/env bash
# The top README's training for a DGX, on four cards of the machine made of software. It is the printed line with a data
# set of its own and options for small networks and few epochs; everything else is as printed. The full networks run on
# four cards in test_cuda_full.sh.
#
#   tests/backend-cuda/test_cuda_dgx.sh P2P
. "$(dirname "$0")/../support/expect.sh" "$1" cuda:0
readme=$(dirname "$(realpath "$BASH_SOURCE")")/../../README.md
draw_toys 20
line=$(sed -n 's/^    \(p2p train .*--out dgx .*\)/\1/p' "$readme" | sed 's/  *#.*//; s/ DIR / toys /')
read -ra words <<<"$line"
echo "-- ${words[*]}"
[[ "$line" == *" --gpus 4 "* && "$line" == *" --precision bf16 "* ]] || fail "there is no line for four cards: $line"
expect 0 "batch: 16 pairs on each of 4 devices, 64 per step" "$p2p" "${words[@]:1}" --size 32 --ngf 4 --ndf 4 --epochs 1
for card in 0 1 2 3; do printed "device: cuda:$card, " "$line"; done
printed "precision: bf16" "$line"
grep -q "gradients are reduced through host memory" err.txt && fail "NCCL is not used"
[ "$(grep -c '"images_per_s"' dgx/metrics.jsonl)" -eq 1 ] || fail "not one step of 20 pairs: $(tail -n 2 dgx/metrics.jsonl)"
finish
