#!/usr/bin/env bash
# kill -9 at random moments: each training, resumed after its kill, ends with the bits of an uninterrupted one.
#
#   tests/program/test_kills.sh P2P DEVICE COUNT [SEED]     COUNT kills; SEED of the moments, printed
. "$(dirname "$0")/../support/expect.sh" "$1" "$2"
count=$3
seed=${4:-$((1 + $$ % 32000))}
RANDOM=$seed
echo "-- $count kills, seed $seed"

draw_toys 6
length=(--steps 90 --checkpoint-every 7 --save-every 2 --keep-epochs 4)
"$p2p" train "${small[@]}" --out whole "${length[@]}" >/dev/null 2>&1 || fail "no training to compare with"
lines=$(wc -l <whole/metrics.jsonl)

# all_files OUT: prints its files, except the log and the report, which contain times and rates.
all_files() {
    (cd "$1" && find . -type f ! -name metrics.jsonl ! -name report.html | sort)
}

# reaches LINES: waits until the training in the background has logged so many lines, or has ended.
reaches() {
    until [ -e $out/metrics.jsonl ] && [ "$(wc -l <$out/metrics.jsonl)" -ge "$1" ]; do
        kill -0 $training 2>/dev/null || return
        sleep 0.005
    done
}

unbegun=0 killed=0 finished=0
for i in $(seq "$count"); do
    out=run$i
    moment=$((RANDOM % lines)) delay=$((RANDOM % 30))
    "$p2p" train "${small[@]}" --out $out "${length[@]}" >/dev/null 2>&1 &
    training=$!
    [ $moment -eq 0 ] || reaches $moment
    sleep "$(printf '0.%03d' $delay)"
    if kill -9 $training 2>/dev/null; then killed=$((killed + 1)); else finished=$((finished + 1)); fi
    wait $training 2>/dev/null
    where=$(ls $out/checkpoints 2>/dev/null | tail -n 1)
    echo "killed $delay ms after line $moment of $lines, resumed from ${where:-the beginning}"
    if [ -e $out/config.json ]; then
        expect 0 "" "$p2p" train --out $out --resume --device "$device"
    else
        unbegun=$((unbegun + 1))
        expect 0 "" "$p2p" train "${small[@]}" --out $out "${length[@]}"
    fi
    equal_runs whole $out
    [ -e $out/report.html ] || fail "$out: there is no report"
    [ "$(all_files whole)" = "$(all_files $out)" ] || fail "$out: not the same files"
    for file in $(all_files whole); do same "whole/$file" "$out/$file"; done
    rm -rf $out
done
echo "$killed killed ($unbegun before they had begun), $finished had finished already"
[ "$killed" -gt 0 ] || fail "nothing was killed: the test shows nothing"

finish
