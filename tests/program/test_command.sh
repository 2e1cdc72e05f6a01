#!/usr/bin/env bash
# The commands of the program: results of a tiny training, resuming, equal bits, and every refusal with its exit code
# and part of its message.
#
#   tests/program/test_command.sh P2P DEVICE     P2P: the program; DEVICE: e.g. reference:0, opencl:0
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$(dirname "$0")/../support/expect.sh" "$@"

echo "-- help and usage"
expect 0 "p2p 0." "$p2p" --version
expect 0 "usage: p2p COMMAND" "$p2p" help
printed "  presets " "p2p help"
printed "  environment " "p2p help"
expect 2 "no command" "$p2p"
expect 2 "'frobnicate' is not a command" "$p2p" frobnicate
# option COMMAND NAME: prints the text of an option in the command's help.
option() {
    "$p2p" help "$1" | awk -v name="--$2" '/^  -/ || /^      --/ { shown = (index($0, name " ") == 7) } shown' | tr -s ' \n' ' '
}
for holds in "sample-data count (40)" "train size (256)" "sample-data size (256)" "train resize (bicubic)"; do
    read -r command name fallback <<<"$holds"
    [[ "$(option $command $name)" == *"$fallback"* ]] || fail "help $command: --$name lacks its default: $(option $command $name)"
done
for none in "test count" "test size" "pairs size" "translate resize" "test resize"; do
    read -r command name <<<"$none"
    [[ "$(option $command $name)" == *"--$name "* && "$(option $command $name)" != *"("[0-9b]* ]] ||
        fail "help $command: --$name has a default that does not hold: $(option $command $name)"
