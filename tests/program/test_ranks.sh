#!/usr/bin/env bash
# Ranks: processes that mpirun starts and that train together. They equal as many devices of one process, bit for bit, and
# one device with the whole batch within a bound; a training continues with other numbers of ranks.
#
#   tests/program/test_ranks.sh P2P BACKEND LAUNCHER COMPARE_TENSORS     BACKEND: one with at least three devices
support=$(realpath "$(dirname "$0")/../support")
. "$support/expect.sh" "$1" "$2:0"
backend=$2 compare=$4
. "$support/ranks.sh" "$3"
draw_toys 11
base=(--data toys --size 32 --ngf 4 --ndf 4 --seed 5 --checkpoint-every 3 --deterministic)
train=("$p2p" train "${base[@]}")

# checkpoint OUT STEP: prints the path.
checkpoint() {
    printf '%s/checkpoints/step-%09d.safetensors' "$1" "$2"
}

echo "-- ranks equal devices, bit for bit; 11 pairs leave a last batch of 1 pair of 2, and of 2 of 3"
# Other backends take longer. WHOLE=1: all the same.
if [ "$backend" = reference ] || [ "${WHOLE:-}" ]; then counts="2 3" syncs=("" --sync-norm); else counts=2 syncs=(""); fi
for count in $counts; do
    end=$((count == 2 ? 9 : 6)) # the step of the last checkpoint but that of the end
    for sync in "${syncs[@]}"; do
        one=devices$count$sync many=ranks$count$sync
        expect 0 "" "${train[@]}" --device "$(devices $count)" --epochs 2 --out "$one" $sync
        expect 0 "batch: 1 pair on each of $count devices, $count per step" \
            run $count "${train[@]}" --backend "$backend" --gpus 1 --epochs 2 --out "$many" --check-replicas 2 $sync
        printed "rank 1 on $machine: $backend:1," "ranks that take devices by themselves"
        grep -q "gradients are reduced through host memory" err.txt && fail "the backend's communicator is not used"
        [ "$(grep -c "done: the model is" err.txt)" -eq 1 ] || fail "not one rank prints: $(cat err.txt)"
        [ "$(cat out.txt)" = "$many/generator.safetensors" ] || fail "stdout is: $(cat out.txt)"
        equal_runs "$one" "$many" samples/epoch-0002.png best/best.json
        differ "$(checkpoint "$many" $end)" "$(checkpoint "$one" $end)" rator 0
    done
done
expect 0 "" run 2 "${train[@]}" --backend "$backend" --epochs 2 --out again
equal_runs ranks2 again

echo "-- with --sync-norm they equal one device with the whole batch"
[ "$backend" = reference ] && bound=1e-9 steps=(--steps 6) end=6 || bound=1e-5 steps=(--steps 1 --precision fp32) end=1
for count in $counts; do
    expect 0 "" "${train[@]}" --device "$backend:0" --batch $count "${steps[@]}" --out "whole$count"
    expect 0 "" run $count "${train[@]}" --backend "$backend" --sync-norm "${steps[@]}" --out "synchronous$count"
    for part in generator/moment1. discriminator/moment1.; do
        differ "$(checkpoint "synchronous$count" $end)" "$(checkpoint "whole$count" $end)" $part $bound
    done
done

