#!/usr/bin/env bash
# ci/datasets with a local server in place of the published one: what it leaves is complete or absent, it continues after
# interruptions, and it refuses sizes, checksums and archives that are not what they should be.
#
#   tests/program/test_datasets.sh CI      CI: the project's folder ci
set -u
ci=$(realpath "$1") here=$(realpath "$(dirname "$0")")
. "$here/../support/script.sh"
if ! command -v python3 >/dev/null; then
    echo "SKIPPED: ci/datasets: there is no python3"
    exit 0
fi
work=$(mktemp -d)
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY
cd "$work" || exit 1
python3 "$here/dataset_server.py" port log.txt &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 500); do
    [ -s port ] && break
    sleep 0.02
done
url=http://127.0.0.1:$(cat port)
python3 -c 'import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())' \
    "$url/good/facades.tar.gz" >good.tar.gz
: >log.txt

# brings CODE TEXT WAY [NAME]: fetches by one of the server's ways; the output must have the text.
brings() {
    ends "$1" "$2" "$ci/datasets" --from "$url/$3" --to sets --wait 0.001 "${4-facades}"
}

# complete WAY: checks that the data set is complete, and removes it.
complete() {
    holds "$1: six pictures" test "$(find sets/facades -type f | wc -l)" -eq 6
    [ -d first ] || cp -r sets/facades first
    holds "$1: the same pictures" diff -r sets/facades first
    holds "$1: nothing partial is left" test ! -e sets/facades.partial
    rm -rf sets/facades
}

# absent WAY: checks that there is no data set, not even in part, and nothing outside of the folder.
absent() {
    holds "$1: no data set" test ! -e sets/facades
    holds "$1: no file elsewhere" test -z "$(find . /tmp/p2p-evil.txt -name '*evil*' 2>/dev/null)"
    rm -rf sets/facades.partial
}

asked() {
    grep -c "^$1 " log.txt
}

echo "-- usage"
"$ci/datasets" horses >out.txt 2>&1
holds "an unknown name is wrong usage" test $? -eq 2
holds "the known names are listed" grep -q "edges2handbags.*facades.*night2day" out.txt
"$ci/datasets" --from /etc facades >out.txt 2>&1
holds "another scheme is wrong usage" test $? -eq 2

echo "-- complete, in spite of the connection"
brings 0 "3 in train" good
holds "the direction is named" grep -q -- "--direction BtoA" out.txt
holds "another number of pictures is a warning" grep -q "train has 3 files, the published one 400" out.txt
brings 0 "sets/facades is there" good
holds "what is there is not asked for" test "$(asked good)" -eq 1
complete good
for way in drops noranges changes unsized busy; do
    rm -f sets/facades.sha256
    [ $way = changes ] && rm -rf first
    brings 0 "3 in train" $way
    [ $way = changes ] && rm -f sets/facades/more.txt first/more.txt
    complete $way
done
holds "drops: continues at the byte" grep -qx "drops 5000" log.txt
holds "noranges: asks for the rest" grep -qx "noranges 2500" log.txt

echo "-- a later run continues"
rm -f sets/facades.sha256
brings 4 "503" stops
holds "stops: keeps what came" test "$(stat -c %s sets/facades.partial/archive)" -eq 2500
sed -i "s#/stops/#/good/#" sets/facades.partial/origin.json # the same file, by the way that works
brings 0 "3 in train" good
holds "stops: the second run asks for the rest only" grep -qx "good 2500" log.txt
complete stops

echo "-- sizes"
rm -f sets/facades.sha256 # it is compared below
brings 4 "the connection ended after" longer
absent longer
brings 3 "the archive is damaged" shorter
absent shorter
brings 4 "(6 tries)" totals
absent totals
brings 3 "at most" huge
absent huge
brings 3 "404" missing
absent missing

echo "-- archives"
for way in absolute parent elsewhere control; do
    brings 3 "unsafe name" $way
    absent $way
done
for way in symlink hardlink device pipe; do
    brings 3 "neither a file nor a folder" $way
    absent $way
done
for way in twice through; do
    brings 3 "has '1.jpg' twice" $way
    absent $way
done
for way in nogzip cut flipped; do
    brings 3 "the archive is damaged" $way
    absent $way
done
brings 3 "empty" empty
absent empty

echo "-- checksums"
brings 0 "3 in train" good
complete good
brings 3 "is not that of sets/facades.sha256" other
absent other

echo "-- the published sizes"
sed "s#^PUBLISHED = .*#PUBLISHED = \"$url\"#" "$ci/datasets" >datasets.py # as if this were the published place
python3 datasets.py --from "$url/good" --to sets --wait 0.001 facades >out.txt 2>&1
holds "another size than the known one is refused" test $? -eq 3
holds "and named" grep -q "but 30168306 are known" out.txt
absent published

# known SIZE CODE TEXT: fetches from the published place as if the size of the data set were known in two digits.
size=$(stat -c %s good.tar.gz)
known() {
    sed -e "s#^PUBLISHED = .*#PUBLISHED = \"$url/good\"#" -e "s#(30168306, True,#($1, False,#" "$ci/datasets" >rounded.py
    ends "$2" "$3" python3 rounded.py --to sets --wait 0.001 facades
}
rm -f sets/facades.sha256
known $((size * 1025 / 1000)) 0 "3 in train"
complete "a size within 3 %"
known $((size * 975 / 1000)) 0 "3 in train"
complete "a size within 3 %"
for factor in 1040 960; do
    known $((size * factor / 1000)) 3 "but about $((size * factor / 1000)) are known of this data set"
    absent "a size beyond 3 %"
done

echo "-- free disk"
# with_free BYTES: fetches as if so much were free.
with_free() {
    python3 - "$ci/datasets" "$1" --from "$url/good" --to sets --wait 0.001 facades >out.txt 2>&1 <<'PYTHON'
import runpy, shutil, sys, types
path, free = sys.argv[1], int(sys.argv[2])
shutil.disk_usage = lambda folder: types.SimpleNamespace(free=free)
sys.argv = [path] + sys.argv[3:]
runpy.run_path(path, run_name="__main__")
PYTHON
}
with_free $((2 * size - 1))
holds "too little disk is refused" test $? -eq 1
holds "too little disk: named" grep -q "facades needs .* MB of disk, and .* MB are free in sets; --to" out.txt
holds "too little disk: nothing is fetched" test ! -s sets/facades.partial/archive
absent "too little disk"
with_free $((2 * size))
holds "enough disk is enough" test $? -eq 0
complete "enough disk"

echo "-- offline"
kill $server
wait $server 2>/dev/null
brings 4 "no connection" good
holds "offline: a hint" grep -q "the same command continues" out.txt
absent offline
[ $failures -eq 0 ] && echo "all as expected"
exit $((failures > 0))
