#!/usr/bin/env bash
# Two steps of the full networks (U-Net 256 and PatchGAN, 64 filters) at 256x256, batch 1, on four cards of the machine made
# of software, with NCCL: losses and weights are those of four replicas on another device.
#
#   tests/backend-cuda/test_cuda_full.sh P2P OTHER COMPARE     OTHER: e.g. opencl:0; COMPARE: the program compare_tensors
compare=$(realpath "$3") other=$2
. "$(dirname "$0")/../support/expect.sh" "$1" cuda:0
export P2P_MACHINE_DEVICES=4 P2P_MACHINE_CARD=h200 P2P_MACHINE_PATIENCE=600 P2P_CUDA_TIMEOUT=3600

# About three times what families of OpenCL's kernels differ from each other in the same two steps (../NOTES.md): losses;
# gradients of the first step, of all tensors together and of the worst one; weights after the second. Adam moves a weight by
# the learning rate whatever the size of its gradient, so where a gradient is smaller than the rounding of its sum, two right
# devices move it apart.
losses=5e-4 gradients=4e-3 worst_gradient=6e-2 weights=6e-3

"$p2p" sample-data pairs --count 10 --size 256 --seed 3 >/dev/null 2>&1 || fail "no data"
full=(train --data pairs --precision fp32 --deterministic --seed 5 --steps 2
    --checkpoint-every 1)
for name in "cards --backend cuda --gpus 4" "others --device $other,$other,$other,$other"; do
    SECONDS=0
    # shellcheck disable=SC2086
    expect 0 "done: the model is" "$p2p" "${full[@]}" --out $name
    echo "${name%% *}: $SECONDS s"
    [ "${name%% *}" = others ] || ! grep -q "through host memory" err.txt || fail "NCCL was not used: $(cat err.txt)"
done
[ "$(grep -c '"g_l1"' cards/metrics.jsonl)" -ge 2 ] || fail "there are no two steps: $(cat cards/metrics.jsonl)"
given=$(farthest cards others)
echo "losses differ by $given, allowed is $losses"
awk -v a="$given" -v b="$losses" 'BEGIN { exit !(a + 0 == a && a <= b) }' || fail "losses differ by $given"
# agree FILE PART BOUND [together]
agree() {
    "$compare" "cards/$1" "others/$1" "${@:2}" >difference.txt 2>&1 || fail "$1: $(cat difference.txt)"
    echo "$1: $(cat difference.txt)"
}
agree checkpoints/step-000000001.safetensors /moment1. $gradients together
agree checkpoints/step-000000001.safetensors /moment1. $worst_gradient
agree generator.safetensors . $weights together
agree discriminator.safetensors . $weights together

finish
