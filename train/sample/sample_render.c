/* Sphere tracing: a ray advances by the distance functions of the objects whose bounding spheres it
 * intersects. See sample_render.h. An outline is drawn between adjacent rays that hit different objects or
 * parts, or whose distances differ much.
 *
 * The light is a large lamp at the upper left with a soft shadow, ambient light from above, and light that
 * the table reflects from below. Glazed surfaces reflect the lamp and a horizon. */
#include "sample_render.h"

#include <stdlib.h>
#include <string.h>

enum {
    RAYS = 2, /* per pixel and side */
    MAX_STEPS = 90,
    RGB = 3, /* bytes of a pixel */
    NOTHING = -1
};

static const double FAR = 1e9, TOUCH = 6e-4;
static const vec3 EYE = {0.0, 2.05, 5.2}, LOOKED_AT = {0.0, 0.62, 0.0};
static const double HALF_VIEW = 0.275; /* tangent of half the viewing angle */

typedef struct {
    vec3 origin, direction;
} ray;

typedef struct {
    int object; /* index in the scene; NOTHING: the table or the wall */
    int part;
    double distance;
    vec3 point;
} hit;

/* The hit of one ray, as far as the outline needs it. */
typedef struct {
    int16_t object, part;
    float distance;
} sight;

static vec3 light_direction(void) {
    return vec3_unit((vec3){-0.62, 1.0, 0.55});
}

static vec3 along(const ray *beam, double distance) {
    return vec3_add(beam->origin, vec3_scale(beam->direction, distance));
}

/* ---- Rays --------------------------------------------------------------------------------------------- */

/* The distances at which the ray enters and leaves the object's bounding sphere, widened by `margin`. False
 * if it does not intersect the sphere. */
static bool cross_bound(const sample_object *object, const ray *beam, double margin, double *enter,
                        double *leave) {
    vec3 middle = vec3_add(object->base, (vec3){0, object->height / 2, 0});
    vec3 offset = vec3_sub(beam->origin, middle);
    double reach = object->bound + margin, half = vec3_dot(offset, beam->direction);
    double root = half * half - vec3_dot(offset, offset) + reach * reach;
    if (root <= 0.0 || -half + sqrt(root) <= 0.0) return false;
    *enter = -half - sqrt(root) > 0.0 ? -half - sqrt(root) : 0.0;
    *leave = -half + sqrt(root);
    return true;
}

static double march(const sample_object *object, const ray *beam) {
    double distance, leave;
    if (!cross_bound(object, beam, 0.0, &distance, &leave)) return FAR;
    for (int step = 0; step < MAX_STEPS && distance < leave; step++) {
        double gap = sample_object_distance(object, along(beam, distance));
        if (gap < TOUCH) return distance;
        distance += gap;
    }
    return FAR;
}

static hit trace(const sample_scene *scene, const ray *beam) {
    hit found = {.object = NOTHING, .distance = FAR};
    if (beam->direction.y < 0.0) found.distance = -beam->origin.y / beam->direction.y;
    for (int i = 0; i < scene->count; i++) {
        double distance = march(&scene->objects[i], beam);
        if (distance >= found.distance) continue;
        found.distance = distance;
        found.object = i;
    }
    found.point = along(beam, found.distance);
    if (found.object != NOTHING) found.part = sample_object_part(&scene->objects[found.object], found.point);
    return found;
}

/* 1 in full light, 0 in the umbra: the smallest angle between objects and the ray to the lamp, relative to
 * the lamp's angular size. */
static double lamp_visibility(const sample_scene *scene, vec3 point, vec3 to_lamp) {
    static const double SHARPNESS = 7.0, MARGIN = 0.35;
    double visible = 1.0;
    ray beam = {point, to_lamp};
    for (int i = 0; i < scene->count; i++) {
        double distance, leave;
        if (!cross_bound(&scene->objects[i], &beam, MARGIN, &distance, &leave)) continue;
        if (distance < 0.02) distance = 0.02;
        for (int step = 0; step < 40 && distance < leave; step++) {
            double gap = sample_object_distance(&scene->objects[i], along(&beam, distance));
            visible = fmin(visible, 0.5 + 0.5 * SHARPNESS * gap / distance);
            if (visible <= 0.0) return 0.0;
            distance += fmax(fabs(gap), 0.015);
        }
    }
    return smooth_step(0.0, 1.0, visible);
}

/* Ambient occlusion: 1 if nothing is near, less in corners. Samples points above the surface whose distance
 * to the nearest object is smaller than that to the surface. */
static double openness(const sample_scene *scene, vec3 point, vec3 normal) {
    double hidden = 0.0;
    for (int i = 1; i <= 4; i++) {
        double height = 0.09 * i;
        vec3 above = vec3_add(point, vec3_scale(normal, height));
        double nearest = fmin(height, above.y);
        for (int k = 0; k < scene->count; k++)
            nearest = fmin(nearest, sample_object_distance(&scene->objects[k], above));
        hidden += (height - nearest) / (i * 0.36);
    }
    return fmax(0.0, 1.0 - 0.9 * hidden);
}

