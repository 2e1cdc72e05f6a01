/* Memory, transfers and tickets, on a card or on the machine made of software, which runs commands in any
 * order that streams and events permit (P2P_MACHINE_SEED), and refuses what CUDA forbids. Devices that fail
 * are in test_cuda_lost.c.
 */
#include "device_test.h"
#include "support/test_skip.h"

#include <stdlib.h>
#include <string.h>

/* Contents that differ at every place and in every round. */
static unsigned char content(size_t at, int round) {
    return (unsigned char)(at * 7 + at / 251 + (size_t)round * 13 + 1);
}

static void fill(unsigned char *bytes, size_t count, int round) {
    for (size_t i = 0; i < count; i++) bytes[i] = content(i, round);
}

static void check_filled(const unsigned char *bytes, size_t count, int round, const char *what) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != content(i, round)) fail_msg("%s: byte %zu of %zu, round %d", what, i, count, round);
}

/* ---- Times ----------------------------------------------------------------------------------------- */

/* A clock of the host that stands still: what is timed by it takes no time. */
static double still(void) {
    return 1;
}

static void copies_are_timed_by_the_device(void **state) {
    (void)state;
    p2p_device *device = open_device("cuda:0");
    p2p_transfer_times times[2];
    OK(p2p_device_time_transfers(device, 1 << 20, still, 2, times));
    for (int i = 0; i < 2; i++) {
        assert_true(times[i].copy > 0 && times[i].kernel > 0);
        assert_true(times[i].write == 0 && times[i].read == 0);
    }
    p2p_device_close(device);
}

static void peaks_are_timed_by_the_device(void **state) {
    (void)state;
    p2p_device *device = open_device("cuda:0");
    static const p2p_math maths[] = {P2P_MATH_stored, P2P_MATH_tf32, P2P_MATH_bf16};
    for (int i = 0; i < 3; i++) {
        double flops = 0, seconds = 0;
        OK(p2p_device_time_peak(device, maths[i], still, 1, &flops, &seconds));
        assert_true(seconds > 0 && flops > 0);
    }
    p2p_device_close(device);
}

/* No multiprocessor has more threads than another: the others would wait for it. */
static void peaks_fill_the_device(void **state) {
    enum { STEPS = 2, CHAINS = 16, BLOCK = 256, ROOM = 1 << 19 };
    static const int capacities[] = {ROOM, 150000, 40000};
    (void)state;
    p2p_device *device = open_device("cuda:0");
    p2p_buffer *counts = create_buffer(device, ROOM * sizeof(float));
    for (int i = 0; i < 3; i++) {
        p2p_operation *kernel = NULL;
        double multiply_adds = 0;
        OK(p2p_operation_create_peak(device, P2P_MATH_stored, STEPS, (p2p_place){counts, 0}, capacities[i],
                                     &kernel, &multiply_adds));
        const long items = (long)(multiply_adds / STEPS / CHAINS);
        assert_true(items > 0 && items <= capacities[i]);
        assert_int_equal(items % (device->be->target.multiprocessors * BLOCK), 0);
        p2p_operation_destroy(kernel);
    }
    p2p_buffer_destroy(counts);
    p2p_device_close(device);
}

/* ---- Memory and transfers -------------------------------------------------------------------------- */

static void new_memory_is_zero(void **state) {
    (void)state;
    p2p_device *device = open_device("cuda:0");
    for (int i = 0; i < 3; i++) {
        const size_t bytes = i == 0 ? 1 : i == 1 ? 70000 : 3 << 20;
        p2p_buffer *buffer = create_buffer(device, bytes);
        unsigned char *read = malloc(bytes);
        assert_non_null(read);
        memset(read, 1, bytes);
        OK(p2p_buffer_read(device, (p2p_place){buffer, 0}, read, bytes));
        OK(p2p_device_finish(device));
        for (size_t at = 0; at < bytes; at++) assert_int_equal(read[at], 0);
        free(read);
        p2p_buffer_destroy(buffer);
    }
    p2p_device_close(device);
}

