/* Values of tensors in files, for tests. Include it after cmocka. */
#ifndef SAFETENSORS_VALUES_H
#define SAFETENSORS_VALUES_H

#include "safetensors.h"
#include "support/test_expect.h"

#include <stdlib.h>

/* All values of a tensor; the caller frees them. */
static inline double *safetensors_values(safetensors_file *file, const safetensors_entry *entry) {
    double *values = malloc((size_t)safetensors_elements(entry) * sizeof *values + 1);
    assert_non_null(values);
    OK(safetensors_read(file, entry, P2P_TYPE_f64, values));
    return values;
}

#endif
