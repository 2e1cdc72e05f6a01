/* Ranks without MPI: forked processes over a double of it (support/mpi_double.h), so that sanitizers see all
 * threads of a rank. Transfers of two threads run beside each other and the heartbeats; a training of two
 * ranks has the bits of two devices; a rank that fails in the middle of transfers ends all.
 */
#include "host/sys.h"
#include "ranks/ranks.h"
#include "run/trainer.h"
#include "setup/setup_devices.h"
#include "setup/setup_memory.h"
#include "support/forked_processes.h"
#include "support/mpi_double.h"
#include "support/test_files.h"
#include "train/run/train_commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/test_expect.h"

/* Fails a forked process, which has no cmocka. */
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            dprintf(report, "%s:%d: %s; the last message: %s\n", __FILE__, __LINE__, #condition,             \
                    p2p_message());                                                                          \
            return 1;                                                                                        \
        }                                                                                                    \
    } while (0)

static const ranks_work WORK = {"train", 1};
static int report = STDERR_FILENO; /* of forked processes, whose stderr may be discarded */

/* ---- Transfers ---------------------------------------------------------------------------------------- */

enum { RANKS = 3, ROUNDS = 200, SMALL = 100, LARGE = 1 << 18 };

/* Sums of the session, by the thread of a communicator. */
typedef struct {
    const p2p_processes *processes;
    bool right;
} sums;

/* Element e is `rank` + e before the sum. */
static bool sum_is_right(const p2p_processes *processes, float *values, int64_t count) {
    const p2p_op op = {.kind = P2P_KIND_all_reduce, .t[0] = p2p_tensor_flat(P2P_TYPE_f32, count)};
    const int size = processes->size;
    for (int64_t e = 0; e < count; e++) values[e] = (float)(processes->rank + e % 64);
    if (processes->combine(processes->context, &op, values, (size_t)count * sizeof *values) != P2P_OK)
        return false;
    for (int64_t e = 0; e < count; e++)
        if (values[e] != (float)(size * (size - 1) / 2 + size * (e % 64))) return false;
    return true;
}

static void sum_all(void *context) {
    sums *s = context;
    float *values = malloc(LARGE * sizeof *values);
    s->right = values != NULL;
    for (int i = 0; i < ROUNDS && s->right; i++)
        s->right = sum_is_right(s->processes, values, i % 20 == 0 ? LARGE : SMALL);
    free(values);
}

static int transfer(const p2p_processes *processes, void *context) {
    ranks *together;
    sys_thread *thread;
    const mpi_table *table = mpi_double_table(context, processes->size, processes->rank, NULL, NULL);
    CHECK(ranks_open_with(table, &WORK, &together) == P2P_OK);
    CHECK(ranks_size(together) == RANKS && ranks_number(together) == processes->rank);
    sums s = {.processes = ranks_processes(together)};
    CHECK(sys_thread_start(&thread, sum_all, &s) == P2P_OK);
    for (int i = 0; i < ROUNDS; i++) {
        double value = processes->rank + i;
        int all[RANKS], mine = processes->rank * i;
        CHECK(ranks_add(together, &value, 1) == P2P_OK && value == 3 + 3 * i);
        CHECK(ranks_gather(together, &mine, sizeof mine, all) == P2P_OK && all[2] == 2 * i);
        CHECK(ranks_share(together, &mine, sizeof mine) == P2P_OK && mine == 0);
        if (i % 50 == 0) ranks_set_command(together, "another command");
    }
    sys_thread_join(thread);
    CHECK(s.right);
    CHECK(ranks_close(together) == P2P_OK);
    return 0;
}

static void two_threads_transfer(void **state) {
    (void)state;
    assert_int_equal(forked_run(RANKS, transfer, mpi_double_share()), 0);
}

/* ---- The memory of a machine --------------------------------------------------------------------------- */

/* All ranks are on this machine. The first two have one device in common, which the second has twice. */
static int share_memory(const p2p_processes *processes, void *context) {
    static const char *const addresses[RANKS][2] = {
        {"reference:0", "reference:1"}, {"reference:0", "reference:0"}, {"reference:2", "reference:3"}};
    static const int others[RANKS] = {2, 1, 0};
    const int rank = processes->rank;
    ranks *together;
    memory_sharing sharing;
    setup_devices devices = {.count = 2};
    const mpi_table *table = mpi_double_table(context, processes->size, rank, NULL, NULL);
    CHECK(ranks_open_with(table, &WORK, &together) == P2P_OK);
    for (int i = 0; i < 2; i++) CHECK(p2p_device_open(addresses[rank][i], &devices.list[i]) == P2P_OK);
    CHECK(setup_share_memory(together, &devices, &sharing) == P2P_OK);
    CHECK(sharing.processes == RANKS || sharing.available.scope == 0); /* ulimit of whoever runs this */
    CHECK(sharing.devices[0].others == others[rank]);
    CHECK(sharing.devices[0].processes == (others[rank] > 0 ? 2 : 1));
    CHECK(sharing.devices[1].others == (rank == 1 ? 1 : 0));
    CHECK(setup_share_memory(NULL, &devices, &sharing) == P2P_OK);
    CHECK(sharing.processes == 1 && sharing.devices[0].processes == 1 && sharing.devices[0].others == 0);
    setup_devices_close(&devices);
    CHECK(ranks_close(together) == P2P_OK);
    return 0;
}

static void ranks_of_a_machine_share_its_memory(void **state) {
    (void)state;
    assert_int_equal(forked_run(RANKS, share_memory, mpi_double_share()), 0);
}

