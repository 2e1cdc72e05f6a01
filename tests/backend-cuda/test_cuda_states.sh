#!/usr/bin/env bash
# What `p2p devices` prints about the CUDA backend in each state of the installation.
#
#   tests/backend-cuda/test_cuda_states.sh P2P MACHINE UNFIT TOOLKIT
#
# MACHINE: the folder of the machine made of software, with the doubles of the libraries; UNFIT: folders of libraries
# that must be refused; TOOLKIT: a CUDA toolkit
machine=$(realpath "$2") unfit=$(realpath "$3") toolkit=$4
. "$(dirname "$0")/../support/expect.sh" "$1" cuda
export OCL_ICD_VENDORS=/nonexistent P2P_CUDA_LIBRARY_ONLY=1
unset CUDA_VISIBLE_DEVICES CUDA_DEVICE_ORDER P2P_CUDA_LIBRARY_PATH

# state FOLDERS WORDS [NAME=VALUE...]: with libraries from these folders, the backend's line has the words.
state() {
    expect 0 "$2" timeout 60 env P2P_CUDA_LIBRARY_PATH="$1" "${@:3}" "$p2p" devices
    grep -A 5 "^. cuda" out.txt | grep -qF -- "$2" || fail "'$2' is not printed about cuda: $(cat out.txt)"
}

# only NAME...: a new folder with these libraries of the machine; prints its path.
only() {
    local folder name
    folder=$(mktemp -d "$work/only.XXXX")
    for name; do ln -s "$machine/$name" "$folder"; done
    echo "$folder"
}

echo "-- no driver, an old one, one that fails"
state "$work" "without driver: no NVIDIA driver (libcuda.so.1) is installed, looked in $work"
echo "no library" >libcuda.so.1
state "$work" "without driver: no NVIDIA driver (libcuda.so.1) is installed, looked in $work: $work/libcuda.so.1: "
rm libcuda.so.1
stub=$(find "$toolkit"/ -path '*stubs/libcuda.so' 2>/dev/null | head -n 1)
if [ -n "$stub" ]; then
    mkdir stub
    ln -s "$stub" stub/libcuda.so.1
    state "$work/stub" "without driver: no NVIDIA driver is installed: $work/stub/libcuda.so.1 is the toolkit's file for linking"
else
    skipped "the toolkit's stub" "the toolkit has none"
fi
state "$machine" "driver too old: NVIDIA driver CUDA 11.4 is installed, R5" P2P_MACHINE_DRIVER=R470
for code in CUDA_ERROR_SYSTEM_DRIVER_MISMATCH CUDA_ERROR_UNKNOWN CUDA_ERROR_SYSTEM_NOT_READY CUDA_ERROR_OPERATING_SYSTEM; do
    state "$machine" "failed: cuInit failed with $code (" P2P_MACHINE_FAIL=cuInit:1+:$code
    [ "$code" != CUDA_ERROR_SYSTEM_NOT_READY ] || printed "\`systemctl status nvidia-fabricmanager\`" "a failing cuInit"
done
printed "a container needs \`--gpus all\`" "a failing cuInit"

echo "-- no device"
state "$machine" "no device: the driver lists no device; in a container" P2P_MACHINE_DEVICES=0
state "$machine" "\`nvidia-smi -L\` lists them, and \`nvidia-smi -mig 0\`" P2P_MACHINE_DEVICES=2 P2P_MACHINE_CARD=a100:divided
state "$machine" "no device: the driver lists no device; CUDA_VISIBLE_DEVICES is '7', which hides all others" CUDA_VISIBLE_DEVICES=7

