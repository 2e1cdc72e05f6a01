/* A curve of any number of points in bounded memory.
 *
 * Points are collected in buckets of equally many successive points. When all buckets are full, neighbours
 * are joined, so that each then holds twice as many. A bucket has the mean of its values and their extremes,
 * so that no peak is lost.
 */
#ifndef P2P_CURVE_H
#define P2P_CURVE_H

#include <jansson.h>
#include <stdint.h>

enum { CURVE_BUCKETS = 500 };

typedef struct {
    int64_t x; /* of its last point */
    double low, high, sum;
    int64_t points;
} curve_bucket;

/* Initialise with {0}. */
typedef struct {
    int count;
    int64_t stride; /* points of a full bucket; 0 before the first point */
    curve_bucket buckets[CURVE_BUCKETS];
} curve;

/* Add a point. One whose x is below the last one's, or whose value is not finite, is left out. */
void curve_add(curve *points, int64_t x, double value);

/* {"x": [...], "mean": [...], "low": [...], "high": [...]}: an element per bucket. Without the extremes if
 * each bucket has one point. NULL if memory runs out. */
json_t *curve_to_json(const curve *points);

#endif
