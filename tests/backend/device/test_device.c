/* Devices as the core uses them: addresses and their errors, the checks before every backend call, fault
 * injection, the log, and collectives through host memory against the reference's own. The results of
 * operations are tested by test_ops.
 */
#include "device/device.h"
#include "host/log.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_device.h"

/* ---- Modules made for these tests --------------------------------------------------------------------- */

static const p2p_module *reference_module(void) {
    for (int i = 0; p2p_module_at(i); i++) {
        if (strcmp(p2p_module_at(i)->name, "reference") == 0) return p2p_module_at(i);
    }
    fail_msg("the reference module is missing");
    return NULL;
}

static const p2p_module *speechless_entry(uint32_t abi, const p2p_host *host) {
    (void)abi, (void)host;
    return NULL;
}

static p2p_module altered;

static const p2p_module *altered_entry(uint32_t abi, const p2p_host *host) {
    (void)abi, (void)host;
    return &altered;
}

static p2p_status choose_nothing(p2p_be_device *device, const p2p_op *op, p2p_tune mode,
                                 double (*clock)(void), p2p_choice *choice) {
    (void)device, (void)op, (void)mode, (void)clock, (void)choice;
    return P2P_FAILED;
}

static p2p_status impose_nothing(p2p_be_device *device, const p2p_op *op, const char *name) {
    (void)device, (void)op, (void)name;
    return P2P_FAILED;
}

/* The reference without its communicator, with coarse alignment: collectives go through the host. */
static p2p_module plain_reference;

static p2p_status aligned_info(int index, p2p_device_info *info) {
    P2P_TRY(reference_module()->device_info(index, info));
    info->alignment = 64;
    info->max_alloc_bytes = (size_t)1 << 24;
    return P2P_OK;
}

static const p2p_module *plain_reference_entry(uint32_t abi, const p2p_host *host) {
    (void)abi, (void)host;
    plain_reference = *reference_module();
    plain_reference.name = "plainref";
    plain_reference.device_info = aligned_info;
    plain_reference.comm_open = NULL;
    memset(&plain_reference.comm, 0, sizeof plain_reference.comm);
    return &plain_reference;
}

/* A backend without devices. */
static p2p_module barren;

static p2p_status no_devices(int *count, p2p_obstacle *obstacle) {
    (void)count, (void)obstacle;
    return p2p_fail(P2P_NO_DEVICE, "the vendor's driver is too old");
}

static const p2p_module *barren_entry(uint32_t abi, const p2p_host *host) {
    (void)abi, (void)host;
    barren = *reference_module();
    barren.name = "barren";
    barren.device_count = no_devices;
    return &barren;
}

/* Device 0 cannot be used, device 1 returns no information, the others are the reference's, but each is one
 * replica only. */
static p2p_module mixed;

static p2p_status mixed_info(int index, p2p_device_info *info) {
    if (index == 1) return p2p_fail(P2P_FAILED, "device 1 does not answer");
    P2P_TRY(reference_module()->device_info(index, info));
    if (index == 0) snprintf(info->unusable, sizeof info->unusable, "it has no double precision");
    return P2P_OK;
}

static const p2p_module *mixed_entry(uint32_t abi, const p2p_host *host) {
    (void)abi, (void)host;
    mixed = *reference_module();
    mixed.name = "mixed";
    mixed.device_info = mixed_info;
    mixed.comm.repeats_devices = false;
    return &mixed;
}

static int register_modules(void **state) {
    (void)state;
    return p2p_module_register(plain_reference_entry) == P2P_OK &&
                   p2p_module_register(barren_entry) == P2P_OK && p2p_module_register(mixed_entry) == P2P_OK
               ? 0
               : -1;
}

/* ---- Help --------------------------------------------------------------------------------------------- */

static p2p_op act_op(int64_t elements) {
    p2p_op op = {.kind = P2P_KIND_act_fwd, .act = P2P_ACT_relu};
    op.t[P2P_AT_act_fwd_x] = p2p_tensor_flat(P2P_TYPE_f32, elements);
    op.t[P2P_AT_act_fwd_y] = p2p_tensor_flat(P2P_TYPE_f32, elements);
    return op;
}

/* ---- Modules and addresses ---------------------------------------------------------------------------- */

