#!/usr/bin/env bash
# Event files of --tensorboard: of a training that is killed and resumed, and of one that can't write them. With a Python
# that has TensorBoard, TensorBoard reads them.
#
#   tests/program/test_events.sh P2P DEVICE [PYTHON]
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../support/expect.sh" "$1" "$2"
python=${3:-}
draw_toys 6

"$p2p" train "${small[@]}" --out plain --steps 4 >/dev/null 2>&1 || fail "no training"
[ -e plain/tensorboard ] && fail "event files without --tensorboard"
begin run 20 "${small[@]}" --steps 1000000 --checkpoint-every 7 --tensorboard
kill -9 $training
wait $training 2>/dev/null
expect 0 "" "$p2p" train --out run --resume --device "$device" --steps 60
[ "$(ls run/tensorboard | wc -l)" -eq 2 ] || fail "not a file of each process: $(ls run/tensorboard)"
mkdir old && cp -r run/tensorboard old
expect 2 "--out old holds a training already: there is old/tensorboard" "$p2p" train "${small[@]}" --out old --steps 1

"$p2p" train "${small[@]}" --out other --seed 2 --steps 4 --tensorboard >/dev/null 2>&1 || fail "no other training"
other=$(cd other/tensorboard && ls)
run=$(sed -n '1s/.*"run":"\([0-9a-f]*\)".*/\1/p' other/metrics.jsonl)
[[ $other == events.out.tfevents.*."$run".p2p ]] || fail "no identity in the name: $other"
cp -r run mixed && cp "other/tensorboard/$other" mixed/tensorboard
expect 3 "mixed/tensorboard/$other belongs to another training than its folder" \
    "$p2p" train --out mixed --resume --device "$device" --steps 61
rm "mixed/tensorboard/$other"
cp "other/tensorboard/$other" "mixed/tensorboard/events.out.tfevents.1.p2p" # of another program
expect 0 "" "$p2p" train --out mixed --resume --device "$device" --steps 61

touch plain/tensorboard
expect 0 "no more events for TensorBoard are written: " "$p2p" train --out plain --resume --device "$device" --steps 8 --tensorboard
[ "$(grep -c "no more events" err.txt)" -eq 1 ] || fail "printed more than once"

if [ -n "$python" ]; then
    "$python" "$here/read_events.py" run/tensorboard >found.txt 2>errors.txt || fail "not read: $(tail -n 3 errors.txt)"
    for tag in d_real d_fake g_gan g_l1; do
        grep -q "^scalar loss/$tag 60 1 60 " found.txt || fail "loss/$tag: not steps 1 to 60 once each: $(grep "$tag" found.txt)"
    done
    for tag in l1 psnr ssim l1_of_mean_target; do
        grep -q "^scalar validation/$tag 10 6 60 " found.txt || fail "validation/$tag: not 10 epochs: $(grep "n/$tag" found.txt)"
    done
    last=$(sed -nE '$s/.*"val_l1":([0-9]*\.[0-9]{4}).*/\1/p' run/metrics.jsonl)
    grep -q "^scalar validation/l1 .* $last" found.txt || fail "the last validation L1 is not $last"
    grep -qE "^image samples 10 60 [0-9]+ [0-9]+ True" found.txt || fail "no pictures: $(grep image found.txt)"
    "$p2p" train "${small[@]}" --out part --steps 8 --tensorboard >/dev/null 2>&1 || fail "no training that ends within an epoch"
    "$python" "$here/read_events.py" part/tensorboard 2>errors.txt | grep -qE "^image samples 2 8 " || fail "no picture within an epoch"
    grep -q "^setting ngf 4.0" found.txt && grep -q "^setting norm batch" found.txt || fail "no settings"
fi
finish
