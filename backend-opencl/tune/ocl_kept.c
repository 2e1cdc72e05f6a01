/* Choices stored between runs. See ocl_kept.h; conv/ocl_choice_text.h defines the text. */
#include "ocl_kept.h"

#include "ocl_cache_key.h"

#include "conv/ocl_choice_text.h"

#include <stdlib.h>
#include <string.h>

static const char kept_as[] = "tune", format[] = "p2p tune 1", about[] = "choices";

enum { LARGEST_TEXT = 4 << 20 };

/* Reads the stored text; "" if there is none, NULL if memory is exhausted. */
static char *read_text(const p2p_be_device *device) {
    ocl_cache_key *key = ocl_cache_key_make(device, format, about);
    void *value = NULL;
    size_t size = 0;
    char *text = NULL;
    if (key && ocl_host->cache_get(kept_as, key->part, key->count, &value, &size) && size <= LARGEST_TEXT)
        text = malloc(size + 1);
    if (text) {
        memcpy(text, value, size);
        text[size] = '\0';
    }
    free(value);
    free(key);
    return text ? text : calloc(1, 1);
}

static void print_key(const p2p_op *op, char descriptor[P2P_OP_TEXT]) {
    const p2p_op key = ocl_choice_key(op);
    ocl_host->op_print(&key, descriptor, P2P_OP_TEXT);
}

bool ocl_kept_get(p2p_be_device *device, const p2p_op *op, ocl_choice *choice) {
    char descriptor[P2P_OP_TEXT];
    if (!device->tuning->kept) device->tuning->kept = read_text(device);
    if (!device->tuning->kept) return false;
    print_key(op, descriptor);
    return ocl_choice_text_find(device->tuning->kept, descriptor, choice);
}

void ocl_kept_put(p2p_be_device *device, const p2p_op *op, const ocl_choice *choice) {
    char descriptor[P2P_OP_TEXT];
    print_key(op, descriptor);
    char *before = read_text(device);
    char *text = before ? ocl_choice_text_replace(before, descriptor, choice) : NULL;
    ocl_cache_key *key = ocl_cache_key_make(device, format, about);
    if (text && key && strlen(text) <= LARGEST_TEXT)
        ocl_host->cache_put(kept_as, key->part, key->count, text, strlen(text));
    free(key);
    free(before);
    if (!text) return;
    free(device->tuning->kept);
    device->tuning->kept = text;
}
