/* The CUDA machine made of software: devices, memory, streams, events and copies work; every rule that it has
 * is broken once, and the violation is found and named; every kind of race between commands is found in every
 * order of commands. Kernels are tested in test_machine_kernels.c. */
#include "machine_test.h"

#include <pthread.h>

/* ---- Devices ------------------------------------------------------------------------------------------- */

static void test_devices(void **state) {
    (void)state;
    int count, value, version;
    char name[64], pci[2][16];
    size_t bytes;
    CUuuid uuid[2];
    OK(cuDeviceGetCount(&count));
    assert_int_equal(count, 2);
    OK(cuDriverGetVersion(&version));
    assert_int_equal(version, 13000);
    OK(cuDeviceGetName(name, sizeof name, 0));
    assert_string_equal(name, "NVIDIA H200");
    OK(cuDeviceTotalMem(&bytes, 1));
    assert_int_equal(bytes, (size_t)4 << 30);
    OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
    assert_int_equal(value, 9);
    for (int i = 0; i < 2; i++) OK(cuDeviceGetUuid_v2(&uuid[i], i));
    assert_memory_not_equal(&uuid[0], &uuid[1], sizeof *uuid);
    for (int i = 0; i < 2; i++) OK(cuDeviceGetPCIBusId(pci[i], sizeof *pci, i));
    assert_string_not_equal(pci[0], pci[1]);
    assert_int_equal(cuDeviceGetName(name, sizeof name, 2), CUDA_ERROR_INVALID_DEVICE);
    assert_refused("no device 2");
    assert_int_equal(cuDeviceGetAttribute(&value, (CUdevice_attribute)9999, 0), CUDA_ERROR_INVALID_VALUE);
    assert_refused("no attribute 9999");
}

static void *without_context(void *result) {
    CUdeviceptr address;
    *(CUresult *)result = cuMemAlloc(&address, 16);
    return NULL;
}

static void test_context_of_another_thread(void **state) {
    (void)state;
    CUresult result;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, without_context, &result), 0);
    pthread_join(thread, NULL);
    assert_int_equal(result, CUDA_ERROR_INVALID_CONTEXT);
    assert_refused("cuMemAlloc_v2: no context is current on this thread");
}

static void test_wrong_context(void **state) {
    (void)state;
    CUstream stream = new_stream();
    CUdeviceptr memory = new_memory(64);
    CUevent event = new_event(0);
    OK(cuCtxSetCurrent(contexts[1]));
    CUstream other = new_stream();
    assert_int_equal(cuMemsetD8Async(memory, 0, 64, stream), CUDA_ERROR_INVALID_CONTEXT);
    assert_refused("the stream is of device 0, the current context of 1");
    assert_int_equal(cuMemsetD8Async(memory, 0, 64, other), CUDA_ERROR_INVALID_VALUE);
    assert_refused("memory of device 0, used on device 1");
    assert_int_equal(cuEventRecord(event, other), CUDA_ERROR_INVALID_HANDLE);
    assert_refused("the event is of device 0, the stream of 1");
    assert_int_equal(cuMemFree(memory), CUDA_ERROR_INVALID_VALUE);
    assert_refused("the memory is of device 0, not 1");
    assert_int_equal(cuStreamSynchronize(stream), CUDA_ERROR_INVALID_CONTEXT);
    assert_refused("the stream is of device 0");
    OK(cuStreamDestroy(other));
    OK(cuCtxSetCurrent(contexts[0]));
    OK(cuStreamDestroy(stream));
    OK(cuEventDestroy(event));
    OK(cuMemFree(memory));
}

