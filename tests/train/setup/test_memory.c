/* Whether something fits into memory, and what would: on pretend devices of known sizes with needs that are
 * formulas, so that the right answer is known; and available memory from files of a pretend system. */
#include "setup/setup_memory.h"

#include "device/device.h"
#include "host/sys.h"
#include "image/image_limits.h"
#include "support/null_backend.h"
#include "support/test_expect.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static const size_t MB = 1000000;

/* ---- Pretend devices: null:0 with a gigabyte ----------------------------------------------------------- */

static p2p_device_info pretended;
static size_t free_now, reserve_now; /* free_now 0: not reported */

static p2p_status pretend_info(int index, p2p_device_info *info) {
    P2P_TRY(null_module(P2P_BACKEND_ABI, p2p_host_services())->device_info(index, info));
    info->memory_bytes = pretended.memory_bytes;
    info->in_host_memory = pretended.in_host_memory;
    info->driver_bytes = pretended.driver_bytes;
    return P2P_OK;
}

static p2p_status pretend_memory(p2p_be_device *device, bool joined, size_t *free_bytes, size_t *reserve) {
    (void)device;
    if (free_now == 0) return p2p_fail(P2P_FAILED, "the driver does not report it");
    *free_bytes = free_now;
    *reserve = joined ? 2 * reserve_now : reserve_now;
    return P2P_OK;
}

static const p2p_module *pretend(uint32_t abi, const p2p_host *host) {
    static p2p_module module;
    module = *null_module(abi, host);
    module.name = "pretend";
    module.device_info = pretend_info;
    module.device.memory_left = pretend_memory;
    return &module;
}

static p2p_device *open_pretended(size_t bytes, bool in_host, size_t driver) {
    p2p_device *device;
    pretended = (p2p_device_info){.memory_bytes = bytes, .in_host_memory = in_host, .driver_bytes = driver};
    OK(p2p_device_open("pretend:0", &device));
    return device;
}

/* ---- Needs that are formulas -------------------------------------------------------------------------- */

/* 100 MB and 160 bytes per pixel of the batch on the device; 16 bytes per pixel on the host. Counts calls. */
static p2p_status formula(void *context, const memory_shape *shape, memory_need *need) {
    const size_t pixels = (size_t)(shape->batch * shape->width * shape->height);
    ++*(int *)context;
    *need = (memory_need){.device = 100 * MB + 160 * pixels, .host = 16 * pixels};
    return P2P_OK;
}

/* The same, where pieces of more than 1,000,000 pixels are refused. */
static p2p_status in_pieces(void *context, const memory_shape *shape, memory_need *need) {
    P2P_TRY(formula(context, shape, need));
    if (shape->batch * shape->width * shape->height <= 1000000) return P2P_OK;
    return p2p_fail(P2P_OUT_OF_MEMORY, "a value needs it in one piece");
}

static p2p_status refuse(void *context, const memory_shape *shape, memory_need *need) {
    (void)context, (void)shape, (void)need;
    return p2p_fail(P2P_USAGE, "no such network");
}

static setup_devices only; /* of the question */

static memory_question question_of(p2p_device *device, int64_t batch, int64_t side, int *calls) {
    only = (setup_devices){.list = {device}, .count = 1};
    *calls = 0;
    return (memory_question){.what = "this training",
                             .devices = &only,
                             .shape = {batch, side, side},
                             .change = MEMORY_OPTIONS,
                             .unit = 32,
                             .measure = formula,
                             .context = calls};
}

static void test_fits(void **state) {
    (void)state;
    int calls;
    memory_fit fit;
    p2p_device *device = open_pretended(1000 * MB, false, 0);
    memory_question question = question_of(device, 85, 256, &calls); /* 991.3 MB */
    OK(setup_memory_fit(&question, &fit));
    assert_true(fit.fits);
    assert_string_equal(fit.proposal, "");
    assert_int_equal(calls, 1);
    assert_non_null(strstr(fit.text, "this training needs 0.99 GB on pretend:0 (plain), which has 1.00 GB"));
    question.measure = refuse;
    REFUSED(setup_memory_fit(&question, &fit), P2P_USAGE, "no such network");
    p2p_device_close(device);
}

