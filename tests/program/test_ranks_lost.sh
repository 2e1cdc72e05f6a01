#!/usr/bin/env bash
# Ranks that fail, die, stop, or get a signal: all end, with one message and an exit code, and what is left of the training
# continues.
#
#   tests/program/test_ranks_lost.sh P2P BACKEND LAUNCHER COMPARE_TENSORS     BACKEND: one with at least three devices
support=$(realpath "$(dirname "$0")/../support")
. "$support/expect.sh" "$1" "$2:0"
backend=$2
. "$support/ranks.sh" "$3"
modules=$(realpath "$(dirname "$4")/modules") # with the backend "flipped", of which a device is faulty
draw_toys 11
tiny=(--size 32 --ngf 4 --ndf 4 --seed 5)
base=(--data "$work/toys" "${tiny[@]}" --checkpoint-every 3)
train=("$p2p" train "${base[@]}")
# Longer than any rank of a slow machine is silent, with a dozen at once. Where a rank is stopped the others wait so long.
export P2P_RANK_TIMEOUT=100
silence=15

# once WORDS: checks that the last command has printed the words, in its only message.
once() {
    printed "$1" "ranks that fail"
    [ "$(messages | wc -l)" -eq 1 ] || fail "not printed once: $(grep '^p2p: ' err.txt)"
}

# fails CODE WORDS OPTION...: two ranks with these options fail.
fails() {
    expect "$1" "" run 2 "$p2p" train "${@:3}"
    once "$2"
}

# differ_in CODE WORDS OPTION... -- OPTION...: two ranks, each with its options, fail.
differ_in() {
    local code=$1 words=$2 first=()
    shift 2
    while [ "$1" != -- ]; do
        first+=("$1")
        shift
    done
    shift
    expect "$code" "" run 1 "$p2p" train --out x "${first[@]}" : -np 1 "$p2p" train --out x "$@"
    once "$words"
}

exists_already() {
    expect 0 "" run 2 "${train[@]}" --backend "$backend" --steps 1 --out exists
    fails 2 "--out exists holds a training already" "${base[@]}" --backend "$backend" --out exists
}

echo "-- failures of all ranks, and of one"
beside fails 2 "--gpus: 0 is outside" "${base[@]}" --gpus 0 --out x
beside fails 3 "there is no folder nothing" --data nothing --out x
beside exists_already
beside differ_in 4 "rank 1 on $machine: there is no device \"$backend:99\"" \
    "${base[@]}" --device "$backend:0" -- "${base[@]}" --device "$backend:99"
beside differ_in 2 "the ranks were started with different options: --lr is 1.0, and 0.0002 in rank 0" \
    "${base[@]}" --backend "$backend" -- "${base[@]}" --backend "$backend" --lr 1
beside differ_in 2 "the ranks were started with different options: --deterministic is false, and true in rank 0" \
    "${base[@]}" --backend "$backend" --deterministic -- "${base[@]}" --backend "$backend"
# What a resumed training may change has to be changed in all ranks.
differ_resumed() {
    local name=$1 first=$2 second=$3 way=(--resume --backend "$backend")
    expect 0 "" run 2 "${train[@]}" --backend "$backend" --steps 3 --out x
    differ_in 2 "the ranks were started with different options: --$name is $second, and $first in rank 0" \
        "${way[@]}" --steps 9 "--$name" "$first" -- "${way[@]}" --steps 9 "--$name" "$second"
}
beside differ_resumed checkpoint-every 3 4
beside differ_resumed check-replicas 2 0
beside differ_in 2 "all need as many" "${base[@]}" --device "$backend:0" -- "${base[@]}" --device "$backend:0,$backend:1"
cp -r toys more
cp "$(find more/train -type f | sort | head -n 1)" more/train/added.jpg
beside differ_in 3 "more has other pairs than in rank 0" \
    "${base[@]}" --backend "$backend" -- --data "$work/more" "${base[@]:2}" --backend "$backend"

