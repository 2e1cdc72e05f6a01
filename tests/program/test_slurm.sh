#!/usr/bin/env bash
# The batch file of train/MACHINES.md in jobs of a real Slurm, on two machines of network namespaces. Its ranks equal as
# many devices, bit for bit. A time limit, with and without notice, scancel and a killed rank end all with a message and
# what resumes; without a plugin for MPI a message has the remedy. Needs root.
#
#   tests/program/test_slurm.sh P2P BACKEND LAUNCHER COMPARE_TENSORS
support=$(realpath "$(dirname "$0")/../support")
. "$support/expect.sh" "$1" "$2:0"
backend=$2
. "$support/ranks.sh" "$3"
. "$support/machines.sh" "jobs of Slurm"
. "$support/slurm.sh" "jobs of Slurm"
page=$support/../../train/MACHINES.md
export PATH=${p2p%/*}:$PATH
draw_toys 11
tiny="--size 32 --ngf 4 --ndf 4 --seed 5 --backend $backend"
./on 1 srun --version

# batch_file FILE: the one of the page, with this data, and $MORE as options more.
batch_file() {
    sed -n 's/^    //; /^#!.bin.sh/,/^srun/p' "$page" | sed -e "s|DIR|$work/toys|" -e '/^srun/s/$/ $MORE/' >"$1"
    grep -q '^#SBATCH --signal=TERM@120' "$1" && grep -q '^srun --mpi=pmix ' "$1" || fail "there is no batch file: $(cat "$1")"
}
batch_file job.sh

echo "-- the batch file: 16 ranks equal 16 devices, bit for bit"
mkdir whole
MORE="$tiny --epochs 2" submit whole job.sh
await_job "$job"
for words in "rank 1 on machine1: $backend:1," "rank 15 on machine2: $backend:3," \
    "batch: 16 pairs on each of 16 devices, 256 per step" "done: the model is run/generator.safetensors"; do
    grep -qF "$words" whole.err || fail "'$words' is not printed: $(cat whole.err)"
done
four=$(devices 4)
expect 0 "" "$p2p" train --data toys $tiny --device "$four,$four,$four,$four" --batch 16 --epochs 2 --out devices
equal_runs devices whole/run best/best.json

echo "-- trainings that end before: two ranks each, at the same time"
# pair FOLDER OPTION...: starts a job of a rank on each machine, with these options of sbatch.
pair() {
    mkdir "$1"
    MORE="$tiny --epochs 100000 --checkpoint-every 3" submit "$@" --ntasks-per-node=1 --gpus-per-node=1 "${file:-job.sh}"
}
# rank_of_job NUMBER JOB: prints the process of that rank.
rank_of_job() {
    local folder
    for folder in /proc/[0-9]*; do
        [ "$folder/exe" -ef "$p2p" ] && tr '\0' '\n' <"$folder/environ" >environment.txt || continue
        grep -qx "SLURM_CONF=$SLURM_CONF" environment.txt && grep -qx "SLURM_JOB_ID=$2" environment.txt &&
            grep -qx "SLURM_PROCID=$1" environment.txt && echo "${folder#/proc/}"
    done
}
# begun FOLDER: waits until its training has made some steps.
begun() {
    for _ in $(seq 600); do
        [ -e "$1/run/metrics.jsonl" ] && [ "$(grep -c '"step"' "$1/run/metrics.jsonl")" -gt 8 ] && return
        sleep 0.1
    done
    fail "$1: it has not begun: $(cat "$1.err")"
}
# The page's way without a plugin: mpirun in the batch file.
instead=$(grep -o '`#SBATCH --signal=B:[A-Z0-9]*@120`' "$page" | tr -d '`')
sed -e "s/^#SBATCH --signal.*/$instead/; s/^srun .* p2p train/$(grep -o '`exec mpirun p2p train' "$page" | tr -d '`')/" \
    job.sh >mpirun.sh
grep -q '^#SBATCH --signal=B:' mpirun.sh && grep -q '^exec mpirun p2p train' mpirun.sh || fail "there is no way: $(cat mpirun.sh)"
mkdir path
printf '#!/bin/sh\nexec %s "$@"\n' "$launcher" >path/mpirun
chmod +x path/mpirun

pair notice && noticed=$job
pair limit --signal=CONT@1 && limited=$job
pair cancelled && cancelled=$job
pair killed && killed=$job
file=mpirun.sh PATH=$work/path:$PATH pair launched && launched=$job
for folder in notice limit cancelled killed launched; do begun $folder; done
./on 1 scontrol update JobId="$noticed" TimeLimit=2 || fail "no limit"
./on 1 scontrol update JobId="$launched" TimeLimit=2 || fail "no limit"
./on 1 scontrol update JobId="$limited" EndTime="$(date -d '+2 seconds' +%Y-%m-%dT%H:%M:%S)" || fail "no limit"
./on 1 scancel "$cancelled"
kill -KILL "$(rank_of_job 1 "$killed")" || fail "there is no rank to kill"
for number in "$noticed" "$limited" "$cancelled" "$killed" "$launched"; do await_job "$number"; done

# saved FOLDER WORDS: checks that it has stopped with these words, and a checkpoint of its last step.
saved() {
    local step
    grep -qF "$2" "$1.err" || fail "$1: '$2' is not printed: $(tail -n 12 "$1.err")"
    step=$(sed -n 's/^p2p: stopped by .* after step \([0-9]*\) of .*; a checkpoint is saved$/\1/p' "$1.err")
    [ -e "$1/run/checkpoints/step-$(printf %09d "${step:-0}").safetensors" ] || fail "$1: no checkpoint of its end: $(ls "$1/run/checkpoints")"
}
saved notice "p2p: stopped by SIGTERM"
saved limit "p2p: stopped by SIGTERM"
saved cancelled "p2p: stopped by SIGTERM"
saved launched "p2p: stopped by SIGUSR2"
grep -qF "DUE TO TIME LIMIT" limit.err || fail "the limit without notice had one: $(cat limit.err)"
for folder in notice limit cancelled; do
    grep -q "^hint: continue, under srun with 2 ranks as before, with: .*--resume" $folder.err || fail "$folder: no hint: $(cat $folder.err)"
done
grep -q "^hint: continue, under mpirun with 2 ranks as before, with: .*--resume" launched.err || fail "no hint: $(cat launched.err)"
grep -qF "p2p: rank 1 on machine2 is lost" killed.err || fail "the killed rank is not named: $(tail -n 12 killed.err)"
grep -q "^hint: continue from the last checkpoint, on what is left, under srun for several ranks, with: " killed.err ||
    fail "no hint: $(tail -n 12 killed.err)"

echo "-- the same file continues, with the bits of a training that did not stop; after a loss one process continues"
step=$(sed -n 's/^p2p: stopped by .* after step \([0-9]*\) of .*/\1/p' cancelled.err)
MORE="--backend $backend --epochs 100000 --steps $((step + 4))" submit cancelled --ntasks-per-node=1 --gpus-per-node=1 job.sh
await_job "$job"
grep -qF "continuing after step $step" cancelled.err || fail "it does not continue: $(cat cancelled.err)"
expect 0 "" "$p2p" train --data toys $tiny --device "$(devices 2)" --batch 16 --epochs 100000 --checkpoint-every 3 \
    --steps $((step + 4)) --out straight
same_training straight cancelled/run
expect 0 "devices: 1, and 2 before" "$p2p" train --data toys --out killed/run --resume --device "$backend:0" \
    --steps $(($(grep -c '"step"' killed/run/metrics.jsonl) + 4))

echo "-- what srun --mpi may be"
# by PLUGIN COMMAND...: starts it in a rank on each machine.
by() {
    $limit ./on 1 srun --mpi="$1" --nodes=2 --ntasks=2 --kill-on-bad-exit "${@:2}"
}
short=(train --data toys $tiny --batch 16 --epochs 2)
expect 2 "p2p: srun has started 2 tasks, but without an MPI by which they could find each other" \
    $limit ./on 1 srun --mpi=none --nodes=2 --ntasks=2 p2p "${short[@]}" --out none
printed "hint: srun --mpi=pmix for Open MPI, --mpi=pmi2 for MPICH" "srun without a plugin"
expect 0 "" "$p2p" "${short[@]}" --device "$(devices 2)" --out two
expect 0 "rank 1 on machine2: $backend:0," by pmix p2p "${short[@]}" --out pmix
same_training two pmix
mkdir alone
cp "$p2p" alone/p2p
./on 1 srun --mpi=pmix --nodes=2 --ntasks=2 alone/p2p "${short[@]}" --out none >out.txt 2>err.txt && fail "it does without its part for MPI"
printed "p2p: this process was started by a launcher with PMIx, and p2p's part for it can't be used" "a lone program"
printed "hint: install libopenmpi-dev" "a lone program"
if [ -e "${p2p%/*}/p2p-mpi-mpich.so" ]; then
    expect 0 "rank 1 on machine2: $backend:0," by pmi2 p2p "${short[@]}" --out pmi2
    same_training two pmi2
    P2P_MPI=mpich ./on 1 srun --mpi=pmix --nodes=2 --ntasks=2 p2p "${short[@]}" --out none >out.txt 2>err.txt && fail "MPICH has PMIx?"
    printed "p2p: MPICH finds this process alone, and not the 2 that were started together" "MPICH without PMIx"
    printed "--mpi=pmi2 for most builds of MPICH" "MPICH without PMIx"
fi
./on 1 srun --mpi=pmi2 --nodes=2 --ntasks=2 alone/p2p "${short[@]}" --out none >out.txt 2>err.txt && fail "it does without its part for MPI"
printed "for Open MPI, srun needs --mpi=pmix" "a lone program under pmi2"

finish
