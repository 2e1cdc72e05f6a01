#!/usr/bin/env bash
# Rules for CUDA kernels that no compiler checks: the same code for every card, so nothing depends on its architecture;
# no header of the C library, which the release's compiler lacks; names that the driver finds, so extern "C" in the
# line of __global__.
#
#   tests/structure/kernels.sh FOLDER      backend-cuda/kernels
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# find_lines PATTERN FOLDER
find_lines() {
    grep -rnE --include='*.cu' --include='*.cuh' "$1" "$2" || true
}

# Prints the lines of the folder's files that break a rule.
broken() {
    find_lines '__CUDA_ARCH|__CUDA_MINIMUM_ARCH' "$1" | sed 's/$/   <- depends on the card/'
    find_lines '#include *<(std|math\.|string|assert|float|limits|c[a-z]+>)' "$1" | sed 's/$/   <- a header of the C library/'
    find_lines '__global__' "$1" | sed '/extern "C"/d; s/$/   <- not extern "C"/'
}

# What breaks a rule is found.
planted() {
    mkdir "$work/planted"
    echo "$1" >"$work/planted/a.$2"
    [ "$(broken "$work/planted" | wc -l)" -eq 1 ] || {
        echo "FAILED: not found: $1"
        failures=1
    }
    rm -r "$work/planted"
}
planted '#if __CUDA_ARCH__ >= 800' cuh
planted '#include <stdint.h>' cu
planted '__global__ void f(float *x) {}' cu

broken "$1" >"$work/lines"
cat "$work/lines"
[ ! -s "$work/lines" ] || failures=1
exit $failures
