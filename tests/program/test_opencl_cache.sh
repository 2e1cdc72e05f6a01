#!/usr/bin/env bash
# The cache of compiled programs: programs are built once for all runs, two runs can start at once, and a folder that
# can't be written causes a warning, not an error.
#
#   tests/program/test_opencl_cache.sh P2P DEVICE
. "$(dirname "$0")/../support/expect.sh" "$@"

export P2P_OPENCL_CACHE=on P2P_CACHE_DIR=$PWD/cache
export POCL_EXTRA_BUILD_FLAGS=-cl-opt-disable # nothing here depends on the optimisation of kernels
count() { grep -c "$1" "$2" || true; }

echo "-- two at once, with nothing kept"
expect 0 toys "$p2p" sample-data toys --count 3 --size 32
train=("$p2p" train --data toys --size 32 --ngf 4 --ndf 4 --steps 2 --device "$device" --verbose)
"${train[@]}" --out first >first.txt 2>&1 &
pid=$!
"${train[@]}" --out second >second.txt 2>&1 || fail "the second of two at once: $(tail -n 3 second.txt)"
wait $pid || fail "the first of two at once: $(tail -n 3 first.txt)"
[ "$(count ': built ' first.txt)" -gt 0 ] || fail "the first built nothing"

echo "-- a third finds everything"
"${train[@]}" --out third >third.txt 2>&1 || fail "a third: $(tail -n 3 third.txt)"
[ "$(count ': built ' third.txt)" -eq 0 ] || fail "the third built $(count ': built ' third.txt) programs"
[ "$(count ': found ' third.txt)" -gt 0 ] || fail "the third found nothing"
same first/generator.safetensors third/generator.safetensors # a cached program computes the same bits

echo "-- damage"
for entry in cache/program-*; do truncate -s -1 "$entry"; done
"${train[@]}" --out fourth >fourth.txt 2>&1 || fail "a fourth: $(tail -n 3 fourth.txt)"
[ "$(count ': built ' fourth.txt)" -eq "$(count ': found ' third.txt)" ] || fail "the fourth did not build all again"

echo "-- a folder that can't be written"
touch file
P2P_CACHE_DIR=$PWD/file/cache "${train[@]}" --out fifth >out5.txt 2>fifth.txt || fail "a fifth: $(tail -n 3 fifth.txt)"
[ "$(count '^warning: ' fifth.txt)" -eq 1 ] || fail "not one warning: $(grep warning fifth.txt)"
P2P_CACHE_DIR=$PWD/file "${train[@]}" --out sixth >out6.txt 2>sixth.txt || fail "a sixth: $(tail -n 3 sixth.txt)"
grep -q "^warning: cache: .*/file: it is not a folder; " sixth.txt || fail "a file as a folder: $(grep warning sixth.txt)"
grep -q chmod sixth.txt && fail "chmod is no remedy for a file: $(grep chmod sixth.txt)"
finish
