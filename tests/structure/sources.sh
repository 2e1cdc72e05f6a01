#!/usr/bin/env bash
# Rules for the text of the sources and READMEs: a section rule stands on one line, sources have at most 800 lines, functions
# of C, CUDA, OpenCL and shell at most 60, READMEs of folders 110 and 1,700 words, the top one 200 and 2,500. Dependencies
# between sources are in rooms.sh, what Markdown files name in program/test_readme.sh.
#
#   tests/structure/sources.sh
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$(dirname "$0")/../support/expect.sh" /dev/null none

# files ROOT PATTERN: prints the files whose paths below ROOT match, separated by NUL.
files() {
    find "$1" \( -path "$1/.git" -o -path "$1/build*" \) -prune -o -type f -printf '%P\0' | grep -zx "$2" | sed -z "s#^#$1/#"
}
sources() { files "$1" '.*\.\(c\|h\|cu\|cuh\|cl\|clh\|sh\|py\)'; }

functions() { files "$1" '\(.*\.\(c\|h\|cu\|cuh\|cl\|clh\|sh\)\|ci/.*\)'; }

# faults ROOT: prints a line for each broken rule.
faults() {
    sources "$1" | xargs -0 grep -nE '^/\* ?-{4}' | grep -v '\*/$' |
        sed "s#^$1/##; s#\$#: the section rule is longer than its line#"
    sources "$1" | xargs -0 awk -v skip=$((${#1} + 2)) 'FNR == 801 { print substr(FILENAME, skip) ": more than 800 lines" }'
    functions "$1" | xargs -0 awk -v skip=$((${#1} + 2)) '
        FNR == 1 { first = 0 }
        !first && /\) \{$/ { first = FNR }
        first && /^}/ {
            if (FNR - first >= 60) print substr(FILENAME, skip) ":" first ": a function of more than 60 lines"
            first = 0
        }'
    files "$1" '\(.*/\)\?README\.md' | xargs -0 awk -v skip=$((${#1} + 2)) -v top="$1/README.md" '
        FNR == 1 { words = 0; lines = FILENAME == top ? 200 : 110; limit = FILENAME == top ? 2500 : 1700 }
        FNR == lines + 1 { print substr(FILENAME, skip) ": more than " lines " lines" }
        words <= limit && words + NF > limit { print substr(FILENAME, skip) ": more than " limit " words" }
        { words += NF }'
}

found=$(faults "$root")
[ -z "$found" ] || fail "$found"
count=$(sources "$root" | tr -cd '\0' | wc -c)
[ "$count" -gt 500 ] || fail "only $count sources found"

# The search finds planted faults, and nothing else, wherever the tree lies.
mkdir -p ci/planted/{room,other,build}
{
    printf '/* ---- Whole ---- */\n'
    printf '/* ---- Broken ----\n */\n'
} >ci/planted/room/a.c
printf '/* ---- Also broken\n * ---- */\n' >ci/planted/other/b.cuh
printf '/* ---- Not a source ----\n */\n' >ci/planted/build/c.c
seq 801 >ci/planted/room/long.h
seq 800 >ci/planted/room/short.h
# body LINES: a function of so many lines.
body() { seq -f '    int x%.0f;' "$(($1 - 2))" | sed '1i int f(int a,\n      int b) {'; echo '}'; }
{ body 60; body 61; } >ci/planted/room/functions.c
mkdir ci/planted/ci
body 61 >ci/planted/ci/script
body 61 >ci/planted/room/kernel.cl
body 61 >ci/planted/room/page.js
seq 111 >ci/planted/room/README.md
seq 110 >ci/planted/other/README.md
seq 200 >ci/planted/README.md
mkdir ci/planted/wide
seq 1701 | xargs >ci/planted/wide/README.md
expected="ci/script:2: other/b.cuh:1:/* room/README.md: room/a.c:2:/* room/functions.c:63: room/kernel.cl:2: room/long.h: wide/README.md:"
[ "$(faults "$PWD/ci/planted" | cut -d ' ' -f 1 | LC_ALL=C sort | xargs)" = "$expected" ] ||
    fail "the search found: $(faults "$PWD/ci/planted")"
finish
