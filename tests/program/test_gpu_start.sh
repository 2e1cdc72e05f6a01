#!/usr/bin/env bash
# How ci/gpu begins on a rented card, with a p2p made of a script: it stops where nvidia-smi lists a card that p2p can't
# use, finds the libraries of Python's packages, and its parts of CUDA fit into 15 minutes.
#
#   tests/program/test_gpu_start.sh CI      CI: the folder of the project's scripts
set -eu
scripts=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() {
    echo "$*" >&2
    cat said >&2
    exit 1
}

mkdir -p ci build/gpu/bin tools site-packages/nvidia/cudnn/lib other/nvidia/cudnn/lib
cp -r "$scripts/gpu" "$scripts/gpu.d" ci
cat >build/gpu/bin/p2p <<END
#!/bin/sh
echo "\$*" >>"$work/calls"
[ "\$1" = devices ] || exit 0
case ":\$P2P_CUDA_LIBRARY_PATH:" in
*":$work/site-packages/nvidia/cudnn/lib:"*) echo "* cuda:0     a card" ;;
*) echo "cuda: no library libcudnn.so.9" ;;
esac
END
printf '#!/bin/sh\necho "GPU 0: a card"\n' >tools/nvidia-smi
chmod +x build/gpu/bin/p2p tools/nvidia-smi
touch build/gpu/bin/p2p_cuda.so
export PATH=$work/tools:$PATH
unset P2P_CUDA_LIBRARY_PATH OUT

echo "-- a card that p2p can't use"
PYTHONPATH=$work/other ci/gpu >said 2>&1 && fail "it went on without CUDA"
grep -q "nvidia-smi lists a card, but p2p can't use it" said || fail "it does not say why it stops"
grep -q "no library libcudnn.so.9" said || fail "p2p's reason is missing"
grep -q '^GPU 0: a card' said || fail "the card is missing"
grep -vq '^devices' calls && fail "a check ran: $(cat calls)"
rm build/gpu/bin/p2p_cuda.so
PYTHONPATH=$work/other ci/gpu >said 2>&1 && fail "it went on without the module"
grep -q "has no p2p_cuda.so" said || fail "the missing module is not named"
touch build/gpu/bin/p2p_cuda.so

echo "-- libraries of Python's packages"
: >calls
PYTHONPATH=$work/site-packages ci/gpu cuda-doctor >said 2>&1 || fail "it does not find the libraries of Python's packages"
grep -q '^doctor --device cuda:0' calls || fail "the check did not run: $(cat calls)"
grep -q '^all passed' said || fail "it did not pass"

echo "-- the time of the parts"
ci/gpu --list >parts
# By default, with one card: neither cuda-many nor cuda-compiled.
sed -nE 's/^(cuda-[a-z]*) \(at most ([0-9]+) s\):/\1 \2/p' parts | awk '
    $2 > 240 { print $1 ": " $2 " s"; exit 1 }
    $1 == "cuda-many" || $1 == "cuda-compiled" { next }
    { count++; all += $2; if (count <= 4) first += $2 }
    END { if (count != 6 || all > 900 || first > 600) { print count " parts, " all " s, the first four " first " s"; exit 1 } }'