if [ "$backend" = cuda ]; then
    echo "-- rank 0 measures algorithms, and all have its choices"
    export P2P_CACHE_DIR=$work/measured
    expect 0 "as measured on this device" run 2 "${train[@]/--deterministic/--tune=on}" --backend "$backend" --steps 3 --out chosen
    expect 0 "as measured" "${train[@]/--deterministic/--tune=on}" --device "$(devices 2)" --steps 3 --out chosen1
    equal_runs chosen chosen1
    echo "-- two ranks on one device are refused together, with most of the memory that one may have"
    large=(--size 512 --device "$device")
    expect 1 "this training" env P2P_MACHINE_MEMORY=4G "$p2p" plan "${large[@]}" --batch 4096
    batch=$(sed -n 's/^hint: --batch \([0-9]*\) needs.*/\1/p' err.txt)
    large+=(--batch $((batch * 2 / 3)))
    expect 0 "this training needs" env P2P_MACHINE_MEMORY=4G "$p2p" plan "${large[@]}"
    expect 1 "p2p: 2 processes of this training need" \
        run 2 env P2P_MACHINE_MEMORY=4G "$p2p" train --data toys "${large[@]}" --out large
    printed " GB on $device (" "the memory of two ranks"
    [ "$(messages | wc -l)" -eq 1 ] || fail "not printed once: $(cat err.txt)"
    [ ! -e large/config.json ] || fail "a training that doesn't fit has begun"
    echo "-- ranks of which one has no tf32 compute in fp32"
    expect 0 "precision: fp32, because it is the default on rank 1" \
        run 1 env P2P_MACHINE_CARD=h200 "${train[@]}" --device cuda:0 --steps 1 --out mixed : \
        -np 1 env P2P_MACHINE_CARD=t4 "${train[@]}" --device cuda:1 --steps 1 --out mixed
    grep -qF '"precision": "fp32"' mixed/config.json || fail "mixed/config.json does not record fp32"
    echo "-- a rank that compiles for longer than the others' devices may take for their work is waited for"
    slow=(env P2P_MACHINE_SLOW=cuModuleLoadData:2:9) late=(--norm instance --steps 1 --device-timeout 4 --out late)
    expect 0 "" run 1 "${train[@]}" --backend "$backend" "${late[@]}" : \
        -np 1 "${slow[@]}" "${train[@]}" --backend "$backend" "${late[@]}"
    late=("$p2p" bench --size 32 --ngf 4 --ndf 4 --norm instance --steps 9 --backend "$backend" --device-timeout 4)
    expect 0 "2 ranks; one device" run 1 "${late[@]}" : -np 1 "${slow[@]}" "${late[@]}"
    echo "-- the device of another rank that hangs or fails is named, and not one that waits for it"
    for fault in hang CUDA_ERROR_ECC_UNCORRECTABLE; do
        loses=("${train[@]}" --backend "$backend" --steps 9 --device-timeout 4 --out "$fault")
        expect 5 "p2p: rank 1 on $machine: cuda:1, NVIDIA H200: the device was lost: " \
            run 1 "${loses[@]}" : -np 1 env P2P_MACHINE_FAIL=command:600:$fault "${loses[@]}"
        [ "$(messages | wc -l)" -eq 1 ] || fail "not printed once: $(grep '^p2p: ' err.txt)"
    done
    echo "-- if NCCL fails in one rank, all reduce through host memory"
    expect 0 "gradients are reduced through host memory" \
        run 1 env P2P_MACHINE_FAIL=ncclGetUniqueId:1:ncclSystemError "${train[@]}" --backend "$backend" --steps 2 --out host : \
        -np 1 "${train[@]}" --backend "$backend" --steps 2 --out host
    echo "-- three ranks on one device reduce through host memory too: NCCL needs a device for each"
    expect 0 "processes 0 and 1 use one device" run 3 "${train[@]}" --device "$backend:0" --steps 2 --out one
    expect 0 "" "${train[@]}" --device "$backend:0,$backend:0,$backend:0" --steps 2 --out one1
    equal_runs one one1
fi
if [ "$backend" != reference ]; then
    echo "-- four ranks on four devices"
    expect 0 "batch: 1 pair on each of 4 devices, 4 per step" \
        run 4 "${train[@]}" --backend "$backend" --epochs 1 --out four
    printed "rank 3 on $machine: $backend:3," "the last of four ranks"
    grep -q "gradients are reduced through host memory" err.txt && fail "the backend's communicator is not used"
    grep -qE '"reduction_wait":(0|1|0[.][0-9]+|[0-9.]+e-[0-9]+)[,}]' four/metrics.jsonl || fail "no share of time in reductions: $(tail -n 2 four/metrics.jsonl)"
    if [ "$backend" = cuda ]; then # elsewhere the order of sums differs
        expect 0 "" "${train[@]}" --device "$(devices 4)" --epochs 1 --out four1
        equal_runs four1 four
    fi
    echo "-- ranks of which each is shown one device, as Slurm may do it, take that"
    shown=(env P2P_MACHINE_DEVICES=1 "POCL_DEVICES=$(echo "${POCL_DEVICES:-none}" | cut -d " " -f 1)")
    expect 0 "rank 1 on $machine: $backend:0," run 2 "${shown[@]}" "${train[@]}" --backend "$backend" --steps 1 --out shown
    finish
    exit
fi
echo "-- ranks take the next devices, and begin again at the first after the last"
expect 0 "rank 4 on $machine: $backend:0," run 5 "${train[@]}" --backend "$backend" --gpus 1 --steps 1 --out five
printed "rank 3 on $machine: $backend:3," "five ranks on four devices"
expect 0 "rank 1 on $machine: $backend:2 and $backend:3," \
    run 2 "${train[@]}" --backend "$backend" --gpus 2 --steps 1 --out twos
printed "rank 0 on $machine: $backend:0 and $backend:1," "two devices for each rank"

if [[ $launcher == *openmpi* ]]; then
    echo "-- srun --mpi=pmix, of which nothing shows but PMIx's variables and Slurm's"
    pmix=(env -u OMPI_COMM_WORLD_SIZE -u OMPI_COMM_WORLD_RANK SLURM_STEP_NUM_TASKS=2)
    expect 0 "batch: 1 pair on each of 2 devices" run 2 "${pmix[@]}" "${train[@]}" --backend "$backend" --epochs 2 --out pmix
    equal_runs ranks2 pmix
fi

