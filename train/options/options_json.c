/* Settings in JSON: what config.json and checkpoints record. See options.h and option_values.h. */
#include "host/text.h"
#include "option_values.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

void option_json_name(const option_row *row, char name[OPTION_JSON_NAME_BYTES]) {
    snprintf(name, OPTION_JSON_NAME_BYTES, "%s", row->name);
    for (char *c = name; *c; c++) {
        if (*c == '-') *c = '_';
    }
}

json_t *option_to_json(const settings *all, const option_row *row) {
    void *field = option_field(all, row);
    switch (row->kind) {
    case KIND_FLAG:
        return json_boolean(*(bool *)field);
    case KIND_TEXT:
    case KIND_CHOICE:
        return *(char **)field ? text_to_json(*(char **)field) : json_null();
    case KIND_COUNTS: /* what is recorded or printed has one */
        return json_integer(((const settings_counts *)field)->of[0]);
    case KIND_BYTES:
    case KIND_COUNT:
        return *(int64_t *)field || row->low == 0 ? json_integer(*(int64_t *)field) : json_null();
    case KIND_SEED:
        return json_sprintf("%llu", (unsigned long long)*(uint64_t *)field);
    case KIND_REAL:
        return json_real(*(double *)field);
    case KIND_HEADING:
        break;
    }
    return NULL;
}

json_t *settings_value_to_json(const settings *all, const char *option) {
    const option_row *row = option_named(option);
    return row ? option_to_json(all, row) : NULL;
}

/* Only options recorded at least that firmly. */
static json_t *kept_to_json(const settings *all, option_keeping least) {
    json_t *object = json_object();
    for (int i = 0; i < option_row_count && object; i++) {
        const option_row *row = &option_rows[i];
        if (!(row->commands & COMMAND_TRAIN) || row->keeping < least) continue;
        char name[OPTION_JSON_NAME_BYTES];
        option_json_name(row, name);
        if (json_object_set_new(object, name, option_to_json(all, row)) != 0) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

uint64_t settings_layout(void) {
    XXH64_hash_t hash = 0;
    for (int i = 0; i < option_row_count; i++) {
        const option_row *row = &option_rows[i];
        const uint64_t numbers[] = {row->kind, row->offset, row->commands, row->keeping};
        hash = XXH3_64bits_withSeed(row->name, strlen(row->name), hash);
        hash = XXH3_64bits_withSeed(numbers, sizeof numbers, hash);
    }
    return hash;
}

json_t *settings_to_json(const settings *all) {
    return kept_to_json(all, KEPT);
}

json_t *settings_binding_to_json(const settings *all) {
    return kept_to_json(all, BINDING);
}

/* The shortest text from which strtod restores every bit. */
static void real_as_text(double value, char *text, size_t size) {
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value) return;
    }
}

char *option_text_of_json(const json_t *value) {
    enum { NUMBER_BYTES = 32 };
    const size_t size = json_is_string(value) ? json_string_length(value) + 1 : NUMBER_BYTES;
    char *text = calloc(size, 1);
    if (!text) return NULL;
    if (json_is_string(value)) text_from_json(value, text, size);
    if (json_is_integer(value)) snprintf(text, size, "%lld", (long long)json_integer_value(value));
    if (json_is_real(value)) real_as_text(json_real_value(value), text, size);
    if (json_is_true(value)) snprintf(text, size, "yes");
    return text;
}

char *option_text(const settings *all, const option_row *row) {
    json_t *value = option_to_json(all, row);
    char *text = value ? option_text_of_json(value) : NULL;
    json_decref(value);
    return text;
}

json_t *option_json_of_text(const option_row *row, const char *text) {
    settings untouched = {0};
    json_t *value = NULL;
    if (!text || option_set(&untouched, row, text) == P2P_OK) value = option_to_json(&untouched, row);
    settings_free(&untouched);
    return value;
}
