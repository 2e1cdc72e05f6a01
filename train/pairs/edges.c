/* See edges.h. A plane has a float for each pixel. The map has a byte for each, and becomes the result. */
#include "edges.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    COLOURS = 3,
    MOST_REACH = 3 * (int)EDGES_MOST_SMOOTHING, /* of the Gaussian, to each side */
    MOST_TAPS = 2 * MOST_REACH + 1,
    PLANES = 5,
    BINS = 4096, /* of the histogram of gradients */
    AROUND = 8   /* neighbours of a pixel */
};

/* Values of the map. */
enum { NOTHING, WEAK, LINE, SEEN };

static const float STEEPEST = 181, /* above every gradient: 127.5 along each axis */
    FLATTEST = 0.5,                /* smaller gradients are rounding errors of the samples */
    LOW = 0.4F;                    /* the low threshold as a share of the high one */

typedef struct {
    int width, height;
    size_t pixels;
    image rgb;
    float *planes;                    /* all planes; owned */
    float *rows, *smooth;             /* a colour, smoothed along rows; along columns too */
    float *across, *down, *steepness; /* the gradient to the right and downwards, and its length */
    float *border;                    /* a row that continues on both sides; owned */
    uint8_t *map;                     /* belongs to the result */
    int32_t *queue;                   /* places of pixels, in the memory of `rows` */
} edge_work;

static int clamp(int value, int most) {
    return value < 0 ? 0 : value > most ? most : value;
}

static size_t place(const edge_work *work, int x, int y) {
    return (size_t)y * (size_t)work->width + (size_t)x;
}

/* ---- Smoothing ---------------------------------------------------------------------------------------- */

typedef struct {
    int reach; /* taps -reach to reach */
    float taps[MOST_TAPS];
} gaussian;

static gaussian gaussian_of(double deviation) {
    gaussian filter = {.reach = (int)ceil(3 * deviation)};
    double weights[MOST_TAPS] = {0}, sum = 0;
    for (int i = -filter.reach; i <= filter.reach; i++)
        sum += weights[i + filter.reach] = exp(-i * i / (2 * deviation * deviation));
    for (int i = 0; i <= 2 * filter.reach; i++) filter.taps[i] = (float)(weights[i] / sum);
    return filter;
}

/* Beyond the border the outermost pixel is repeated. */
static void smooth_row(const edge_work *work, const gaussian *filter, int colour, int y) {
    const uint8_t *row = (const uint8_t *)work->rgb.pixels + place(work, 0, y) * COLOURS + colour;
    float *to = work->rows + place(work, 0, y);
    for (int x = 0; x < work->width + 2 * filter->reach; x++)
        work->border[x] = row[clamp(x - filter->reach, work->width - 1) * COLOURS];
    memset(to, 0, (size_t)work->width * sizeof *to);
    for (int i = 0; i <= 2 * filter->reach; i++)
        for (int x = 0; x < work->width; x++) to[x] += filter->taps[i] * work->border[x + i];
}

static void smooth_columns(const edge_work *work, const gaussian *filter, int y) {
    float *to = work->smooth + place(work, 0, y);
    memset(to, 0, (size_t)work->width * sizeof *to);
    for (int i = -filter->reach; i <= filter->reach; i++) {
        const float *from = work->rows + place(work, 0, clamp(y + i, work->height - 1));
        const float tap = filter->taps[i + filter->reach];
        for (int x = 0; x < work->width; x++) to[x] += tap * from[x];
    }
}

/* ---- Gradients ---------------------------------------------------------------------------------------- */

/* Replace the gradients of a row where those of this colour are steeper. */
static void add_gradients(const edge_work *work, int y) {
    const float *row = work->smooth + place(work, 0, y);
    const float *above = work->smooth + place(work, 0, clamp(y - 1, work->height - 1));
    const float *below = work->smooth + place(work, 0, clamp(y + 1, work->height - 1));
    for (int x = 0; x < work->width; x++) {
        const float dx = (row[clamp(x + 1, work->width - 1)] - row[clamp(x - 1, work->width - 1)]) / 2;
        const float dy = (below[x] - above[x]) / 2, steepness = sqrtf(dx * dx + dy * dy);
        const size_t at = place(work, x, y);
        if (steepness <= work->steepness[at]) continue;
        work->across[at] = dx;
        work->down[at] = dy;
        work->steepness[at] = steepness;
    }
}

