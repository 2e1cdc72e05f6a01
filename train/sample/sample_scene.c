/* Shapes, their placement and their colours. See sample_scene.h. A distance may be smaller than the true one,
 * never larger, because a ray advances by it. */
#include "sample_scene.h"

/* ---- Noise -------------------------------------------------------------------------------------------- */

static double lattice_value(int64_t x, int64_t y, int64_t z, uint32_t seed) {
    uint32_t h = seed ^ (uint32_t)x * UINT32_C(0x8da6b343) ^ (uint32_t)y * UINT32_C(0xd8163841) ^
                 (uint32_t)z * UINT32_C(0xcb1ab31f);
    h = (h ^ (h >> 16)) * UINT32_C(0x7feb352d);
    h = (h ^ (h >> 15)) * UINT32_C(0x846ca68b);
    return (double)(h ^ (h >> 16)) / 4294967295.0;
}

static double blend(double a, double b, double t) {
    return a + (b - a) * t;
}

static double noise_octave(vec3 p, uint32_t seed) {
    double fx = floor(p.x), fy = floor(p.y), fz = floor(p.z);
    int64_t x = (int64_t)fx, y = (int64_t)fy, z = (int64_t)fz;
    double tx = smooth_step(0, 1, p.x - fx), ty = smooth_step(0, 1, p.y - fy),
           tz = smooth_step(0, 1, p.z - fz);
    double planes[2];
    for (int k = 0; k < 2; k++)
        planes[k] = blend(
            blend(lattice_value(x, y, z + k, seed), lattice_value(x + 1, y, z + k, seed), tx),
            blend(lattice_value(x, y + 1, z + k, seed), lattice_value(x + 1, y + 1, z + k, seed), tx), ty);
    return blend(planes[0], planes[1], tz);
}

double sample_noise(vec3 point, uint32_t seed) {
    double sum = 0.0, weight = 0.5;
    for (uint32_t octave = 0; octave < 4; octave++) {
        sum += weight * noise_octave(point, seed + octave);
        point = vec3_scale(point, 2.03); /* not 2, so that the octaves' lattices do not coincide */
        weight *= 0.5;
    }
    return sum / 0.9375;
}

/* ---- Distances ---------------------------------------------------------------------------------------- */

static vec3 to_own(const sample_object *object, vec3 point) {
    vec3 p = vec3_sub(point, object->base);
    return (vec3){object->turn_cos * p.x + object->turn_sin * p.z, p.y,
                  object->turn_cos * p.z - object->turn_sin * p.x};
}

/* The radius of a vessel at height y: a Catmull-Rom curve through the profile's points. */
static double profile_radius(const sample_object *object, double y) {
    enum { LAST = SAMPLE_PROFILE_POINTS - 1 };
    double position = y / object->height * LAST;
    position = position < 0.0 ? 0.0 : position > LAST ? LAST : position;
    int i = (int)position;
    if (i > LAST - 1) i = LAST - 1;
    double t = position - i;
    const double *r = object->profile;
    double p1 = r[i], p2 = r[i + 1], p0 = i > 0 ? r[i - 1] : 2 * p1 - p2,
           p3 = i < LAST - 1 ? r[i + 2] : 2 * p2 - p1;
    return p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)));
}

static double max2(double a, double b) {
    return a > b ? a : b;
}

/* The outer solid minus the hollow, which is open at the top. */
static double vessel_distance(const sample_object *object, vec3 p) {
    double axis_distance = sqrt(p.x * p.x + p.z * p.z), radius = profile_radius(object, p.y);
    double outer = max2((axis_distance - radius) * object->steepness, max2(p.y - object->height, -p.y));
    double hollow = max2((axis_distance - radius + object->wall) * object->steepness, object->wall - p.y);
    return max2(outer, -hollow);
}

static double block_distance(const sample_object *object, vec3 p) {
    double half = object->height / 2, inner = object->rounding;
    double x = fabs(p.x) - object->radius + inner, y = fabs(p.y - half) - half + inner,
           z = fabs(p.z) - object->tube + inner;
    double outside = sqrt(max2(x, 0) * max2(x, 0) + max2(y, 0) * max2(y, 0) + max2(z, 0) * max2(z, 0));
    return outside + fmin(max2(x, max2(y, z)), 0.0) - inner;
}

static double ring_distance(const sample_object *object, vec3 p) {
    double around = sqrt(p.x * p.x + p.z * p.z) - (object->radius - object->tube), up = p.y - object->tube;
    return sqrt(around * around + up * up) - object->tube;
}