# lose_device NUMBER: the device of a rank is lost in the middle of a training.
lose_device() {
    local out=device$1 ranks good lost
    lost=(env P2P_LOSE_DEVICE_AT=8000 "${train[@]}" --backend "$backend" --out "$out" --epochs 100)
    good=("${lost[@]:2}")
    [ "$1" -eq 0 ] && ranks=("${lost[@]}" : -np 1 "${good[@]}") || ranks=("${good[@]}" : -np 1 "${lost[@]}")
    expect 5 "" run 1 "${ranks[@]}"
    [ "$1" -eq 0 ] && once "p2p: injected fault: the device is lost" || once "p2p: rank 1 on $machine: injected fault: the device is"
    expect 0 "devices: 1, and 2 before" "$p2p" train --out "$out" --resume --device "$backend:0" --epochs 20
}
beside lose_device 0
beside lose_device 1

without_launcher() {
    local pretend=(env OMPI_COMM_WORLD_SIZE=2)
    mkdir alone
    cp "$p2p" alone
    expect 3 "was started by" run 2 alone/p2p train "${base[@]}" --backend "$backend" --out y
    printed "hint: install lib" "a program without its part for MPI"
    expect 0 "" "${pretend[@]}" P2P_MPI=off "${train[@]}" --backend "$backend" --steps 1 --out off
    expect 2 "P2P_MPI=lam: openmpi, mpich and off are possible" "${pretend[@]}" P2P_MPI=lam "${train[@]}" --out y
    expect 2 "srun has started 4 tasks, but without an MPI" \
        env SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=4 "${train[@]}" --backend "$backend" --out y
    expect 2 "P2P_RANK_TIMEOUT=1: 3 to 3600" run 2 env P2P_RANK_TIMEOUT=1 "${train[@]}" --backend "$backend" --out y
    expect 0 "" run 1 "${train[@]}" --backend "$backend" --steps 1 --out single
    grep -q "^rank " err.txt && fail "one rank is taken for several"
}
beside without_launcher

# Warnings of other ranks are printed too, once for each machine.
warns() {
    local warned="no backends are looked for in nowhere"
    expect 0 "warning: rank 1 on $machine: P2P_MODULE_PATH: $warned" run 1 "${train[@]}" --backend "$backend" --steps 1 --out one : \
        -np 1 env P2P_MODULE_PATH=nowhere "${train[@]}" --backend "$backend" --steps 1 --out one
    expect 0 "P2P_MODULE_PATH: $warned" run 2 env P2P_MODULE_PATH=nowhere "${train[@]}" --backend "$backend" --steps 1 --out both
    [ "$(grep -c "$warned" err.txt)" -eq 1 ] || fail "not printed once: $(grep "$warned" err.txt)"
}
beside warns
together

# lose NUMBER SIGNAL WORDS: a rank of three gets the signal in the middle of a training; all others end, with the words and
# an exit code, and two continue.
lose() {
    local out=lost$1$2 process status steps
    begin_ranks 3 "$out" 8 "${base[@]}" --epochs 100000
    process=$(rank_of "$1" "$out")
    kill "-$2" "$process" || fail "there is no rank $1 of $out"
    wait $training
    status=$?
    [ $status -ne 0 ] && [ $status -ne 124 ] || fail "$out: exit code $status"
    kill -KILL "$process" 2>/dev/null
    ended "$out"
    grep -qF "rank $1 on $machine is lost: $3" "$out.err" || fail "$out: $(tail -n 8 "$out.err")"
    grep -q "^hint: continue from the last checkpoint.*, under mpirun .* with: .*--resume" "$out.err" || fail "$out: no command"
    steps=$(($(grep -c '"step"' "$out/metrics.jsonl") / 3 * 3 + 6))
    expect 0 "devices: 2, and 3 before" run 2 "$p2p" train --out "$out" --resume --backend "$backend" --steps $steps
}

# MPICH's launcher kills all others at once.
lose_at_once() {
    begin_ranks 3 killed 8 "${base[@]}" --epochs 100000
    kill -KILL "$(rank_of 1 killed)"
    wait $training && fail "killed: exit code 0"
    expect 0 "devices: 2, and 3 before" run 2 "$p2p" train --out killed --resume --backend "$backend" --epochs 20
}
echo "-- a rank is killed, or stopped"
case $launcher in
*openmpi*)
    beside lose 1 KILL "its process has ended"
    beside lose 0 KILL "its process has ended"
    ;;