/* Three processes with a device each beside one of two replicas on the same card; four on the machine. */
static void test_several_processes(void **state) {
    (void)state;
    int calls;
    memory_fit fit;
    memory_sharing sharing = {.available = {.bytes = 10000 * MB, .limit = "is there"},
                              .processes = 4,
                              .devices[0] = {.processes = 3, .others = 4}};
    p2p_device *device = open_pretended(1000 * MB, false, 0);
    memory_question question = question_of(device, 9, 256, &calls); /* 194.4 MB of the device */
    question.sharing = &sharing;
    OK(setup_memory_fit(&question, &fit));
    assert_true(fit.fits);
    assert_non_null(strstr(fit.text, "3 processes of this training need 0.97 GB on pretend:0 (plain), "));
    free_now = 900 * MB;
    reserve_now = 50 * MB;
    OK(setup_memory_fit(&question, &fit));
    assert_false(fit.fits);
    assert_non_null(strstr(fit.text, "0.90 GB are free, and libraries need 0.15 GB"));
    assert_string_equal(fit.proposal, "--batch 4 needs 0.71 GB; or --size 128 needs 0.62 GB");
    question.joined = true; /* sums pass through the host: two processes use one device */
    OK(setup_memory_fit(&question, &fit));
    assert_non_null(strstr(fit.text, "0.90 GB are free, and libraries need 0.15 GB"));
    free_now = reserve_now = 0;
    sharing.available.bytes = 30 * MB; /* 9.4 MB of the host in each process */
    OK(setup_memory_fit(&question, &fit));
    assert_false(fit.fits);
    assert_non_null(strstr(fit.text, "4 processes of this training need 0.04 GB of memory beside that of "
                                     "pretend:0; 0.03 GB is there"));
    assert_string_equal(fit.proposal, "--batch 7 needs 0.03 GB; or --size 128 needs 0.01 GB");
    sharing.processes = 1;
    OK(setup_memory_fit(&question, &fit));
    assert_true(fit.fits);
    p2p_device_close(device);
}

/* Which limit leaves each process the least, and how many share it. */
static void test_sharing(void **state) {
    (void)state;
    enum { MACHINE = 7, GROUP = 8, OTHER = 9, CARD = 5 };
    const memory_scopes processes[3] = {{.limits = {MACHINE, 0, GROUP}, .devices = {CARD, 6}},
                                        {.limits = {MACHINE, OTHER}, .devices = {CARD, CARD}},
                                        {.limits = {MACHINE}}};
    sys_memory limits[] = {{.bytes = 12, .scope = MACHINE, .limit = "machine"},
                           {.bytes = 5, .scope = 0, .limit = "own"},
                           {.bytes = 7, .scope = GROUP, .limit = "group"}};
    memory_sharing sharing;
    setup_sharing_count(processes, 3, 0, limits, 3, &sharing);
    assert_string_equal(sharing.available.limit, "machine"); /* 4 for each of three */
    assert_int_equal(sharing.processes, 3);
    assert_int_equal(sharing.devices[0].others, 2);
    assert_int_equal(sharing.devices[0].processes, 2);
    assert_int_equal(sharing.devices[1].others, 0);
    assert_int_equal(sharing.devices[1].processes, 1);
    limits[1].bytes = 3;
    setup_sharing_count(processes, 3, 0, limits, 3, &sharing);
    assert_string_equal(sharing.available.limit, "own");
    assert_int_equal(sharing.processes, 1);
    limits[2].bytes = 2;
    setup_sharing_count(processes, 3, 0, limits, 3, &sharing);
    assert_string_equal(sharing.available.limit, "group");
    assert_int_equal(sharing.processes, 1); /* the others are not in it */
    setup_sharing_count(processes, 3, 2, limits, 1, &sharing);
    assert_int_equal(sharing.devices[0].others, 0); /* it has no device */
    setup_sharing_count(processes, 1, 0, limits, 0, &sharing);
    assert_true(sharing.available.bytes == UINT64_MAX);
    assert_int_equal(sharing.processes, 1);
}

