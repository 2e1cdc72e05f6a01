#!/usr/bin/env bash
# Each call of NVIDIA's libraries that a small plan on two devices makes fails once, as the n-th of its name. The program
# reports it, or continues with right results, and releases everything: the machine made of software counts what is left.
#
#   tests/backend-cuda/test_cuda_faults.sh EXERCISE [all]
#
# P2P_MODULE_PATH, P2P_CUDA_LIBRARY_PATH: the module, and the machine with the doubles of the libraries. Of calls that are
# made often a few are tried; with `all` each is.
exercise=$1 all=${2:-}
export P2P_MACHINE_DEVICES=2 P2P_MACHINE_MEMORY=256M P2P_CUDA_TIMEOUT=5
failures=0 tried=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# left: whether nothing was refused but that the process ends with the objects of a device that the program lost.
left() { grep -q "^DEVICE_LOST: " "$work/out.txt" && ! grep "REFUSED: " "$work/err.txt" | grep -qv "REFUSED: the process ends: "; }

# attempt CALL N ERROR: sets `status`.
attempt() {
    P2P_MACHINE_FAIL=$1:$2:$3 timeout 60 "$exercise" >"$work/out.txt" 2>"$work/err.txt"
    status=$?
    tried=$((tried + 1))
    if [ "$status" -eq 86 ] && left; then status=1; fi
    if [ "$status" -gt 1 ] || { [ "$status" -eq 1 ] && ! grep -q "^[A-Z_]*: .*[a-z]" "$work/out.txt"; }; then
        echo "FAILED: $1 number $2 fails with $3: exit status $status: $(cat "$work/out.txt" "$work/err.txt")"
        failures=$((failures + 1))
    fi
}

# sweep ERROR CALL...
sweep() {
    local error=$1 call n
    for call in "${@:2}"; do
        local silent=0
        for n in $(seq 1 400); do
            if [ -z "$all" ] && [ "$n" -gt 2 ] && [ $((n % 97)) -ne 0 ]; then continue; fi
            attempt "$call" "$n" "$error"
            # A fault that is not noticed is one that was not reached, or of a call that may fail.
            if [ "$status" -eq 0 ]; then silent=$((silent + 1)); else silent=0; fi
            [ "$silent" -lt 2 ] || break
        done
    done
}

P2P_MACHINE_FAIL='' "$exercise" || { echo "FAILED: without a fault: exit status $?"; exit 1; }
sweep CUDA_ERROR_OUT_OF_MEMORY cuDevicePrimaryCtxRetain cuStreamCreate cuEventCreate cuMemAlloc_v2 cuMemHostAlloc \
    cuModuleLoadData
sweep CUDA_ERROR_NOT_PERMITTED cuInit cuDeviceGetCount cuDeviceGet cuDeviceGetName cuDeviceGetAttribute cuDeviceTotalMem_v2 \
    cuDeviceGetUuid_v2 cuDeviceGetPCIBusId cuMemGetInfo_v2 cuMemsetD8Async cuModuleGetFunction cuFuncGetAttribute \
    cuMemcpyHtoDAsync_v2 cuMemcpyDtoHAsync_v2 cuMemcpyDtoDAsync_v2 cuStreamWaitEvent cuEventRecord cuLaunchKernel
sweep CUDA_ERROR_LAUNCH_FAILED cuCtxSetCurrent cuMemcpyHtoDAsync_v2 cuLaunchKernel cuEventQuery cuEventRecord cuMemFree_v2
sweep CUDNN_STATUS_INTERNAL_ERROR cudnnCreate cudnnSetStream
sweep CUBLAS_STATUS_ALLOC_FAILED cublasCreate_v2 cublasSetStream_v2 cublasSetWorkspace_v2 cublasSetMathMode \
    cublasSetAtomicsMode
sweep ncclSystemError ncclGetVersion ncclGetUniqueId ncclCommInitRankConfig ncclGroupStart ncclGroupEnd ncclAllReduce \
    ncclCommGetAsyncError
echo "$tried faults, $failures failures"
exit $((failures > 0))
