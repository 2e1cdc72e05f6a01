/* Values of options from text. See option_values.h. */
#include "option_values.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void *option_field(const settings *all, const option_row *row) {
    return (char *)all + row->offset;
}

const option_row *option_named(const char *name) {
    for (int i = 0; i < option_row_count; i++) {
        if (strcmp(option_rows[i].name, name) == 0) return &option_rows[i];
    }
    return NULL;
}

static p2p_status set_text(char **field, const char *value) {
    char *copy = strdup(value);
    if (!copy) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for an option's value");
    free(*field);
    *field = copy;
    return P2P_OK;
}

static bool is_choice(const char *choices, const char *value) {
    size_t length = strlen(value);
    for (const char *at = choices; length > 0; at++) {
        const char *end = strchr(at, '|');
        size_t size = end ? (size_t)(end - at) : strlen(at);
        if (size == length && memcmp(at, value, size) == 0) return true;
        if (!end) return false;
        at = end;
    }
    return false;
}

/* The factor of a size's suffix; 0 if it is none. */
static double byte_factor(const char *suffix) {
    static const char letters[] = "KMGT";
    if (*suffix == '\0') return 1;
    const char *letter = strchr(letters, *suffix >= 'a' && *suffix <= 'z' ? *suffix - 'a' + 'A' : *suffix);
    return letter != NULL && suffix[1] == '\0' ? ldexp(1024, (int)(letter - letters) * 10) : 0;
}

static p2p_status set_bytes(const settings *all, const option_row *row, const char *value) {
    char *end;
    errno = 0;
    const double number = strtod(value, &end), bytes = floor(number * byte_factor(end));
    if (end == value || byte_factor(end) == 0 || errno != 0 || !isfinite(bytes))
        return p2p_fail(P2P_USAGE, "--%s: '%s' is not a size such as 500M or 4G", row->name, value);
    if (bytes < row->low || bytes > row->high)
        return p2p_fail(P2P_USAGE, "--%s: %s is outside %.10g to %.10g bytes", row->name, value, row->low,
                        row->high);
    *(int64_t *)option_field(all, row) = (int64_t)bytes;
    return P2P_OK;
}

/* The number that `value` is, in the row's range. */
static p2p_status read_number(const option_row *row, const char *value, bool whole, double *number) {
    char *end;
    errno = 0;
    *number = strtod(value, &end);
    if (end == value || *end != '\0' || errno != 0 || !isfinite(*number) ||
        (whole && *number != floor(*number)))
        return p2p_fail(P2P_USAGE, "--%s: '%s' is not a %snumber", row->name, value, whole ? "whole " : "");
    if (*number >= row->low && *number <= row->high) return P2P_OK;
    return p2p_fail(P2P_USAGE, "--%s: %s is outside %.10g to %.10g", row->name, value, row->low, row->high);
}

static p2p_status set_number(const settings *all, const option_row *row, const char *value) {
    const bool whole = row->kind == KIND_COUNT;
    double number;
    P2P_TRY(read_number(row, value, whole, &number));
    if (whole)
        *(int64_t *)option_field(all, row) = (int64_t)number;
    else
        *(double *)option_field(all, row) = number;
    return P2P_OK;
}

static p2p_status add_count(const option_row *row, const char *value, settings_counts *counts) {
    double number;
    P2P_TRY(read_number(row, value, true, &number));
    if (counts->count == SETTINGS_MAX_COUNTS)
        return p2p_fail(P2P_USAGE, "--%s: more than %d numbers", row->name, SETTINGS_MAX_COUNTS);
    if (counts->count > 0 && (int64_t)number <= counts->of[counts->count - 1])
        return p2p_fail(P2P_USAGE, "--%s: %s does not follow a smaller number", row->name, value);
    counts->of[counts->count++] = (int64_t)number;
    return P2P_OK;
}

static p2p_status set_counts(const settings *all, const option_row *row, const char *value) {
    settings_counts *counts = option_field(all, row);
    *counts = (settings_counts){.count = 0};
    for (const char *at = value;; at++) {
        char piece[64];
        const size_t length = strcspn(at, ",");
        if (length >= sizeof piece)
            return p2p_fail(P2P_USAGE, "--%s: '%s' is no list of numbers", row->name, value);
        snprintf(piece, sizeof piece, "%.*s", (int)length, at);
        P2P_TRY(add_count(row, piece, counts));
        at += length;
        if (*at == '\0') return P2P_OK;
    }
}

static p2p_status set_seed(const settings *all, const option_row *row, const char *value) {
    char *end;
    errno = 0;
    const bool hexadecimal = value[0] == '0' && (value[1] == 'x' || value[1] == 'X');
    unsigned long long seed = strtoull(value, &end, hexadecimal ? 16 : 10);
    if (end == value || *end != '\0' || errno != 0 || strchr(value, '-'))
        return p2p_fail(P2P_USAGE, "--%s: '%s' is not a number from 0 to 18446744073709551615", row->name,
                        value);
    *(uint64_t *)option_field(all, row) = seed;
    return P2P_OK;
}

p2p_status option_set(const settings *all, const option_row *row, const char *value) {
    switch (row->kind) {
    case KIND_FLAG:
        *(bool *)option_field(all, row) = true;
        return P2P_OK;
    case KIND_CHOICE:
        if (!is_choice(row->argument, value))
            return p2p_fail(P2P_USAGE, "--%s: '%s' is not one of %s", row->name, value, row->argument);
        return set_text(option_field(all, row), value);
    case KIND_TEXT:
        if (value[0] == '\0') return p2p_fail(P2P_USAGE, "--%s: the value is empty", row->name);
        return set_text(option_field(all, row), value);
    case KIND_SEED:
        return set_seed(all, row, value);
    case KIND_BYTES:
        return set_bytes(all, row, value);
    case KIND_COUNTS:
        return set_counts(all, row, value);
    case KIND_COUNT:
    case KIND_REAL:
        return set_number(all, row, value);
    case KIND_HEADING:
        break;
    }
    return P2P_OK;
}

p2p_status settings_set(settings *all, const char *option, const char *value) {
    return option_set(all, option_named(option), value);
}