/* What buffers can take is what is free, without what libraries will take of it. */
static void test_a_busy_device(void **state) {
    (void)state;
    int calls;
    memory_fit fit;
    p2p_device *device = open_pretended(1000 * MB, false, 0);
    memory_question question = question_of(device, 85, 256, &calls); /* 991.3 MB */
    free_now = 600 * MB;
    reserve_now = 50 * MB;
    OK(setup_memory_fit(&question, &fit));
    assert_false(fit.fits);
    assert_non_null(strstr(fit.text, "this training needs 0.99 GB on pretend:0 (plain), which has 1.00 GB: "
                                     "0.60 GB are free, and libraries need 0.05 GB"));
    assert_string_equal(fit.proposal, "--batch 42 needs 0.54 GB; or --size 128 needs 0.32 GB");
    question.joined = true;
    OK(setup_memory_fit(&question, &fit));
    assert_string_equal(fit.proposal, "--batch 38 needs 0.50 GB; or --size 128 needs 0.32 GB");
    reserve_now = 700 * MB;
    OK(setup_memory_fit(&question, &fit));
    assert_true(setup_memory_hopeless(&fit));
    free_now = reserve_now = 0;
    OK(setup_memory_fit(&question, &fit));
    assert_true(fit.fits);
    p2p_device_close(device);
    /* Memory of the host is the host's to report. */
    device = open_pretended(1000 * MB, true, 0);
    question = question_of(device, 85, 256, &calls);
    free_now = 600 * MB;
    OK(setup_memory_fit(&question, &fit));
    assert_true(fit.fits);
    free_now = 0;
    p2p_device_close(device);
}

static void test_the_largest_batch(void **state) {
    (void)state;
    int calls;
    p2p_device *device = open_pretended(1000 * MB, false, 0);
    memory_question question = question_of(device, 500, 256, &calls);
    REFUSED(setup_memory_check(&question), P2P_OUT_OF_MEMORY,
            "this training needs 5.34 GB on pretend:0 (plain), which has 1.00 GB");
    assert_string_equal(p2p_message_hint(), "--batch 85 needs 0.99 GB; or --size 64 needs 0.43 GB");
    assert_true(calls <= 20);
    question = question_of(device, 4096, 4096, &calls); /* one needs 2.8 GB */
    REFUSED(setup_memory_check(&question), P2P_OUT_OF_MEMORY, "which has 1.00 GB");
    assert_string_equal(p2p_message_hint(), "--size 2048 --batch 1 needs 0.77 GB");
    question = question_of(device, 500, 256, &calls);
    question.change = MEMORY_FIXED;
    REFUSED(setup_memory_check(&question), P2P_OUT_OF_MEMORY, "needs 5.34 GB");
    HINT_HAS("keeps its batch and size");
    question = question_of(device, 1, 4096, &calls);
    question.change = MEMORY_PICTURES;
    question.shape.height = 2048;
    REFUSED(setup_memory_check(&question), P2P_OUT_OF_MEMORY, "needs 1.44 GB");
    HINT_HAS("one picture of at most 3360 x 1664 pixels needs 0.99 GB");
    p2p_device_close(device);
    device = open_pretended(50 * MB, false, 0);
    question = question_of(device, 2, 64, &calls);
    REFUSED(setup_memory_check(&question), P2P_OUT_OF_MEMORY, "which has 0.05 GB");
    HINT_HAS("nothing smaller fits");
    p2p_device_close(device);
}

static void test_pieces(void **state) {
    (void)state;
    int calls;
    p2p_device *device = open_pretended(0, false, 0); /* size unknown */
    memory_question question = question_of(device, 500, 256, &calls);
    question.measure = in_pieces;
    REFUSED(setup_memory_check(&question), P2P_OUT_OF_MEMORY,
            "this training doesn't fit on pretend:0 (plain): a value needs it in one piece");
    HINT_HAS("--batch 15 needs");
    p2p_device_close(device);
}

/* Buffers count as host memory only if they are; the driver's part always counts. The host has less than a
 * petabyte. */
