/* Sums over ranks on machines, by a double of MPI: the bits of additions in the order of ranks, for any ranks
 * per machine, types and sizes, also if ranks divide a tensor differently; and as many bytes between machines
 * as are documented. Sends end when they are received, so that ranks which wait for each other hang here.
 */
#include "ranks/ranks_add.h"

#include "host/sys.h"
#include "p2p_processes.h"
#include "ranks/ranks_mpi.h"
#include "support/forked_processes.h"
#include "support/mpi_double.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/test_expect.h"

enum { LIMIT = 100 /* seconds, after which ranks that hang have failed */, MOST_MEASURED = 64 };

/* How ranks are placed, and the bytes of a tensor's sums that each sends to other machines, by those of a
 * slice. */
typedef struct {
    int size;
    int leaders[MPI_DOUBLE_MOST];
    bool chained;
    int sends[MPI_DOUBLE_MOST]; /* slices, up and down together */
    int slices;
} placing;

static const placing placings[] = {
    {4, {0, 0, 2, 2}, true, {1, 1, 1, 1}, 2},
    {6, {0, 0, 2, 2, 4, 4}, true, {1, 1, 2, 2, 1, 1}, 2},
    {6, {0, 0, 0, 3, 3, 3}, true, {1, 1, 1, 1, 1, 1}, 3},
    {5, {0, 0, 2, 3, 3}, true, {1, 0, 2, 1, 0}, 1}, /* machines of two, one and two */
    {3, {0, 0, 0}, false, {0}, 3},
    {3, {0, 1, 2}, false, {0}, 3},
    {4, {0, 1, 0, 1}, false, {0}, 4}, /* ranks that alternate between machines */
};

static const placing *placed;

enum { PERIOD = 97 };

/* Numbers whose sum depends on the order of additions, and which repeat. */
static double value(int rank, int element) {
    return (element - 31.25) * (rank % 3 == 1 ? 1e8 : rank % 3 == 2 ? -1e-3 : 1) + 0.1 * rank;
}

static void store(p2p_type type, double number, unsigned char *to) {
    const p2p_tensor one = p2p_tensor_flat(type, 1);
    p2p_tensor_pack(&one, &number, P2P_TYPE_f64, to);
}

static void repeat(unsigned char *values, size_t element, int64_t elements) {
    for (int64_t e = PERIOD; e < elements; e++)
        memcpy(values + (size_t)e * element, values + (size_t)(e % PERIOD) * element, element);
}

/* `values` has room for PERIOD elements at least. */
static void fill(p2p_type type, int rank, int64_t elements, unsigned char *values) {
    const size_t element = p2p_type_bytes(type);
    for (int e = 0; e < PERIOD; e++) store(type, value(rank, e), values + (size_t)e * element);
    repeat(values, element, elements);
}

/* The sum in order, rounded once. */
static void store_sum(p2p_type type, int ranks, int number, unsigned char *to) {
    const p2p_tensor one = p2p_tensor_flat(type, 1);
    double wide = 0;
    float narrow = 0;
    for (int r = 0; r < ranks; r++) {
        unsigned char stored[8];
        double part;
        store(type, value(r, number), stored);
        p2p_tensor_unpack(&one, stored, &part, P2P_TYPE_f64);
        wide = r == 0 ? part : wide + part;
        narrow = r == 0 ? (float)part : narrow + (float)part;
    }
    store(type, type == P2P_TYPE_f64 ? wide : (double)narrow, to);
}

static void fill_sums(p2p_type type, int ranks, int64_t elements, unsigned char *values) {
    const size_t element = p2p_type_bytes(type);
    for (int e = 0; e < PERIOD; e++) store_sum(type, ranks, e, values + (size_t)e * element);
    repeat(values, element, elements);
}

/* Rank 1 gives the tensor as a whole, the others give it in parts. */
static p2p_status add_tensor(ranks_adder *adder, int rank, p2p_type type, unsigned char *values,
                             size_t bytes) {
    for (size_t done = 0; done < bytes;) {
        const size_t left = bytes - done;
        const size_t now = rank == 1 || left < P2P_PROCESSES_PIECE ? left : P2P_PROCESSES_PIECE;
        P2P_TRY(ranks_adder_add(adder, type, values + done, now));
        done += now;
    }
    return P2P_OK;
}

static int add_one(const p2p_processes *processes, ranks_adder *adder, p2p_type type, int64_t elements) {
    const size_t element = p2p_type_bytes(type), bytes = (size_t)elements * element;
    const int wide = type == P2P_TYPE_bf16 ? 2 : 1; /* partial sums are in float32 */
    const uint64_t before = ranks_adder_sent(adder);
    unsigned char *values = malloc(bytes + PERIOD * element), *expected = malloc(bytes + PERIOD * element);
    FORKED_CHECK(values && expected);
    fill(type, processes->rank, elements, values);
    fill_sums(type, processes->size, elements, expected);
    FORKED_CHECK(add_tensor(adder, processes->rank, type, values, bytes) == P2P_OK);
    FORKED_CHECK(memcmp(values, expected, bytes) == 0);
    const uint64_t sent = ranks_adder_sent(adder) - before;
    const double slices = (double)sent * placed->slices / (double)bytes;
    const int sends = placed->sends[processes->rank];
    FORKED_CHECK(elements < 1000 || (slices > sends - 0.01 && slices < sends * wide + 0.01));
    free(values);
    free(expected);
    return 0;
}