echo "-- no library, or not a good one"
driver=$(only libcuda.so.1)
state "$driver" "without a library: cuDNN 9.8 or newer (libcudnn.so.9) is not installed, looked in $driver"
printed "P2P_CUDA_LIBRARY_PATH=FOLDER:FOLDER names other folders" "no cuDNN"
mkdir damaged
echo "no library" >damaged/libcudnn.so.9
state "$driver:$work/damaged" "without a library: cuDNN 9.8 or newer (libcudnn.so.9) is not installed, looked in $driver:$work/damaged: $work/damaged/libcudnn.so.9: "
state "$driver:$unfit/old_dnn" "cuDNN 9.8 or newer (libcudnn.so.9) is not installed: $unfit/old_dnn/libcudnn.so.9 is cuDNN 9.1.0"
state "$driver:$unfit/incomplete" "$unfit/incomplete/libcudnn.so.9 is cuDNN 9.8.0 without the function cudnnGetErrorString"
state "$driver:$unfit/newer_cuda" "driver too old: NVIDIA driver CUDA 13.0 is installed, CUDA 14.0 or newer is needed: $unfit/newer_cuda/libcudnn.so.9 is cuDNN for CUDA 14"
dnn=$(only libcuda.so.1 libcudnn.so.9)
state "$dnn" "without a library: cuBLAS 13 (libcublas.so.13), as cuDNN "
state "$dnn:$unfit/incomplete" "$unfit/incomplete/libcublas.so.13 is cuBLAS 13.0.0 without the function cublasCreate_v2"

state "$driver:$unfit/old_dnn:$unfit/newer_cuda" "is not installed: $unfit/old_dnn/libcudnn.so.9 is cuDNN 9.1.0"

echo "-- MPS"
for code in CUDA_ERROR_MPS_CONNECTION_FAILED CUDA_ERROR_MPS_RPC_FAILURE; do
    state "$machine" "failed: cuInit failed with $code (" P2P_MACHINE_FAIL=cuInit:1+:$code
    printed "\`echo quit | nvidia-cuda-mps-control\`, by its owner, ends it" "a failing cuInit"
done

echo "-- what is found"
expect 0 "cuda: cuDNN: not found" env P2P_CUDA_LIBRARY_PATH="$driver" "$p2p" devices -v

echo "-- devices"
state "$machine" "PCI address 0000:" P2P_MACHINE_DEVICES=2
grep -q "^. cuda:1 " out.txt || fail "no second device: $(cat out.txt)"
printed "* cuda:0 " "two devices"
printed "compute capability 9.0, ECC on, compute mode default" "two devices"
state "$machine" "can't be used: its compute mode is prohibited" P2P_MACHINE_CARD=h200:prohibited
state "$machine" "compute mode exclusive to one process" P2P_MACHINE_CARD=a100:exclusive
state "$machine" "can't be used: " P2P_MACHINE_CARD=v100 P2P_MACHINE_CUDNN=version:9.19.0
state "$machine" "compute capability 9.0, MIG instance, ECC on" P2P_MACHINE_CARD=h200:mig
printed ", MIG-" "a MIG instance"
state "$machine" "MIG instance" P2P_MACHINE_DEVICES=7 P2P_MACHINE_CARD=h200:mig
! grep -q "^. cuda:1 " out.txt || fail "a process has several MIG instances: $(cat out.txt)"
state "$machine" "compute capability 8.0, ECC off" P2P_MACHINE_CARD=a100:noecc
state "$machine" "no tf32: compute capability 8.0 or newer is needed, the device has 7.5" P2P_MACHINE_CARD=t4
# order WORDS [NAME=VALUE...]: of an H200, an A100 and a T4, which the driver lists in this order, the T4's PCI address first.
order() {
    state "$machine" "PCI address 0000:04:00.0" P2P_MACHINE_DEVICES=3 P2P_MACHINE_CARD=h200,a100,t4:front "${@:2}"
    local found
    found=$(sed -nE 's/^. cuda:[0-9] +([^,]*).*/\1/p' out.txt | paste -s -d ,)
    [ "$found" = "$1" ] || fail "the order of the devices with ${*:2} is $found, not $1"
}
order "Tesla T4,NVIDIA H200,NVIDIA A100-SXM4-80GB"
order "NVIDIA H200,NVIDIA A100-SXM4-80GB,Tesla T4" CUDA_DEVICE_ORDER=FASTEST_FIRST
first=$(P2P_CUDA_LIBRARY_PATH=$machine P2P_MACHINE_DEVICES=2 "$p2p" devices | grep -A 1 "cuda:1 " | tail -n 1)
state "$machine" "$first" P2P_MACHINE_DEVICES=2 CUDA_VISIBLE_DEVICES=1,0 # the order of the user
[ "$(grep -m 1 "PCI address" out.txt)" = "$first" ] || fail "CUDA_VISIBLE_DEVICES=1,0: the first device is $(cat out.txt)"
# Without a context, which an exclusive card that is in use refuses: no call that needs one is made.
state "$machine" "compute capability 9.0, ECC on, compute mode exclusive to one process" P2P_MACHINE_CARD=h200:exclusive:busy \
    P2P_MACHINE_COUNTERS="$work/counters"