/* ---- A training --------------------------------------------------------------------------------------- */

#define TRAINING(out, device)                                                                                \
    {                                                                                                        \
        "train", "--data", "data", "--out", out, "--device", device, "--size", "8", "--generator", "2",      \
            "--ngf", "1", "--ndf", "1", "--d-net", "pixel", "--epochs", "3", "--check-replicas", "2",        \
            "--seed", "5", NULL                                                                              \
    }

static int train(const p2p_processes *processes, void *context) {
    const char *words[] = TRAINING("ranks", processes->rank == 0 ? "reference:0" : "reference:1");
    ranks *together;
    settings all;
    int count = 0;
    while (words[count]) count++;
    report = dup(STDERR_FILENO);
    CHECK(freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr));
    const mpi_table *table = mpi_double_table(context, processes->size, processes->rank, NULL, NULL);
    CHECK(settings_parse(&all, COMMAND_TRAIN, count, words) == P2P_OK);
    CHECK(ranks_open_with(table, &WORK, &together) == P2P_OK);
    /* Rank 0 makes the folder when all have looked whether there is one. */
    if (processes->rank == 1) sys_sleep(1);
    const bool early = processes->rank == 1 && access("ranks", F_OK) == 0;
    CHECK(trainer_run(&all, together) == P2P_OK);
    CHECK(ranks_close(together) == P2P_OK);
    CHECK(!early);
    settings_free(&all);
    return 0;
}

static void expect_same_file(const char *name) {
    size_t size[2];
    uint8_t *one = test_file_read(test_path("devices", name), &size[0]);
    uint8_t *other = test_file_read(test_path("ranks", name), &size[1]);
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(one, other, size[0]);
    free(one);
    free(other);
}

static void ranks_equal_devices(void **state) {
    (void)state;
    static const test_command devices = {COMMAND_TRAIN, command_train,
                                         TRAINING("devices", "reference:0,reference:1")};
    assert_int_equal(forked_run(2, train, mpi_double_share()), 0);
    OK(test_command_run(&devices, NULL));
    test_expect_same_log("devices", "ranks");
    expect_same_file("generator.safetensors");
    expect_same_file("discriminator.safetensors");
}

/* ---- A failure ---------------------------------------------------------------------------------------- */

/* Transfers until the others end; rank 1 fails after some. */
static int fail_early(const p2p_processes *processes, void *context) {
    ranks *together;
    const mpi_table *table = mpi_double_table(context, processes->size, processes->rank, NULL, NULL);
    report = dup(STDERR_FILENO);
    CHECK(freopen("/dev/null", "w", stderr));
    CHECK(ranks_open_with(table, &WORK, &together) == P2P_OK);
    for (int i = 0;; i++) {
        double value = 1;
        if (i == 20 && processes->rank == 1) ranks_fail(together, p2p_fail(P2P_INPUT, "a bad picture"));
        CHECK(ranks_add(together, &value, 1) == P2P_OK);
    }
}

/* ---- Other builds and commands ------------------------------------------------------------------------ */

/* All ranks find it, and name it. */
static int differ_in_work(const p2p_processes *processes, const ranks_work *work, void *context,
                          const char *words) {
    ranks *together;
    const mpi_table *table = mpi_double_table(context, processes->size, processes->rank, NULL, NULL);
    CHECK(ranks_open_with(table, work, &together) == P2P_USAGE);
    CHECK(strstr(p2p_message(), words));
    return 0;
}

static int differ_in_build(const p2p_processes *processes, void *context) {
    const ranks_work work = {"train", processes->rank == 1 ? 1 : 2};
    return differ_in_work(processes, &work, context, "runs another build of p2p (");
}

static int differ_in_command(const p2p_processes *processes, void *context) {
    const ranks_work work = {processes->rank == 2 ? "bench" : "train", 1};
    return differ_in_work(processes, &work, context, "was started with p2p bench, and rank 0");
}

static void other_work_is_refused(void **state) {
    (void)state;
    assert_int_equal(forked_run(RANKS, differ_in_build, mpi_double_share()), 0);
    assert_int_equal(forked_run(RANKS, differ_in_command, mpi_double_share()), 0);
}

static void a_failure_ends_all(void **state) {
    (void)state;
    assert_int_equal(forked_run(RANKS, fail_early, mpi_double_share()), RANKS);
}

/* ---- An MPI that does not end ------------------------------------------------------------------------- */

static int finish_never(void) {
    while (getppid() > 0) sys_sleep(60);
    return 0;
}

static int close_without_end(const p2p_processes *processes, void *context) {
    ranks *together;
    mpi_table table = *mpi_double_table(context, processes->size, processes->rank, NULL, NULL);
    table.finish = finish_never;
    alarm(30);
    setenv("P2P_RANK_TIMEOUT", "3", 1);
    CHECK(ranks_open_with(&table, &WORK, &together) == P2P_OK);
    CHECK(ranks_close(together) == P2P_OK);
    return 0;
}

static void an_end_is_not_awaited_forever(void **state) {
    (void)state;
    assert_int_equal(forked_run(RANKS, close_without_end, mpi_double_share()), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_threads_transfer),
        cmocka_unit_test(a_failure_ends_all),
        cmocka_unit_test(other_work_is_refused),
        cmocka_unit_test(ranks_of_a_machine_share_its_memory),
        cmocka_unit_test(an_end_is_not_awaited_forever),
        cmocka_unit_test_setup_teardown(ranks_equal_devices, test_pairs_make, test_pairs_remove)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
