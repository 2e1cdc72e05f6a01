/* Devices that are lost or have too little memory, on the machine made of software: two H200 of 64 MiB.
 *
 *     test_cuda_lost hang|collective|threads|abort|other|first|both|lose|memory
 *     test_cuda_lost code CUDA_ERROR_...
 */
#include "device_test.h"

#include <machine.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

static void out_of_memory_names_sizes(void **state) {
    (void)state;
    p2p_device *device = open_device("cuda:0");
    p2p_buffer *first = create_buffer(device, 8 << 20), *second = NULL;
    REFUSED(p2p_buffer_create(device, 60 << 20, &second), P2P_OUT_OF_MEMORY,
            "cuda:0, NVIDIA H200: no memory for a buffer of 60.0 MiB: ");
    MESSAGE_HAS(" MiB are free of 64.0 MiB; 8.0 MiB are in use by buffers here, ");
    HINT_HAS(" MiB would fit; a smaller batch");
    double fits = 0;
    assert_int_equal(sscanf(p2p_message_hint(), "%lf MiB would fit", &fits), 1);
    assert_true(fits > 0);
    OK(p2p_buffer_create(device, (size_t)fits << 20, &second));
    p2p_buffer_destroy(second);
    p2p_buffer_destroy(first);
    p2p_device_close(device);
}

static bool never(void *data) {
    (void)data;
    return false;
}

static void nothing(void *data) {
    (void)data;
}

/* Everything fails with the device's name, and is released without a call of the driver. */
static void check_lost(p2p_device *device, p2p_buffer *buffer) {
    char byte = 0;
    p2p_ticket ticket = 0;
    REFUSED(p2p_buffer_read(device, (p2p_place){buffer, 0}, &byte, 1), P2P_DEVICE_LOST,
            "NVIDIA H200: the device was lost by an earlier command");
    REFUSED(p2p_device_submit(device, &ticket), P2P_DEVICE_LOST, "was lost");
    p2p_buffer_destroy(buffer);
    p2p_device_close(device);
}

/* These end the machine's devices, so each is a process. */
static void hanging_device_is_lost(void **state) {
    (void)state;
    OK(p2p_limit_set("timeout", 0.05));
    p2p_device *device = open_device("cuda:0");
    p2p_buffer *buffer = create_buffer(device, 1000);
    assert_int_equal(machine_enqueue_when(device->be->queue.stream, "a command that hangs", NULL, 0, never,
                                          nothing, nothing, NULL, 0),
                     CUDA_SUCCESS);
    REFUSED(p2p_device_finish(device), P2P_DEVICE_LOST,
            "cuda:0, NVIDIA H200: the device was lost: it has not finished its work within 0.05 s");
    HINT_HAS("P2P_CUDA_TIMEOUT");
    check_lost(device, buffer);
    machine_lose_device(0, CUDA_ERROR_LAUNCH_FAILED, "it hangs");
}

static void sticky_error_loses_one_device(void **state) {
    (void)state;
    p2p_device *device[2] = {open_device("cuda:0"), open_device("cuda:1")};
    p2p_buffer *buffer[2] = {create_buffer(device[0], 1000), create_buffer(device[1], 1000)};
    machine_lose_device(1, CUDA_ERROR_ILLEGAL_ADDRESS, "a test");
    REFUSED(p2p_device_finish(device[1]), P2P_DEVICE_LOST, "cuda:1, NVIDIA H200: the device was lost: ");
    MESSAGE_HAS("CUDA_ERROR_ILLEGAL_ADDRESS (700)");
    assert_int_equal(p2p_status_exit_code(P2P_DEVICE_LOST), 5);
    check_lost(device[1], buffer[1]);
    OK(p2p_device_finish(device[0]));
    p2p_buffer_destroy(buffer[0]);
    p2p_device_close(device[0]);
}

static const char *code; /* CUDA_ERROR_... */

/* P2P_MACHINE_FAIL plants the code in a call, after which cuda.h requires a new process: no call follows. */
static void planted_code_loses_the_device(void **state) {
    (void)state;
    p2p_device *device = open_device("cuda:0");
    p2p_buffer *buffer = create_buffer(device, 1000);
    OK(p2p_device_finish(device));
    REFUSED(p2p_buffer_copy(device, (p2p_place){buffer, 0}, (p2p_place){buffer, 512}, 256), P2P_DEVICE_LOST,
            "cuda:0, NVIDIA H200: the device was lost: cuMemcpyDtoDAsync failed with ");
    MESSAGE_HAS(code);
    check_lost(device, buffer);
}

/* Two devices with a sum of 100 numbers. */
typedef struct {
    p2p_device *device[2];
    p2p_buffer *buffer[2];
    p2p_comm *comm;
    p2p_ticket done[2];
} pair;

static pair open_pair(void) {
    pair p;
    OK(p2p_limit_set("timeout", 1));
    for (int i = 0; i < 2; i++) {
        p.device[i] = open_device(i == 0 ? "cuda:0" : "cuda:1");
        p.buffer[i] = create_buffer(p.device[i], 1000);
    }
    OK(p2p_comm_open(p.device, 2, 2, 0, NULL, &p.comm));
    return p;
}

static void begin_sum(pair *p) {
    p2p_place places[2] = {{p->buffer[0], 0}, {p->buffer[1], 0}};
    p2p_ticket after[2];
    p2p_op sum = {.kind = P2P_KIND_all_reduce};
    sum.t[0] = p2p_tensor_flat(P2P_TYPE_f32, 100);
    for (int i = 0; i < 2; i++) OK(p2p_device_submit(p->device[i], &after[i]));
    OK(p2p_comm_run(p->comm, &sum, places, after, p->done));
}

