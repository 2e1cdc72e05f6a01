/* The double of NCCL sums in the documented orders, over the devices of one process and over processes; what
 * would hang is refused or ends with an asynchronous error; a communicator that does not block enqueues
 * nothing until it was queried.
 *
 *     test_nccl_double
 *     test_nccl_double RANK RANKS sum|die|leave    one rank of a communicator of NCCL_COMM_ID, for the tests
 * themselves
 */
#include "double_test.h"

#include <nccl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COUNT = 1000 };
static ncclComm_t comm[TEST_DEVICES];
static CUdeviceptr memory[TEST_DEVICES], result[TEST_DEVICES];
static float value[TEST_DEVICES][COUNT];

static cudaStream_t stream_of(int device) {
    return (cudaStream_t)test_devices[device].stream;
}

static ncclResult_t init(int ranks, const ncclUniqueId *id, int rank, int blocking) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = blocking;
    test_enter(rank);
    return ncclCommInitRankConfig(&comm[rank], ranks, *id, rank, &config);
}

/* Ranks on devices 0 to ranks - 1, all of this thread, with memory. */
static void open_ranks(int ranks, int blocking) {
    ncclUniqueId id;
    OK(ncclGetUniqueId(&id));
    OK(ncclGroupStart());
    for (int i = 0; i < ranks; i++) OK(init(ranks, &id, i, blocking));
    const ncclResult_t ended = ncclGroupEnd();
    assert_true(ended == ncclSuccess || (!blocking && ended == ncclInProgress));
    for (int i = 0; i < ranks; i++) {
        ncclResult_t state;
        do OK(ncclCommGetAsyncError(comm[i], &state));
        while (state == ncclInProgress);
        OK(state);
        test_enter(i);
        test_fill(value[i], COUNT, (uint32_t)i + 1);
        memory[i] = test_floats(value[i], COUNT, false);
        result[i] = test_memory(COUNT * sizeof(float));
    }
}

static void wait_for_all(int ranks) {
    for (int i = 0; i < ranks; i++) {
        test_enter(i);
        OK(cuStreamSynchronize(test_devices[i].stream));
    }
}

static void close_ranks(int ranks) {
    wait_for_all(ranks);
    for (int i = 0; i < ranks; i++) {
        OK(ncclCommFinalize(comm[i]));
        OK(ncclCommDestroy(comm[i]));
    }
    test_release();
}

static ncclResult_t reduce(int rank, size_t count) {
    return ncclAllReduce(test_pointer(memory[rank]), test_pointer(result[rank]), count, ncclFloat32, ncclSum,
                         comm[rank], stream_of(rank));
}

static void reduce_all(int ranks, size_t count) {
    OK(ncclGroupStart());
    for (int i = 0; i < ranks; i++) OK(reduce(i, count));
    OK(ncclGroupEnd());
}

/* A sum that begins at a rank and goes round. */
static float round_sum(int first, int step, int ranks, int i) {
    float sum = value[first][i];
    for (int n = 1; n < ranks; n++) sum += value[(first + n * step + 16 * ranks) % ranks][i];
    return sum;
}

/* ---- Sums ---------------------------------------------------------------------------------------------- */

