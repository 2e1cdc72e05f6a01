/* The main function of a fuzz target without libFuzzer: passes committed inputs to the target, one by one.
 *
 *     replay_NAME FILE|FOLDER...
 *
 * Fails if there is none. Each input is in memory of its exact size, so that the sanitizers find a read past
 * its end. To repeat a finding: replay_NAME build/fuzz/findings/FILE. */
#include "fuzz.h"

#include "support/test_files.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void replay_file(const char *path) {
    size_t size;
    uint8_t *bytes = test_file_read(path, &size);
    uint8_t *exact = malloc(size > 0 ? size : 1);
    if (!exact) abort();
    memcpy(exact, bytes, size);
    free(bytes);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static int is_visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

/* Returns the number of inputs. */
static int replay_folder(const char *path) {
    struct dirent **entries;
    const int count = scandir(path, &entries, is_visible, alphasort);
    fuzz_require(count >= 0, "the folder of inputs can be read");
    for (int i = 0; i < count; i++) {
        replay_file(test_path(path, entries[i]->d_name));
        free(entries[i]);
    }
    free(entries);
    return count;
}

int main(int argc, char **argv) {
    int count = 0;
    for (int i = 1; i < argc; i++) {
        struct stat about;
        fuzz_require(stat(argv[i], &about) == 0, "the argument exists");
        if (S_ISDIR(about.st_mode)) {
            count += replay_folder(argv[i]);
        } else {
            replay_file(argv[i]);
            count++;
        }
    }
    fuzz_require(count > 0, "there are inputs");
    printf("%d inputs\n", count);
    return 0;
}
