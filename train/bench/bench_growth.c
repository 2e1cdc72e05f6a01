/* Measurements with several numbers of devices, and their table or JSON. See bench_growth.h. */
#include "bench_growth.h"

#include "bench.h"
#include "bench_report.h"
#include "host/sys.h"
#include "host/text.h"
#include "json_text.h"
#include "setup/setup_same.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 9 };

/* ---- Settings of a point ------------------------------------------------------------------------------ */

/* The first `count` names of a list; NULL if memory runs out. The caller frees it. */
static char *first_names(const char *list, int64_t count) {
    const char *end = list;
    for (int64_t i = 0; i < count; i++) end += strcspn(end, ",") + (i + 1 < count);
    return strndup(list, (size_t)(end - list));
}

static p2p_status check_pool(const settings *all) {
    const int named = setup_devices_asked(all);
    if (!all->device || named >= all->gpus) return P2P_OK;
    p2p_fail(P2P_USAGE, "--gpus %d: --device %s names %d", (int)all->gpus, all->device, named);
    return p2p_hint(P2P_USAGE, "--device names at least as many devices as the greatest number of --gpus; "
                               "one may be named several times");
}

/* The given settings for `devices` devices of each rank. Free at->device unless it is that of `all`; the
 * other strings still belong to `all`. */
static p2p_status settings_for(const settings *all, int64_t devices, settings *at) {
    *at = *all;
    at->gpus = devices;
    at->gpu_counts = (settings_counts){{devices}, 1};
    if (!all->device) return P2P_OK;
    at->device = first_names(all->device, devices);
    return at->device ? P2P_OK : p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the names of devices");
}

/* ---- Measuring ---------------------------------------------------------------------------------------- */

/* A bench with the settings that it was opened with. */
typedef struct {
    settings all;
    ranks *ranks; /* that measure together; NULL: this one alone */
    bench b;
    double seconds[ROUNDS], processor[ROUNDS]; /* per step: by the clock, and of all processors together */
} timed_run;

/* The ranks begin together: time that a device waits in a collective counts towards its time limit. */
static p2p_status begin_together(const ranks *r) {
    double nothing = 0;
    return ranks_add(r, &nothing, 1);
}

static p2p_status open_run(const settings *all, ranks *r, int64_t devices, int64_t accumulate, timed_run *c) {
    double seconds;
    *c = (timed_run){.all = {.data = NULL}, .ranks = r};
    P2P_TRY(settings_for(all, devices, &c->all));
    c->all.grad_accumulate = accumulate;
    c->all.ranks = ranks_size(r);
    c->all.local_rank = ranks_local(r);
    P2P_TRY(bench_open(&c->b, &c->all, r, strcmp(all->what, "train") == 0));
    P2P_TRY(begin_together(r));
    return bench_time_steps(&c->b, 2, &seconds); /* warms up */
}

static void close_run(const settings *all, timed_run *c) {
    bench_close(&c->b);
    if (c->all.device != all->device) free(c->all.device);
}

static bool share_here(const setup_devices *devices, const ranks *r) {
    for (int i = 0; i < devices->count; i++) {
        p2p_device_memory memory;
        p2p_device_memory_of(devices->list[i], false, &memory);
        if (setup_devices_times(devices, i) != 1) return true;
        if (!memory.in_host) return false;
    }
    return devices->count > 1 || ranks_here(r) > 1;
}

/* Whether devices of any rank do. */
static p2p_status share_a_processor(const setup_devices *devices, const ranks *r, bool *shared) {
    double here = share_here(devices, r);
    P2P_TRY(ranks_add(r, &here, 1));
    *shared = here > 0;
    return P2P_OK;
}

/* The operations of a profiled step that replicas add. */
typedef struct {
    growth_added *added;
    bool is_first;                     /* rank: its first replica's updates are not added */
    bool updating[SETUP_MOST_DEVICES]; /* per replica: its last operation belonged to an update */
} addition;

/* Copies after an update renew what is derived from the weights. */
static p2p_status add_operation(void *context, const p2p_operation_timing *timing) {
    addition *a = context;
    const double seconds = timing->end - timing->begin;
    const p2p_kind kind = timing->op->kind;
    bool *updating = &a->updating[timing->replica];
    *updating = kind == P2P_KIND_adam || (*updating && kind == P2P_KIND_copy);
    if (kind == P2P_KIND_all_reduce) a->added->reduction_s += seconds;
    if (*updating && (timing->replica > 0 || !a->is_first)) a->added->updates_s += seconds;
    return P2P_OK;
}

