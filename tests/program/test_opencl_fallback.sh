#!/usr/bin/env bash
# Devices that can't be used are never replaced in silence. PoCL gets a folder for its kernels, in which damage is found
# before PoCL loads it; in a folder of the user's it isn't, and an abort inside PoCL names the folder to remove.
#
#   tests/program/test_opencl_fallback.sh P2P DEVICE
. "$(dirname "$0")/../support/expect.sh" "$@"
# Signals of faults are handled as without sanitizers.
export ASAN_OPTIONS="${ASAN_OPTIONS-}:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0"

plan=("$p2p" plan --size 32 --ngf 4 --ndf 4 --mode translate)
mkdir temporary # TMPDIR of the commands
no_home=(env -u XDG_CACHE_HOME -u POCL_CACHE_DIR HOME=/dev/null/home TMPDIR="$PWD/temporary")

echo "-- no driver"
expect 0 "warning: opencl can't be used: no OpenCL driver is installed" env OCL_ICD_VENDORS=/nonexistent "${plan[@]}"
printed "warning: no other device can be used: the reference backend computes" "plan"
printed "device: reference:0" "plan"
expect 0 "no OpenCL driver is installed" env OCL_ICD_VENDORS=/nonexistent "$p2p" devices
expect 4 "no OpenCL driver is installed" env OCL_ICD_VENDORS=/nonexistent "${plan[@]}" --device opencl

echo "-- the reference by its name"
expect 0 "(slow: for tests)" "${plan[@]}" --device reference
grep -q warning err.txt && fail "a warning about a device that was asked for: $(cat err.txt)"

if ! "$p2p" devices | grep -q "Portable Computing Language"; then
    skipped "PoCL's cache" "PoCL is not installed"
    finish
    exit
fi

echo "-- a folder of the user's that can't be used"
folder=/dev/null/kernels
expect 0 "warning: opencl can't be used: the OpenCL driver Portable Computing Language has no device" \
    env POCL_CACHE_DIR=$folder "${plan[@]}"
printed "its cache folder $folder can't be written" "POCL_CACHE_DIR=$folder"
printed "device: reference:0" "POCL_CACHE_DIR=$folder"
expect 0 "its cache folder $folder can't be written" env POCL_CACHE_DIR=$folder "$p2p" devices

transfers=("$p2p" bench --what transfers --steps 1)
touch file
expect 1 "does not build" env POCL_CACHE_DIR="$PWD/file" "${transfers[@]}" --device opencl:0
printed "hint: its cache folder $PWD/file can't be written: Not a directory; let POCL_CACHE_DIR name another folder" "a file"

echo "-- no HOME: a temporary folder, or that of --cache"
expect 0 "device: opencl:0" "${no_home[@]}" P2P_CACHE_DIR=off "${transfers[@]}"
printed "warning: PoCL: its cache folder /dev/null/home/.cache/pocl/kcache can't be written" "without HOME"
[ -z "$(ls temporary)" ] || fail "a temporary folder is left: $(ls temporary)"
"${no_home[@]}" P2P_CACHE_DIR=off "$p2p" bench --what transfers --steps 1000000 >/dev/null 2>&1 &
process=$!
for _ in $(seq 600); do
    [ -n "$(find temporary -name '*.so')" ] && break
    sleep 0.05
done
halt $process
expect 0 "opencl:0" "${no_home[@]}" P2P_CACHE_DIR=off "$p2p" devices
[ -n "$(find temporary -name '*.so')" ] || fail "the temporary folder of a living process was removed"
{ kill -KILL $process && wait $process; } 2>/dev/null
expect 0 "opencl:0" "${no_home[@]}" P2P_CACHE_DIR=off "$p2p" devices
[ -z "$(ls temporary)" ] || fail "the temporary folder of a killed process is left: $(ls temporary)"
expect 0 "device: opencl:0" "${no_home[@]}" "${transfers[@]}" --cache kept
grep -q "warning" err.txt && fail "a warning although --cache has a folder: $(cat err.txt)"
[ -n "$(find kept/pocl -name '*.so')" ] || fail "no kernels in kept/pocl"
[ "$(stat -c %a kept/pocl)" = 700 ] || fail "kept/pocl is open to others"
expect 0 "device: opencl:0" "${no_home[@]}" TMPDIR=/dev/null P2P_CACHE_DIR=kept "${transfers[@]}"

echo "-- a folder that others can write to"
mkdir -p open/pocl/kcache && chmod 777 open/pocl/kcache
expect 0 "device: opencl:0" env -u POCL_CACHE_DIR XDG_CACHE_HOME="$PWD/open" P2P_CACHE_DIR=off TMPDIR="$PWD/temporary" "${transfers[@]}"
printed "warning: PoCL: its cache: the folder $PWD/open/pocl/kcache is not used, because other users can write to it" "an open folder"
[ -z "$(ls open/pocl/kcache)" ] || fail "an open folder was used: $(ls open/pocl/kcache)"
for cache in off kept; do
    named=(env POCL_CACHE_DIR="$PWD/open/pocl/kcache" XDG_CACHE_HOME="$PWD/closed" P2P_CACHE_DIR=$cache "$p2p")
    expect 0 "device: opencl:0" "${named[@]}" bench --what transfers --steps 1
    [ $cache = off ] && used=$PWD/closed/pocl/kcache || used=$PWD/kept/pocl
    printed "warning: PoCL: its cache: $PWD/open/pocl/kcache is not used, because other users can write to it (chmod go-w changes that); $used is used" \
        "POCL_CACHE_DIR with --cache $cache"
    [ -z "$(ls open/pocl/kcache)" ] || fail "an open POCL_CACHE_DIR was used: $(ls open/pocl/kcache)"
    expect 0 "because other users can write to it (chmod go-w changes that); $used is used" "${named[@]}" devices
