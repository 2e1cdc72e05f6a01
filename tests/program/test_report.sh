#!/usr/bin/env bash
# report.html: written by a training that is finished, stopped or resumed, made anew by `p2p report`, which also compares
# several trainings; names from outside in it; what becomes of a training that can't write it.
#
#   tests/program/test_report.sh P2P DEVICE
golden=$(realpath "${P2P_TEST_GOLDEN:-"$(dirname "$0")/../golden"}")
. "$(dirname "$0")/../support/expect.sh" "$1" "$2"
draw_toys 6
small+=(--workers 1)

# data_of PAGE: prints the data in a page.
data_of() {
    sed -n 's#.*<script type="application/json" id="data">\(.*\)</script>#\1#p' "$1"
}

# has PAGE TEXT: checks that the data of the page contain the text.
has() {
    data_of "$1" | grep -qF -- "$2" || fail "$1 lacks $2"
}

echo "-- a training writes it"
expect 0 "its course: run/report.html" "$p2p" train "${small[@]}" --out run --steps 14 --lr 0.0003
run=$(sed -n 's/^  "run": "\([0-9a-f]\{32\}\)",$/\1/p' run/config.json)
grep -qF "<meta name=\"p2p-run\" content=\"$run\">" run/report.html || fail "report.html has another identity"
has run/report.html '"sample_epochs":[1,2],"sample_steps":[14]'
has run/report.html '"steps":14,"epochs":2'
has run/report.html '"epoch_steps":6,"total_steps":14'
grep -qF "<title>run: training</title>" run/report.html || fail "not the folder's name as the title"
has run/report.html '"samples":"samples"'
has run/report.html "p2p train --data toys --size 32 --load-size 36 --ngf 4 --ndf 4 --steps 14 --lr 0.0003"
for curve in d_real d_fake g_gan g_l1 lr images_per_s epoch_g_l1 val_l1 val_psnr val_ssim; do
    has run/report.html "\"$curve\":{\"x\":["
done

echo "-- p2p report makes the same page"
cp run/report.html before.html
rm run/report.html
expect 0 "run/report.html" "$p2p" report run
same before.html run/report.html
expect 0 "" "$p2p" report run # again, over its own page
echo mine >run/report.html
expect 3 "run/report.html exists and is not the page of this training" "$p2p" report run
[ "$(cat run/report.html)" = mine ] || fail "a person's file is overwritten"
rm run/report.html
expect 0 "" "$p2p" train --out run --resume --device "$device" --steps 18
has run/report.html '"steps":18'
has run/report.html '"sample_epochs":[1,2,3]'
begin run 30 --resume --device "$device" --steps 1000000
kill -s INT $training
ends run 130 "a checkpoint is saved"
has run/report.html "\"steps\":$(sed -n 's/.* after step \([0-9]*\) of .*/\1/p' run.err),"

echo "-- several trainings in one page"
mkdir -p "far/odd <b>'name" pages
"$p2p" train "${small[@]}" --out "far/odd <b>'name/second" --steps 4 --seed 2 >/dev/null 2>&1 || fail "no second training"
expect 2 "a page that compares trainings needs a name" "$p2p" report run far/*/second
expect 0 "pages/both.html" "$p2p" report run far/*/second -o pages/both.html
has pages/both.html '"samples":"../run/samples"'
has pages/both.html '"samples":"../far/odd%20%3Cb%3E%27name/second/samples"'
has pages/both.html "far/odd \\u003cb>'name/second"
has pages/both.html '"seed":"2"'
grep -qF "<b>'name" pages/both.html && fail "a name became markup"
grep -q p2p-run pages/both.html && fail "a page of several trainings has an identity"
expect 0 "" "$p2p" report far/*/second run -o pages/both.html
expect 3 "is not the page of this training" "$p2p" report run far/*/second -o run/report.html
(cd pages && expect 0 "" "$p2p" report ../run -o ../run/../pages/../one.html)
has one.html '"samples":"run/samples"'

echo "-- a picture of another training that is copied into the folder of one that runs"
begin running 8 "${small[@]}" --steps 1000000
for number in 9998 9999; do cp "$(find far -name '*.png' | head -n 1)" running/samples/epoch-$number.png; done
kill -s INT $training
ends running 130 "running/samples: epoch-9998.png belongs to another training, and is not shown in the page"
[ "$(grep -c "belongs to another training" running.err)" -eq 1 ] || fail "not reported once: $(cat running.err)"
has running/report.html '"sample_epochs":[1'
grep -q '"sample_epochs":[^]]*999[89]' running/report.html && fail "a picture of another training is shown"

