#!/usr/bin/env bash
# Faults of what surrounds a training, a translation and a test: a file system of each size, few files in it, little
# address space, few descriptors, links and pipes planted at the names that are written. Each command ends with a
# message or is complete; the next one reaches the bits of an undisturbed run. Ends with rows for the table of provoke.c.
#
#   tests/torture/surroundings.sh P2P [COUNT]      COUNT: sizes of each kind (default 8)
. "$(dirname "$0")/../support/expect.sh" "$1" reference:0
count=${2:-8}

"$p2p" sample-data toys --count 3 --size 32 --seed 3 >/dev/null 2>&1 || fail "no data"
export P2P_CACHE_DIR=off
training=(train --data toys --size 32 --ngf 2 --ndf 2 --device "$device" --workers 1 --epochs 2 --checkpoint-every 2
    --keep-epochs 1)
"$p2p" "${training[@]}" --out whole >/dev/null 2>&1 || fail "no training to compare with"
mkdir pictures && cp toys/train/0000[12].jpg pictures
translating=(translate --model whole --device "$device" --force pictures)
"$p2p" "${translating[@]}" -o drawn >/dev/null 2>&1 || fail "no translation to compare with"

# ---- Judgement ----

provoked=0 complete=0 repaired=0 lost=0

# complete_run OUT, complete_drawing OUT: whether all files exist, with equal bytes.
complete_run() {
    local file
    for file in generator.safetensors discriminator.safetensors config.json best/generator.safetensors best/best.json \
        samples/epoch-0001.png samples/epoch-0002.png epochs/002-generator.safetensors \
        checkpoints/step-000000006.safetensors; do
        cmp -s "whole/$file" "$1/$file" || return 1
    done
    [ "$(losses whole/metrics.jsonl)" = "$(losses "$1/metrics.jsonl")" ] && [ -z "$(find "$1" -name '*.tmp')" ]
}

complete_drawing() {
    diff -rq drawn "$1" >/dev/null
}

# ends_well CODE WHAT COMPLETE OUT: the command ended with this code; stderr is in err.txt.
ends_well() {
    provoked=$((provoked + 1))
    if [ "$1" -eq 0 ]; then
        complete=$((complete + 1))
        "$3" "$4" || fail "$2: exit code 0, but $4 is not complete"
    elif [ "$1" -gt 5 ]; then
        fail "$2: exit code $1: $(tail -n 2 err.txt)"
    else
        grep -qE "^p2p: |virtual memory exhausted" err.txt || fail "$2: exit code $1 without a message"
    fi
}

# repairs CODE WHAT OUT: continues the training or begins it again, and compares.
repairs() {
    [ "$1" -ne 0 ] || return
    local steps resumed
    steps=$(grep -c '"lr"' "$3/metrics.jsonl" 2>/dev/null)
    if ! timeout -s KILL 10 "$p2p" train --resume --out "$3" --device "$device" --workers 1 >/dev/null 2>err.txt; then
        grep -q "no training to resume" err.txt || fail "$2: not resumed: $(tail -n 2 err.txt)"
        timeout -s KILL 10 "$p2p" "${training[@]}" --out "$3" >/dev/null 2>err.txt || fail "$2: not begun again: $(tail -n 2 err.txt)"
    fi
    complete_run "$3" || fail "$2: the resumed training is not an undisturbed one"
    resumed=$(sed -n 's/^continuing after step //p' err.txt)
    [ $((${steps:-0} - ${resumed:-0})) -gt $lost ] && lost=$((${steps:-0} - ${resumed:-0}))
    repaired=$((repaired + 1))
}

# draws_again CODE WHAT OUT: likewise for a translation.
draws_again() {
    [ "$1" -ne 0 ] || return
    timeout -s KILL 10 "$p2p" "${translating[@]}" -o "$3" >/dev/null 2>err.txt || fail "$2: not drawn again: $(tail -n 2 err.txt)"
    complete_drawing "$3" || fail "$2: the pictures drawn again differ"
    repaired=$((repaired + 1))
}

# row WHAT FAULT: prints the figures since the last row.
row() {
    local most=nothing
    [ $lost -gt 0 ] && most="$lost steps"
    rows+="| $1 | $2 | $provoked | $complete | $repaired | $most | $((failures - counted)) |"$'\n'
    provoked=0 complete=0 repaired=0 lost=0 counted=$failures
}
rows='' counted=0

# values FROM TO: prints COUNT whole numbers from FROM to TO.
values() {
    local i
    for ((i = 0; i < count; i++)); do echo $(($1 + ($2 - $1) * i / (count > 1 ? count - 1 : 1))); done
}

# ---- A file system of each size, and one with few files ----

# small_disk OPTIONS: runs the training, then makes the disk large and resumes it; the same for a translation.
# shellcheck disable=SC2016
small_disk() {
    rm -rf copy && mkdir copy
    unshare -rm bash -c 'mkdir -p disk && mount -t tmpfs -o "$1" none disk || exit 9
        shift; "$@" >out.txt 2>err.txt; code=$?; cp -r disk/. copy; exit $code' -- "$@"
}