! grep -E "^(calls|contexts)" counters || fail "devices are listed with calls that need a context"

echo "-- opening"
plan=("$p2p" plan --size 32 --ngf 4 --ndf 4 --device cuda:0)
export P2P_CUDA_LIBRARY_PATH=$machine
expect 4 "cuda:0, NVIDIA H200: another process uses it, and its compute mode is exclusive to one" \
    env P2P_MACHINE_CARD=h200:exclusive:busy "${plan[@]}"
printed "hint: \`nvidia-smi\` lists the processes" "exclusive mode"
expect 1 "cuda:0, NVIDIA H200: cuDevicePrimaryCtxRetain failed with CUDA_ERROR_MPS_CONNECTION_FAILED" \
    env P2P_MACHINE_FAIL=cuDevicePrimaryCtxRetain:1:CUDA_ERROR_MPS_CONNECTION_FAILED "${plan[@]}"
printed "hint: processes share this machine's cards through NVIDIA's MPS server" "a context without MPS"
expect 4 "there is no device \"cuda:0\": NVIDIA driver CUDA 11.4 is installed" env P2P_MACHINE_DRIVER=R470 "${plan[@]}"
expect 1 "cuda:0, NVIDIA H200: no memory for the workspace of cuBLAS of 32.0 MiB: " env P2P_MACHINE_MEMORY=16M "${plan[@]}"
printed "MiB would fit" "no memory"
expect 2 "P2P_CUDA_TIMEOUT is 'soon', but must be a number, at least 0" env P2P_CUDA_TIMEOUT=soon "${plan[@]}"
expect 0 "conv_fwd" env P2P_MACHINE_CARD=h200:exclusive "${plan[@]}"

echo "-- --gpus takes cards of one kind"
# cards LIST N EXPECTED...: of five cards, --gpus N takes these.
cards() {
    expect 0 "device: cuda:$3, " env P2P_MACHINE_DEVICES=5 P2P_MACHINE_CARD="$1" "$p2p" plan --size 32 --ngf 4 --ndf 4 \
        --backend cuda --gpus "$2"
    local taken
    taken=$(sed -n 's/^device: cuda:\([0-9]\), .*/\1/p' err.txt | paste -s -d ' ')
    [ "$taken" = "${*:3}" ] || fail "--gpus $2 of $1 takes the cards $taken, not ${*:3}"
}
cards a100,a100,a100,t4,a100 4 0 1 2 4
cards t4,a100 4 1 2 3 4
cards t4,a100,t4,t4,h200 2 0 2
expect 4 "--gpus 5: cuda has 4 usable devices of the type of cuda:0, NVIDIA A100-SXM4-80GB" \
    env P2P_MACHINE_DEVICES=5 P2P_MACHINE_CARD=a100,a100,a100,t4,a100 "$p2p" plan --backend cuda --gpus 5

expect 4 "A process has one MIG instance at most" env P2P_MACHINE_DEVICES=4 P2P_MACHINE_CARD=a100:mig \
    "$p2p" plan --backend cuda --gpus 4