static void refuses_bad_modules(void **state) {
    (void)state;
    REFUSED(p2p_module_register(speechless_entry), P2P_FAILED, "does not support version");
    altered = *reference_module();
    REFUSED(p2p_module_register(altered_entry), P2P_INVALID, "already a module named reference");
    altered.name = "altered";
    altered.abi++;
    REFUSED(p2p_module_register(altered_entry), P2P_FAILED, "was built for version");
    altered.abi--;
    altered.device.op_run = NULL;
    REFUSED(p2p_module_register(altered_entry), P2P_FAILED, "lacks op_run");
    altered = *reference_module();
    altered.name = "altered";
    altered.device.op_choose = choose_nothing;
    REFUSED(p2p_module_register(altered_entry), P2P_FAILED, "lacks op_choose or op_impose");
    altered.device.op_choose = NULL;
    altered.device.op_impose = impose_nothing;
    REFUSED(p2p_module_register(altered_entry), P2P_FAILED, "lacks op_choose or op_impose");
    altered.device.op_impose = NULL;
    altered.name = "with space";
    REFUSED(p2p_module_register(altered_entry), P2P_FAILED, "no usable name");
}

static const p2p_device_entry *find_entry(const p2p_device_entry *entries, int count, const char *address) {
    for (int i = 0; i < count; i++) {
        if (strcmp(entries[i].address, address) == 0) return &entries[i];
    }
    fail_msg("%s is not in the list", address);
    return NULL;
}

static void lists_devices_and_reasons(void **state) {
    (void)state;
    p2p_device_entry *entries = NULL;
    int count = 0, defaults = 0;
    OK(p2p_device_list(NULL, &entries, &count));
    assert_string_equal(find_entry(entries, count, "reference:0")->unusable, "");
    assert_true(find_entry(entries, count, "reference:0")->name[0] != '\0');
    assert_string_equal(find_entry(entries, count, "reference:0")->type, "CPU");
    assert_string_equal(find_entry(entries, count, "mixed:0")->type, ""); /* unusable */
    assert_non_null(strstr(find_entry(entries, count, "barren")->unusable, "driver is too old"));
    assert_int_equal(find_entry(entries, count, "reference:0")->presence, P2P_PRESENCE_USABLE);
    assert_int_equal(find_entry(entries, count, "mixed:0")->presence, P2P_PRESENCE_UNUSABLE);
    assert_int_equal(find_entry(entries, count, "barren")->presence, P2P_PRESENCE_NO_DEVICE);
    assert_non_null(strstr(find_entry(entries, count, "mixed:0")->unusable, "double precision"));
    assert_non_null(strstr(find_entry(entries, count, "mixed:1")->unusable, "does not answer"));
    p2p_device *device = open_device("auto");
    for (int i = 0; i < count; i++) {
        if (!entries[i].is_default) continue;
        defaults++;
        assert_string_equal(entries[i].address, p2p_device_address(device));
    }
    assert_int_equal(defaults, 1);
    p2p_device_close(device);
    free(entries);
}

static void lists_one_backend(void **state) {
    (void)state;
    p2p_device_entry *entries = NULL;
    int count = 0;
    OK(p2p_device_list("mixed", &entries, &count));
    assert_true(count > 0);
    for (int i = 0; i < count; i++) assert_memory_equal(entries[i].address, "mixed:", 6);
    free(entries);
    OK(p2p_device_list("none", &entries, &count));
    assert_int_equal(count, 0);
    free(entries);
}

static void reference_comes_last(void **state) {
    (void)state;
    p2p_device *device = open_device("auto"); /* never plainref or mixed, although they are present */
    assert_null(strstr(p2p_device_address(device), "reference"));
    p2p_device_close(device);
}

