# Helpers of the tests of scripts in ci/; sourced. Counts failures in $failures.
failures=0

# ends CODE TEXT COMMAND...: runs the command; its exit code is CODE, and its output, in out.txt, has the text.
ends() {
    local code=$1 text=$2 status
    shift 2
    "$@" >out.txt 2>&1
    status=$?
    [ "$status" -eq "$code" ] && grep -qF -- "$text" out.txt && return
    echo "FAILED: $*: exit code $status, expected $code and \"$text\":"
    cat out.txt
    failures=$((failures + 1))
}

# holds WHAT CONDITION...
holds() {
    "${@:2}" && return
    echo "FAILED: $1"
    failures=$((failures + 1))
}
