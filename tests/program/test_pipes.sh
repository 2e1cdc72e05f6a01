#!/usr/bin/env bash
# Output that goes nowhere, and signals to whole pipelines: a reader that goes away, a full or closed stream and a closed
# terminal cost no work. Every training ends, or is resumed, with the bits of an undisturbed one.
#
#   tests/program/test_pipes.sh P2P DEVICE COUNT     COUNT: repetitions of what depends on the moment
. "$(dirname "$0")/../support/expect.sh" "$1" "$2"
count=$3

draw_toys 6
length=(--steps 40 --save-every 5)
last=checkpoints/step-000000040.safetensors
"$p2p" train "${small[@]}" --out whole "${length[@]}" >/dev/null 2>&1 || fail "no training to compare with"

# The training of the pipelines: it records its exit code in $OUT.code, also if the whole group gets a signal. Signals
# have their default actions. $redirection is that of the program alone: bash opens its scripts where a descriptor is
# closed. The code is written by bash itself: a second signal would end another process that does it.
signals=(INT TERM HUP QUIT USR1 XCPU)
cat >training <<END
#!/usr/bin/env bash
trap : ${signals[*]}
trap '' PIPE # bash reports how a command ended on stderr
eval "env --default-signal=PIPE '$p2p' train ${small[*]} ${length[*]} --out '\$OUT' \$redirection"
echo \$? >"\$OUT.code"
END
chmod +x training

# starts OUT PIPELINE: starts a pipeline of bash with ./training in it, in a session and a process group of its own.
starts() {
    out=$1
    OUT=$out env --default-signal=INT,TERM,HUP,QUIT,PIPE setsid bash -c "trap : ${signals[*]}; $2; :" &
    group=$!
}

# reaches STEPS: waits until the training has logged so many steps; the log's first line is none.
reaches() {
    for _ in $(seq 3000); do
        [ -e "$out/metrics.jsonl" ] && [ "$(wc -l <"$out/metrics.jsonl")" -gt "$1" ] && return
        [ -s "$out.code" ] && break
        sleep 0.01
    done
    fail "$out: it ended before, or is too slow"
}

# waits_for_end: waits for the end of the training.
waits_for_end() {
    for _ in $(seq 6000); do
        [ -s "$out.code" ] && break
        sleep 0.01
    done
    wait $group 2>/dev/null
}

# ended CODE: waits for the end of the training, which has this exit code.
ended() {
    waits_for_end
    [ "$(cat "$out.code" 2>&1)" = "$1" ] || fail "$out: exit code $(cat "$out.code" 2>&1) instead of $1"
}

# complete CODE: the training ends with this exit code, and nothing is missing.
complete() {
    ended "$1"
    equal_runs whole "$out" $last best/best.json
    [ -z "$(find "$out" -name '.p2p-*')" ] || fail "$out: temporary files are left"
    rm -rf "$out" "$out".*
}

# kept CODE: the training ends with this exit code and a checkpoint, and is resumed to the end. On a busy machine it may
# be complete before the signal arrives: such ones are counted, and compared too.
signalled=0
late=0
kept() {
    signalled=$((signalled + 1))
    waits_for_end
    if [ -e "$out/generator.safetensors" ] && [ -e "$out/$last" ] && grep -qx '[01]' "$out.code"; then
        late=$((late + 1))
    else
        ended "$1"
    fi
    local step
    step=$(ls "$out/checkpoints" 2>/dev/null | tail -n 1 | sed -E 's/^step-0*([0-9]+)\..*/\1/')
    [ -n "$step" ] || fail "$out: there is no checkpoint"
    [ -z "$(find "$out" -name '.p2p-*')" ] || fail "$out: temporary files are left"
    expect 0 "${step:+continuing after step $step}" "$p2p" train --out "$out" --resume --device "$device"
    equal_runs whole "$out" $last best/best.json
    rm -rf "$out" "$out".*
}

