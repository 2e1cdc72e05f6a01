#!/usr/bin/env bash
# Which folders are a toolkit, what is printed about those that are not, and what becomes of a build without one.
#
#   find.sh CMAKE TOOLKIT_CMAKE
set -u
cmake=$1 toolkit=$2 failures=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
major=12

# Only the folders of the test are looked at.
cat >select.cmake <<SCRIPT
set(PROJECT_SOURCE_DIR $work)
include($toolkit)
function(p2p_cuda_roots LIST)
  set(\${LIST} \${P2P_CUDA_TOOLKIT} \${ROOTS} PARENT_SCOPE)
endfunction()
p2p_cuda_select()
message("found=\${P2P_CUDA_FOUND} missing=\${P2P_CUDA_MISSING} version=\${P2P_CUDA_VERSION} nvcc=\${P2P_CUDA_NVCC} nvrtc=\${P2P_CUDA_NVRTC_LIBRARIES}")
SCRIPT

# selects CODE TEXT OPTION...: runs it; the output must have the text.
selects() {
    local code=$1 text=$2 status
    shift 2
    "$cmake" "$@" -P select.cmake >out.txt 2>&1
    status=$?
    tr -s '\n ' ' ' <out.txt >line.txt # messages are broken into lines
    [ "$status" -eq "$code" ] && grep -qF -- "$text" line.txt && return
    echo "FAILED: $*: exit code $status, expected $code and \"$text\":"
    cat out.txt
    failures=$((failures + 1))
}

# header ROOT VERSION [NAME...]: a folder with cuda.h of the version, and headers of cuDNN 9.8 and NCCL 2.24.
header() {
    local root=$1 version=$2 name
    shift 2
    mkdir -p "$root/include"
    echo "#define CUDA_VERSION $version" >"$root/include/cuda.h"
    for name; do
        printf '#define NCCL_MAJOR 2\n#define NCCL_MINOR 24\n' >"$root/include/$name"
    done
    printf '#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 8\n' >"$root/include/cudnn_version.h"
}

# compiler FILE [ERROR]: a compiler of the host or of kernels, which fails with the error when it compiles something.
compiler() {
    mkdir -p "$(dirname "$1")"
    cat >"$1" <<SCRIPT
#!/bin/sh
case "\$1" in --version) exit ;; --list-gpu-arch) echo compute_75; exit ;; esac
[ -z "${2:-}" ] && exit
echo "In file included from somewhere:" >&2
echo "${2:-}" >&2
echo "nvcc or others add a line"
exit 1
SCRIPT
    chmod +x "$1"
}
all="cudnn.h cublas_v2.h nccl.h"

mkdir empty
# Headers of the system complete what a folder lacks, so this is checked only where it has none.
header bare 12090
if [ ! -e /usr/include/cudnn.h ]; then
    selects 0 "found=FALSE missing=$work/bare has no cudnn.h" -DP2P_CUDA=AUTO -DROOTS="$work/bare"
fi
# shellcheck disable=SC2086 # words
{
    header old 11080 $all
    header headers 12090 $all
    header nvcc 12090 $all
    header nvrtc 12090 $all
}
mkdir -p nvrtc/lib
touch nvrtc/lib/libnvrtc.so.$major
compiler nvcc/bin/nvcc
compiler nvrtc/bin/ptxas

selects 0 "CUDA is left out: there is no CUDA toolkit; ci/cuda-toolkit downloads one" -DP2P_CUDA=AUTO
selects 0 "found=FALSE missing=there is no CUDA toolkit" -DP2P_CUDA=AUTO -DROOTS="$work/empty"
selects 0 "found=FALSE missing=the option P2P_CUDA is OFF" -DP2P_CUDA=OFF -DROOTS="$work/nvcc"
selects 0 "missing=$work/old is CUDA 11.8, older than 12.0" -DP2P_CUDA=AUTO -DROOTS="$work/empty;$work/old"
selects 0 "missing=$work/headers has neither nvcc nor NVRTC, nvFatbin and ptxas" -DP2P_CUDA=AUTO -DROOTS="$work/headers;$work/old"
selects 0 "$work/nvrtc has neither nvcc nor" -DP2P_CUDA=AUTO -DROOTS="$work/nvrtc"
touch nvrtc/lib/libnvfatbin.so.$major
selects 0 "CUDA 12.9 in $work/nvrtc" -DP2P_CUDA=AUTO -DROOTS="$work/old;$work/nvrtc;$work/nvcc"
selects 0 "found=TRUE missing= version=12.9 nvcc= nvrtc=$work/nvrtc/lib/libnvfatbin.so.$major" -DP2P_CUDA=ON -DROOTS="$work/nvrtc"
selects 0 "found=TRUE missing= version=12.9 nvcc=$work/nvcc/bin/nvcc" -DP2P_CUDA=ON -DP2P_CUDA_TOOLKIT="$work/nvcc"
# unfit NAME TEXT [OPTION...]: the toolkit is left out for the reason, and the next one is used.
unfit() {
    selects 0 "CUDA is left out: $2" -DP2P_CUDA=AUTO -DROOTS="$work/$1" "${@:3}"
    selects 0 "$2" -DP2P_CUDA=AUTO -DROOTS="$work/$1;$work/nvcc" # both are printed
    selects 0 "CUDA 12.9 in $work/nvcc" -DP2P_CUDA=AUTO -DROOTS="$work/$1;$work/nvcc"
    selects 1 "P2P_CUDA is ON, but $2" -DP2P_CUDA=ON -DROOTS="$work/$1" "${@:3}"
}
for name in dnn8 nccl nothing kernels ptxas; do cp -r nvcc $name; done
printf '#define CUDNN_MAJOR 8\n#define CUDNN_MINOR 9\n' >dnn8/include/cudnn_version.h
unfit dnn8 "$work/dnn8/include/cudnn_version.h is cuDNN 8.9, older than 9.0"
printf '#define NCCL_MAJOR 2\n#define NCCL_MINOR 12\n' >nccl/include/nccl.h
unfit nccl "$work/nccl/include/nccl.h is NCCL 2.12, older than 2.18"
: >nothing/include/cudnn_version.h
unfit nothing "$work/nothing/include/cudnn_version.h has no CUDNN_MAJOR"
compiler kernels/bin/nvcc "host_config.h: fatal error: #error -- unsupported GNU version! \\\"gcc\\\""
unfit kernels "$work/kernels/bin/nvcc can't be used, because it fails: host_config.h: fatal error: error -- unsupported GNU version! gcc"
rm -r ptxas && cp -r nvrtc ptxas && echo "no program" >ptxas/bin/ptxas
unfit ptxas "$work/ptxas/bin/ptxas can't be used, because it fails: "
compiler good
compiler bad "cuda_dnn.c:63:36: error: 'CUDNN_NAME' undeclared"
selects 0 "CUDA 12.9 in $work/nvcc" -DP2P_CUDA=AUTO -DROOTS="$work/nvcc" -DCMAKE_C_COMPILER="$work/good"
selects 0 "CUDA is left out: p2p can't be compiled with the headers of $work/nvcc, because it fails: cuda_dnn.c:63:36: error: 'CUDNN_NAME' undeclared" \
    -DP2P_CUDA=AUTO -DROOTS="$work/nvcc" -DCMAKE_C_COMPILER="$work/bad"
selects 1 "P2P_CUDA is ON, but there is no CUDA toolkit. Try ci/cuda-toolkit" -DP2P_CUDA=ON
selects 1 "$work/empty has no cuda.h" -DP2P_CUDA=AUTO -DP2P_CUDA_TOOLKIT="$work/empty"
exit $((failures > 0))