/* The largest signed distance to a gem's planes. *face is that plane's index plus one, 0 for the base. */
static double gem_distance(const sample_object *object, vec3 p, int *face) {
    double farthest = -p.y;
    *face = 0;
    for (int i = 0; i < object->planes; i++) {
        double distance = vec3_dot(p, object->normals[i]) - object->offsets[i];
        if (distance > farthest) {
            farthest = distance;
            *face = i + 1;
        }
    }
    return farthest;
}

double sample_object_distance(const sample_object *object, vec3 point) {
    vec3 p = to_own(object, point);
    int face;
    switch (object->kind) {
    case SAMPLE_VASE:
    case SAMPLE_BOWL:
        return vessel_distance(object, p);
    case SAMPLE_BLOCK:
        return block_distance(object, p);
    case SAMPLE_RING:
        return ring_distance(object, p);
    case SAMPLE_GEM:
        return gem_distance(object, p, &face);
    default:
        break;
    }
    vec3 middle = {p.x, p.y - object->radius, p.z};
    return sqrt(vec3_dot(middle, middle)) - object->radius;
}

/* ---- Parts and colours -------------------------------------------------------------------------------- */

enum { VESSEL_INSIDE = 1, VESSEL_BAND = 2 };

static int vessel_part(const sample_object *object, vec3 p) {
    double axis_distance = sqrt(p.x * p.x + p.z * p.z);
    if (p.y > 0.5 * object->wall && axis_distance < profile_radius(object, p.y) - 0.5 * object->wall)
        return VESSEL_INSIDE;
    return p.y > object->band_low && p.y < object->band_high ? VESSEL_BAND : 0;
}

/* The face with the nearest plane. */
static int block_part(const sample_object *object, vec3 p) {
    double half = object->height / 2;
    double x = fabs(p.x) - object->radius, y = fabs(p.y - half) - half, z = fabs(p.z) - object->tube;
    if (y >= x && y >= z) return 0;
    return x >= z ? (p.x > 0 ? 1 : 2) : (p.z > 0 ? 3 : 4);
}

/* Stripes from pole to pole. The axis is tilted towards the viewer. */
static int ball_part(const sample_object *object, vec3 p) {
    double y = p.y - object->radius, tilted_y = 0.8 * y - 0.6 * p.x, tilted_x = 0.6 * y + 0.8 * p.x;
    if (fabs(tilted_y) > 0.93 * object->radius) return 1;
    double turn = atan2(p.z, tilted_x) / 6.283185307179586 + 0.5;
    return 2 + (int)(turn * object->stripes) % object->stripes;
}

int sample_object_part(const sample_object *object, vec3 point) {
    vec3 p = to_own(object, point);
    int face = 0;
    switch (object->kind) {
    case SAMPLE_VASE:
    case SAMPLE_BOWL:
        return vessel_part(object, p);
    case SAMPLE_BLOCK:
        return block_part(object, p);
    case SAMPLE_GEM:
        gem_distance(object, p, &face);
        return face;
    case SAMPLE_BALL:
        return ball_part(object, p);
    default:
        return 0;
    }
}

static bool has_second_color(const sample_object *object, int part) {
    if (object->kind == SAMPLE_BALL) return part % 2 == 1;
    return (object->kind == SAMPLE_VASE || object->kind == SAMPLE_BOWL) && part != 0;
}

/* Lines along the grain, as of a trunk that was cut lengthwise. */
static double wood(const sample_object *object, vec3 p) {
    double bend = sample_noise(vec3_scale(p, 2.0), object->texture);
    double rings = sin(40.0 * (p.y + 0.25 * p.z) + 14.0 * bend);
    return 0.82 + 0.12 * rings +
           0.25 * (sample_noise((vec3){p.x * 6, p.y * 60, p.z * 60}, object->texture) - 0.5);
}

vec3 sample_object_color(const sample_object *object, vec3 point, int part) {
    vec3 p = to_own(object, point);
    vec3 color = has_second_color(object, part) ? object->second_color : object->color;
    if (object->kind == SAMPLE_BLOCK) return vec3_scale(color, wood(object, p));
    double cloud = sample_noise(vec3_scale(p, 3.0), object->texture);
    double speckle = sample_noise(vec3_scale(p, 45.0), object->texture + 99);
    double dull = 1.0 - object->gloss;
    return vec3_scale(color, 0.86 + 0.28 * cloud - dull * 0.35 * smooth_step(0.60, 0.72, speckle));
}

/* ---- Composition -------------------------------------------------------------------------------------- */

