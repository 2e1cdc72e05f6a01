/* The record of the files that a driver stores in the cache (backend/host/cache_driver.h), with the right
 * checksum of its entry: the bytes are its text. A folder has two files and a record; one file is what the
 * line says, the other is not. */
#include "fuzz.h"

#include "host/cache.h"
#include "host/cache_driver.h"
#include "p2p.h"
#include "p2p_checksum.h"
#include "support/test_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char driver[] = "fuzz", good[] = "kernel", outside[] = "precious";

/* Whether the text has a line that begins and ends so. */
static bool has_line(const char *text, const char *start, const char *tail) {
    const size_t start_length = strlen(start), tail_length = strlen(tail);
    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1)
        if ((size_t)(end - text) >= start_length + tail_length && strncmp(text, start, start_length) == 0 &&
            strncmp(end - tail_length, tail, tail_length) == 0)
            return true;
    return false;
}

static bool exists(const char *path) {
    return access(path, F_OK) == 0;
}

static bool is_never_unfinished(const char *name) {
    (void)name;
    return false;
}

static void put_record(const void *text, size_t size) {
    const p2p_key_part key = {driver, sizeof driver - 1};
    p2p_cache_put("driver-files", &key, 1, text, size);
}

static const char *open_folder(void) {
    const char *folder = p2p_driver_folder(driver);
    fuzz_require(folder != NULL, "the driver has a folder");
    return folder;
}

static void begin(void) {
    static bool begun;
    if (!begun) fuzz_require(p2p_cache_folder_set(fuzz_path("cache")) == P2P_OK, "the cache has a folder");
    begun = true;
    put_record("", 0);
    test_file_write(fuzz_path(outside), "1", 1);
    test_file_write(test_path(open_folder(), good), good, sizeof good - 1);
    p2p_driver_folders_close();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    char digits[P2P_CHECKSUM_DIGITS + 1], line[P2P_CHECKSUM_DIGITS + 32];
    const p2p_checksum check = p2p_checksum_of(good, sizeof good - 1);
    begin();
    p2p_checksum_text(&check, digits);
    snprintf(line, sizeof line, "%s %zu %s\n", digits, sizeof good - 1, good);
    char *text = fuzz_text(bytes, size);
    put_record(bytes, size);
    const char *folder = open_folder();
    const bool kept = exists(test_path(folder, good));
    fuzz_require(!kept || has_line(text, digits, " kernel"),
                 "a file without a record of its bytes is removed");
    fuzz_require(kept || strcmp(text, line) != 0, "a file with such a record is kept");
    fuzz_require(exists(fuzz_path(outside)), "a record removes no file of another folder");
    p2p_driver_folder_record(driver, is_never_unfinished);
    p2p_driver_folders_close();
    fuzz_require(exists(test_path(open_folder(), good)) == kept, "what was recorded is kept");
    p2p_driver_folders_close();
    free(text);
    return 0;
}
