/* The log of a training, metrics.jsonl, when its page is made: train/report/history.h, the second reader of
 * the log. A history of the file equals one of the lines that are found in it here. */
#include "fuzz.h"

#include "report/history.h"

#include <stdlib.h>
#include <string.h>

static char *text_of(history *past) {
    json_t *object = history_to_json(past);
    fuzz_require(object != NULL, "every history can be written");
    char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    fuzz_require(text != NULL, "as JSON");
    json_decref(object);
    history_destroy(past);
    return text;
}

/* Adds every whole line that is JSON. `run` receives the identity in the first one. */
static void add_lines(history *past, const uint8_t *bytes, size_t size, char run[HISTORY_RUN_BYTES]) {
    const char *line = (const char *)bytes, *end = line + size, *newline;
    for (bool first = true; line < end; line = newline + 1, first = false) {
        newline = memchr(line, '\n', (size_t)(end - line));
        if (newline == NULL) return;
        const size_t length = (size_t)(newline - line);
        json_t *record =
            length <= HISTORY_LINE_BYTES ? json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
        const char *event = json_string_value(json_object_get(record, "event"));
        const char *identity = json_string_value(json_object_get(record, "run"));
        if (first && event && identity && strcmp(event, "run") == 0)
            snprintf(run, HISTORY_RUN_BYTES, "%s", identity);
        history_add(past, record);
        json_decref(record);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    history *read, *added;
    char run[HISTORY_RUN_BYTES], expected_run[HISTORY_RUN_BYTES] = "";
    const char *path = fuzz_file("metrics.jsonl", bytes, size);
    fuzz_require(history_create(&read) == P2P_OK, "memory for a history");
    fuzz_require(history_create(&added) == P2P_OK, "memory for another one");
    fuzz_require(history_read(read, path, NULL, run) == P2P_OK, "a file that can be read is read");
    add_lines(added, bytes, size, expected_run);
    fuzz_require(strcmp(run, expected_run) == 0, "the identity is that of the first line");
    char *whole = text_of(read), *expected = text_of(added);
    fuzz_require(strcmp(whole, expected) == 0, "the history is that of the lines");
    free(whole);
    free(expected);
    return 0;
}
