/* The head of a page, from which p2p recognises the page of a training before it replaces it. If the first
 * byte is odd, the rest is a file; else it is the title of a page, and its data. */
#include "fuzz.h"

#include "report/page.h"
#include "support/test_files.h"

#include <stdlib.h>
#include <string.h>

static const char run[] = "0123456789abcdef0123456789abcdef";

static void check_file(const uint8_t *bytes, size_t size) {
    char found[PAGE_RUN_BYTES];
    const p2p_status status = page_run(fuzz_file("page.html", bytes, size), "run", found);
    fuzz_require(status == P2P_OK || status == P2P_INPUT, "a page is recognised or refused");
    fuzz_require(status == P2P_OK || found[0] == '\0', "a refused page has no identity");
    fuzz_require(memchr(found, '\0', sizeof found) != NULL, "an identity ends");
}

/* Whether the text has it more than once. */
static bool repeats(const char *text, const char *part) {
    const char *first = strstr(text, part);
    return first && strstr(first + 1, part);
}

static void check_page(const char *title) {
    char found[PAGE_RUN_BYTES], *text;
    size_t size;
    json_t *data = json_pack("{s:o}", "name", page_text(title));
    fuzz_require(data != NULL, "every text can be shown");
    fuzz_require(page_make("run", title, run, data, &text, &size) == P2P_OK, "every title has a page");
    fuzz_require(strlen(text) == size, "a page is text");
    fuzz_require(!repeats(text, "<title>") && !repeats(text, "</title>") &&
                     !repeats(text, "<meta name=\"p2p-run"),
                 "a title adds no element");
    const char *path = fuzz_file("page.html", text, size);
    free(text);
    fuzz_require(page_run(path, "run", found) == P2P_OK, "a page is recognised");
    fuzz_require(strcmp(found, run) == 0, "and its identity does not depend on its title");
    fuzz_require(page_run(path, "other", found) == P2P_INPUT, "a page of another kind is refused");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    if (size < 1) return 0;
    if (bytes[0] % 2 == 1) {
        check_file(bytes + 1, size - 1);
    } else {
        char *title = fuzz_text(bytes + 1, size - 1);
        check_page(title);
        free(title);
    }
    return 0;
}
