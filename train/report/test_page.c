/* See test_page.h. */
#include "test_page.h"

json_t *test_page_pair(const char *name, const char *file, json_t *numbers) {
    json_t *pair = json_pack("{s:o, s:o}", "name", page_text(name), "file", page_link("", file));
    if (pair && json_object_update(pair, numbers) == 0) return pair;
    json_decref(pair);
    return NULL;
}

static const char *text_in(const json_t *summary, const char *name) {
    const char *text = json_string_value(json_object_get(summary, name));
    return text ? text : "";
}

/* "MODEL on SPLIT of DATA". */
p2p_status test_page_write(const char *path, json_t *summary, json_t *pairs) {
    json_t *title = json_sprintf("%s on %s of %s", text_in(summary, "model"), text_in(summary, "split"),
                                 text_in(summary, "data"));
    if (!title) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a page's title");
    const p2p_status status = page_write(path, "test_page", json_string_value(title), NULL,
                                         json_pack("{s:O, s:O}", "summary", summary, "pairs", pairs));
    json_decref(title);
    return status;
}
