#!/usr/bin/env bash
# Damaged files of a training, and files that are given for others: what can continue without them continues with a message,
# the rest is refused by name. test_checkpoint, test_model_file and test_json_file damage every bit.
#
#   tests/program/test_damage.sh P2P DEVICE     P2P: the program; DEVICE: e.g. reference:0
. "$(dirname "$0")/../support/expect.sh" "$@"

draw_toys 3

echo "-- a damaged checkpoint: the one before it is taken"
expect 0 "" "$p2p" train "${small[@]}" --out damaged --steps 6 --checkpoint-every 2
expect 0 "" "$p2p" train "${small[@]}" --out intact --steps 6 --checkpoint-every 2
for how in cut bit header; do
    rm -rf once && cp -r damaged once
    newest=once/checkpoints/step-000000006.safetensors
    case $how in
    cut) head -c 5000 $newest >cut && mv cut $newest ;;
    bit) flip $newest $(($(stat -c %s $newest) / 2)) ;;
    header) flip $newest 40 ;;
    esac
    touch once/checkpoints/.p2p-1-0123456789abcdef.tmp
    expect 0 "continuing after step 4" "$p2p" train --out once --resume --device "$device"
    printed "warning: $newest is" "a damaged checkpoint ($how)"
    printed "$newest.damaged; the training continues from once/checkpoints/step-000000004.safetensors" "a damaged checkpoint"
    [ -e once/checkpoints/.p2p-1-0123456789abcdef.tmp ] && fail "the file of a killed process is still there"
    equal_runs intact once
done
for file in damaged/checkpoints/*; do flip "$file" $(($(stat -c %s "$file") - 5)); done
expect 3 "step-000000006.safetensors is damaged" "$p2p" train --out damaged --resume --device "$device"
printed "no checkpoint of the training is intact" "two damaged checkpoints"
[ "$(ls damaged/checkpoints)" = "$(printf 'step-%09d.safetensors\n' 4 6)" ] || fail "files were removed or renamed"

echo "-- models with a damaged bit, damaged numbers or a cut end: --resume writes them again, or names them"
expect 0 "" "$p2p" train "${small[@]}" --out models --epochs 3 --save-every 1
best=$(sed -n 's/.*"epoch": \([0-9]*\).*/\1/p' models/best/best.json)
for file in generator discriminator best/generator best/discriminator epochs/002-generator; do
    for how in bit zeros cut; do
        rm -rf once && cp -r models once
        path=once/$file.safetensors
        size=$(stat -c %s "$path")
        case $how in
        bit) flip "$path" $((size - 40)) ;;
        zeros) dd if=/dev/zero of="$path" bs=1 seek=$((size - 600)) count=400 conv=notrunc 2>/dev/null ;;
        cut) truncate -s $((size - 40)) "$path" ;;
        esac
        expect 0 "done: the model is once/generator.safetensors" "$p2p" train --out once --resume --device "$device"
        case $file in
        generator | discriminator)
            printed "was absent, damaged or of another state than the checkpoint: both were written again" "$file ($how)"
            same models/$file.safetensors "$path"
            continue
            ;;
        best/*) printed "once/best lacks files of epoch $best" "$file ($how)" ;;
        esac
        printed "$path is damaged and was renamed to $path.damaged" "$file ($how)"
        [ ! -e "$path" ] && [ -e "$path.damaged" ] || fail "$file ($how): the damaged model is still there"
        expect 0 "" "$p2p" train --out once --resume --device "$device"
        grep -q "$path is damaged" err.txt && fail "$file ($how): the damage is reported again"
    done
done
rm -rf once && cp -r models once # a damaged bit of the best one while a copy of it is kept
mv once/best once/checkpoints && cp -r once/checkpoints/best once/best && flip once/best/generator.safetensors 2000
expect 0 "done: the model is" "$p2p" train --out once --resume --device "$device"
diff -r models/best once/best || fail "the kept best was not restored"

echo "-- damaged models, settings and logs"
flip damaged/generator.safetensors 2000
expect 3 "generator.safetensors is damaged" "$p2p" translate --model damaged -o x.png --device "$device" toys/val
flip intact/best/discriminator.safetensors $(($(stat -c %s intact/best/discriminator.safetensors) - 3))
expect 3 "discriminator.safetensors is damaged" "$p2p" train "${small[@]}" --out x --steps 1 --init-discriminator intact/best
rm -r damaged/{checkpoints,generator.safetensors,discriminator.safetensors} # models alone are not overwritten
cp damaged/config.json config.json
sed -i 's/"lr": 0.0002/"lr": 0.0003/' damaged/config.json
expect 3 "config.json is damaged or was changed" "$p2p" train --out damaged --resume --device "$device"
printed 'remove the line with "checksum"' "a changed config.json"
sed -i '/"checksum"/d' damaged/config.json
expect 0 "" "$p2p" train --out damaged --resume --device "$device"
grep -q '"lr":0.0003' damaged/metrics.jsonl || fail "the changed setting is not used"
sed -i '3s/"step":2/"step";2/' intact/metrics.jsonl
expect 0 "metrics.jsonl: lines are damaged or missing" "$p2p" train --out intact --resume --device "$device" --steps 7
[ -e intact/metrics.jsonl.damaged ] || fail "the damaged log is gone"
rm -rf once && cp -r models once
rm -r once/metrics.jsonl once/samples once/epochs
expect 0 "once/metrics.jsonl is absent or empty: the losses of the first 9 steps are lost" \
    "$p2p" train --out once --resume --device "$device" --epochs 4
printed "there is no once/samples/epoch-0003.png, the picture of the last epoch" "lost samples/"
printed "there is no once/epochs: the models of epochs can't be written again" "lost epochs/"
expect 0 "" "$p2p" train --out once --resume --device "$device" --epochs 5
grep -qE "are lost|damaged|there is no" err.txt && fail "what was lost is reported again: $(cat err.txt)"
rm -rf once && cp -r models once # a bit of the identity in the log
identity=$(sed -n '1s/.*"run":"\([0-9a-f]*\)".*/\1/p' once/metrics.jsonl)
offset=$(head -n 1 once/metrics.jsonl | grep -bo "$identity" | cut -d: -f1)
flip once/metrics.jsonl "$offset"
expect 0 "the first line of metrics.jsonl, which names the training, is damaged or missing" "$p2p" report once
expect 0 "metrics.jsonl: lines are damaged or missing" "$p2p" train --out once --resume --device "$device"
same models/metrics.jsonl once/metrics.jsonl
offset=$(grep -abo "$identity" once/report.html | head -n 1 | cut -d: -f1) # and in the page
flip once/report.html "$offset"
expect 0 "" "$p2p" report once
grep -q "$identity" once/report.html || fail "the page was not written again"
flip once/report.html "$offset"
expect 0 "" "$p2p" train --out once --resume --device "$device"
sed -i 1d once/metrics.jsonl
expect 0 "the first line of metrics.jsonl" "$p2p" report once
expect 0 "metrics.jsonl: lines are damaged or missing" "$p2p" train --out once --resume --device "$device"
same models/metrics.jsonl once/metrics.jsonl

