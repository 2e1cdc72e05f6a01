#!/usr/bin/env bash
# A device of the machine made of software is lost at the n-th call, of any name, that a training of two steps makes of the
# driver, cuDNN, cuBLAS and NCCL for a device, or when the n-th command has run: the program names the device and ends with
# exit code 5 before a time limit, its checkpoints are those of an undisturbed training, and it resumes to the same bits.
#
#   tests/backend-cuda/test_cuda_lost_calls.sh P2P DEVICES [COUNT [SEED]]     COUNT: so many calls, spread by SEED, and half
#                                                                             as many commands; 0: every one
devices=$2 wanted=${3:-0}
RANDOM=${4:-1}
. "$(dirname "$0")/../support/expect.sh" "$1" "$(seq -s , -f 'cuda:%.0f' 0 $((devices - 1)))"
export P2P_MACHINE_DEVICES=$devices P2P_CACHE_DIR=$PWD/cache P2P_CUDA_TIMEOUT=20
error=CUDA_ERROR_LAUNCH_FAILED

draw_toys $((2 * devices))
# The smallest networks, of which the discriminator has products of matrices.
training=("$p2p" train "${small[@]}" --generator 2 --d-net pixel --precision fp32 --deterministic --steps 2
    --checkpoint-every 1)
P2P_MACHINE_COUNTERS=$PWD/counters expect 0 "done: the model is" "${training[@]}" --out whole
declare -A lost=() states=() # numbers of losses of each device, and with each list of checkpoints
tried=0 ended=0 resumed=0 unharmed=0 missed=0

# check_checkpoints WHAT: those in `lost` are the undisturbed training's; the message names the last one.
check_checkpoints() {
    local file
    for file in lost/checkpoints/*.safetensors; do
        [ -e "$file" ] || return
        same_weights "$file" "whole/checkpoints/${file##*/}"
    done
    printed "the last checkpoint is $file" "$1"
}

# check_end WHAT DEVICE: the training has ended because the device was lost.
check_end() {
    ended=$((ended + 1))
    printed "p2p: cuda:$2, " "$1"
    printed ": the device was lost" "$1"
    printed "$error (" "$1"
    check_checkpoints "$1"
    # Resumed: each that left other checkpoints than those before, and every tenth.
    [ -e lost/config.json ] || return
    local state
    state=with$(ls lost/checkpoints 2>/dev/null | paste -s)
    states[$state]=$((${states[$state]:-0} + 1))
    [ $((states[$state] % 10)) -eq 1 ] || return
    resumed=$((resumed + 1))
    cp err.txt lost.err
    expect 0 "done: the model is" bash -c "$(command_of lost.err)"
    equal_runs whole lost
}

# lose WHAT N: the N-th call (device) or command.
lose() {
    local what="$1 $2" status device
    rm -rf lost
    P2P_MACHINE_FAIL=$1:$2:$error timeout 60 "${training[@]}" --out lost >out.txt 2>err.txt
    status=$?
    device=$(sed -n 's/^cuda machine: device \([0-9]*\) is lost: .*/\1/p' err.txt)
    what+=" ($(sed -n 's/.*P2P_MACHINE_FAIL in //p' err.txt))"
    tried=$((tried + 1))
    [ -z "$device" ] || lost[$device]=$((${lost[$device]:-0} + 1))
    case $status,$device in
    5,?*) check_end "$what" "$device" ;;
    0,*) # lost while it was closed, or a call that this training did not make
        printed "done: the model is" "$what"
        equal_runs whole lost
        if [ -n "$device" ]; then unharmed=$((unharmed + 1)); else missed=$((missed + 1)); fi
        ;;
    *) fail "exit code $status: $what: $(tail -n 3 err.txt)" ;;
    esac
}

# sweep WHAT ROW COUNT: the row of the counters that has their number; COUNT: of so many parts one each; 0: all.
sweep() {
    local all part n
    all=$(awk -F '[ =]' -v row="$2" '$1 == row { for (i = 3; i <= NF; i += 2) sum += $i; print sum }' counters)
    [ "${all:-0}" -gt 100 ] || fail "the training has ${all:-no} $2"
    part=$(($3 && all > $3 ? all / $3 : 1))
    for ((n = 0; n + part <= all; n += part)); do lose "$1" $((n + (RANDOM * 32768 + RANDOM) % part + 1)); done
    echo "$2: $all"
}

sweep device calls "$wanted"
sweep command commands $(((wanted + 1) / 2))
# Whose call is the n-th differs from run to run: of few trials one device may have all.
[ ${#lost[@]} -eq "$devices" ] || [ $tried -lt 100 ] || fail "only these devices were lost: ${!lost[*]}"
[ "$resumed" -gt 0 ] || fail "no training was resumed"
echo "$tried tried: $ended ended with exit code 5, $resumed of them resumed; $unharmed had finished, $missed not reached;" \
    "lost by device: $(for d in "${!lost[@]}"; do echo -n "cuda:$d ${lost[$d]} "; done)"

finish
