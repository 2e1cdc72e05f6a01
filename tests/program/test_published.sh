#!/usr/bin/env bash
# Pairs of edges2shoes as they are published: how close the lines of p2p pairs edges come to those of its authors, and what
# p2p pairs check finds in the pairs as they are, and with B moved.
#
#   tests/program/test_published.sh P2P PICTURES COMPARE_EDGES
#
# P2P_TEST_EDGES2SHOES names a folder with such pairs in train/ and val/, side by side, 256 x 256 pixels each, such as
# build/datasets/edges2shoes of ci/datasets, or a part of it: it takes the first 40. Without it the test is skipped, for
# no published picture is part of this project.
pictures=$(realpath "$2") compare_edges=$(realpath "$3")
data=${P2P_TEST_EDGES2SHOES:+$(realpath "$P2P_TEST_EDGES2SHOES")}
. "$(dirname "$0")/../support/expect.sh" "$1" none
if [ -z "$data" ]; then
    skipped "lines beside published ones" "P2P_TEST_EDGES2SHOES names no folder of pairs"
    exit 0
fi
mkdir -p pairs/train A B
find "$data/train" "$data/val" -type f | sort | head -n 40 >files.txt
count=$(wc -l <files.txt)
[ "$count" -ge 10 ] || fail "only $count pairs"
while read -r file; do # names of train and val may be equal
    name=$(basename "$(dirname "$file")")-$(basename "${file%.*}")
    cp "$file" "pairs/train/$name.jpg"
    "$pictures" crop "$file" 0 0 256 256 "A/$name.png"
    "$pictures" crop "$file" 256 0 256 256 "B/$name.png"
done <files.txt

echo "-- lines"
for side in left right; do # where the photographs are depends on who has packed the pairs
    "$compare_edges" $side 2 0.2 10 pairs/train | tail -n 1
done | sort -t , -k 3 | tail -n 1 | tee best.txt
awk '{ exit !($NF >= 0.75) }' best.txt || fail "F1 is below 0.75"

echo "-- check"
expect 0 "no problems" "$p2p" pairs check pairs

# moved PIXELS LEAST: cuts B out so many pixels further right than A, and counts the pairs that are found to be shifted.
moved() {
    local width=$((256 - $1)) folder=moved$1 file found
    mkdir -p "$folder/A" "$folder/B"
    for file in A/*; do "$pictures" crop "$file" 0 0 $width 256 "$folder/$file"; done
    for file in B/*; do "$pictures" crop "$file" "$1" 0 $width 256 "$folder/$file"; done
    "$p2p" pairs combine "$folder/A" "$folder/B" "$folder/pairs" >/dev/null 2>&1 || fail "$1: no pairs"
    "$p2p" pairs check "$folder/pairs" --pairs side-by-side --json "$folder.json" >/dev/null 2>&1
    found=$(grep -c '"problem": "shifted"' "$folder.json")
    echo "moved by $1 pixels: $found of $count found"
    sed -n 's/.*"problem": "\([a-z_]*\)".*/\1/p' "$folder.json" | grep -vxE 'shifted|not_a_pair' &&
        fail "moved by $1: other problems are found"
    [ "$found" -ge $((count * $2 / 100)) ] || fail "moved by $1: only $found of $count found"
}
moved 4 0
moved 8 90
moved 16 75
finish
