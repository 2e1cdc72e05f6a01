/* See page.h. */
#include "page.h"

#include "host/memory_stream.h"
#include "host/sys.h"
#include "json_text.h"
#include "p2p.h"
#include "p2p_printable.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A version and `meta_end` follow. */
static const char head_start[] = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                                 "<meta name=\"generator\" content=\"p2p ";
static const char page_start[] = "<meta name=\"p2p-page\" content=\"";
static const char run_start[] = "<meta name=\"p2p-run\" content=\"", meta_end[] = "\">\n";
/* Nothing is loaded but pictures that lie beside the page. */
static const char head_rest[] =
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src 'self' file: data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n";

enum { DIGITS = 6 /* of the numbers in a page */ };

static const page_asset *asset_named(const char *name, const char *suffix) {
    const size_t length = strlen(name);
    for (const page_asset *asset = page_assets; asset->name; asset++)
        if (strncmp(asset->name, name, length) == 0 && strcmp(asset->name + length, suffix) == 0)
            return asset;
    return NULL;
}

/* ---- Text ---------------------------------------------------------------------------------------------- */

static void put(memory_stream *to, const char *text) {
    memory_stream_put(to, text, strlen(text));
}

/* A byte as text, by a format with one number. */
static void put_code(memory_stream *to, const char *format, char byte) {
    char text[16];
    snprintf(text, sizeof text, format, (unsigned)(unsigned char)byte);
    put(to, text);
}

/* ---- Writing ------------------------------------------------------------------------------------------ */

static void put_asset(memory_stream *to, const char *name, const char *suffix) {
    const page_asset *asset = asset_named(name, suffix);
    if (asset) memory_stream_put(to, asset->bytes, asset->size);
}

static void put_escaped(memory_stream *to, const char *text) {
    for (; *text; text++) {
        if (strchr("&<>\"'", *text))
            put_code(to, "&#%u;", *text);
        else
            memory_stream_put(to, text, 1);
    }
}

/* JSON within an element "script": a "<" could begin the element's end. In JSON it occurs in strings only. */
static void put_data(memory_stream *to, const char *text) {
    for (; *text; text++) {
        const size_t plain = strcspn(text, "<");
        memory_stream_put(to, text, plain);
        text += plain;
        if (!*text) return;
        put(to, "\\u003c");
    }
}

/* `start` is that of a meta element. */
static void put_meta(memory_stream *to, const char *start, const char *content) {
    put(to, start);
    put(to, content);
    put(to, meta_end);
}

static void put_head(memory_stream *to, const char *name, const char *title, const char *run) {
    put_meta(to, head_start, P2P_VERSION);
    put_meta(to, page_start, name);
    if (run) put_meta(to, run_start, run);
    put(to, head_rest);
    put(to, "<title>");
    put_escaped(to, title);
    put(to, "</title>\n<style>\n");
    put_asset(to, "page", ".css");
    put(to, "</style>\n</head>\n<body>\n");
}

static void put_page(memory_stream *to, const char *name, const char *title, const char *run,
                     const char *data) {
    put_head(to, name, title, run);
    put_asset(to, name, ".html");
    put(to, "<script type=\"application/json\" id=\"data\">");
    put_data(to, data);
    put(to, "</script>\n<script>\n");
    put_asset(to, "page", ".js");
    put_asset(to, name, ".js");
    put(to, "</script>\n</body>\n</html>\n");
}

static p2p_status title_text(const char *title, char **text) {
    json_t *shown = page_text(title);
    *text = shown ? strdup(json_string_value(shown)) : NULL;
    json_decref(shown);
    return *text ? P2P_OK : p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a page's title");
}

p2p_status page_make(const char *name, const char *title, const char *run, json_t *data, char **text,
                     size_t *size) {
    char *json = NULL, *shown = NULL;
    memory_stream page;
    memory_stream_open(&page);
    p2p_status status =
        json_text_make("a page", data, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(DIGITS), &json);
    json_decref(data);
    if (status == P2P_OK) status = title_text(title, &shown);
    if (status == P2P_OK) put_page(&page, name, shown, run, json);
    const bool complete = memory_stream_finish(&page);
    if (status == P2P_OK && !complete) status = p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a page");
    free(json);
    free(shown);
    *text = page.bytes;
    *size = page.size;
    if (status == P2P_OK) return P2P_OK;
    free(page.bytes);
    *text = NULL;
    return status;
}

p2p_status page_write(const char *path, const char *name, const char *title, const char *run, json_t *data) {
    char *text;
    size_t size;
    P2P_TRY(page_make(name, title, run, data, &text, &size));
    const p2p_status status = sys_file_write(path, text, size);
    free(text);
    return status;
}

/* ---- Reading ------------------------------------------------------------------------------------------ */

/* The content of the meta element that begins with `start`; "" if there is none. */
static void copy_meta(const char *text, const char *start, char content[PAGE_RUN_BYTES]) {
    const char *from = strstr(text, start);
    const char *to = from ? strstr(from, meta_end) : NULL;
    content[0] = '\0';
    if (!to) return;
    from += strlen(start);
    snprintf(content, PAGE_RUN_BYTES, "%.*s", (int)(to - from), from);
}

p2p_status page_run(const char *path, const char *name, char run[PAGE_RUN_BYTES]) {
    enum { HEAD_BYTES = 512 };
    char text[HEAD_BYTES + 1] = "", kind[PAGE_RUN_BYTES];
    uint8_t *bytes;
    size_t size;
    run[0] = '\0';
    P2P_TRY(sys_file_read(path, HEAD_BYTES, &bytes, &size, NULL));
    memcpy(text, bytes, size);
    free(bytes);
    if (strncmp(text, head_start, strlen(head_start)) != 0)
        return p2p_fail(P2P_INPUT, "%s: no page of p2p", path);
    copy_meta(text, page_start, kind);
    if (kind[0] && strcmp(kind, name) != 0)
        return p2p_fail(P2P_INPUT, "%s: a page of another kind, %s", path, kind);
    copy_meta(text, run_start, run);
    return P2P_OK;
}

/* ---- Texts and links ---------------------------------------------------------------------------------- */

static json_t *take_text(memory_stream *made) {
    json_t *text = memory_stream_finish(made) ? json_string(made->bytes) : NULL;
    free(made->bytes);
    return text;
}

static void put_link(memory_stream *to, const char *path) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    for (; *path; path++) {
        if (strchr(plain, *path))
            memory_stream_put(to, path, 1);
        else
            put_code(to, "%%%02X", *path);
    }
}

json_t *page_link(const char *folder, const char *name) {
    memory_stream made;
    memory_stream_open(&made);
    put_link(&made, folder);
    if (folder[0]) put(&made, "/");
    put_link(&made, name);
    return take_text(&made);
}

json_t *page_text(const char *bytes) {
    memory_stream made;
    memory_stream_open(&made);
    while (*bytes) {
        const size_t length = p2p_printable_length(bytes);
        if (length > 0)
            memory_stream_put(&made, bytes, length), bytes += length;
        else
            put_code(&made, "\\x%02x", *bytes++);
    }
    return take_text(&made);
}
