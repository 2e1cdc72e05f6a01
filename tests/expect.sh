# What the scripts that run the program share; sourced with the program and a device as arguments. Works in a folder
# of its own, which is removed at the end, and counts failures.
set -u
p2p=$(realpath "$1") device=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# expect CODE WORDS COMMAND...: the exit code, and words that stderr or stdout must hold.
expect() {
    local code=$1 words=$2 status
    shift 2
    "$@" >out.txt 2>err.txt
    status=$?
    [ "$status" -eq "$code" ] || fail "exit code $status instead of $code: $*: $(tail -n 2 err.txt)"
    said "$words" "$*"
}

# said WORDS WHAT: the last command's stderr or stdout holds the words.
said() {
    grep -qF -- "$1" out.txt err.txt || fail "'$1' is not said by: $2: $(tail -n 2 err.txt)"
}

# same FILE FILE: equal bytes.
same() {
    cmp "$1" "$2" || fail "$1 and $2 differ"
}

losses() {
    sed 's/,"images_per_s":[^}]*//' "$1"
}

finish() {
    if [ "$failures" -gt 0 ]; then
        echo "$failures failures"
        exit 1
    fi
    echo "all as expected"
}