/* A context that has ended, on a thread whose current one it is, and chosen. */
static void test_dead_context(void **state) {
    (void)state;
    CUdeviceptr memory;
    OK(cuCtxSetCurrent(contexts[1]));
    OK(cuDevicePrimaryCtxRelease(1));
    assert_int_equal(cuMemAlloc(&memory, 16), CUDA_ERROR_INVALID_CONTEXT);
    assert_refused("no context is current on this thread");
    assert_int_equal(cuCtxSetCurrent(contexts[1]), CUDA_ERROR_INVALID_CONTEXT);
    assert_refused("the context is not alive");
    assert_int_equal(cuDevicePrimaryCtxRelease(1), CUDA_ERROR_INVALID_CONTEXT);
    assert_refused("device 1 has no context");
    OK(cuDevicePrimaryCtxRetain(&contexts[1], 1));
    OK(cuCtxSetCurrent(contexts[0]));
}

/* ---- Memory -------------------------------------------------------------------------------------------- */

static void test_memory(void **state) {
    (void)state;
    size_t before, after, total;
    OK(cuMemGetInfo(&before, &total));
    CUdeviceptr memory = new_memory(1000);
    assert_int_equal(memory % 512, 0);
    const unsigned char *bytes = machine_memory(memory);
    for (int i = 0; i < 1000; i++) assert_int_equal(bytes[i], 0xff);
    OK(cuMemGetInfo(&after, &total));
    assert_int_equal(before - after, 1000);
    OK(cuMemFree(memory));
    assert_null(machine_memory(memory));
    assert_int_equal(cuMemFree(memory), CUDA_ERROR_INVALID_VALUE);
    assert_refused("freed before");
    memory = new_memory(1000);
    assert_int_equal(cuMemFree(memory + 4), CUDA_ERROR_INVALID_VALUE);
    assert_refused("does not begin an allocation");
    OK(cuMemFree(memory));
    CUdeviceptr huge;
    assert_int_equal(cuMemAlloc(&huge, (size_t)5 << 30), CUDA_ERROR_OUT_OF_MEMORY);
    assert_int_equal(machine_refusals(), 0);
    assert_int_equal(cuMemAlloc(&huge, 0), CUDA_ERROR_INVALID_VALUE);
    assert_refused("0 bytes");
}

static void test_bounds(void **state) {
    (void)state;
    CUstream stream = new_stream();
    CUdeviceptr memory = new_memory(100);
    unsigned char *pinned = new_pinned(200);
    assert_int_equal(cuMemcpyHtoDAsync(memory, pinned, 101, stream), CUDA_ERROR_INVALID_VALUE);
    assert_refused("101 bytes at offset 0 of an allocation of 100");
    assert_int_equal(cuMemcpyHtoDAsync(memory + 50, pinned, 51, stream), CUDA_ERROR_INVALID_VALUE);
    assert_refused("51 bytes at offset 50 of an allocation of 100");
    assert_int_equal(cuMemcpyDtoHAsync(pinned + 101, memory, 100, stream), CUDA_ERROR_INVALID_VALUE);
    assert_refused("100 bytes at offset 101 of an allocation of 200");
    OK(cuMemFree(memory));
    assert_int_equal(cuMemsetD32Async(memory, 0, 25, stream), CUDA_ERROR_INVALID_VALUE);
    assert_refused("that has been freed");
    OK(cuMemFreeHost(pinned));
    OK(cuStreamDestroy(stream));
}

static void test_unpinned(void **state) {
    (void)state;
    CUstream stream = new_stream();
    CUdeviceptr memory = new_memory(100);
    char pageable[100];
    assert_int_equal(cuMemcpyHtoDAsync(memory, pageable, 100, stream), CUDA_ERROR_INVALID_VALUE);
    assert_refused("not pinned memory");
    assert_int_equal(cuMemcpyDtoHAsync(pageable, memory, 100, stream), CUDA_ERROR_INVALID_VALUE);
    assert_refused("not pinned memory");
    assert_int_equal(cuMemcpyHtoD(memory, pageable, 100), CUDA_ERROR_NOT_SUPPORTED);
    assert_refused("the call uses the NULL stream");
    assert_int_equal(cuMemsetD32Async(memory + 2, 0, 1, stream), CUDA_ERROR_INVALID_VALUE);
    assert_refused("misaligned");
    OK(cuMemFree(memory));
    OK(cuStreamDestroy(stream));
}

