#!/usr/bin/env bash
# Backends that are shared objects: where they are looked for, which files are trusted, what is printed about each state,
# that their failures, variables and limits arrive in the program, and that one trains.
#
#   tests/program/test_modules.sh P2P DEVICE MODULES
. "$(dirname "$0")/../support/expect.sh" "$@"
modules=$3
unset P2P_TEST_MODULE
export OCL_ICD_VENDORS=/nonexistent # no driver is needed here
chmod 755 .

# put FOLDER NAME...: copies modules of the build into a folder that only its owner can write to.
put() {
    local folder=$1 name
    shift
    mkdir -p "$folder"
    chmod 755 "$folder"
    for name; do install -m 755 "$modules/p2p_$name.so" "$folder"; done
}

# listed FOLDERS STATE LINE [COMMAND...]: p2p devices has the line for the backend that is named before the state's words.
listed() {
    expect 0 "$3" "${@:4}" timeout 60 env P2P_MODULE_PATH="$1" "$p2p" devices # a pipe must not block it
    grep -A 1 "^  $2 *\$" out.txt | grep -qF "    $3" || fail "no line '$3' follows $2: $(cat out.txt)"
}

# A copy, because modules of the build lie beside the program.
mkdir program
chmod 755 program
install -m 755 "$p2p" program
p2p=$PWD/program/p2p

put good test
put trains picky
good=$PWD/good trains=$PWD/trains

echo "-- states"
expect 0 "not installed: looked for p2p_cuda.so in $good, $(dirname "$p2p"), " env P2P_MODULE_PATH="$good" "$p2p" devices
state() { listed "$good" test "$2" env P2P_TEST_MODULE="$1"; }
state no_driver "without driver: no TEST driver is installed, looked in /usr/lib, /opt/test: code 35"
state old_driver "driver too old: TEST driver 450.80 is installed, 525 or newer is needed: code 36"
state no_library "without a library: libtest.so.9 is not installed, looked in /usr/lib, /opt/test: code 37"
state no_device "no device: the driver lists no device: code 38"
state other "no device: every device is asleep"
state failed "failed: the driver crashed"
state silent "failed: no reason given"
state empty "no device: none was found"
expect 0 "* test:0 " env P2P_MODULE_PATH="$good" "$p2p" devices --verbose
printed "  test:1         test device 1" "devices"
printed "precision fp32, tf32, bf16" "devices"
grep -q "opens a device" err.txt && fail "p2p devices opens a device"

echo "-- what auto warns of"
plan=("$p2p" plan --size 32 --ngf 1 --ndf 1 --mode translate)
# warned STATE DEVICE FOLDERS: the plan is for this device, that of auto, with a warning about the test backend.
warned() {
    expect 0 "device: $2" env P2P_MODULE_PATH="$3" P2P_TEST_MODULE="$1" "${plan[@]}"
    grep -q "^warning: test can't be used: " err.txt
}
for state in old_driver no_library failed; do
    warned $state picky:0 "$good:$trains" || fail "no warning although it is in the state $state"
done
for state in no_driver no_device; do
    warned $state picky:0 "$good:$trains" && fail "a warning about other hardware: $state"
    warned $state reference:0 "$good" || fail "no warning although only the reference is left: $state"
done
expect 4 "there is no device \"test\": TEST driver 450.80 is installed" \
    env P2P_MODULE_PATH="$good" P2P_TEST_MODULE=old_driver "${plan[@]}" --backend test

echo "-- failures in shared code, variables, limits, names"
expect 1 "p2p: " env P2P_MODULE_PATH="$good" "${plan[@]}" --device test:1 --verbose
printed "test: opens a device" "--device test:1"
grep -q "^p2p: act_fwd: .*y" err.txt || fail "the message of p2p_op_validate is lost: $(cat err.txt)"
printed "hint: the hint of test:1" "--device test:1"
expect 0 "| \`P2P_TEST_MODULE\` | a state | devices | The state of the test backend. |" \
    env P2P_MODULE_PATH="$good" "$p2p" help environment
expect 0 "test: the limit is 7 seconds" env P2P_MODULE_PATH="$good" "${plan[@]}" --device test:0 --verbose --device-timeout 7
expect 2 "test: the limit \"timeout\" is from 0 to 1000, not 1001" \
    env P2P_MODULE_PATH="$good" "${plan[@]}" --device test:0 --device-timeout 1001
