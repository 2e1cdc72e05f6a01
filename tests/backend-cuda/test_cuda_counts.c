/* Speed by counting: one training step of the full networks (U-Net 256 and PatchGAN, 64 filters) on the
 * machine made of software, which executes its kernels; convolutions are not computed. Of each kernel:
 * launches; distinct bytes of each, read and written; the sectors that its blocks move, each once per block,
 * and the share of them that differ (`needed`); those that requests touch, and the share of them that blocks
 * move (`moved`); bank conflicts; instructions of warps. Of the step: launches, and the bytes of kernels
 * (counted) and of convolutions (from the plan) beside a floor.
 *
 *   test_cuda_counts COMPILER BATCH
 *
 * COMPILER is the version that compiled the kernels. The table is compared with
 * tests/golden/cuda_counts_X.Y_batchN.txt, if that is of the same compiler; P2P_UPDATE_GOLDEN=1 writes it.
 * With any compiler, a kernel fails whose shares are below the least ones, that has bank conflicts, or that
 * uses local memory.
 */
#include "device/device.h"
#include "pix2pix.h"
#include "plan/session.h"
#include "support/test_files.h"
#include "support/test_skip.h"

#include <machine.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* The least share of needed sectors among those that blocks move. */
static const double LEAST_NEEDED = 0.9;
/* The least share of the sectors that a block moves among those that it requests. */
static const double LEAST_MOVED = 0.5;

static const char *compiler;
static int64_t batch;

/* ---- Counters ------------------------------------------------------------------------------------------ */

/* X(counter): of a kernel. */
#define COUNTER_LIST(X)                                                                                      \
    X(launches)                                                                                              \
    X(distinct_read_bytes)                                                                                   \
    X(distinct_written_bytes)                                                                                \
    X(global_sectors)                                                                                        \
    X(block_sectors) X(distinct_sectors) X(shared_conflicts) X(local_bytes) X(warp_instructions)
typedef struct {
#define X(counter) uint64_t counter;
    COUNTER_LIST(X)
#undef X
} counters;

/* Every kernel that a step may launch. */
#define OF_BOTH_TYPES(name) #name "_f32", #name "_bf16"
static const char *const kernels[] = {"adam",
                                      "convert_f32_bf16",
                                      "convert_bf16_f32",
                                      OF_BOTH_TYPES(flat_f32),
                                      OF_BOTH_TYPES(flat_bf16),
                                      OF_BOTH_TYPES(tiles_f32),
                                      OF_BOTH_TYPES(tiles_bf16),
                                      OF_BOTH_TYPES(norm_stats),
                                      OF_BOTH_TYPES(norm_apply),
                                      OF_BOTH_TYPES(norm_whole),
                                      OF_BOTH_TYPES(norm_bwd_stats),
                                      OF_BOTH_TYPES(norm_bwd_apply),
                                      OF_BOTH_TYPES(norm_bwd_whole),
                                      OF_BOTH_TYPES(bias_act),
                                      OF_BOTH_TYPES(act_bwd),
                                      OF_BOTH_TYPES(axpby),
                                      OF_BOTH_TYPES(axpby_vector),
                                      OF_BOTH_TYPES(dropout),
                                      OF_BOTH_TYPES(prepare_u8),
                                      OF_BOTH_TYPES(prepare_u16),
                                      OF_BOTH_TYPES(bias_grad),
                                      OF_BOTH_TYPES(loss_bce),
                                      OF_BOTH_TYPES(loss_l1),
                                      OF_BOTH_TYPES(loss_mse)};
enum { KERNELS = sizeof kernels / sizeof *kernels };

/* X(title, call): the calls of a step to the driver and the libraries that are counted. */
#define CALL_LIST(X)                                                                                         \
    X("kernels", "cuLaunchKernel")                                                                           \
    X("convolutions of cuDNN", "cudnnBackendExecute")                                                        \
    X("products of cuBLAS", "cublasGemmEx")                                                                  \
    X("fills", "cuMemsetD8Async")                                                                            \
    X("copies", "cuMemcpyDtoDAsync_v2")
enum {
    CALLS =
#define X(title, call) +1
        CALL_LIST(X)
#undef X
};

typedef struct {
    counters of[KERNELS];
    uint64_t calls[CALLS];
} counted;

static void read_counters(counted *all) {
    static const char *const calls[] = {
#define X(title, call) call,
        CALL_LIST(X)
#undef X
    };
    for (int k = 0; k < KERNELS; k++) {
#define X(counter) all->of[k].counter = machine_counter(kernels[k], #counter);
        COUNTER_LIST(X)
#undef X
    }
    for (int c = 0; c < CALLS; c++) all->calls[c] = machine_counter("calls", calls[c]);
}

