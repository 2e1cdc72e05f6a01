#!/usr/bin/env bash
# Ranks: processes that mpirun starts and that train together. They equal as many devices of one process, bit for bit, and
# one device with the whole batch within 1e-9; what each rank does in failures, kills and stops; resumption.
#
#   tests/program/test_ranks.sh P2P BACKEND LAUNCHER COMPARE_TENSORS     LAUNCHER: mpirun.openmpi or mpirun.mpich
. "$(dirname "$0")/../support/expect.sh" "$1" "$2:0"
backend=$2 launcher=$3 compare=$4
if ! command -v "$launcher" >/dev/null; then
    skipped "ranks" "$launcher is not installed"
    exit 0
fi
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 # Open MPI's, in containers
[ "$launcher" = mpirun.openmpi ] && launcher="$launcher --oversubscribe"
limit="timeout -k 5 120" # seconds after which a rank that hangs has failed the test
draw_toys 11
base=(--data toys --size 32 --ngf 4 --ndf 4 --seed 5 --checkpoint-every 3)
train=("$p2p" train "${base[@]}")

# devices COUNT: prints a list of that many devices.
devices() {
    seq -s, 0 $(($1 - 1)) | sed "s/[0-9]/$backend:&/g"
}

# run COUNT COMMAND...: starts the command in COUNT ranks.
run() {
    $limit $launcher -np "$@"
}

# rank_of NUMBER OUT: prints the process of a rank of the training that writes to OUT.
rank_of() {
    local process
    for process in $(pgrep -f "train .*--out $2"); do
        [ "$(readlink "/proc/$process/exe")" = "$p2p" ] || continue
        tr '\0' '\n' <"/proc/$process/environ" | grep -qxE "(OMPI_COMM_WORLD|PMI)_RANK=$1" && echo "$process"
    done
}

# begin_ranks COUNT OUT STEPS OPTION...: begins a training in the background and waits until it has made so many steps.
begin_ranks() {
    local count=$1 out=$2 steps=$3
    shift 3
    run "$count" "${train[@]}" --backend "$backend" --out "$out" "$@" >"$out.out" 2>"$out.err" &
    training=$!
    for _ in $(seq 1500); do
        [ -e "$out/metrics.jsonl" ] && [ "$(grep -c '"step"' "$out/metrics.jsonl")" -gt "$steps" ] && return
        kill -0 $training 2>/dev/null || break
        sleep 0.02
    done
    fail "$out: it ended before, or is too slow: $(tail -n 2 "$out.err")"
}

# same_trainings OUT OUT STEP: checks that all that two trainings have written up to this checkpoint is equal.
same_trainings() {
    equal_runs "$1" "$2" config.json "checkpoints/step-00000000$3.safetensors" samples/epoch-0002.png best/best.json
}

echo "-- ranks equal devices, bit for bit; 11 pairs leave a last batch of 1 pair of 2, and of 2 of 3"
for count in 2 3; do
    for sync in "" --sync-norm; do
        one=devices$count$sync many=ranks$count$sync
        expect 0 "" "${train[@]}" --device "$(devices $count)" --epochs 2 --out "$one" --check-replicas 2 $sync
        expect 0 "batch: 1 pair on each of $count devices, $count per step" \
            run $count "${train[@]}" --backend "$backend" --gpus 1 --epochs 2 --out "$many" --check-replicas 2 $sync
        printed "rank 1 on $(hostname): $backend:1," "ranks that take devices by themselves"
        [ "$(grep -c "done: the model is" err.txt)" -eq 1 ] || fail "not one rank prints: $(cat err.txt)"
        [ "$(cat out.txt)" = "$many/generator.safetensors" ] || fail "stdout is: $(cat out.txt)"
        same_trainings "$one" "$many" $((count == 2 ? 9 : 6))
    done
done
expect 0 "" run 2 "${train[@]}" --backend "$backend" --epochs 2 --out again
equal_runs ranks2 again