static void opens_by_address(void **state) {
    (void)state;
    const char *const pairs[][2] = {
        {"reference", "reference:0"}, {"reference:1", "reference:1"}, {"mixed", "mixed:2"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        p2p_device *device = open_device(pairs[i][0]);
        assert_string_equal(p2p_device_address(device), pairs[i][1]);
        assert_string_equal(p2p_device_name(device), p2p_device_describe(device)->name);
        p2p_device_close(device);
    }
    p2p_device_close(NULL);
}

static void refuses_addresses_with_reasons(void **state) {
    (void)state;
    const char *const cases[][2] = {
        {"vulkan:0", "no backend named \"vulkan\""},
        {"", "no backend named \"\""},
        {"referenc", "no backend named \"referenc\""},
        {"reference:4", "reference has 4, counted from 0"},
        {"reference:", "is not the address of a device"},
        {"reference:1x", "is not the address of a device"},
        {"reference:-1", "is not the address of a device"},
        {"reference:99999999999", "is not the address of a device"},
        {"barren", "driver is too old"},
        {"barren:0", "driver is too old"},
        {"mixed:0", "it has no double precision"},
        {"mixed:1", "device 1 does not answer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        p2p_device *device = (p2p_device *)(void *)&device;
        REFUSED(p2p_device_open(cases[i][0], &device), P2P_NO_DEVICE, cases[i][1]);
        assert_null(device);
    }
    p2p_device *device = NULL;
    p2p_device_open("vulkan:0", &device);
    HINT_HAS("reference");
    HINT_HAS("plainref");
}

/* Limits of two modules. */
static double limited, limited_too;

static void set_limited(double value) {
    limited = value;
}

static void set_limited_too(double value) {
    limited_too = value;
}

static void sets_limits(void **state) {
    (void)state;
    static const p2p_limit wide[] = {{"other", 0, 1, NULL}, {"patience", 0, 10, set_limited}};
    static const p2p_limit narrow[] = {{"patience", 0.5, 2, set_limited_too}};
    plain_reference.limits = wide;
    plain_reference.limit_count = 2;
    barren.limits = narrow;
    barren.limit_count = 1;
    OK(p2p_limit_set("patience", 2));
    assert_true(limited == 2 && limited_too == 2);
    const double values[] = {0.25, 2.5, -1, NAN};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        REFUSED(p2p_limit_set("patience", values[i]), P2P_USAGE, "the limit \"patience\" is from");
    OK(p2p_limit_set("unknown", -1));
    assert_true(limited == 2 && limited_too == 2);
    plain_reference.limit_count = barren.limit_count = 0;
}

static void refuses_what_is_no_call(void **state) {
    (void)state;
    p2p_device *device = NULL;
    const char *const values[] = {"soon", "-1", "1x", "1.5", " 1", "9999999999999999999"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        setenv("P2P_LOSE_DEVICE_AT", values[i], 1);
        REFUSED(p2p_device_open("plainref", &device), P2P_USAGE, "P2P_LOSE_DEVICE_AT is '");
        assert_null(device);
    }
    setenv("P2P_LOSE_DEVICE_AT", "", 1);
    p2p_device_close(open_device("plainref"));
    unsetenv("P2P_LOSE_DEVICE_AT");
}

/* ---- Checks ------------------------------------------------------------------------------------------- */

static void checks_buffers(void **state) {
    (void)state;
    p2p_device *device = open_device("plainref"), *other = open_device("plainref:1");
    p2p_buffer *buffer = NULL;
    char bytes[256] = {1};
    REFUSED(p2p_buffer_create(device, 0, &buffer), P2P_INVALID, "no bytes");
    REFUSED(p2p_buffer_create(device, ((size_t)1 << 24) + 1, &buffer), P2P_OUT_OF_MEMORY, "16777216");
    assert_null(buffer);
    buffer = create_buffer(device, 256);
    assert_int_equal(p2p_buffer_bytes(buffer), 256);
    REFUSED(p2p_buffer_write(device, (p2p_place){0}, bytes, 1), P2P_INVALID, "no buffer");
    REFUSED(p2p_buffer_write(device, (p2p_place){buffer, 32}, bytes, 1), P2P_INVALID, "not a multiple of 64");
    REFUSED(p2p_buffer_write(device, (p2p_place){buffer, 64}, bytes, 193), P2P_INVALID, "193 bytes");
    REFUSED(p2p_buffer_read(device, (p2p_place){buffer, 320}, bytes, 0), P2P_INVALID, "the buffer has");
    REFUSED(p2p_buffer_read(device, (p2p_place){buffer, 64}, bytes, SIZE_MAX), P2P_INVALID, "needs");
    REFUSED(p2p_buffer_read(other, (p2p_place){buffer, 0}, bytes, 1), P2P_INVALID, "belongs to plainref:0");
    REFUSED(p2p_buffer_copy(device, (p2p_place){buffer, 0}, (p2p_place){buffer, 64}, 65), P2P_INVALID,
            "overlaps");
    REFUSED(p2p_buffer_copy(device, (p2p_place){buffer, 0}, (p2p_place){buffer, 192}, 65), P2P_INVALID,
            "destination");
    p2p_buffer_destroy(buffer);
    p2p_buffer_destroy(NULL);
    p2p_device_close(other);
    p2p_device_close(device);
}

static void moves_bytes(void **state) {
    (void)state;
    p2p_device *device = open_device("plainref");
    p2p_buffer *buffer = create_buffer(device, 256);
    char sent[64], got[256];
    for (int i = 0; i < 64; i++) sent[i] = (char)(i + 1);
    OK(p2p_buffer_write(device, (p2p_place){buffer, 64}, sent, 64));
    OK(p2p_buffer_copy(device, (p2p_place){buffer, 64}, (p2p_place){buffer, 128}, 64));
    OK(p2p_buffer_copy(device, (p2p_place){buffer, 64}, (p2p_place){buffer, 192}, 0));
    OK(p2p_buffer_read(device, (p2p_place){buffer, 0}, got, 256));
    OK(p2p_device_finish(device));
    for (int i = 0; i < 64; i++) {
        assert_int_equal(got[i], 0); /* fresh buffers are zero */
        assert_int_equal(got[64 + i], sent[i]);
        assert_int_equal(got[128 + i], sent[i]);
        assert_int_equal(got[192 + i], 0);
    }
    p2p_buffer_destroy(buffer);
    p2p_device_close(device);
}

static void checks_operands(void **state) {
    (void)state;
    p2p_device *device = open_device("plainref"), *other = open_device("plainref:1");
    p2p_buffer *buffer = create_buffer(device, 1024), *foreign = create_buffer(other, 1024);
    p2p_op op = act_op(32);
    p2p_query answer;
    OK(p2p_operation_query(device, &op, &answer));
    p2p_buffer *memory = create_buffer(device, answer.scratch_bytes + 1);
    p2p_place scratch = {memory, 0};
    p2p_operation *operation = NULL;
    const struct {
        p2p_place x, y, extra;
        const char *part;
    } cases[] = {
        {{buffer, 0}, {buffer, 960}, {NULL, 0}, "operand y of act_fwd needs 128 bytes from offset 960"},
        {{buffer, 4}, {buffer, 128}, {NULL, 0}, "offset 4 of operand x of act_fwd"},
        {{NULL, 0}, {buffer, 128}, {NULL, 0}, "operand x of act_fwd has no buffer"},
        {{foreign, 0}, {buffer, 128}, {NULL, 0}, "belongs to plainref:1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const p2p_place places[P2P_MAX_OPERANDS] = {cases[i].x, cases[i].y};
        REFUSED(p2p_operation_create(device, &op, places, scratch, &operation), P2P_INVALID, cases[i].part);
        assert_null(operation);
    }
    const p2p_place good[P2P_MAX_OPERANDS] = {{buffer, 0}, {buffer, 128}};
    if (answer.scratch_bytes > 0) {
        REFUSED(p2p_operation_create(device, &op, good, (p2p_place){0}, &operation), P2P_INVALID, "scratch");
    }
    p2p_op wrong = op;
    wrong.stride = 2;
    REFUSED(p2p_operation_create(device, &wrong, good, scratch, &operation), P2P_INVALID, "stride");
    REFUSED(p2p_operation_query(device, &wrong, &answer), P2P_INVALID, "stride");
    p2p_buffer_destroy(memory);
    p2p_buffer_destroy(foreign);
    p2p_buffer_destroy(buffer);
    p2p_device_close(other);
    p2p_device_close(device);
}

static void refuses_an_absent_operands_place(void **state) {
    (void)state;
    p2p_device *device = open_device("reference");
    p2p_buffer *buffer = create_buffer(device, 4096);
    p2p_op op = {.kind = P2P_KIND_loss_bce, .loss_scale = 1, .grad_scale = 1};
    op.t[P2P_AT_loss_bce_x] = p2p_tensor_activation(P2P_TYPE_f64, 1, 1, 2, 2);
    op.t[P2P_AT_loss_bce_loss] = p2p_tensor_vector(P2P_TYPE_f64, 1);
    const p2p_place places[P2P_MAX_OPERANDS] = {{buffer, 0}, {buffer, 64}, {buffer, 128}};
    p2p_operation *operation = NULL;
    REFUSED(p2p_operation_create(device, &op, places, (p2p_place){buffer, 1024}, &operation), P2P_INVALID,
            "absent operand dx of loss_bce has a buffer");
    p2p_buffer_destroy(buffer);
    p2p_device_close(device);
}

static void says_that_it_cannot_record(void **state) {
    (void)state;
    p2p_device *device = open_device("reference");
    p2p_recorded *recorded = NULL;
    assert_false(p2p_device_can_record(device));
    REFUSED(p2p_record_begin(device), P2P_UNSUPPORTED, "reference:0 can't record");
    REFUSED(p2p_record_end(device, &recorded), P2P_UNSUPPORTED, "can't record");
    assert_null(recorded);
    p2p_device_close(device);
}

/* ---- Faults and the log ------------------------------------------------------------------------------- */

/* Open, run one operation, read the result. Frees everything, also after a failure in the middle. */
typedef struct {
    p2p_device *device;
    p2p_buffer *buffer, *scratch;
    p2p_operation *operation;
} small_run;

static p2p_status run_small(small_run *run, float result[4]) {
    static const float numbers[4] = {-1, 2, -3, 4};
    p2p_op op = act_op(4);
    p2p_query answer;
    P2P_TRY(p2p_device_open("reference:0", &run->device));
    P2P_TRY(p2p_buffer_create(run->device, 128, &run->buffer));
    P2P_TRY(p2p_buffer_write(run->device, (p2p_place){run->buffer, 0}, numbers, sizeof numbers));
    P2P_TRY(p2p_operation_query(run->device, &op, &answer));
    P2P_TRY(p2p_buffer_create(run->device, answer.scratch_bytes + 1, &run->scratch));
    const p2p_place places[P2P_MAX_OPERANDS] = {{run->buffer, 0}, {run->buffer, 64}};
    P2P_TRY(p2p_operation_create(run->device, &op, places, (p2p_place){run->scratch, 0}, &run->operation));
    P2P_TRY(p2p_operation_run(run->operation));
    P2P_TRY(p2p_buffer_read(run->device, (p2p_place){run->buffer, 64}, result, 4 * sizeof(float)));
    return p2p_device_finish(run->device);
}

static p2p_status small_run_all(float result[4]) {
    small_run run = {0};
    p2p_status status = run_small(&run, result);
    p2p_operation_destroy(run.operation);
    p2p_buffer_destroy(run.scratch);
    p2p_buffer_destroy(run.buffer);
    p2p_device_close(run.device);
    return status;
}

static void every_call_can_fail(void **state) {
    (void)state;
    enum { MOST = 100 };
    float result[4] = {0};
    int failures = 0, without_device = 0;
    p2p_status status = P2P_FAILED;
    for (uint64_t nth = 1; status != P2P_OK && nth <= MOST; nth++) {
        p2p_fault_inject(nth);
        status = small_run_all(result);
        if (status == P2P_OK) break;
        failures++;
        MESSAGE_HAS("injected fault: backend call");
        without_device += status == P2P_NO_DEVICE;
        if (status != P2P_NO_DEVICE) assert_int_equal(status, P2P_FAILED);
    }
    assert_int_equal(status, P2P_OK);
    uint64_t calls = p2p_fault_inject(0);
    assert_int_equal(failures, calls);
    assert_true(failures >= 11);
    /* device_count and device 0's info: the other devices' only shrink */
    assert_int_equal(without_device, 2);
    const float expected[4] = {0, 2, 0, 4};
    assert_memory_equal(result, expected, sizeof expected);
}

static void logs_what_happens(void **state) {
    (void)state;
    FILE *stream = tmpfile();
    assert_non_null(stream);
    assert_false(p2p_logging());
    p2p_log("dropped");
    p2p_log_to(stream);
    assert_true(p2p_logging());
    float result[4];
    OK(small_run_all(result));
    p2p_log_to(NULL);
    OK(small_run_all(result));
    char text[4096] = "";
    rewind(stream);
    size_t length = fread(text, 1, sizeof text - 1, stream);
    fclose(stream);
    assert_true(length > 0);
    const char *const parts[] = {
        "reference:0: open reference device 0: OK\n",     "reference:0: buffer of 128 bytes: OK\n",
        "reference:0: query act_fwd x=f32:plain:1x1x1x4", "reference:0: create act_fwd x=f32:plain:1x1x1x4",
        "reference:0: first run of a act_fwd\n",          "reference:0: close\n"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) assert_non_null(strstr(text, parts[i]));
    assert_null(strstr(text, "dropped"));
    char *first = strstr(text, "reference:0: close");
    assert_null(strstr(first + 1, "reference:0: close"));
}

/* ---- Collectives -------------------------------------------------------------------------------------- */

enum { REPLICAS = 3 };

/* Numbers of very different magnitude, so that the order and the precision of the sum matter. */
static double contribution(int replica, size_t i) {
    static const double sizes[REPLICAS] = {1, 1e-7, 1e7};
    return sizes[replica] * (double)((i * 2654435761u + (unsigned)replica * 40503u) % 1000 + 1) / 7;
}

/* Run `op` over three devices of a backend, each replica holding its contribution; result: replica-major, as
 * stored. */
static void reduce_on(const char *backend, const p2p_op *op, char *result) {
    size_t bytes = p2p_tensor_bytes(&op->t[0]);
    int64_t elements = p2p_tensor_elements(&op->t[0]);
    double *values = malloc((size_t)elements * sizeof *values);
    char *raw = calloc(1, bytes); /* padding lanes of filters are zero */
    p2p_device *devices[REPLICAS];
    p2p_place places[REPLICAS];
    p2p_ticket tickets[REPLICAS];
    assert_true(values && raw);
    for (int i = 0; i < REPLICAS; i++) {
        char address[32];
        snprintf(address, sizeof address, "%s:%d", backend, i);
        devices[i] = open_device(address);
        places[i] = (p2p_place){create_buffer(devices[i], bytes + 64), 64};
        for (int64_t e = 0; e < elements; e++) values[e] = contribution(i, (size_t)e);
        p2p_tensor_pack(&op->t[0], values, P2P_TYPE_f64, raw);
        OK(p2p_buffer_write(devices[i], places[i], raw, bytes));
        OK(p2p_device_submit(devices[i], &tickets[i]));
        OK(p2p_device_wait(devices[i], tickets[i]));
    }
    p2p_comm *comm = NULL;
    OK(p2p_comm_open(devices, REPLICAS, REPLICAS, 0, NULL, &comm));
    p2p_ticket done[REPLICAS];
    OK(p2p_comm_prepare(comm, op));
    OK(p2p_comm_run(comm, op, places, tickets, done));
    for (int i = 0; i < REPLICAS; i++) {
        OK(p2p_device_order(devices[i], done[i]));
        OK(p2p_buffer_read(devices[i], places[i], result + (size_t)i * bytes, bytes));
        OK(p2p_device_finish(devices[i]));
    }
    p2p_comm_close(comm);
    for (int i = 0; i < REPLICAS; i++) {
        p2p_buffer_destroy(places[i].buffer);
        p2p_device_close(devices[i]);
    }
    free(raw);
    free(values);
}

/* A reduction through host memory has the bits of the reference's own communicator, on every replica. */
static void compare_reductions(const p2p_op *op) {
    size_t bytes = p2p_tensor_bytes(&op->t[0]);
    char *through_host = malloc(REPLICAS * bytes), *own = malloc(REPLICAS * bytes);
    assert_true(through_host && own);
    reduce_on("plainref", op, through_host);
    reduce_on("reference", op, own);
    assert_memory_equal(through_host, own, REPLICAS * bytes);
    for (size_t i = 1; i < REPLICAS; i++) assert_memory_equal(own, own + i * bytes, bytes);
    free(own);
    free(through_host);
}

static p2p_op collective(p2p_kind kind, p2p_tensor tensor) {
    p2p_op op = {.kind = kind};
    op.t[0] = tensor;
    return op;
}

/* The sum of narrower numbers than float64 is that of processes: formed in float32, rounded once. */
static void expect_float_sums(p2p_tensor tensor) {
    const p2p_op op = collective(P2P_KIND_all_reduce, tensor);
    const size_t elements = (size_t)p2p_tensor_elements(&tensor), bytes = p2p_tensor_bytes(&tensor);
    float *one = calloc(elements, sizeof *one), *sum = calloc(elements, sizeof *sum);
    double *value = calloc(elements, sizeof *value);
    char *through_host = calloc(REPLICAS, bytes), *expected = calloc(1, bytes), *stored = calloc(1, bytes);
    for (int r = 0; r < REPLICAS; r++) {
        for (size_t i = 0; i < elements; i++) value[i] = contribution(r, i);
        p2p_tensor_pack(&tensor, value, P2P_TYPE_f64, stored);
        p2p_tensor_unpack(&tensor, stored, one, P2P_TYPE_f32);
        for (size_t i = 0; i < elements; i++) sum[i] += one[i];
    }
    p2p_tensor_pack(&tensor, sum, P2P_TYPE_f32, expected);
    reduce_on("plainref", &op, through_host);
    for (size_t r = 0; r < REPLICAS; r++) assert_memory_equal(through_host + r * bytes, expected, bytes);
    free(one), free(sum), free(value), free(through_host), free(expected), free(stored);
}

static void sums_through_the_host(void **state) {
    (void)state;
    p2p_op small = collective(P2P_KIND_all_reduce, p2p_tensor_flat(P2P_TYPE_f64, 33));
    /* More than one chunk, with a short last one. */
    p2p_op large = collective(P2P_KIND_all_reduce, p2p_tensor_flat(P2P_TYPE_f64, (1 << 20) + 17));
    p2p_op blocked = collective(P2P_KIND_all_reduce, p2p_tensor_filter(P2P_TYPE_f64, 5, 17, 3, 3));
    blocked.t[0].layout = P2P_LAYOUT_ckrs;
    blocked.t[0].block = 16;
    compare_reductions(&small);
    compare_reductions(&large);
    compare_reductions(&blocked);
    for (int i = 0; i < 2; i++) {
        large.t[0].type = blocked.t[0].type = i ? P2P_TYPE_bf16 : P2P_TYPE_f32;
        expect_float_sums(large.t[0]);
        expect_float_sums(blocked.t[0]);
    }
}

static void combines_moments_through_the_host(void **state) {
    (void)state;
    p2p_op op = collective(P2P_KIND_all_reduce, p2p_tensor_stats(P2P_TYPE_f64, 2, 3, 17));
    op.reduction = P2P_REDUCE_MOMENTS;
    size_t bytes = p2p_tensor_bytes(&op.t[0]);
    double through_host[REPLICAS * 2 * 3 * 17], own[REPLICAS * 2 * 3 * 17];
    assert_int_equal(sizeof own, REPLICAS * bytes);
    reduce_on("plainref", &op, (char *)through_host);
    reduce_on("reference", &op, (char *)own);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        double scale = own[i] > 1 ? own[i] : 1;
        assert_true(through_host[i] - own[i] <= 1e-14 * scale && own[i] - through_host[i] <= 1e-14 * scale);
    }
}

static void broadcasts_through_the_host(void **state) {
    (void)state;
    p2p_op op = collective(P2P_KIND_broadcast, p2p_tensor_flat(P2P_TYPE_f32, (1 << 20) + 5));
    op.root = 2;
    compare_reductions(&op);
    p2p_op words = collective(P2P_KIND_broadcast, p2p_tensor_flat(P2P_TYPE_u32, 7));
    compare_reductions(&words);
}

/* Opens a communicator over two devices, and expects these warnings; "" for none. */
static void expect_warnings(const char *first, const char *second, const char *expected) {
    p2p_device *devices[2] = {open_device(first), open_device(second)};
    char *text = NULL;
    size_t size = 0;
    p2p_comm *comm = NULL;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    p2p_warnings_to(stream);
    OK(p2p_comm_open(devices, 2, 2, 0, NULL, &comm));
    p2p_warnings_to(NULL);
    fclose(stream);
    assert_string_equal(text, expected);
    free(text);
    p2p_comm_close(comm);
    for (int i = 0; i < 2; i++) p2p_device_close(devices[i]);
}

/* Sums that pass through host memory are slow, so a line has the reason. */
static void names_the_slow_way(void **state) {
    (void)state;
#define SLOWER ": gradients are reduced through host memory, which is slower\n"
    expect_warnings("reference:0", "reference:1", "");
    expect_warnings("reference:0", "reference:0", "");
    expect_warnings("plainref:0", "plainref:0", "warning: plainref has no communicator" SLOWER);
    expect_warnings("reference:0", "plainref:1",
                    "warning: reference:0 and plainref:1 are of different backends" SLOWER);
    expect_warnings("mixed:2", "mixed:2", "warning: mixed:2 is several replicas" SLOWER);
    expect_warnings("mixed:2", "mixed:3", "");
#undef SLOWER
}

static void checks_collectives(void **state) {
    (void)state;
    p2p_device *devices[2] = {open_device("plainref:0"), open_device("plainref:1")};
    p2p_comm *comm = NULL;
    REFUSED(p2p_comm_open(devices, 0, 0, 0, NULL, &comm), P2P_INVALID, "communicator");
    REFUSED(p2p_comm_open(devices, 2, 3, 2, NULL, &comm), P2P_INVALID, "2 replicas from 2 on, of 3");
    REFUSED(p2p_comm_open(devices, 2, 4, 2, NULL, &comm), P2P_UNSUPPORTED, "2 of 4 replicas");
    assert_null(comm);
    OK(p2p_comm_open(devices, 2, 2, 0, NULL, &comm));
    p2p_place places[2] = {{create_buffer(devices[0], 64), 0}, {create_buffer(devices[1], 32), 0}};
    const p2p_ticket tickets[2] = {0, 0};
    p2p_ticket done[2];
    p2p_op op = collective(P2P_KIND_all_reduce, p2p_tensor_flat(P2P_TYPE_f32, 16));
    REFUSED(p2p_comm_run(comm, &op, places, tickets, done), P2P_INVALID,
            "replica 1 of all_reduce needs 64 bytes");
    p2p_op not_collective = act_op(4);
    REFUSED(p2p_comm_run(comm, &not_collective, places, tickets, done), P2P_INVALID, "not a collective");
    p2p_op far = collective(P2P_KIND_broadcast, p2p_tensor_flat(P2P_TYPE_f32, 8));
    far.root = 2;
    REFUSED(p2p_comm_run(comm, &far, places, tickets, done), P2P_INVALID, "replica 2 of 2");
    p2p_op range = collective(P2P_KIND_all_reduce, p2p_tensor_activation(P2P_TYPE_f32, 1, 2, 1, 1));
    range.t[0].cp = 4;
    REFUSED(p2p_comm_run(comm, &range, places, tickets, done), P2P_UNSUPPORTED, "channel range");
    REFUSED(p2p_comm_prepare(comm, &range), P2P_UNSUPPORTED, "channel range");
    REFUSED(p2p_comm_prepare(comm, &not_collective), P2P_INVALID, "not a collective");
    p2p_comm_close(comm);
    p2p_comm_close(NULL);
    for (int i = 0; i < 2; i++) {
        p2p_buffer_destroy(places[i].buffer);
        p2p_device_close(devices[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_modules),
        cmocka_unit_test(lists_devices_and_reasons),
        cmocka_unit_test(lists_one_backend),
        cmocka_unit_test(reference_comes_last),
        cmocka_unit_test(opens_by_address),
        cmocka_unit_test(refuses_addresses_with_reasons),
        cmocka_unit_test(sets_limits),
        cmocka_unit_test(refuses_what_is_no_call),
        cmocka_unit_test(checks_buffers),
        cmocka_unit_test(moves_bytes),
        cmocka_unit_test(checks_operands),
        cmocka_unit_test(refuses_an_absent_operands_place),
        cmocka_unit_test(says_that_it_cannot_record),
        cmocka_unit_test(every_call_can_fail),
        cmocka_unit_test(logs_what_happens),
        cmocka_unit_test(sums_through_the_host),
        cmocka_unit_test(combines_moments_through_the_host),
        cmocka_unit_test(broadcasts_through_the_host),
        cmocka_unit_test(names_the_slow_way),
        cmocka_unit_test(checks_collectives),
    };
    return cmocka_run_group_tests(tests, register_modules, NULL);
}
