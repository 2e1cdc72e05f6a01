#!/usr/bin/env bash
# ci/quickstart: the script itself runs, in a folder where ci/install and cmake do nothing and p2p is a wrapper of the
# program. By default the wrapper makes every number of its commands small, so that each step takes an instant; with `whole`
# it changes none, and the model must be as good as the recipe promises.
#
#   tests/program/test_quickstart.sh P2P DEVICE [whole]
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$(dirname "$0")/../support/expect.sh" "$1" "$2"
whole=${3:-}

# ---- The folder ----

mkdir -p ci bin build/gcc/train
cp "$source/ci/quickstart" ci
printf '#!/bin/sh\n' | tee ci/install >bin/cmake
cat >build/gcc/train/p2p <<'WRAPPER'
#!/usr/bin/env bash
# Runs the program on the test's device, unless WHOLE is set with small numbers. An option that the command of ci/quickstart
# lacks is no longer made small, which the test sees in `commands.txt`.
declare -A small=([--count]=8 [--size]=32 [--ngf]=4 [--ndf]=4 [--epochs]=1 [--epochs-decay]=1)
words=("$@")
for ((i = 1; i + 1 < ${#words[@]}; i++)); do
    [ -z "$WHOLE" ] && [ -n "${small[${words[i]}]-}" ] && words[i + 1]=${small[${words[i]}]}
done
case "$1" in train | translate) words+=(--device "$DEVICE") ;; esac
echo "${words[*]}" >>"$COMMANDS"
exec "$P2P" "${words[@]}"
WRAPPER
chmod +x ci/install bin/cmake build/gcc/train/p2p
export PATH=$PWD/bin:$PATH P2P=$p2p DEVICE=$device WHOLE=$whole COMMANDS=$PWD/commands.txt P2P_CACHE_DIR=$PWD/cache

# ---- What it does ----

echo "-- ci/quickstart"
expect 0 "The model: build/quickstart/run/generator.safetensors" ci/quickstart
grep -q "^devices$" commands.txt || fail "it does not show the devices"
if [ -z "$whole" ]; then # what the wrapper makes small is there
    grep -q "^sample-data build/quickstart/toys --count 8 --size 32" commands.txt ||
        fail "other pairs: $(grep sample-data commands.txt)"
    for option in "--size 32" "--ngf 4" "--ndf 4" "--epochs 1" "--epochs-decay 1"; do
        grep -q "^train .*$option\b" commands.txt || fail "the training has no ${option% *}"
    done
fi
run=build/quickstart/run
printed "for a browser: $run/report.html" ci/quickstart
printed "  scp -r $(hostname):$PWD/$run/{report.html,samples} ." ci/quickstart
for file in report.html samples generator.safetensors; do
    [ -s "$run/$file" ] || fail "there is no $run/$file, which the last lines name"
done
[ -n "$(ls $run/samples)" ] || fail "there are no pictures"
translate=$(sed -n 's/^  \(build.* translate .*\) PICTURE$/\1/p' out.txt)
expect 0 "" $translate build/quickstart/toys/val/00001.jpg # a pair: its width is no matter here
[ -s result.png ] || fail "the command for translation leaves no result.png"

echo "-- nothing is overwritten"
cp $run/generator.safetensors before
expect 2 "build/quickstart exists; remove it or name another folder" ci/quickstart
same before $run/generator.safetensors

# ---- How good the model is ----

# better MEASURE BOUND: checks that the validation's last L1 is lower than the bound, or PSNR or SSIM higher.
better() {
    local value
    value=$(sed -nE "s/.*\"val_$1\":([0-9.]+).*/\1/p" $run/metrics.jsonl | tail -n 1)
    echo "$1: $value, bound $2"
    awk -v value="${value:-nan}" -v bound="$2" -v lower="$([ "$1" = l1 ] && echo 1 || echo 0)" \
        'BEGIN { exit !(value > 0 && (lower == 1 ? value < bound : value > bound)) }' || fail "$1 is $value; the bound is $2"
}
if [ -n "$whole" ]; then
    echo "-- quality"
    better l1 0.085
    better psnr 22.7
    better ssim 0.79
fi
finish