static void test_free_in_use(void **state) {
    (void)state;
    CUstream stream = new_stream();
    CUdeviceptr memory = new_memory(100);
    OK(cuMemsetD8Async(memory, 1, 100, stream));
    assert_int_equal(cuMemFree(memory), CUDA_ERROR_ILLEGAL_STATE);
    assert_refused("cuMemsetD8Async has not run and uses the memory");
    OK(cuStreamSynchronize(stream));
    OK(cuMemFree(memory));
    OK(cuStreamDestroy(stream));
}

/* ---- Streams and events -------------------------------------------------------------------------------- */

static void test_null_stream(void **state) {
    (void)state;
    CUdeviceptr memory = new_memory(100);
    CUstream stream;
    assert_int_equal(cuMemsetD8Async(memory, 1, 100, NULL), CUDA_ERROR_INVALID_HANDLE);
    assert_refused("the NULL stream");
    assert_int_equal(cuStreamCreate(&stream, CU_STREAM_DEFAULT), CUDA_ERROR_INVALID_VALUE);
    assert_refused("the NULL stream would wait");
    stream = new_stream();
    OK(cuStreamDestroy(stream));
    assert_int_equal(cuStreamSynchronize(stream), CUDA_ERROR_INVALID_HANDLE);
    assert_refused("the stream is not alive");
    OK(cuMemFree(memory));
}

static void test_copies_wait(void **state) {
    (void)state;
    CUstream stream = new_stream();
    CUdeviceptr memory = new_memory(100), second = new_memory(100);
    unsigned char *from = new_pinned(100), *to = new_pinned(100);
    memset(from, 7, 100);
    OK(cuMemcpyHtoDAsync(memory, from, 100, stream));
    OK(cuMemcpyDtoDAsync(second, memory, 100, stream));
    OK(cuMemcpyDtoHAsync(to, second, 100, stream));
    assert_int_equal(to[0], 0xff); /* there was no wait */
    OK(cuStreamSynchronize(stream));
    assert_memory_equal(from, to, 100);
    OK(cuMemsetD32Async(memory, 0x01020304, 25, stream));
    OK(cuMemcpyDtoHAsync(to, memory, 100, stream));
    OK(cuCtxSynchronize());
    assert_int_equal(to[99], 1);
    OK(cuMemFree(memory));
    OK(cuMemFree(second));
    OK(cuMemFreeHost(from));
    OK(cuMemFreeHost(to));
    OK(cuStreamDestroy(stream));
}

static void test_pending_stream(void **state) {
    (void)state;
    CUstream stream = new_stream();
    CUdeviceptr memory = new_memory(100);
    OK(cuMemsetD8Async(memory, 1, 100, stream));
    assert_int_equal(cuStreamDestroy(stream), CUDA_ERROR_ILLEGAL_STATE);
    assert_refused("1 commands have not run, the first of them cuMemsetD8Async");
    OK(cuMemFree(memory));
}

/* Two streams: `first` writes, `second` copies what it wrote; with or without the wait that orders them. */
static void write_then_copy(bool ordered, unsigned char *to) {
    CUstream first = new_stream(), second = new_stream();
    CUdeviceptr memory = new_memory(100);
    CUevent event = new_event(CU_EVENT_DISABLE_TIMING);
    OK(cuMemsetD8Async(memory, 9, 100, first));
    OK(cuEventRecord(event, first));
    if (ordered) OK(cuStreamWaitEvent(second, event, 0));
    OK(cuMemcpyDtoHAsync(to, memory, 100, second));
    OK(cuStreamSynchronize(second));
    OK(cuStreamSynchronize(first));
    OK(cuEventDestroy(event));
    OK(cuMemFree(memory));
    OK(cuStreamDestroy(first));
    OK(cuStreamDestroy(second));
}