echo "-- $count signals of each kind to whole pipelines"
for i in $(seq "$count"); do
    for signal in INT:130 TERM:143 HUP:129 QUIT:131 USR1:138; do
        starts "tee-${signal%:*}-$i" './training 2>&1 | tee "$OUT.log" >/dev/null'
        reaches $((RANDOM % 25 + 1))
        kill -s "${signal%:*}" -- -$group
        kept "${signal#*:}"
    done
    starts "head-INT-$i" './training 2>&1 | head -n 2 >/dev/null'
    reaches $((RANDOM % 25 + 1))
    kill -s INT -- -$group
    kept 130
    # A terminal that is closed sends SIGHUP, and so does its shell. The kernel repeats SIGXCPU. Batch systems send
    # SIGUSR1, and later SIGTERM.
    for pair in HUP:HUP:129 XCPU:XCPU:152 USR1:TERM:138; do
        IFS=: read -r first second code <<<"$pair"
        starts "$first-$second-$i" './training >/dev/null 2>&1'
        reaches $((RANDOM % 25 + 1))
        kill -s "$first" -- -$group
        sleep 0.01
        kill -s "$second" -- -$group
        kept "$code"
    done
done

echo "-- $count readers of each kind that go away"
for i in $(seq "$count"); do
    starts "head-$i" './training 2>&1 | head -n 6 >/dev/null'
    complete 1
    starts "progress-$i" './training 2>&1 >"$OUT.path" | head -n 1 >/dev/null'
    complete 0
    starts "path-$i" './training 2>/dev/null | true'
    complete 1
done

echo "-- readers that stay and read nothing"
# fill: fills a pipe. stay: a reader that waits for the end of the training. late: one that reads once the model exists.
cat >fill <<'END'
#!/usr/bin/env bash
head -c 65536 /dev/zero
END
cat >stay <<'END'
#!/usr/bin/env bash
for _ in $(seq 1200); do [ -s "$OUT.code" ] && exit; sleep 0.1; done
END
cat >late <<'END'
#!/usr/bin/env bash
for _ in $(seq 1200); do [ -e "$OUT/generator.safetensors" ] && break; sleep 0.1; done
exec cat >"$OUT.log"
END
chmod +x fill stay late
starts stuck '{ ./fill; ./training 2>&1; } | ./stay'
complete 1 # the name of the model could not be printed
starts stuck-progress '{ ./fill >&2; ./training >"$OUT.path"; } 2>&1 | ./stay'
ended 0
[ "$(cat stuck-progress.path)" = stuck-progress/generator.safetensors ] || fail "stuck-progress: no name on stdout"
complete 0
starts read-late '{ ./fill; ./training 2>&1; } | ./late'
ended 0
for words in "step 40/40" "^done: the model is read-late/generator.safetensors" "^read-late/generator.safetensors"; do
    grep -qa "$words" read-late.log || fail "read-late: '$words' is lost"
done
complete 0
starts stuck-INT '{ ./fill; ./training 2>&1; } | ./stay'
reaches 10
kill -s INT -- -$group
kept 130
if script -qec true /dev/null </dev/null >/dev/null 2>&1; then
    # Ctrl-S stops the terminal before the training prints anything.
    starts ctrl-s '{ printf "\023"; ./stay; } | script -qec "sleep 0.5; ./training" /dev/null >/dev/null'
    complete 1
else
    skipped "a terminal that is stopped" "script(1) can't make one"
fi

echo "-- streams that are closed or full"
number=0
while read -r code redirection; do
    export redirection
    starts "streams$((++number))" "./training >/dev/null 2>&1"
    complete "$code"
done <<'END'
1 >&-
0 2>&-
1 <&- >&- 2>&-
1 >/dev/full
0 2>/dev/full
END
unset redirection

