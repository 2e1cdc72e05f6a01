/* See weights_values.h. */
#include "weights_values.h"

#include <math.h>

/* NaN is in no bounds. */
static bool is_in(double value, const weights_bounds *bounds) {
    return fabs(value) < bounds->beyond && value >= bounds->least;
}

/* Numbers of wrong elements by cause. */
typedef struct {
    long long infinite, large, negative;
} wrong_values;

static void count_wrong(const double *values, int64_t count, const weights_bounds *bounds,
                        wrong_values *wrong) {
    for (int64_t i = 0; i < count; i++) {
        if (is_in(values[i], bounds)) continue;
        if (!isfinite(values[i]))
            wrong->infinite++;
        else if (values[i] < bounds->least)
            wrong->negative++;
        else
            wrong->large++;
    }
}

static p2p_status count_all_wrong(safetensors_file *file, const safetensors_entry *entry,
                                  const weights_bounds *bounds, wrong_values *wrong) {
    enum { SOME = 4096 };
    double values[SOME];
    const int64_t all = safetensors_elements(entry);
    *wrong = (wrong_values){0};
    for (int64_t first = 0; first < all; first += SOME) {
        const int64_t count = all - first < SOME ? all - first : SOME;
        P2P_TRY(safetensors_read_part(file, entry, first, count, WEIGHTS_READ_TYPE, values));
        count_wrong(values, count, bounds, wrong);
    }
    return P2P_OK;
}

/* A damaged file is reported as such: its numbers are not the original ones. */
static p2p_status refuse(safetensors_file *file, const safetensors_entry *entry,
                         const weights_bounds *bounds) {
    wrong_values wrong;
    P2P_TRY(safetensors_verify(file));
    P2P_TRY(count_all_wrong(file, entry, bounds, &wrong));
    const long long all = safetensors_elements(entry), number = wrong.infinite ? wrong.infinite
                                                                : wrong.large  ? wrong.large
                                                                               : wrong.negative;
    const char *what = wrong.infinite ? "NaN or infinite"
                       : wrong.large  ? "too large for float32 and bfloat16"
                                      : "negative, and a variance or a mean of squares can't be";
    return p2p_fail(P2P_INPUT, "%s: tensor %s can't be used: of its %lld elements %lld %s %s",
                    safetensors_path(file), entry->name, all, number, number == 1 ? "is" : "are", what);
}

p2p_status weights_check_values(safetensors_file *file, const safetensors_entry *entry, const double *values,
                                int64_t count, const weights_bounds *bounds) {
    int64_t wrong = 0;
    for (int64_t i = 0; i < count; i++) wrong += !is_in(values[i], bounds);
    return wrong == 0 ? P2P_OK : refuse(file, entry, bounds);
}