/* Later calls for both devices have the words. */
static void close_lost(pair *p, const char *words) {
    for (int i = 0; i < 2; i++) REFUSED(p2p_device_finish(p->device[i]), P2P_DEVICE_LOST, words);
    for (int i = 0; i < 2; i++) machine_lose_device(i, CUDA_ERROR_LAUNCH_FAILED, "it hangs");
    p2p_comm_close(p->comm);
    for (int i = 0; i < 2; i++) {
        p2p_buffer_destroy(p->buffer[i]);
        p2p_device_close(p->device[i]);
    }
}

/* A collective does not end on two devices: the message names the collective, and neither device. */
static void hang_in_collective(const char *settings, const char *later) {
    pair p = open_pair();
    setenv("P2P_MACHINE_NCCL", settings, 1);
    begin_sum(&p);
    REFUSED(
        p2p_device_wait(p.device[0], p.done[0]), P2P_DEVICE_LOST,
        "cuda: the devices were lost to their collectives: all_reduce of 100 f32, which all devices of this "
        "process have joined, over a connection that may be faulty, has not ended within 1 s");
    assert_null(strstr(p2p_message(), "NVIDIA"));
    close_lost(&p, later);
}

static void hanging_collective_is_named(void **state) {
    (void)state;
    hang_in_collective("stuck:1", "the devices were lost to their collectives: all_reduce of 100 f32");
}

typedef struct {
    p2p_device *device;
    p2p_ticket ticket;
    char message[512];
} thread_wait;

static int wait_in_thread(void *context) {
    thread_wait *one = context;
    const p2p_status status = p2p_device_wait(one->device, one->ticket);
    snprintf(one->message, sizeof one->message, "%s", p2p_message());
    return (int)status;
}

/* Two threads reach the time limit together. */
static void hanging_collective_of_two_threads(void **state) {
    (void)state;
    static const char words[] = "the devices were lost to their collectives: all_reduce of 100 f32";
    pair p = open_pair();
    thread_wait waits[2];
    thrd_t threads[2];
    setenv("P2P_MACHINE_NCCL", "stuck:1", 1);
    begin_sum(&p);
    for (int i = 0; i < 2; i++) {
        waits[i] = (thread_wait){.device = p.device[i], .ticket = p.done[i]};
        assert_int_equal(thrd_create(&threads[i], wait_in_thread, &waits[i]), thrd_success);
    }
    for (int i = 0; i < 2; i++) {
        int result = 0;
        assert_int_equal(thrd_join(threads[i], &result), thrd_success);
        assert_int_equal(result, P2P_DEVICE_LOST);
        if (!strstr(waits[i].message, words)) fail_msg("thread %d: %s", i, waits[i].message);
    }
    close_lost(&p, words);
}

/* NCCL's abort does not return, so the devices are left as they are. */
static void hanging_abort_is_left(void **state) {
    (void)state;
    hang_in_collective("stuck:1,abort:stuck", "the device");
}

/* Of two devices one hangs before its part of the second sum. It is named, though the first is waited for. */
static void hang_before_collective(int hanging, const char *settings, const char *later) {
    char named[80];
    pair p = open_pair();
    begin_sum(&p);
    for (int i = 0; i < 2; i++) OK(p2p_device_order(p.device[i], p.done[i]));
    assert_int_equal(cuCtxSetCurrent(p.device[hanging]->be->queue.context), CUDA_SUCCESS);
    assert_int_equal(machine_enqueue_when(p.device[hanging]->be->queue.stream, "a command that hangs", NULL,
                                          0, never, nothing, nothing, NULL, 0),
                     CUDA_SUCCESS);
    if (settings) setenv("P2P_MACHINE_NCCL", settings, 1);
    begin_sum(&p);
    begin_sum(&p);
    snprintf(named, sizeof named, "cuda:%d, NVIDIA H200: the device was lost: it has not finished", hanging);
    REFUSED(p2p_device_wait(p.device[0], p.done[0]), P2P_DEVICE_LOST, named);
    MESSAGE_HAS(" its work within 1 s; all_reduce of 100 f32 waits for it");
    close_lost(&p, later);
}

static void hanging_device_is_named(void **state) {
    (void)state;
    hang_before_collective(1, NULL, "cuda:1, NVIDIA H200: the device was lost by an earlier command: it has");
}

static void hanging_device_is_named_by_itself(void **state) {
    (void)state;
    hang_before_collective(0, NULL, "cuda:0, NVIDIA H200: the device was lost by an earlier command: it has");
}

/* Even if NCCL can't be ended on the other one. */
static void hanging_device_and_abort(void **state) {
    (void)state;
    hang_before_collective(1, "abort:stuck", "the device was lost");
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        CMUnitTestFunction test;
    } tests[] = {{"hang", hanging_device_is_lost},
                 {"collective", hanging_collective_is_named},
                 {"threads", hanging_collective_of_two_threads},
                 {"abort", hanging_abort_is_left},
                 {"other", hanging_device_is_named},
                 {"first", hanging_device_is_named_by_itself},
                 {"both", hanging_device_and_abort},
                 {"lose", sticky_error_loses_one_device},
                 {"memory", out_of_memory_names_sizes},
                 {"code", planted_code_loses_the_device}};
    code = count == 3 ? arguments[2] : "";
    for (size_t i = 0; count >= 2 && i < sizeof tests / sizeof tests[0]; i++) {
        const struct CMUnitTest one[] = {{arguments[1], tests[i].test, NULL, NULL, NULL}};
        if (strcmp(arguments[1], tests[i].name) == 0) return cmocka_run_group_tests(one, NULL, NULL);
    }
    fprintf(stderr, "usage: test_cuda_lost hang|collective|abort|other|first|both|lose|memory|code CODE\n");
    return 2;
}