echo "-- doctor and train"
"$p2p" sample-data toys --count 2 --size 32 --seed 3 >/dev/null 2>&1 || fail "no data"
# unusable CODE WORDS NAME=VALUE...: doctor exits with 1, a training with CODE, both with the words.
unusable() {
    expect 1 "$2" timeout 60 env "${@:3}" "$p2p" doctor --device cuda:0 --precision fp32
    printed "verdict: not fit: 1 check failed" "doctor with ${*:3}"
    expect "$1" "$2" timeout 60 env "${@:3}" "$p2p" train --data toys --size 32 --ngf 4 --ndf 4 --device cuda:0 --out run --steps 1
    grep "^p2p: " err.txt | grep -qF -- "$2" || fail "$2 is not the error of a training with ${*:3}: $(cat err.txt)"
    [ ! -e run/generator.safetensors ] || fail "there is a model with ${*:3}"
    rm -rf run
}
unusable 4 "there is no device \"cuda:0\": no NVIDIA driver (libcuda.so.1) is installed" P2P_CUDA_LIBRARY_PATH="$work/none"
unusable 4 "there is no device \"cuda:0\": NVIDIA driver CUDA 11.4 is installed" P2P_MACHINE_DRIVER=R470
unusable 4 "there is no device \"cuda:0\": cuDNN 9.8 or newer (libcudnn.so.9) is not installed" P2P_CUDA_LIBRARY_PATH="$driver"
unusable 4 "there is no device \"cuda:0\": the driver lists no device" P2P_MACHINE_DEVICES=0
unusable 4 "another process uses it, and its compute mode is exclusive to one" P2P_MACHINE_CARD=h200:exclusive:busy
unusable 4 "can't be used: its compute mode is prohibited" P2P_MACHINE_CARD=h200:prohibited
unusable 1 "no memory for the workspace of cuBLAS of 32.0 MiB: 16.0 MiB are free of 16.0 MiB" P2P_MACHINE_MEMORY=16M
expect 5 "cuda:0 was lost while it was examined" env P2P_MACHINE_FAIL=command:9:CUDA_ERROR_LAUNCH_FAILED \
    "$p2p" doctor --device cuda:0 --precision fp32
# cuDNN answers with a fault of its own when a device is lost while a plan is made.
for call in 1 6 9 12; do
    expect 5 "p2p: cuda:0, NVIDIA H200: the device was lost: cudnnBackendFinalize failed with CUDA_ERROR_LAUNCH_FAILED" \
        env P2P_MACHINE_FAIL=cudnnBackendFinalize:$call:CUDA_ERROR_LAUNCH_FAILED \
        "$p2p" train --data toys --size 32 --ngf 4 --ndf 4 --device cuda:0 --out run --steps 1
    rm -rf run
done
# The memory that a check has found free may be gone.
expect 1 "cuda:0, NVIDIA H200: no memory for a buffer of " env P2P_MACHINE_FAIL=cuMemAlloc_v2:3:CUDA_ERROR_OUT_OF_MEMORY \
    "$p2p" train --data toys --size 32 --ngf 4 --ndf 4 --device cuda:0 --out run --tune off
printed "MiB are in use by buffers here" "a training without enough memory"
printed "MiB would fit; a smaller batch or smaller images need less memory, and \`nvidia-smi\` lists other processes" \
    "a training without enough memory"
rm -rf run

echo "-- a step allocates nothing"
# allocations DEVICES STEPS: writes to steps-STEPS the counts of the calls that allocate, create or prepare something.
allocations() {
    local list=cuda:0
    [ "$1" -eq 1 ] || list=cuda:0,cuda:1
    expect 0 "done: the model is" env P2P_MACHINE_DEVICES="$1" P2P_MACHINE_COUNTERS="$work/counters" \
        "$p2p" train --data toys --size 32 --ngf 4 --ndf 4 --device $list --out run --steps "$2" --checkpoint-every 100
    rm -rf run
    grep "^calls" counters | tr ' ' '\n' | grep -E '^(cuMem(Host)?Alloc|cuEventCreate|cuStreamCreate|cuModule|cudnn.*Finalize)' >"steps-$2"
}
for count in 1 2; do
    allocations $count 2
    allocations $count 9
    [ "$(wc -l <steps-2)" -ge 7 ] || fail "too few calls are counted: $(cat steps-2)"
    diff steps-2 steps-9 || fail "on $count devices nine steps allocate more than two"
done

