/* The log of a training, metrics.jsonl, when the training is resumed. The first two bytes are the numbers of
 * steps and epochs to keep, the rest is the log. */
#include "fuzz.h"

#include "run/metrics.h"
#include "support/test_files.h"

#include <stdlib.h>
#include <string.h>

static const char run[] = "0123456789abcdef0123456789abcdef";

static p2p_status reopen(const char *path, const uint8_t keep[2]) {
    metrics_log *log;
    const p2p_status status = metrics_open(&log, path, run, keep[0], keep[1], NULL);
    fuzz_require((status == P2P_OK) == (log != NULL), "a log is open, or a status has the reason");
    fuzz_require(metrics_close(log) == P2P_OK, "a log can be closed");
    return status;
}

static void check_line(const char *line, size_t length, int number, const uint8_t keep[2]) {
    json_t *record = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    fuzz_require(json_is_object(record), "every line is an object");
    if (number == 0)
        fuzz_require(strcmp(json_string_value(json_object_get(record, "run")), run) == 0,
                     "the first line has the identity");
    else
        fuzz_require(json_integer_value(json_object_get(record, "step")) <= keep[0], "later steps are gone");
    json_decref(record);
}

static void check_lines(const char *text, size_t size, const uint8_t keep[2]) {
    int number = 0;
    for (const char *line = text, *end = text + size; line < end; number++) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        fuzz_require(newline != NULL, "every line ends");
        check_line(line, (size_t)(newline - line), number, keep);
        line = newline + 1;
    }
    fuzz_require(number > 0, "there is a first line");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    size_t once_size, twice_size;
    if (size < 2) return 0;
    const char *path = fuzz_file("metrics.jsonl", bytes + 2, size - 2);
    const p2p_status checked = metrics_check_run(path, run), opened = reopen(path, bytes);
    fuzz_require(checked == P2P_OK || checked == P2P_INPUT, "a log is of this training or of another");
    fuzz_require(opened == checked, "the log of another training is not opened");
    if (opened != P2P_OK) return 0;
    uint8_t *once = test_file_read(path, &once_size);
    check_lines((const char *)once, once_size, bytes);
    fuzz_require(reopen(path, bytes) == P2P_OK, "a log can be opened again");
    uint8_t *twice = test_file_read(path, &twice_size);
    fuzz_require(once_size == twice_size && memcmp(once, twice, once_size) == 0, "and is the same then");
    free(once);
    free(twice);
    return 0;
}
