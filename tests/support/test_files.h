/* Temporary folders and files for tests, and the committed golden files. A failure aborts the test and is not
 * returned to the caller. */
#ifndef P2P_TEST_FILES_H
#define P2P_TEST_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes a new empty folder. test_folder_remove deletes it with its contents and frees the name. */
char *test_folder_make(void);
void test_folder_remove(char *folder);

/* cmocka's set-up and tear-down, with such a folder for each test of a file. */
extern char *test_own_folder;
int test_own_folder_make(void **state);
int test_own_folder_remove(void **state);
#define TEST_IN_FOLDER(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, test_own_folder_make, test_own_folder_remove)

/* "folder/name" in a static buffer, valid until the eighth further call. */
const char *test_path(const char *folder, const char *name);

/* The path of a name in the test's own folder, in such a buffer. */
const char *test_own_path(const char *name);

/* The path of a committed file below tests/golden, in such a buffer. $P2P_TEST_GOLDEN names the folder if it
 * has moved since the test was built. */
const char *test_golden(const char *name);

void test_file_write(const char *path, const void *bytes, size_t size);

/* Reads a file; the caller frees the result. */
uint8_t *test_file_read(const char *path, size_t *size);

/* Whether the path names anything, also a link that leads nowhere. */
bool test_is_there(const char *path);

/* Makes a folder whose parent exists. */
void test_folder_add(const char *path);

void test_link_add(const char *path, const char *target);

/* The number of entries of a folder, hidden ones included. */
size_t test_folder_entries(const char *path);

/* Corrects the checksums of a PNG file's chunks after a change of its bytes. Leaves other files unchanged. */
void test_png_seal(uint8_t *bytes, size_t size);

/* FNV-1a, 64 bits; golden files hold this hash of bytes. */
uint64_t test_fnv(const void *bytes, size_t size);

#endif
