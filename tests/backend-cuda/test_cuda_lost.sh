#!/usr/bin/env bash
# A device of the machine made of software is lost at a call or a command of a training: the program names it, ends with
# exit code 5, leaves the last checkpoint intact, and resumes to the bits of an uninterrupted training. A collective of two
# devices that hangs ends the training likewise, even if NCCL's abort hangs too.
#
#   tests/backend-cuda/test_cuda_lost.sh P2P [1]     1: at more calls
more=$((${2:-0}))
. "$(dirname "$0")/../support/expect.sh" "$1" cuda:0
export P2P_CACHE_DIR=$PWD/cache P2P_CUDA_TIMEOUT=60

draw_toys 4
training=("$p2p" train "${small[@]}" --batch 2 --precision fp32 --deterministic --steps 4 --checkpoint-every 1)
expect 0 "done: the model is" "${training[@]}" --out whole
name="cuda:0, $(sed -n 's/^device: cuda:0, //p' err.txt)"
declare -A steps=() # the last checkpoints of all losses

# lose CALL N ERROR: `status` is the exit code.
lose() {
    rm -rf lost
    P2P_MACHINE_FAIL=$1:$2:$3 timeout 120 "${training[@]}" --out lost >out.txt 2>err.txt
    status=$?
}

# resumes: the training in `lost` continues after its last checkpoint, which the message has named.
resumes() {
    local step
    step=$(ls lost/checkpoints 2>/dev/null | sed -nE '$s/^step-0*([0-9]+)\.safetensors$/\1/p')
    steps[${step:-0}]=1
    [ -z "$step" ] || printed "the last checkpoint is lost/checkpoints/step-00000000$step.safetensors" "$1"
    [ -e lost/config.json ] || return # it had not begun
    cp err.txt lost.err
    expect 0 "${step:+continuing after step $step}" bash -c "$(command_of lost.err)"
    equal_runs whole lost
}

# sweep ERROR CALL...: the call fails as the first, and later ones until the training makes fewer.
sweep() {
    local error=$1 call n
    for call in "${@:2}"; do
        for ((n = 1; ; n = more ? n + 1 + n / 5 : 4 * n + 1)); do
            lose "$call" "$n" "$error"
            [ $status -ne 0 ] || break
            [ $status -eq 5 ] || fail "exit code $status instead of 5: $call number $n: $(tail -n 3 err.txt)"
            printed "p2p: $name: the device was lost" "$call number $n" # by this or by an earlier command
            printed " $error (" "$call number $n"
            resumes "$call number $n"
        done
        [ "$n" -gt 5 ] || fail "$call: the training makes only a few"
        echo "$call: the training makes fewer than $n"
    done
}

sweep CUDA_ERROR_LAUNCH_FAILED command cuLaunchKernel cuEventRecord cuEventQuery cuMemcpyHtoDAsync_v2 cuMemcpyDtoHAsync_v2
sweep CUDA_ERROR_ECC_UNCORRECTABLE command cuCtxSetCurrent
[ "${#steps[@]}" -ge 3 ] || fail "all were lost after the steps ${!steps[*]}"

echo "-- a collective hangs, and its abort"
training=("$p2p" train "${small[@]/#cuda:0/cuda:0,cuda:1}" --precision fp32 --deterministic --steps 4 --checkpoint-every 1)
export P2P_MACHINE_DEVICES=2
expect 0 "done: the model is" "${training[@]}" --out whole2
rm -rf lost
for abort in ends stuck; do
    P2P_MACHINE_NCCL=stuck:14,abort:$abort expect 5 "p2p: cuda: the devices were lost to their collectives: all_reduce of " \
        timeout 60 "${training[@]}" --device-timeout 2 --out lost
    printed "the last checkpoint is lost/checkpoints/step-" "a collective that hangs"
    cp err.txt lost.err
    expect 0 "continuing after step" bash -c "$(command_of lost.err)"
    equal_runs whole2 lost
    rm -rf lost
done

finish
