#!/usr/bin/env bash
# The commands of the top README's section on NVIDIA cards and DGX, as printed there, on four cards of each kind: with bf16,
# as from A100 on, and without bf16 and tf32, as V100 is. A T4 stands for it, since toolkits of CUDA 13 serve no V100. Not
# tests/program/test_readme.sh, which runs every command of all files on one kind. A100 runs with WHOLE=1 only.
#
#   tests/backend-cuda/test_cuda_readme.sh P2P
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$(dirname "$0")/../support/expect.sh" "$1" cuda:0
export P2P_MACHINE_DEVICES=4 P2P_CACHE_DIR=$PWD/cache
PATH=$(dirname "$p2p"):$PATH

# Commands are shortened, and the networks and pictures small: test_cuda_full.sh has whole ones.
limits=(--steps 2 --size 32 --ngf 4 --ndf 4)

mapfile -t lines < <(sed -n '/^## NVIDIA cards and DGX/,/^## Where/s/^    \(p2p [^#]*[^ #]\) *\(#.*\)\?$/\1/p' "$source/README.md")
[ ${#lines[@]} -eq 5 ] || fail "the section has ${#lines[@]} commands of p2p"

# uses_four_cards COMMAND: the training printed each of four cards, and summed gradients by NCCL.
uses_four_cards() {
    local card
    printed "batch: 16 pairs on each of 4 devices, 64 per step" "$1"
    for card in 0 1 2 3; do printed "device: cuda:$card, " "$1"; done
    grep -q "gradients are reduced through host memory" err.txt && fail "$1: NCCL is not used"
}

# walk CARD: runs the commands in a folder of their own.
walk() {
    local line words
    export P2P_MACHINE_CARD=$1
    mkdir "$work/$1" && cd "$work/$1" || exit 1
    p2p sample-data DIR --count 64 --size 32 --seed 3 >/dev/null 2>&1 || fail "no data"
    for line in "${lines[@]}"; do
        read -ra words <<<"$line"
        case "${words[1]}" in
            devices) expect 0 "cuda:3 " "${words[@]}" ;;
            doctor) ;; # test_doctor_cuda runs it
            *) expect 0 "" "${words[@]}" "${limits[@]}" ;;
        esac
        [[ "$line" != *" --gpus 4 "* ]] || uses_four_cards "$line"
    done
    for line in card dgx; do [ -s "$line/generator.safetensors" ] || fail "$1: there is no model in $line"; done
}

walk t4
[ -z "${WHOLE:-}" ] || walk a100
finish