/* Reductions are this rank's, updates those of all. */
static p2p_status profile_additions(bench *b, growth_added *added) {
    addition a = {.added = added, .is_first = ranks_number(b->ranks) == 0};
    const p2p_step step = {.seed = 1, .step = b->step++};
    P2P_TRY(bench_give_inputs(b));
    P2P_TRY(p2p_plan_profile(b->plan, &step, sys_clock, add_operation, &a));
    P2P_TRY(p2p_plan_wait(b->plan));
    return ranks_add(b->ranks, &added->updates_s, 1);
}

static p2p_status time_round(timed_run *c, int steps, int round) {
    P2P_TRY(begin_together(c->ranks));
    const double before = sys_processor_time();
    P2P_TRY(bench_time_steps(&c->b, steps, &c->seconds[round]));
    c->processor[round] = (sys_processor_time() - before) / steps;
    c->seconds[round] /= steps;
    return ranks_add(c->ranks, &c->processor[round], 1);
}

/* The median over rounds of how much greater the one is, as a share of the other. */
static double median_excess(const double *values, const double *others) {
    double ratios[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) ratios[i] = bench_rate(values[i], others[i]) - 1;
    return bench_summary(ratios, ROUNDS).median;
}

static void compare(const timed_run *many, timed_run *one, growth_added *beside) {
    beside->added = median_excess(many->seconds, one->seconds);
    beside->added_processor = median_excess(many->processor, one->processor);
    beside->one_step_s = bench_summary(one->seconds, ROUNDS);
}

/* The share of time in which the devices of all ranks stood still; negative if a rank has not measured it. */
static p2p_status share_of_waiting(const ranks *r, bool known, double waited, double seconds, double *share) {
    double sums[2] = {known ? 0 : 1, waited};
    P2P_TRY(ranks_add(r, sums, 2));
    *share = sums[0] > 0 ? -1 : sums[1] / ranks_size(r) / seconds;
    return P2P_OK;
}

/* Rounds of the replicas, in turns with those of `one` unless it is NULL. */
static p2p_status time_rounds(timed_run *many, timed_run *one, int steps, growth_point *point) {
    double before = 0, after = 0, sum = 0;
    bool known = p2p_session_waited(many->b.session, &before);
    for (int i = 0; i < ROUNDS; i++) {
        P2P_TRY(time_round(many, steps, i));
        if (one) P2P_TRY(time_round(one, steps, i));
        sum += many->seconds[i] * steps;
    }
    known = p2p_session_waited(many->b.session, &after) && known;
    P2P_TRY(share_of_waiting(many->ranks, known, after - before, sum, &point->not_hidden));
    if (one) compare(many, one, &point->beside);
    point->step_s = bench_summary(many->seconds, ROUNDS);
    return P2P_OK;
}

static p2p_status measure_alone(timed_run *many, int steps, growth_point *point) {
    point->images = bench_images(&many->b);
    return time_rounds(many, NULL, steps, point);
}

static p2p_status measure_beside(const settings *all, timed_run *many, int steps, growth_point *point) {
    timed_run one = {.all = *all};
    const bool compares = ranks_number(many->ranks) == 0;
    p2p_status status = P2P_OK;
    point->images = bench_images(&many->b);
    if (compares) status = open_run(all, NULL, 1, point->devices * all->grad_accumulate, &one);
    if (status == P2P_OK) status = time_rounds(many, compares ? &one : NULL, steps, point);
    if (status == P2P_OK) status = profile_additions(&many->b, &point->beside);
    if (compares) close_run(all, &one);
    return status;
}

static void note_devices(const bench *b, bench_growth *growth) {
    snprintf(growth->device, sizeof growth->device, "%s", p2p_device_address(b->devices.list[0]));
    snprintf(growth->device_name, sizeof growth->device_name, "%s", p2p_device_name(b->devices.list[0]));
    growth->training = b->training;
    growth->precision = p2p_precision_name(b->devices.precision);
    growth->batch = b->all->batch;
}

