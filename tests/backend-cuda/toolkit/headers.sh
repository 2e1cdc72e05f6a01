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
# The header's version is of 12.8: the check finds it. The backend looks up the first one (library/cuda_api.h).
planted_function='SINCE(cuEventElapsedTime)'
looked_up='#undef PFN_cuEventElapsedTime
#define PFN_cuEventElapsedTime PFN_cuEventElapsedTime_v2000
CUDA_DRIVER_LIST(SINCE)'
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
    # The UUID of a MIG instance is the second version's, which headers of CUDA 12 do not name by themselves.
    if ! printf '#include "library/cuda_api.h"\nlooked_up:cuDeviceGetUuid;\n' | "$compiler" "${includes[@]}" -E -P - |
        grep -q "looked_up:cuDeviceGetUuid_v2;"; then
        echo "FAILED: $toolkit: cuDeviceGetUuid is the first version"
        failures=$((failures + 1))
    fi
    # The oldest driver of builds with CUDA 12, R525, is 12.0: no function that is looked up may have a later interface.
    # NVIDIA's header has the version of each in the name of its type. CUDA 13 starts on drivers of its own generation.
    if [[ $version == 12* ]]; then
        since=$(printf '#include <cudaTypedefs.h>\n#include "library/cuda_api.h"\n#define SINCE(f) since:PFN_##f;\n%s\n%s\n' \
            "$planted_function" "$looked_up" | "$compiler" "${includes[@]}" -E -P - 2>/dev/null |
            grep -oE 'since:PFN_[A-Za-z0-9_]+_v[0-9]+')
        newer=$(awk -F_v '$NF > 12000' <<<"$since")
        if [ "$(wc -l <<<"$since")" -lt 30 ] || [ "$newer" != "since:PFN_cuEventElapsedTime_v12080" ]; then
            echo "FAILED: $toolkit: newer than the driver R525: $newer"
            failures=$((failures + 1))
        fi
    fi
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