echo "-- models of other kinds"
translate=("$p2p" translate -o x.png --device "$device")
expect 3 "is a checkpoint, from which a training is resumed" \
    "${translate[@]}" --model intact/checkpoints/step-000000006.safetensors toys/val
printed "generator.safetensors in that folder" "a checkpoint as a model"
expect 3 "is a discriminator: only a generator" "${translate[@]}" --model intact/discriminator.safetensors toys/val
expect 0 "--init-generator: intact/generator.safetensors" \
    "$p2p" train "${small[@]}" --out from --steps 1 --init-generator intact --init-discriminator intact
grep -q "was trained" err.txt && fail "weights of the same direction are reported"
expect 0 "--init-generator: intact/generator.safetensors was trained AtoB, and this training is --direction BtoA" \
    "$p2p" train "${small[@]}" --out turned --steps 1 --init-generator intact --direction BtoA
expect 0 "" "$p2p" train "${small[@]}" --out files --steps 1 --init-generator intact/generator.safetensors \
    --init-discriminator intact/discriminator.safetensors
equal_runs from files
expect 3 "has no generator.safetensors" "$p2p" train "${small[@]}" --out x --steps 1 --init-generator intact/checkpoints
expect 3 "is a discriminator, and a generator is needed" \
    "$p2p" train "${small[@]}" --out x --steps 1 --init-generator intact/discriminator.safetensors
expect 3 "is a checkpoint" \
    "$p2p" train "${small[@]}" --out x --steps 1 --init-generator intact/checkpoints/step-000000006.safetensors

echo "-- folders that are no training"
expect 2 "is a file: results go into a folder" "$p2p" train --out intact/checkpoints/step-000000006.safetensors --resume
expect 2 "is a file: results go into a folder" "$p2p" train "${small[@]}" --out toys/train/../../intact/config.json
expect 3 "no training to resume" "$p2p" train --out intact/checkpoints --resume
printed "--out is the folder of a training" "checkpoints/ as a training"

finish
