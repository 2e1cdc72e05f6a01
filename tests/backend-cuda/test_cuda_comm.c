/* Collectives by NCCL's double on the machine made of software, through the core's communicator. Up to four
 * devices.
 */
#include "device/device_internal.h"

#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/forked_processes.h"
#include "support/test_expect.h"

enum { MOST = 4 };

/* Replicas on devices of this process, of `world` in all, the first of which is `rank0`. */
typedef struct {
    int count, world, rank0;
    p2p_device *device[MOST];
    p2p_buffer *buffer[MOST];
    p2p_comm *comm;
} group;

static p2p_op collective(p2p_kind kind, p2p_type type, int64_t elements) {
    p2p_op op = {.kind = kind};
    op.t[0] = p2p_tensor_flat(type, elements);
    return op;
}

static void open_devices(group *g, const char *const *addresses, size_t bytes) {
    for (int i = 0; i < g->count; i++) {
        OK(p2p_device_open(addresses[i], &g->device[i]));
        OK(p2p_buffer_create(g->device[i], bytes, &g->buffer[i]));
    }
}

static void open_group(group *g, int count, int world, int rank0, size_t bytes) {
    static const char *const addresses[MOST] = {"cuda:0", "cuda:1", "cuda:2", "cuda:3"};
    *g = (group){.count = count, .world = world, .rank0 = rank0};
    open_devices(g, addresses + rank0, bytes);
    OK(p2p_comm_open(g->device, count, world, rank0, NULL, &g->comm));
}

static void close_group(group *g) {
    p2p_comm_close(g->comm);
    for (int i = 0; i < g->count; i++) {
        p2p_buffer_destroy(g->buffer[i]);
        p2p_device_close(g->device[i]);
    }
}

/* A multiple of 1/64, so that sums are exact in any order. */
static float contribution(int rank, int64_t element, int round) {
    return (float)((element * 37 + rank * 101 + round * 11) % 4096 - 2048) / 64;
}

static float expected(const group *g, const p2p_op *op, int64_t element, int round) {
    if (op->kind == P2P_KIND_broadcast) return contribution((int)op->root, element, round);
    float sum = 0;
    for (int rank = 0; rank < g->world; rank++) sum += contribution(rank, element, round);
    return sum;
}

/* Rounds of write, collective and read; the host waits at the end of each only. */
static void run_rounds(group *g, const p2p_op *op, int rounds) {
    const int64_t elements = p2p_tensor_elements(&op->t[0]);
    const size_t bytes = (size_t)elements * sizeof(float);
    float *host[MOST];
    OK(p2p_comm_prepare(g->comm, op));
    for (int i = 0; i < g->count; i++) assert_non_null(host[i] = malloc(bytes));
    for (int round = 0; round < rounds; round++) {
        p2p_place places[MOST];
        p2p_ticket after[MOST], done[MOST];
        for (int i = 0; i < g->count; i++) {
            places[i] = (p2p_place){g->buffer[i], 0};
            for (int64_t e = 0; e < elements; e++) host[i][e] = contribution(g->rank0 + i, e, round);
            OK(p2p_buffer_write(g->device[i], places[i], host[i], bytes));
            OK(p2p_device_submit(g->device[i], &after[i]));
        }
        OK(p2p_comm_run(g->comm, op, places, after, done));
        for (int i = 0; i < g->count; i++) {
            OK(p2p_device_order(g->device[i], done[i]));
            OK(p2p_buffer_read(g->device[i], places[i], host[i], bytes));
        }
        for (int i = 0; i < g->count; i++) {
            OK(p2p_device_finish(g->device[i]));
            for (int64_t e = 0; e < elements; e++)
                if (host[i][e] != expected(g, op, e, round))
                    fail_msg("rank %d, element %lld, round %d: %g, not %g", g->rank0 + i, (long long)e, round,
                             (double)host[i][e], (double)expected(g, op, e, round));
        }
    }
    for (int i = 0; i < g->count; i++) free(host[i]);
}

static bool is_direct(const group *g, const p2p_op *op) {
    bool direct;
    OK(p2p_comm_is_direct(g->comm, op, &direct));
    return direct;
}