static void subtract(counted *from, const counted *before) {
    for (int k = 0; k < KERNELS; k++) {
#define X(counter) from->of[k].counter -= before->of[k].counter;
        COUNTER_LIST(X)
#undef X
    }
    for (int c = 0; c < CALLS; c++) from->calls[c] -= before->calls[c];
}

/* ---- A step -------------------------------------------------------------------------------------------- */

typedef struct {
    pix2pix *model;
    p2p_device *device;
    p2p_session *session;
    p2p_graph *graph;
    p2p_plan *plan;
    uint8_t *pixels;
} rig;

static void rig_open(rig *r, p2p_precision precision) {
    const pix2pix_config config = pix2pix_config_default();
    OK(p2p_device_open("cuda:0", &r->device));
    OK(pix2pix_create(&r->model, &config));
    const pix2pix_graph_options options = pix2pix_graph_options_for(r->model, batch);
    OK(pix2pix_graph_train(r->model, &options, &r->graph));
    OK(p2p_session_create(&r->device, 1, &(p2p_session_options){.precision = precision}, &r->session));
    OK(p2p_session_plan(r->session, "training", &r->graph, &r->plan));
    OK(p2p_session_allocate(r->session, NULL, NULL));
    OK(p2p_session_initialise(r->session, r->model->generator.network, 1));
    OK(p2p_session_initialise(r->session, r->model->discriminator.network, 1));
    const size_t values = (size_t)(batch * config.height * config.width * 3);
    r->pixels = malloc(values);
    assert_non_null(r->pixels);
    for (size_t i = 0; i < values; i++) r->pixels[i] = (uint8_t)(i * 2654435761u >> 24);
}

static void rig_step(rig *r, uint32_t number) {
    const p2p_step step = {.seed = 1, .step = number, .learning_rate = 2e-4};
    OK(p2p_plan_input_from(r->plan, 0, "input", r->pixels));
    OK(p2p_plan_input_from(r->plan, 0, "target", r->pixels));
    OK(p2p_plan_run(r->plan, &step));
    OK(p2p_plan_wait(r->plan));
}

static void rig_close(rig *r) {
    p2p_session_destroy(r->session);
    p2p_graph_destroy(r->graph);
    pix2pix_destroy(r->model);
    p2p_device_close(r->device);
    free(r->pixels);
}

/* Of the second step: the first one also copies the filters to bf16. */
static void count_step(rig *r, counted *all) {
    counted before;
    rig_step(r, 0);
    read_counters(&before);
    rig_step(r, 1);
    read_counters(all);
    subtract(all, &before);
}

/* The tensors of each convolution, once. */
static double convolution_bytes(const p2p_plan *plan) {
    const plan_part *part = &plan->parts[0];
    double bytes = 0;
    for (int s = 0; s < part->step_count; s++)
        if (p2p_op_is_convolution(&part->steps[s].op)) bytes += p2p_op_bytes(&part->steps[s].op);
    return bytes;
}

/* ---- The table ----------------------------------------------------------------------------------------- */

static double ratio(uint64_t part, uint64_t whole) {
    return whole ? (double)part / (double)whole : 1;
}

static double needed(const counters *c) {
    return ratio(c->distinct_sectors, c->block_sectors);
}

static double moved(const counters *c) {
    return ratio(c->block_sectors, c->global_sectors);
}

static void print_kernels(const counted *all, FILE *to) {
    fprintf(to, "%-20s %8s %9s %9s %9s %6s %9s %6s %9s %12s\n", "kernel", "launches", "MB read", "written",
            "sectors", "needed", "requested", "moved", "conflicts", "instructions");
    for (int k = 0; k < KERNELS; k++) {
        const counters *c = &all->of[k];
        if (c->launches == 0) continue;
        fprintf(to, "%-20s %8llu %9.3f %9.3f %9llu %6.3f %9llu %6.3f %9llu %12llu\n", kernels[k],
                (unsigned long long)c->launches, (double)c->distinct_read_bytes / 1e6,
                (double)c->distinct_written_bytes / 1e6, (unsigned long long)c->block_sectors, needed(c),
                (unsigned long long)c->global_sectors, moved(c), (unsigned long long)c->shared_conflicts,
                (unsigned long long)c->warp_instructions);
    }
}

/* GB, computed by hand: every tensor that a step must move if statistics are taken as convolutions write,
 * normalisations are applied in one pass and differentiated in two, and Adam moves 28 bytes per parameter. */