static void test_host_memory(void **state) {
    (void)state;
    static const size_t petabyte = (size_t)1 << 50;
    int calls;
    p2p_device *device = open_pretended(0, false, 0);
    memory_question question =
        question_of(device, 1 << 20, 8192, &calls); /* 11 PB on the device, 1.1 on the host */
    REFUSED(setup_memory_check(&question), P2P_OUT_OF_MEMORY, "GB of memory beside that of pretend:0; ");
    p2p_device_close(device);
    device = open_pretended(petabyte, true, 0);
    question = question_of(device, 1 << 13, 16384, &calls); /* 352 TB */
    REFUSED(setup_memory_check(&question), P2P_OUT_OF_MEMORY, "GB of memory, with that of pretend:0; ");
    p2p_device_close(device);
    device = open_pretended(petabyte, false, petabyte);
    question = question_of(device, 1, 32, &calls);
    REFUSED(setup_memory_check(&question), P2P_OUT_OF_MEMORY, "of memory beside that of pretend:0; ");
    p2p_device_close(device);
}

/* ---- Pictures that are read --------------------------------------------------------------------------- */

/* The formula, with pictures of 1 PB each, read by four threads. */
static p2p_status with_pictures(void *context, const memory_shape *shape, memory_need *need) {
    P2P_TRY(formula(context, shape, need));
    setup_memory_pictures((uint64_t)1 << 50, 4, need);
    return P2P_OK;
}

static void limit_pictures(uint64_t bytes) {
    OK(image_limits_set(&(image_limits){.max_pixels = 1 << 20, .memory = bytes}));
}

static void expect_pictures(uint64_t bytes, int threads, uint64_t at_once) {
    memory_need need = {0};
    setup_memory_pictures(bytes, threads, &need);
    assert_int_equal(need.pictures, at_once);
    assert_int_equal(need.picture, bytes);
}

static void test_pictures(void **state) {
    (void)state;
    int calls;
    limit_pictures(1000);
    expect_pictures(0, 4, 0);
    expect_pictures(100, 4, 400);
    expect_pictures(300, 4, 1000); /* threads wait for each other */
    expect_pictures(1000, 1, 1000);
    limit_pictures(UINT64_MAX);
    expect_pictures((uint64_t)1 << 62, 3, (uint64_t)3 << 62);
    p2p_device *device = open_pretended(0, false, 0);
    memory_question question = question_of(device, 1, 64, &calls);
    question.measure = with_pictures;
    REFUSED(
        setup_memory_check(&question), P2P_OUT_OF_MEMORY,
        "this training needs 4503599.63 GB of memory beside that of pretend:0 and 4503599.63 GB for reading "
        "pictures; ");
    HINT_HAS("nothing smaller fits");
    limit_pictures((uint64_t)1 << 50);
    REFUSED(setup_memory_check(&question), P2P_OUT_OF_MEMORY, "and 1125899.91 GB for reading pictures; ");
    limit_pictures(UINT64_MAX);
    p2p_device_close(device);
}

/* One picture at a time fits, several at once do not: --memory is proposed, to a resumed training too. */
static uint64_t each_bytes;
static p2p_status with_some_pictures(void *context, const memory_shape *shape, memory_need *need) {
    P2P_TRY(formula(context, shape, need));
    setup_memory_pictures(each_bytes, 1000, need);
    return P2P_OK;
}

static void test_fewer_pictures_at_once(void **state) {
    (void)state;
    int calls;
    char wanted[96];
    sys_memory available;
    assert_true(sys_memory_available(&available));
    each_bytes = available.bytes / 100;
    p2p_device *device = open_pretended(0, false, 0);
    memory_question question = question_of(device, 1, 64, &calls);
    question.measure = with_some_pictures;
    snprintf(wanted, sizeof wanted, "--memory %lluM, with fewer pictures read at once, needs ",
             (unsigned long long)each_bytes / 1000000 + 1);
    for (int fixed = 0; fixed < 2; fixed++) {
        question.change = fixed ? MEMORY_FIXED : MEMORY_OPTIONS;
        REFUSED(setup_memory_check(&question), P2P_OUT_OF_MEMORY, "GB for reading pictures; ");
        HINT_HAS(wanted);
    }
    limit_pictures(2 * each_bytes); /* what was proposed fits */
    memory_fit fit;
    OK(setup_memory_fit(&question, &fit));
    assert_true(fit.fits);
    limit_pictures(UINT64_MAX);
    p2p_device_close(device);
}

