#!/usr/bin/env bash
# The folder of a training: one process at a time, no file mixed with those of another training, and nothing continued
# in silence on another device, over other pairs, or from nothing.
#
#   tests/program/test_run_folder.sh P2P DEVICE COUNT [SEED]     COUNT starts of two processes at once; SEED of their moments
golden=${P2P_TEST_GOLDEN:-$(cd "$(dirname "$0")/../golden" && pwd)}
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm # each file is flushed to the disk
. "$(dirname "$0")/../support/expect.sh" "$1" "$2"
count=$3
seed=${4:-$((1 + $$ % 32000))}
RANDOM=$seed
echo "-- $count starts of two processes in one folder, seed $seed"

draw_toys 6
length=(--steps 30 --checkpoint-every 7)
"$p2p" train "${small[@]}" --out whole "${length[@]}" >/dev/null 2>&1 || fail "no training to compare with"

# race FIRST SECOND: runs two commands, the second some milliseconds after the first. Exactly one succeeds; the other is
# refused, and changes nothing.
race() {
    local delay=$((RANDOM % 60)) codes
    bash -c "$1" >first.out 2>first.err &
    local first=$!
    sleep "$(printf '0.%03d' $delay)"
    bash -c "$2" >second.out 2>second.err &
    local second=$!
    wait $first
    codes=$?
    wait $second
    codes+=" $?"
    case $codes in
    "0 2") cp second.err refused.err ;;
    "2 0") cp first.err refused.err ;;
    *) fail "after $delay ms: exit codes $codes: $(tail -n 2 first.err second.err)" && return ;;
    esac
    grep -qE "is in use: |holds a training already" refused.err || fail "refused otherwise: $(cat refused.err)"
}

for i in $(seq "$count"); do
    command="$p2p train ${small[*]} --out race ${length[*]}"
    race "$command" "$command"
    equal_runs whole race checkpoints/step-000000030.safetensors best/best.json config.json
    rm -rf race
done
"$p2p" train "${small[@]}" --out half --steps 14 --checkpoint-every 7 >/dev/null 2>&1
for i in $(seq "$count"); do
    cp -r half race
    command="$p2p train --out race --resume --device $device --steps 30"
    race "$command" "$command"
    equal_runs whole race checkpoints/step-000000030.safetensors best/best.json config.json
    rm -rf race
done

echo "-- a living training is named"
begin living 5 "${small[@]}" --steps 1000000
for way in "--resume" "--data toys --size 32"; do
    # shellcheck disable=SC2086
    expect 2 "living is in use: process $training on $(hostname) is writing to it since 2" "$p2p" train --out living $way
done
expect 0 "" "$p2p" translate --model half -o drawn.png "$(ls toys/val/* | head -n 1)" --device "$device" # readers need none
cp -r living copied # with its lock
expect 0 "done: the model is copied/generator" "$p2p" train --out copied --resume --device "$device" --steps 3
kill -0 $training || fail "the training ended because its folder was copied"
kill -9 $training
wait $training 2>/dev/null
[ -e living/run.lock ] || fail "a killed training left no lock: the test shows nothing"
expect 0 "done: the model is" "$p2p" train --out living --resume --device "$device" --steps 1
[ -e living/run.lock ] && fail "the lock is still there after the end"
printf '{"pid":1,"host":"far","boot":"b","start":2,"since":"2026-01-01 00:00:00 UTC"}' >living/run.lock
expect 2 "living may be in use: process 1 on far began to write to it at 2026-01-01" "$p2p" train --out living --resume
printed "hint: if that process has ended, remove living/run.lock" "a lock of another host"
# A process in a container has another number here: the one that it has there may be any other process's.
if unshare -Urpf --mount-proc true 2>/dev/null; then
    unshare -Urpf --mount-proc --kill-child=KILL "$p2p" train "${small[@]}" --out boxed --steps 1000000 >/dev/null 2>&1 &
    training=$!
    for _ in $(seq 3000); do [ -s boxed/metrics.jsonl ] && break || sleep 0.02; done
    expect 2 "boxed is in use: process 1 on " "$p2p" train --out boxed --resume --device "$device"
    printed "hint: wait until it has ended, or stop it where it runs" "a training in a container"
    kill -9 $training
    wait $training 2>/dev/null
