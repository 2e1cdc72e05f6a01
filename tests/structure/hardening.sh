#!/usr/bin/env bash
# The program is built so that a fault in memory safety is hard to use: it is loaded at a random address, tables of
# functions are read-only after the start, the stack is not executable, overflows of buffers are detected, and where
# the processor has it, jumps into the middle of functions and changed return addresses are too. It links no MPI.
#
#   tests/structure/hardening.sh P2P
. "$(dirname "$0")/../support/expect.sh" "$@" none

LC_ALL=C readelf -WhdlnsS "$p2p" >elf.txt || fail "readelf can't read the program"

# has WHAT PATTERN: the listing has such a line.
has() {
    grep -qE "$2" elf.txt || fail "$1: the program is built without it"
}

has "a position-independent executable" '^  Type: +DYN '
has "a position-independent executable" 'FLAGS_1.*\bPIE\b'
has "read-only relocations" '^  GNU_RELRO '
has "immediate binding" '(FLAGS_1.*\bNOW\b|BIND_NOW)'
has "a stack that is not executable" '^  GNU_STACK .* RW +0x'
grep -E '^  LOAD .* RWE ' elf.txt && fail "a segment can be written and executed"
has "the stack protector" ' __stack_chk_fail(@|$)'
has "checks of lengths (_FORTIFY_SOURCE)" ' __(snprintf|vsnprintf|memcpy|fread|fprintf|printf|read)_chk(@|$)'

# p2p-mpi-*.so are loaded when a launcher has started the program.
grep -E '\(NEEDED\).*\[lib(mpi|mpich|open-rte|open-pal|pmi|pmix)[.]' elf.txt && fail "the program links a library of MPI"

case $(uname -m) in
x86_64)
    # The property of the whole program also depends on the C library's start code, so functions are looked at.
    command -v objdump >/dev/null || { skipped "protection of control flow" "there is no objdump"; finish; exit; }
    # GNU objdump shows the instructions of main, whose first is a landing place.
    objdump -d --no-show-raw-insn "$p2p" | sed -n '/<main>:$/{n;p;q}' | grep -q endbr64 ||
        fail "protection of control flow: the program is built without it" ;;
*) skipped "protection of control flow" "it is a matter of x86_64" ;;
esac

finish
