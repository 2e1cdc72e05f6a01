#!/usr/bin/env bash
# Ranks that fail, die, stop, or get a signal: all end, soon, with one message and an exit code, and what is left of the
# training goes on.
#
#   tests/program/test_ranks_lost.sh P2P BACKEND LAUNCHER     BACKEND: one with at least three devices
support=$(realpath "$(dirname "$0")/../support")
. "$support/expect.sh" "$1" "$2:0"
backend=$2
. "$support/ranks.sh" "$3"
draw_toys 11
base=(--data toys --size 32 --ngf 4 --ndf 4 --seed 5 --checkpoint-every 3)
train=("$p2p" train "${base[@]}")

# once WORDS: checks that the last command has printed the words, in its only message.
once() {
    printed "$1" "ranks that fail"
    [ "$(grep -c '^p2p: ' err.txt)" -eq 1 ] || fail "not printed once: $(grep '^p2p: ' err.txt)"
}

echo "-- failures of all ranks, and of one"
expect 2 "" run 2 "${train[@]}" --gpus 0 --out x
once "--gpus: 0 is outside"
expect 3 "" run 2 "$p2p" train --data nothing --out x
once "there is no folder nothing"
expect 0 "" run 2 "${train[@]}" --backend "$backend" --steps 1 --out exists
expect 2 "" run 2 "${train[@]}" --backend "$backend" --out exists
once "--out exists holds a training already"
# both FIRST -- SECOND: starts a rank with each of the two lists of options.
both() {
    local first=()
    while [ "$1" != -- ]; do
        first+=("$1")
        shift
    done
    shift
    run 1 "$p2p" train --out x "${first[@]}" : -np 1 "$p2p" train --out x "$@"
}
expect 4 "" both "${base[@]}" --device "$backend:0" -- "${base[@]}" --device "$backend:99"
once "rank 1 on $machine: there is no device \"$backend:99\""
expect 2 "" both "${base[@]}" --backend "$backend" -- "${base[@]}" --backend "$backend" --lr 1
once "the ranks were started with different options"
expect 2 "" both "${base[@]}" --device "$backend:0" -- "${base[@]}" --device "$backend:0,$backend:1"
once "all need as many"
cp -r toys others
cp "$(find others/train -type f | sort | head -n 1)" others/train/added.jpg
expect 3 "" both "${base[@]}" --backend "$backend" -- --data others "${base[@]:2}" --backend "$backend"
once "others has other pairs than in rank 0"
cp -r toys damaged
file=$(find damaged/train -type f | sort | head -n 1)
truncate -s 300 "$file"
expect 3 "" run 2 "$p2p" train --data damaged "${base[@]:2}" --backend "$backend" --out broken --epochs 1
once "$(basename "$file")"

for number in 0 1; do # a device that is lost in the middle of a training
    lost=(env P2P_LOSE_DEVICE_AT=20000 "$p2p" train "${base[@]}" --backend "$backend" --out device$number --epochs 100)
    good=("${lost[@]:2}")
    [ $number -eq 0 ] && ranks=("${lost[@]}" : -np 1 "${good[@]}") || ranks=("${good[@]}" : -np 1 "${lost[@]}")
    expect 5 "" run 1 "${ranks[@]}"
    [ $number -eq 0 ] && once "p2p: injected fault: the device is lost" || once "p2p: rank 1 on $machine: injected fault: the device is"
    expect 0 "devices: 1, and 2 before" "$p2p" train --out device$number --resume --device "$backend:0" --epochs 20
done

echo "-- without what belongs to the launcher"
mkdir alone
cp "$p2p" alone
expect 3 "was started by" run 2 alone/p2p train "${base[@]}" --backend "$backend" --out y
printed "hint: install lib" "a program without its part for MPI"
pretend=(env OMPI_COMM_WORLD_SIZE=2)
expect 0 "" "${pretend[@]}" P2P_MPI=off "${train[@]}" --backend "$backend" --steps 1 --out off
expect 2 "P2P_MPI=lam: openmpi, mpich and off are possible" "${pretend[@]}" P2P_MPI=lam "${train[@]}" --out y
expect 2 "srun has started 4 tasks, but without an MPI" \
    env SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=4 "${train[@]}" --backend "$backend" --out y
expect 2 "P2P_RANK_TIMEOUT=1: 3 to 3600" run 2 env P2P_RANK_TIMEOUT=1 "${train[@]}" --backend "$backend" --out y
expect 0 "" run 1 "${train[@]}" --backend "$backend" --steps 1 --out single
grep -q "^rank " err.txt && fail "one rank is taken for several"

# lose NUMBER SIGNAL WORDS: a rank of three gets the signal in the middle of a training; all others end soon, with the
# words and an exit code, and two go on.
lose() {
    local out=lost$1$2 process begun status steps
    begin_ranks 3 "$out" 8 "${base[@]}" --epochs 100000
    process=$(rank_of "$1" "$out")
    begun=$SECONDS
    kill "-$2" "$process" || fail "there is no rank $1 of $out"
    wait $training
    status=$?
    [ $status -ne 0 ] && [ $status -ne 124 ] || fail "$out: exit code $status"
    [ $((SECONDS - begun)) -le 30 ] || fail "$out: ended after $((SECONDS - begun)) s"
    kill -KILL "$process" 2>/dev/null
    ended "$out"
    grep -qF "rank $1 on $machine is lost: $3" "$out.err" || fail "$out: $(tail -n 8 "$out.err")"
    grep -q "^hint: .* continue from the last checkpoint with: .*--resume" "$out.err" || fail "$out: no command"
    steps=$(($(grep -c '"step"' "$out/metrics.jsonl") / 3 * 3 + 6))
    expect 0 "devices: 2, and 3 before" run 2 "$p2p" train --out "$out" --resume --backend "$backend" --steps $steps
}
echo "-- a rank is killed; MPICH's launcher then kills all others at once"
case $launcher in
*openmpi*)
    lose 1 KILL "its process has ended"
    lose 0 KILL "its process has ended"
    ;;
*)
    begin_ranks 3 killed 8 "${base[@]}" --epochs 100000
    kill -KILL "$(rank_of 1 killed)"
    wait $training && fail "killed: exit code 0"
    expect 0 "devices: 2, and 3 before" run 2 "$p2p" train --out killed --resume --backend "$backend" --epochs 20
    ;;
esac
echo "-- a rank is stopped"
export P2P_RANK_TIMEOUT=6
lose 2 STOP "no sign of life for 6 s"
lose 0 STOP "no sign of life for 6 s"
unset P2P_RANK_TIMEOUT

echo "-- a signal to any rank stops all after the same step, and the training goes on to the bits of an undisturbed one"
expect 0 "" run 2 "${train[@]}" --backend "$backend" --epochs 12 --out undisturbed
for number in 0 1; do
    out=stopped$number
    begin_ranks 2 $out 4 "${base[@]}" --epochs 12
    kill -TERM "$(rank_of $number $out)"
    wait $training
    grep -q "stopped by SIGTERM after step .* a checkpoint is saved" $out.err || fail "$out: $(tail -n 8 $out.err)"
    expect 0 "" run 2 "$p2p" train --out $out --resume --backend "$backend" --epochs 12
    equal_runs undisturbed $out
done

finish
