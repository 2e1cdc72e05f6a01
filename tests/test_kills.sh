#!/usr/bin/env bash
# kill -9 at random moments: each training, resumed after its kill, comes to the same bits as one that was left alone.
#
#   tests/test_kills.sh P2P DEVICE COUNT [SEED]     COUNT kills; SEED of the moments, printed
. "$(dirname "$0")/expect.sh" "$1" "$2"
count=$3
RANDOM=${4:-$((1 + $$ % 32000))}
echo "-- $count kills, seed ${4:-$((1 + $$ % 32000))}"

draw_toys 6
length=(--steps 90 --checkpoint-every 7 --save-every 2 --keep-epochs 4)
begun=$(date +%s%N)
"$p2p" train "${small[@]}" --out whole "${length[@]}" >/dev/null 2>&1 || fail "no training to compare with"
duration=$((($(date +%s%N) - begun) / 1000000))

# all_files OUT: its files but the log, in which rates are written.
all_files() {
    (cd "$1" && find . -type f ! -name metrics.jsonl | sort)
}

unbegun=0 killed=0 finished=0
for i in $(seq "$count"); do
    out=run$i
    delay=$((duration * RANDOM / 32768))
    "$p2p" train "${small[@]}" --out $out "${length[@]}" >/dev/null 2>&1 &
    training=$!
    sleep "$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000)))"
    if kill -9 $training 2>/dev/null; then killed=$((killed + 1)); else finished=$((finished + 1)); fi
    wait $training 2>/dev/null
    where=$(ls $out/checkpoints 2>/dev/null | tail -n 1)
    echo "killed after $delay ms of $duration, resumed from ${where:-the beginning}"
    if [ -e $out/config.json ]; then
        expect 0 "" "$p2p" train --out $out --resume --device "$device"
    else
        unbegun=$((unbegun + 1))
        expect 0 "" "$p2p" train "${small[@]}" --out $out "${length[@]}"
    fi
    equal_runs whole $out
    [ "$(all_files whole)" = "$(all_files $out)" ] || fail "$out: not the same files"
    for file in $(all_files whole); do same "whole/$file" "$out/$file"; done
    rm -rf $out
done
echo "$killed killed ($unbegun before they had begun), $finished had finished already"
[ "$killed" -gt 0 ] || fail "nothing was killed: the test shows nothing"

finish