static vec3 surface_normal(const sample_object *object, vec3 p) {
    const double e = 1e-3;
    return vec3_unit((vec3){sample_object_distance(object, (vec3){p.x + e, p.y, p.z}) -
                                sample_object_distance(object, (vec3){p.x - e, p.y, p.z}),
                            sample_object_distance(object, (vec3){p.x, p.y + e, p.z}) -
                                sample_object_distance(object, (vec3){p.x, p.y - e, p.z}),
                            sample_object_distance(object, (vec3){p.x, p.y, p.z + e}) -
                                sample_object_distance(object, (vec3){p.x, p.y, p.z - e})});
}

/* ---- Light -------------------------------------------------------------------------------------------- */

/* The environment that glazed surfaces reflect: table below, wall around, a square lamp with soft edges. */
static vec3 room(const sample_scene *scene, vec3 direction) {
    vec3 around = vec3_mix(vec3_scale(scene->table, 0.55), vec3_scale(scene->wall, 1.1),
                           smooth_step(-0.15, 0.2, direction.y));
    vec3 lamp = light_direction();
    vec3 right = vec3_unit(vec3_cross((vec3){0, 1, 0}, lamp)), up = vec3_cross(lamp, right);
    double facing = vec3_dot(direction, lamp);
    double x = fabs(vec3_dot(direction, right)), y = fabs(vec3_dot(direction, up));
    double square = facing > 0.0 ? smooth_step(0.26, 0.17, x) * smooth_step(0.30, 0.21, y) : 0.0;
    return vec3_add(around, vec3_scale((vec3){1.0, 0.97, 0.92}, 3.2 * square));
}

/* The diffuse light on a surface with the given normal. */
static vec3 lighting(const sample_scene *scene, vec3 point, vec3 normal) {
    vec3 lamp = light_direction(), lifted = vec3_add(point, vec3_scale(normal, 0.012));
    double facing = fmax(0.0, vec3_dot(normal, lamp));
    double direct = facing > 0.0 ? facing * lamp_visibility(scene, lifted, lamp) : 0.0;
    double open = openness(scene, point, normal);
    vec3 above = vec3_scale((vec3){0.36, 0.40, 0.47}, open * (0.55 + 0.45 * normal.y));
    vec3 below = vec3_scale(scene->table, open * 0.40 * (0.5 - 0.5 * normal.y));
    return vec3_add(vec3_scale((vec3){1.50, 1.40, 1.22}, direct), vec3_add(above, below));
}

static vec3 shade_object(const sample_scene *scene, const ray *beam, const hit *seen) {
    const sample_object *object = &scene->objects[seen->object];
    vec3 normal = surface_normal(object, seen->point);
    vec3 color =
        vec3_mul(sample_object_color(object, seen->point, seen->part), lighting(scene, seen->point, normal));
    double facing = -vec3_dot(beam->direction, normal);
    vec3 mirrored = vec3_add(beam->direction, vec3_scale(normal, 2 * facing));
    double grazing = pow(1.0 - fmin(1.0, fmax(0.0, facing)), 5.0);
    double share = object->gloss * (0.07 + 0.6 * grazing) * openness(scene, seen->point, normal);
    return vec3_mix(color, room(scene, mirrored), share);
}

/* The table in front and the wall behind, blended without an edge. */
static vec3 shade_background(const sample_scene *scene, const ray *beam, const hit *seen) {
    vec3 wall = vec3_scale(scene->wall, 0.75 + 0.9 * beam->direction.y + 0.12 * beam->direction.x);
    if (seen->distance > 20.0) return wall;
    double fiber = sample_noise(vec3_scale(seen->point, 14.0), scene->grain);
    double cloud = sample_noise(vec3_scale(seen->point, 0.9), scene->grain + 7);
    vec3 paper = vec3_scale(scene->table, 0.88 + 0.10 * fiber + 0.14 * cloud);
    vec3 lit = vec3_mul(paper, lighting(scene, seen->point, (vec3){0, 1, 0}));
    return vec3_mix(lit, wall, smooth_step(5.5, 11.0, seen->distance));
}

static vec3 shade(const sample_scene *scene, const ray *beam, const hit *seen) {
    return seen->object == NOTHING ? shade_background(scene, beam, seen) : shade_object(scene, beam, seen);
}

/* ---- The picture -------------------------------------------------------------------------------------- */

/* The camera's ray through x, y in [-1, 1], relative to the centre of the picture. */
static ray ray_through(double x, double y) {
    vec3 forward = vec3_unit(vec3_sub(LOOKED_AT, EYE));
    vec3 right = vec3_unit(vec3_cross(forward, (vec3){0, 1, 0})), up = vec3_cross(right, forward);
    vec3 aside = vec3_add(vec3_scale(right, x * HALF_VIEW), vec3_scale(up, y * HALF_VIEW));
    return (ray){EYE, vec3_unit(vec3_add(forward, aside))};
}