expect 4 "there is no backend named \"vulkan\"" env P2P_MODULE_PATH="$good" "${plan[@]}" --backend vulkan
grep -q "^hint: the backends of this program: test, .*reference" err.txt || fail "vulkan: the backends are not listed"
expect 4 "there is no device \"cuda\": not installed: looked for p2p_cuda.so in" "${plan[@]}" --backend cuda
expect 2 "a backend's name has no colon" env P2P_MODULE_PATH="$good" "${plan[@]}" --backend test:0
printed "hint: --device test:0 names one of its devices" "--backend test:0"

echo "-- files that are no modules of this program"
put bad older blank
install -m 755 "$modules/p2p_test.so" bad/p2p_renamed.so
echo "no library" >bad/p2p_text.so
mkfifo bad/p2p_pipe.so
mkdir bad/p2p_folder.so
ln -s nowhere bad/p2p_link.so
cp "$modules/p2p_test.so" "bad/p2p_Odd name.so"
cp "$modules/p2p_test.so" bad/p2p_reference.so
abi=$(sed -n 's/^enum { P2P_BACKEND_ABI = \([0-9]*\) };/\1/p' "$(dirname "$0")/../../backend/p2p_backend.h" 2>/dev/null)
bad=$PWD/bad
listed "$bad" older "another ABI: "
[ -z "$abi" ] || listed "$bad" older "another ABI: $((abi - 1)), this program has $abi ($bad/p2p_older.so)"
listed "$bad" blank "not loaded: $bad/p2p_blank.so: it is not a backend of p2p"
listed "$bad" renamed "not loaded: $bad/p2p_renamed.so: the module's name is test"
listed "$bad" text "not loaded: $bad/p2p_text.so: "
listed "$bad" pipe "not loaded: $bad/p2p_pipe.so: it is not a file"
listed "$bad" folder "not loaded: $bad/p2p_folder.so: "
listed "$bad" link "not loaded: can't read $bad/p2p_link.so: "
printed "warning: $bad/p2p_reference.so is not used: the backend reference is part of this program" "a built-in name"
grep -q "Odd" out.txt err.txt && fail "a file of another name is listed"
expect 4 "there is no device \"older\": another ABI: " env P2P_MODULE_PATH="$bad" "${plan[@]}" --backend older

echo "-- folders"
expect 0 "warning: P2P_MODULE_PATH: no backends are looked for in good, because it is not an absolute path" \
    env P2P_MODULE_PATH=good "$p2p" devices
grep -q "^..test" out.txt && fail "a relative path was used"
expect 0 "warning: P2P_MODULE_PATH: can't read the folder $PWD/missing" env P2P_MODULE_PATH="$PWD/missing::$good" "$p2p" devices
printed "* test:0" "a folder that is missing, and a good one"
put second test
chmod 757 second/p2p_test.so
expect 0 "* test:0" env P2P_MODULE_PATH="$good:$PWD/second" "$p2p" devices
put beside test
cp "$p2p" beside/p2p
expect 0 "* test:0" env -u P2P_MODULE_PATH beside/p2p devices

echo "-- owners and permissions"
# refused MODE-OF-FOLDER MODE-OF-FILE WORDS
refused() {
    put open test
    chmod "$1" open
    chmod "$2" open/p2p_test.so
    listed "$PWD/open" test "not loaded: $PWD/open$3"
    expect 0 "warning: test can't be used: $PWD/open$3" env P2P_MODULE_PATH="$PWD/open" "${plan[@]}"
}
for mode in 757 777; do
    refused $mode 755 ": other users can write to it"
    refused 755 $mode "/p2p_test.so: other users can write to it"
done
listed "$PWD/open:$good" test "not loaded: $PWD/open/p2p_test.so: other users" # not replaced in silence
# The user's own primary group counts as this user; most systems give each user one, and a umask of 002.
if getent passwd "$(id -u)" >/dev/null && [ "$(id -un)" = "$(id -gn)" ] &&
    [ -z "$(getent group "$(id -g)" | cut -d : -f 4)" ]; then
    put group test
    chmod 775 group group/p2p_test.so
    expect 0 "* test:0" env P2P_MODULE_PATH="$PWD/group" "$p2p" devices
else
    skipped "modules that the user's own group can write to" "this user has no group of its own"
fi
if [ "$(id -u)" = 0 ]; then
    put group test
    chgrp 1 group/p2p_test.so
    chmod 775 group/p2p_test.so
    listed "$PWD/group" test "not loaded: $PWD/group/p2p_test.so: other users can write to it"
    chgrp 1 group
    chmod 775 group
    listed "$PWD/group" test "not loaded: $PWD/group: other users can write to it"
else
    skipped "modules that another group can write to" "it needs root"
