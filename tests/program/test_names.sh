#!/usr/bin/env bash
# Names that others have chosen: line ends, escape sequences and invisible characters forge no output; links and pipes in
# the place of files neither redirect nor block; what can't be looked at isn't taken for absent; names and paths at the
# system's limits work, and commands to paste are never cut.
#
#   tests/program/test_names.sh P2P DEVICE
. "$(dirname "$0")/../support/expect.sh" "$@"

draw_toys 4
length=(--steps 8 --save-every 10)
"$p2p" train "${small[@]}" --out whole "${length[@]}" >/dev/null 2>&1 || fail "no training to compare with"

# clean WHAT: checks that the last command's output has no control, format or other bytes that a name brought in.
clean() {
    LC_ALL=C grep -qP '[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]|\xd8\x9c' out.txt err.txt &&
        fail "$1: something from a name is printed as it is: $(cat -v err.txt)"
    grep -q '^forged' out.txt err.txt && fail "$1: a name has a line of its own: $(cat -v err.txt)"
}

echo "-- names that would forge output"
evil=$'a\nforged: done\e[2J\xe2\x80\xae\xd8\x9c\xc2\x9bq'\''\xe9'
mkdir -p "data$evil/train" "pictures$evil"
cp toys/train/* "data$evil/train/"
echo nothing >"data$evil/train/$evil.png"
cp "$(ls toys/val/* | head -n 1)" "pictures$evil/$evil.jpg"
expect 3 "\\x0aforged" "$p2p" train --data "data$evil" --out "run$evil" "${small[@]:2}"
clean "an unusable picture"
expect 0 "left out as unusable" "$p2p" train --data "data$evil" --out "run$evil" "${small[@]:2}" "${length[@]}" --on-bad-image skip
clean "a training"
expect 0 "\\x0aforged" "$p2p" train --out "run$evil" --resume --device "$device" --verbose
clean "a resumed training"
expect 2 "holds a training already" "$p2p" train --data "data$evil" --out "run$evil" "${small[@]:2}"
clean "a training that exists"
expect 0 "\\x0aforged" "$p2p" translate --model "run$evil" --device "$device" -o "results$evil" "pictures$evil"
clean "a translation"
[ -e "results$evil/$evil.png" ] || fail "the result isn't there"
expect 2 "exists already" "$p2p" translate --model "run$evil" --device "$device" -o "results$evil" "pictures$evil"
clean "results that exist"
expect 0 "" "$p2p" test --model "run$evil" --data "data$evil" --split train --on-bad-image skip --device "$device" --out "tested$evil"
clean "a test"
[ "$(wc -l <out.txt)" -eq 1 ] || fail "a test prints more than a line of JSON"
expect 0 "next: p2p train --data \$'" "$p2p" sample-data "more$evil" --count 4 --size 32
clean "generated data"
expect 2 "is not a command" "$p2p" "$evil"
clean "an unknown command"
expect 2 "" "$p2p" train "--$evil"
clean "an unknown option"
expect 4 "" "$p2p" plan --device "$evil"
clean "an unknown device"

echo "-- commands to paste, of the longest names"
name=$(printf '%0255d' 0 | tr 0 "'") # each is quoted by four bytes
deep=$name/$name/$name/$name/$evil
mkdir -p "$deep"
cp -r toys "$deep/toys"
begin "$deep/run" 2 --data "$deep/toys" "${small[@]:2}" --steps 2000 --save-every 1000
kill -s INT $training
ends "$deep/run" 130 "stopped by"
cp "$deep/run.err" err.txt && : >out.txt
clean "a stopped training"
step=$(sed -nE 's/^p2p: stopped by .* after step ([0-9]+) of .*/\1/p' err.txt)
command=$(command_of err.txt | sed "s/ --steps [0-9]*//")
[ "${command##* }" = --resume ] || fail "the command is cut: ${command: -100}"
expect 0 "continuing after step $step" bash -c "$command --steps $((step + 4))"
[ -e "$deep/run/checkpoints/step-$(printf %09d $((step + 4))).safetensors" ] || fail "the command resumed another training"

echo "-- the longest names of results, and longer ones"
long=$(printf '%0251d' 0)
mkdir long && cp "$(ls toys/val/* | head -n 1)" "long/$long.jpg"
expect 0 "$long.png" "$p2p" translate --model whole --device "$device" -o long-results long
[ -e "long-results/$long.png" ] || fail "no result of the longest name"
expect 3 "File name too long" "$p2p" translate --model whole --device "$device" -o "${long}12345.png" toys/val
expect 3 "File name too long" "$p2p" train "${small[@]}" --out "$(printf 'd/%.0s' $(seq 2030))"
[ -e d ] && fail "folders were made for a training that can't be saved"