done
expect 2 "'frobnicate' is neither a command of p2p nor a topic" "$p2p" help frobnicate
printed "hint: the topics are presets, environment;" "p2p help frobnicate"
expect 2 "'extra': p2p help takes one command or topic" "$p2p" help train extra
expect 2 "'tune': p2p help takes one" "$p2p" help presets tune
commands=$("$p2p" help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p' | grep -vxE 'presets|environment') # these are topics
[ "$(wc -w <<<"$commands")" -ge 8 ] || fail "p2p help lists only these commands: $commands"
for command in $commands; do
    expect 0 "Examples:" "$p2p" help $command
    expect 0 "Examples:" "$p2p" $command --help
done
if script -qec true /dev/null </dev/null >/dev/null 2>&1; then
    # The texts of options, and notes, use the columns of a terminal, up to 110.
    for columns in 60 80 300; do
        script -qec "stty cols $columns; $p2p help translate" /dev/null </dev/null | tr -d '\r' >help.txt
        longest=$(awk '/^  -/ || /^      / { texts = 1 } texts && length($0) > most { most = length($0) } END { print most }' help.txt)
        least=$((columns < 110 ? columns - 15 : 95)) most=$((columns < 110 ? columns : 110))
        [ "$longest" -gt $least ] && [ "$longest" -le $most ] || fail "p2p help in $columns columns has lines of $longest: $(cat help.txt)"
    done
else
    skipped "p2p help on a terminal" "script(1) makes none"
fi
expect 2 "--frobnicate: unknown option" "$p2p" train --frobnicate
expect 2 "--batch: 'many' is not a whole number" "$p2p" train --batch many
expect 2 "--batch: 0 is outside" "$p2p" train --batch 0
expect 2 "--norm-eps: 0 is outside" "$p2p" train --norm-eps 0
expect 2 "--seed is given twice" "$p2p" train --seed 1 --seed 2
expect 2 "--direction: 'up' is not one of AtoB|BtoA" "$p2p" train --direction up
expect 2 "--data is missing" "$p2p" train --out run
expect 2 "--out is missing" "$p2p" train --data toys
expect 2 "takes options only" "$p2p" train --data toys --out run stray

expect 2 "--preset: 'caffe' is not one of pytorch|tensorflow" "$p2p" train --preset caffe
expect 2 "--d-layers contradicts --d-net pixel" "$p2p" plan --d-net pixel --d-layers 2
expect 2 "--bottleneck-norm on contradicts --norm none" "$p2p" plan --norm none --bottleneck-norm on

echo "-- the table of presets in models/PRESETS.md"
"$p2p" help presets >presets.txt
sed -n '/^| option/,/^$/{/^$/!p}' "$source/models/PRESETS.md" | diff - presets.txt || fail "the table of models/PRESETS.md is not p2p help presets"

echo "-- data"
expect 3 "nowhere" "$p2p" train --data nowhere --out run --device "$device"
expect 0 "toys" "$p2p" sample-data toys --count 5 --size 32 --seed 3
expect 2 "toys" "$p2p" sample-data toys --count 5 --size 32
expect 2 "argument 1 of p2p sample-data is empty" "$p2p" sample-data "" --count 5 --size 32
[ -e train ] && fail "pictures were drawn into the current folder"
options=(--data toys --size 32 --ngf 4 --ndf 4 --batch 2 --device "$device")

echo "-- devices"
expect 0 "reference:0" "$p2p" devices
expect 4 "hint:" "$p2p" train --data toys --out run --device nonsense:0
expect 4 "99" "$p2p" train --data toys --out run --device reference:99
expect 2 "contradicts --backend" "$p2p" train --data toys --out run --device opencl:0 --backend reference
expect 0 "conv_fwd" "$p2p" plan --size 32 --ngf 4 --ndf 4 --device "$device"
expect 0 "conv_fwd" "$p2p" plan --size 32 --ngf 4 --ndf 4 --device "$device" --mode translate

# --precision: the plan uses it. Without bf16 the refusal names the device and the hint names --precision fp32.
bf16=()
[ "${device%%:*}" = opencl ] && bf16=(env P2P_OPENCL_BF16=portable) # the processor may lack the instructions
expect 2 "fp16" "$p2p" plan --precision fp16 --device "$device"
expect 0 "math=bf16" "${bf16[@]}" "$p2p" plan --size 32 --ngf 16 --ndf 16 --precision bf16 --device "$device"
expect 0 '"precision":"bf16"' "${bf16[@]}" "$p2p" bench --what translate --size 32 --ngf 16 --steps 1 --precision bf16 --device "$device" --json
if [ "${device%%:*}" = opencl ]; then # a peak for each precision
    peak=$(grep -o '"peak_gflops":[0-9.]*' out.txt)
    grep -q "\"peak_fp32_gflops\":${peak#*:}," out.txt && fail "bench in bf16: one peak for both precisions"
fi
if [ "${device%%:*}" = opencl ]; then
    off=(env P2P_OPENCL_BF16=off "$p2p")
    expect 0 "no bf16: it is switched off by P2P_OPENCL_BF16=off" "${off[@]}" devices
    expect 1 "has no bf16: it is switched off by P2P_OPENCL_BF16=off" "${off[@]}" plan --size 32 --precision bf16 --device "$device"
    printed "hint: --precision fp32" "plan in bf16 without bf16"
    gpu=(env P2P_OPENCL_CONV=gpu "$p2p") # the algorithms of GPUs
    expect 0 "fp32, bf16 (activations are stored in bf16)" "${gpu[@]}" devices
    expect 0 "y=bf16:nchwc16:" "${gpu[@]}" plan --size 32 --precision bf16 --device "$device"
    narrow=$(sed -n 's/^  activations *\([0-9.]*\) MB (.*/\1/p' out.txt | head -n 1)
    expect 0 "y=f32:nchwc16:" "${gpu[@]}" plan --size 32 --device "$device"
    wide=$(sed -n 's/^  activations *\([0-9.]*\) MB (.*/\1/p' out.txt | head -n 1)
    awk "BEGIN { exit !($narrow > 0 && $narrow < 0.75 * $wide) }" ||
        fail "activations (and scratch memory, in float32) take $narrow MB in bf16, $wide in float32"
    expect 2 "must be auto, portable or off" env P2P_OPENCL_BF16=on "$p2p" plan --device "$device"
fi

echo "-- measuring"
# fields NAME...: checks that the last command printed one JSON object on one line, and that each field is positive.
fields() {
    [ "$(wc -l <out.txt)" -eq 1 ] && grep -q '^{.*}$' out.txt || fail "not one line of JSON: $(head -c 200 out.txt)"
    local name
    for name in "$@"; do
        grep -qE "\"$name\":[0-9.]*[1-9]" out.txt || fail "no positive $name: $(head -c 2000 out.txt)"
    done
}
small=(--size 32 --ngf 4 --ndf 4 --steps 2 --device "$device")
rates="images_per_s images_per_s_min images_per_s_max step_s first_step_s convolution_gflop gflops
    share_of_peak peak_gflops peak_fp32_gflops peak_gb_per_s device_memory_bytes host_peak_bytes"
expect 0 "images per second" "$p2p" bench "${small[@]}"
expect 0 '"what":"train"' "$p2p" bench "${small[@]}" --batch 2 --json
fields steps $rates
case $device in reference*) source=convolution ;; *) source=fma ;; esac # the reference has no peak kernel
grep -q "\"peak_source\":\"$source\"" out.txt || fail "the peak is not that of $source"
expect 0 '"plan":"translate"' "$p2p" bench "${small[@]}" --what translate --json --trace translate.json
fields steps $rates
grep -q '"traceEvents"' translate.json || fail "translate.json is not a timeline"
[ "$(grep -c '"ph": "X"' translate.json)" -gt 10 ] || fail "translate.json: hardly any operations"
grep -q '"name": "adam' translate.json && fail "translate.json: a training's operations"
expect 0 "in all" "$p2p" bench "${small[@]}" --what ops
expect 0 '"kind":"adam"' "$p2p" bench "${small[@]}" --what ops --json --trace train.json
fields steps sum_s peak_gflops peak_gb_per_s seconds mflop mb gb_per_s share_of_bound
grep -q '"name": "adam' train.json || fail "train.json: no update"
expect 0 '"plan":"translate"' "$p2p" bench "${small[@]}" --what ops --mode translate --json
expect 0 "host to device" "$p2p" bench --what transfers --steps 2 --device "$device"
expect 0 '"what":"transfers"' "$p2p" bench --what transfers --steps 2 --device "$device" --json
fields steps bytes to_device_gb_per_s to_host_gb_per_s copy_gb_per_s copy_kernel_gb_per_s
expect 0 '"sweep":"batch"' "$p2p" bench "${small[@]}" --what translate --sweep batch --json
fields peak_gflops s_per_image floor_s_per_image gflop_per_image device_mb floor_mb

