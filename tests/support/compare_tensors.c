/* Compares tensors of two files of weights or checkpoints, for scripts.
 *
 *     compare_tensors GOT TRUTH PART BOUND [together]
 *
 * PART: a text that the names of the compared tensors contain. The difference of a tensor is
 * ||got - truth|| / ||truth||, and of one that is zero in TRUTH, 0 or infinite. Prints the largest one, and
 * fails with 1 if it is above BOUND, if a tensor of TRUTH is absent in GOT or has another shape, or if none
 * is compared. With `together` all tensors are compared as one vector.
 */
#include "safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double *read_all(safetensors_file *file, const safetensors_entry *entry) {
    double *values = malloc((size_t)safetensors_elements(entry) * sizeof *values + 1);
    if (values && safetensors_read(file, entry, P2P_TYPE_f64, values) == P2P_OK) return values;
    fprintf(stderr, "compare_tensors: %s: %s\n", entry->name, values ? p2p_message() : "no memory");
    exit(1);
}

/* Sums of squares. */
typedef struct {
    double apart, length;
} distance;

static double relative(const distance *d) {
    if (!isfinite(d->apart)) return INFINITY;
    return d->apart == 0 ? 0 : sqrt(d->apart / d->length);
}

static void add(distance *d, const double *got, const double *truth, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        d->apart += (got[i] - truth[i]) * (got[i] - truth[i]);
        d->length += truth[i] * truth[i];
    }
}

/* Adds a tensor; infinite if `got` has no such one. */
static void compare(safetensors_file *got, safetensors_file *truth, const safetensors_entry *entry,
                    distance *d) {
    const safetensors_entry *other = safetensors_find(got, entry->name);
    if (!other || other->rank != entry->rank ||
        memcmp(other->shape, entry->shape, (size_t)entry->rank * sizeof entry->shape[0]) != 0) {
        d->apart = INFINITY;
        return;
    }
    double *a = read_all(got, other), *b = read_all(truth, entry);
    add(d, a, b, safetensors_elements(entry));
    free(a);
    free(b);
}

int main(int count, char **arguments) {
    safetensors_file *file[2] = {NULL, NULL};
    char *end = NULL;
    const bool together = count == 6 && strcmp(arguments[5], "together") == 0;
    const double bound = count == 5 || together ? strtod(arguments[4], &end) : 0;
    if (!end || *end != '\0') {
        fprintf(stderr, "usage: compare_tensors GOT TRUTH PART BOUND [together]\n");
        return 2;
    }
    for (int i = 0; i < 2; i++) {
        if (safetensors_open(arguments[1 + i], &file[i]) == P2P_OK) continue;
        fprintf(stderr, "compare_tensors: %s\n", p2p_message());
        return 1;
    }
    int compared = 0;
    double largest = -1;
    const char *name = "all together";
    distance all = {0};
    for (int i = 0; i < safetensors_count(file[1]); i++) {
        const safetensors_entry *entry = safetensors_at(file[1], i);
        if (!strstr(entry->name, arguments[3])) continue;
        distance own = {0};
        compare(file[0], file[1], entry, together ? &all : &own);
        compared++;
        if (together || relative(&own) <= largest) continue;
        largest = relative(&own);
        name = entry->name;
    }
    if (together && compared > 0) largest = relative(&all);
    printf("%d tensors with %s: the largest difference is %.2g of %s (bound %g)\n", compared, arguments[3],
           largest, name, bound);
    for (int i = 0; i < 2; i++) safetensors_close(file[i]);
    return compared > 0 && largest <= bound ? 0 : 1;
}