echo "-- links and pipes in the place of files"
echo precious >victim
cp victim before
for file in config.json metrics.jsonl generator.safetensors samples/epoch-0001.png best/best.json; do
    rm -rf planted && cp -r whole planted && rm planted/$file
    ln -s "$work/victim" planted/$file
    "$p2p" train --out planted --resume --device "$device" --steps 16 >/dev/null 2>err.txt
    same before victim
    rm -rf planted && cp -r whole planted && rm planted/$file
    mkfifo planted/$file
    timeout 60 "$p2p" train --out planted --resume --device "$device" --steps 16 >/dev/null 2>err.txt
    [ $? -eq 124 ] && fail "$file: a pipe in its place blocks"
    [ -p planted/$file ] || [ -f planted/$file ] || fail "$file: it is neither"
done
mkdir empty && mkfifo empty/config.json
expect 3 "empty/config.json: it is not a file" timeout 60 "$p2p" train --out empty --resume --device "$device"
ln -s "$work/victim" linked.png && mkfifo piped.png
expect 2 "linked.png exists already" "$p2p" translate --model whole --device "$device" -o linked.png "$(ls toys/val/* | head -n 1)"
expect 0 "" "$p2p" translate --model whole --device "$device" -o linked.png --force "$(ls toys/val/* | head -n 1)"
expect 1 "piped.png: it is not a regular file" timeout 60 "$p2p" translate --model whole --device "$device" -o piped.png --force "$(ls toys/val/* | head -n 1)"
same before victim

echo "-- links to folders: those of another user lead nothing elsewhere, a person's own do"
mkdir -p theirs in/sub singles && cp "$(ls toys/val/* | head -n 1)" in/sub/a.jpg
cp "$(ls toys/val/* | head -n 1)" singles/a.jpg
echo "left by another program" >theirs/.p2p-2147483647-0123456789abcdef.tmp
translate=("$p2p" translate --model whole --device "$device" -o)
measure=("$p2p" test --model whole --data toys --device "$device" --out)

# lead FOLDER NAME: makes FOLDER/NAME a link to theirs.
lead() {
    mkdir -p "$1" && ln -s "$work/theirs" "$1/$2"
}

# refused FOLDER NAME COMMAND...: checks that the command refuses FOLDER/NAME as a link of another user, and that nothing
# has changed where it leads.
refused() {
    local folder=$1 name=$2
    shift 2
    lead "$folder" "$name" && chown -h 65534:65534 "$folder/$name"
    expect 2 "$folder/$name is a symbolic link that another user (number 65534) has made" "$@"
    [ "$(ls -A theirs)" = .p2p-2147483647-0123456789abcdef.tmp ] || fail "$folder/$name: there is $(ls -A theirs)"
    rm "$folder/$name"
}
ln -s theirs probe
if chown -h 65534:65534 probe 2>/dev/null; then
    refused drawn sub "${translate[@]}" drawn in
    for name in input generated target; do
        refused measured $name "${measure[@]}" measured
        refused measured $name "${measure[@]}" measured --force
    done
    refused grey sub "$p2p" pairs grey in grey
    for name in train val test; do refused drawing $name "$p2p" sample-data drawing --count 4 --size 32; done
    refused singles train "$p2p" pairs split singles --val 0 --test 0
    [ -e singles/a.jpg ] || fail "split: a picture has moved"
    for name in samples epochs tensorboard checkpoints best; do
        rm -rf planted && cp -r whole planted && rm -rf planted/$name
        refused planted $name "$p2p" train --out planted --resume --device "$device" --steps 16 --tensorboard
    done
else
    skipped "links of another user" "only root can make them"
fi
rm theirs/.p2p*
lead drawn sub && expect 0 "drawn/sub/a.png" "${translate[@]}" drawn in
[ -e theirs/a.png ] || fail "translate: a person's own link was not followed"
rm theirs/* && lead measured generated && expect 0 "" "${measure[@]}" measured
lead singles train && expect 0 "moved 1 picture" "$p2p" pairs split singles --val 0 --test 0
[ -e theirs/a.jpg ] || fail "split: a person's own link was not followed"

echo "-- what can't be looked at isn't absent"
cp -r toys unknown && rm -r unknown/val && ln -s val unknown/val
expect 3 "unknown/val" "$p2p" train --data unknown "${small[@]:2}" --out blind
ln -sfn nowhere unknown/val
expect 3 "unknown/val is a symbolic link that leads nowhere" "$p2p" train --data unknown "${small[@]:2}" --out blind
for file in checkpoints generator.safetensors; do
    rm -rf blind && mkdir blind && ln -s $file blind/$file
    expect 3 "blind/$file" "$p2p" train "${small[@]}" --out blind
    rm blind/$file && ln -s nowhere blind/$file
    expect 3 "blind/$file" "$p2p" train "${small[@]}" --out blind
done
rm -rf blind && mkdir blind && ln -s config.json blind/config.json
expect 3 "blind/config.json" "$p2p" train --out blind --resume --device "$device"
expect 3 "loop" bash -c "ln -s loop loop; \"$p2p\" translate --model loop -o x toys/val"

finish