static int add_all(const p2p_processes *processes, void *context) {
    ranks_adder *adder;
    static const int64_t counts[] = {1, 7, 131072, 131073, 1200000};
    const p2p_type types[] = {P2P_TYPE_f32, P2P_TYPE_bf16, P2P_TYPE_f64};
    int failed = 0;
    alarm(LIMIT);
    mpi_double_machines(placed->leaders);
    const mpi_table *table = mpi_double_table(context, processes->size, processes->rank, NULL, NULL);
    FORKED_CHECK(ranks_mpi_start(table, 10, 20) == P2P_OK);
    FORKED_CHECK(ranks_adder_create(ranks_mpi_place(), placed->leaders, &adder) == P2P_OK);
    FORKED_CHECK(ranks_adder_is_chained(adder) == placed->chained);
    for (int t = 0; t < 3; t++)
        for (int c = 0; c < (t == 0 ? 5 : 4) && failed == 0; c++)
            failed = add_one(processes, adder, types[t], counts[c]);
    FORKED_CHECK(failed == 0);
    ranks_adder_destroy(adder);
    FORKED_CHECK(ranks_mpi_finish(20) == P2P_OK);
    return 0;
}

/* ---- Pieces beside each other ------------------------------------------------------------------------- */

static int begun[MPI_CHANNELS];

static void count_begun(int channel) {
    begun[channel]++;
}

/* The first piece's sums don't arrive before the third piece is on its way. */
static bool is_held(int channel) {
    if (channel == MPI_COLLECT) return begun[MPI_EXCHANGE] < 3;
    return channel == MPI_DOWN_FROM && begun[MPI_UP_TO] < 3;
}

static int add_held(const p2p_processes *processes, void *context) {
    ranks_adder *adder;
    alarm(LIMIT);
    mpi_double_machines(placed->leaders);
    const mpi_table *table =
        mpi_double_table(context, processes->size, processes->rank, count_begun, is_held);
    FORKED_CHECK(ranks_mpi_start(table, 10, 20) == P2P_OK);
    FORKED_CHECK(ranks_adder_create(ranks_mpi_place(), placed->leaders, &adder) == P2P_OK);
    FORKED_CHECK(add_one(processes, adder, P2P_TYPE_f32, 1000000) == 0);
    ranks_adder_destroy(adder);
    FORKED_CHECK(ranks_mpi_finish(20) == P2P_OK);
    return 0;
}

static void pieces_overlap(void **state) {
    (void)state;
    for (int i = 0; i < 6; i += 5) { /* along two machines, and on three with one rank each */
        placed = &placings[i];
        assert_int_equal(forked_run(placed->size, add_held, mpi_double_share()), 0);
    }
}

static void sums_are_in_order(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof placings / sizeof placings[0]; i++) {
        placed = &placings[i];
        assert_int_equal(forked_run(placed->size, add_all, mpi_double_share()), 0);
    }
}

/* ---- Speed -------------------------------------------------------------------------------------------- */

static p2p_status start_real(const char *module, ranks_adder **adder, int leaders[]) {
    void *object = dlopen(module, RTLD_NOW);
    const mpi_table *table = object ? dlsym(object, MPI_TABLE_SYMBOL) : NULL;
    if (!table) return p2p_fail(P2P_INPUT, "%s can't be loaded: %s", module, dlerror());
    P2P_TRY(ranks_mpi_start(table, 10, 20));
    const mpi_place *place = ranks_mpi_place();
    if (place->size > MOST_MEASURED) return p2p_fail(P2P_USAGE, "%d ranks", place->size);
    P2P_TRY(ranks_mpi_gather(MPI_CONTROL, &place->leader, sizeof place->leader, leaders));
    return ranks_adder_create(place, leaders, adder);
}

static p2p_status measure_sums(const char *module, size_t bytes) {
    enum { ROUNDS = 5 };
    ranks_adder *adder;
    int leaders[MOST_MEASURED], all[MOST_MEASURED];
    double best = 1e9;
    unsigned char *values = calloc(1, bytes);
    if (!values) return P2P_OUT_OF_MEMORY;
    P2P_TRY(start_real(module, &adder, leaders));
    for (int i = 0; i < ROUNDS; i++) {
        P2P_TRY(ranks_mpi_gather(MPI_CONTROL, &i, sizeof i, all)); /* begin together */
        const double before = sys_clock();
        P2P_TRY(ranks_adder_add(adder, P2P_TYPE_f32, values, bytes));
        best = fmin(best, sys_clock() - before);
    }
    if (ranks_mpi_place()->rank == 0)
        printf("%d ranks%s: %.0f MB in %.1f ms\n", ranks_mpi_place()->size,
               ranks_adder_is_chained(adder) ? " along machines" : "", 1e-6 * (double)bytes, 1e3 * best);
    ranks_adder_destroy(adder);
    free(values);
    return ranks_mpi_finish(20);
}

int main(int count, char **arguments) {
    if (count == 3) {
        if (measure_sums(arguments[1], (size_t)atoi(arguments[2]) * 1000000) == P2P_OK) return 0;
        fprintf(stderr, "%s\n", p2p_message());
        return 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums_are_in_order), cmocka_unit_test(pieces_overlap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