/* ---- In one process -------------------------------------------------------------------------------- */

static void sums_and_broadcasts(void **state) {
    (void)state;
    for (int count = 1; count <= MOST; count++) {
        group g;
        open_group(&g, count, count, 0, 400000);
        for (int i = 0; i < 2; i++) {
            p2p_op sum = collective(P2P_KIND_all_reduce, P2P_TYPE_f32, i ? 100000 : 33);
            p2p_op spread = collective(P2P_KIND_broadcast, P2P_TYPE_f32, i ? 100000 : 33);
            spread.root = count - 1;
            assert_true(is_direct(&g, &sum));
            assert_true(is_direct(&g, &spread));
            run_rounds(&g, &sum, 3);
            run_rounds(&g, &spread, 3);
        }
        close_group(&g);
    }
}

/* Sums that are rounded have the same bits in every call: NCCL takes no NVLS, which the double would take. */
static void sums_repeat(void **state) {
    (void)state;
    enum { ELEMENTS = 50000, BYTES = ELEMENTS * 4 };
    const p2p_op sum = collective(P2P_KIND_all_reduce, P2P_TYPE_f32, ELEMENTS);
    float *given = malloc(BYTES), *first = malloc(BYTES), *again = malloc(BYTES);
    group g;
    assert_true(given && first && again);
    open_group(&g, MOST, MOST, 0, BYTES);
    for (int round = 0; round < 2; round++) {
        p2p_place places[MOST];
        p2p_ticket after[MOST], done[MOST];
        for (int i = 0; i < MOST; i++) {
            places[i] = (p2p_place){g.buffer[i], 0};
            for (int e = 0; e < ELEMENTS; e++) given[e] = 1 / (float)(3 + e % 1000 + 7 * i);
            OK(p2p_buffer_write(g.device[i], places[i], given, BYTES));
            OK(p2p_device_submit(g.device[i], &after[i]));
            OK(p2p_device_wait(g.device[i], after[i]));
        }
        OK(p2p_comm_run(g.comm, &sum, places, after, done));
        OK(p2p_device_order(g.device[0], done[0]));
        OK(p2p_buffer_read(g.device[0], places[0], round ? again : first, BYTES));
        for (int i = 0; i < MOST; i++) OK(p2p_device_wait(g.device[i], done[i]));
        OK(p2p_device_finish(g.device[0]));
    }
    assert_memory_equal(first, again, BYTES);
    close_group(&g);
    free(given);
    free(first);
    free(again);
}

static void what_nccl_lacks_passes_through_the_host(void **state) {
    (void)state;
    group g;
    open_group(&g, 3, 3, 0, 4096);
    p2p_op moments = {.kind = P2P_KIND_all_reduce, .reduction = P2P_REDUCE_MOMENTS};
    moments.t[0] = p2p_tensor_stats(P2P_TYPE_f32, 1, 3, 8);
    assert_false(is_direct(&g, &moments));
    MESSAGE_HAS("NCCL does not combine moments");
    p2p_op rounded = collective(P2P_KIND_all_reduce, P2P_TYPE_bf16, 64);
    assert_false(is_direct(&g, &rounded));
    MESSAGE_HAS("NCCL would round sums of bf16 at every addition");
    OK(p2p_comm_prepare(g.comm, &rounded));
    close_group(&g);
    open_group(&g, 2, 2, 0, 4096);
    assert_true(is_direct(&g, &rounded)); /* two summands are rounded once */
    close_group(&g);
}

static char *warnings;
static size_t warned;

/* Opens the communicator again. It is refused at once, and nothing is printed. */
static void expect_remembered(group *g, FILE *stream) {
    fflush(stream);
    const size_t before = warned;
    const p2p_op sum = collective(P2P_KIND_all_reduce, P2P_TYPE_f32, 100);
    p2p_fault_inject(0);
    OK(p2p_comm_open(g->device, 2, 2, 0, NULL, &g->comm));
    assert_int_equal(p2p_fault_inject(0), 0); /* no call of the module */
    fflush(stream);
    assert_int_equal(warned, before);
    assert_false(is_direct(g, &sum));
    run_rounds(g, &sum, 1);
}