echo "-- kernels and libraries that other users can change"
mkdir kernels && chmod 777 kernels
cached=(env CUDA_CACHE_PATH="$work/kernels" "$p2p" devices)
refused="warning: cuda: NVIDIA's driver keeps no compiled kernels: $work/kernels is not used, because other users can write to it"
expect 0 "$refused" "${cached[@]}"
[ "$(grep -c "keeps no compiled" err.txt)" -eq 1 ] || fail "the warning is printed more than once"
[ ! -e kernels/index ] || fail "the driver has opened a folder that others can write to"
chmod 755 kernels
expect 0 "* cuda:0" "${cached[@]}"
[ -e kernels/index ] || fail "the driver has not opened its folder"
! grep -q "keeps no compiled" err.txt || fail "a closed folder is refused: $(cat err.txt)"
mkdir -p home/.nv/ComputeCache && chmod 777 home/.nv
expect 0 "home/.nv/ComputeCache is not used, because of $work/home/.nv: other users can write to it" \
    env -u CUDA_CACHE_PATH HOME="$work/home" "$p2p" devices
mkdir open && cp -L "$machine/libcuda.so.1" open && chmod 777 open
state "$work/open" "without driver: no NVIDIA driver (libcuda.so.1) is installed, looked in $work/open: $work/open/libcuda.so.1 is not used"
printed "warning: cuda: $work/open/libcuda.so.1 is not used, because of $work/open: other users can write to it" "an open folder"

unset P2P_CUDA_LIBRARY_PATH
# found FOLDER WORDS...: devices -v has the lines.
found() {
    expect 0 "cuda: NVIDIA driver CUDA 13.0: ${1%%:*}/libcuda.so.1" env P2P_CUDA_LIBRARY_PATH="$1" P2P_MACHINE_DEVICES=2 \
        "$p2p" devices -v
    for words in "${@:2}"; do
        grep -qE "^cuda: $words" err.txt || fail "'$words' is not a line of devices -v: $(cat err.txt)"
    done
}
cuda="$(only libcuda.so.1 libcudnn.so.9 libcublas.so.13)"
found "$machine" "cuDNN 9\.[0-9.]+: $machine" "cuBLAS 13\.[0-9.]+: $machine" "cuBLASLt 13\.[0-9.]+: $machine" \
    "NVRTC 13\.0: $machine" "NCCL 2\.[0-9.]+: $machine"
found "$cuda" "cuBLASLt: not found" "NVRTC: not found" "NCCL: not found"
found "$cuda:$unfit/incomplete" "NCCL 2\.10\.0: $unfit/incomplete/libnccl.so.2: can't be used"
if grep -q __asan_init "$p2p"; then
    skipped "a good library behind one that is not" "the sanitizer's functions are missing where a library is tried"
else
    for name in old_dnn newer_cuda incomplete; do
        mkdir "before-$name"
        ln -s "$unfit/$name"/lib{cudnn.so.9,nccl.so.2} "before-$name"
        found "$driver:$work/before-$name:$machine" "cuDNN 9\.[0-9.]+: $machine" "NCCL 2\.[0-9.]+: $machine"
        printed "* cuda:0" "good libraries behind $name"
    done
fi
P2P_CUDA_LIBRARY_PATH=$machine P2P_MACHINE_DEVICES=2 LD_DEBUG=files "$p2p" devices >out.txt 2>err.txt
! grep -q "libnccl" err.txt || fail "NCCL is opened although nobody asks for it"

echo "-- libraries beside the module"
mkdir beside hidden
install -m 755 "$p2p" "$(dirname "$p2p")/p2p_cuda.so" beside
for name in libcuda.so.1 libcudnn.so.9 libcublas.so.13; do
    ln -s "$machine/$name" beside
    echo "no library" >hidden/$name # which the linker finds first
done
expect 0 "* cuda:0" env -u P2P_CUDA_LIBRARY_ONLY -u P2P_MODULE_PATH \
    LD_LIBRARY_PATH="$work/hidden${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" beside/p2p devices -v
for words in "NVIDIA driver CUDA 13.0: $work/beside/libcuda.so.1" "cuDNN 9\.[0-9.]+: $work/beside" "cuBLAS 13\.[0-9.]+: $work/beside"; do
    grep -qE "^cuda: $words" err.txt || fail "'$words' is not a line: $(cat err.txt)"
done
chmod 757 beside # the linker's message about the first file remains
expect 0 "warning: cuda: $work/beside/libcuda.so.1 is not used, because of $work/beside: other users can write to it" \
    env -u P2P_CUDA_LIBRARY_ONLY -u P2P_MODULE_PATH LD_LIBRARY_PATH="$work/hidden${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
    beside/p2p devices

finish