expect 0 "" "$p2p" test --model run --data toys --out measured --device "$device"
grep -qF "<title>run/generator.safetensors on val of toys</title>" measured/index.html || fail "not the model as the title"
cp measured/index.html before.html # a page without an identity, but not one that compares trainings
expect 3 "measured/index.html exists and is not the page" "$p2p" report run far/*/second -o measured/index.html
same before.html measured/index.html
grep -v p2p-page pages/both.html >pages/older.html # as older versions wrote it
expect 0 "" "$p2p" report far/*/second run -o pages/older.html
same pages/both.html pages/older.html

echo "-- the command in the page begins an equal training"
expect 0 "" "$p2p" train "${small[@]}" --out plain --steps 2 --no-jitter
command=$(data_of plain/report.html | sed 's/.*"command":"p2p \([^"]*\) --out plain".*/\1/')
expect 0 "" bash -c "$p2p $command --out again --device $device"
equal_runs plain again

echo "-- a large log"
expect 0 "" "$p2p" report run
[ -s err.txt ] && fail "reading a small log prints: $(cat err.txt)"
cp -r run large
yes '{"note": "a line of 64 bytes, which has neither a step nor a time"}' | head -n 700000 >>large/metrics.jsonl
expect 0 "" "$p2p" report large
grep -qE "^read 4[0-9]/4[0-9] MB  [0-9ms]+ left$" err.txt || fail "no progress of a large log: $(cat err.txt)"

echo "-- what is no training"
expect 2 "no training is named" "$p2p" report
expect 3 "toys: no training to report: there is no metrics.jsonl" "$p2p" report toys
printed "hint: name the folder that was --out" "p2p report toys"
expect 3 "nowhere: no training to report" "$p2p" report nowhere
cp -r run mixed
cp "far/odd <b>'name/second/metrics.jsonl" mixed/metrics.jsonl
expect 3 "mixed: metrics.jsonl and config.json belong to two trainings" "$p2p" report mixed
rm mixed/config.json mixed/report.html
expect 0 "belongs to another training than its folder, and is not shown" "$p2p" report mixed # as of a training whose other files were lost
rm -r mixed && cp -r run mixed
cp "$(find far -name '*.png' | head -n 1)" mixed/samples/epoch-0002.png
expect 0 "mixed/samples: epoch-0002.png belongs to another training than its folder, and is not shown" "$p2p" report mixed
data_of mixed/report.html | grep -q '"sample_epochs":\[1,3,' || fail "not the training's own pictures: $(data_of mixed/report.html | grep -o '"sample_epochs":[^]]*')"
cp -r "$golden/older_run" older
expect 0 "" "$p2p" report older
grep -q p2p-run older/report.html && fail "the page of an older training has an identity"
expect 0 "" "$p2p" train --out older --resume --device "$device" --steps 15

echo "-- a page that can't be written ends no training"
expect 0 "" "$p2p" train "${small[@]}" --out blocked --steps 4
rm blocked/report.html
mkdir blocked/report.html
expect 0 "blocked/report.html is not written, and the training continues without it: " \
    "$p2p" train --out blocked --resume --device "$device" --steps 20
[ "$(grep -c "is not written" err.txt)" -eq 1 ] || fail "printed more than once"
grep -q "its course" err.txt && fail "a page is named that is not there"
rm -r blocked/report.html
echo mine >blocked/report.html
expect 0 "blocked/report.html exists and is not the page of this training" \
    "$p2p" train --out blocked --resume --device "$device" --steps 24
[ "$(cat blocked/report.html)" = mine ] || fail "a person's file is overwritten"
echo "-- the discriminator has won"
expect 0 "D has won: " "$p2p" train --data toys --size 32 --ngf 1 --ndf 16 --lr 0.002 --epochs 30 --workers 1 --device "$device" --out won
[ "$(grep -c "D has won" err.txt)" -eq 1 ] || fail "printed more than once"
expect 0 "" "$p2p" train "${small[@]}" --out even --epochs 4
grep -q "D has won" err.txt && fail "the discriminator has not won yet"
finish