/* Writes and reads a range in the middle of a buffer; what is around it stays. */
static void round_trip(p2p_device *device, unsigned char *host, size_t bytes, const char *what) {
    enum { AROUND = 256 };
    unsigned char around[AROUND];
    p2p_buffer *buffer = create_buffer(device, bytes + 2 * AROUND);
    fill(host, bytes, 1);
    OK(p2p_buffer_write(device, (p2p_place){buffer, AROUND}, host, bytes));
    OK(p2p_device_finish(device));
    memset(host, 0, bytes);
    OK(p2p_buffer_read(device, (p2p_place){buffer, AROUND}, host, bytes));
    OK(p2p_buffer_read(device, (p2p_place){buffer, 0}, around, AROUND));
    OK(p2p_device_finish(device));
    check_filled(host, bytes, 1, what);
    for (int i = 0; i < AROUND; i++) assert_int_equal(around[i], 0);
    p2p_buffer_destroy(buffer);
}

static void transfers_keep_bytes(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 1000, 64 << 10, (64 << 10) + 1, 4 << 20, (9 << 20) + 13};
    p2p_device *device = open_device("cuda:0");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        p2p_host_memory pinned;
        unsigned char *plain = malloc(sizes[i]);
        assert_non_null(plain);
        OK(p2p_host_memory_alloc(device, sizes[i], &pinned));
        assert_true(pinned.of_device);
        round_trip(device, pinned.bytes, sizes[i], "pinned memory");
        round_trip(device, plain, sizes[i], "other memory");
        p2p_host_memory_free(device, &pinned);
        free(plain);
    }
    p2p_device_close(device);
}

/* A command of the queue that copies `bytes`: the copy operation, or the driver's copy. */
static p2p_operation *create_copy(p2p_device *device, p2p_place from, p2p_place to, size_t bytes) {
    p2p_operation *copy = NULL;
    p2p_op op = {.kind = P2P_KIND_copy};
    op.t[P2P_AT_copy_x] = op.t[P2P_AT_copy_y] =
        p2p_tensor_flat(P2P_TYPE_f32, (int64_t)(bytes / sizeof(float)));
    p2p_place places[P2P_MAX_OPERANDS] = {{0}};
    places[P2P_AT_copy_x] = from;
    places[P2P_AT_copy_y] = to;
    OK(p2p_operation_create(device, &op, places, (p2p_place){0}, &copy));
    return copy;
}

/* Every round writes x, copies it to y and reads y. The host waits only for its memory of two rounds ago.
 */
static void rounds(p2p_device *device, bool by_operation, size_t bytes) {
    enum { ROUNDS = 8, SLOTS = 2 };
    p2p_buffer *x = create_buffer(device, bytes), *y = create_buffer(device, bytes);
    const p2p_place from = {x, 0}, to = {y, 0};
    p2p_operation *copy = by_operation ? create_copy(device, from, to, bytes) : NULL;
    p2p_host_memory in[SLOTS], out[SLOTS];
    p2p_ticket ticket[SLOTS] = {0};
    for (int i = 0; i < SLOTS; i++) {
        OK(p2p_host_memory_alloc(device, bytes, &in[i]));
        OK(p2p_host_memory_alloc(device, bytes, &out[i]));
    }
    for (int round = 0; round < ROUNDS + SLOTS; round++) {
        const int slot = round % SLOTS;
        OK(p2p_device_wait(device, ticket[slot]));
        if (round >= SLOTS) check_filled(out[slot].bytes, bytes, round - SLOTS, "a round");
        if (round >= ROUNDS) continue;
        fill(in[slot].bytes, bytes, round);
        OK(p2p_buffer_write(device, from, in[slot].bytes, bytes));
        OK(by_operation ? p2p_operation_run(copy) : p2p_buffer_copy(device, from, to, bytes));
        OK(p2p_buffer_read(device, to, out[slot].bytes, bytes));
        OK(p2p_device_submit(device, &ticket[slot]));
    }
    for (int i = 0; i < SLOTS; i++) {
        p2p_host_memory_free(device, &in[i]);
        p2p_host_memory_free(device, &out[i]);
    }
    if (copy) p2p_operation_destroy(copy);
    p2p_buffer_destroy(x);
    p2p_buffer_destroy(y);
}