/* Opens a communicator without NCCL; sums pass through the host, after one warning with the words. */
static void expect_fallback(const char *const *addresses, const char *words) {
    group g = {.count = 2, .world = 2};
    FILE *stream = open_memstream(&warnings, &warned);
    assert_non_null(stream);
    p2p_warnings_to(stream);
    open_devices(&g, addresses, 4096);
    OK(p2p_comm_open(g.device, 2, 2, 0, NULL, &g.comm));
    fflush(stream);
    if (!strstr(warnings, words) || !strstr(warnings, "reduced through host memory") ||
        strchr(warnings, '\n') != strrchr(warnings, '\n'))
        fail_msg("the warnings are '%s' and lack '%s'", warnings, words);
    const p2p_op sum = collective(P2P_KIND_all_reduce, P2P_TYPE_f32, 100);
    assert_false(is_direct(&g, &sum));
    run_rounds(&g, &sum, 2);
    p2p_comm_close(g.comm);
    expect_remembered(&g, stream);
    close_group(&g);
    p2p_warnings_to(NULL);
    fclose(stream);
    free(warnings);
}

static const char *const same_device[] = {"cuda:0", "cuda:0"}, *const two_devices[] = {"cuda:0", "cuda:1"};

static void one_device_twice(void **state) {
    (void)state;
    /* the core opens no communicator without repeats_devices for it */
    expect_fallback(same_device, "cuda:0 is several replicas");
}

/* ---- Each a process of its own --------------------------------------------------------------------- */

static void no_nccl(void **state) {
    (void)state;
    expect_fallback(two_devices, "NCCL (libnccl.so.2) is not installed, looked in ");
}

static void old_nccl(void **state) {
    (void)state;
    expect_fallback(two_devices, "libnccl.so.2 is NCCL 2.10.0, 2.19 or newer is needed");
}

/* P2P_MACHINE_FAIL makes ncclCommInitRankConfig fail. */
static void nccl_fails(void **state) {
    (void)state;
    expect_fallback(two_devices, "NVIDIA H200: ncclCommInitRankConfig failed with ncclSystemError (2): "
                                 "ncclCommInitRankConfig: planted failure"); /* ncclGetLastError */
}

/* P2P_MACHINE_FAIL makes the first ncclAllReduce fail: what NCCL finds out when it connects the devices. */
static void connecting_fails(void **state) {
    (void)state;
    expect_fallback(two_devices, "NVIDIA H200: ncclAllReduce failed with ncclSystemError");
}

static void first_sum_is_stuck(void **state) {
    (void)state;
    OK(p2p_limit_set("timeout", 0.3));
    setenv("P2P_MACHINE_NCCL", "stuck:1", 1);
    expect_fallback(two_devices, "NVIDIA H200: NCCL has not finished its first collectives within 0.3 s");
}

/* Its device must not be used again, so nothing is reduced through host memory. */
static void first_abort_is_stuck(void **state) {
    (void)state;
    group g = {.count = 2, .world = 2};
    OK(p2p_limit_set("timeout", 0.3));
    setenv("P2P_MACHINE_NCCL", "stuck:1,abort:stuck", 1);
    open_devices(&g, two_devices, 4096);
    REFUSED(
        p2p_comm_open(g.device, 2, 2, 0, NULL, &g.comm), P2P_DEVICE_LOST,
        "NVIDIA H200: NCCL has not finished its first collectives within 0.3 s; the device was lost: NCCL "
        "could not be ended within 5 s");
    for (int i = 0; i < 2; i++) {
        REFUSED(p2p_device_finish(g.device[i]), P2P_DEVICE_LOST, "could not be ended within 5 s");
        p2p_buffer_destroy(g.buffer[i]);
        p2p_device_close(g.device[i]);
    }
    _exit(0); /* the machine's devices are not free */
}

static void first_sum_is_wrong(void **state) {
    (void)state;
    setenv("P2P_MACHINE_NCCL", "damage:1", 1);
    expect_fallback(two_devices, "NCCL's first all_reduce is wrong: element 255 of 256 is ");
}

