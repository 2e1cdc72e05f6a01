/* Compares tensors of two files of weights or checkpoints, for scripts.
 *
 *     compare_tensors GOT TRUTH PART BOUND
 *
 * PART: a text that the names of the compared tensors contain. The difference of a tensor is
 * ||got - truth|| / ||truth||, and of one that is zero in TRUTH, 0 or infinite. Prints the largest one, and
 * fails with 1 if it is above BOUND, if a tensor of TRUTH is absent in GOT or has another shape, or if none
 * is compared.
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

static double difference(const double *got, const double *truth, int64_t count) {
    double apart = 0, length = 0;
    for (int64_t i = 0; i < count; i++) {
        apart += (got[i] - truth[i]) * (got[i] - truth[i]);
        length += truth[i] * truth[i];
    }
    if (!isfinite(apart)) return INFINITY;
    return apart == 0 ? 0 : sqrt(apart / length);
}

/* Infinite if `got` has no such tensor. */
static double compare(safetensors_file *got, safetensors_file *truth, const safetensors_entry *entry) {
    const safetensors_entry *other = safetensors_find(got, entry->name);
    if (!other || other->rank != entry->rank ||
        memcmp(other->shape, entry->shape, (size_t)entry->rank * sizeof entry->shape[0]) != 0)
        return INFINITY;
    double *a = read_all(got, other), *b = read_all(truth, entry);
    const double apart = difference(a, b, safetensors_elements(entry));
    free(a);
    free(b);
    return apart;
}

int main(int count, char **arguments) {
    safetensors_file *file[2] = {NULL, NULL};
    char *end = NULL;
    const double bound = count == 5 ? strtod(arguments[4], &end) : 0;
    if (count != 5 || *end != '\0') {
        fprintf(stderr, "usage: compare_tensors GOT TRUTH PART BOUND\n");
        return 2;
    }
    for (int i = 0; i < 2; i++) {
        if (safetensors_open(arguments[1 + i], &file[i]) == P2P_OK) continue;
        fprintf(stderr, "compare_tensors: %s\n", p2p_message());
        return 1;
    }
    int compared = 0;
    double largest = -1;
    const char *name = "";
    for (int i = 0; i < safetensors_count(file[1]); i++) {
        const safetensors_entry *entry = safetensors_at(file[1], i);
        if (!strstr(entry->name, arguments[3])) continue;
        const double apart = compare(file[0], file[1], entry);
        compared++;
        if (apart <= largest) continue;
        largest = apart;
        name = entry->name;
    }
    printf("%d tensors with %s: the largest difference is %.2g of %s (bound %g)\n", compared, arguments[3],
           largest, name, bound);
    for (int i = 0; i < 2; i++) safetensors_close(file[i]);
    return compared > 0 && largest <= bound ? 0 : 1;
}
