#!/usr/bin/env bash
# The program and the modules beside it are built so that a fault in memory safety is hard to use: they are loaded at a
# random address, tables of functions are read-only after the start, the stack is not executable, overflows of buffers are
# detected, and where the processor has it, jumps into the middle of functions and changed return addresses are too. The
# program links no MPI.
#
#   tests/structure/hardening.sh P2P BUILD COMPILER       BUILD: the build folder; COMPILER: the C compiler
build=$(realpath "$2") compiler=$3
. "$(dirname "$0")/../support/expect.sh" "$1" none

# has WHAT PATTERN: the listing of $name has such a line.
has() {
    grep -qE "$2" elf.txt || fail "$1: $name is built without it"
}

# hardened FILE: what the program and a module have in common. Leaves the listing in elf.txt.
hardened() {
    name=$(basename "$1")
    LC_ALL=C readelf -WhdlnsS "$1" >elf.txt || fail "readelf can't read $name"
    has "a random address" '^  Type: +DYN '
    has "read-only relocations" '^  GNU_RELRO '
    has "immediate binding" '(FLAGS_1.*\bNOW\b|BIND_NOW)'
    has "a stack that is not executable" '^  GNU_STACK .* RW +0x'
    grep -E '^  LOAD .* RWE ' elf.txt && fail "$name: a segment can be written and executed"
    has "the stack protector" ' __stack_chk_fail(@|$)'
    has "checks of lengths (_FORTIFY_SOURCE)" ' __(snprintf|vsnprintf|memcpy|fread|fprintf|printf|read)_chk(@|$)'
    [ "$start_is_protected" = no ] || has "protection of control flow" "$protected"
}

# unprotected FILE...: prints the object files and archives that lack the mark of protected control flow.
protected='x86 feature:.*IBT.*SHSTK'
unprotected() {
    local file marks objects
    for file; do
        marks=$(LC_ALL=C readelf -Wn "$file" | grep -cE "$protected")
        [ "${file%.a}" = "$file" ] && objects=1 || objects=$(ar t "$file" | wc -l)
        [ "$marks" -ge "$objects" ] || echo "$file"
    done
}

# The linker marks a file if all that it links is marked, the start code of the C library included, which some
# distributions build without.
start_is_protected=no
echo "-- protection of control flow"
if [ "$(uname -m)" != x86_64 ]; then
    skipped "protection of control flow" "it is a matter of x86_64"
else
    start=()
    for file in Scrt1.o crti.o crtn.o libc_nonshared.a; do start+=("$("$compiler" -print-file-name=$file)"); done
    if [ -z "$(unprotected "${start[@]}")" ]; then
        start_is_protected=yes
    else
        skipped "the mark of protected control flow" "the C library's start code has none, only that of the objects is compared"
    fi
    mapfile -t objects < <(find "$build"/{backend,backend-opencl,backend-cuda,models,train} -name '*.c.o' 2>/dev/null)
    [ ${#objects[@]} -gt 100 ] || fail "there are ${#objects[@]} object files in $build"
    without=$(unprotected "${objects[@]}")
    [ -z "$without" ] || fail "protection of control flow: built without it: $without"
    # GNU objdump shows the instructions of main, whose first is a landing place.
    if ! command -v objdump >/dev/null; then
        skipped "protection of control flow in main" "there is no objdump"
    elif ! objdump -d --no-show-raw-insn "$p2p" | sed -n '/<main>:$/{n;p;q}' | grep -q endbr64; then
        fail "protection of control flow: the program is built without it"
    fi
fi

echo "-- the program"
hardened "$p2p"
has "a position-independent executable" 'FLAGS_1.*\bPIE\b'
# p2p-mpi-*.so are loaded when a launcher has started the program.
grep -E '\(NEEDED\).*\[lib(mpi|mpich|open-rte|open-pal|pmi|pmix)[.]' elf.txt && fail "the program links a library of MPI"

echo "-- modules"
modules=0
for module in "$(dirname "$p2p")"/*.so; do
    [ -e "$module" ] || continue
    hardened "$module"
    modules=$((modules + 1))
done
[ $modules -gt 0 ] || skipped "modules" "this build has none"

finish
