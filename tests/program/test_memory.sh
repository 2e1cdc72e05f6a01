#!/usr/bin/env bash
# What doesn't fit into memory is refused before anything is allocated, with what would fit; under a limit of the address
# space (ulimit -v), and in a control group where one can be made.
#
#   tests/program/test_memory.sh P2P DEVICE
. "$(dirname "$0")/../support/expect.sh" "$@"

# proposed OPTION: the value that the last hint proposes for the option.
proposed() {
    sed -n "s/^hint:.*$1 \([0-9]*\) needs.*/\1/p" err.txt
}

# small_peak WHAT: the last command, run by `measured`, has held less than 600 MB.
measured=("$p2p")
if [ -x /usr/bin/time ]; then measured=(/usr/bin/time -f 'peak %M' "$p2p"); fi
small_peak() {
    local peak
    peak=$(sed -n 's/^peak //p' err.txt)
    [ -z "$peak" ] || [ "$peak" -lt 600000 ] || fail "$1: it has held $peak KB"
}

net=(--ngf 64 --ndf 64 --device "$device")
draw_toys 8

echo "-- larger than any machine"
expect 0 "this training needs" "$p2p" plan --size 32 --ngf 4 --ndf 4 --device "$device"
place="of memory, with that of $device; "
[ "${device%%:*}" != cuda ] || place="on $device (" # memory of its own
printed "GB $place" "plan"
expect 1 "this training" "${measured[@]}" plan --batch 4096 --size 512 --device "$device"
batch=$(proposed --batch)
[ -n "$batch" ] || fail "no batch is proposed: $(tail -n 1 err.txt)"
expect 0 "this training needs" "$p2p" plan --batch $((batch * 9 / 10 + 1)) --size 512 --device "$device"
expect 1 "this translation" "$p2p" plan --mode translate --batch 4096 --size 1024 --device "$device"
expect 1 "this training" "${measured[@]}" train --data toys --out run --batch 4096 --size 1024 "${net[@]}"
small_peak train
[ ! -e run/config.json ] || fail "a training that doesn't fit has begun"
expect 1 "this translation" "${measured[@]}" bench --what translate --batch 4096 --size 1024 --device "$device"
small_peak bench

# ---- Limits of the process and of its group: on the reference, which needs little address space ----
if [ "${device%%:*}" != reference ]; then finish; exit; fi

echo "-- ulimit -v"
limited() {
    (ulimit -v 1500000 && "$@")
}
if limited "$p2p" --version >/dev/null 2>&1; then
    expect 1 "is left by the limit of the address space (ulimit -v)" limited "$p2p" train --data toys --out run --batch 8 "${net[@]}"
    expect 0 "address space (ulimit -v)" limited "$p2p" plan --size 64 --ngf 16 --ndf 16 --device "$device"
    expect 0 "" limited "$p2p" train "${small[@]}" --out limited --steps 1
    expect 1 "this translation needs" limited "$p2p" test --model limited --data toys --out measured --size 4096 \
        --device "$device"
    printed "hint: " "test"
    printed "--size 2048 needs " "test"
    mkdir -p large/train
    for i in 1 2; do # a black BMP of 6000 x 3000 pixels
        printf 'BM\266\371\067\003\0\0\0\0\066\0\0\0\050\0\0\0\160\027\0\0\270\013\0\0\001\0\030\0' >large/train/$i.bmp
        truncate -s 54000054 large/train/$i.bmp
    done
    large=("$p2p" train --data large --out large-run --size 32 --ngf 4 --ndf 4 --steps 1 --device "$device" --workers 16)
    expect 1 "GB for reading pictures; " limited "${large[@]}" --memory 1600M
    [ ! -e large-run/config.json ] || fail "a training whose pictures don't fit has begun"
    memory=$(sed -n "s/^hint: --memory \([0-9]*M\), with fewer pictures read at once, needs.*/\1/p" err.txt)
    [ -n "$memory" ] || fail "no --memory is proposed: $(tail -n 1 err.txt)"
    expect 0 "" limited "${large[@]}" --memory "$memory"
    mkdir two && cp large/train/1.bmp two/a.bmp && cp "$(ls toys/val/* | head -n 1)" two/b.jpg
    drawn=("$p2p" translate --model limited --device "$device" --scale native -o drawn two)
    expect 3 "p2p: two/a.bmp is too large: translating it needs" limited "${drawn[@]}"
    printed "make the picture smaller, or leave it out with --on-bad-image skip" "a picture that is too large"
    [ ! -e drawn ] || fail "pictures are translated before the size of all is known"
    expect 0 "left out: two/a.bmp is too large" limited "${drawn[@]}" --on-bad-image skip
    [ "$(ls drawn)" = b.png ] || fail "a picture that is too large: there is $(ls drawn)"
    rm two/b.jpg
    expect 3 "no usable picture is left" limited "${drawn[@]}" --on-bad-image skip
else
    skipped "ulimit -v" "the program does not start: a sanitizer reserves address space"
fi

echo "-- a control group"
# group LIMIT: makes a group with this many bytes, and sets `group` to its folder.
group() {
    local own
    own=$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)
    if [ -n "$own" ] && [ -w /sys/fs/cgroup/memory ]; then
        group=/sys/fs/cgroup/memory/p2p-test-$$
        mkdir "$group" 2>/dev/null && echo "$1" >"$group/memory.limit_in_bytes"
    else
        group=/sys/fs/cgroup/p2p-test-$$
        mkdir "$group" 2>/dev/null && echo "$1" 2>/dev/null >"$group/memory.max"
    fi
}
in_group() {
    (echo "$BASHPID" >"$group/cgroup.procs" && exec "$@")
}
if group 300000000 2>/dev/null; then
    expect 1 "is left by the memory limit of the control group" in_group "$p2p" train --data toys --out run --batch 4 "${net[@]}"
    expect 0 "" in_group "$p2p" train "${small[@]}" --out grouped --steps 1
    rmdir "$group"
else
    skipped "a control group" "none can be made here"
    rmdir "$group" 2>/dev/null
fi
finish