static void test_event_orders(void **state) {
    (void)state;
    unsigned char *to = new_pinned(100);
    write_then_copy(true, to);
    assert_int_equal(to[99], 9);
    assert_int_equal(machine_refusals(), 0);
    write_then_copy(false, to);
    assert_refused("race: ");
    OK(cuMemFreeHost(to));
}

/* Streams write the same memory, parts of it, or the same pinned memory. */
static void test_races(void **state) {
    (void)state;
    CUstream streams[2] = {new_stream(), new_stream()};
    CUdeviceptr memory = new_memory(100);
    unsigned char *pinned = new_pinned(100);
    for (int i = 0; i < 2; i++) OK(cuMemsetD8Async(memory + 49 * (unsigned)i, 1, 50, streams[i]));
    for (int i = 0; i < 2; i++) OK(cuStreamSynchronize(streams[i]));
    assert_refused("both write byte 49 of an allocation of 100");
    for (int i = 0; i < 2; i++) OK(cuMemsetD8Async(memory + 50 * (unsigned)i, 1, 50, streams[i]));
    for (int i = 0; i < 2; i++) OK(cuMemcpyDtoHAsync(pinned + i, memory + 50 * (unsigned)i, 1, streams[i]));
    for (int i = 0; i < 2; i++) OK(cuStreamSynchronize(streams[i]));
    assert_int_equal(machine_refusals(), 0);
    for (int i = 0; i < 2; i++) OK(cuMemcpyDtoHAsync(pinned, memory, 1, streams[i]));
    for (int i = 0; i < 2; i++) OK(cuStreamSynchronize(streams[i]));
    assert_refused("race: cuMemcpyDtoHAsync and cuMemcpyDtoHAsync both write byte 0 of an allocation of 100");
    OK(cuMemFree(memory));
    OK(cuMemFreeHost(pinned));
    for (int i = 0; i < 2; i++) OK(cuStreamDestroy(streams[i]));
}

/* The host waits for one stream only: what the other has done before stays a race, though it ran long ago. */
static void test_race_with_past(void **state) {
    (void)state;
    CUstream one = new_stream(), two = new_stream();
    CUdeviceptr memory = new_memory(100), other = new_memory(100);
    OK(cuMemsetD8Async(memory, 1, 100, one));
    OK(cuMemsetD8Async(other, 1, 100, two));
    OK(cuCtxSynchronize());
    machine_forgive();
    OK(cuMemsetD8Async(memory, 1, 100, one));
    OK(cuMemsetD8Async(other, 1, 100, two));
    OK(cuStreamSynchronize(two));
    OK(cuMemsetD8Async(memory, 2, 100, two));
    OK(cuStreamSynchronize(two));
    OK(cuStreamSynchronize(one));
    assert_refused("both write byte 0");
    OK(cuMemsetD8Async(memory, 1, 100, one));
    OK(cuStreamSynchronize(one));
    OK(cuMemsetD8Async(memory, 2, 100, two));
    OK(cuStreamSynchronize(two));
    assert_int_equal(machine_refusals(), 0);
    OK(cuMemFree(memory));
    OK(cuMemFree(other));
    OK(cuStreamDestroy(one));
    OK(cuStreamDestroy(two));
}

