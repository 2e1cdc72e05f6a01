/* Devices that are lost or have too little memory, on the machine made of software: two H200 of 64 MiB.
 *
 *     test_cuda_lost hang|collective|abort|lose|memory
 *     test_cuda_lost code CUDA_ERROR_...
 */
#include "device_test.h"

#include <machine.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* A collective does not end, on two devices: it is named. */
static void hang_in_collective(const char *settings) {
    OK(p2p_limit_set("timeout", 1));
    p2p_device *device[2] = {open_device("cuda:0"), open_device("cuda:1")};
    p2p_buffer *buffer[2] = {create_buffer(device[0], 1000), create_buffer(device[1], 1000)};
    p2p_place places[2] = {{buffer[0], 0}, {buffer[1], 0}};
    p2p_ticket after[2] = {0}, done[2];
    p2p_comm *comm = NULL;
    p2p_op sum = {.kind = P2P_KIND_all_reduce};
    sum.t[0] = p2p_tensor_flat(P2P_TYPE_f32, 100);
    OK(p2p_comm_open(device, 2, 2, 0, NULL, &comm));
    setenv("P2P_MACHINE_NCCL", settings, 1);
    OK(p2p_comm_run(comm, &sum, places, after, done));
    REFUSED(p2p_device_wait(device[0], done[0]), P2P_DEVICE_LOST,
            "cuda:0, NVIDIA H200: the device was lost: it has not finished its work within 1 s; all_reduce "
            "of 100 "
            "f32 has not ended");
    for (int i = 0; i < 2; i++)
        REFUSED(p2p_device_finish(device[i]), P2P_DEVICE_LOST, "NVIDIA H200: the device was lost");
    for (int i = 0; i < 2; i++) machine_lose_device(i, CUDA_ERROR_LAUNCH_FAILED, "it hangs");
    p2p_comm_close(comm);
    for (int i = 0; i < 2; i++) {
        p2p_buffer_destroy(buffer[i]);
        p2p_device_close(device[i]);
    }
}

static void hanging_collective_is_named(void **state) {
    (void)state;
    hang_in_collective("stuck:1");
}

/* NCCL's abort does not return, so the devices are left as they are. */
static void hanging_abort_is_left(void **state) {
    (void)state;
    hang_in_collective("stuck:1,abort:stuck");
}

int main(int count, char **arguments) {
    const struct CMUnitTest hangs[] = {cmocka_unit_test(hanging_device_is_lost)};
    const struct CMUnitTest collectives[] = {cmocka_unit_test(hanging_collective_is_named)};
    const struct CMUnitTest aborts[] = {cmocka_unit_test(hanging_abort_is_left)};
    const struct CMUnitTest loses[] = {cmocka_unit_test(sticky_error_loses_one_device)};
    const struct CMUnitTest memory[] = {cmocka_unit_test(out_of_memory_names_sizes)};
    const struct CMUnitTest codes[] = {cmocka_unit_test(planted_code_loses_the_device)};
    code = count == 3 ? arguments[2] : "";
    if (count == 3 && strcmp(arguments[1], "code") == 0) return cmocka_run_group_tests(codes, NULL, NULL);
    if (count == 2 && strcmp(arguments[1], "hang") == 0) return cmocka_run_group_tests(hangs, NULL, NULL);
    if (count == 2 && strcmp(arguments[1], "collective") == 0)
        return cmocka_run_group_tests(collectives, NULL, NULL);
    if (count == 2 && strcmp(arguments[1], "abort") == 0) return cmocka_run_group_tests(aborts, NULL, NULL);
    if (count == 2 && strcmp(arguments[1], "lose") == 0) return cmocka_run_group_tests(loses, NULL, NULL);
    if (count == 2 && strcmp(arguments[1], "memory") == 0) return cmocka_run_group_tests(memory, NULL, NULL);
    fprintf(stderr, "usage: test_cuda_lost hang|collective|abort|lose|memory|code CODE\n");
    return 2;
}