static double floor_of(p2p_precision precision) {
    static const struct {
        int64_t batch;
        double f32, bf16;
    } rows[] = {{1, 2.89, 2.24}, {16, 11.5, 6.57}, {64, 39.2, 20.4}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].batch == batch) return precision == P2P_PRECISION_bf16 ? rows[i].bf16 : rows[i].f32;
    return 0;
}

static void print_step(const counted *all, const p2p_plan *plan, p2p_precision precision, FILE *to) {
    static const char *const titles[] = {
#define X(title, call) title,
        CALL_LIST(X)
#undef X
    };
    double bytes = 0;
    for (int k = 0; k < KERNELS; k++)
        bytes += (double)(all->of[k].distinct_read_bytes + all->of[k].distinct_written_bytes);
    const double convolutions = convolution_bytes(plan);
    fprintf(to, "launches:");
    for (int c = 0; c < CALLS; c++)
        fprintf(to, "%s %llu %s", c ? "," : "", (unsigned long long)all->calls[c], titles[c]);
    fprintf(to, "\nGB: %.3f of kernels, %.3f of convolutions, %.3f together; the floor is %.2f\n",
            bytes / 1e9, convolutions / 1e9, (bytes + convolutions) / 1e9, floor_of(precision));
}

/* ---- Tests --------------------------------------------------------------------------------------------- */

static void check_kernels(const counted *all) {
    int bad = 0;
    uint64_t launches = 0;
    for (int k = 0; k < KERNELS; k++) {
        const counters *c = &all->of[k];
        launches += c->launches;
        if (needed(c) >= LEAST_NEEDED && moved(c) >= LEAST_MOVED && c->shared_conflicts == 0 &&
            c->local_bytes == 0)
            continue;
        print_message(
            "%s: of the sectors that its blocks move %.3f are needed, of those that they request %.3f "
            "are moved; %llu bank conflicts, %llu bytes of local memory\n",
            kernels[k], needed(c), moved(c), (unsigned long long)c->shared_conflicts,
            (unsigned long long)c->local_bytes);
        bad++;
    }
    assert_int_equal(bad, 0);
    assert_int_equal(launches, all->calls[0]); /* the list above is complete */
}

static void count_precision(p2p_precision precision, FILE *to) {
    rig r = {0};
    counted all;
    rig_open(&r, precision);
    count_step(&r, &all);
    fprintf(to, "\n%s, batch %d\n", p2p_precision_name(precision), (int)batch);
    print_kernels(&all, to);
    print_step(&all, r.plan, precision, to);
    rig_close(&r);
    check_kernels(&all);
}

/* The committed table, or NULL if there is none of this compiler. The caller frees it. */
static char *read_committed(const char *name, const char *table) {
    size_t size = 0;
    FILE *file = fopen(test_golden(name), "r");
    if (!file) return NULL;
    fclose(file);
    uint8_t *bytes = test_file_read(test_golden(name), &size);
    char *text = calloc(1, size + 1);
    assert_non_null(text);
    memcpy(text, bytes, size);
    free(bytes);
    if (strncmp(text, table, strcspn(table, "\n") + 1) == 0) return text; /* the first line names it */
    free(text);
    return NULL;
}

static void compare_table(const char *table, size_t size) {
    char name[64];
    int major = 0, minor = 0;
    sscanf(compiler, "%d.%d", &major, &minor);
    snprintf(name, sizeof name, "cuda_counts_%d.%d_batch%d.txt", major, minor, (int)batch);
    printf("%s", table);
    const char *update = getenv("P2P_UPDATE_GOLDEN");
    if (update && strcmp(update, "1") == 0) test_file_write(test_golden(name), table, size);
    char *committed = read_committed(name, table);
    if (!committed)
        TEST_SKIP_PART("no table is committed for this compiler of kernels");
    else if (strcmp(committed, table) != 0)
        fail_msg("the table differs from tests/golden/%s; P2P_UPDATE_GOLDEN=1 writes it", name);
    free(committed);
}

static void counts_a_step(void **state) {
    char *table = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&table, &size);
    assert_non_null(stream);
    (void)state;
    fprintf(stream, "# One training step of the full networks, kernels compiled with %s.\n", compiler);
    count_precision(P2P_PRECISION_tf32, stream);
    count_precision(P2P_PRECISION_bf16, stream);
    fclose(stream);
    compare_table(table, size);
    free(table);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts_a_step)};
    if (argc != 3) return 2;
    compiler = argv[1];
    batch = atoi(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