else
    skipped "a training in a container" "there are no namespaces"
fi

echo "-- a folder that is renamed, removed or replaced while a training writes to it"
# The training continues in the renamed folder. Another one may begin at its path, and is not touched.
begin here 5 "${small[@]}" --steps 1000000 --checkpoint-every 7
mv here there
expect 0 "done: the model is here/generator.safetensors" "$p2p" train "${small[@]}" --out here --seed 2 "${length[@]}"
find here -type f -exec md5sum {} + | sort >before.txt
steps() { grep -c '"step"' there/metrics.jsonl; }
made=$(steps)
for _ in $(seq 3000); do [ "$(steps)" -gt $((made + 20)) ] && break || sleep 0.02; done
kill -s INT $training
mv here.err there.err && mv here.out there.out
ends there 130 "a checkpoint is saved"
grep -qF "here was renamed: the training continues in $PWD/there" there.err || fail "there: the move is not reported"
find here -type f -exec md5sum {} + | sort | diff before.txt - || fail "here: files of another training have changed"
[ -e there/run.lock ] && fail "there: the lock is still there after the end"
step=$(sed -nE 's/^p2p: stopped by .* after step ([0-9]+) of .*/\1/p' there.err)
resume="$(command_of there.err)"
[[ $resume == *" --out $PWD/there "* ]] || fail "there: the hint does not name the new folder: $resume"
expect 0 "continuing after step $step" bash -c "${resume/--steps 1000000/--steps $((step + 3))}"
expect 0 "" "$p2p" train "${small[@]}" --out straight --steps $((step + 3)) --checkpoint-every 7
equal_runs straight there best/best.json
rm -r here there straight

# The lock alone is removed: it is taken again.
begin unlocked 5 "${small[@]}" --steps 1000000 --checkpoint-every 7
rm unlocked/run.lock
for _ in $(seq 3000); do [ -e unlocked/run.lock ] && break || sleep 0.02; done
expect 2 "unlocked is in use: process $training" "$p2p" train --out unlocked --resume
kill -s INT $training
ends unlocked 130 "a checkpoint is saved"

# A removed folder is made again for the last checkpoint; one of another training in its place is left alone.
for replaced in "" half; do
    begin gone 5 "${small[@]}" --steps 1000000 --checkpoint-every 7
    halt $training
    rm -r gone
    [ -z "$replaced" ] || cp -r half gone
    kill -s CONT $training
    ends gone 1 "p2p: "
    if [ -n "$replaced" ]; then
        diff -r half gone || fail "gone: files of another training have changed"
    else
        kept=$(sed -nE 's/.*the training up to step ([0-9]+) is kept.*/\1/p' gone.err)
        [ -n "$kept" ] || fail "gone: nothing is kept: $(tail -n 2 gone.err)"
        resume="$(command_of gone.err)"
        expect 0 "continuing after step $kept" bash -c "${resume/--steps 1000000/--steps $((kept + 3))}"
    fi
    rm -rf gone
done

echo "-- checkpoints and the best models on another file system"
elsewhere=
for folder in /dev/shm /tmp /var/tmp; do
    [ -w $folder ] && [ "$(stat -c %d $folder)" != "$(stat -c %d .)" ] && elsewhere=$(mktemp -d $folder/p2p.XXXXXX) && break