static double uniform(sample_random *random, double low, double high) {
    return low + (high - low) * p2p_draw_uniform(&random->draw, random->next++);
}

static int uniform_int(sample_random *random, int low, int high) {
    return low + (int)p2p_draw_below(&random->draw, random->next++, (uint32_t)(high - low + 1));
}

/* Choose one of the profiles and vary it. Profiles are in units of the radius, from the foot to the rim. */
static void shape_vessel(sample_object *object, sample_random *random) {
    static const double vases[][SAMPLE_PROFILE_POINTS] = {{0.45, 0.80, 1.00, 0.92, 0.55, 0.34, 0.45},
                                                          {0.40, 0.48, 0.66, 0.92, 1.00, 0.68, 0.60},
                                                          {0.60, 0.98, 1.00, 0.60, 0.32, 0.29, 0.42},
                                                          {0.62, 0.50, 0.50, 0.62, 0.80, 0.95, 1.00}};
    static const double bowls[][SAMPLE_PROFILE_POINTS] = {{0.42, 0.66, 0.80, 0.89, 0.95, 0.98, 1.00},
                                                          {0.50, 0.42, 0.62, 0.80, 0.90, 0.97, 1.00},
                                                          {0.72, 0.82, 0.88, 0.92, 0.95, 0.98, 1.00}};
    bool bowl = object->kind == SAMPLE_BOWL;
    const double *habit = bowl ? bowls[uniform_int(random, 0, 2)] : vases[uniform_int(random, 0, 3)];
    double steepest = 0.0, widest = 0.0;
    for (int i = 0; i < SAMPLE_PROFILE_POINTS; i++) {
        object->profile[i] = object->radius * habit[i] * uniform(random, 0.92, 1.0);
        widest = max2(widest, object->profile[i]);
    }
    enum { STEPS = 60 };
    for (int i = 0; i < STEPS; i++) { /* sample the curve, because it may overshoot its points */
        double y = object->height * i / STEPS, step = object->height / STEPS;
        double here = profile_radius(object, y), above = profile_radius(object, y + step);
        steepest = max2(steepest, fabs(above - here) / step);
        widest = max2(widest, here);
    }
    object->radius = widest;
    object->steepness = 1.0 / sqrt(1.0 + 1.2 * steepest * steepest);
    object->wall = (bowl ? 0.07 : 0.06) * (0.5 + object->radius);
    double middle = object->height * uniform(random, 0.45, 0.7);
    double half = object->height * uniform(random, 0.04, 0.10);
    object->band_low = middle - half;
    object->band_high = middle + half;
}

static void add_plane(sample_object *object, vec3 normal, double offset) {
    object->normals[object->planes] = normal;
    object->offsets[object->planes++] = offset;
}

/* A prism with five to seven sides that narrows towards a flat top, with a bevel around the top. */
static void shape_gem(sample_object *object, sample_random *random) {
    int sides = uniform_int(random, 5, 7);
    double lean = uniform(random, 0.05, 0.3), bevel = uniform(random, 0.8, 1.2);
    double inner = object->radius * 0.86;
    double shoulder = object->height * uniform(random, 0.5, 0.68);
    for (int i = 0; i < sides; i++) {
        double angle = 6.283185307179586 * i / sides;
        vec3 out = {cos(angle), 0.0, sin(angle)};
        vec3 side = vec3_unit((vec3){out.x, lean, out.z}), slope = vec3_unit((vec3){out.x, bevel, out.z});
        add_plane(object, side, vec3_dot(side, vec3_scale(out, inner)));
        vec3 edge = vec3_scale(out, inner - lean * shoulder);
        edge.y = shoulder;
        add_plane(object, slope, vec3_dot(slope, edge));
    }
    add_plane(object, (vec3){0, 1, 0}, object->height);
}