/* Each part of a ring begins at another rank: bits depend on the cut from three ranks on. */
static void test_orders(void **state) {
    (void)state;
    setenv("NCCL_ALGO", "Ring", 1);
    for (int ranks = 2; ranks <= 4; ranks++) {
        float sum[COUNT];
        int differing = 0;
        open_ranks(ranks, 1);
        reduce_all(ranks, COUNT);
        for (int r = ranks - 1; r >= 0; r--) {
            test_read(r, result[r], sum, COUNT, false);
            for (int i = 0; i < COUNT; i++) {
                const int part = (COUNT + ranks - 1) / ranks;
                assert_float_equal(sum[i], round_sum((i / part + 1) % ranks, 1, ranks, i), 0);
                differing += r == 0 && sum[i] != round_sum(0, 1, ranks, i);
            }
        }
        assert_true(ranks == 2 ? differing == 0 : differing > 0);
        /* The same numbers in another cut. */
        reduce_all(ranks, COUNT / 2);
        float half[COUNT / 2];
        test_read(0, result[0], half, COUNT / 2, false);
        assert_true((memcmp(half, sum, sizeof half) != 0) == (ranks > 2));
        close_ranks(ranks);
    }
    unsetenv("NCCL_ALGO");
    open_ranks(4, 1);
    reduce_all(4, COUNT); /* small: a tree */
    float sum[COUNT];
    test_read(3, result[3], sum, COUNT, false);
    for (int i = 0; i < COUNT; i++)
        assert_float_equal(sum[i], (value[0][i] + value[1][i]) + (value[2][i] + value[3][i]), 0);
    setenv("P2P_MACHINE_NCCL", "order:reversed,limit:1", 1);
    reduce_all(4, COUNT);
    test_read(0, result[0], sum, COUNT, false);
    for (int i = 0; i < COUNT; i++) assert_float_equal(sum[i], round_sum(3, -1, 4, i), 0);
    setenv("P2P_MACHINE_NCCL", "limit:1", 1);
    close_ranks(4);
}

/* Large sums by NVLS begin at another rank in each call, unless NVLS is excluded in one of two ways. */
static void test_switches(void **state) {
    (void)state;
    static const struct {
        const char *name, *value;
        bool repeats;
    } settings[] = {{"NCCL_ALGO", "^NVLS,NVLSTree", true},
                    {"NCCL_NVLS_ENABLE", "0", true},
                    {"NCCL_ALGO", "nvls,Ring", false},
                    {"NCCL_ALGO", "tree", true}};
    enum { MANY = 5000 };
    static float sum[2][MANY];
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        CUdeviceptr big[4];
        setenv(settings[i].name, settings[i].value, 1);
        open_ranks(4, 1);
        for (int call = 0; call < 2; call++) {
            OK(ncclGroupStart());
            for (int r = 0; r < 4; r++) {
                static float many[MANY];
                test_enter(r);
                test_fill(many, MANY, (uint32_t)r + 1);
                big[r] = test_floats(many, MANY, false);
                OK(ncclAllReduce(test_pointer(big[r]), test_pointer(big[r]), MANY, ncclFloat32, ncclSum,
                                 comm[r], stream_of(r)));
            }
            OK(ncclGroupEnd());
            test_read(2, big[2], sum[call], MANY, false);
        }
        assert_true((memcmp(sum[0], sum[1], sizeof sum[0]) == 0) == settings[i].repeats);
        close_ranks(4);
        unsetenv(settings[i].name);
    }
}

/* Since 2.24 unknown names are errors, and a broadcast needs rings. */
static void test_names_of_algorithms(void **state) {
    (void)state;
    ncclUniqueId id;
    OK(ncclGetUniqueId(&id));
    setenv("NCCL_ALGO", "^NVLS,Switch", 1);
    setenv("P2P_MACHINE_NCCL", "version:2.24.3,limit:1", 1);
    assert_int_equal(init(1, &id, 0, 1), ncclInvalidUsage);
    assert_non_null(strstr(ncclGetLastError(NULL), "has an unknown name"));
    setenv("P2P_MACHINE_NCCL", "version:2.18.1,limit:1", 1);
    open_ranks(1, 1);
    setenv("NCCL_ALGO", "Tree", 1);
    assert_int_equal(ncclBroadcast(test_pointer(memory[0]), test_pointer(result[0]), 4, ncclUint8, 0, comm[0],
                                   stream_of(0)),
                     ncclInvalidUsage);
    OK(reduce(0, 4));
    close_ranks(1);
    unsetenv("NCCL_ALGO");
    setenv("P2P_MACHINE_NCCL", "limit:1", 1);
}

