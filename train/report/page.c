/* See page.h. */
#include "page.h"

#include "host/sys.h"
#include "json_text.h"
#include "p2p.h"
#include "p2p_printable.h"

#include <stdlib.h>
#include <string.h>

/* A version and `meta_end` follow. */
static const char head_start[] = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                                 "<meta name=\"generator\" content=\"p2p ";
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

/* ---- Writing ------------------------------------------------------------------------------------------ */

static void write_asset(FILE *to, const char *name, const char *suffix) {
    const page_asset *asset = asset_named(name, suffix);
    if (asset) fwrite(asset->bytes, 1, asset->size, to);
}

static void write_escaped(FILE *to, const char *text) {
    for (; *text; text++) {
        if (strchr("&<>\"'", *text))
            fprintf(to, "&#%d;", *text);
        else
            fputc(*text, to);
    }
}

/* JSON within an element "script": a "<" could begin the element's end. In JSON it occurs in strings only. */
static void write_data(FILE *to, const char *text) {
    for (; *text; text++) {
        if (*text == '<')
            fputs("\\u003c", to);
        else
            fputc(*text, to);
    }
}

static void write_head(FILE *to, const char *title, const char *run) {
    fprintf(to, "%s%s%s", head_start, P2P_VERSION, meta_end);
    if (run) fprintf(to, "%s%s%s", run_start, run, meta_end);
    fprintf(to, "%s<title>", head_rest);
    write_escaped(to, title);
    fputs("</title>\n<style>\n", to);
    write_asset(to, "page", ".css");
    fputs("</style>\n</head>\n<body>\n", to);
}

static void write_page(FILE *to, const char *name, const char *title, const char *run, const char *data) {
    write_head(to, title, run);
    write_asset(to, name, ".html");
    fputs("<script type=\"application/json\" id=\"data\">", to);
    write_data(to, data);
    fputs("</script>\n<script>\n", to);
    write_asset(to, "page", ".js");
    write_asset(to, name, ".js");
    fputs("</script>\n</body>\n</html>\n", to);
}

/* The page in memory, so that a full disk is noticed once. */
static p2p_status make_page(const char *path, const char *name, const char *title, const char *run,
                            const char *data, char **text, size_t *size) {
    FILE *to = open_memstream(text, size);
    if (!to) return p2p_fail(P2P_OUT_OF_MEMORY, "%s: no memory for the page", path);
    write_page(to, name, title, run, data);
    bool complete = !ferror(to);
    complete = fclose(to) == 0 && complete;
    return complete ? P2P_OK : p2p_fail(P2P_OUT_OF_MEMORY, "%s: no memory for the page", path);
}

static p2p_status title_text(const char *title, char **text) {
    json_t *shown = page_text(title);
    *text = shown ? strdup(json_string_value(shown)) : NULL;
    json_decref(shown);
    return *text ? P2P_OK : p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a page's title");
}

p2p_status page_write(const char *path, const char *name, const char *title, const char *run, json_t *data) {
    char *json = NULL, *shown = NULL, *text = NULL;
    size_t size = 0;
    p2p_status status =
        json_text_make(path, data, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(DIGITS), &json);
    json_decref(data);
    if (status == P2P_OK) status = title_text(title, &shown);
    if (status == P2P_OK) status = make_page(path, name, shown, run, json, &text, &size);
    if (status == P2P_OK) status = sys_file_write(path, text, size);
    free(json);
    free(shown);
    free(text);
    return status;
}

/* ---- Reading ------------------------------------------------------------------------------------------ */

static void copy_run(const char *text, char run[PAGE_RUN_BYTES]) {
    const char *from = strstr(text, run_start);
    const char *to = from ? strstr(from, meta_end) : NULL;
    run[0] = '\0';
    if (!to) return;
    from += sizeof run_start - 1;
    snprintf(run, PAGE_RUN_BYTES, "%.*s", (int)(to - from), from);
}

p2p_status page_run(const char *path, char run[PAGE_RUN_BYTES]) {
    enum { HEAD_BYTES = 512 };
    char text[HEAD_BYTES + 1] = "";
    uint8_t *bytes;
    size_t size;
    run[0] = '\0';
    P2P_TRY(sys_file_read(path, HEAD_BYTES, &bytes, &size, NULL));
    memcpy(text, bytes, size);
    free(bytes);
    if (strncmp(text, head_start, strlen(head_start)) != 0)
        return p2p_fail(P2P_INPUT, "%s: no page of p2p", path);
    copy_run(text, run);
    return P2P_OK;
}

/* ---- Texts and links ---------------------------------------------------------------------------------- */

static json_t *finish_text(FILE *to, char **text) {
    bool complete = !ferror(to);
    complete = fclose(to) == 0 && complete;
    json_t *result = complete ? json_string(*text) : NULL;
    free(*text);
    return result;
}

static void write_link(FILE *to, const char *path) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    for (; *path; path++) {
        if (strchr(plain, *path))
            fputc(*path, to);
        else
            fprintf(to, "%%%02X", (unsigned)(unsigned char)*path);
    }
}

json_t *page_link(const char *folder, const char *name) {
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (!to) return NULL;
    write_link(to, folder);
    if (folder[0]) fputc('/', to);
    write_link(to, name);
    return finish_text(to, &text);
}

json_t *page_text(const char *bytes) {
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (!to) return NULL;
    while (*bytes) {
        const size_t length = p2p_printable_length(bytes);
        if (length > 0)
            fwrite(bytes, 1, length, to), bytes += length;
        else
            fprintf(to, "\\x%02x", (unsigned)(unsigned char)*bytes++);
    }
    return finish_text(to, &text);
}
