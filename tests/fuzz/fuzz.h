/* What the fuzz targets share. Each target is a file fuzz_NAME.c with libFuzzer's entry point, one call of
 * which passes bytes to a parser of p2p. A call aborts if the parser breaks a promise of its header; the
 * sanitizers find the rest. A target is built twice: with libFuzzer (CMake option P2P_FUZZ), which invents
 * inputs, and with replay.c, which is a test of every build and repeats the committed ones.
 */
#ifndef P2P_FUZZ_H
#define P2P_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Aborts, with the rule and p2p_message(), unless it holds. */
void fuzz_require(bool holds, const char *rule);

/* A path in a folder of this process below $TMPDIR or /tmp, valid until the next call. The folder is removed
 * at the process's normal end. */
const char *fuzz_path(const char *name);

/* Writes a file there and returns its path, as fuzz_path. */
const char *fuzz_file(const char *name, const void *bytes, size_t size);

/* The bytes and a terminator, in memory of exactly that size. Bytes after a zero are not part of the text.
 * The caller frees it. */
char *fuzz_text(const uint8_t *bytes, size_t size);

#endif