/* bf16 is rounded at each addition; broadcasts copy the root's bytes; in place. */
static void test_types(void **state) {
    (void)state;
    float sum[COUNT];
    open_ranks(3, 1);
    CUdeviceptr narrow[3];
    for (int i = 0; i < 3; i++) {
        test_enter(i);
        narrow[i] = test_floats(value[i], COUNT, true);
    }
    OK(ncclGroupStart());
    for (int i = 0; i < 3; i++)
        OK(ncclAllReduce(test_pointer(narrow[i]), test_pointer(narrow[i]), COUNT, ncclBfloat16, ncclSum,
                         comm[i], stream_of(i)));
    for (int i = 0; i < 3; i++)
        OK(ncclBroadcast(test_pointer(memory[i]), test_pointer(result[i]), COUNT * 4, ncclUint8, 2, comm[i],
                         stream_of(i)));
    OK(ncclGroupEnd());
    for (int r = 0; r < 3; r++) {
        test_read(r, narrow[r], sum, COUNT, true);
        for (int i = 0; i < COUNT; i++) /* a tree of three: 0 + (1 + 2) */
            assert_float_equal(sum[i],
                               test_bf16(test_bf16(value[0][i]) +
                                         test_bf16(test_bf16(value[1][i]) + test_bf16(value[2][i]))),
                               0);
        test_read(r, result[r], sum, COUNT, false);
        assert_memory_equal(sum, value[2], sizeof sum);
    }
    close_ranks(3);
}

/* Until its state was queried twice, nothing is in the stream. */
static void test_not_blocking(void **state) {
    (void)state;
    ncclResult_t found;
    float sum[COUNT];
    open_ranks(2, 0);
    OK(ncclGroupStart());
    for (int i = 0; i < 2; i++) OK(reduce(i, COUNT));
    assert_int_equal(ncclGroupEnd(), ncclInProgress);
    test_enter(1);
    OK(cuStreamSynchronize(test_devices[1].stream));
    OK(ncclGroupStart());
    (void)reduce(0, COUNT);
    REFUSED(ncclGroupEnd(), "has not finished");
    for (int i = 0; i < 2; i++) {
        OK(ncclCommGetAsyncError(comm[i], &found));
        assert_int_equal(found, ncclInProgress);
        OK(ncclCommGetAsyncError(comm[i], &found));
        assert_int_equal(found, ncclSuccess);
    }
    test_read(0, result[0], sum, COUNT, false);
    assert_float_equal(sum[5], value[0][5] + value[1][5], 0);
    test_read(1, result[1], sum, COUNT, false);
    for (int i = 0; i < 2; i++) assert_int_equal(ncclCommFinalize(comm[i]), ncclInProgress);
    REFUSED(ncclCommDestroy(comm[0]), "has not finished");
    for (int i = 0; i < 2; i++) {
        do OK(ncclCommGetAsyncError(comm[i], &found));
        while (found == ncclInProgress);
        OK(ncclCommDestroy(comm[i]));
    }
    test_release();
}

/* ---- Refusals ------------------------------------------------------------------------------------------ */

static ncclResult_t reduce_with(int rank, CUdeviceptr from, CUdeviceptr to, ncclDataType_t type,
                                ncclRedOp_t op, cudaStream_t stream) {
    OK(ncclGroupStart());
    const ncclResult_t called =
        ncclAllReduce(test_pointer(from), test_pointer(to), COUNT, type, op, comm[rank], stream);
    const ncclResult_t ended = ncclGroupEnd();
    assert_int_equal(called, ended); /* a group fails as its first failure */
    return called;
}