echo "-- validation of more pairs than rank 0 draws is shared, with the metrics of one process"
"$p2p" sample-data shared --count 60 --size 32 --seed 3 >/dev/null 2>&1 || fail "no data"
[ "$(find shared/val -type f | wc -l)" -gt 12 ] || fail "too few pairs to validate"
shared=(--data shared "${base[@]:2}" --epochs 1)
expect 0 "" run 3 "$p2p" train "${shared[@]}" --backend "$backend" --out shared3
expect 0 "" "$p2p" train "${shared[@]}" --device "$(devices 3)" --out shared1
grep -q '"val_l1":' shared3/metrics.jsonl || fail "no metrics of validation: $(tail -n 1 shared3/metrics.jsonl)"
equal_runs shared1 shared3 samples/epoch-0001.png best/best.json

echo "-- several devices in each rank, and parts of a batch"
expect 0 "4 per step" run 2 "${train[@]}" --device "$backend:0,$backend:1" --steps 1 --out pairs
printed "rank 1 on $machine: $backend:0 and $backend:1" "a list of devices"
expect 0 "" "${train[@]}" --device "$backend:0,$backend:1,$backend:0,$backend:1" --steps 1 --out devices4
differ "$(checkpoint pairs 1)" "$(checkpoint devices4 1)" /moment1. 1e-5
expect 0 "" run 2 "${train[@]}" --backend "$backend" --grad-accumulate 2 --epochs 1 --out parts
expect 0 "" "${train[@]}" --device "$(devices 2)" --grad-accumulate 2 --epochs 1 --out parts1
for model in generator discriminator; do same parts/$model.safetensors parts1/$model.safetensors; done

echo "-- resumed, with as many ranks, with others, and with none"
expect 0 "" run 2 "${train[@]}" --backend "$backend" --epochs 2 --steps 5 --out resumed
expect 0 "continuing after step 5" run 2 "$p2p" train --out resumed --resume --backend "$backend" --epochs 2
equal_runs ranks2 resumed
expect 0 "devices: 3, and 2 before" run 3 "$p2p" train --out resumed --resume --backend "$backend" --epochs 3
expect 0 "devices: 1, and 3 before" "$p2p" train --out resumed --resume --device "$backend:0" --epochs 4
expect 0 "devices: 2, and 1 before" run 2 "$p2p" train --out resumed --resume --backend "$backend" --epochs 5
given=(--init-generator ranks2 --init-discriminator ranks2 --steps 1)
expect 0 "" run 2 "${train[@]}" --backend "$backend" "${given[@]}" --out given
expect 0 "" "${train[@]}" --device "$(devices 2)" "${given[@]}" --out given1
equal_runs given given1

echo "-- the examples of train/MACHINES.md, on two or four ranks of this machine"
# example FIRST LAST: prints the lines of the code block of the page from one that begins with FIRST to one with LAST.
example() {
    sed -n "s/^    //; /^$1/,/^$2/p" "$support/../../train/MACHINES.md" | sed -e 's/DIR/toys/'
}
mkdir path
ln -s "$p2p" path/p2p
# Launchers for the examples: srun without its own options, of which one gives each task its processors.
printf '#!/bin/sh\nexec %s "$@"\n' "$launcher" >path/mpirun
printf '#!/bin/sh\ncase " $* " in *" --cpus-per-task=8 "*) ;; *) exit 9 ;; esac\nwhile [ "${1#-}" != "$1" ]; do shift; done\nexec %s -np 2 "$@" $MORE\n' "$launcher" >path/srun
chmod +x path/mpirun path/srun
tiny="--size 32 --ngf 4 --ndf 4 --backend $backend"
echo "$(example 'mpirun -np 4' mpirun | head -n 1) $tiny --epochs 1" >example.sh
grep -q "mpirun -np 4 p2p train --data toys" example.sh || fail "there is no mpirun line: $(cat example.sh)"
expect 0 "batch: 16 pairs on each of 4 devices, 64 per step" env PATH="$work/path:$PATH" $limit sh example.sh
rm -rf run
example '#!.bin.sh' srun >slurm.sh
grep -q '^#SBATCH --nodes=2' slurm.sh || fail "there is no batch file: $(cat slurm.sh)"
expect 0 "batch: 16 pairs on each of 2 devices" env PATH="$work/path:$PATH" MORE="$tiny --epochs 1" $limit sh slurm.sh
expect 0 "continuing after step 1" env PATH="$work/path:$PATH" MORE="--backend $backend --epochs 2" $limit sh slurm.sh

echo "-- pairs that are replaced"
cp -r toys damaged
truncate -s 300 "$(find damaged/train -type f | sort | head -n 1)"
bad=(--data damaged "${base[@]:2}" --epochs 1 --on-bad-image skip)
expect 0 "unusable" run 3 "$p2p" train "${bad[@]}" --backend "$backend" --out skips
expect 0 "unusable" "$p2p" train "${bad[@]}" --device "$(devices 3)" --out skips1
equal_runs skips1 skips

finish