echo "-- with --sync-norm they equal one device with the whole batch"
for count in 2 3; do
    last=$((count == 2 ? 9 : 6))
    expect 0 "" "${train[@]}" --device "$backend:0" --batch $count --epochs 2 --out "whole$count"
    for part in generator. discriminator.; do
        "$compare" "ranks$count--sync-norm/checkpoints/step-00000000$last.safetensors" \
            "whole$count/checkpoints/step-00000000$last.safetensors" "$part" 1e-9 >difference.txt ||
            fail "$count ranks and a batch of $count: $(cat difference.txt)"
        echo "$count ranks, $part: $(cat difference.txt)"
    done
done

echo "-- several devices in each rank, and parts of a batch"
expect 0 "4 per step" run 2 "${train[@]}" --device "$backend:0,$backend:1" --epochs 2 --out pairs
printed "rank 1 on $(hostname): $backend:0 and $backend:1" "a list of devices"
expect 0 "" "${train[@]}" --device "$(devices 4)" --epochs 2 --out devices4
"$compare" pairs/checkpoints/step-000000006.safetensors devices4/checkpoints/step-000000006.safetensors generator. 1e-9 >difference.txt ||
    fail "2 ranks of 2 devices and 4 devices: $(cat difference.txt)"
expect 0 "" run 2 "${train[@]}" --backend "$backend" --grad-accumulate 2 --epochs 1 --out parts
expect 0 "" "${train[@]}" --device "$(devices 2)" --grad-accumulate 2 --epochs 1 --out parts1
for file in generator discriminator; do same parts/$file.safetensors parts1/$file.safetensors; done

echo "-- resumed, with as many ranks, with others, and with none"
expect 0 "" run 2 "${train[@]}" --backend "$backend" --epochs 2 --steps 5 --out resumed
expect 0 "continuing after step 5" run 2 "$p2p" train --out resumed --resume --backend "$backend" --epochs 2
equal_runs ranks2 resumed
expect 0 "devices: 3, and 2 before" run 3 "$p2p" train --out resumed --resume --backend "$backend" --epochs 3
expect 0 "devices: 1, and 3 before" "$p2p" train --out resumed --resume --device "$backend:0" --epochs 4
expect 0 "devices: 2, and 1 before" run 2 "$p2p" train --out resumed --resume --backend "$backend" --epochs 5
expect 0 "" run 2 "${train[@]}" --backend "$backend" --steps 1 --out given --init-generator ranks2 --init-discriminator ranks2
expect 0 "" "${train[@]}" --device "$(devices 2)" --steps 1 --out given1 --init-generator ranks2 --init-discriminator ranks2
equal_runs given given1