/* Choose sizes. `scale` is about 1 for a picture's main object. */
static void shape_object(sample_object *object, double scale, sample_random *random) {
    double r = uniform(random, 0, 1);
    switch (object->kind) {
    case SAMPLE_VASE:
        object->height = scale * (1.35 + 0.45 * r);
        object->radius = scale * uniform(random, 0.42, 0.62);
        shape_vessel(object, random);
        break;
    case SAMPLE_BOWL:
        object->height = scale * (0.55 + 0.25 * r);
        object->radius = scale * uniform(random, 0.68, 0.88);
        shape_vessel(object, random);
        break;
    case SAMPLE_BLOCK:
        object->height = scale * (0.6 + 0.75 * r);
        object->radius = scale * uniform(random, 0.40, 0.62);
        object->tube = scale * uniform(random, 0.40, 0.62);
        object->rounding = 0.05 * scale;
        break;
    case SAMPLE_RING:
        object->tube = scale * (0.20 + 0.10 * r);
        object->height = 2 * object->tube;
        object->radius = scale * uniform(random, 0.72, 0.90);
        break;
    case SAMPLE_GEM:
        object->height = scale * (0.85 + 0.55 * r);
        object->radius = scale * uniform(random, 0.55, 0.72);
        shape_gem(object, random);
        break;
    default:
        object->radius = scale * (0.55 + 0.20 * r);
        object->height = 2 * object->radius;
        object->stripes = 2 * uniform_int(random, 3, 5);
    }
    double wide = object->kind == SAMPLE_BLOCK || object->kind == SAMPLE_GEM
                      ? 1.45 * max2(object->radius, object->tube)
                      : object->radius;
    object->bound = sqrt(wide * wide + 0.25 * object->height * object->height) + 0.02;
}

/* The kind determines the colours, up to small variations, so that they can be inferred from an outline. */
static void color_object(sample_object *object, sample_random *random) {
    static const struct {
        vec3 color, second_color;
        double gloss;
    } materials[SAMPLE_KINDS] = {
        [SAMPLE_VASE] = {{0.52, 0.13, 0.045}, {0.78, 0.56, 0.28}, 0.45},
        [SAMPLE_BOWL] = {{0.025, 0.11, 0.42}, {0.72, 0.78, 0.82}, 0.9},
        [SAMPLE_BLOCK] = {{0.56, 0.31, 0.10}, {0, 0, 0}, 0.15},
        [SAMPLE_RING] = {{0.78, 0.40, 0.02}, {0, 0, 0}, 0.8},
        [SAMPLE_GEM] = {{0.012, 0.24, 0.14}, {0, 0, 0}, 1.0},
        [SAMPLE_BALL] = {{0.52, 0.018, 0.03}, {0.82, 0.79, 0.72}, 0.7},
    };
    double light = uniform(random, 0.88, 1.1), warm = uniform(random, -0.06, 0.06);
    vec3 shift = {light * (1 + warm), light, light * (1 - warm)};
    object->color = vec3_mul(materials[object->kind].color, shift);
    object->second_color = vec3_mul(materials[object->kind].second_color, shift);
    object->gloss = materials[object->kind].gloss;
    object->texture = (uint32_t)uniform_int(random, 0, 1 << 30);
}

static bool collides(const sample_scene *scene, const sample_object *object) {
    for (int i = 0; i < scene->count; i++) {
        const sample_object *other = &scene->objects[i];
        double dx = other->base.x - object->base.x, dz = other->base.z - object->base.z;
        double reach = other->radius + object->radius;
        double wide = max2(other->tube, object->tube); /* corners of blocks exceed the radius */
        if (sqrt(dx * dx + dz * dz) < reach * 1.05 + 0.4 * wide) return true;
    }
    return false;
}

/* Add one object at a random place without a collision. The scene stays unchanged if none is found. */
static void place_object(sample_scene *scene, double scale, sample_random *random) {
    sample_object object = {.kind = (sample_kind)uniform_int(random, 0, SAMPLE_KINDS - 1)};
    double turn = uniform(random, 0, 6.283185307179586);
    object.turn_cos = cos(turn);
    object.turn_sin = sin(turn);
    shape_object(&object, scale, random);
    color_object(&object, random);
    bool first = scene->count == 0;
    for (int attempt = 0; attempt < 20; attempt++) {
        double reach = first ? 0.35 : 1.12;
        object.base = (vec3){uniform(random, -reach, reach), 0.0,
                             uniform(random, first ? -0.3 : -0.9, first ? 0.3 : 0.9)};
        if (collides(scene, &object)) continue;
        scene->objects[scene->count++] = object;
        return;
    }
}

void sample_scene_compose(sample_scene *scene, sample_random *random) {
    *scene = (sample_scene){.grain = (uint32_t)uniform_int(random, 0, 1 << 30)};
    double warm = uniform(random, -0.05, 0.05), light = uniform(random, 0.9, 1.1);
    scene->table = vec3_scale((vec3){0.50 + warm, 0.47, 0.44 - warm}, light);
    scene->wall = vec3_scale((vec3){0.36 + warm, 0.40, 0.45 - warm}, light);
    place_object(scene, uniform(random, 0.85, 1.1), random);
    int more = uniform_int(random, 0, SAMPLE_MAX_OBJECTS - 1);
    for (int i = 0; i < more; i++) place_object(scene, uniform(random, 0.42, 0.62), random);
}