static void test_refusals(void **state) {
    (void)state;
    open_ranks(2, 1);
    test_enter(0);
    const CUdeviceptr own = memory[0], far = memory[1], to = result[0];
    REFUSED(reduce(0, COUNT), "outside a group");
    OK(ncclGroupStart());
    OK(reduce(0, COUNT));
    REFUSED(ncclGroupEnd(), "not as many of each rank");
    REFUSED(ncclGroupEnd(), "no group was started");
    REFUSED(reduce_with(0, far, to, ncclFloat32, ncclSum, stream_of(0)),
            "the data of rank 0 is not in memory of device 0");
    REFUSED(reduce_with(0, own, far, ncclFloat32, ncclSum, stream_of(0)),
            "the result of rank 0 is not in memory");
    REFUSED(reduce_with(0, own, to, ncclFloat64, ncclSum, stream_of(0)), "is longer than its memory");
    REFUSED(reduce_with(0, own, to, ncclFloat32, ncclMax, stream_of(0)), "operation 2");
    REFUSED(reduce_with(0, own, to, ncclFloat16, ncclSum, stream_of(0)), "type 6");
    REFUSED(reduce_with(0, own, own + 4, ncclUint8, ncclSum, stream_of(0)), "type 1");
    REFUSED(reduce_with(0, own, own + 4, ncclBfloat16, ncclSum, stream_of(0)), "overlap");
    REFUSED(reduce_with(0, own + 1, to, ncclBfloat16, ncclSum, stream_of(0)), "is not aligned");
    REFUSED(reduce_with(0, own, to, ncclFloat32, ncclSum, stream_of(1)),
            "the stream is of device 1, rank 0 of 0");
    REFUSED(reduce_with(0, own, to, ncclFloat32, ncclSum, NULL), "the stream is of device -1");
    OK(ncclGroupStart());
    REFUSED(ncclBroadcast(test_pointer(own), test_pointer(to), COUNT, ncclFloat32, 2, comm[0], stream_of(0)),
            "the root is 2");
    assert_int_not_equal(ncclGroupEnd(), 0);
    reduce_all(2, COUNT);
    REFUSED(ncclCommFinalize(comm[0]), "under way");
    REFUSED(ncclCommDestroy(comm[0]), "under way");
    wait_for_all(2);
    OK(ncclCommFinalize(comm[0]));
    REFUSED(ncclCommFinalize(comm[0]), "or finalized");
    OK(ncclCommDestroy(comm[0]));
    REFUSED(ncclCommDestroy(comm[0]), "a communicator that was destroyed");
    OK(ncclCommFinalize(comm[1]));
    OK(ncclCommDestroy(comm[1]));
    test_release();
}

static void test_bad_openings(void **state) {
    (void)state;
    ncclUniqueId id, blank = {{0}};
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    OK(ncclGetUniqueId(&id));
    test_enter(0);
    REFUSED(ncclCommInitRank(&comm[0], 2, blank, 0), "no identifier");
    REFUSED(ncclCommInitRank(&comm[0], 2, id, 2), "rank 2 of 2");
    config.magic = 1;
    REFUSED(ncclCommInitRankConfig(&comm[0], 2, id, 0, &config), "NCCL_CONFIG_INITIALIZER");
    REFUSED(ncclCommInitRank(&comm[0], 2, id, 0), "rank 0 has waited for rank 1"); /* outside a group */
    OK(ncclCommAbort(comm[0]));
    /* Two ranks on one device. */
    OK(ncclGroupStart());
    for (int i = 0; i < 2; i++) OK(ncclCommInitRank(&comm[i], 2, id, i));
    REFUSED(ncclGroupEnd(), "ranks 0 and 1 are on one device");
    for (int i = 0; i < 2; i++) OK(ncclCommAbort(comm[i]));
    /* Ranks that disagree on their number; a rank that joins twice. */
    OK(ncclGetUniqueId(&id));
    OK(ncclGroupStart());
    OK(init(3, &id, 0, 1));
    REFUSED(init(2, &id, 1, 1), "others say 3");
    ncclComm_t first = comm[0];
    REFUSED(init(3, &id, 0, 1), "rank 0 is there twice");
    assert_int_not_equal(ncclGroupEnd(), 0);
    OK(ncclCommAbort(first));
    test_enter(0);
}

static void *use_communicator(void *data) {
    (void)data;
    test_enter(0);
    const double begun = test_clock();
    for (int i = 0; test_unrefused(begun); i++) {
        reduce(0, 16);
        if (i % 16 == 15) cuStreamSynchronize(test_devices[0].stream);
    }
    return NULL;
}