echo "-- failures of all ranks, and of one, are printed once"
# once WORDS: the last command has printed the words, and they are its only message.
once() {
    printed "$1" "ranks that fail"
    [ "$(grep -c '^p2p: ' err.txt)" -eq 1 ] || fail "not printed once: $(grep '^p2p: ' err.txt)"
}
expect 2 "" run 2 "${train[@]}" --gpus 0 --out x
once "--gpus: 0 is outside"
expect 3 "" run 2 "$p2p" train --data nothing --out x
once "there is no folder nothing"
expect 2 "" run 2 "${train[@]}" --backend "$backend" --out ranks2
once "--out ranks2 holds a training already"
expect 4 "" run 1 "${train[@]}" --device "$backend:0" --out x : -np 1 "${train[@]}" --device "$backend:99" --out x
once "rank 1 on $(hostname): there is no device \"$backend:99\""
expect 2 "" run 1 "${train[@]}" --backend "$backend" --out x : -np 1 "${train[@]}" --backend "$backend" --lr 1 --out x
once "the ranks were started with different options"
expect 2 "" run 1 "${train[@]}" --device "$backend:0" --out x : -np 1 "${train[@]}" --device "$(devices 2)" --out x
once "1"
cp -r toys others
cp others/train/"$(ls others/train | head -n 1)" others/train/added.png
expect 3 "" run 1 "${train[@]}" --backend "$backend" --out x : -np 1 "$p2p" train --data others "${base[@]:2}" --backend "$backend" --out x
once "others has other pairs than in rank 0"
rm -rf x
cp -r toys damaged
for file in damaged/train/*; do truncate -s 300 "$file"; break; done
expect 3 "" run 2 "$p2p" train --data damaged "${base[@]:2}" --backend "$backend" --out x --epochs 1
once "$(basename "$file")"
bad=(--data damaged "${base[@]:2}" --epochs 1 --on-bad-image skip)
expect 0 "unusable" run 3 "$p2p" train "${bad[@]}" --backend "$backend" --out skips
expect 0 "unusable" "$p2p" train "${bad[@]}" --device "$(devices 3)" --out skips1
equal_runs skips1 skips
rm -rf x

echo "-- without what belongs to the launcher"
mkdir alone
cp "$p2p" alone
expect 3 "was started by" run 2 alone/p2p train "${base[@]}" --backend "$backend" --out x
printed "hint: install lib" "a program without its part for MPI"
expect 0 "" env OMPI_COMM_WORLD_SIZE=2 P2P_MPI=off "${train[@]}" --backend "$backend" --steps 1 --out off
expect 2 "P2P_MPI=lam: openmpi, mpich and off are possible" env OMPI_COMM_WORLD_SIZE=2 P2P_MPI=lam "${train[@]}" --out x
expect 2 "srun has started 4 tasks, but without an MPI" \
    env SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=4 "${train[@]}" --backend "$backend" --out x
expect 0 "" run 1 "${train[@]}" --backend "$backend" --steps 1 --out single
grep -q "^rank " err.txt && fail "one rank is taken for several"

# lose NUMBER SIGNAL WORDS: a rank of three gets the signal in the middle of a training; all others end soon, with the
# words and an exit code, and the training is resumed by two.
lose() {
    local out=lost$1$2 process begun
    rm -rf "$out"
    begin_ranks 3 "$out" 8 --epochs 100000
    process=$(rank_of "$1" "$out")
    begun=$SECONDS
    kill "-$2" "$process" || fail "there is no rank $1 of $out"
    wait $training
    local status=$?
    [ $status -ne 0 ] && [ $status -ne 124 ] || fail "$out: exit code $status"
    [ $((SECONDS - begun)) -le 30 ] || fail "$out: ended after $((SECONDS - begun)) s"
    kill -KILL "$process" 2>/dev/null
    for _ in $(seq 100); do
        [ -z "$(pgrep -f "train .*--out $out")" ] && break
        sleep 0.1
    done
    [ -z "$(pgrep -f "train .*--out $out")" ] || fail "$out: a process remains"
    grep -qF "rank $1 on $(hostname) is lost: $3" "$out.err" || fail "$out: $(tail -n 8 "$out.err")"
    grep -q "^hint: .* continue from the last checkpoint with: .*--resume" "$out.err" || fail "$out: no command"
    local steps
    steps=$(($(grep -c '"step"' "$out/metrics.jsonl") / 3 * 3 + 6))
    expect 0 "devices: 2, and 3 before" run 2 "$p2p" train --out "$out" --resume --backend "$backend" --steps $steps
}
echo "-- a rank is killed"
lose 1 KILL "its process has ended"
case $launcher in *openmpi*) lose 0 KILL "its process has ended" ;; esac # MPICH's launcher kills the others at once
echo "-- a rank is stopped"
export P2P_RANK_TIMEOUT=6
lose 2 STOP "no sign of life for 6 s"
lose 0 STOP "no sign of life for 6 s"
unset P2P_RANK_TIMEOUT

echo "-- a signal to any rank stops all after the same step, and the training goes on to the bits of an undisturbed one"
for number in 0 1; do
    begin_ranks 2 stopped$number 4 --epochs 12
    kill -TERM "$(rank_of $number stopped$number)"
    wait $training
    printed_in=$(cat stopped$number.err)
    [[ $printed_in == *"stopped by SIGTERM after step"*"a checkpoint is saved"* ]] || fail "stopped$number: $printed_in"
    expect 0 "" run 2 "$p2p" train --out stopped$number --resume --backend "$backend" --epochs 12
done
expect 0 "" run 2 "${train[@]}" --backend "$backend" --epochs 12 --out undisturbed
for number in 0 1; do equal_runs undisturbed stopped$number; done

finish