done
[ -n "$(find closed -name '*.so')" ] || fail "no kernels in PoCL's own folder"
chmod go-w open/pocl/kcache
expect 0 "device: opencl:0" "${named[@]}" bench --what transfers --steps 1
grep -q "is not used" err.txt && fail "a closed POCL_CACHE_DIR is refused: $(cat err.txt)"
chmod 777 open # whoever can rename open/pocl puts another in its place
expect 0 "device: opencl:0" "${named[@]}" bench --what transfers --steps 1
printed "$PWD/open/pocl/kcache is not used, because of $PWD/open: other users can write to it" "a folder above that others can write to"
chmod 755 open
if chown 65534 open 2>/dev/null; then
    chmod 1777 . # where any user can make a folder
    expect 0 "device: opencl:0" "${named[@]}" bench --what transfers --steps 1
    printed "$PWD/open/pocl/kcache is not used, because of $PWD/open: it belongs to another user" "another user's folder above"
    chmod 755 .
    expect 0 "device: opencl:0" "${named[@]}" bench --what transfers --steps 1
    grep -q "is not used" err.txt && fail "a folder of an administrator's is refused: $(cat err.txt)"
    chown "$(id -u)" open
else
    skipped "a folder above that belongs to another user" "it needs root"
fi

echo "-- damaged kernels in p2p's cache"
"$p2p" sample-data toys --count 3 --size 32 >/dev/null 2>&1 || fail "no data"
"$p2p" train --data toys --out model --size 8 --generator 3 --ngf 4 --d-net pixel --ndf 4 --steps 1 --device reference:0 >/dev/null 2>&1 || fail "no model"
# A family that is named needs no self-test, which would compile as much again.
translate=(env -u POCL_CACHE_DIR POCL_EXTRA_BUILD_FLAGS=-cl-opt-disable P2P_OPENCL_CONV=direct "$p2p" translate --model model --cache own
    --device "$device" toys/val)
kernels() { find own/pocl -name '*.so' -o -name program.bc | sort; }
expect 0 "" "${translate[@]}" -o intact
kernels >made
number=0
while read -r name; do # bits in the middle of one file, a byte at the end of the next
    if (((number++) % 2)); then flip "$name" $(($(stat -c %s "$name") / 2)); else truncate -s -1 "$name"; fi
done <made
expect 0 "$number had changed" "${translate[@]}" -o mended
[ "$(grep -c "^warning: cache" err.txt)" -eq 1 ] || fail "not one warning: $(grep "^warning" err.txt)"
diff -r intact mended || fail "damaged kernels were used"
kernels >mended-kernels
[ "$(wc -l <mended-kernels)" -gt 2 ] && [ -z "$(comm -13 made mended-kernels)" ] || fail "other files were made again"
touch marker
expect 0 "" "${translate[@]}" -o again
grep "^warning" err.txt && fail "a warning without damage"
find own/pocl -newer marker \( -name '*.so' -o -name program.bc \) | grep . && fail "kernels were made again"

echo "-- a kill while kernels are made"
rm -rf own
"${translate[@]}" -o killed >/dev/null 2>&1 &
process=$!
for _ in $(seq 600); do
    [ "$(find own -name '*.so' 2>/dev/null | wc -l)" -ge 4 ] && break
    sleep 0.05
done
kill -KILL $process 2>/dev/null || fail "it ended before the kill"
wait $process 2>/dev/null
kernels | while read -r name; do # those without a record are cut short, as a power failure may do
    grep -qaF "${name#own/pocl/}" own/driver-files-* || truncate -s -1 "$name"
done
expect 0 "" "${translate[@]}" -o killed --force
grep "^warning: cache" err.txt && fail "a warning about files that were never recorded"
diff -r intact killed || fail "what a killed command had left was used"

echo "-- a signal of a fault, sent from outside"
"$p2p" train --data toys --out faulty --size 32 --ngf 4 --ndf 4 --steps 100000 --device "$device" >/dev/null 2>fault.txt &
process=$!
for _ in $(seq 3000); do
    [ -s faulty/metrics.jsonl ] && break
    sleep 0.05
done
kill -SEGV $process
wait $process 2>/dev/null
status=$?
[ $status -eq 139 ] || fail "exit code $status instead of 139: $(tail -n 2 fault.txt)"
grep -q "^p2p: the OpenCL driver PoCL has ended the program" fault.txt || fail "no message about PoCL"

echo "-- damaged kernels in a folder of the user's"
for name in $(cd kept/pocl && find . -name '*.so' -o -name program.bc); do
    for size in 0 1000; do
        cp -r kept/pocl damaged && truncate -s "$size" "damaged/$name"
        status=0
        { POCL_CACHE_DIR=$PWD/damaged "${transfers[@]}" >out.txt 2>err.txt || status=$?; } 2>/dev/null
        [ $status -eq 0 ] || printed "remove the folder $PWD/damaged" "$name of $size bytes, exit code $status"
        [ $status -eq 0 ] && [ "${name%.so}" != "$name" ] && fail "$name of $size bytes was accepted"
        rm -rf damaged
    done
done
finish