static pthread_barrier_t both;

static void *abort_communicator(void *data) {
    (void)data;
    test_enter(0);
    pthread_barrier_wait(&both);
    ncclCommAbort(comm[0]);
    return NULL;
}

static void in_two_threads(void *(*body)(void *)) {
    pthread_t thread[2];
    for (int i = 0; i < 2; i++) OK(pthread_create(&thread[i], NULL, body, NULL));
    for (int i = 0; i < 2; i++) OK(pthread_join(thread[i], NULL));
    test_enter(0);
}

/* Two threads use a communicator at once, or abort it: the second one either while the first does, or too
 * late. */
static void test_two_threads(void **state) {
    (void)state;
    open_ranks(1, 1);
    in_two_threads(use_communicator);
    assert_refused("another thread is using the communicator");
    close_ranks(1);
    OK(pthread_barrier_init(&both, NULL, 2));
    bool found = false;
    for (int i = 0; i < 50 && !found; i++) {
        open_ranks(1, 1);
        in_two_threads(abort_communicator);
        found = strstr(machine_last_refusal(), "rank 0 is aborted twice") != NULL;
        machine_forgive();
        test_release();
    }
    assert_true(found);
    OK(pthread_barrier_destroy(&both));
}

/* The first rank's count or kind is another than the second's. */
static void test_mismatches(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        ncclResult_t found;
        open_ranks(2, 1);
        OK(ncclGroupStart());
        OK(reduce(0, COUNT));
        OK(kind == 0 ? reduce(1, COUNT - 1)
                     : ncclBroadcast(test_pointer(memory[1]), test_pointer(result[1]), COUNT, ncclFloat32, 0,
                                     comm[1], stream_of(1)));
        OK(ncclGroupEnd());
        wait_for_all(2);
        assert_refused("type 7 (operation 0, root 0), rank");
        OK(ncclCommGetAsyncError(comm[0], &found));
        assert_int_equal(found, ncclInvalidUsage);
        for (int i = 0; i < 2; i++) OK(ncclCommAbort(comm[i]));
        test_release();
    }
}

/* ---- Absent ranks -------------------------------------------------------------------------------------- */

typedef struct {
    ncclUniqueId id;
    pthread_barrier_t opened, called;
    bool calls;
} other_rank;

/* Rank 1, in a thread of its own. */
static void *be_rank_1(void *data) {
    other_rank *other = data;
    OK(init(2, &other->id, 1, 1));
    test_fill(value[1], COUNT, 2);
    memory[1] = test_floats(value[1], COUNT, false);
    result[1] = test_memory(COUNT * sizeof(float));
    pthread_barrier_wait(&other->opened);
    if (other->calls) OK(reduce(1, COUNT));
    pthread_barrier_wait(&other->called);
    if (other->calls) OK(cuStreamSynchronize(test_devices[1].stream));
    return NULL;
}

/* Opens two ranks in two threads; the thread may end. */
static void open_two_threads(other_rank *other, pthread_t *thread) {
    OK(ncclGetUniqueId(&other->id));
    OK(pthread_barrier_init(&other->opened, NULL, 2));
    OK(pthread_barrier_init(&other->called, NULL, 2));
    OK(pthread_create(thread, NULL, be_rank_1, other));
    OK(init(2, &other->id, 0, 1));
    pthread_barrier_wait(&other->opened);
    test_enter(0);
    test_fill(value[0], COUNT, 1);
    memory[0] = test_floats(value[0], COUNT, false);
    result[0] = test_memory(COUNT * sizeof(float));
}

/* Threads need no group. */
static void test_threads(void **state) {
    (void)state;
    other_rank other = {.calls = true};
    pthread_t thread;
    float sum[COUNT];
    setenv("P2P_MACHINE_NCCL", "limit:60", 1);
    open_two_threads(&other, &thread);
    OK(reduce(0, COUNT));
    pthread_barrier_wait(&other.called);
    test_read(0, result[0], sum, COUNT, false);
    assert_float_equal(sum[7], value[0][7] + value[1][7], 0);
    OK(pthread_join(thread, NULL));
    close_ranks(2);
    setenv("P2P_MACHINE_NCCL", "limit:1", 1);
}

