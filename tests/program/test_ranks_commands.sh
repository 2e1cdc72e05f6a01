#!/usr/bin/env bash
# Other commands than train under a launcher: bench measures all ranks together; the others run in the first process
# alone, and print that, so that no two write the same files.
#
#   tests/program/test_ranks_commands.sh P2P BACKEND LAUNCHER     BACKEND: one with at least four devices
support=$(realpath "$(dirname "$0")/../support")
. "$support/expect.sh" "$1" "$2:0"
backend=$2
. "$support/ranks.sh" "$3"
draw_toys 8

# alone COMMAND...: runs the command in two processes, of which the first alone works.
alone() {
    expect 0 "p2p $1 runs in the first of 2 processes alone" run 2 "$p2p" "$@"
    [ "$(grep -c "processes alone" err.txt)" -eq 1 ] || fail "not printed once: p2p $*"
}

echo "-- in the first process alone, with the results of one"
expect 0 "" "$p2p" train "${small[@]}" --epochs 1 --out model
alone test --model model --data toys --device "$device" --out measured
expect 0 "" "$p2p" test --model model --data toys --device "$device" --out measured1
for file in measured1/generated/*.png measured1/metrics.json; do same "$file" "measured/${file#measured1/}"; done
alone translate --model model --device "$device" -o drawn toys/val
alone sample-data more --count 2 --size 32
alone report model -o page.html
[ -s page.html ] || fail "there is no page.html"
alone plan --size 32 --ngf 4 --ndf 4 --device "$device"
[ "$(grep -c "GB of memory" out.txt)" -eq 1 ] || fail "the plan is not printed once"
alone devices
[ "$(grep -c "^  reference:0 " out.txt)" -eq 1 ] || fail "the list is not printed once: $(cat out.txt)"
alone bench --what transfers --device "$device" --steps 1

echo "-- failures of the first process, once"
expect 3 "nowhere" run 2 "$p2p" test --model nowhere --data toys --out x
[ "$(messages | wc -l)" -eq 1 ] || fail "not printed once: $(cat err.txt)"
expect 2 "--colour" run 2 "$p2p" devices --colour
[ "$(messages | wc -l)" -eq 1 ] || fail "not printed once: $(cat err.txt)"
expect 2 "P2P_MPI=lam" run 2 env P2P_MPI=lam "$p2p" devices

echo "-- processes that MPI does not bring together"
expect 2 "p2p bench, and rank 0 on $machine with p2p train" \
    run 1 "$p2p" train "${small[@]}" --out x : -np 1 "$p2p" bench --backend "$backend"
if [ "$3" = mpirun.openmpi ]; then # MPICH's does not end the processes that wait
    expect 2 "p2p: rank 1 on $machine: --batch: 0 is outside" \
        run 1 "$p2p" bench --backend "$backend" : -np 1 "$p2p" bench --backend "$backend" --batch 0
    expect 7 "has waited 3 s for other processes of the launcher" \
        run 1 env P2P_RANK_TIMEOUT=3 "$p2p" bench --backend "$backend" : \
        -np 1 sh -c "until grep -q 'has waited' err.txt; do sleep 0.1; done; exit 7"
    [ -e "${p2p%/*}/p2p-mpi-mpich.so" ] && expect 2 "finds this process alone, and not the 2 that were started" \
        run 2 env P2P_MPI=mpich "$p2p" bench --backend "$backend"
fi

echo "-- in each process, if that is wanted"
expect 0 "" run 2 env P2P_MPI=off "$p2p" devices
[ "$(grep -c "^  reference:0 " out.txt)" -eq 2 ] || fail "not in each process: $(cat out.txt)"

echo "-- bench of all ranks"
bench=("$p2p" bench --size 32 --ngf 4 --ndf 4 --backend "$backend" --steps 9)
# points: prints the numbers of devices and images of the JSON in out.txt.
points() {
    tr -d ' \n' <out.txt | grep -o '"devices":[0-9]*,"images":[0-9]*' | tr -dc '0-9,\n' | tr '\n' ' '
}
expect 0 "" run 2 "${bench[@]}" --json --plot growth.svg
[ "$(points)" = "1,1 2,2 " ] || fail "other points than 1 and 2 devices: $(points)"
tr -d ' \n' <out.txt | grep -q '"ranks":2' || fail "the number of ranks is missing"
grep -q "<svg" growth.svg || fail "there is no picture"
expect 0 "2 ranks; one device is measured in rank 0 alone" run 2 "${bench[@]}" --gpus 1,2 --batch 2
[ "$(sed -nE 's/^ *([0-9]+) .*%.*/\1/p' out.txt | tr '\n' ' ')" = "1 2 4 " ] || fail "other rows: $(cat out.txt)"
# differs WORDS OPTION...: the second rank has other options.
differs() {
    local words="p2p: rank 1 on $machine: the ranks were started with different options: $1 in rank 0"
    shift
    expect 2 "$words" run 1 "${bench[@]}" : -np 1 "${bench[@]}" "$@"
}
differs "--batch is 2, and 1" --batch 2
differs "--grad-accumulate is 2, and 1" --grad-accumulate 2
differs '--gan-mode is "lsgan", and "bce"' --gan-mode lsgan
differs "--gpus is [1,2], and [1]" --gpus 1,2
bench=("${bench[@]/%9/10}") # the default
expect 0 "2 ranks" run 1 "${bench[@]}" : -np 1 "$p2p" bench --size 32 --ngf 4 --ndf 4 --backend "$backend"
expect 5 "p2p: rank 1 on $machine: injected fault" \
    run 1 "${bench[@]}" : -np 1 env P2P_LOSE_DEVICE_AT=3000 "${bench[@]}"

finish