static void test_events(void **state) {
    (void)state;
    CUstream stream = new_stream();
    CUdeviceptr memory = new_memory(100);
    CUevent begin = new_event(0), end = new_event(0), untimed = new_event(CU_EVENT_DISABLE_TIMING);
    float milliseconds = -1;
    OK(cuEventRecord(begin, stream));
    OK(cuMemsetD8Async(memory, 1, 100, stream));
    OK(cuEventRecord(end, stream));
    int queries = 0;
    while (cuEventQuery(end) == CUDA_ERROR_NOT_READY) queries++;
    assert_in_range(queries, 1, 3);
    OK(cuEventSynchronize(end));
    extern CUresult cuEventElapsedTime_of_old(float *, CUevent, CUevent) __asm__("cuEventElapsedTime");
    OK(cuEventElapsedTime_of_old(&milliseconds, begin, end));
    assert_true(milliseconds > 0);
    OK(cuEventRecord(untimed, stream));
    assert_int_equal(cuEventElapsedTime_of_old(&milliseconds, begin, untimed), CUDA_ERROR_INVALID_HANDLE);
    assert_refused("an event without timing");
    OK(cuEventSynchronize(untimed));
    OK(cuEventDestroy(untimed));
    assert_int_equal(cuEventQuery(untimed), CUDA_ERROR_INVALID_HANDLE);
    assert_refused("the event is not alive");
    CUevent never_recorded = new_event(0);
    OK(cuStreamWaitEvent(stream, never_recorded, 0));
    assert_refused("the event was never recorded: nothing is waited for");
    OK(cuEventDestroy(never_recorded));
    OK(cuEventDestroy(begin));
    OK(cuEventDestroy(end));
    OK(cuMemFree(memory));
    OK(cuStreamDestroy(stream));
}

/* ---- Commands of libraries ----------------------------------------------------------------------------- */

static int arrived;

static bool both_arrived(void *data) {
    bool *mine = *(bool **)data;
    if (!*mine) {
        *mine = true;
        arrived++;
    }
    return arrived >= 2;
}

static void add_one(void *data) {
    (void)data;
    arrived += 10;
}

static void test_meeting(void **state) {
    (void)state;
    CUstream streams[2] = {new_stream(), new_stream()};
    bool here[2] = {false, false};
    arrived = 0;
    for (int i = 0; i < 2; i++) {
        bool *mine = &here[i];
        OK(machine_enqueue_when(streams[i], "meet", NULL, 0, both_arrived, add_one, NULL, &mine,
                                sizeof mine));
    }
    OK(cuStreamSynchronize(streams[1]));
    OK(cuStreamSynchronize(streams[0]));
    assert_int_equal(arrived, 22);
    for (int i = 0; i < 2; i++) OK(cuStreamDestroy(streams[i]));
}

static bool never(void *data) {
    (void)data;
    return false;
}

static void count_drop(void *data) {
    **(int **)data += 1;
}

/* Losing a device: what waits ends with the error, once; a later call is a violation. The last test. */
static void test_wait_for_nothing(void **state) {
    (void)state;
    CUstream stream = new_stream();
    CUdeviceptr memory = new_memory(100), more;
    int drops = 0, *counter = &drops;
    OK(machine_enqueue_when(stream, "ncclAllReduce", NULL, 0, never, add_one, count_drop, &counter,
                            sizeof counter));
    OK(cuMemsetD8Async(memory, 1, 100, stream));
    assert_int_equal(cuStreamSynchronize(stream), CUDA_ERROR_LAUNCH_TIMEOUT);
    assert_refused("ncclAllReduce never runs: it waits for what never comes");
    assert_int_equal(drops, 1);
    assert_int_equal(cuMemFree(memory), CUDA_ERROR_LAUNCH_TIMEOUT);
    assert_int_equal(machine_refusals(), 0);
    assert_int_equal(cuMemAlloc(&more, 100), CUDA_ERROR_LAUNCH_TIMEOUT);
    assert_refused("device 0 was lost before");
    assert_int_equal(machine_device_error(0), CUDA_ERROR_LAUNCH_TIMEOUT);
    assert_int_equal(machine_device_error(1), CUDA_SUCCESS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_context_of_another_thread),
        cmocka_unit_test(test_wrong_context),
        cmocka_unit_test(test_dead_context),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_unpinned),
        cmocka_unit_test(test_free_in_use),
        cmocka_unit_test(test_null_stream),
        cmocka_unit_test(test_copies_wait),
        cmocka_unit_test(test_pending_stream),
        cmocka_unit_test(test_event_orders),
        cmocka_unit_test(test_races),
        cmocka_unit_test(test_race_with_past),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_meeting),
        cmocka_unit_test(test_wait_for_nothing),
    };
    return cmocka_run_group_tests(tests, setup_contexts, release_contexts);
}
