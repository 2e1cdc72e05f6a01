#!/usr/bin/env bash
# Whether the host code, the doubles of NVIDIA's libraries and the kernels compile with the headers of every toolkit that
# is here, not only with those of the build, and with older ones: the functions' types are the headers', so a call that
# does not fit those of another version is an error. Warnings count. Older headers are copies from which what they lack
# is taken: of cuDNN 9.1, NCCL 2.21, CUDA 12.1. Real ones of these versions were tried by hand.
#
#   headers.sh COMPILER SOURCES KERNELS TOOLKIT...     SOURCES: the project's folder; KERNELS: nvcc or nvrtc_compile
set -euo pipefail
compiler=$1 sources=$2 kernels=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
flags=(-std=c11 -fsyntax-only -Wall -Wextra -Wpedantic -Werror -D_POSIX_C_SOURCE=200809L)
# The header's version is of 12.8: the check finds it. The backend looks up the first one (library/cuda_api.h).
planted_function='SINCE(cuEventElapsedTime)'
looked_up='#undef PFN_cuEventElapsedTime
#define PFN_cuEventElapsedTime PFN_cuEventElapsedTime_v2000
CUDA_DRIVER_LIST(SINCE)'
own=(-I"$sources/backend-cuda" -I"$sources/backend" -I"$sources/tests/cuda-machine" -I"$sources" -isystem
    "$sources/backend-cuda/compile/headers")

# fails WORDS: reports a failure.
fails() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# compile_all FILE...: all files, with the headers in $includes.
compile_all() {
    local file
    for file; do "$compiler" "${flags[@]}" "${includes[@]}" "$file" || fails "$file with ${includes[*]}"; done
}

# remove PATTERN FILE...: takes the lines from the files, which must have some.
remove() {
    local pattern=$1 file
    shift
    grep -qE "$pattern" "$@" || fails "no header of $* has $pattern"
    for file; do sed -i -E "/$pattern/d" "$file"; done
}

# kernel FILE INCLUDES...: PTX of a file of kernels for the oldest card that every compiler supports.
kernel() {
    local options=(-std=c++17 -fmad=false -I"$sources" "${@:2}" -I"$sources/backend-cuda/kernels")
    case "$kernels" in
        *nvcc) "$kernels" -ptx -arch=compute_75 -Wno-deprecated-gpu-targets "${options[@]}" -o "$work/kernel.ptx" "$1" ;;
        *) "$kernels" ptx "$1" "$work/kernel.ptx" --gpu-architecture=compute_75 "${options[@]}" ;;
    esac
}

for toolkit; do
    includes=("${own[@]}" -isystem "$toolkit/include")
    if ! version=$(printf '#include <cuda.h>\n#include <cudnn.h>\n#include <nccl.h>\n#include <cublas_v2.h>\nCUDA_VERSION CUDNN_VERSION NCCL_VERSION_CODE' |
        "$compiler" "${includes[@]}" -E -P - 2>/dev/null | tail -n 1); then
        echo "SKIPPED: headers of $toolkit: it lacks some"
        continue
    fi
    host=("$sources"/backend-cuda/*.c "$sources"/backend-cuda/{library,device,conv,tune,comm}/*.c)
    doubles=("$sources"/tests/cuda-machine/libraries/{dnn,nccl}_*.c "$sources"/tests/cuda-machine/libraries/cudnn_calls.c)
    compile_all "${host[@]}" "${doubles[@]}"
    count=$((${#host[@]} + ${#doubles[@]}))
    # The UUID of a MIG instance is the second version's, which headers of CUDA 12 do not name by themselves.
    if ! printf '#include "library/cuda_api.h"\nlooked_up:cuDeviceGetUuid;\n' | "$compiler" "${includes[@]}" -E -P - |
        grep -q "looked_up:cuDeviceGetUuid_v2;"; then
        fails "$toolkit: cuDeviceGetUuid is the first version"
    fi
    # The oldest driver of builds with CUDA 12, R525, is 12.0: no function that is looked up may have a later interface.
    # NVIDIA's header has the version of each in the name of its type. CUDA 13 starts on drivers of its own generation.
    if [[ $version == 12* ]]; then
        since=$(printf '#include <cudaTypedefs.h>\n#include "library/cuda_api.h"\n#define SINCE(f) since:PFN_##f;\n%s\n%s\n' \
            "$planted_function" "$looked_up" | "$compiler" "${includes[@]}" -E -P - 2>/dev/null |
            grep -oE 'since:PFN_[A-Za-z0-9_]+_v[0-9]+')
        newer=$(awk -F_v '$NF > 12000' <<<"$since")
        if [ "$(wc -l <<<"$since")" -lt 30 ] || [ "$newer" != "since:PFN_cuEventElapsedTime_v12080" ]; then
            fails "$toolkit: newer than the driver R525: $newer"
        fi
    fi
    echo "$toolkit (CUDA, cuDNN, NCCL: $version): $count files"
done

# Of the last toolkit: what older headers lack.
header() { find -H "$toolkit"/include/ /usr/include -maxdepth 2 -name "$1" 2>/dev/null | head -n 1; }
mkdir "$work/old"
cp "$(dirname "$(header cudnn_version.h)")"/cudnn*.h "$(header nccl.h)" "$work/old"
sed -i -E 's/(define CUDNN_[A-Z_]*MINOR) .*/\1 1/' "$work"/old/cudnn*.h
sed -i -E 's/(define NCCL_VERSION_CODE) .*/\1 22105/; s/(ncclNumTypes) *=.*/\1 = 9/' "$work/old/nccl.h"
remove 'CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR *=|CUDNN_ATTR_[A-Z_]*DEVICEPROP[A-Z_]* *=|STATUS_SUBLIBRARY_LOADING_FAILED *=' \
    "$work"/old/cudnn_graph*.h
remove 'ncclBfloat16 *=' "$work/old/nccl.h"
includes=("${own[@]}" -isystem "$work/old" -isystem "$toolkit/include")
compile_all "${host[@]}" "${doubles[@]}"
# The doubles of such a build are libraries that the backend takes.
cat >"$work/versions.c" <<'CODE'
#include "library/cuda_library.h"
#include "libraries/double_version.h"
_Static_assert((int)DOUBLE_DNN_VERSION >= (int)CUDA_DNN_NEEDED, "the double of cuDNN is too old");
_Static_assert((int)DOUBLE_NCCL_VERSION >= (int)CUDA_NCCL_NEEDED, "the double of NCCL is too old");
CODE
sed -i -E 's/(define NCCL_VERSION_CODE) .*/\1 21801/' "$work/old/nccl.h"
compile_all "$work/versions.c"

# The function lies behind a condition that this card does not fulfil.
cp "$toolkit"/include/cuda_bf16.h* "$work/old"
sed -i 's/\b__bfloat16_as_ushort\b/p2p_gated/g' "$work"/old/cuda_bf16.h*
for file in "$sources"/backend-cuda/kernels/*.cu; do
    kernel "$file" -I"$work/old" -I"$toolkit/include" || fails "$file with the header of CUDA 12.1"
done
includes=("${own[@]}" -isystem "$toolkit/include")

# A call that does not fit its header is an error.
planted='#include "library/cuda_api.h"
int main(void) { return (int)cuda_driver.cuMemAlloc(1, 2, 3); }'
if echo "$planted" | "$compiler" "${flags[@]}" "${includes[@]}" -x c - 2>/dev/null; then
    fails "a call with a wrong number of arguments compiles"
fi
exit $((failures > 0))
