/* Refusals: their classes, the committed list as text, and the comparison with it. */
#include "op_refusal.h"

#include <stdlib.h>
#include <string.h>

/* ---- Text: "norm_apply merged act: 3 of 12" ----------------------------------------------------------- */

enum { LINE_BYTES = 256 };

static const char unfused[] = "unfused";

static void print_row(int kind, unsigned parts, const op_refusal_count *count, FILE *stream) {
    fprintf(stream, "%s", p2p_kind_name((p2p_kind)kind));
    if (parts == 0) fprintf(stream, " %s", unfused);
    for (int i = 0; i < OP_PART_COUNT; i++)
        if (parts >> i & 1) fprintf(stream, " %s", op_part_name((op_part)i));
    if (count->refused == 0)
        fprintf(stream, ": none\n");
    else
        fprintf(stream, ": %ld of %ld\n", count->refused, count->queried);
}

/* The part of that name; OP_PART_COUNT if there is none. */
static int find_part(const char *name) {
    int part = 0;
    while (part < OP_PART_COUNT && strcmp(op_part_name((op_part)part), name) != 0) part++;
    return part;
}

int op_kind_named(const char *name) {
    for (int kind = 0; kind < P2P_KIND_COUNT; kind++)
        if (strcmp(p2p_kind_name((p2p_kind)kind), name) == 0) return kind;
    return -1;
}

/* Parses a row. Returns false if the line is not one. */
static bool parse_row(char *line, op_refusals *listed) {
    char *colon = strchr(line, ':'), *rest = NULL;
    op_refusal_count count;
    if (!colon || sscanf(colon, ": %ld of %ld", &count.refused, &count.queried) != 2) return false;
    *colon = '\0';
    const char *word = strtok_r(line, " ", &rest);
    const int kind = word ? op_kind_named(word) : -1;
    unsigned parts = 0;
    if (kind < 0) return false;
    while ((word = strtok_r(NULL, " ", &rest)) != NULL) {
        const int part = find_part(word);
        if (part == OP_PART_COUNT && strcmp(word, unfused) != 0) return false;
        if (part < OP_PART_COUNT) parts |= 1u << part;
    }
    listed->of[kind][parts] = count;
    return true;
}

/* Whether the line is "[section]". */
static bool is_heading(const char *line, const char *section) {
    const size_t length = strlen(section);
    return line[0] == '[' && strncmp(line + 1, section, length) == 0 && strcmp(line + 1 + length, "]\n") == 0;
}

static p2p_status read_rows(FILE *file, const char *path, const char *section, op_refusals *listed) {
    char line[LINE_BYTES];
    bool found = false, inside = false;
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#' || line[0] == '\n') continue;
        if (line[0] == '[') {
            inside = is_heading(line, section);
            found = found || inside;
        } else if (inside && !parse_row(line, listed)) {
            return p2p_fail(P2P_INPUT, "%s: [%s] has a line that is no refusal", path, section);
        }
    }
    return found ? P2P_OK : p2p_fail(P2P_INPUT, "%s has no section [%s]", path, section);
}

p2p_status op_refusals_read(const char *path, const char *section, op_refusals *listed) {
    memset(listed, 0, sizeof *listed);
    FILE *file = fopen(path, "r");
    if (!file) return p2p_fail(P2P_INPUT, "%s can't be read", path);
    const p2p_status status = read_rows(file, path, section, listed);
    fclose(file);
    return status;
}

/* ---- Writing ------------------------------------------------------------------------------------------ */

static void print_section(const char *section, const op_refusals *found, FILE *stream) {
    fprintf(stream, "[%s]\n", section);
    for (int kind = 0; kind < P2P_KIND_COUNT; kind++) {
        for (unsigned parts = 0; parts < OP_PART_SETS; parts++) {
            const op_refusal_count *count = &found->of[kind][parts];
            if (count->refused > 0) print_row(kind, parts, count, stream);
        }
    }
}

/* Copies the file with the section replaced, or appended if there was none. A blank line precedes each
 * heading. */
static void copy_with(FILE *old, const char *section, const op_refusals *found, FILE *stream) {
    char line[LINE_BYTES];
    bool inside = false, done = false;
    while (old && fgets(line, sizeof line, old)) {
        if (line[0] == '[') inside = is_heading(line, section);
        if (inside && line[0] == '[') print_section(section, found, stream);
        done = done || inside;
        if (!inside || line[0] == '\n') fputs(line, stream);
    }
    if (done) return;
    fputc('\n', stream);
    print_section(section, found, stream);
}

p2p_status op_refusals_write(const char *path, const char *section, const op_refusals *found) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size), *old = fopen(path, "r");
    if (!stream) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a list of refusals");
    copy_with(old, section, found, stream);
    if (old) fclose(old);
    fclose(stream);
    FILE *file = fopen(path, "w");
    bool written = file && fwrite(text, 1, size, file) == size;
    written = file && fclose(file) == 0 && written;
    free(text);
    return written ? P2P_OK : p2p_fail(P2P_IO, "%s can't be written", path);
}

/* ---- Comparison --------------------------------------------------------------------------------------- */

int op_refusals_compare(const op_refusals *listed, const op_refusals *found, int kind, FILE *stream) {
    int differences = 0;
    for (int k = 0; k < P2P_KIND_COUNT; k++) {
        for (unsigned parts = 0; parts < OP_PART_SETS && (kind < 0 || kind == k); parts++) {
            const op_refusal_count *a = &listed->of[k][parts], *b = &found->of[k][parts];
            const bool same = a->refused == b->refused && (b->refused == 0 || a->queried == b->queried);
            if (same) continue;
            differences++;
            fprintf(stream, "  listed:  ");
            print_row(k, parts, a, stream);
            fprintf(stream, "  refused: ");
            print_row(k, parts, b, stream);
        }
    }
    return differences;
}

bool op_refusals_cover(const op_refusals *listed, const op_refusals *queried, p2p_kind kind, unsigned parts,
                       bool by_shape) {
    if (!by_shape && queried->of[kind][parts].queried > 0) return listed->of[kind][parts].refused > 0;
    for (unsigned some = 0; some < OP_PART_SETS; some++) {
        const op_refusal_count *count = &listed->of[kind][some];
        const bool enough = count->refused > 0 && (by_shape || count->refused == count->queried);
        if ((some & parts) == some && enough) return true;
    }
    return false;
}