/* The algorithm is fixed before NCCL first reads it; the user's own choice stays. */
static void deterministic(void **state) {
    (void)state;
    group g;
    unsetenv("NCCL_ALGO");
    open_group(&g, 2, 2, 0, 4096);
    assert_string_equal(getenv("NCCL_ALGO"), "^NVLS,NVLSTree");
    close_group(&g);
    OK(p2p_limit_set("deterministic", 1));
    open_group(&g, 2, 2, 0, 4096);
    assert_string_equal(getenv("NCCL_ALGO"), "Ring");
    close_group(&g);
}

static void users_algorithm_stays(void **state) {
    (void)state;
    group g;
    setenv("NCCL_ALGO", "Tree,Ring", 1);
    OK(p2p_limit_set("deterministic", 1));
    open_group(&g, 2, 2, 0, 4096);
    assert_string_equal(getenv("NCCL_ALGO"), "Tree,Ring");
    assert_null(getenv("NCCL_NVLS_ENABLE"));
    close_group(&g);
}

/* Two processes of two devices each. The parent has not used the driver before it forks. */
static void two_processes(void **state) {
    (void)state;
    setenv("NCCL_COMM_ID", "127.0.0.1:29501", 1);
    const p2p_op sum = collective(P2P_KIND_all_reduce, P2P_TYPE_f32, 5000);
    const pid_t child = fork();
    assert_true(child >= 0);
    group g;
    open_group(&g, 2, 4, child == 0 ? 2 : 0, 20000);
    run_rounds(&g, &sum, 3);
    close_group(&g);
    if (child == 0) exit(0);
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void processes_need_an_address(void **state) {
    (void)state;
    group g = {.count = 1, .world = 2};
    unsetenv("NCCL_COMM_ID");
    open_devices(&g, two_devices, 4096);
    REFUSED(p2p_comm_open(g.device, 1, 2, 0, NULL, &g.comm), P2P_USAGE,
            "1 of 2 replicas are in this process: NCCL_COMM_ID=HOST:PORT must name");
    p2p_buffer_destroy(g.buffer[0]);
    p2p_device_close(g.device[0]);
}

/* The other process never comes: there is no communicator after the time limit. It ends in the middle: the
 * devices are lost. */
static void absent_process(void **state) {
    (void)state;
    setenv("NCCL_COMM_ID", "127.0.0.1:29502", 1);
    OK(p2p_limit_set("timeout", 0.2));
    group g = {.count = 1, .world = 2};
    FILE *stream = open_memstream(&warnings, &warned);
    assert_non_null(stream);
    p2p_warnings_to(stream);
    open_devices(&g, two_devices, 4096);
    REFUSED(p2p_comm_open(g.device, 1, 2, 0, NULL, &g.comm), P2P_UNSUPPORTED,
            "1 of 2 replicas are in this process; reduction through host memory needs all");
    p2p_warnings_to(NULL);
    fclose(stream);
    assert_non_null(strstr(warnings, "NCCL has not finished to connect the devices within 0.2 s"));
    free(warnings);
    OK(p2p_device_finish(g.device[0])); /* the device is not lost */
    p2p_buffer_destroy(g.buffer[0]);
    p2p_device_close(g.device[0]);
}

static void process_ends(void **state) {
    (void)state;
    setenv("NCCL_COMM_ID", "127.0.0.1:29503", 1);
    const pid_t child = fork();
    assert_true(child >= 0);
    group g;
    open_group(&g, 1, 2, child == 0 ? 1 : 0, 4096);
    if (child == 0) _exit(0);
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    const p2p_op sum = collective(P2P_KIND_all_reduce, P2P_TYPE_f32, 100);
    const p2p_place place = {g.buffer[0], 0};
    p2p_ticket after = 0, done = 0;
    OK(p2p_comm_prepare(g.comm, &sum));
    OK(p2p_device_submit(g.device[0], &after));
    p2p_status result = p2p_comm_run(g.comm, &sum, &place, &after, &done);
    if (result == P2P_OK) result = p2p_device_wait(g.device[0], done);
    assert_int_equal(result, P2P_DEVICE_LOST);
    MESSAGE_HAS("ncclRemoteError");
    MESSAGE_HAS("the device was lost to its collectives");
    close_group(&g);
}

typedef struct {
    p2p_device *device;
    p2p_ticket ticket;
} device_wait;

static int wait_for_ticket(void *context) {
    const device_wait *one = context;
    return (int)p2p_device_wait(one->device, one->ticket);
}

/* A process of three ends, and two threads wait for a device each: the communicator is aborted once. */
static void two_threads_wait(void **state) {
    (void)state;
    setenv("NCCL_COMM_ID", "127.0.0.1:29504", 1);
    const pid_t child = fork();
    assert_true(child >= 0);
    group g;
    open_group(&g, child == 0 ? 1 : 2, 3, child == 0 ? 2 : 0, 4096);
    if (child == 0) _exit(0);
    int status = 1, results[2];
    assert_int_equal(waitpid(child, &status, 0), child);
    const p2p_op sum = collective(P2P_KIND_all_reduce, P2P_TYPE_f32, 100);
    p2p_place places[2];
    p2p_ticket after[2], done[2];
    device_wait waits[2];
    thrd_t threads[2];
    for (int i = 0; i < 2; i++) {
        places[i] = (p2p_place){g.buffer[i], 0};
        OK(p2p_device_submit(g.device[i], &after[i]));
        OK(p2p_device_wait(g.device[i], after[i]));
    }
    OK(p2p_comm_run(g.comm, &sum, places, after, done));
    for (int i = 0; i < 2; i++) {
        waits[i] = (device_wait){g.device[i], done[i]};
        assert_int_equal(thrd_create(&threads[i], wait_for_ticket, &waits[i]), thrd_success);
    }
    for (int i = 0; i < 2; i++) assert_int_equal(thrd_join(threads[i], &results[i]), thrd_success);
    assert_true(results[0] == P2P_DEVICE_LOST || results[1] == P2P_DEVICE_LOST);
    for (int i = 0; i < 2; i++) REFUSED(p2p_device_finish(g.device[i]), P2P_DEVICE_LOST, "");
    close_group(&g);
}

/* P2P_MACHINE_FAIL loses the current device, the last one, at the end of the reduction's group: the first
 * member's communicator reports it. */
static void lost_device_is_named(void **state) {
    (void)state;
    group g;
    open_group(&g, 3, 3, 0, 4096);
    const p2p_op sum = collective(P2P_KIND_all_reduce, P2P_TYPE_f32, 100);
    p2p_place places[MOST];
    p2p_ticket after[MOST], done[MOST];
    for (int i = 0; i < g.count; i++) {
        places[i] = (p2p_place){g.buffer[i], 0};
        OK(p2p_device_submit(g.device[i], &after[i]));
    }
    REFUSED(p2p_comm_run(g.comm, &sum, places, after, done), P2P_DEVICE_LOST,
            "cuda:2, NVIDIA H200: the device was lost: ncclGroupEnd failed with CUDA_ERROR_LAUNCH_FAILED");
    for (int i = 0; i < g.count; i++)
        REFUSED(p2p_device_submit(g.device[i], &after[i]), P2P_DEVICE_LOST,
                "cuda:2, NVIDIA H200: the device was lost by an earlier command: CUDA_ERROR_LAUNCH_FAILED");
    close_group(&g);
}

typedef struct {
    char warning[2][4096];
} warnings_of_two;

/* Opens a communicator of a device of each process, which passes through the host, and sums. */
static void sum_as_one(group *g, const p2p_processes *processes) {
    const p2p_op sum = collective(P2P_KIND_all_reduce, P2P_TYPE_f32, 100);
    OK(p2p_comm_open(g->device, 1, 2, processes->rank, processes, &g->comm));
    assert_false(is_direct(g, &sum));
    run_rounds(g, &sum, 2);
}

/* A process that fails by P2P_MACHINE_FAIL, and another one. Then the same again, and with a device of which
 * only one process remembers the refusal. */
static int open_as_one(const p2p_processes *processes, void *context) {
    warnings_of_two *all = context;
    group g = {.count = 1, .world = 2, .rank0 = processes->rank};
    if (processes->rank == 1) setenv("P2P_MACHINE_FAIL", "ncclAllReduce:2:ncclSystemError", 1);
    FILE *stream = fmemopen(all->warning[processes->rank], sizeof all->warning[0], "w");
    if (!stream) return 1;
    p2p_warnings_to(stream);
    open_devices(&g, two_devices + processes->rank, 4096);
    sum_as_one(&g, processes);
    p2p_comm_close(g.comm);
    const long printed = ftell(stream);
    sum_as_one(&g, processes);
    if (ftell(stream) != printed) return 1;
    if (processes->rank == 1) {
        close_group(&g);
        open_devices(&g, (const char *const[]){"cuda:2"}, 4096);
    } else {
        p2p_comm_close(g.comm);
    }
    sum_as_one(&g, processes);
    p2p_warnings_to(NULL);
    fclose(stream);
    close_group(&g);
    return 0;
}

/* Sums of all processes pass through the host, and each process warns with the reason. */
static void one_of_two_processes_fails(void **state) {
    (void)state;
    warnings_of_two *all = forked_memory(sizeof *all);
    assert_int_equal(forked_run(2, open_as_one, all), 0);
    for (int i = 0; i < 2; i++)
        if (!strstr(all->warning[i], "ncclAllReduce failed with ncclSystemError") ||
            !strstr(all->warning[i], "reduced through host memory") || !strstr(all->warning[i], "--shm-size"))
            fail_msg("process %d warns '%s'", i, all->warning[i]);
    assert_non_null(strstr(all->warning[0], "process 1 can't use NCCL: "));
}

/* Runs a sum, and commands beside it, which don't wait for it. */
static p2p_status compute_beside(group *g, p2p_ticket *done, p2p_ticket *beside) {
    static const float value = 1;
    const p2p_op sum = collective(P2P_KIND_all_reduce, P2P_TYPE_f32, 100);
    const p2p_place place = {g->buffer[0], 0}, other = {g->buffer[0], 2048};
    p2p_ticket after;
    P2P_TRY(p2p_comm_prepare(g->comm, &sum));
    P2P_TRY(p2p_device_submit(g->device[0], &after));
    P2P_TRY(p2p_comm_run(g->comm, &sum, &place, &after, done));
    P2P_TRY(p2p_buffer_write(g->device[0], other, &value, sizeof value));
    return p2p_device_submit(g->device[0], beside);
}

/* The second process gives its part of a sum when the first has computed what it gave after its own part. */
static int compute_as_one(const p2p_processes *processes, void *context) {
    _Atomic int *computed = context;
    group g = {.count = 1, .world = 2, .rank0 = processes->rank};
    p2p_ticket done, beside;
    int waited = 0;
    open_devices(&g, two_devices + processes->rank, 4096);
    OK(p2p_comm_open(g.device, 1, 2, processes->rank, processes, &g.comm));
    while (processes->rank == 1 && !*computed && waited++ < 500)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    const bool in_time = processes->rank == 0 || *computed;
    OK(compute_beside(&g, &done, &beside));
    OK(p2p_device_wait(g.device[0], beside));
    *computed = 1;
    OK(p2p_device_wait(g.device[0], done));
    close_group(&g);
    return in_time ? 0 : 1;
}

/* Sums have streams of their own: what is computed behind the start of a sum does not wait for it. */
static void compute_goes_on(void **state) {
    (void)state;
    assert_int_equal(forked_run(2, compute_as_one, forked_memory(sizeof(_Atomic int))), 0);
}

/* In place of the C library's, also for the module. */
static _Atomic int sleeps;
int thrd_sleep(const struct timespec *duration, struct timespec *remaining) {
    sleeps++;
    return nanosleep(duration, remaining);
}

/* Whether the module, too, calls the function above. */
static bool counts_sleeps(void) {
    void *program = dlopen(NULL, RTLD_LAZY), *found = program ? dlsym(program, "thrd_sleep") : NULL;
    int (*const own)(const struct timespec *, struct timespec *) = thrd_sleep;
    if (program) dlclose(program);
    return memcmp(&found, &own, sizeof found) == 0;
}

/* The double is busy when it is first asked after a call. */
static void calls_are_polled_without_sleep(void **state) {
    (void)state;
    enum { ROUNDS = 50 };
    group g;
    open_group(&g, 2, 2, 0, 4096);
    const p2p_op sum = collective(P2P_KIND_all_reduce, P2P_TYPE_f32, 100);
    p2p_place places[2];
    p2p_ticket after[2], done[2];
    int during = 0;
    assert_true(counts_sleeps());
    for (int i = 0; i < 2; i++) {
        places[i] = (p2p_place){g.buffer[i], 0};
        OK(p2p_device_submit(g.device[i], &after[i]));
    }
    for (int round = 0; round < ROUNDS; round++) {
        const int before = sleeps;
        OK(p2p_comm_run(g.comm, &sum, places, after, done));
        during += sleeps - before;
        for (int i = 0; i < 2; i++) OK(p2p_device_wait(g.device[i], done[i]));
    }
    assert_true(during < ROUNDS / 2); /* some, if the process was interrupted */
    close_group(&g);
}

static double no_time(void) {
    return 0;
}

/* Seconds for which two queues stand still for the reductions of 100 rounds, more than are measured at once.
 */
static double stand_still(void) {
    group g;
    open_group(&g, 2, 2, 0, 400000);
    const p2p_op sum = collective(P2P_KIND_all_reduce, P2P_TYPE_f32, 100000);
    assert_true(p2p_comm_waited(g.comm) < 0); /* without a clock it is not known */
    p2p_comm_set_clock(g.comm, no_time);
    assert_true(!(p2p_comm_waited(g.comm) < 0) && !(p2p_comm_waited(g.comm) > 0));
    run_rounds(&g, &sum, 100);
    const double waited = p2p_comm_waited(g.comm);
    close_group(&g);
    return waited;
}

/* The machine's clock advances by what commands move: here while queues wait for reductions. */
static void waits_are_measured(void **state) {
    (void)state;
    const double waited = stand_still();
    assert_true(waited > 0 && waited < 1);
}

/* With seed 0 commands run as they are given: a reduction is complete when a queue comes to the wait for it.
 */
static void no_wait_is_none(void **state) {
    (void)state;
    assert_true(!(stand_still() > 0));
}

int main(int count, char **arguments) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_broadcasts),
        cmocka_unit_test(sums_repeat),
        cmocka_unit_test(what_nccl_lacks_passes_through_the_host),
        cmocka_unit_test(one_device_twice),
    };
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(no_nccl),
        cmocka_unit_test(old_nccl),
        cmocka_unit_test(nccl_fails),
        cmocka_unit_test(connecting_fails),
        cmocka_unit_test(first_sum_is_stuck),
        cmocka_unit_test(first_abort_is_stuck),
        cmocka_unit_test(first_sum_is_wrong),
        cmocka_unit_test(one_of_two_processes_fails),
        cmocka_unit_test(compute_goes_on),
        cmocka_unit_test(two_threads_wait),
        cmocka_unit_test(calls_are_polled_without_sleep),
        cmocka_unit_test(deterministic),
        cmocka_unit_test(users_algorithm_stays),
        cmocka_unit_test(two_processes),
        cmocka_unit_test(processes_need_an_address),
        cmocka_unit_test(absent_process),
        cmocka_unit_test(process_ends),
        cmocka_unit_test(lost_device_is_named),
        cmocka_unit_test(waits_are_measured),
        cmocka_unit_test(no_wait_is_none),
    };
    if (count < 2) return cmocka_run_group_tests(tests, NULL, NULL);
    for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++) {
        const struct CMUnitTest one[] = {alone[i]};
        if (strcmp(arguments[1], one[0].name) == 0) return cmocka_run_group_tests(one, NULL, NULL);
    }
    return 2;
}
