#!/usr/bin/env bash
# Compares the double of cuDNN with the real library: cudnn_calls makes the same calls to both, right and wrong ones.
#
#   cudnn_compare.sh CUDNN_CALLS REAL DOUBLE [MODE...]
#
# The double must refuse all that the real one refuses, and have no kind of plan that the real one lacks; what is right
# both accept. Nothing is compared where the double refuses more: it is meant to.
set -euo pipefail
calls=$1 real=$2 double=$3
shift 3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

for mode in ${@:-calls requests}; do
    "$calls" "$real" $mode >"$folder/real"
    "$calls" "$double" $mode >"$folder/double"
    awk -v mode=$mode '
        # "NAME: ANSWER". Engines have other numbers of knobs: of lines with equal names the first counts.
        function split_line() {
            name = $0; sub(/: [^:]*$/, "", name)
            answer = substr($0, length(name) + 3)
        }
        function has(kinds, bit) { return int(kinds / bit) % 2 }
        function lax(text) { print "the double is too lax: " name ": real " expected[name] ", double " text; faults++ }
        { split_line() }
        FNR == NR { if (!(name in expected)) expected[name] = answer; next }
        name in seen { next }
        {
            seen[name] = 1
            count++
            if (name ~ / knob/ && !(name in expected)) next
            if (!(name in expected)) { print "only the double has: " name; faults++; next }
            refused = expected[name] !~ /^(all 0|plans )/
            if (refused && answer ~ /^(all 0|plans [^0]|plans 0 [^0]|plans 0 0 [^0])/) lax(answer)
            if (!refused && expected[name] ~ /^plans/ && answer ~ /^plans/) {
                split(expected[name], r, " "); split(answer, d, " ")
                for (i = 2; i <= 4; i++)
                    for (bit = 1; bit <= 4; bit *= 2)
                        if (has(d[i], bit) && !has(r[i], bit)) { lax(answer); i = 5; break }
            }
            if (answer ~ /all 0/) accepted++
        }
        END {
            for (name in expected)
                if (!(name in seen) && name !~ / knob/) { print "only the real library has: " name; faults++ }
            if (accepted < 100) { print "only " accepted + 0 " sequences were accepted"; faults++ }
            printf "%s: %d compared, %d accepted by the double\n", mode, count, accepted
            exit faults > 0
        }' "$folder/real" "$folder/double"
done