/* Linear light as an sRGB byte, with compressed highlights. */
static uint8_t develop(double light) {
    double exposed = 1.0 - exp(-1.25 * fmax(0.0, light));
    double encoded = exposed <= 0.0031308 ? 12.92 * exposed : 1.055 * pow(exposed, 1 / 2.4) - 0.055;
    return (uint8_t)(255.0 * fmin(1.0, encoded) + 0.5);
}

static void render_pixel(const sample_scene *scene, int size, int px, int py, sight *sights, uint8_t *pixel) {
    vec3 sum = {0, 0, 0};
    for (int j = 0; j < RAYS; j++)
        for (int i = 0; i < RAYS; i++) {
            int column = px * RAYS + i, row = py * RAYS + j, side = size * RAYS;
            double x = (2.0 * column + 1.0) / side - 1.0, y = 1.0 - (2.0 * row + 1.0) / side;
            ray beam = ray_through(x, y);
            hit seen = trace(scene, &beam);
            vec3 light = vec3_scale(shade(scene, &beam, &seen), 1.0 - 0.12 * (x * x + y * y));
            sum = vec3_add(sum, light);
            sights[(size_t)row * (size_t)side + (size_t)column] =
                (sight){(int16_t)seen.object, (int16_t)seen.part, (float)seen.distance};
        }
    sum = vec3_scale(sum, 1.0 / (RAYS * RAYS));
    pixel[0] = develop(sum.x);
    pixel[1] = develop(sum.y);
    pixel[2] = develop(sum.z);
}

/* ---- Outlines ----------------------------------------------------------------------------------------- */

static bool differs(const sight *a, const sight *b) {
    if (a->object != b->object || a->part != b->part) return true;
    return a->object != NOTHING && fabsf(a->distance - b->distance) > 0.12f;
}

/* The distance from a ray to the nearest marked ray, in rays; above `reach` if there is none that near. */
static double nearest_edge(const uint8_t *marks, int side, int column, int row, int reach) {
    int nearest = (reach + 1) * (reach + 1) * 2;
    for (int dy = -reach; dy <= reach; dy++)
        for (int dx = -reach; dx <= reach; dx++) {
            int x = column + dx, y = row + dy;
            if (x < 0 || y < 0 || x >= side || y >= side) continue;
            int square = dx * dx + dy * dy;
            if (square < nearest && marks[(size_t)y * (size_t)side + (size_t)x]) nearest = square;
        }
    return sqrt(nearest);
}

static void mark_edges(const sight *sights, int side, uint8_t *marks) {
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            const sight *here = &sights[(size_t)y * (size_t)side + (size_t)x];
            bool edge =
                (x + 1 < side && differs(here, here + 1)) || (y + 1 < side && differs(here, here + side));
            marks[(size_t)y * (size_t)side + (size_t)x] = edge;
        }
}

/* Lines about 1.3 pixels wide at a size of 256, evaluated per ray and averaged per pixel. */
static void draw_outlines(const uint8_t *marks, int size, image *pair) {
    int side = size * RAYS;
    double half = fmax(0.7, 0.65 * size / 256) * RAYS;
    int reach = (int)ceil(half + 1.0);
    for (int py = 0; py < size; py++)
        for (int px = 0; px < size; px++) {
            double ink = 0.0;
            for (int k = 0; k < RAYS * RAYS; k++) {
                double away = nearest_edge(marks, side, px * RAYS + k % RAYS, py * RAYS + k / RAYS, reach);
                ink += smooth_step(half + 0.8, half - 0.8, away);
            }
            uint8_t value = (uint8_t)(255.0 * (1.0 - ink / (RAYS * RAYS)) + 0.5);
            size_t pixel = (size_t)py * 2 * (size_t)size + (size_t)px;
            memset((uint8_t *)pair->pixels + pixel * RGB, value, RGB);
        }
}

p2p_status sample_render_pair(const sample_scene *scene, int size, image *pair) {
    P2P_TRY(image_create(pair, 2 * size, size, IMAGE_RGB8));
    size_t side = (size_t)size * RAYS;
    sight *sights = calloc(side * side, sizeof *sights);
    uint8_t *marks = malloc(side * side);
    p2p_status status = P2P_OK;
    if (sights == NULL || marks == NULL) {
        status = p2p_fail(P2P_OUT_OF_MEMORY, "no memory for drawing %d x %d pixels", size, size);
        image_free(pair);
    } else {
        for (int y = 0; y < size; y++)
            for (int x = 0; x < size; x++) {
                size_t pixel = (size_t)y * 2 * (size_t)size + (size_t)(size + x);
                render_pixel(scene, size, x, y, sights, (uint8_t *)pair->pixels + pixel * RGB);
            }
        mark_edges(sights, (int)side, marks);
        draw_outlines(marks, size, pair);
    }
    free(sights);
    free(marks);
    return status;
}