fi
if [ "$(id -u)" = 0 ]; then
    put open test
    chown 65534 open/p2p_test.so
    listed "$PWD/open" test "not loaded: $PWD/open/p2p_test.so: it belongs to another user"
    chown 0 open/p2p_test.so
    chown 65534 open
    listed "$PWD/open" test "not loaded: $PWD/open: it belongs to another user"
else
    skipped "another user's modules" "it needs root"
fi

echo "-- beside the program, who can change the program is trusted"
# beside LINE [REASON]: the program prints the line, and why the module is refused.
beside() {
    expect 0 "$1" timeout 60 env -u P2P_MODULE_PATH beside/p2p devices
    [ -z "${2:-}" ] || printed "    not loaded: $PWD/beside/p2p_test.so: $2" "$2"
}
rm -rf beside
(umask 002 && mkdir beside && cat "$p2p" >beside/p2p && cat "$modules/p2p_test.so" >beside/p2p_test.so)
chmod 775 beside/* beside
if [ "$(id -u)" = 0 ]; then chgrp -R 1 beside; fi
beside "* test:0"
expect 0 "* test:0" env P2P_MODULE_PATH="$PWD/beside" beside/p2p devices # the same folder
if [ "$(id -u)" = 0 ]; then
    chown 65534 beside/p2p_test.so # a colleague's build
    beside "* test:0"
    chgrp 2 beside/p2p_test.so # of a user who may not be of the group that can write to the folder
    chmod 755 beside/p2p_test.so
    beside "reference:0" "it belongs to another user"
    chgrp 1 beside/p2p_test.so
    chmod 775 beside/p2p_test.so
    chown -R 65534 beside
    beside "* test:0"
    chmod 1777 beside # where anyone can add a file
    chown 65533 beside/p2p_test.so
    beside "reference:0" "it belongs to another user"
    chown 65534 beside/p2p_test.so
    beside "* test:0"
    chmod 755 beside # where only its owner can
    chown 65533 beside/p2p_test.so
    beside "reference:0" "it belongs to another user"
    chown 65534 beside/p2p_test.so
    chgrp 2 beside/p2p_test.so # a group that can't write to the program
    beside "reference:0" "its group can write to it (chmod g-w changes that)"
    chgrp 2 beside/p2p
    beside "* test:0"
    chgrp 1 beside/p2p beside/p2p_test.so
fi
chmod 757 beside/p2p_test.so # but not the program
beside "reference:0" "other users can write to it (chmod o-w changes that)"
chmod 777 beside # as on file systems without permissions
beside "* test:0"
rm beside/p2p_test.so
mkfifo beside/p2p_test.so
beside "reference:0" "it is not a file"

echo "-- raised privileges"
if [ "$(id -u)" != 0 ]; then
    skipped "P2P_MODULE_PATH with raised privileges" "it needs root"
elif grep -q __asan_init "$p2p"; then
    skipped "P2P_MODULE_PATH with raised privileges" "LeakSanitizer can't look into such a process"
else
    cp "$p2p" raised
    expect 0 "test:0" env P2P_MODULE_PATH="$good" ./raised devices
    chown 65534 raised
    chmod 4755 raised
    expect 0 "reference:0" env P2P_MODULE_PATH="$good" ./raised devices
    grep -q "test" out.txt && fail "P2P_MODULE_PATH was used by a program with another user's rights"
    put mine test # a link to such a program may lie in the folder of whoever starts it
    ln raised mine
    chown 65533 mine mine/p2p_test.so
    expect 0 "not loaded: $PWD/mine: it belongs to another user" mine/raised devices
fi

echo "-- a training on a module"
export P2P_MODULE_PATH=$trains
"$p2p" sample-data toys --count 4 --size 32 --seed 3 >/dev/null 2>&1 || fail "no data"
for on in picky:3 reference:0; do
    expect 0 "device: $on" "$p2p" train --data toys --size 32 --ngf 4 --ndf 4 --steps 2 --device $on --out "${on%:*}"
done
same_weights picky/generator.safetensors reference/generator.safetensors
same_weights picky/discriminator.safetensors reference/discriminator.safetensors

echo "-- symbols"
for module in "$modules"/p2p_{test,picky,older}.so; do
    names=$(nm -D --defined-only "$module" | awk '{ print $3 }' | grep -v '^__odr_asan')
    [ "$names" = p2p_module_exported ] || fail "$module exports: $names"
    nm -D --undefined-only "$module" | grep -q ' p2p_' && fail "$module needs a symbol of the program"
done
finish
