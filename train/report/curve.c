/* See curve.h. */
#include "curve.h"

#include <math.h>
#include <stdbool.h>

static void join(curve_bucket *to, const curve_bucket *from) {
    to->x = from->x;
    to->low = fmin(to->low, from->low);
    to->high = fmax(to->high, from->high);
    to->sum += from->sum;
    to->points += from->points;
}

/* Join neighbours. CURVE_BUCKETS is even. */
static void halve(curve *points) {
    for (int i = 0; i < points->count / 2; i++) {
        points->buckets[i] = points->buckets[2 * i];
        join(&points->buckets[i], &points->buckets[2 * i + 1]);
    }
    points->count /= 2;
    points->stride *= 2;
}

void curve_add(curve *points, int64_t x, double value) {
    const curve_bucket one = {.x = x, .low = value, .high = value, .sum = value, .points = 1};
    curve_bucket *last = points->count > 0 ? &points->buckets[points->count - 1] : NULL;
    if (!isfinite(value) || (last && x < last->x)) return;
    if (last && last->points < points->stride) {
        join(last, &one);
        return;
    }
    if (points->count == CURVE_BUCKETS) halve(points);
    if (points->stride == 0) points->stride = 1;
    points->buckets[points->count++] = one;
}

static bool append(json_t *object, const char *key, json_t *value) {
    return json_array_append_new(json_object_get(object, key), value) == 0;
}

/* Never beyond the extremes, as it could be by rounding, or if a sum of huge values overflows. */
static double mean_of(const curve_bucket *bucket) {
    return fmin(fmax(bucket->sum / (double)bucket->points, bucket->low), bucket->high);
}

static bool append_bucket(json_t *object, const curve_bucket *bucket, bool extremes) {
    return append(object, "x", json_integer(bucket->x)) &&
           append(object, "mean", json_real(mean_of(bucket))) &&
           (!extremes || (append(object, "low", json_real(bucket->low)) &&
                          append(object, "high", json_real(bucket->high))));
}

json_t *curve_to_json(const curve *points) {
    const bool extremes = points->stride > 1;
    json_t *object = extremes ? json_pack("{s:[], s:[], s:[], s:[]}", "x", "mean", "low", "high")
                              : json_pack("{s:[], s:[]}", "x", "mean");
    for (int i = 0; i < points->count && object; i++) {
        if (append_bucket(object, &points->buckets[i], extremes)) continue;
        json_decref(object);
        object = NULL;
    }
    return object;
}
