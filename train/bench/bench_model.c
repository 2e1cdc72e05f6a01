/* See bench_model.h. */
#include "bench_model.h"

#include <math.h>
#include <stddef.h>

/* ---- Links -------------------------------------------------------------------------------------------- */

/* One direction, without protocol. NVLink 4: 18 links of 25 GB/s per device (NVIDIA, "H100 Tensor Core GPU
 * architecture"). PCIe 4.0: 16 lanes of 16 GT/s in 128b/130b. Hops: NCCL's table of a ring's latencies
 * (src/graph/tuning.cc, protocol Simple). */
#define NVLINK                                                                                               \
    { "NVLink", 450e9, 3.4e-6 }
#define PCIE                                                                                                 \
    { "PCIe", 31.5e9, 5.7e-6 }
#define ETHERNET(gigabits)                                                                                   \
    { "the network", (gigabits)*1e9 / 8, 9.6e-6 }
#define START 8.4e-6

enum { NODE = 8 };

const model_machine *model_machines(int *count) {
    static const model_machine machines[] = {
        {"NVLink", NODE, NVLINK, {NULL, 0, 0}},           {"PCIe 4.0 x16", NODE, PCIE, {NULL, 0, 0}},
        {"10 Gb Ethernet", NODE, NVLINK, ETHERNET(10)},   {"100 Gb Ethernet", NODE, NVLINK, ETHERNET(100)},
        {"400 Gb Ethernet", NODE, NVLINK, ETHERNET(400)},
    };
    *count = sizeof machines / sizeof machines[0];
    return machines;
}

bool model_has(const model_machine *machine, int64_t devices) {
    return devices <= machine->node || (machine->between.name && devices % machine->node == 0);
}

/* ---- A reduction -------------------------------------------------------------------------------------- */

/* Adds a ring of n over the link; *bandwidth receives the time of its bytes. */
static void add_ring(const model_link *link, double bytes, int64_t n, model_cost *cost, double *bandwidth) {
    const double hops = 2 * (double)(n - 1);
    if (n == 1) return;
    cost->latency += hops * link->hop_s;
    *bandwidth = hops * bytes / ((double)n * link->bytes_per_s);
}

model_cost model_reduction(const model_machine *machine, double bytes, int64_t devices) {
    model_cost cost = {0};
    if (devices == 1) return cost;
    const int64_t inside = devices < machine->node ? devices : machine->node;
    cost.latency = START;
    add_ring(&machine->inside, bytes, inside, &cost, &cost.inside);
    add_ring(&machine->between, bytes, devices / inside, &cost, &cost.between);
    return cost;
}

double model_seconds(const model_cost *cost) {
    return cost->latency + cost->inside + cost->between;
}

/* ---- A step ------------------------------------------------------------------------------------------- */

/* A step under way. */
typedef struct {
    const double *reductions;
    double start[MODEL_MOST_REDUCTIONS], end[MODEL_MOST_REDUCTIONS];
    int started;
    double longest_wait;
    model_step step;
} course;

/* The longest of the reductions that ran without a pause up to `last`. */
static int longest_of_queue(const course *c, int last) {
    int longest = last;
    for (int i = last; i > 0 && c->start[i] <= c->end[i - 1]; i--)
        if (c->reductions[i - 1] > c->reductions[longest]) longest = i - 1;
    return longest;
}

/* Waits for the first `needed` reductions. */
static void wait_for(course *c, int needed) {
    const double wait = needed > 0 ? c->end[needed - 1] - c->step.seconds : 0;
    if (wait <= 0) return;
    if (wait > c->longest_wait) {
        c->longest_wait = wait;
        c->step.worst = longest_of_queue(c, needed - 1);
    }
    c->step.seconds += wait;
}

static void start_reduction(course *c) {
    const int i = c->started++;
    c->start[i] = i > 0 ? fmax(c->step.seconds, c->end[i - 1]) : c->step.seconds;
    c->end[i] = c->start[i] + c->reductions[i];
    c->step.reduced += c->reductions[i];
}

model_step model_run(const model_segment *segments, int count, const double *reductions) {
    course c = {.reductions = reductions, .step = {.worst = -1}};
    for (int i = 0; i < count; i++) {
        wait_for(&c, segments[i].needed);
        c.step.seconds += segments[i].seconds;
        c.step.computed += segments[i].seconds;
        if (segments[i].bytes > 0) start_reduction(&c);
    }
    wait_for(&c, c.started);
    return c.step;
}