echo "-- measuring several devices, and predicting"
twice=(--size 32 --ngf 4 --ndf 4 --steps 2 --device "$device,$device" --gpus 1,2)
expect 0 '"what":"growth"' "$p2p" bench "${twice[@]}" --json --plot growth.svg
fields images_per_s step_s efficiency one_device_step_s reduction_s updates_s
[ "$(grep -c '<polyline' growth.svg)" -ge 5 ] || fail "growth.svg: not three curves and two in the legend"
grep -q 'nan\|inf' growth.svg && fail "growth.svg: a figure is not a number"
fills growth.svg
expect 0 '"what":"prediction"' "$p2p" bench "${small[@]}" --batch 1 --predict --json --plot predicted.svg
fields step_s s bytes needed efficiency reduction_s
[ "$(grep -c '<polyline' predicted.svg)" -eq 10 ] || fail "predicted.svg: not a curve for each of five machines"
grep -q 'nan\|inf' predicted.svg && fail "predicted.svg: a figure is not a number"
fills predicted.svg
case $device in reference*) # a driver would compile long for more plans
    expect 0 "added by replicas" "$p2p" bench "${twice[@]}" --grad-accumulate 2
    [ "$(grep -cE '^ +[12] ' out.txt)" -eq 2 ] || fail "--gpus 1,2: not two rows"
    expect 0 '"devices":2,"images":4,' "$p2p" bench "${twice[@]}" --grad-accumulate 2 --json
    expect 0 '"plan":"translate"' "$p2p" bench "${twice[@]}" --what translate --json
    grep -q one_device_step_s out.txt && fail "a translation beside accumulated gradients"
    expect 0 "batch 64: a step of" "$p2p" bench --size 16 --ngf 2 --ndf 2 --d-layers 1 --device "$device" --predict
    [ "$(grep -c '^NVLink .* - *-$' out.txt)" -eq 3 ] || fail "--predict: NVLink has more than one node" ;;
esac
expect 2 "--sweep contradicts --what ops" "$p2p" bench --what ops --sweep size
expect 2 "--trace contradicts --sweep" "$p2p" bench --sweep size --trace x.json
expect 2 "--plot requires --sweep" "$p2p" bench --plot x.svg
expect 2 "a list of --gpus contradicts --what ops" "$p2p" bench --what ops --gpus 1,2
expect 2 "--sweep contradicts a list of --gpus" "$p2p" bench --sweep size --gpus 1,2
expect 2 "--gpus: 1 does not follow a smaller number" "$p2p" bench --gpus 2,1
expect 2 "--gpus: '' is not a whole number" "$p2p" bench --gpus 1,
expect 2 "--gpus 3: --device $device names 1" "$p2p" bench --gpus 1,3 --device "$device"
expect 2 "p2p train takes one number" "$p2p" train --data toys --out x --gpus 1,2
expect 2 "--predict contradicts --what translate" "$p2p" bench --predict --what translate
expect 2 "--sweep contradicts --predict" "$p2p" bench --predict --sweep size
expect 2 "--grad-accumulate contradicts --predict" "$p2p" bench --predict --grad-accumulate 2
expect 2 "this command uses one device" "$p2p" bench --predict --device "$device,$device"
expect 2 "--what: 'all' is not one of train|translate|ops|transfers" "$p2p" bench --what all
expect 2 "--mode contradicts --what train" "$p2p" bench --mode train
expect 2 "--trace contradicts --what transfers" "$p2p" bench --what transfers --trace x.json
expect 2 "--steps: 0 is outside" "$p2p" bench --steps 0
expect 2 "takes options only" "$p2p" bench toys
expect 1 "nowhere/x.json: No such file" "$p2p" bench "${small[@]}" --trace nowhere/x.json

