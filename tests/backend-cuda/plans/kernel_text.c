/* See kernel_text.h. */
#include "kernel_text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 20, MOST_SOURCES = 32 };

static struct {
    char name[64];
    char *text;
} sources[MOST_SOURCES];

static char *read_source(const char *name) {
    char path[512];
    snprintf(path, sizeof path, KERNEL_FOLDER "/%s.ii", name);
    FILE *file = fopen(path, "r");
    char *text = calloc(1, MOST_BYTES);
    if (!file || !text || fread(text, 1, MOST_BYTES - 1, file) == 0) {
        fprintf(stderr, "%s can't be read\n", path);
        exit(1);
    }
    fclose(file);
    return text;
}

/* The text of a source, read once. */
static const char *source_text(const char *name) {
    int i = 0;
    while (i < MOST_SOURCES && sources[i].text && strcmp(sources[i].name, name) != 0) i++;
    if (i == MOST_SOURCES) exit(1);
    if (!sources[i].text) {
        snprintf(sources[i].name, sizeof sources[i].name, "%s", name);
        sources[i].text = read_source(name);
    }
    return sources[i].text;
}

static bool is_letter(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

/* The parenthesis that closes the one at `open`. */
static const char *closing(const char *open) {
    int depth = 0;
    const char *at = open;
    do {
        if (*at == '(') depth++;
        if (*at == ')') depth--;
        at++;
    } while (depth > 0 && *at);
    return at - 1;
}

/* The name after __global__, before its parameters; NULL if no kernel follows. */
static const char *next_kernel(const char *text, const char **parameters, char name[64]) {
    const char *at = strstr(text, "__global__");
    if (!at) return NULL;
    const char *bounds = strstr(at, "__launch_bounds__");
    if (!bounds) return NULL;
    const char *begin = closing(strchr(bounds, '(')) + 1;
    while (!is_letter(*begin)) begin++;
    size_t length = 0;
    while (is_letter(begin[length])) length++;
    snprintf(name, 64, "%.*s", (int)length, begin);
    *parameters = strchr(begin, '(');
    return begin;
}

/* Parses one parameter such as "const bf16 *x" or "const long long x_step". */
static void parse_parameter(const char *begin, const char *end, kernel_parameter *to) {
    char text[256], *rest = NULL;
    *to = (kernel_parameter){.pointer = memchr(begin, '*', (size_t)(end - begin)) != NULL};
    snprintf(text, sizeof text, "%.*s", (int)(end - begin), begin);
    char *words[8];
    int count = 0;
    for (char *word = strtok_r(text, " *\n\t", &rest); word && count < 8;
         word = strtok_r(NULL, " *\n\t", &rest)) {
        if (strcmp(word, "const") == 0)
            to->constant = true;
        else
            words[count++] = word;
    }
    for (int i = 0; i < count - 1; i++) { /* the last is the name */
        const size_t used = strlen(to->type);
        snprintf(to->type + used, sizeof to->type - used, "%s%s", i ? " " : "", words[i]);
    }
}

static void parse_signature(const char *open, kernel_signature *signature) {
    const char *end = closing(open), *begin = open + 1;
    signature->count = 0;
    for (const char *at = begin; at <= end; at++) {
        if (*at != ',' && at != end) continue;
        if (signature->count < KERNEL_PARAMETERS)
            parse_parameter(begin, at, &signature->parameter[signature->count]);
        signature->count++;
        begin = at + 1;
    }
}

bool kernel_find(const char *source, const char *kernel, kernel_signature *signature) {
    char name[64];
    const char *parameters;
    for (const char *at = source_text(source); (at = next_kernel(at, &parameters, name)) != NULL;) {
        if (strcmp(name, kernel) != 0) continue;
        parse_signature(parameters, signature);
        return true;
    }
    return false;
}

long kernel_constant(const char *source, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = source_text(source); (at = strstr(at, name)) != NULL; at += length) {
        const char *after = at + length;
        while (*after == ' ') after++;
        if (*after == '=') return strtol(after + 1, NULL, 10);
    }
    return -1;
}

int kernel_each(const char *source, void (*visit)(void *context, const char *kernel), void *context) {
    char name[64];
    const char *parameters;
    int count = 0;
    for (const char *at = source_text(source); (at = next_kernel(at, &parameters, name)) != NULL; count++)
        visit(context, name);
    return count;
}
