#!/usr/bin/env bash
# `p2p doctor`: exit codes, the table on stdout, the progress on stderr, and the file of --report, on a device that works,
# on one that is lost, without a device, and with a broken cache.
#
#   tests/program/test_doctor.sh P2P DEVICE     P2P: the program; DEVICE: e.g. reference:0, opencl:0
. "$(dirname "$0")/../support/expect.sh" "$@"
doctor=("$p2p" doctor --precision fp32)

echo "-- a device that works"
P2P_CACHE_DIR=$PWD/cache "${doctor[@]}" --device "$device" --report report.txt >table.txt 2>progress.txt ||
    fail "exit code $? on $device: $(cat table.txt progress.txt)"
grep -q "^verdict: fit: everything that a training needs works$" table.txt || fail "no verdict: $(cat table.txt)"
grep -q "^$device  " table.txt || fail "the table lacks $device: $(cat table.txt)"
grep -qE "^  works  fp32: ([0-9]+) of \1 operations" table.txt || fail "the table lacks the operations: $(cat table.txt)"
grep -q "^$device fp32: check 51 of 7" progress.txt || fail "there is no progress: $(cat progress.txt)"
grep -q "^The report will contain: " progress.txt || fail "what the report contains isn't stated: $(cat progress.txt)"
[ "$(wc -l <table.txt)" -le 30 ] || fail "the table is long: $(cat table.txt)"

echo "-- the report"
[ "$(head -n 1 report.txt)" = "p2p doctor report 1" ] || fail "the first line is $(head -n 1 report.txt)"
[ "$(tail -n 1 report.txt)" = "$(tail -n 1 table.txt)" ] || fail "the last line is $(tail -n 1 report.txt)"
for section in System Environment "Cards and drivers" Cache "Backends and devices" "Libraries that are loaded" \
    "Operations of $device" Findings; do
    grep -q "^== $section" report.txt || fail "the report has no section $section"
done
for kind in copy prepare conv_fwd conv_bwd_data conv_bwd_filter gemm norm_stats norm_apply norm_bwd_stats norm_bwd_apply \
    act_fwd act_bwd dropout axpby bias_grad loss_bce loss_mse loss_l1 adam; do
    grep -qE "^$kind +[1-9][0-9]* " report.txt || fail "the report has no $kind"
done
grep -q "^P2P_CACHE_DIR=" report.txt || fail "the report lacks a variable"
! grep -qE "Linux $(uname -n) " report.txt || fail "the report names this machine"
expect 2 "report.txt exists already" "${doctor[@]}" --device "$device" --report report.txt
expect 1 "nowhere/report.txt" "${doctor[@]}" --device "$device" --report nowhere/report.txt
! grep -q "check 1 of" err.txt || fail "devices were examined before it was known that the report can't be written"
[ "$(find . -name '.*' -type f | wc -l)" -eq 0 ] || fail "temporary files are left: $(find . -name '.*' -type f)"

echo "-- faults"
# Usage of the command line.
expect 2 "takes options only" "$p2p" doctor stray
expect 2 "--backend contradicts --device" "${doctor[@]}" --device "$device" --backend "${device%:*}"
expect 2 "a backend's name has no colon" "${doctor[@]}" --backend "$device"
expect 4 "--backend nonsense: it has no device that can be used" "${doctor[@]}" --backend nonsense
expect 2 "--device names no device" "${doctor[@]}" --device ,
# A call of the backend in the middle of the operations; then nothing else of the device is examined.
P2P_LOSE_DEVICE_AT=300 expect 5 "was lost while it was examined" "${doctor[@]}" --device "$device"
expect 1 "there is no backend named" "${doctor[@]}" --device nonsense:0
printed "verdict: not fit: 1 check failed" "p2p doctor"
# Without a driver the only device is the reference.
expect 4 "there is no device to train on" env OCL_ICD_VENDORS=/nowhere P2P_CUDA_LIBRARY_PATH=/nowhere "${doctor[@]}"
printed "pocl-opencl-icd" "p2p doctor"

if [[ $device == opencl:* ]]; then
    P2P_OPENCL_FAIL=direct:2x2x4x1,gemm expect 1 "fails its test here" "${doctor[@]}" --device "$device"
    printed "fp32 conv_fwd by gemm: " "p2p doctor"
fi

echo "-- a broken cache"
mkdir broken
printf damage >broken/program-0123456789abcdef0123456789abcdef
P2P_CACHE_DIR=$PWD/broken expect 1 "2 checks failed" "${doctor[@]}" --device nonsense:0
printed "has 1 damaged entries" "p2p doctor"
rm broken/program-*
chmod go+w broken
P2P_CACHE_DIR=$PWD/broken expect 1 "2 checks failed" "${doctor[@]}" --device nonsense:0
printed "because other users can write to it" "p2p doctor"

finish
