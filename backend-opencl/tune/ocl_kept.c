/* Choices stored between runs. See ocl_kept.h; p2p_tune.h defines the text. */
#include "ocl_kept.h"

#include "ocl_cache_key.h"

#include <stdlib.h>

static const char format[] = "p2p tune 1", about[] = "choices";

static void print_key(const p2p_op *op, char descriptor[P2P_OP_TEXT]) {
    const p2p_op key = ocl_choice_key(op);
    ocl_host->op_print(&key, descriptor, P2P_OP_TEXT);
}

/* Reads the stored text; NULL if memory is exhausted. */
static char *read_text(const p2p_be_device *device) {
    ocl_cache_key *key = ocl_cache_key_make(device, format, about);
    char *text = key ? p2p_tune_kept_read(ocl_host, key->part, key->count) : NULL;
    free(key);
    return text;
}

bool ocl_kept_get(p2p_be_device *device, const p2p_op *op, ocl_choice *choice) {
    char descriptor[P2P_OP_TEXT];
    p2p_choice kept;
    if (!device->tuning->kept) device->tuning->kept = read_text(device);
    print_key(op, descriptor);
    *choice = (ocl_choice){0};
    if (!device->tuning->kept || !p2p_tune_text_find(device->tuning->kept, descriptor, &kept) ||
        !ocl_conv_algorithm_parse(kept.name, &choice->algorithm))
        return false;
    choice->seconds = kept.seconds;
    choice->default_seconds = kept.default_seconds;
    return true;
}

void ocl_kept_put(p2p_be_device *device, const p2p_op *op, const ocl_choice *choice) {
    char descriptor[P2P_OP_TEXT];
    p2p_choice kept = {.seconds = choice->seconds, .default_seconds = choice->default_seconds};
    print_key(op, descriptor);
    ocl_conv_algorithm_print(&choice->algorithm, kept.name);
    ocl_cache_key *key = ocl_cache_key_make(device, format, about);
    char *text = key ? p2p_tune_kept_put(ocl_host, key->part, key->count, descriptor, &kept) : NULL;
    free(key);
    if (!text) return;
    free(device->tuning->kept);
    device->tuning->kept = text;
}
