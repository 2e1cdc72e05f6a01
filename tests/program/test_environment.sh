#!/usr/bin/env bash
# Environment variables and their options: the table has exactly the variables that the sources read, backend/ENVIRONMENT.md
# contains the table, an option overrides its variable, and invalid values are refused.
#
#   tests/program/test_environment.sh P2P DEVICE
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$(dirname "$0")/../support/expect.sh" "$@"

echo "-- the table and the sources"
# texts FOLDER...: prints the C sources in the folders without white space, so that line breaks have no effect.
texts() { find "$@" -name '*.[ch]' -exec cat {} + | tr -d ' \t\n'; }
calls() { texts "$@" | grep -oE 'getenv\("[A-Z0-9_]+"\)' | cut -d '"' -f 2; }
# names ROOT: prints the variables that the sources in ROOT read. The program also passes names to getenv through arguments
# and tables, so there every literal P2P_* counts, except those of variables that are set, and of other names arguments of the
# functions that read numbers and texts, and those that stand before a path in a table.
names() (
    cd "$1" || exit 1
    program=(backend* models train)
    {
        calls "${program[@]}" tests
        texts "${program[@]}" | grep -oE '((number_in|value_of)\("[A-Z0-9_]+"|\{"[A-Z0-9_]+","/)' | cut -d '"' -f 2
        texts "${program[@]}" | sed -E 's/setenv\("[A-Z0-9_]+"//g' | grep -oE '"P2P_[A-Z0-9_]+"' | tr -d '"'
    } | sort -u
)
mkdir tree
cp -r "$source"/{backend*,models,train,tests} tree
rm tree/backend/device/environment.c tree/backend-opencl/ocl_variables.c tree/backend-cuda/cuda_variables.c # the table itself
rm -r tree/tests/cuda-machine # the machine has variables of its own, which it describes
expect 0 "P2P_CACHE_DIR" "$p2p" help environment
cp out.txt environment.txt
sed -n 's/^| `\([A-Z0-9_]*\)`.*/\1/p' environment.txt >listed.txt
sort -u listed.txt >documented.txt
[ "$(wc -l <listed.txt)" -eq "$(wc -l <documented.txt)" ] || fail "a variable has two rows"
# Backends describe their variables, so those of one that is not built are missing.
whole=true
"$p2p" devices >devices.txt
grep -q '^..opencl' devices.txt || whole=false
grep -A 1 '^..cuda' devices.txt | grep -qF 'not installed' && whole=false
$whole || skipped "the whole table" "a backend is not built"
$whole && { names tree | diff documented.txt - || fail "p2p help environment lists '<', which is not read, or lacks '>'"; }

# A test of the search itself: it finds each name that is read, in any form, and no other.
mkdir -p probe/{backend,backend-opencl,models,train,tests}
printf 'x = getenv(\n    "SOME_HOME"); row r = {"P2P_ROW", 1}; read_number( "P2P_NUMBER");' >probe/backend/a.c
printf 'setenv("P2P_SET", "1", 1); fail("P2P_TEXT is wrong"); number_in("SIZE", 0); text_in("NOT");' >probe/train/a.c
printf 'row r[] = {{"CONDA", "/lib"}, {"TITLE", "a text"}, {NULL, "/usr"}};' >probe/models/a.c
printf 'getenv("TEST_ONLY"); unsetenv("P2P_UNSET"); open_with("P2P_GIVEN");' >probe/tests/a.c
[ "$(names probe | xargs)" = "CONDA P2P_NUMBER P2P_ROW SIZE SOME_HOME TEST_ONLY" ] || fail "the search found: $(names probe | xargs)"

echo "-- the committed table"
$whole && { sed '1,2d' "$source/backend/ENVIRONMENT.md" | diff - environment.txt ||
    fail "backend/ENVIRONMENT.md has '<', p2p help environment prints '>'"; }

echo "-- options"
for command in train translate test plan bench tune; do
    expect 0 "--cache DIR" "$p2p" $command --help
    printed "--device-timeout SECONDS" "$command --help"
done
plan=(plan --size 32 --ngf 16 --ndf 16 --mode translate --device "$device")
expect 0 "conv_fwd" "$p2p" "${plan[@]}" --cache cache --device-timeout 30
expect 2 "--cache: the value is empty" "$p2p" "${plan[@]}" --cache ""
expect 2 "--device-timeout: 'soon' is not a number" "$p2p" "${plan[@]}" --device-timeout soon
expect 2 "--device-timeout: 'nan' is not a number" "$p2p" "${plan[@]}" --device-timeout nan
expect 2 "--device-timeout: -1 is outside 0 to" "$p2p" "${plan[@]}" --device-timeout -1
expect 2 "--cache: unknown option" "$p2p" sample-data toys --cache cache
expect 2 "P2P_LOSE_DEVICE_AT is 'soon'" env P2P_LOSE_DEVICE_AT=soon "$p2p" "${plan[@]}"

if [ "${device%%:*}" = opencl ]; then # the reference has neither a cache nor a time limit
    echo "-- the cache folder"
    kept() { [ -n "$(ls "$1" 2>/dev/null)" ]; }
    rm -rf cache
    expect 0 "" env P2P_CACHE_DIR=variable "$p2p" "${plan[@]}" --cache option
    kept option || fail "--cache: nothing is kept there"
    kept variable && fail "P2P_CACHE_DIR was used in spite of --cache"
    expect 0 "" env P2P_CACHE_DIR=variable "$p2p" "${plan[@]}"
    kept variable || fail "P2P_CACHE_DIR: nothing is kept there"
    mkdir empty
    cd empty || exit 1
    expect 0 "" env P2P_CACHE_DIR=variable HOME="$PWD" "$p2p" "${plan[@]}" --cache off
    rm out.txt err.txt
    kept . && fail "--cache off: something was kept: $(ls)"
    cd .. || exit 1
    touch file
    expect 0 "warning: can't make the folder" env P2P_OPENCL_CACHE=on "$p2p" "${plan[@]}" --cache file/cache --verbose
    [ "$(grep -c "^cache: can't make the folder" err.txt)" -gt 1 ] || fail "--cache file/cache: there was hardly anything to store"
    [ "$(grep -c '^warning: ' err.txt)" -eq 1 ] || fail "--cache file/cache: not one warning: $(grep ^warning err.txt)"

    echo "-- the time limit"
    expect 2 "P2P_OPENCL_TIMEOUT is 'soon'" env P2P_OPENCL_TIMEOUT=soon "$p2p" "${plan[@]}"
    expect 0 "" env P2P_OPENCL_TIMEOUT=soon "$p2p" "${plan[@]}" --device-timeout 0
    gpu=(env P2P_OPENCL_CONV=gpu P2P_OPENCL_TIMEOUT=1000) # waits with a limit, as for GPUs
    expect 5 "has not finished its work within" "${gpu[@]}" "$p2p" bench --what translate --size 32 --ngf 4 --steps 1 \
        --device "$device" --tune off --device-timeout 1e-9
    printed "hint: if it is only slow, raise the limit with --device-timeout SECONDS or" "a wait that is too long"
fi
finish
