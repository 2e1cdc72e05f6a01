#!/usr/bin/env bash
# Lists the skips of the last run of CTest: a line "TEST: WHAT: REASON" for each line "SKIPPED: WHAT: REASON" in the log,
# and their number.
#
#   tests/support/skipped.sh BUILD...     folders in which ctest ran
set -euo pipefail

for build in "$@"; do
    awk '/^[0-9]+\/[0-9]+ Test: / { test = $3 }
         /^SKIPPED: / { sub(/^SKIPPED: /, ""); sub("^" test ": ", ""); print test ": " $0; count++ }
         END { printf "%d skipped in %s\n", count, FILENAME }' "$build/Testing/Temporary/LastTest.log"
done