*) beside lose_at_once ;;
esac
P2P_RANK_TIMEOUT=$silence beside lose 2 STOP "no sign of life for $silence s"
P2P_RANK_TIMEOUT=$silence beside lose 0 STOP "no sign of life for $silence s"
# WHOLE=1: also with the usual limit.
[ -z "${WHOLE:-}" ] || P2P_RANK_TIMEOUT='' beside lose 1 STOP "no sign of life for 20 s"
together

echo "-- a signal to any rank stops all after the same step, and the training continues to the bits of an undisturbed one"
# stop NUMBER: of the rank that gets the signal. The training is too long to end before it.
stop() {
    local out=stopped$1 steps
    begin_ranks 2 "$out" 4 "${base[@]}" --epochs 100000
    kill -TERM "$(rank_of "$1" "$out")"
    wait $training
    grep -q "stopped by SIGTERM after step .* a checkpoint is saved" "$out.err" || fail "$out: $(tail -n 8 "$out.err")"
    steps=$(($(grep -c '"images_per_s"' "$out/metrics.jsonl") + 7))
    expect 0 "" run 2 "$p2p" train --out "$out" --resume --backend "$backend" --steps $steps
    expect 0 "" run 2 "${train[@]}" --backend "$backend" --steps $steps --out undisturbed
    equal_runs undisturbed "$out"
}

# undisturbed_until STEP OUT: OUT has the weights of a training with these steps that nothing has disturbed.
undisturbed_until() {
    local file=checkpoints/step-$(printf %09d "$1").safetensors
    expect 0 "" run 2 "$p2p" train --data "$work/toys" "${long[@]}" --backend "$backend" --out whole --steps "$1"
    same_weights "whole/$file" "$2/$file"
    same_weights whole/generator.safetensors "$2/generator.safetensors"
}
long=("${tiny[@]}" --checkpoint-every 1000000)

# The launcher gets the signal. Open MPI's passes it on after the seconds of its option, and kills what is left after as
# many more.
stop_launcher() {
    launcher="$launcher --mca odls_base_sigkill_timeout 20" # in which the ranks write the checkpoint
    begin_ranks 2 stopped 4 --data "$work/toys" "${long[@]}" --epochs 100000
    kill -TERM "$(launcher_of stopped)"
    wait $training
    ended stopped
    undisturbed_until "$(grep -c '"images_per_s"' stopped/metrics.jsonl)" stopped
}
# Killed before the first checkpoint.
lose_early() {
    begin_ranks 2 early 1 --data "$work/toys" "${long[@]}" --epochs 100000
    kill -KILL "$(rank_of 1 early)"
    wait $training && fail "early: exit code 0"
    grep -q "^hint: there is no checkpoint yet: begin again at step 1, on what is left, under mpirun .* with: .*--resume" early.err ||
        fail "early: $(tail -n 8 early.err)"
    expect 0 "there is no checkpoint yet: the training starts again at step 1" \
        run 2 "$p2p" train --out early --resume --backend "$backend" --epochs 1
}
beside stop 0
beside stop 1
case $launcher in
*openmpi*)
    beside stop_launcher
    beside lose_early
    ;;
esac

# more_pairs FOLDER: a copy of the pairs with 20 more to validate, of which rank 0 draws ten.
more_pairs() {
    cp -r "$work/toys" "$1"
    for i in $(seq 10 29); do cp "$1/train/00001.jpg" "$1/val/x$i.jpg"; done
}

# spoil RANK FILES: two ranks have copies of the pairs. After the first steps RANK can't read these files of its own any
# more. All end after the same step, whose state is kept: it is that of an undisturbed training.
spoil() {
    local rank=$1 who="" step status
    more_pairs pairs0
    cp -r pairs0 pairs1
    begin_ranks 1 broken 2 --data pairs0 "${long[@]}" --epochs 100000 : \
        -np 1 "$p2p" train --backend "$backend" --out broken --data pairs1 "${long[@]}" --epochs 100000
    # shellcheck disable=SC2086
    truncate -s 300 pairs$rank/$2
    wait $training
    status=$?
    [ $status -eq 3 ] || fail "exit code $status instead of 3"
    mv broken.out out.txt
    mv broken.err err.txt
    [ "$rank" -eq 0 ] || who="rank $rank on $machine: "
    once "p2p: ${who}pairs$rank/${2%%[0-9]*}"
    step=$(sed -n 's/^hint: .*the training up to step \([0-9]*\) is kept.*/\1/p' err.txt)
    grep -q "^hint: .* under mpirun with 2 ranks as before, with: .*--data pairs0 .*--resume" err.txt ||
        fail "not the command of rank 0: $(grep '^hint' err.txt)"
    [ -n "$step" ] || fail "nothing is kept: $(grep '^hint' err.txt)"
    undisturbed_until "$step" broken
}
echo "-- a picture can't be read any more: the last step is kept"
beside spoil 0 "train/0000[1-6].jpg"
beside spoil 1 "train/0000[1-6].jpg"
beside spoil 1 "val/x2[0-9].jpg"
together

