/* What was chosen. See ocl_choice.h.
 *
 * One file per device, so that a start reads one, of a line per convolution:
 *
 *   way TAB seconds TAB seconds of arithmetic's way TAB descriptor
 *
 * A line is used when its descriptor is the one asked for, letter by letter, its numbers are numbers and its
 * way is one that a planner accepts; anything else in the file is passed over. So a damaged file makes a
 * start slower, or as fast as without it, but never wrong.
 */
#include "ocl_choice.h"

#include "ocl_cache_key.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char kept_as[] = "tune";

enum { LARGEST_STORE = 4 << 20, NUMBERS_TEXT = 64 };

typedef struct {
    p2p_op op;
    ocl_conv_way way;
} known_choice;

struct ocl_choices {
    known_choice *known;
    int count, capacity;
    char *store; /* the kept text; NULL before it was read */
};

static ocl_choices *choices_of(p2p_be_device *device) {
    if (!device->choices) device->choices = calloc(1, sizeof *device->choices);
    return device->choices;
}

void ocl_choices_release(p2p_be_device *device) {
    if (!device->choices) return;
    free(device->choices->known);
    free(device->choices->store);
    free(device->choices);
    device->choices = NULL;
}

/* ---- In memory ----------------------------------------------------------------------------------------- */

/* The plain convolution, with its filter as parameters are stored: a filter derived for a way is another
 * form of it, and no reason to choose again. */
static p2p_op key_of(const p2p_op *op) {
    p2p_op key = p2p_op_plain_convolution(op);
    if (key.kind == P2P_KIND_conv_bwd_filter) return key;
    p2p_tensor *w = &key.t[P2P_AT_conv_fwd_w];
    if (w->layout == P2P_LAYOUT_plain) return key;
    w->type = P2P_TYPE_f32;
    w->layout = P2P_LAYOUT_ckrs;
    w->block = OCL_LANES;
    return key;
}

_Static_assert((int)P2P_AT_conv_fwd_w == (int)P2P_AT_conv_bwd_data_w, "key_of takes them for one");

static known_choice *find(const ocl_choices *choices, const p2p_op *key) {
    for (int i = 0; choices && i < choices->count; i++)
        if (p2p_op_equal(&choices->known[i].op, key)) return &choices->known[i];
    return NULL;
}

bool ocl_choice_find(const ocl_target *target, const p2p_op *op, ocl_conv_way *way) {
    if (!target->device || !target->device->choices) return false;
    const p2p_op key = key_of(op);
    const known_choice *known = find(target->device->choices, &key);
    if (!known || known->way.family == OCL_CONV_AUTO) return false;
    *way = known->way;
    return true;
}

p2p_status ocl_choice_remember(p2p_be_device *device, const p2p_op *op, const ocl_choice *choice) {
    ocl_choices *choices = choices_of(device);
    const p2p_op key = key_of(op);
    known_choice *known = find(choices, &key);
    if (choices && !known && choices->count == choices->capacity) {
        const int capacity = 2 * choices->capacity + 64;
        known_choice *grown = realloc(choices->known, (size_t)capacity * sizeof *grown);
        if (!grown) choices = NULL;
        if (grown) choices->known = grown, choices->capacity = capacity;
    }
    if (!choices) return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory for the choice of a convolution");
    if (!known) known = &choices->known[choices->count++];
    *known = (known_choice){key, choice->way};
    return P2P_OK;
}

/* ---- Between runs -------------------------------------------------------------------------------------- */

static char *read_store(const p2p_be_device *device) {
    ocl_cache_key *key = ocl_cache_key_make(device, "p2p tune 1", "choices");
    void *value = NULL;
    size_t size = 0;
    char *text = NULL;
    if (key && ocl_host->cache_get(kept_as, key->part, key->count, &value, &size) && size <= LARGEST_STORE)
        text = malloc(size + 1);
    if (text) {
        memcpy(text, value, size);
        text[size] = '\0';
    }
    free(value);
    free(key);
    return text ? text : calloc(1, 1);
}

/* Where the line about a convolution begins, and how long it is without its end. */
static const char *find_line(const char *store, const char *descriptor, size_t *length) {
    const size_t wanted = strlen(descriptor);
    while (store && *store) {
        *length = strcspn(store, "\n");
        if (*length > wanted && store[*length - wanted - 1] == '\t' &&
            memcmp(store + *length - wanted, descriptor, wanted) == 0)
            return store;
        store += *length + (store[*length] == '\n');
    }
    return NULL;
}

static bool parse_seconds(const char **text, double *seconds) {
    char *end;
    *seconds = strtod(*text, &end);
    if (end == *text || *end != '\t' || !isfinite(*seconds) || *seconds <= 0) return false;
    *text = end + 1;
    return true;
}

static bool parse_line(const char *line, size_t length, ocl_choice *choice) {
    char name[P2P_CHOICE_NAME];
    const size_t name_length = strcspn(line, "\t");
    if (name_length >= sizeof name || name_length >= length) return false;
    memcpy(name, line, name_length);
    name[name_length] = '\0';
    line += name_length + 1;
    return ocl_conv_way_parse(name, &choice->way) && parse_seconds(&line, &choice->seconds) &&
           parse_seconds(&line, &choice->default_seconds);
}

bool ocl_choice_kept(p2p_be_device *device, const p2p_op *op, ocl_choice *choice) {
    ocl_choices *choices = choices_of(device);
    const p2p_op key = key_of(op);
    char descriptor[P2P_OP_TEXT];
    size_t length;
    ocl_plan plan;
    if (!choices) return false;
    if (!choices->store) choices->store = read_store(device);
    ocl_host->op_print(&key, descriptor, sizeof descriptor);
    const char *line = find_line(choices->store, descriptor, &length);
    return line && parse_line(line, length, choice) &&
           (choice->way.family == OCL_CONV_AUTO ||
            ocl_conv_plan_way(&device->target, &choice->way, op, &plan) == P2P_OK);
}

/* The text without the line about a convolution, and with a new one. */
static char *replace_line(const char *store, const char *descriptor, const ocl_choice *choice) {
    char name[P2P_CHOICE_NAME];
    size_t length = 0;
    const char *line = find_line(store, descriptor, &length);
    const size_t before = line ? (size_t)(line - store) : strlen(store);
    const char *after = line ? line + length + (line[length] == '\n') : store + before;
    const size_t room = strlen(store) + sizeof name + NUMBERS_TEXT + strlen(descriptor) + 2;
    char *text = malloc(room);
    ocl_conv_way_print(&choice->way, name);
    if (text)
        snprintf(text, room, "%.*s%s%s\t%.6g\t%.6g\t%s\n", (int)before, store, after, name, choice->seconds,
                 choice->default_seconds, descriptor);
    return text;
}

void ocl_choice_keep(p2p_be_device *device, const p2p_op *op, const ocl_choice *choice) {
    ocl_choices *choices = choices_of(device);
    const p2p_op key = key_of(op);
    char descriptor[P2P_OP_TEXT];
    ocl_host->op_print(&key, descriptor, sizeof descriptor);
    char *store = read_store(device);
    char *text = store ? replace_line(store, descriptor, choice) : NULL;
    ocl_cache_key *file = ocl_cache_key_make(device, "p2p tune 1", "choices");
    if (text && file && strlen(text) <= LARGEST_STORE)
        ocl_host->cache_put(kept_as, file->part, file->count, text, strlen(text));
    free(file);
    free(store);
    if (!choices || !text) {
        free(text);
        return;
    }
    free(choices->store);
    choices->store = text;
}
