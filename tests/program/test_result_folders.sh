#!/usr/bin/env bash
# A folder of results: one command at a time writes there, and a second is refused by name. The first is stopped while it
# writes.
#
#   tests/program/test_result_folders.sh P2P DEVICE
. "$(dirname "$0")/../support/expect.sh" "$1" "$2"

unlocked=.p2p-1-0123456789abcdef.tmp

# hold OUT COMMAND...: starts a command in the background, and stops it when it has locked OUT.
hold() {
    out=$1
    shift
    env --default-signal=INT "$@" >first.out 2>first.err &
    first=$!
    for _ in $(seq 20000); do
        [ -s "$out/run.lock" ] && break
        kill -0 $first 2>/dev/null || break
        sleep 0.001
    done
    halt $first
    [ -s "$out/run.lock" ] || fail "$out: the first command has no lock: $(tail -n 2 first.err)"
    # As if it had been stopped between making a file and locking it: only the folder's lock protects the file.
    [ -e "$out/$unlocked" ] || : >"$out/$unlocked"
    find "$out" -type f -exec md5sum {} + | sort >before.txt
}

# refused COMMAND...: the command names the first, and changes nothing.
refused() {
    expect 2 "$out is in use: process $first on $(hostname) is writing to it since 2" "$@"
    find "$out" -type f -exec md5sum {} + | sort | diff before.txt - || fail "$out: files have changed: $*"
}

# completes: the first command continues to its end, and leaves no lock.
completes() {
    rm "$out/$unlocked"
    kill -s CONT $first
    wait $first || fail "$out: exit code $?: $(tail -n 2 first.err)"
    [ -e "$out/run.lock" ] && fail "$out: the lock is still there after the end"
}

# killed COMMAND...: the first is killed. Its lock blocks no other command.
killed() {
    kill -s KILL $first
    wait $first 2>/dev/null
    [ -e "$out/run.lock" ] || fail "$out: a killed command left no lock: the test shows nothing"
    expect 0 "" "$@"
    [ -e "$out/$unlocked" ] && fail "$out: the file of a killed process is still there"
    [ -e "$out/run.lock" ] && fail "$out: the lock is still there after the end"
}

draw_toys 40
"$p2p" train "${small[@]}" --out one --steps 1 >/dev/null 2>&1 || fail "no model"
"$p2p" train "${small[@]}" --out two --seed 2 --steps 1 >/dev/null 2>&1 || fail "no other model"
mkdir photos && cp toys/train/*.jpg photos

echo "-- p2p test"
test=("$p2p" test --data toys --split train --device "$device")
hold tested "${test[@]}" --model one --out tested
refused "${test[@]}" --model two --out tested
refused "${test[@]}" --model two --out tested --force
completes
grep -q '"model": "one/' tested/metrics.json || fail "tested: metrics.json is that of another model"
expect 0 "" "${test[@]}" --model one --out alone
for file in tested/generated/*; do same "alone/generated/${file##*/}" "$file"; done
hold tested "${test[@]}" --model one --out tested --force
killed "${test[@]}" --model two --out tested --force

echo "-- p2p translate to a folder"
translate=("$p2p" translate --device "$device")
hold drawn "${translate[@]}" --model one -o drawn photos
refused "${translate[@]}" --model two -o drawn photos
refused "${translate[@]}" --model two -o drawn --force photos
refused "${test[@]}" --model two --out drawn
# Single pictures may be translated by several commands at once. They are refused beside one for many.
refused "${translate[@]}" --model two -o drawn --force photos/00001.jpg
expect 0 "" "${translate[@]}" --model two -o single.png photos/00001.jpg
refused "${translate[@]}" --model two -o drawn/one.png photos/00001.jpg
# A folder inside: whether the first writes there is not known to a second command.
refused "${translate[@]}" --model two -o drawn/inside photos
refused "${translate[@]}" --model two -o drawn/not/there/yet photos
refused "$p2p" sample-data drawn/inside --count 4
refused "$p2p" pairs grey photos drawn/inside
[ ! -e drawn/inside/run.lock ] && [ ! -e drawn/not/there/yet/run.lock ] || fail "a refused command has left its lock"
completes
expect 0 "" "${translate[@]}" --model one -o alone/drawn photos
diff -r alone/drawn drawn || fail "drawn: results are mixed"
hold drawn "${translate[@]}" --model one -o drawn --force photos
killed "${translate[@]}" --model one -o drawn --force photos

echo "-- a folder inside is locked, and the command above would write there"
mkdir -p nested/inside && cp toys/train/*.jpg nested/inside && cp toys/val/*.jpg nested
hold above/inside "${translate[@]}" --model one -o above/inside photos
out=above/inside
refused "${translate[@]}" --model two -o above nested
refused "${test[@]}" --model two --out above/inside/deeper
expect 0 "" "${translate[@]}" --model two -o above photos # writes nothing into above/inside
completes

echo "-- results inside the folder of a training that runs"
begin training 2 "${small[@]}" --steps 1000000
expect 0 "" "${translate[@]}" --model one -o training/results photos
kill -s INT $training
ends training 130 "a checkpoint is saved"

echo "-- one picture by several commands: one writes it, and the others replace nothing, whenever they notice"
processes=()
for number in 1 2 3 4; do
    "${translate[@]}" --model one -o same.png photos/00001.jpg >"same$number.out" 2>"same$number.err" &
    processes+=($!)
done
written=0
for number in 1 2 3 4; do
    wait "${processes[number - 1]}"
    case $? in
    0) written=$((written + 1)) ;;
    2) grep -q "^p2p: same.png exists already" "same$number.err" && grep -q "^hint: --force overwrites" "same$number.err" ||
        fail "same.png: $(cat "same$number.err")" ;;
    *) fail "same.png: $(cat "same$number.err")" ;;
    esac
done
[ $written -eq 1 ] || fail "$written commands have written same.png"

echo "-- p2p pairs"
mkdir many # so that the first command takes long enough to be stopped
for copy in $(seq 10); do
    for photo in photos/*; do cp "$photo" "many/$copy-${photo##*/}"; done
done
hold made "$p2p" pairs grey many made --workers 1
refused "$p2p" pairs blank many made
refused "$p2p" pairs grey many made
refused "$p2p" pairs split made
refused "$p2p" pairs video photos/00001.jpg made
refused "$p2p" sample-data made
completes
printf '{"pid":1,"host":"far","boot":"b","start":2,"since":"2026-01-01 00:00:00 UTC"}' >made/run.lock
for command in "split made" "grey many made" "video photos/00001.jpg made"; do
    # shellcheck disable=SC2086
    expect 2 "made may be in use: process 1 on far began to write to it at 2026-01-01" "$p2p" pairs $command
done
rm made/run.lock
expect 0 "" "$p2p" pairs split made
[ "$(find made -name '*.png' | wc -l)" -eq 400 ] || fail "made: pictures are missing"
hold halves "$p2p" pairs lowres many halves --workers 1
killed "$p2p" pairs lowres many halves

echo "-- p2p sample-data"
hold more "$p2p" sample-data more --count 2000 --size 32
refused "$p2p" sample-data more --count 4 --size 32 --seed 2
completes
finish