echo "-- a name with the suffix of another format is refused before any work, and nothing appears under it"
# other WORDS NAME COMMAND...: the command is to write NAME.
other() {
    expect 2 "$1" "$p2p" "${@:3}"
    [ -e "$2" ] && fail "$2 was written: p2p ${*:3}"
}
other "no .png file is written there" page.png report toys -o page.png
printed "hint: these can be written: .html .htm" "report -o"
other "no .JSON file is written there" page.JSON report toys --out page.JSON
other "no .png file is written there" sizes.png bench "${small[@]}" --sweep size --plot sizes.png
other "no .svg file is written there" step.svg bench "${small[@]}" --trace step.svg
other "no .csv file is written there" table.csv pairs check toys --json table.csv
other "no .html file is written there" report.html doctor --device "$device" --report report.html
other "a folder is written, not a .safetensors file" x.safetensors train "${options[@]}" --out x.safetensors
printed "hint: name a folder; x.safetensors/ makes one of this name" "train --out"
other "a folder is written, not a .json file" numbers.json test --data toys --model toys --out numbers.json
other "a folder is written, not a .jpg file" x.jpg pairs grey toys/train x.jpg
other "a folder is written, not a .zip file" toys.zip sample-data toys.zip --count 1 --size 32

echo "-- a training"
expect 2 "--load-size" "$p2p" train "${options[@]}" --out run --load-size 16
expect 2 "contradicts --no-jitter" "$p2p" train "${options[@]}" --out run --load-size 40 --no-jitter
expect 2 "too small" "$p2p" train --data toys --device "$device" --out run --size 5
expect 2 "--generator" "$p2p" train "${options[@]}" --out run --generator big
expect 3 "no training to resume" "$p2p" train "${options[@]}" --out run --resume
expect 0 "the model is" "$p2p" train "${options[@]}" --out whole --steps 8 --seed 7
for file in config.json metrics.jsonl generator.safetensors discriminator.safetensors samples/epoch-0001.png \
    samples/epoch-0002.png samples/step-000008.png checkpoints/step-000000008.safetensors; do
    [ -s "whole/$file" ] || fail "whole/$file is missing"
done
[ "$(grep -c '"d_real"' whole/metrics.jsonl)" -eq 10 ] || fail "metrics.jsonl: not 8 steps and 2 epochs"
[ "$(grep -c '"val_l1"' whole/metrics.jsonl)" -eq 2 ] || fail "metrics.jsonl: not two validations"
expect 2 "holds a training already" "$p2p" train "${options[@]}" --out whole --steps 8

echo "-- the same seed gives the same bits, another one does not"
expect 0 "" "$p2p" train "${options[@]}" --out again --steps 8 --seed 7
same whole/generator.safetensors again/generator.safetensors
same whole/checkpoints/step-000000008.safetensors again/checkpoints/step-000000008.safetensors
same whole/samples/epoch-0002.png again/samples/epoch-0002.png
expect 0 "" "$p2p" train "${options[@]}" --out other --steps 8 --seed 8
cmp -s whole/generator.safetensors other/generator.safetensors && fail "another seed gave the same model"

echo "-- resuming, in the middle of an epoch"
expect 0 "" "$p2p" train "${options[@]}" --out parts --steps 4 --seed 7
expect 0 "continuing after step 4" "$p2p" train "${options[@]}" --out parts --steps 8 --resume
for file in generator.safetensors discriminator.safetensors checkpoints/step-000000008.safetensors; do
    same whole/$file parts/$file
done
[ "$(losses whole/metrics.jsonl)" = "$(losses parts/metrics.jsonl)" ] || fail "metrics.jsonl differs after resuming"