static void test_absent(void **state) {
    (void)state;
    other_rank other = {.calls = false};
    pthread_t thread;
    ncclResult_t found;
    setenv("P2P_MACHINE_NCCL", "limit:60", 1);
    open_two_threads(&other, &thread);
    setenv("P2P_MACHINE_NCCL", "limit:1", 1);
    pthread_barrier_wait(&other.called);
    OK(pthread_join(thread, NULL));
    OK(reduce(0, COUNT));
    cuStreamSynchronize(test_devices[0].stream);
    assert_refused("rank 0 has waited for rank 1 for 1 s");
    OK(ncclCommGetAsyncError(comm[0], &found));
    assert_int_equal(found, ncclInternalError);
    for (int i = 0; i < 2; i++) OK(ncclCommAbort(comm[i]));
    test_release();
}

static void *abort_rank_0(void *data) {
    (void)data;
    const struct timespec pause = {.tv_nsec = 50000000};
    nanosleep(&pause, NULL);
    ncclCommAbort(comm[0]);
    return NULL;
}

/* Another thread's abort ends the wait. */
static void test_abort(void **state) {
    (void)state;
    other_rank other = {.calls = false};
    pthread_t thread;
    setenv("P2P_MACHINE_NCCL", "limit:60", 1);
    open_two_threads(&other, &thread);
    pthread_barrier_wait(&other.called);
    OK(pthread_join(thread, NULL));
    OK(reduce(0, COUNT));
    OK(pthread_create(&thread, NULL, abort_rank_0, NULL));
    OK(cuStreamSynchronize(test_devices[0].stream));
    OK(pthread_join(thread, NULL));
    OK(ncclCommAbort(comm[1]));
    test_release();
    setenv("P2P_MACHINE_NCCL", "limit:1", 1);
}

/* ---- Processes ----------------------------------------------------------------------------------------- */

static const char *program;

static pid_t start_rank(int rank, int ranks, const char *mode) {
    char number[16], all[16];
    snprintf(number, sizeof number, "%d", rank);
    snprintf(all, sizeof all, "%d", ranks);
    const pid_t child = fork();
    if (child == 0) {
        execl(program, program, number, all, mode, (char *)NULL);
        _exit(99);
    }
    return child;
}

static void set_address(void) {
    static int made;
    char address[64];
    snprintf(address, sizeof address, "machine:%ld-%d", (long)getpid(), ++made);
    setenv("NCCL_COMM_ID", address, 1);
    setenv("P2P_MACHINE_NCCL", "limit:60", 1);
}

/* Makes this process's rank, with its memory. */
static void join(int rank, int ranks) {
    ncclUniqueId id;
    OK(ncclGetUniqueId(&id));
    OK(init(ranks, &id, rank, 1));
    for (int i = 0; i < ranks; i++) test_fill(value[i], COUNT, (uint32_t)i + 1);
    memory[rank] = test_floats(value[rank], COUNT, false);
    result[rank] = test_memory(COUNT * sizeof(float));
}

/* Several collectives in a row. */
static void sum_in_processes(int rank, int ranks) {
    float sum[COUNT];
    for (int n = 0; n < 20; n++) {
        OK(reduce(rank, COUNT));
        if (n % 7 == 0) OK(cuStreamSynchronize(test_devices[rank].stream));
    }
    test_read(rank, result[rank], sum, COUNT, false);
    for (int i = 0; i < COUNT; i++) {
        const float tree = ranks == 3 ? value[0][i] + (value[1][i] + value[2][i]) : value[0][i] + value[1][i];
        assert_float_equal(sum[i], tree, 0);
    }
    OK(ncclCommFinalize(comm[rank]));
    OK(ncclCommDestroy(comm[rank]));
}

