#!/usr/bin/env bash
# The operation runner fails on test doubles that refuse too much (support/refusing_backend.h), and passes on the one
# that refuses nothing: the refusals alone make it fail.
#
#   tests/operations/test_refusals.sh TEST_OPS
. "$(dirname "$0")/../support/expect.sh" "$1" refusing
unset P2P_UPDATE_GOLDEN

# The doubles wrap the reference, so its section of the list applies to them.
refusals=(--family "reference cpu" --mode refusals)

echo "-- a refusal that the rule forbids"
expect 0 "0 wrongly" "$p2p" --backend refusing:0 "${refusals[@]}"
expect 1 "refused, though it is unfused and in the device's own storage: refusing:1 refuses it" \
    "$p2p" --backend refusing:1 "${refusals[@]}"
expect 1 "though it is unfused" "$p2p" --backend refusing:1 --family "reference cpu" --filter conv_fwd --random 0
expect 0 " 0 failed" "$p2p" --backend refusing:0 --family "reference cpu" --filter bias_grad --random 0

echo "-- refusals that the list does not have"
expect 1 "refused: conv_fwd bias act accumulate: 64 of 64" "$p2p" --backend refusing:2 "${refusals[@]}"
printed "listed:  conv_fwd bias act accumulate: none" "everything optional"
printed "P2P_UPDATE_GOLDEN=1 with --mode refusals accepts them" "everything optional"
expect 1 "refused: norm_apply act dropout merged" "$p2p" --backend refusing:3 "${refusals[@]}"
grep -q "refused: .*conv" out.txt && fail "more differs than the one fusion: $(grep conv out.txt)"
expect 1 "has no such refusal in [reference cpu fp32]: refusing:3 refuses it" \
    "$p2p" --backend refusing:3 --family "reference cpu" --filter norm_apply --random 0

echo "-- a refusal of random cases alone"
mkdir golden && printf '[shape fp32]\n' >golden/refusals.txt
shape=("$p2p" --backend refusing:4 --family shape)
expect 0 "" env P2P_UPDATE_GOLDEN=1 P2P_TEST_GOLDEN="$work/golden" "${shape[@]}" --mode refusals
grep -q "^conv_fwd act: " golden/refusals.txt || fail "the double refuses nothing in the table"
grep "^conv_fwd bias act" golden/refusals.txt && fail "the double refuses the shape in the table"
expect 1 "has no such refusal in [shape fp32]: refusing:4 refuses it" env P2P_TEST_GOLDEN="$work/golden" "${shape[@]}" \
    --filter conv_fwd --random 300
rm -r golden

echo "-- refusals that the list has and the device no longer makes"
mkdir golden
printf '[reference cpu fp32]\nnorm_apply dropout merged: 2 of 2\n' >golden/refusals.txt
expect 1 "listed:  norm_apply dropout merged: 2 of 2" env P2P_TEST_GOLDEN="$work/golden" "$p2p" --backend reference --mode refusals
printed "refused: norm_apply dropout merged: none" "a refusal that is gone"

echo "-- a family without a section, a malformed list"
expect 1 "has no section [another fp32]" "$p2p" --backend reference --mode refusals --family another
printf '[reference cpu fp32]\nnorm_apply dropped: 2 of 2\n' >golden/refusals.txt
expect 1 "has a line that is no refusal" env P2P_TEST_GOLDEN="$work/golden" "$p2p" --backend reference --mode refusals

echo "-- accepting"
printf '# kept\n\n[a fp32]\ncopy accumulate: 1 of 2\n\n[reference cpu fp32]\ncopy accumulate: 9 of 9\n\n[z fp32]\n' >golden/refusals.txt
expect 0 "" env P2P_UPDATE_GOLDEN=1 P2P_TEST_GOLDEN="$work/golden" "$p2p" --backend reference --mode refusals
printf '# kept\n\n[a fp32]\ncopy accumulate: 1 of 2\n\n[reference cpu fp32]\n\n[z fp32]\n' >wanted
same golden/refusals.txt wanted
expect 0 "0 of" env P2P_TEST_GOLDEN="$work/golden" "$p2p" --backend reference --mode refusals

finish
