/* See test_page.h. */
#include "test_page.h"

json_t *test_page_pair(const char *name, const char *file, json_t *numbers) {
    json_t *pair = json_pack("{s:o, s:o}", "name", page_text(name), "file", page_link("", file));
    if (pair && json_object_update(pair, numbers) == 0) return pair;
    json_decref(pair);
    return NULL;
}

p2p_status test_page_write(const char *path, json_t *summary, json_t *pairs) {
    return page_write(path, "test_page", "Test of a model", NULL,
                      json_pack("{s:O, s:O}", "summary", summary, "pairs", pairs));
}