done
[ -n "$elsewhere" ] || skipped "checkpoints on another file system" "there is one file system only"
elsewhere=${elsewhere:-$(mktemp -d "$work/elsewhere.XXXXXX")}
trap 'rm -rf "$work" "$elsewhere"' EXIT
for linked in checkpoints best "checkpoints best"; do
    expect 0 "" "$p2p" train "${small[@]}" --out far --steps 7 --checkpoint-every 7
    for name in $linked; do mv far/$name "$elsewhere" && ln -s "$elsewhere/$name" far/$name; done
    expect 0 "" "$p2p" train --out far --resume --device "$device" --steps 20
    expect 0 "" "$p2p" train --out far --resume --device "$device" --steps 30
    equal_runs whole far best/best.json best/generator.safetensors
    [ ! -e far/checkpoints/best ] || fail "far: the kept best was not removed"
    for name in $linked; do [ -L far/$name ] || fail "far/$name is no link any more"; done
    rm -r far "${elsewhere:?}"/*
done

echo "-- a new training needs a folder without the names that it writes"
for name in config.json metrics.jsonl generator.safetensors discriminator.safetensors checkpoints samples epochs best report.html tensorboard; do
    mkdir old && cp -r whole/$name old 2>/dev/null || mkdir old/$name # whole/ has no event files
    find old -type f -exec md5sum {} + >before.txt
    expect 2 "--out old holds a training already: there is old/$name" "$p2p" train "${small[@]}" --out old --steps 1
    find old -type f -exec md5sum {} + | diff before.txt - || fail "$name: a file has changed"
    rm -r old
done
mkdir own && echo mine >own/notes.txt && echo mine >own/train.log
expect 0 "" "$p2p" train "${small[@]}" --out own "${length[@]}"
equal_runs whole own
[ "$(cat own/notes.txt own/train.log)" = "mine
mine" ] || fail "a person's files have changed"
expect 3 "nowhere" "$p2p" train "${small[@]/toys/nowhere}" --out unborn
[ -e unborn ] && fail "a refused training left its folder"
expect 4 "99" "$p2p" train --data toys --out unborn --size 32 --device reference:99
[ -e unborn ] && fail "a training without a device left its folder"

echo "-- files of another training are neither used nor removed"
"$p2p" train "${small[@]}" --out other --seed 2 --steps 30 >/dev/null 2>&1 || fail "no other training"
for name in generator.safetensors discriminator.safetensors metrics.jsonl epochs/005-generator.safetensors \
    samples/epoch-0005.png best/generator.safetensors best/best.json report.html; do
    cp -r half mixed && cp other/$name mixed/$name
    cp other/$name foreign
    expect 3 "mixed/$name" "$p2p" train --out mixed --resume --device "$device" --steps 30
    printed "hint: move it to another folder" "$name of another training"
    same foreign mixed/$name
    rm -r mixed
done
cp -r half mixed && cp other/checkpoints/step-000000030.safetensors mixed/checkpoints
expect 3 "step-000000030.safetensors belongs to another training than mixed/config.json" \
    "$p2p" train --out mixed --resume --device "$device" --steps 40
rm -r mixed
cp -r half mixed && cp other/epochs/005-generator.safetensors mixed/epochs
translate=("$p2p" translate -o drawn.png "$(ls toys/val/* | head -n 1)" --device "$device" --force)
expect 0 "not used, because it belongs to another training than its folder: mixed/epochs/005" "${translate[@]}" --model mixed
cp drawn.png mixed.png
expect 0 "" "${translate[@]}" --model half
same drawn.png mixed.png
expect 3 "belongs to another training" "${translate[@]}" --model mixed --epoch 5
expect 0 "" "${translate[@]}" --model mixed/epochs/005-generator.safetensors
rm -r mixed
# Initial weights are selected as a model is: the newest own one.
cp -r half mixed && cp other/generator.safetensors mixed
begun=("$p2p" train "${small[@]}" --steps 1)
expect 0 "--init-generator: mixed/epochs/002-generator.safetensors" "${begun[@]}" --out from_mixed --init-generator mixed
printed "not used, because it belongs to another training than its folder: mixed/generator" "--init-generator of a mixed folder"
printed "mixed/epochs/002-generator.safetensors is of step 12, but there is a checkpoint of step 14" "an older model"
expect 0 "" "${begun[@]}" --out from_half --init-generator half/epochs/002-generator.safetensors
same_weights from_half/generator.safetensors from_mixed/generator.safetensors
expect 3 "mixed: the folder has no generator.safetensors" bash -c "rm -r mixed/epochs; ${begun[*]} --out x --init-generator mixed"
for name in discriminator.safetensors best/discriminator.safetensors best/generator.safetensors; do
    cp other/$name mixed/$name
    option=${name##*/} folder=mixed/${name%/*}
    [ "$folder" != "mixed/$name" ] || folder=mixed
    expect 3 "" "${begun[@]}" --out x "--init-${option%%.*}" "$folder"
    grep -qE "belongs to another training than its folder" err.txt || fail "$name: another training's weights were used"
done
[ ! -e x ] || fail "a refused training left its folder"
rm -r mixed from_mixed from_half
# A model that is older than the newest checkpoint is named.
cp -r half stale && rm -r stale/epochs && cp half/epochs/001-generator.safetensors stale/generator.safetensors
expect 0 "stale/generator.safetensors is of step 6, but there is a checkpoint of step 14" "${translate[@]}" --model stale
expect 0 "was absent, damaged or of another state" "$p2p" train --out stale --resume --device "$device"
expect 0 "" "${translate[@]}" --model stale
grep -q "there is a checkpoint" err.txt && fail "a model that is as new as the checkpoint is called older"
rm -r stale

# An epoch's generator that is copied there while a training runs: --keep-epochs does not remove it.
begin kept 8 "${small[@]}" --epochs 40 --keep-epochs 1
cp other/epochs/001-generator.safetensors kept/epochs/000000001-generator.safetensors
ends kept 0 "done: the model is"
same other/epochs/001-generator.safetensors kept/epochs/000000001-generator.safetensors
[ "$(ls kept/epochs | wc -l)" -eq 2 ] || fail "--keep-epochs 1: $(ls kept/epochs)"

echo "-- every file has the run's identity, which is that of an equal training"
run=$(sed -n 's/^  "run": "\([0-9a-f]\{32\}\)",$/\1/p' whole/config.json)
[ -n "$run" ] || fail "config.json has no identity"
for file in $(cd whole && find . -type f); do grep -qa "$run" "whole/$file" || fail "$file lacks the run's identity"; done
expect 0 "" "$p2p" train "${small[@]}" --out again --steps 3 --verify-data
grep -q "$run" again/config.json || fail "another length or --verify-data has another identity"
grep -q "$run" other/config.json && fail "another seed has the same identity"

echo "-- models without a checkpoint"
cp -r whole bare && rm -r bare/checkpoints
cp -r bare before
expect 3 "there is no checkpoint to continue from, but there is bare/generator.safetensors" \
    "$p2p" train --out bare --resume --device "$device" --steps 40
printed "--init-generator bare/generator.safetensors" "models without a checkpoint"
diff -r before bare || fail "bare: files have changed"
rm bare/generator.safetensors
expect 3 "there is bare/discriminator.safetensors" "$p2p" train --out bare --resume --device "$device" --steps 40
rm bare/discriminator.safetensors
expect 0 "there is no checkpoint yet: the training starts again at step 1" "$p2p" train --out bare --resume --device "$device"
equal_runs whole bare checkpoints/step-000000030.safetensors best/best.json

echo "-- another device"
case $device in reference*) elsewhere=reference:1 ;; *) elsewhere=reference:0 ;; esac
cp -r half moved
expect 2 "but this is 'reference device" "$p2p" train --out moved --resume --device $elsewhere --steps 30
diff -r half moved || fail "moved: files have changed"
expect 0 "continuing, because --allow-other-device is given" \
    "$p2p" train --out moved --resume --device $elsewhere --steps 20 --allow-other-device
expect 0 "continuing after step 20" "$p2p" train --out moved --resume --device $elsewhere --steps 21
expect 2 "--allow-other-device requires --resume" "$p2p" train "${small[@]}" --out x --allow-other-device

echo "-- another version of p2p, and one that recorded less"
cp -r half versions
for file in versions/checkpoints/*; do unseal "$file"; done
# The lengths in the file stay as they are.
sed -i 's/\\"version\\":\\"[0-9]/\\"version\\":\\"9/' versions/checkpoints/*
grep -qa '\\"version\\":\\"9' versions/checkpoints/step-000000014.safetensors || fail "the version was not replaced"
expect 2 "was written by p2p 9.1.0, but this is p2p " "$p2p" train --out versions --resume --device "$device" --steps 30
expect 0 "continuing after step 14" "$p2p" train --out versions --resume --device "$device" --steps 30 --allow-other-version

# Eight steps of p2p 0.1.0 as it was before files had an identity, made with:
#   p2p train --data toys --out run --size 8 --generator 2 --ngf 1 --ndf 1 --d-net pixel --device reference:0 --steps 8
cp -r "$golden/older_run" older
expect 0 "continuing after step 8" "$p2p" train --out older --resume --device "$device" --steps 14
printed "an older version of p2p began this training" "resuming an older training"
[ -e older/epochs/002-generator.safetensors ] && [ -e older/checkpoints/step-000000014.safetensors ] ||
    fail "the older training was not continued"
grep -rqaE '"run\\?":' older && fail "a file of the older training has an identity: it would not belong to the others"
expect 0 "" "${translate[@]}" --model older
expect 0 "continuing after step 14" "$p2p" train --out older --resume --device "$device" --steps 15
grep -q "older version" err.txt && fail "what a checkpoint of this version recorded is not compared"
expect 2 "but this is 'reference device" "$p2p" train --out older --resume --device $elsewhere --steps 16

echo "-- other pairs"
cp -r toys changed
cp -r half pairs
expect 0 "continuing after step 14" "$p2p" train --out pairs --resume --device "$device" --data changed --steps 15
rm -r pairs && cp -r half pairs
first=$(ls changed/train/* | head -n 1) second=$(ls changed/train/* | sed -n 2p)
cp "$second" "$first"
expect 3 "the contents of the training pairs have changed" "$p2p" train --out pairs --resume --device "$device" --data changed
diff -r half pairs || fail "pairs: files have changed"
expect 0 "continuing, because --allow-other-data is given" \
    "$p2p" train --out pairs --resume --device "$device" --data changed --steps 15 --allow-other-data
rm -r pairs && cp -r half pairs
mkdir -p beside # the recorded --data leads nowhere from here
expect 3 "there is no folder toys, which is recorded as --data" \
    env -C beside "$p2p" train --out ../pairs --resume --device "$device"
printed "hint: name the folder of the pairs with --data" "a training that is resumed from elsewhere"
expect 0 "done: " env -C beside "$p2p" train --out ../pairs --resume --device "$device" --steps 15 --data ../toys
rm -r pairs && cp -r half pairs
rm -r changed && cp -r toys changed
cp "$second" "$(ls changed/val/* | head -n 1)"
expect 3 "the validation pairs, by which the best epoch is chosen, have changed" \
    "$p2p" train --out pairs --resume --device "$device" --data changed
rm -r changed && cp -r toys changed && rm -r changed/val
expect 3 "(1 then, 0 now)" "$p2p" train --out pairs --resume --device "$device" --data changed

# A byte between the samples of a large file: found by --verify-data alone.
mkdir -p large/train
for i in 1 2; do
    # A BMP of 256 x 128 pixels with 24 bits: the header, then the pixels.
    { printf 'BM\x36\x80\x01\0\0\0\0\0\x36\0\0\0\x28\0\0\0\0\x01\0\0\x80\0\0\0\x01\0\x18\0\0\0\0\0\0\x80\x01\0'
      head -c 16 /dev/zero; seq -s, $i 99999 | head -c 98304; } >large/train/$i.bmp
done
expect 0 "" "$p2p" train "${small[@]/toys/large}" --out verified --steps 2 --verify-data
expect 0 "" "$p2p" train "${small[@]/toys/large}" --out sampled --steps 2
cp -r verified untouched
printf 'x' | dd of=large/train/1.bmp bs=1 seek=20000 conv=notrunc 2>/dev/null
expect 3 "the contents of the training pairs have changed" \
    "$p2p" train --out verified --resume --device "$device" --steps 3 --verify-data
diff -r untouched verified || fail "verified: files have changed"
expect 0 "continuing after step 2" "$p2p" train --out verified --resume --device "$device" --steps 3
expect 0 "no hash of all bytes was recorded before" "$p2p" train --out sampled --resume --device "$device" --steps 3 --verify-data

finish