/* ---- Available memory --------------------------------------------------------------------------------- */

static char *root;

static void give(const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    test_file_write(path, text, strlen(text));
}

static void available(uint64_t bytes, const char *limit) {
    sys_memory memory;
    assert_true(sys_memory_available_in(root, &memory));
    if (memory.bytes != bytes || !strstr(memory.limit, limit))
        fail_msg("%llu bytes %s; wanted %llu, %s", (unsigned long long)memory.bytes, memory.limit,
                 (unsigned long long)bytes, limit);
}

/* The limit of a group counts for the processes in it, that of the machine for all. */
static void expect_scopes(void) {
    sys_memory limits[SYS_MEMORY_LIMITS], again[SYS_MEMORY_LIMITS];
    int shared = 0;
    const int count = sys_memory_limits_in(root, limits);
    assert_int_equal(sys_memory_limits_in(root, again), count);
    for (int i = 0; i < count; i++) {
        shared += limits[i].scope != 0;
        assert_true(limits[i].scope == again[i].scope);
        for (int j = 0; j < i; j++) assert_true(limits[i].scope == 0 || limits[i].scope != limits[j].scope);
    }
    assert_int_equal(shared, 3);
}

static void test_available(void **state) {
    (void)state;
    sys_memory memory;
    root = test_folder_make();
    give("proc/meminfo", "MemTotal:  8000 kB\nMemFree:  1 kB\nMemAvailable:    6000 kB\nSwapFree: 9000 kB\n");
    available(6000 * 1024, "on this machine");
    /* Version 2: the group, then a lower limit above it; cached pages of files are free. */
    give("proc/self/cgroup", "0::/a/b\n");
    give("sys/fs/cgroup/a/b/memory.max", "3000000\n");
    give("sys/fs/cgroup/a/b/memory.current", "1000000\n");
    available(2000000, "control group");
    give("sys/fs/cgroup/a/b/memory.stat", "anon 1\ninactive_file 300000\nactive_file 100000\n");
    available(2400000, "control group");
    give("sys/fs/cgroup/a/memory.max", "1500000\n");
    give("sys/fs/cgroup/a/memory.current", "1600000\n");
    available(0, "control group");
    expect_scopes();
    give("sys/fs/cgroup/a/memory.max", "max\n");
    available(2400000, "control group");
    /* Version 1, beside version 2; a path that exists on the host only. */
    give("proc/self/cgroup", "9:name=systemd:/x\n4:memory:/docker/0123\n0::/\n");
    give("sys/fs/cgroup/memory/memory.limit_in_bytes", "500000\n");
    give("sys/fs/cgroup/memory/memory.usage_in_bytes", "400000\n");
    give("sys/fs/cgroup/memory/memory.stat", "cache 9\ntotal_inactive_file 50000\ntotal_active_file 5\n");
    available(150005, "control group");
    give("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    available(6000 * 1024, "on this machine");
    give("proc/meminfo", "MemAvailable: nonsense\n");
    give("proc/self/cgroup", "nonsense\n:\n");
    assert_false(sys_memory_available_in(root, &memory));
    assert_true(memory.bytes == UINT64_MAX);
    test_folder_remove(root);
    assert_true(sys_memory_available(&memory)); /* of this machine */
    assert_true(memory.bytes > 0 && memory.limit[0]);
}

int main(void) {
    OK(p2p_module_register(pretend));
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fits),
                                       cmocka_unit_test(test_several_processes),
                                       cmocka_unit_test(test_sharing),
                                       cmocka_unit_test(test_a_busy_device),
                                       cmocka_unit_test(test_the_largest_batch),
                                       cmocka_unit_test(test_pieces),
                                       cmocka_unit_test(test_host_memory),
                                       cmocka_unit_test(test_pictures),
                                       cmocka_unit_test(test_fewer_pictures_at_once),
                                       cmocka_unit_test(test_available)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
