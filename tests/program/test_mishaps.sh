#!/usr/bin/env bash
# Mishaps of a training: signals, a full disk, folders and pictures that vanish, a lost device, numbers that are not
# finite. The checkpoints remain usable, and the command in the message's hint resumes to the bits of an uninterrupted
# training.
#
#   tests/program/test_mishaps.sh P2P DEVICE     P2P: the program; DEVICE: e.g. reference:0, opencl:0
. "$(dirname "$0")/../support/expect.sh" "$@"

draw_toys 12
length=(--steps 144 --save-every 5)
last=checkpoints/step-000000144.safetensors
"$p2p" train "${small[@]}" --out whole "${length[@]}" >/dev/null 2>&1 || fail "no training to compare with"

# resumes FILE OUT WORDS: runs the command in the hint of FILE. It must print WORDS and end with the bits of "whole".
resumes() {
    expect 0 "$3" bash -c "$(command_of "$1")"
    equal_runs whole "$2" best/best.json best/generator.safetensors samples/epoch-0012.png epochs/010-generator.safetensors
}

echo "-- signals: the step is finished, kept, and resumed"
for signal in INT:130 TERM:143 HUP:129; do
    out="stopped by ${signal%:*}"
    begin "$out" 20 "${small[@]}" "${length[@]}"
    kill -s "${signal%:*}" $training
    ends "$out" "${signal#*:}" "stopped by"
    step=$(sed -nE 's/^p2p: stopped by .* after step ([0-9]+) of 144; .*/\1/p' "$out.err")
    [ -e "$out/checkpoints/step-$(printf %09d "$step").safetensors" ] || fail "$out: no checkpoint of step $step"
    resumes "$out.err" "$out" "continuing after step $step"
    same whole/$last "$out/$last"
done
signals=--ignore-signal=HUP begin nohup 20 "${small[@]}" "${length[@]}"
kill -s HUP $training
ends nohup 0 "done: the model is"

echo "-- a signal in validation: the epoch's end is still to come"
mkdir patient && cp -r toys/train patient/train && mkdir patient/val
for i in $(seq 300); do cp "$(ls toys/val/* | head -n 1)" "patient/val/$(printf %04d "$i").png"; done
validated=(--epochs 2 --save-every 2)
expect 0 "" "$p2p" train "${small[@]/toys/patient}" --out measured "${validated[@]}"
begin interrupted 11 "${small[@]/toys/patient}" "${validated[@]}"
kill -s INT $training
ends interrupted 130 "after step 12 of 24"
grep -q '"event":"epoch"' interrupted/metrics.jsonl && fail "interrupted: the epoch has ended already: the test shows nothing"
expect 0 "continuing after step 12" bash -c "$(command_of interrupted.err)"
equal_runs measured interrupted checkpoints/step-000000024.safetensors samples/epoch-0001.png best/best.json

echo "-- a lost device: exit code 5, and the training resumes at the last checkpoint, or at the start if there is none"
steps=
for call in 2400 6000 12000; do
    rm -rf lost
    expect 5 "the device is lost since backend call $call" env P2P_LOSE_DEVICE_AT=$call \
        "$p2p" train "${small[@]}" --out lost "${length[@]}" --checkpoint-every 4
    printed "hint: check with p2p devices whether the device still works" "a lost device"
    cp err.txt lost.err
    step=$(ls lost/checkpoints 2>/dev/null | sed -nE '$s/^step-0*([0-9]+)\.safetensors$/\1/p')
    resumes lost.err lost "${step:+continuing after step $step}"
    [ "$(sed -n 's/^continuing after step //p' out.txt err.txt)" = "$step" ] || fail "lost: not resumed at step ${step:-0}"
    [ -n "$step" ] || printed "step 1/144 " "a training resumed without a checkpoint"
    steps+=" ${step:-none}"
done
[[ $steps == *none*[0-9] ]] || fail "no device was lost before, or none after the first checkpoint: checkpoints:$steps"

