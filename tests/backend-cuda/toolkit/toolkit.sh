#!/usr/bin/env bash
# ci/cuda-toolkit with small packages made here in place of an index: what it leaves is complete or absent, it continues
# after an interruption, and it refuses packages with other checksums.
#
#   toolkit.sh CI      the project's folder ci
set -u
ci=$(realpath "$1")
. "$(dirname "$0")/../../support/script.sh"
if ! python3 -m pip --version >/dev/null 2>&1; then
    echo "SKIPPED: ci/cuda-toolkit: python3 has no pip"
    exit 0
fi
if [ "$(uname -s) $(uname -m)" != "Linux x86_64" ]; then
    echo "SKIPPED: ci/cuda-toolkit: it has lists for Linux on x86_64 only"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
mkdir ci index
cp "$ci/cuda-toolkit" ci
export PIP_NO_INDEX=1 PIP_FIND_LINKS=$work/index PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONFIG_FILE=/dev/null

# make NAME FILE...: a wheel NAME 1.0 with files of text; prints its line for a list.
make() {
    python3 - "$@" <<'PYTHON'
import hashlib, sys, zipfile
name, files = sys.argv[1], sys.argv[2:]
path = f"index/{name}-1.0-py3-none-any.whl"
with zipfile.ZipFile(path, "w") as wheel:
    for file in files:
        wheel.writestr(file, f"{name}\n")
    wheel.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    wheel.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")
print(f"{name}==1.0 --hash=sha256:{hashlib.sha256(open(path, 'rb').read()).hexdigest()}")
PYTHON
}

# brings CODE TEXT VERSION: runs the script; the output must have the text.
brings() { ends "$1" "$2" ci/cuda-toolkit "${@:3}"; }

{
    echo "# a comment"
    make one nvidia/one/__init__.py nvidia/one/bin/tool nvidia/one/include/one.h
    make two nvidia/cu1/lib/libtwo.so.1 nvidia/cu1/include/two.h
} >ci/cuda-toolkit-1.0.txt

brings 1 "there is no list for version 7.7, only for: 1.0" 7.7

mv index/two-*.whl .
brings 1 "two==1.0 can't be had" 1.0
holds "an incomplete toolkit is absent" test ! -e build/cuda-toolkit/1.0
mv index/one-*.whl .
mv two-*.whl index # what was there is not asked for again
brings 0 "build/cuda-toolkit/1.0 is complete" 1.0
cd build/cuda-toolkit/1.0 || exit 1
holds "a program can be executed" test -x bin/tool
holds "headers of both packages are in one folder" test -e include/one.h -a -e include/two.h
holds "the library is there" test -e lib/libtwo.so.1
holds "files of Python are left out" test ! -e __init__.py
holds "nothing else is left" test "$(cd .. && echo *)" = 1.0
cd "$work" || exit 1
brings 0 "build/cuda-toolkit/1.0 is there" 1.0

{
    sed -n "s/^\(two.*sha256:\).*/\1/p" ci/cuda-toolkit-1.0.txt | tr -d "\n"
    printf "%064d\n" 0
} >ci/cuda-toolkit-2.0.txt
brings 1 "DO NOT MATCH THE HASHES" 2.0
holds "a package with another checksum is not used" test ! -e build/cuda-toolkit/2.0
holds "nothing of it is unpacked" test ! -e build/cuda-toolkit/2.0.partial/toolkit/lib

grep '^two' ci/cuda-toolkit-1.0.txt >ci/cuda-toolkit-2.0.txt # a list that has changed begins anew
touch build/cuda-toolkit/2.0.partial/toolkit/stale
brings 0 "build/cuda-toolkit/2.0 is complete" 2.0
holds "files of the earlier list are gone" test ! -e build/cuda-toolkit/2.0/stale
exit $((failures > 0))
