#!/usr/bin/env bash
# Sweeps of `p2p bench`: the table and the picture of each axis.
#
#   tests/program/test_sweep.sh P2P DEVICE AXES     AXES: batch, or all: minutes on the reference
. "$(dirname "$0")/../support/expect.sh" "$1" "$2"
small=(--size 32 --ngf 4 --ndf 4 --steps 2 --device "$device")

expect 0 "ms per GFLOP" "$p2p" bench "${small[@]}" --sweep batch --plot sweep.svg
[ "$(grep -c '^batch ' out.txt)" -eq 6 ] || fail "--sweep batch: not six batches"
[ "$(grep -c '<polyline' sweep.svg)" -eq 4 ] || fail "sweep.svg: not two figures and their floors"
grep -q 'nan\|inf' sweep.svg && fail "sweep.svg: a figure is not a number"
fills sweep.svg

if [ "$3" = all ]; then
    expect 0 "ms per GFLOP" "$p2p" bench "${small[@]}" --what translate --sweep all --plot all.svg
    for axis in "batch 1 2 4 8 16 32" "size 64 128 256 512 1024" "filters 16 32 64 128"; do
        read -r name values <<<"$axis"
        measured=$(awk -v name="$name" '$1 == name && NF == 8 { printf "%s%s", found++ ? " " : "", $2 }' out.txt)
        [ "$measured" = "$values" ] || fail "--sweep all: $name of '$measured' instead of '$values'"
    done
    [ "$(grep -c '<polyline' all.svg)" -eq 12 ] || fail "all.svg: not two figures and their floors on each axis"
    fills all.svg
fi
finish