echo "-- numbers that are not finite"
expect 1 "is no longer a finite number" "$p2p" train "${small[@]}" --out wild --steps 50 --lr 1e300 --checkpoint-every 1
printed "smaller --lr" "numbers that are not finite"
[ -e wild/generator.safetensors ] && fail "a model that is not finite was saved"
[ -n "$(ls wild/checkpoints 2>/dev/null)" ] && fail "a checkpoint that is not finite was saved"
expect 0 "" "$p2p" train "${small[@]}" --out ill --steps 4 --save-every 10 --checkpoint-every 2
good=ill/checkpoints/step-000000004.safetensors
cp $good good.safetensors
unseal $good
cp $good unsealed.safetensors
# The last moment becomes a NaN, in single and in double precision.
overwrite $good '\0\0\370\177' $(($(stat -c %s $good) - 4))
expect 3 "NaN or infinite" "$p2p" train --out ill --resume --device "$device" --steps 144
printed "tensor discriminator/moment2." "a moment that is NaN"
# A weight becomes huge, 2^127 in single precision and 2^1009 in double precision: the next steps diverge.
cp unsealed.safetensors $good
overwrite $good '\0\0\0\177' $(($(od -An -tu8 -N8 $good) + 8 + 4100))
cp -r ill/checkpoints before
expect 1 "finite" "$p2p" train --out ill --resume --device "$device" --steps 144
printed "smaller --lr" "numbers that are not finite"
diff -r before ill/checkpoints || fail "ill: a checkpoint has changed"
rm $good
expect 0 "continuing after step 2" "$p2p" train --out ill --resume --device "$device" --steps 144
equal_runs whole ill best/best.json

# The rest concerns files and does not depend on the device.
if [ "${device%%:*}" != reference ]; then
    finish
    exit
fi

echo "-- a second signal stops at once, in the middle of a long step"
begin slow 0 --data toys --steps 9 --size 128 --ngf 16 --ndf 16 --device "$device"
kill -s INT $training
until grep -q "stopping after this step" slow.err || ! kill -0 $training 2>/dev/null; do sleep 0.02; done
kill -s TERM $training
ends slow 143 "stopping after this step"
grep -q "stopped by" slow.err && fail "a second signal waited for the step"

echo "-- pictures that vanish or break: the last step is kept"
for what in train val broken; do
    cp -r toys "$what-toys"
    begin "$what" 20 "${small[@]/toys/$what-toys}" "${length[@]}"
    if [ $what = broken ]; then
        for file in broken-toys/train/*; do echo "no picture" >"$file"; done
    else
        mv "$what-toys/$what" "$what-toys/away"
    fi
    ends "$what" 3 "$what-toys"
    step=$(sed -nE 's/^hint: .*the training up to step ([0-9]+) is kept.*/\1/p' "$what.err")
    [ -e "$what/checkpoints/step-$(printf %09d "$step").safetensors" ] || fail "$what: no checkpoint of step $step"
    rm -rf "$what-toys"
    cp -r toys "$what-toys"
    expect 0 "continuing after step $step" bash -c "$(command_of "$what.err")"
    equal_runs whole "$what" best/best.json best/generator.safetensors # not the checkpoint, which contains the folder's name
done

echo "-- folders that can't be written"
expect 1 "/proc/run" "$p2p" train "${small[@]}" --out /proc/run
expect 1 "can't make the folder whole/config.json" "$p2p" train "${small[@]}" --out whole/config.json/run
begin blocked 20 "${small[@]}" "${length[@]}"
mv blocked/samples samples-before && touch blocked/samples # rm -r fails if a picture is being written
ends blocked 1 "blocked/samples"
grep -q "^hint: free space or make the folder writable; the training up to step" blocked.err || fail "blocked: no hint"
rm blocked/samples
resumes blocked.err blocked "continuing after step"
same whole/$last blocked/$last

echo "-- a full disk"
# A limit on the size of files, set while the training runs, has the same effect.
expect 0 "" "$p2p" train "${small[@]}" --out full --steps 4 --save-every 10
cp -r full/checkpoints good
begin full 8 --resume --device "$device" --steps 144
prlimit --pid $training --fsize=100000
ends full 1 "File too large"
step=$(ls full/checkpoints | tail -n 1)
grep -q "^hint: free space or make the folder writable; the last checkpoint is full/checkpoints/$step;" full.err ||
    fail "full: $(tail -n 2 full.err)"
diff -r good full/checkpoints || fail "full: the last good checkpoint has changed"
resumes full.err full "continuing after step 4"

# A small file system, if one can be mounted here.
if unshare -rm mount -t tmpfs none /mnt 2>/dev/null; then
    # shellcheck disable=SC2016
    expect 0 "resumed" unshare -rm bash -c '
        mkdir disk && mount -t tmpfs -o size=$0 none disk || exit 9
        "$@" --out disk/run 2>disk.err
        [ $? -eq 1 ] && grep -q "No space left on device" disk.err || { tail -n 2 disk.err; exit 8; }
        mount -o remount,size=64m disk || exit 7
        eval "$(sed -n "s/^hint:.*continue with: //p" disk.err)" 2>again.err || exit 6
        grep "continuing after step [1-9]" again.err || exit 5
        cmp disk/run/generator.safetensors whole/generator.safetensors && echo resumed' \
        $(($(du -sb whole | cut -f 1) + $(stat -c %s whole/$last) / 2)) "$p2p" train "${small[@]}" "${length[@]}" --checkpoint-every 7
else
    skipped "a full disk" "none can be mounted here; a file size limit was tested instead"
fi

finish