static p2p_status measure_open(const settings *all, timed_run *many, bench_growth *growth,
                               growth_point *point) {
    note_devices(&many->b, growth);
    P2P_TRY(share_a_processor(&many->b.devices, many->ranks, &point->shared));
    growth->shared = growth->shared || point->shared;
    return point->shared && growth->training ? measure_beside(all, many, growth->steps, point)
                                             : measure_alone(many, growth->steps, point);
}

/* Measure `devices` of each of these ranks. */
static p2p_status measure_point(const settings *all, ranks *r, int64_t devices, bench_growth *growth) {
    timed_run many;
    growth_point *point = &growth->points[growth->count++];
    *point = (growth_point){.devices = ranks_size(r) * devices};
    p2p_status status = open_run(all, r, devices, all->grad_accumulate, &many);
    if (status == P2P_OK) status = measure_open(all, &many, growth, point);
    close_run(all, &many);
    return status;
}

/* One device of rank 0, while the others wait. */
static p2p_status measure_first(const settings *all, ranks *r, bench_growth *growth) {
    const bool first = ranks_number(r) == 0;
    return ranks_agree(r, first ? measure_point(all, NULL, 1, growth) : P2P_OK);
}

static bool is_compared(const growth_point *point) {
    return point->beside.one_step_s.median > 0;
}

static double rate_of(const growth_point *point, double seconds) {
    return bench_rate((double)point->images, seconds);
}

static void find_efficiency(const bench_growth *growth, growth_point *point) {
    const growth_point *first = &growth->points[0];
    const double grown = rate_of(point, point->step_s.median) / rate_of(first, first->step_s.median);
    point->efficiency = point->shared ? grown : grown * (double)first->devices / (double)point->devices;
    if (is_compared(point)) point->efficiency = 1 / (1 + point->beside.added);
}

/* Numbers of devices of a rank. */
static settings_counts counts_of(const settings *all) {
    if (all->gpu_counts.count > 0) return all->gpu_counts;
    return (settings_counts){{setup_devices_asked(all)}, 1};
}

/* What decides the steps: what is recorded of a training, and what is not, such as the devices of a rank.
 * NULL if memory runs out. */
static json_t *settings_of_steps(const settings *all, int steps) {
    static const char *const names[] = {"what", "tune", "deterministic"};
    const settings_counts counts = counts_of(all);
    json_t *object = settings_to_json(all), *gpus = json_array();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        object = json_text_add(object, names[i], true, settings_value_to_json(all, names[i]));
    for (int i = 0; i < counts.count; i++) gpus = bench_append_json(gpus, json_integer(counts.of[i]));
    object = json_text_add(object, "gpus", true, gpus);
    return json_text_add(object, "steps", true, json_integer(steps));
}

static const char SETTINGS[] = "the settings of rank 0";

static p2p_status compare_with(json_t *own, const char *first) {
    json_t *other;
    P2P_TRY(json_text_parse(SETTINGS, first, strlen(first), 0, &other, NULL));
    const p2p_status status = setup_compare_options(own, other);
    json_decref(other);
    return status;
}

/* P2P_USAGE if this rank measures something else than rank 0. */
static p2p_status compare_settings(const settings *all, ranks *r, int steps) {
    char *text = NULL;
    json_t *own = settings_of_steps(all, steps);
    p2p_status status = json_text_make(SETTINGS, own, JSON_COMPACT, &text);
    char *mine = text;
    if (status == P2P_OK) status = ranks_share_text(r, &text);
    if (status == P2P_OK) status = compare_with(own, text);
    if (text != mine) free(text);
    free(mine);
    json_decref(own);
    return status;
}

p2p_status bench_growth_measure(const settings *all, ranks *r, int steps, bench_growth *growth) {
    const settings_counts counts = counts_of(all);
    *growth =
        (bench_growth){.steps = (steps + ROUNDS - 1) / ROUNDS, .rounds = ROUNDS, .ranks = ranks_size(r)};
    P2P_TRY(check_pool(all));
    P2P_TRY(compare_settings(all, r, steps));
    if (r) P2P_TRY(measure_first(all, r, growth));
    for (int i = 0; i < counts.count; i++) P2P_TRY(measure_point(all, r, counts.of[i], growth));
    for (int i = 0; i < growth->count; i++) find_efficiency(growth, &growth->points[i]);
    return P2P_OK;
}