static void transfers_and_commands_are_in_order(void **state) {
    (void)state;
    p2p_device *device = open_device("cuda:0");
    for (int i = 0; i < 4; i++) rounds(device, i & 1, i & 2 ? 4096 : 200000);
    p2p_device_close(device);
}

/* A range is read again and again, and commands write it in between: nothing but the reads orders them. */
static void reads_precede_later_commands(void **state) {
    (void)state;
    enum { ROUNDS = 6, BYTES = 100000 };
    p2p_device *device = open_device("cuda:0");
    p2p_buffer *x[2] = {create_buffer(device, BYTES), create_buffer(device, BYTES)};
    p2p_buffer *y = create_buffer(device, BYTES);
    p2p_host_memory in, out;
    OK(p2p_host_memory_alloc(device, 2 * BYTES, &in));
    OK(p2p_host_memory_alloc(device, ROUNDS * BYTES, &out));
    for (int i = 0; i < 2; i++) {
        unsigned char *from = (unsigned char *)in.bytes + (size_t)i * BYTES;
        fill(from, BYTES, i);
        OK(p2p_buffer_write(device, (p2p_place){x[i], 0}, from, BYTES));
    }
    OK(p2p_device_finish(device));
    for (int round = 0; round < ROUNDS; round++) {
        unsigned char *to = (unsigned char *)out.bytes + (size_t)round * BYTES;
        OK(p2p_buffer_copy(device, (p2p_place){x[round & 1], 0}, (p2p_place){y, 0}, BYTES));
        OK(p2p_buffer_read(device, (p2p_place){y, 0}, to, BYTES));
    }
    OK(p2p_device_finish(device));
    for (int round = 0; round < ROUNDS; round++)
        check_filled((unsigned char *)out.bytes + (size_t)round * BYTES, BYTES, round & 1, "a read");
    p2p_host_memory_free(device, &in);
    p2p_host_memory_free(device, &out);
    p2p_buffer_destroy(x[0]);
    p2p_buffer_destroy(x[1]);
    p2p_buffer_destroy(y);
    p2p_device_close(device);
}

/* More ranges than are remembered, and ranges that overlap. */
static void many_ranges(void **state) {
    (void)state;
    enum { RANGES = 3 * CUDA_OVERLAPS, STEP = 100 << 10, BYTES = 160 << 10 };
    p2p_device *device = open_device("cuda:0");
    const size_t all = (size_t)RANGES * STEP + BYTES;
    p2p_buffer *x = create_buffer(device, all), *y = create_buffer(device, all);
    p2p_host_memory host;
    OK(p2p_host_memory_alloc(device, 2 * all, &host));
    unsigned char *in = host.bytes, *out = in + all;
    fill(in, all, 3);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < RANGES; i++) {
            const size_t at = (size_t)i * STEP;
            OK(p2p_buffer_write(device, (p2p_place){x, at}, in + at, BYTES));
            OK(p2p_buffer_copy(device, (p2p_place){x, at}, (p2p_place){y, at}, BYTES));
            OK(p2p_buffer_read(device, (p2p_place){y, at}, out + at, BYTES));
        }
        OK(p2p_device_finish(device));
        check_filled(out, all - STEP, 3, "ranges");
        memset(out, 0, all);
    }
    p2p_host_memory_free(device, &host);
    p2p_buffer_destroy(x);
    p2p_buffer_destroy(y);
    p2p_device_close(device);
}

/* The driver gives an address again (P2P_MACHINE_ADDRESSES=reuse): a transfer to the new memory comes after
 * the command that sets it to zero, though transfers used the old memory. */
