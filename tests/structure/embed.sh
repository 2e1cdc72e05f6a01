#!/usr/bin/env bash
# What backend/embed.cmake writes: the bytes of files, with what they include between directives that keep the numbers of
# lines; what can't be inserted is refused.
#
#   tests/structure/embed.sh CMAKE COMPILER
set -u
cmake=$1 compiler=$2
embed=$(realpath "$(dirname "$0")/../../backend/embed.cmake")
folder=$(mktemp -d "${TMPDIR:-/tmp}/p2p-test-XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

mkdir shared
printf 'one\ntwo\n' >shared/a.h
printf 'three\n' >shared/b.h
printf 'first;\n#include "shared/a.h"\nthird\n#include "shared/b.h"\nfifth\n' >kernel.cl
printf 'no end' >plain.cl
cat >table.h <<'END'
#include <stddef.h>
typedef struct {
    const char *name;
    const unsigned char *bytes;
    size_t size;
} entry;
END
cat >print.c <<'END'
#include "table.h"
#include <stdio.h>
extern const entry entries[];
int main(void) {
    for (const entry *e = entries; e->name; e++) {
        printf("[%s]\n", e->name);
        fwrite(e->bytes, 1, e->size, stdout);
    }
    return 0;
}
END
# embedded FILES INCLUDED: makes entries.c.
embedded() {
    "$cmake" -DOUTPUT="$folder/entries.c" "-DFILES=$1" -DHEADER=table.h "-DTABLE=entry entries" "-DINCLUDED=$2" -P "$embed" \
        >out.txt 2>&1
}
embedded "$folder/kernel.cl;$folder/plain.cl" "$folder/shared/a.h;$folder/shared/b.h" || fail "embed.cmake: $(cat out.txt)"
"$compiler" -I. entries.c print.c -o print && ./print >printed.txt || fail "the table can't be printed"
printf '%s\n' '[kernel.cl]' 'first;' '#line 1 "shared/a.h"' one two '#line 3 "kernel.cl"' third '#line 1 "shared/b.h"' three \
    '#line 5 "kernel.cl"' fifth '[plain.cl]' >wanted.txt
printf 'no end' >>wanted.txt
diff wanted.txt printed.txt || fail "other bytes are embedded"

embedded "$folder/kernel.cl" "$folder/shared/a.h" && fail "a file that is not in the list was inserted"
printf 'three' >shared/b.h
embedded "$folder/kernel.cl" "$folder/shared/a.h;$folder/shared/b.h" && fail "a file without a last line's end was inserted"
printf '#include "c.h"\n' >shared/b.h
embedded "$folder/kernel.cl" "$folder/shared/a.h;$folder/shared/b.h" && fail "a file that includes another was inserted"
exit $((failures > 0))