static void compute_gradients(const edge_work *work, const gaussian *filter) {
    memset(work->steepness, 0, work->pixels * sizeof *work->steepness);
    for (int colour = 0; colour < COLOURS; colour++) {
        for (int y = 0; y < work->height; y++) smooth_row(work, filter, colour, y);
        for (int y = 0; y < work->height; y++) smooth_columns(work, filter, y);
        for (int y = 0; y < work->height; y++) add_gradients(work, y);
    }
}

/* ---- Maxima ------------------------------------------------------------------------------------------- */

static float between(float a, float b, float share) {
    return a + (b - a) * share;
}

/* The steepness at a place between pixels. */
static float steepness_at(const edge_work *work, float x, float y) {
    const int left = (int)floorf(x), top = (int)floorf(y);
    const int x0 = clamp(left, work->width - 1), x1 = clamp(left + 1, work->width - 1);
    const float *above = work->steepness + place(work, 0, clamp(top, work->height - 1));
    const float *below = work->steepness + place(work, 0, clamp(top + 1, work->height - 1));
    const float share = x - (float)left;
    return between(between(above[x0], above[x1], share), between(below[x0], below[x1], share),
                   y - (float)top);
}

/* Whether the steepness has a maximum here along the gradient: it is smaller one pixel away, in both
 * directions. Of two equal pixels the first against the gradient counts. */
static bool is_maximum(const edge_work *work, int x, int y) {
    const size_t at = place(work, x, y);
    const float steepness = work->steepness[at];
    if (steepness < FLATTEST) return false;
    const float dx = work->across[at] / steepness, dy = work->down[at] / steepness;
    return steepness >= steepness_at(work, (float)x + dx, (float)y + dy) &&
           steepness > steepness_at(work, (float)x - dx, (float)y - dy);
}

static void mark_maxima(const edge_work *work) {
    for (int y = 0; y < work->height; y++)
        for (int x = 0; x < work->width; x++)
            work->map[place(work, x, y)] = is_maximum(work, x, y) ? WEAK : NOTHING;
}

/* The steepness that this share of the maxima exceeds. */
static float high_threshold(const edge_work *work, double share) {
    int64_t histogram[BINS] = {0}, maxima = 0, above = 0;
    for (size_t i = 0; i < work->pixels; i++) {
        if (work->map[i] == NOTHING) continue;
        histogram[(int)(work->steepness[i] / STEEPEST * BINS)]++;
        maxima++;
    }
    int bin = BINS;
    while (bin > 0 && (double)above < share * (double)maxima) above += histogram[--bin];
    return (float)bin * STEEPEST / BINS;
}

/* ---- Lines -------------------------------------------------------------------------------------------- */

/* The neighbours of a pixel, counter-clockwise from the right one. */
static const int step_x[AROUND] = {1, 1, 0, -1, -1, -1, 0, 1}, step_y[AROUND] = {0, -1, -1, -1, 0, 1, 1, 1};

static uint8_t *neighbour(const edge_work *work, int32_t at, int i) {
    const int x = at % work->width + step_x[i], y = at / work->width + step_y[i];
    return x < 0 || y < 0 || x >= work->width || y >= work->height ? NULL : work->map + place(work, x, y);
}

/* Give the connected pixels of value `from` that include `start` the value `to`. Their places are on the
 * queue afterwards. Returns their number. */
static size_t fill(const edge_work *work, size_t start, uint8_t from, uint8_t to) {
    size_t count = 1;
    work->queue[0] = (int32_t)start;
    work->map[start] = to;
    for (size_t done = 0; done < count; done++)
        for (int i = 0; i < AROUND; i++) {
            uint8_t *next = neighbour(work, work->queue[done], i);
            if (!next || *next != from) continue;
            *next = to;
            work->queue[count++] = (int32_t)(next - work->map);
        }
    return count;
}

/* Make lines of the maxima above `high`, and of those above `low` that are connected to them. */
static void connect(const edge_work *work, float high, float low) {
    for (size_t i = 0; i < work->pixels; i++)
        if (work->steepness[i] < low) work->map[i] = NOTHING;
    for (size_t i = 0; i < work->pixels; i++)
        if (work->map[i] == WEAK && work->steepness[i] >= high) fill(work, i, WEAK, LINE);
    for (size_t i = 0; i < work->pixels; i++)
        if (work->map[i] == WEAK) work->map[i] = NOTHING;
}

