#!/usr/bin/env bash
# Rehearses ci/gpu on the machine made of software, so that it runs to its end when a card is there: every part of CUDA
# that needs no more than the build, on four cards, with the programs of the build.
#
#   tests/backend-cuda/test_cuda_rehearsal.sh BUILD MACHINE [PART|CHECK...]     BUILD: the build's folder; MACHINE: that of
#                                                                               the doubles
build=$(realpath "$1") machine=$(realpath "$2")
shift 2
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
parts=("$@")
[ $# -gt 0 ] || parts=(cuda-operations cuda-models cuda-training cuda-many cuda-speed cuda-tuned)

mkdir "$work/bin" "$work/lib"
for program in train/p2p train/p2p_cuda.so tests/test_{ops,golden,cuda_device,cuda_comm,cuda_replicas} tests/compare_tensors; do
    cp "$build/$program" "$work/bin/" || exit 1
done
export P2P_GPU_PACKED=$work P2P_GPU_MACHINE=$machine OUT=$work/logs
mkdir "$OUT"
if ! "$source/ci/gpu" --rehearse "${parts[@]}" >"$work/out.txt" 2>&1; then
    cat "$work/out.txt"
    for log in "$OUT"/*.log; do grep -H "FAILED" "$log" | head -n 3; done
    exit 1
fi
cat "$work/out.txt"
grep -q "^all passed$" "$work/out.txt" || { echo "FAILED: the rehearsal does not say that all passed" && exit 1; }