static void memory_at_an_old_address(void **state) {
    (void)state;
    enum { ROUNDS = 6, BYTES = 100000 };
    p2p_device *device = open_device("cuda:0");
    p2p_host_memory host;
    OK(p2p_host_memory_alloc(device, 2 * BYTES, &host));
    unsigned char *in = host.bytes, *out = in + BYTES;
    for (int round = 0; round < ROUNDS; round++) {
        p2p_buffer *buffer = create_buffer(device, BYTES);
        fill(in, BYTES, round);
        OK(p2p_buffer_write(device, (p2p_place){buffer, 0}, in, BYTES));
        OK(p2p_buffer_read(device, (p2p_place){buffer, 0}, out, BYTES));
        OK(p2p_device_finish(device));
        check_filled(out, BYTES, round, "memory at an old address");
        p2p_buffer_destroy(buffer);
    }
    p2p_host_memory_free(device, &host);
    p2p_device_close(device);
}

/* ---- Tickets --------------------------------------------------------------------------------------- */

static void many_tickets(void **state) {
    (void)state;
    enum { TICKETS = 3 * CUDA_IN_FLIGHT };
    p2p_device *device = open_device("cuda:0");
    p2p_buffer *buffer = create_buffer(device, 4);
    p2p_ticket ticket[TICKETS];
    uint32_t value[TICKETS], read = 0;
    for (uint32_t i = 0; i < TICKETS; i++) {
        value[i] = i;
        OK(p2p_buffer_write(device, (p2p_place){buffer, 0}, &value[i], sizeof value[i]));
        OK(p2p_device_submit(device, &ticket[i]));
        assert_int_equal(ticket[i], i + 1);
        if (i % 3 == 0) OK(p2p_device_order(device, ticket[i / 2]));
    }
    OK(p2p_device_wait(device, 0));
    OK(p2p_device_wait(device, ticket[0]));
    OK(p2p_device_wait(device, ticket[TICKETS - 1]));
    OK(p2p_device_wait(device, ticket[TICKETS / 2]));
    OK(p2p_buffer_read(device, (p2p_place){buffer, 0}, &read, sizeof read));
    OK(p2p_device_finish(device));
    assert_int_equal(read, TICKETS - 1);
    REFUSED(p2p_device_wait(device, TICKETS + 2), P2P_INVALID,
            "ticket 194 was never issued; the last is 193");
    REFUSED(p2p_device_order(device, TICKETS + 2), P2P_INVALID, "was never issued");
    p2p_buffer_destroy(buffer);
    p2p_device_close(device);
}

/* A thread is inside one device, then the other: each call makes its own context current. */
static void devices_alternate(void **state) {
    (void)state;
    p2p_device *device[2] = {open_device("cuda:0"), NULL};
    if (p2p_device_open("cuda:1", &device[1]) != P2P_OK) {
        assert_non_null(strstr(p2p_message(), "there is no device \"cuda:1\""));
        p2p_device_close(device[0]);
        TEST_SKIP("there is one device");
    }
    p2p_buffer *buffer[2] = {create_buffer(device[0], 1000), create_buffer(device[1], 1000)};
    unsigned char host[2][1000];
    for (int i = 0; i < 2; i++) {
        fill(host[i], sizeof host[i], i);
        OK(p2p_buffer_write(device[i], (p2p_place){buffer[i], 0}, host[i], sizeof host[i]));
    }
    for (int i = 0; i < 2; i++) {
        memset(host[i], 0, sizeof host[i]);
        OK(p2p_buffer_read(device[i], (p2p_place){buffer[i], 0}, host[i], sizeof host[i]));
    }
    for (int i = 0; i < 2; i++) OK(p2p_device_finish(device[i]));
    for (int i = 0; i < 2; i++) check_filled(host[i], sizeof host[i], i, "a device of two");
    p2p_buffer_destroy(buffer[0]);
    p2p_device_close(device[0]);
    p2p_buffer_destroy(buffer[1]);
    p2p_device_close(device[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_memory_is_zero),
        cmocka_unit_test(copies_are_timed_by_the_device),
        cmocka_unit_test(peaks_are_timed_by_the_device),
        cmocka_unit_test(peaks_fill_the_device),
        cmocka_unit_test(transfers_keep_bytes),
        cmocka_unit_test(transfers_and_commands_are_in_order),
        cmocka_unit_test(reads_precede_later_commands),
        cmocka_unit_test(many_ranges),
        cmocka_unit_test(memory_at_an_old_address),
        cmocka_unit_test(many_tickets),
        cmocka_unit_test(devices_alternate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
