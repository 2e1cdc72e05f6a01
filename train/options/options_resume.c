/* The check of a resumed training's settings. See options.h. */
#include "host/text.h"
#include "option_values.h"

#include <stdlib.h>
#include <string.h>

static p2p_status contradiction(const settings *all, const option_row *row, const char *was,
                                const char *file) {
    char *now = option_text(all, row);
    p2p_fail(P2P_USAGE, "--%s %s contradicts %s, which was trained with %s", row->name, now ? now : "", file,
             was[0] ? was : "none");
    free(now);
    return p2p_hint(P2P_USAGE, "leave --%s out to continue as before, or train into another --out",
                    row->name);
}

static bool equals_kept(const settings *all, const option_row *row, const json_t *kept) {
    json_t *mine = option_to_json(all, row);
    bool equal = mine && json_equal(mine, kept);
    json_decref(mine);
    return equal;
}

/* A training may continue in another precision on a device without that of before. */
static bool allows_precision(const settings *all, const option_row *row) {
    return all->allow_other_device && strcmp(row->name, "precision") == 0;
}

/* Decides about an option that is given, and was recorded with another value. */
static p2p_status resume_given(const settings *all, const option_row *row, const char *was,
                               const char *file) {
    if (row->keeping == KEPT) return P2P_OK;
    if (!allows_precision(all, row)) return contradiction(all, row, was, file);
    text_line(stderr,
              "precision: %s was trained with %s; --precision %s replaces it, because "
              "--allow-other-device is given",
              file, was, all->precision);
    return P2P_OK;
}

/* Takes the value, as text, that `file` has recorded. */
static p2p_status resume_text(settings *all, const option_row *row, const char *was, const char *file) {
    if (settings_given(all, row->name)) return resume_given(all, row, was, file);
    if (row->kind == KIND_FLAG) {
        *(bool *)option_field(all, row) = was[0] != '\0';
        return P2P_OK;
    }
    if (was[0] == '\0') return P2P_OK;
    p2p_status status = option_set(all, row, was);
    return status == P2P_USAGE
               ? p2p_fail(P2P_INPUT, "%s: the saved value of --%s is unusable", file, row->name)
               : status;
}

static p2p_status resume_value(settings *all, const option_row *row, const json_t *value, const char *file) {
    if (equals_kept(all, row, value)) return P2P_OK;
    char *was = option_text_of_json(value);
    if (!was) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the saved settings");
    p2p_status status = resume_text(all, row, was, file);
    free(was);
    return status;
}

/* What versions without the option did: as the fallback does, but for the precision. */
static const char *value_before(const option_row *row) {
    return strcmp(row->name, "precision") == 0 ? "fp32" : row->fallback;
}

/* An older version may have recorded settings without the option. */
static p2p_status resume_row(settings *all, const option_row *row, const json_t *kept, const char *file) {
    char name[OPTION_JSON_NAME_BYTES];
    option_json_name(row, name);
    json_t *value = json_object_get(kept, name);
    value = value ? json_incref(value) : option_json_of_text(row, value_before(row));
    if (!value) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the saved settings");
    p2p_status status = resume_value(all, row, value, file);
    json_decref(value);
    return status;
}

p2p_status settings_resume(settings *all, const json_t *kept, const char *file) {
    if (!json_is_object(kept)) return p2p_fail(P2P_INPUT, "%s: holds no settings", file);
    for (int i = 0; i < option_row_count; i++) {
        if ((option_rows[i].commands & COMMAND_TRAIN) && option_rows[i].keeping != NOT_KEPT)
            P2P_TRY(resume_row(all, &option_rows[i], kept, file));
    }
    return P2P_OK;
}
