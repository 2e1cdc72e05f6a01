# Helpers of the scripts that run the program; sourced with the program and a device as arguments. Changes to a temporary
# folder, which is removed at the end, and counts failures.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/farthest.sh"
p2p=$(realpath "$1") device=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# skipped WHAT REASON: reports a test that can't run here. support/skipped.sh collects these lines.
skipped() {
    echo "SKIPPED: $1: $2"
}

# expect CODE WORDS COMMAND...: runs the command, and checks its exit code and that stderr or stdout contains the words.
expect() {
    local code=$1 words=$2 status
    shift 2
    "$@" >out.txt 2>err.txt
    status=$?
    [ "$status" -eq "$code" ] || fail "exit code $status instead of $code: $*: $(tail -n 2 err.txt)"
    printed "$words" "$*"
}

# printed WORDS WHAT: checks that the last command's stderr or stdout contains the words.
printed() {
    grep -qF -- "$1" out.txt err.txt || fail "'$1' is not printed by: $2: $(tail -n 2 err.txt)"
}

# fills FILE: checks that an SVG picture of p2p bench takes the size of its window, and that its panels fill it.
fills() {
    local number='="\(-*[0-9.]*\)" *'
    grep -q '<svg [^>]*width="100%" height="100%" viewBox="0 0 1200 750"' "$1" || fail "$1 has a size of its own"
    sed -n "s/^<line x1${number}y1${number}x2${number}y2$number.*/\1 \2 \3 \4/p" "$1" | awk '
        NR == 1 { left = $1; top = $2 }
        { if ($1 < left) left = $1; if ($2 < top) top = $2; if ($3 > right) right = $3; if ($4 > bottom) bottom = $4 }
        function within(low, x, high) { return low < x && x < high }
        END { exit !(within(0, left, 100) && within(1100, right, 1200) && within(0, top, 60) && within(600, bottom, 750)) }
    ' || fail "the panels of $1 do not fill it"
}

# same FILE FILE: checks that the files are equal.
same() {
    cmp "$1" "$2" || fail "$1 and $2 differ"
}

# same_weights FILE FILE: checks that two models have the same tensors. Their metadata name different trainings.
same_weights() {
    cmp <(tensors "$1") <(tensors "$2") || fail "the tensors of $1 and $2 differ"
}

# tensors FILE: prints the bytes after the header, whose length is the first eight bytes.
tensors() {
    tail -c +$((9 + $(od -An -t u8 -N 8 "$1"))) "$1"
}

# unseal FILE: makes a file of weights one without a checksum, such as older versions wrote, so that what the test writes
# into it is not taken for damage.
unseal() {
    grep -qaF '"p2p_checksum":"xxh128:' "$1" || fail "$1 has no checksum"
    LC_ALL=C sed -i 's/"p2p_checksum":"xxh128:/"p2p_unsealed":"xxx128:/' "$1"
}

# overwrite FILE BYTES OFFSET: writes bytes, as printf takes them, to the offset.
overwrite() {
    # shellcheck disable=SC2059
    printf "$2" | dd of="$1" bs=1 seek="$3" conv=notrunc 2>/dev/null
}

# flip FILE OFFSET: flips the lowest bit of a byte.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    overwrite "$1" "$(printf '\\%03o' $((byte ^ 1)))" "$2"
}

# turn FILE ORIENTATION OUT: copies a JPEG file, and adds EXIF data with this orientation.
turn() {
    head -c 2 "$1" >"$3"
    printf '\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0'"\\x0$2"'\0\0\0\0\0\0' >>"$3"
    tail -c +3 "$1" >>"$3"
}

# losses METRICS: prints the log without times and measured rates, which are last in their lines.
losses() {
    sed 's/,"time":[^}]*//' "$1"
}

# ---- Trainings ----

# draw_toys COUNT: draws COUNT pairs into toys/train and a quarter as many into toys/val, and sets `small` to the options
# of a tiny training with them.
draw_toys() {
    "$p2p" sample-data toys --count "$1" --size 32 --seed 3 >/dev/null 2>&1 || fail "no data"
    small=(--data toys --size 32 --ngf 4 --ndf 4 --device "$device")
}

# await_steps OUT STEPS: waits until the training that was started last has made more than STEPS steps.
await_steps() {
    for _ in $(seq 3000); do
        [ -e "$1/metrics.jsonl" ] && [ "$(grep -c '"step"' "$1/metrics.jsonl")" -gt "$2" ] && return
        kill -0 $training 2>/dev/null || break
        sleep 0.02
    done
    fail "$1: it ended before, or is too slow: $(tail -n 2 "$1.err")"
}

# begin OUT STEPS OPTION...: starts a training in the background and waits until it has made more than STEPS steps. Signals
# have their default actions, unless $signals has other options of env.
begin() {
    local out=$1 steps=$2
    shift 2
    env ${signals:---default-signal=INT,TERM,HUP} "$p2p" train --out "$out" "$@" >"$out.out" 2>"$out.err" &
    training=$!
    await_steps "$out" "$steps"
}

# halt PID: stops a process, and waits until all of its threads have stopped.
halt() {
    kill -s STOP "$1"
    for _ in $(seq 1000); do
        [ -n "$(grep -L '^State:.T' /proc/"$1"/task/*/status 2>/dev/null)" ] || return
        sleep 0.01
    done
    fail "process $1 does not stop"
}

# ends OUT CODE WORDS: waits for the training of begin(), and checks its exit code and that its log contains the words.
ends() {
    wait $training 2>/dev/null
    local status=$?
    [ $status -eq "$2" ] || fail "$1: exit code $status instead of $2: $(tail -n 2 "$1.err")"
    grep -qF -- "$3" "$1.err" || fail "'$3' is not printed by $1: $(tail -n 2 "$1.err")"
}

# command_of FILE: prints the command that the hint in the file names.
command_of() {
    sed -n 's/^hint:.*continue with: //p' "$1"
}

# equal_runs OUT OUT FILE...: checks that these files, the models and the losses of two trainings are equal.
equal_runs() {
    local a=$1 b=$2 file
    shift 2
    for file in generator.safetensors discriminator.safetensors "$@"; do same "$a/$file" "$b/$file"; done
    [ "$(losses "$a/metrics.jsonl")" = "$(losses "$b/metrics.jsonl")" ] || fail "$b: metrics.jsonl differs from $a's"
}

finish() {
    if [ "$failures" -gt 0 ]; then
        echo "$failures failures"
        exit 1
    fi
    echo "all as expected"
}
