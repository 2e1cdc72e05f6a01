#!/usr/bin/env bash
# The table that ci/gpu makes of the speeds it measured: from logs in the form of p2p bench, exactly these lines.
#
#   tests/program/test_gpu_figures.sh CI      CI: the folder of the project's scripts
set -eu
figures=$1/gpu.d/figures
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/logs" "$work/empty"
cd "$work"

# log NAME PRECISION BATCH STEP GFLOP PEAK RATE
log() {
    echo "{\"what\":\"train\",\"precision\":\"$2\",\"batch\":$3,\"size\":256,\"ngf\":64,\"ndf\":64,\"step_s\":$4,\"images_per_s\":250,\"convolution_gflop\":$5,\"peak_gflops\":$6,\"peak_gb_per_s\":$7}" \
        >"logs/cuda-train-$1.log"
}
log one fp32 1 0.004 100 50000 2000 # 2 ms of arithmetic, 2.89 GB in 1.445 ms
log two bf16 16 0.013 100 50000 1000 # 6.57 GB in 6.57 ms
log one-tuned fp32 1 0.0035 100 50000 2000
log unknown tf32 16 0.01 100 null null # no ceiling was measured
cat >expected <<'END'
| precision | batch | images per second | step, ms | floor, ms | step over floor | what binds at the floor |
|---|---|---|---|---|---|---|
| fp32, tuned | 1 | 250.0 | 3.500 | 2.000 | 1.75 | arithmetic |
| fp32 | 1 | 250.0 | 4.000 | 2.000 | 2.00 | arithmetic |
| bf16 | 16 | 250.0 | 13.000 | 6.570 | 1.98 | memory |
| tf32 | 16 | 250.0 | 10.000 | - | - | - |
END
"$figures" "$PWD/logs" >found
diff expected found
[ "$(ls)" = "$(printf 'empty\nexpected\nfound\nlogs')" ] || { echo "it left other files: $(ls | tr '\n' ' ')" >&2; exit 1; }
if "$figures" "$PWD/empty" >found 2>said; then echo "logs without figures are accepted" >&2; exit 1; fi
grep -q "no figures in $PWD/empty" said