if unshare -rm mount -t tmpfs none /mnt 2>/dev/null; then
    bytes=$(du -sb whole | cut -f 1)
    for kind in size nr_inodes; do
        [ $kind = size ] && range=(4096 $((bytes + bytes / 2))) || range=(2 32)
        for value in $(values "${range[@]}"); do
            small_disk $kind="$value" timeout -s KILL 10 "$p2p" "${training[@]}" --out disk/out
            code=$?
            ends_well $code "$kind=$value: train" complete_run copy/out
            repairs $code "$kind=$value: train" copy/out
        done
        [ $kind = size ] && range=(4096 20000) || range=(2 6)
        for value in $(values "${range[@]}"); do
            small_disk $kind="$value" timeout -s KILL 10 "$p2p" "${translating[@]}" -o disk/out
            code=$?
            ends_well $code "$kind=$value: translate" complete_drawing copy/out
            draws_again $code "$kind=$value: translate" copy/out
        done
        [ $kind = size ] && row "a small disk" "full at each size" || row "a small disk" "no room for more files"
    done
else
    skipped "small disks" "none can be mounted here"
fi

# ---- Limits of the process ----

# limited LIMIT: the training and the translation under ulimit.
limited() {
    local code
    rm -rf out drawing
    (ulimit $1 && exec timeout -s KILL 10 "$p2p" "${training[@]}" --out out) >out.txt 2>err.txt
    code=$?
    ends_well $code "ulimit $1: train" complete_run out
    repairs $code "ulimit $1: train" out
    (ulimit $1 && exec timeout -s KILL 10 "$p2p" "${translating[@]}" -o drawing) >out.txt 2>err.txt
    code=$?
    ends_well $code "ulimit $1: translate" complete_drawing drawing
    draws_again $code "ulimit $1: translate" drawing
}

if nm -D "$p2p" | grep -q __asan_init; then
    skipped "limits of memory" "sanitizers reserve more address space than can be limited"
else
    # From the least that starts the program to the least that suffices.
    least=1000
    starts() {
        bash -c "ulimit -v $1 && exec '$p2p' --version" >/dev/null 2>&1
    }
    suffices() {
        rm -rf enough
        (ulimit -v "$1" && exec "$p2p" "${training[@]}" --out enough) >/dev/null 2>&1
    }
    least=1000
    until starts $least 2>/dev/null; do least=$((least + 1000)); done
    most=$least
    until suffices $most; do most=$((most + 4000)); done
    for value in $(values $least $most); do limited "-v $value"; done
    row "address space" "ulimit -v from $least to $most KB"
fi
# From the least with which the program starts; the caller of this script may have left descriptors open.
least=4
until bash -c "ulimit -n $least && exec timeout 10 '$p2p' --version" >/dev/null 2>&1; do least=$((least + 1)); done
for value in $(seq $least $((least + 6))); do limited "-n $value"; done
row "descriptors" "ulimit -n from $least to $((least + 6))"

# ---- Planted links and pipes ----

# foreign PATH: a file, link or pipe becomes that of another user, as far as this one may.
foreign() {
    [ "$(id -u)" -ne 0 ] || chown -h 65534:65534 "$1"
}
[ "$(id -u)" -eq 0 ] || skipped "links and pipes of another user" "only root can make them; they are this user's"

# plant KIND FOLDER NAME: a link to a file of another user, or a pipe, as FOLDER/NAME.
plant() {
    local at=$2/$3
    mkdir -p "$(dirname "$at")"
    if [ "$1" = pipe ]; then mkfifo "$at"; else ln -s "$work/theirs" "$at"; fi
    foreign "$at"
}

# take_away PATH: removes what was planted, if it is still there.
take_away() {
    [ ! -L "$1" ] && [ ! -p "$1" ] || rm "$1"
}

echo "a file of somebody else" >theirs
cp theirs kept
foreign theirs
for kind in link pipe; do
    for name in $(cd whole && find . -type f | sed 's,^\./,,' | sort) generator.safetensors; do
        for hidden in "$name" "$(dirname "$name")/.$(basename "$name").tmp"; do
            rm -rf out
            plant $kind out "$hidden"
            timeout -s KILL 10 "$p2p" "${training[@]}" --out out >out.txt 2>err.txt
            code=$?
            take_away "out/$hidden"
            ends_well $code "a $kind at $hidden" complete_run out
            cmp -s theirs kept || fail "a $kind at $hidden: the file of somebody else has changed"
            cp kept theirs
        done
    done
    for name in 00001.png .00001.png.tmp; do
        rm -rf drawing
        plant $kind drawing "$name"
        timeout -s KILL 10 "$p2p" "${translating[@]}" -o drawing >out.txt 2>err.txt
        code=$?
        take_away "drawing/$name"
        ends_well $code "translate, a $kind at $name" complete_drawing drawing
        cmp -s theirs kept || fail "translate, a $kind at $name: the file of somebody else has changed"
        cp kept theirs
    done
    row "a planted $kind" "at each name that is written"
done

printf '\n%s' "$rows"
finish
