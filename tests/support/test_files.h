/* Temporary folders and files for tests, and the committed golden files. Any failure here aborts the test:
 * nothing is reported to the caller. */
#ifndef P2P_TEST_FILES_H
#define P2P_TEST_FILES_H

#include <stddef.h>
#include <stdint.h>

/* A new empty folder; the caller frees the name. test_folder_remove deletes it with everything inside and
 * frees the name. */
char *test_folder_make(void);
void test_folder_remove(char *folder);

/* The same around each test of a file, as cmocka's set-up and tear-down. */
extern char *test_own_folder;
int test_own_folder_make(void **state);
int test_own_folder_remove(void **state);
#define TEST_IN_FOLDER(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, test_own_folder_make, test_own_folder_remove)

/* "folder/name" in one of a few static buffers: good until the eighth further call. */
const char *test_path(const char *folder, const char *name);

/* The same in the test's own folder. */
const char *test_own_path(const char *name);

/* The path of a committed file below tests/golden, in such a buffer. $P2P_TEST_GOLDEN names the folder if it
 * has moved since the test was built. */
const char *test_golden(const char *name);

void test_file_write(const char *path, const void *bytes, size_t size);

/* The contents of a file; the caller frees them. */
uint8_t *test_file_read(const char *path, size_t *size);

/* Make a folder below one that exists. */
void test_folder_add(const char *path);

void test_link_add(const char *path, const char *target);

/* The number of entries of a folder, hidden ones included. */
size_t test_folder_entries(const char *path);

/* Correct the checksums of a PNG file's chunks after a change of its bytes; does nothing to other files. */
void test_png_seal(uint8_t *bytes, size_t size);

/* FNV-1a, 64 bits; golden files hold this hash of bytes. */
uint64_t test_fnv(const void *bytes, size_t size);

#endif