# A limit on the size of files of rank 0, set while the training runs: the next checkpoint can't be written.
full_disk() {
    local status kept
    begin_ranks 2 full 8 "${base[@]}" --epochs 100000
    prlimit --pid "$(rank_of 0 full)" --fsize=100000
    wait $training
    status=$?
    [ $status -eq 1 ] || fail "exit code $status instead of 1"
    mv full.out out.txt
    mv full.err err.txt
    once "File too large"
    kept=$(find full/checkpoints -name "step-*" | sort | tail -n 1)
    grep -q "^hint: free space or make the folder writable; the last checkpoint is $kept; then continue, under mpirun with 2" err.txt ||
        fail "no command: $(grep '^hint' err.txt)"
    kept=$(basename "$kept" .safetensors)
    expect 0 "continuing after step $((10#${kept#step-}))" \
        run 2 "$p2p" train --out full --resume --backend "$backend" --steps $((10#${kept#step-} + 3))
}
echo "-- a full disk of rank 0"
beside full_disk

# flipped COUNT FAULT OPTION...: so many ranks with a device each, of which that of rank 1 has the fault.
flipped() {
    local count=$1 fault=$2
    shift 2
    local train=("$p2p" train --backend flipped --out out "$@")
    P2P_MODULE_PATH=$modules expect 1 "" run 1 "${train[@]}" : -np 1 env P2P_FLIPPED="$fault" "${train[@]}" \
        $([ "$count" -eq 2 ] || printf '%s ' : -np $((count - 2)) "${train[@]}")
}
# Two steps of two updates each are right. The first checkpoint is due after step 3.
disagree() {
    local count=$1 words=$2
    flipped "$count" bit:1:4 "${base[@]}" --epochs 9
    once "$words"
    grep -q "^hint: .*p2p doctor --device flipped:1 on $machine" err.txt || fail "no check: $(grep '^hint' err.txt)"
    [ -e out/checkpoints ] && fail "weights are kept that differ: $(ls out/checkpoints)"
    grep -q "^hint: .*there is no checkpoint yet; " err.txt || fail "not without a checkpoint: $(grep '^hint' err.txt)"
}
# A signal comes when the devices already disagree.
disagree_at_a_signal() {
    "$p2p" sample-data many --count 3000 --size 32 >/dev/null 2>&1 || fail "no data"
    export P2P_MODULE_PATH=$modules
    backend=flipped begin_ranks 1 early 4 --data many "${long[@]}" : \
        -np 1 env P2P_FLIPPED=bit:1:4 "$p2p" train --backend flipped --out early --data many "${long[@]}"
    kill -TERM "$(rank_of 0 early)" || fail "early: it ended before the signal"
    wait $training
    grep -q "the weights on flipped:0 of rank 0 .* and on flipped:1 of rank 1 .* differ" early.err || fail "early: $(tail -n 3 early.err)"
    [ -e early/checkpoints ] && fail "weights are kept that differ: $(ls early/checkpoints)"
}
# The pictures of one rank are no numbers: no other one saves the training.
diverge() {
    more_pairs pairs
    flipped 2 nan:1:24576 --data pairs "${long[@]}" --epochs 9
    once "p2p: rank 1 on $machine: the generator can't draw x"
    [ -e out/checkpoints ] && fail "a checkpoint of a training that diverged: $(ls out/checkpoints)"
}
echo "-- a device whose weights differ is named, and nothing of it is kept; nor of a training that diverged"
beside disagree 3 "the weights on flipped:1 of rank 1 on $machine (number 2 of 3 devices) are no longer"
beside disagree 2 "the weights on flipped:0 of rank 0 on $machine (number 1 of 2 devices) and on flipped:1 of rank 1"
beside disagree_at_a_signal
beside diverge
together

finish
