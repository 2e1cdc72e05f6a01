#!/usr/bin/env bash
# Whether the host code compiles with the headers of every toolkit that is here, not only with those of the build: the
# functions' types are the headers', so a call that does not fit those of another version is an error. Warnings count.
#
#   headers.sh COMPILER SOURCES TOOLKIT...     SOURCES: the project's folder
set -euo pipefail
compiler=$1 sources=$2
shift 2
failures=0
flags=(-std=c11 -fsyntax-only -Wall -Wextra -Wpedantic -Werror -D_POSIX_C_SOURCE=200809L)
for toolkit; do
    includes=(-isystem "$toolkit/include" -I"$sources/backend-cuda" -I"$sources/backend")
    if ! version=$(printf '#include <cuda.h>\n#include <cudnn.h>\n#include <nccl.h>\n#include <cublas_v2.h>\nCUDA_VERSION CUDNN_VERSION NCCL_VERSION_CODE' |
        "$compiler" "${includes[@]}" -E -P - 2>/dev/null | tail -n 1); then
        echo "SKIPPED: headers of $toolkit: it lacks some"
        continue
    fi
    count=0
    for file in "$sources"/backend-cuda/*.c "$sources"/backend-cuda/{library,device,conv,tune,comm}/*.c; do
        [ -e "$file" ] || continue
        "$compiler" "${flags[@]}" "${includes[@]}" "$file" || failures=$((failures + 1))
        count=$((count + 1))
    done
    echo "$toolkit (CUDA, cuDNN, NCCL: $version): $count files"
done
# A call that does not fit its header is an error.
planted='#include "library/cuda_api.h"
int main(void) { return (int)cuda_driver.cuMemAlloc(1, 2, 3); }'
if echo "$planted" | "$compiler" "${flags[@]}" "${includes[@]}" -x c - 2>/dev/null; then
    echo "FAILED: a call with a wrong number of arguments compiles"
    failures=$((failures + 1))
fi
exit $((failures > 0))