if [ "${device%%:*}" = opencl ]; then # activations stored in bf16
    expect 0 "" "${gpu[@]}" train "${options[@]}" --out bf16 --precision bf16 --steps 6
    expect 0 "" "${gpu[@]}" train "${options[@]}" --out bf16parts --precision bf16 --steps 3
    expect 0 "continuing after step 3" "${gpu[@]}" train "${options[@]}" --out bf16parts --steps 6 --resume
    for file in generator.safetensors discriminator.safetensors checkpoints/step-000000006.safetensors; do
        same bf16/$file bf16parts/$file
    done
    expect 2 "--precision fp32 contradicts" "${gpu[@]}" train --out bf16parts --precision fp32 --resume
fi

echo "-- killed, and resumed from the last checkpoint"
"$p2p" train "${options[@]}" --out killed --steps 100000 --checkpoint-every 2 --seed 7 >/dev/null 2>&1 &
training=$!
for _ in $(seq 600); do
    compgen -G 'killed/checkpoints/step-*' >/dev/null && break
    sleep 0.1
done
kill -9 $training 2>/dev/null
wait $training 2>/dev/null
checkpoint=$(ls killed/checkpoints | sort | tail -n 1)
reached=$((10#$(echo "$checkpoint" | tr -cd 0-9)))
total=$((reached + 3))
expect 0 "continuing after step $reached" "$p2p" train "${options[@]}" --out killed --steps $total --resume
expect 0 "" "$p2p" train "${options[@]}" --out unkilled --steps $total --seed 7
same killed/generator.safetensors unkilled/generator.safetensors
[ "$(losses killed/metrics.jsonl)" = "$(losses unkilled/metrics.jsonl)" ] || fail "metrics.jsonl differs after a kill"

echo "-- refusals when resuming"
expect 2 "--ngf 8 contradicts" "$p2p" train --data toys --out parts --ngf 8 --resume --device "$device"
expect 2 "--preset tensorflow contradicts" "$p2p" train --data toys --out parts --preset tensorflow --resume
expect 2 "--seed 9 contradicts" "$p2p" train --data toys --out parts --seed 9 --resume --device "$device"
expect 2 "beyond the total of 3 steps" "$p2p" train --data toys --out parts --steps 3 --resume --device "$device"
expect 0 "toys2" "$p2p" sample-data toys2 --count 6 --size 32
expect 3 "toys2" "$p2p" train --data toys2 --out parts --steps 9 --resume --device "$device"
head -c 5000 whole/checkpoints/step-000000008.safetensors >other/checkpoints/step-000000008.safetensors
expect 3 "step-000000008.safetensors" "$p2p" train "${options[@]}" --out other --steps 9 --resume

echo "-- another kind of training, resumed and used"
variant=(--preset tensorflow --norm instance --bottleneck-norm off --gan-mode lsgan --d-net pixel)
expect 0 "" "$p2p" train "${options[@]}" "${variant[@]}" --out variant --steps 4
expect 0 "" "$p2p" train "${options[@]}" "${variant[@]}" --out variants --steps 2
expect 0 "" "$p2p" train --data toys --out variants --steps 4 --resume --device "$device"
same variant/generator.safetensors variants/generator.safetensors
same variant/discriminator.safetensors variants/discriminator.safetensors
expect 0 "variant.png" "$p2p" translate --model variant/generator.safetensors -o variant.png "$(ls toys/val/* | head -n 1)" \
    --device "$device"
expect 2 "bottleneck_norm is on" "$p2p" plan --size 32 --norm instance --bottleneck-norm on

echo "-- initial weights"
expect 0 "" "$p2p" train "${options[@]}" --out seeded --steps 1 --init-generator whole/generator.safetensors \
    --init-discriminator whole/discriminator.safetensors
expect 3 "nothing.safetensors" "$p2p" train "${options[@]}" --out init --steps 1 --init-generator nothing.safetensors
expect 3 "discriminator.safetensors" "$p2p" train "${options[@]}" --out init --steps 1 \
    --init-generator whole/discriminator.safetensors

if [ "${device%%:*}" = opencl ]; then
    echo "-- one thread and two give the same bits"
    expect 0 "" env POCL_MAX_PTHREAD_COUNT=1 POCL_CPU_MAX_CU_COUNT=1 "$p2p" train "${options[@]}" --out thread \
        --steps 8 --seed 7
    same whole/generator.safetensors thread/generator.safetensors
    same whole/checkpoints/step-000000008.safetensors thread/checkpoints/step-000000008.safetensors
fi

finish
