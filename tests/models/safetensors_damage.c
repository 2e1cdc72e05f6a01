/* See safetensors_damage.h. */
#include "safetensors_damage.h"

#include "safetensors.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "safetensors_values.h"
#include "support/test_expect.h"

typedef struct {
    uint8_t *bytes; /* of the whole file, with room for MOST_MORE bytes */
    size_t size;
    safetensors_file *whole;
    int64_t tried, harmless;
} damage;

enum { MOST_MORE = 16, LENGTH_BYTES = 8 };

static p2p_status open_bytes(const uint8_t *bytes, size_t size, safetensors_file **file) {
    *file = NULL;
    if (size == 0) return P2P_INPUT; /* a memory stream of 0 bytes is not portable */
    FILE *stream = fmemopen((void *)bytes, size, "rb");
    assert_non_null(stream);
    return safetensors_open_stream(stream, size, "damaged", file);
}

static bool same_tensor(safetensors_file *a, const safetensors_entry *left, safetensors_file *b,
                        const safetensors_entry *right) {
    if (strcmp(left->name, right->name) != 0 || left->dtype != right->dtype || left->rank != right->rank ||
        memcmp(left->shape, right->shape, sizeof left->shape) != 0)
        return false;
    double *x = safetensors_values(a, left), *y = safetensors_values(b, right);
    const bool same = memcmp(x, y, (size_t)safetensors_elements(left) * sizeof *x) == 0;
    free(x);
    free(y);
    return same;
}

static bool same_contents(safetensors_file *a, safetensors_file *b) {
    static const char *const keys[] = {"p2p_checksum", "format",     "training", "p2p_format", "architecture",
                                       "direction",    "step",       "epoch",    "depth",      "ngf",
                                       "norm",         "norm_eps",   "dropout",  "resize",     "height",
                                       "input_bits",   "leaky_slope"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *x = safetensors_metadata(a, keys[i]), *y = safetensors_metadata(b, keys[i]);
        if (!x != !y || (x && strcmp(x, y) != 0)) return false;
    }
    bool same = safetensors_count(a) == safetensors_count(b);
    for (int i = 0; same && i < safetensors_count(a); i++)
        same = same_tensor(a, safetensors_at(a, i), b, safetensors_at(b, i));
    return same;
}

static void try(damage *d, size_t size, const char *what, size_t where) {
    safetensors_file *file;
    p2p_status status = open_bytes(d->bytes, size, &file);
    if (status == P2P_OK) status = safetensors_verify(file);
    d->tried++;
    if (status == P2P_OK) {
        if (!same_contents(d->whole, file)) fail_msg("%s %zu: accepted with other contents", what, where);
        d->harmless++;
    } else if (status != P2P_INPUT) {
        fail_msg("%s %zu: %s", what, where, p2p_message());
    }
    safetensors_close(file);
}

static void flip(damage *d, size_t from, size_t to, size_t step) {
    for (size_t bit = 8 * from; bit < 8 * to; bit += step) {
        const uint8_t mask = (uint8_t)(1u << bit % 8);
        d->bytes[bit / 8] ^= mask;
        try(d, d->size, "bit", bit);
        d->bytes[bit / 8] ^= mask;
    }
}

static void open_whole(damage *d, const char *path) {
    uint8_t *read = test_file_read(path, &d->size);
    d->bytes = calloc(d->size + MOST_MORE, 1);
    assert_non_null(d->bytes);
    memcpy(d->bytes, read, d->size);
    free(read);
    OK(safetensors_open(path, &d->whole));
    OK(safetensors_verify(d->whole));
    assert_non_null(safetensors_metadata(d->whole, "p2p_checksum"));
}

void safetensors_damage(const char *path, size_t header_step, size_t data_step, size_t cut_step) {
    damage d = {0};
    open_whole(&d, path);
    size_t header = LENGTH_BYTES;
    for (int i = 0; i < LENGTH_BYTES; i++) header += (size_t)d.bytes[i] << 8 * i;
    flip(&d, 0, LENGTH_BYTES, 1);
    flip(&d, LENGTH_BYTES, header, header_step);
    flip(&d, header, d.size, data_step);
    for (size_t size = 0; size < d.size; size += cut_step) try(&d, size, "length", size);
    for (size_t more = 1; more <= MOST_MORE; more++) try(&d, d.size + more, "length", d.size + more);
    print_message("%lld damages, %lld of them without effect\n", (long long)d.tried, (long long)d.harmless);
    assert_true(d.tried > 0);
    safetensors_close(d.whole);
    free(d.bytes);
}
