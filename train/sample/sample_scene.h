/* Random scenes: solids on a table, defined by distance functions, with their colours.
 *
 * sample_render.h renders a scene. The view is about 3.4 units wide; y is up, and the table is y = 0.
 */
#ifndef P2P_SAMPLE_SCENE_H
#define P2P_SAMPLE_SCENE_H

#include "p2p_philox.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    double x, y, z;
} vec3;

static inline vec3 vec3_add(vec3 a, vec3 b) {
    return (vec3){a.x + b.x, a.y + b.y, a.z + b.z};
}
static inline vec3 vec3_scale(vec3 a, double s) {
    return (vec3){a.x * s, a.y * s, a.z * s};
}
static inline vec3 vec3_sub(vec3 a, vec3 b) {
    return (vec3){a.x - b.x, a.y - b.y, a.z - b.z};
}
static inline vec3 vec3_mul(vec3 a, vec3 b) {
    return (vec3){a.x * b.x, a.y * b.y, a.z * b.z};
}
static inline double vec3_dot(vec3 a, vec3 b) {
    return a.x * b.x + a.y * b.y + a.z * b.z;
}
static inline vec3 vec3_cross(vec3 a, vec3 b) {
    return (vec3){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
static inline vec3 vec3_unit(vec3 a) {
    return vec3_scale(a, 1.0 / sqrt(vec3_dot(a, a)));
}
static inline vec3 vec3_mix(vec3 a, vec3 b, double t) {
    return vec3_add(vec3_scale(a, 1.0 - t), vec3_scale(b, t));
}

/* 0 below `low`, 1 above `high`, a cubic step between. With low > high the step descends. */
static inline double smooth_step(double low, double high, double x) {
    double t = (x - low) / (high - low);
    t = t < 0.0 ? 0.0 : t > 1.0 ? 1.0 : t;
    return t * t * (3.0 - 2.0 * t);
}

typedef enum {
    SAMPLE_VASE,
    SAMPLE_BOWL,
    SAMPLE_BLOCK,
    SAMPLE_RING,
    SAMPLE_GEM,
    SAMPLE_BALL,
    SAMPLE_KINDS
} sample_kind;

enum { SAMPLE_PROFILE_POINTS = 7, SAMPLE_MAX_PLANES = 20, SAMPLE_MAX_OBJECTS = 3 };

/* One solid. Its local coordinates are rotated about y; their origin is on the table below its centre. */
typedef struct {
    sample_kind kind;
    vec3 base;
    double turn_cos, turn_sin;
    double height, radius; /* radius: the largest distance from the axis; of a block half its extent in x */
    double bound;          /* radius of a sphere about base + (0, height / 2, 0) that contains the solid */

    /* Vase, bowl: the distance from the axis at evenly spaced heights; the thickness of the wall; the factor
     * that makes the difference of radii a lower bound of the distance. A band of another colour lies between
     * two heights. */
    double profile[SAMPLE_PROFILE_POINTS], wall, steepness, band_low, band_high;
    double rounding; /* block */
    double tube;     /* ring: radius of the tube; block: half its extent in z */
    int planes;      /* gem: normals and offsets of its faces */
    vec3 normals[SAMPLE_MAX_PLANES];
    double offsets[SAMPLE_MAX_PLANES];
    int stripes; /* ball */

    vec3 color, second_color;
    double gloss; /* 0 dull .. 1 glazed */
    uint32_t texture;
} sample_object;

typedef struct {
    int count;
    sample_object objects[SAMPLE_MAX_OBJECTS];
    vec3 table, wall; /* colours */
    uint32_t grain;   /* seed of their textures */
} sample_scene;

/* A sequence of numbers of the counter-based generator. */
typedef struct {
    p2p_draw draw;
    uint64_t next;
} sample_random;

/* Make a scene of one to SAMPLE_MAX_OBJECTS objects. */
void sample_scene_compose(sample_scene *scene, sample_random *random);

/* A lower bound of the distance from a point to the object's surface, negative inside. */
double sample_object_distance(const sample_object *object, vec3 point);

/* The part (face, band, inside) that a surface point belongs to. Outlines separate parts. */
int sample_object_part(const sample_object *object, vec3 point);

/* The colour of the surface at a point of the part, with texture, in linear light. */
vec3 sample_object_color(const sample_object *object, vec3 point, int part);

/* Smooth noise in [0, 1], the sum of several octaves. */
double sample_noise(vec3 point, uint32_t seed);

#endif
