#!/usr/bin/env bash
# What commands do on cards before their first step: which of them connect the cards by NCCL, how often; what fits
# beside other processes; that algorithms are measured on request only.
#
#   tests/backend-cuda/test_cuda_start.sh P2P     with four devices of the machine made of software
. "$(dirname "$0")/../support/expect.sh" "$1" cuda
networks=(--size 32 --ngf 4 --ndf 4) four=(--backend cuda --gpus 4)
"$p2p" sample-data toys --count 4 --size 32 --seed 3 >/dev/null 2>&1 || fail "no data"

# opens COUNT CODE WORDS COMMAND...: the command exits with the code, prints the words, and each device becomes a member
# of a communicator COUNT times; at most one line warns.
opens() {
    rm -rf run counters
    expect "$2" "$3" env P2P_MACHINE_COUNTERS="$work/counters" "${@:4}"
    local found
    found=$(tr ' ' '\n' <counters | sed -n 's/^ncclCommInitRankConfig=//p')
    [ "${found:-0}" -eq $((4 * $1)) ] || fail "ncclCommInitRankConfig is called ${found:-0} times by ${*:4}"
    [ "$(grep -c "^warning: " err.txt)" -le 1 ] || fail "more than one warning by ${*:4}: $(cat err.txt)"
}

echo "-- a communicator is opened once, by what reduces gradients"
opens 1 0 "done: the model is" "$p2p" train --data toys "${networks[@]}" "${four[@]}" --out run --steps 1
mv run model
opens 1 0 "images per second" "$p2p" bench --what train --steps 1 "${networks[@]}" "${four[@]}"
opens 0 0 "by the backend's communicator" "$p2p" plan "${networks[@]}" "${four[@]}"
opens 0 0 "picture 4/4" "$p2p" translate --model model "${four[@]}" -o drawn toys/train
opens 0 0 "shows every pair" "$p2p" test --model model --data toys "${four[@]}" -o measured
opens 0 1 "this training needs" "$p2p" train --data toys --size 32 --ngf 64 --ndf 64 --batch 4 "${four[@]}" --out run

counters=$work/counters
P2P_MACHINE_DEVICES=2 P2P_MACHINE_COUNTERS=$counters expect 0 "the sum over 2 devices of cuda equals the host's" \
    "$p2p" doctor --backend cuda --precision fp32
! grep -q "passes through the host" out.txt || fail "doctor reduces through the host: $(cat out.txt)"
grep -qE "(^| )ncclCommInitRankConfig=2( |$)" "$counters" || fail "doctor does not use NCCL"

echo "-- a refusal is printed once"
export P2P_MACHINE_FAIL=ncclCommInitRankConfig:1+:ncclSystemError
refused="its communicator refuses (cuda:0, NVIDIA H200: ncclCommInitRankConfig failed"
rm -rf run counters
expect 0 "$refused" env P2P_MACHINE_COUNTERS="$work/counters" \
    "$p2p" train --data toys "${networks[@]}" "${four[@]}" --out run --steps 1
grep -qE "(^| )ncclCommInitRankConfig=1( |$)" counters || fail "NCCL is tried again"
[ "$(grep -c "^warning: " err.txt)" -eq 1 ] || fail "not one warning: $(cat err.txt)"
unset P2P_MACHINE_FAIL

echo "-- algorithms are measured on request"
# trained OPTION...: a training of one step, into the folder `run`.
trained() {
    rm -rf run
    "$p2p" train --data toys "${networks[@]}" --device cuda:0 --out run --steps 1 "$@"
}
export P2P_CACHE_DIR=$work/cache
others="the others by heuristics (p2p tune, or --tune on here, measures them)"
expect 0 "algorithms: 0 of 35 convolutions as measured on this device, $others" trained
mv run heuristic
for option in "--tune off" --deterministic; do
    # shellcheck disable=SC2086
    expect 0 "done: the model is" trained $option
    ! grep -q "^algorithms: " err.txt || fail "$option: $(cat err.txt)"
    same_weights heuristic/generator.safetensors run/generator.safetensors
done
[ -z "$(find cache -name 'tune-*')" ] || fail "a training has measured without a request"
expect 0 "speedup" "$p2p" tune "${networks[@]}" --device cuda:0
expect 0 " of 35 convolutions as measured on this device" trained
! grep -q "measuring the algorithms" err.txt || fail "a training measures after p2p tune: $(cat err.txt)"
rm -r cache
expect 0 "measuring the algorithms of 35 convolutions" trained --tune on
printed "algorithms: 35 of 35 convolutions as measured on this device; --deterministic ignores" "--tune on"
export P2P_CACHE_DIR=off
rm -rf run

echo "-- a card that other processes use"
large=(--data toys --size 32 --ngf 64 --ndf 64 --device cuda:0 --tune off)
rm -rf run
busy=(env P2P_MACHINE_MEMORY=4G P2P_MACHINE_HELD=3020M)
expect 1 "which has 4.29 GB: 0.59 GB are free, and libraries need 0.27 GB" \
    "${busy[@]}" "$p2p" train "${large[@]}" --batch 1024 --out run --steps 1
printed "device: cuda:0, NVIDIA H200, 0.6 of 4.3 GB free" "a training on a busy card"
batch=$(sed -n 's/^hint: --batch \([0-9]*\) needs.*/\1/p' err.txt)
[ -n "$batch" ] || fail "no batch is proposed: $(tail -n 1 err.txt)"
expect 0 "done: the model is" "${busy[@]}" "$p2p" train "${large[@]}" --batch "$batch" --out run --steps 1
rm -rf run
# Half a gigabyte of 4 is reserved for several cards, a quarter for one.
expect 1 "0.54 GB are free, and libraries need 0.54 GB" env P2P_MACHINE_MEMORY=4G P2P_MACHINE_HELD=3G \
    "$p2p" plan --size 32 --ngf 4 --ndf 4 --backend cuda --gpus 2
expect 0 "0.54 GB are free, and libraries need 0.27 GB" env P2P_MACHINE_MEMORY=4G P2P_MACHINE_HELD=3G \
    "$p2p" plan --size 32 --ngf 4 --ndf 4 --backend cuda
# What an open device has itself is not printed.
expect 0 "this training needs" env P2P_MACHINE_MEMORY=4G "$p2p" plan --size 32 --ngf 4 --ndf 4 --backend cuda
! grep -q "GB free" err.txt || fail "the memory of a free card is printed: $(cat err.txt)"
# The workspace of cuBLAS takes 32 of 33 MiB.
expect 1 "this training needs 0.00 GB on cuda:0 (NVIDIA H200), which has 0.03 GB: 0.00 GB are free" \
    env P2P_MACHINE_MEMORY=33M "$p2p" train --data toys "${networks[@]}" --device cuda:0 --out run
printed "hint: nothing smaller fits" "a card that is too small"

finish