static void test_processes(void **state) {
    (void)state;
    pid_t child[2];
    set_address();
    for (int i = 0; i < 2; i++) child[i] = start_rank(i + 1, 3, "sum");
    join(0, 3);
    sum_in_processes(0, 3);
    for (int i = 0; i < 2; i++) {
        int status;
        waitpid(child[i], &status, 0);
        assert_int_equal(status, 0);
    }
    test_release();
    unsetenv("NCCL_COMM_ID");
    setenv("P2P_MACHINE_NCCL", "limit:1", 1);
}

/* A rank whose process is killed: an asynchronous error, or nothing, until this rank is aborted. */
static void test_killed(void **state) {
    (void)state;
    for (int silent = 0; silent < 2; silent++) {
        ncclResult_t found = ncclSuccess;
        pthread_t thread;
        int status;
        set_address();
        if (silent) setenv("P2P_MACHINE_NCCL", "limit:60,killed:silent", 1);
        const pid_t child = start_rank(1, 2, "die");
        join(0, 2);
        OK(reduce(0, COUNT));
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        for (int i = 0; i < 200 && found == ncclSuccess; i++) {
            assert_int_equal(cuStreamQuery(test_devices[0].stream), CUDA_ERROR_NOT_READY);
            OK(ncclCommGetAsyncError(comm[0], &found));
        }
        assert_int_equal(found, silent ? ncclSuccess : ncclRemoteError);
        OK(pthread_create(&thread, NULL, abort_rank_0, NULL));
        OK(cuStreamSynchronize(test_devices[0].stream));
        OK(pthread_join(thread, NULL));
        test_release();
    }
    unsetenv("NCCL_COMM_ID");
    setenv("P2P_MACHINE_NCCL", "limit:1", 1);
}

/* A rank that is killed before all have joined leaves nothing that disturbs the next ones. */
static void test_stale(void **state) {
    (void)state;
    int status;
    set_address();
    const pid_t child = start_rank(1, 3, "leave");
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    const pid_t second = start_rank(1, 2, "sum");
    join(0, 2);
    sum_in_processes(0, 2);
    waitpid(second, &status, 0);
    assert_int_equal(status, 0);
    test_release();
    unsetenv("NCCL_COMM_ID");
    setenv("P2P_MACHINE_NCCL", "limit:1", 1);
}

/* ---- All ----------------------------------------------------------------------------------------------- */

static int child_rank, child_ranks;
static const char *child_mode;

static void test_as_child(void **state) {
    (void)state;
    if (strcmp(child_mode, "leave") == 0) {
        ncclUniqueId id;
        OK(ncclGetUniqueId(&id));
        assert_int_equal(init(child_ranks, &id, child_rank, 0), ncclInProgress);
        raise(SIGKILL);
    }
    join(child_rank, child_ranks);
    if (strcmp(child_mode, "die") == 0) raise(SIGKILL);
    sum_in_processes(child_rank, child_ranks);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_orders),
                                       cmocka_unit_test(test_switches),
                                       cmocka_unit_test(test_names_of_algorithms),
                                       cmocka_unit_test(test_types),
                                       cmocka_unit_test(test_not_blocking),
                                       cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_two_threads),
                                       cmocka_unit_test(test_bad_openings),
                                       cmocka_unit_test(test_mismatches),
                                       cmocka_unit_test(test_threads),
                                       cmocka_unit_test(test_absent),
                                       cmocka_unit_test(test_abort),
                                       cmocka_unit_test(test_processes),
                                       cmocka_unit_test(test_killed),
                                       cmocka_unit_test(test_stale)};
    const struct CMUnitTest child[] = {cmocka_unit_test(test_as_child)};
    program = argv[0];
    if (argc < 4) return cmocka_run_group_tests(tests, test_open, test_close);
    child_rank = atoi(argv[1]);
    child_ranks = atoi(argv[2]);
    child_mode = argv[3];
    return cmocka_run_group_tests(child, test_open, test_close);
}
