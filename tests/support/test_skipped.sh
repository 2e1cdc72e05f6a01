#!/usr/bin/env bash
# skipped.sh lists each skip in a log of CTest, with its test.
. "$(dirname "$0")/expect.sh" "$(dirname "$0")/skipped.sh" none

mkdir -p build/Testing/Temporary none/Testing/Temporary
cat >build/Testing/Temporary/LastTest.log <<'END'
1/3 Testing: test_sys
1/3 Test: test_sys
Output:
[ RUN      ] test_freed_memory
SKIPPED: test_freed_memory: the allocator is not glibc's own
[  SKIPPED ] test_freed_memory
2/3 Testing: test_other
2/3 Test: test_other
a line with SKIPPED: elsewhere than at its beginning
3/3 Testing: test_ops_bf16
3/3 Test: test_ops_bf16
SKIPPED: test_ops_bf16: no instructions
END
printf '1/1 Test: test_sys\n' >none/Testing/Temporary/LastTest.log
cat >wanted <<'END'
test_sys: test_freed_memory: the allocator is not glibc's own
test_ops_bf16: no instructions
2 skipped in build/Testing/Temporary/LastTest.log
0 skipped in none/Testing/Temporary/LastTest.log
END
expect 0 "" "$p2p" build none
same out.txt wanted
expect 2 "" "$p2p" missing

echo "-- the helper of scripts"
expect 0 "SKIPPED: a disk: none here" skipped "a disk" "none here"

finish