/* Whether a pixel of a line can go: it is not an end, and its neighbours stay connected without it (the
 * connectivity number of Yokoi is 1). */
static bool is_spare(const edge_work *work, size_t at) {
    int empty[AROUND + 2], neighbours = 0, connectivity = 0;
    for (int i = 0; i < AROUND; i++) {
        const uint8_t *next = neighbour(work, (int32_t)at, i);
        empty[i] = !next || *next != LINE;
        neighbours += !empty[i];
    }
    empty[AROUND] = empty[0];
    for (int i = 0; i < AROUND; i += 2) connectivity += empty[i] - empty[i] * empty[i + 1] * empty[i + 2];
    return neighbours > 1 && connectivity == 1;
}

static void thin(const edge_work *work) {
    for (size_t i = 0; i < work->pixels; i++)
        if (work->map[i] == LINE && is_spare(work, i)) work->map[i] = NOTHING;
}

static void remove_short(const edge_work *work, int shortest) {
    for (size_t i = 0; i < work->pixels; i++) {
        if (work->map[i] != LINE) continue;
        const size_t count = fill(work, i, LINE, SEEN);
        for (size_t k = 0; k < count && count < (size_t)shortest; k++) work->map[work->queue[k]] = NOTHING;
    }
}

static void paint(const edge_work *work) {
    for (size_t i = 0; i < work->pixels; i++) work->map[i] = work->map[i] == NOTHING ? UINT8_MAX : 0;
}

/* ---- All of it ---------------------------------------------------------------------------------------- */

static p2p_status allocate(edge_work *work, const gaussian *filter) {
    work->planes = malloc(PLANES * work->pixels * sizeof *work->planes);
    work->border = malloc(((size_t)work->width + 2 * (size_t)filter->reach) * sizeof *work->border);
    if (!work->planes || !work->border)
        return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the lines of %d x %d pixels", work->width,
                        work->height);
    float **const planes[PLANES] = {&work->rows, &work->smooth, &work->across, &work->down, &work->steepness};
    for (size_t i = 0; i < PLANES; i++) *planes[i] = work->planes + i * work->pixels;
    work->queue = (void *)work->rows;
    return P2P_OK;
}

static p2p_status draw(edge_work *work, const edges_options *options) {
    const gaussian filter = gaussian_of(options->smoothing);
    P2P_TRY(allocate(work, &filter));
    compute_gradients(work, &filter);
    mark_maxima(work);
    const float high = high_threshold(work, options->detail);
    connect(work, high, LOW * high);
    thin(work);
    remove_short(work, options->shortest);
    paint(work);
    return P2P_OK;
}

static p2p_status check(const edges_options *options) {
    const bool fits = options->smoothing >= EDGES_LEAST_SMOOTHING &&
                      options->smoothing <= EDGES_MOST_SMOOTHING && options->detail >= 0 &&
                      options->detail <= 1 && options->shortest >= 0;
    return fits ? P2P_OK : p2p_fail(P2P_INVALID, "the options of lines are out of range");
}

p2p_status edges_draw(image_view photo, const edges_options *options, image *lines) {
    edge_work work = {
        .width = photo.width, .height = photo.height, .pixels = (size_t)photo.width * (size_t)photo.height};
    *lines = (image){0};
    P2P_TRY(check(options));
    p2p_status status = image_convert(photo, IMAGE_RGB8, &work.rgb);
    if (status == P2P_OK)
        status = image_create(lines, photo.width, photo.height, (image_format){.channels = 1, .bits = 8});
    work.map = lines->pixels;
    if (status == P2P_OK) status = draw(&work, options);
    if (status != P2P_OK) image_free(lines);
    image_free(&work.rgb);
    free(work.planes);
    free(work.border);
    return status;
}

uint64_t edges_bytes(int width, int height) {
    const uint64_t pixel = PLANES * sizeof(float) + COLOURS + 1;
    const uint64_t row = (uint64_t)width + 2 * MOST_REACH;
    return pixel * (uint64_t)width * (uint64_t)height + row * sizeof(float);
}