echo "-- commands whose output is lost"
for lost in '>&-' '>/dev/full' '>&- 2>&- <&-'; do
    for command in help "help train" "help presets" "help environment" --version devices "plan --device reference:0" \
        "bench --json --what transfers --steps 1 --device reference:0" "sample-data more --count 2 --size 32"; do
        rm -rf more
        bash -c "\"$p2p\" $command $lost 2>err.txt"
        [ $? -eq 1 ] || fail "p2p $command $lost: the exit code is not 1"
        [[ $lost == *2* ]] || grep -qE "^p2p: (not everything could be written to standard output|the plan could not be printed)" err.txt ||
            fail "p2p $command $lost: $(tail -n 2 err.txt)"
    done
done
[ "$(ls more/train | wc -l)" -gt 0 ] || fail "more: nothing was drawn"

echo "-- stopped and continued"
starts stopped './training >/dev/null 2>&1'
reaches 10
kill -s STOP -- -$group
sleep 0.2
kill -s CONT -- -$group
complete 0

echo "-- a closed terminal, and one that stops output in the background"
if script -qec true /dev/null </dev/null >/dev/null 2>&1; then
    for i in $(seq "$count"); do
        out=terminal-$i
        OUT=$out env --default-signal=INT,TERM,HUP script -qec './training; :' /dev/null </dev/null >/dev/null 2>&1 &
        group=$!
        reaches $((RANDOM % 25 + 1))
        kill -s KILL $group
        kept 129
    done
    starts background "script -qec \"bash -c 'set -m; stty tostop; ./training & wait'\" /dev/null </dev/null >/dev/null"
    complete 0
else
    skipped "a closed terminal" "script(1) can't make one"
fi

echo "-- translation"
mkdir pictures && for i in $(seq 60); do cp "$(ls toys/val/* | head -n 1)" "pictures/$(printf %03d "$i").jpg"; done
translate=("$p2p" translate --model whole --device "$device" pictures)
"${translate[@]}" -o all >/dev/null 2>&1 || fail "no pictures to compare with"
for lost in '>&-' '>/dev/full' '| head -n 1 >/dev/null'; do
    rm -rf lost
    bash -c "\"\$@\" -o lost $lost; exit \${PIPESTATUS[0]}" - "${translate[@]}" 2>/dev/null
    [ $? -eq 1 ] || fail "translate $lost: the exit code is not 1"
    diff -r all lost || fail "translate $lost: results are missing"
done
# stops SIGNAL OUT COMMAND...: sends the signal to a command after its first results below OUT.
stops() {
    local signal=$1 folder=$2
    shift 2
    env --default-signal=INT,TERM,HUP "$@" >stopped.out 2>stopped.err &
    local process=$!
    for _ in $(seq 2000); do
        [ "$(find "$folder" -type f 2>/dev/null | wc -l)" -ge 5 ] && break
        sleep 0.005
    done
    kill -s "$signal" $process
    wait $process
}
for i in $(seq "$count"); do
    rm -rf some tested
    stops INT some "${translate[@]}" -o some
    status=$?
    [ $status -eq 130 ] && grep -qE "^p2p: stopped by Ctrl-C \(SIGINT\) after [0-9]+ of 60 pictures" stopped.err ||
        fail "translate: exit code $status: $(tail -n 2 stopped.err)"
    [ -z "$(find some -name '.p2p-*')" ] || fail "translate: temporary files are left"
    for file in some/*; do same "all/${file#some/}" "$file"; done
    stops TERM tested "$p2p" test --model whole --data toys --split train --out tested --device "$device" --batch 1
    status=$?
    [ $status -eq 143 ] || [ -e tested/metrics.json ] || fail "test: exit code $status: $(tail -n 2 stopped.err)"
    [ -z "$(find tested -name '.p2p-*')" ] || fail "test: temporary files are left"
    stops KILL some "${translate[@]}" -o some --force
    expect 0 "" "${translate[@]}" -o some --force
    [ -z "$(find some -name '.p2p-*')" ] || fail "translate: a killed command's files are left"
    diff -r all some || fail "some: results are missing"
done

[ $((4 * late)) -le $signalled ] || fail "$late of $signalled trainings were complete before their signal"
finish