/* ---- Reports ------------------------------------------------------------------------------------------ */

static void print_added(const growth_added *beside) {
    printf("  %+.1f %% of %.3f ms, %+.1f %% of processor time; reductions %.3f ms, updates %.3f ms",
           100 * beside->added, beside->one_step_s.median * 1e3, 100 * beside->added_processor,
           beside->reduction_s * 1e3, beside->updates_s * 1e3);
}

static void print_point(const growth_point *p) {
    printf("%7" PRId64 " %10.3f  (%.3f to %.3f) %10.3f %9.1f %%", p->devices, rate_of(p, p->step_s.median),
           rate_of(p, p->step_s.greatest), rate_of(p, p->step_s.least), p->step_s.median * 1e3,
           100 * p->efficiency);
    if (p->not_hidden >= 0)
        printf(" %9.1f %%", 100 * p->not_hidden);
    else
        printf(" %11s", "-");
    if (is_compared(p)) print_added(&p->beside);
    printf("\n");
}

static void print_table(const settings *all, const bench_growth *growth) {
    text_line(stdout, "%s on %s, %s", growth->training ? "training" : "translation", growth->device,
              growth->device_name);
    printf("%s, batch %" PRId64 " per device, %" PRId64 "x%" PRId64 " pixels, %" PRId64 " and %" PRId64
           " filters; medians of %d rounds of %d steps\n",
           growth->precision, all->batch, all->size, all->size, all->ngf, all->ndf, growth->rounds,
           growth->steps);
    if (growth->ranks > 1) printf("%d ranks; one device is measured in rank 0 alone\n", growth->ranks);
    printf("devices   images/s                          ms a step  efficiency  not hidden%s\n",
           growth->shared && growth->training ? "  added by replicas" : "");
    for (int i = 0; i < growth->count; i++) print_point(&growth->points[i]);
    if (growth->shared)
        printf("The devices share a processor: efficiency is beside one device%s.\n",
               growth->training ? " that computes the same batch with --grad-accumulate" : "");
}

static json_t *point_to_json(const growth_point *p) {
    const growth_added *beside = &p->beside;
    json_t *object = json_pack(
        "{s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "devices", (json_int_t)p->devices, "images",
        (json_int_t)p->images, "images_per_s", rate_of(p, p->step_s.median), "images_per_s_min",
        rate_of(p, p->step_s.greatest), "images_per_s_max", rate_of(p, p->step_s.least), "step_s",
        p->step_s.median, "step_s_min", p->step_s.least, "step_s_max", p->step_s.greatest, "efficiency",
        p->efficiency, "not_hidden", p->not_hidden >= 0 ? json_real(p->not_hidden) : json_null());
    if (!object || !is_compared(p)) return object;
    return bench_join_json(object, json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "one_device_step_s",
                                             beside->one_step_s.median, "one_device_step_s_min",
                                             beside->one_step_s.least, "one_device_step_s_max",
                                             beside->one_step_s.greatest, "added", beside->added,
                                             "added_processor_time", beside->added_processor, "reduction_s",
                                             beside->reduction_s, "updates_s", beside->updates_s));
}

static json_t *points_to_json(const bench_growth *growth) {
    json_t *points = json_array();
    for (int i = 0; i < growth->count; i++)
        points = bench_append_json(points, point_to_json(&growth->points[i]));
    return points;
}

static json_t *growth_to_json(const settings *all, const bench_growth *growth) {
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:b, s:i, s:i, s:i, s:o}", "what",
                     "growth", "version", P2P_VERSION, "device", growth->device, "device_name",
                     growth->device_name, "precision", growth->precision, "plan",
                     growth->training ? "train" : "translate", "batch", (json_int_t)all->batch, "size",
                     (json_int_t)all->size, "ngf", (json_int_t)all->ngf, "ndf", (json_int_t)all->ndf,
                     "shared_processor", growth->shared, "ranks", growth->ranks, "rounds", growth->rounds,
                     "steps", growth->steps, "points", points_to_json(growth));
}

p2p_status bench_growth_report(const settings *all, const bench_growth *growth) {
    if (all->json) return bench_print_json(growth_to_json(all, growth));
    print_table(all, growth);
    return P2P_OK;
}
