/* Choices of convolutions' algorithms on the machine made of software, whose cuDNN has several engines, some
 * of them wrong or refused on demand (P2P_MACHINE_CUDNN). Times are those of the machine's own
 * clock, so no result depends on the computer.
 */
#include "cuda-machine/libraries/double_version.h"
#include "device/device.h"
#include "host/cache.h"
#include "p2p_tune.h"
#include "support/test_files.h"

#include <machine.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_op_text.h"

static p2p_device *device;
static int readings;
static uint64_t timed_before;

/* The host's clock. No choice is timed by it. */
static double host_clock(void) {
    readings++;
    return 0;
}

/* Measurements by the device's clock since it was opened. */
static int timed(void) {
    return (int)(machine_counter("calls", "cuEventElapsedTime") - timed_before);
}

static void reopen(void) {
    if (device) p2p_device_close(device);
    OK(p2p_device_open("cuda:0", &device));
    timed_before = machine_counter("calls", "cuEventElapsedTime");
}

static int set_up(void **state) {
    test_own_folder_make(state);
    OK(p2p_cache_folder_set(test_own_folder));
    unsetenv("P2P_MACHINE_CUDNN");
    reopen();
    return 0;
}

static int tear_down(void **state) {
    p2p_device_close(device);
    device = NULL;
    unsetenv("P2P_MACHINE_CUDNN");
    return test_own_folder_remove(state);
}

/* One of each kind, with channels that do not fill a block. */
static const char *const shapes[] = {
    "conv_fwd x=f32:nhwc8:2x20x9x9 w=f32:krsc8:33x20x4x4 y=f32:nhwc8:2x33x4x4 stride=2 pad_top=1 pad_left=1 "
    "pad_bottom=1 pad_right=1",
    "conv_bwd_data dy=f32:nhwc8:2x33x4x4 w=f32:krsc8:33x20x4x4 dx=f32:nhwc8:2x20x8x8 stride=2 pad_top=1 "
    "pad_left=1 "
    "pad_bottom=1 pad_right=1 math=tf32",
    "conv_bwd_filter x=bf16:nhwc8:2x20x8x8 dy=bf16:nhwc8:2x33x4x4 dw=bf16:krsc8:33x20x4x4 stride=2 pad_top=1 "
    "pad_left=1 pad_bottom=1 pad_right=1",
};

enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void choose(const p2p_op *op, p2p_tune mode, p2p_choice *choice) {
    OK(p2p_operation_choose(device, op, mode, host_clock, choice));
    assert_int_equal(readings, 0);
}

/* The name of the algorithm that a query answers with. */
static const char *planned(const p2p_op *op) {
    static const char prefix[] = "cudnn_";
    static p2p_query answer;
    OK(p2p_operation_query(device, op, &answer));
    assert_memory_equal(answer.kernel, prefix, sizeof prefix - 1);
    return answer.kernel + sizeof prefix - 1;
}

static int list(const p2p_op *op, char (*names)[P2P_CHOICE_NAME]) {
    int count = 0;
    OK(p2p_operation_list(device, op, names, &count));
    return count;
}

/* "wrong:5" for the engine of the name "e5:1-2". */
static void set_fault(const char *fault, const char *name) {
    char text[P2P_CHOICE_NAME + 16];
    snprintf(text, sizeof text, "%s:%d", fault, atoi(name + 1));
    setenv("P2P_MACHINE_CUDNN", text, 1);
}

static void lists_and_imposes(void **state) {
    char names[P2P_MOST_CHOICES][P2P_CHOICE_NAME];
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        const p2p_op op = parse(shapes[i]);
        const int count = list(&op, names);
        assert_in_range(count, 2, P2P_MOST_CHOICES);
        assert_string_equal(planned(&op), names[0]);
        OK(p2p_operation_impose(device, &op, names[count - 1]));
        assert_string_equal(planned(&op), names[count - 1]);
        REFUSED(p2p_operation_impose(device, &op, "direct"), P2P_UNSUPPORTED, "not the name");
        REFUSED(p2p_operation_impose(device, &op, "e12345"), P2P_UNSUPPORTED, "CUDNN_STATUS_");
        assert_string_equal(planned(&op), names[count - 1]);
        OK(p2p_operation_impose(device, &op, ""));
        assert_string_equal(planned(&op), names[0]);
    }
}

static void keeps_what_it_measured(void **state) {
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        const p2p_op op = parse(shapes[i]);
        p2p_choice choice;
        reopen();
        choose(&op, P2P_TUNE_STORED, &choice);
        assert_true(!choice.measured && choice.seconds == 0 && timed() == 0);
        choose(&op, P2P_TUNE_MEASURE, &choice);
        assert_true(choice.measured && choice.seconds > 0 && timed() > 0);
        assert_true(!choice.name[0] || choice.seconds < choice.default_seconds);
        reopen();
        choose(&op, P2P_TUNE_MEASURE, &choice);
        assert_true(!choice.measured && choice.seconds > 0 && timed() == 0);
        choose(&op, P2P_TUNE_ANEW, &choice);
        assert_true(choice.measured && timed() > 0);
    }
}

/* An engine that computes wrong results is not timed, and another one wins, and is kept. */
static void leaves_out_what_is_wrong(void **state) {
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        const p2p_op op = parse(shapes[i]);
        char first[P2P_CHOICE_NAME], winner[P2P_CHOICE_NAME];
        p2p_choice choice;
        strcpy(first, planned(&op));
        set_fault("wrong", first);
        choose(&op, P2P_TUNE_MEASURE, &choice);
        assert_true(choice.measured);
        assert_string_not_equal(choice.name, "");
        assert_int_not_equal(atoi(choice.name + 1), atoi(first + 1));
        strcpy(winner, choice.name);
        assert_string_equal(planned(&op), winner);
        reopen();
        choose(&op, P2P_TUNE_STORED, &choice);
        assert_string_equal(choice.name, winner);
        assert_string_equal(planned(&op), winner);
        choose(&op, P2P_TUNE_OFF, &choice);
        assert_string_equal(planned(&op), first);
    }
}

/* The same with an engine that fails when it runs. */
static void leaves_out_what_does_not_run(void **state) {
    const p2p_op op = parse(shapes[0]);
    char first[P2P_CHOICE_NAME];
    p2p_choice choice;
    (void)state;
    strcpy(first, planned(&op));
    set_fault("refuse", first);
    choose(&op, P2P_TUNE_MEASURE, &choice);
    assert_true(choice.measured);
    assert_int_not_equal(atoi(choice.name + 1), atoi(first + 1));
}

/* Keeps a choice as an earlier process would have, with a version of cuDNN. */
static void keep(const p2p_op *op, const char *name, const char *version) {
    static const char format[] = "p2p cuda tune 1", card[] = "NVIDIA H200";
    const p2p_key_part key[] = {{format, sizeof format}, {version, strlen(version) + 1}, {card, sizeof card}};
    p2p_choice choice = {.seconds = 0.25, .default_seconds = 0.5};
    char descriptor[P2P_OP_TEXT];
    p2p_op_print(op, descriptor, sizeof descriptor);
    strcpy(choice.name, name);
    char *text = p2p_tune_kept_put(p2p_host_services(), key, 3, descriptor, &choice);
    assert_non_null(text);
    free(text);
}

/* ---- Engines that have a plan and fail when they are executed, without a measurement ----------------- */

static int warnings;
static char first_warning[1024];

static void count_warning(const char *text) {
    if (warnings++ == 0) snprintf(first_warning, sizeof first_warning, "%s", text);
}

/* Creates the operation, runs it once if that is possible, and destroys it. */
static p2p_status create_and_run(const p2p_op *op) {
    p2p_buffer *buffers[P2P_MAX_OPERANDS + 1] = {NULL};
    p2p_place places[P2P_MAX_OPERANDS] = {{0}};
    p2p_operation *operation = NULL;
    p2p_query answer;
    OK(p2p_operation_query(device, op, &answer));
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        if (!p2p_tensor_present(&op->t[i])) continue;
        OK(p2p_buffer_create(device, p2p_tensor_bytes(&op->t[i]), &buffers[i]));
        places[i].buffer = buffers[i];
    }
    p2p_buffer **scratch = &buffers[P2P_MAX_OPERANDS];
    if (answer.scratch_bytes > 0) OK(p2p_buffer_create(device, answer.scratch_bytes, scratch));
    p2p_status status = p2p_operation_create(device, op, places, (p2p_place){*scratch, 0}, &operation);
    if (status == P2P_OK) OK(p2p_operation_run(operation));
    if (status == P2P_OK) OK(p2p_device_finish(device));
    p2p_operation_destroy(operation);
    for (int i = 0; i <= P2P_MAX_OPERANDS; i++) p2p_buffer_destroy(buffers[i]);
    return status;
}

static void takes_the_next_engine(void **state) {
    (void)state;
    p2p_warnings_pass(count_warning);
    for (int i = 0; i < SHAPES; i++) {
        const p2p_op op = parse(shapes[i]);
        char first[P2P_CHOICE_NAME], names[P2P_MOST_CHOICES][P2P_CHOICE_NAME];
        strcpy(first, planned(&op));
        set_fault("refuse", first);
        warnings = 0;
        OK(create_and_run(&op));
        const int tried = warnings; /* a line each: engines of the number with other knobs fail too */
        assert_true(tried >= 1);
        assert_non_null(strstr(first_warning, first));
        assert_non_null(strstr(first_warning, "CUDNN_STATUS_EXECUTION_FAILED"));
        assert_non_null(strstr(first_warning, "planted failure of engine")); /* cudnnGetLastErrorString */
        assert_int_not_equal(atoi(planned(&op) + 1), atoi(first + 1));
        OK(create_and_run(&op)); /* without another try */
        assert_int_equal(warnings, tried);
        for (int n = list(&op, names); n-- > 0;) assert_string_not_equal(names[n], first);
        unsetenv("P2P_MACHINE_CUDNN");
    }
    p2p_warnings_pass(NULL);
}

/* A choice that fails gives way to the heuristics'. */
static void leaves_a_choice_that_fails(void **state) {
    const p2p_op op = parse(shapes[0]);
    char names[P2P_MOST_CHOICES][P2P_CHOICE_NAME], first[P2P_CHOICE_NAME];
    (void)state;
    const char *last = names[list(&op, names) - 1];
    strcpy(first, planned(&op));
    OK(p2p_operation_impose(device, &op, last));
    set_fault("refuse", last);
    p2p_warnings_pass(count_warning);
    warnings = 0;
    OK(create_and_run(&op));
    p2p_warnings_pass(NULL);
    assert_int_equal(warnings, 1);
    assert_string_equal(planned(&op), first);
    REFUSED(p2p_operation_impose(device, &op, last), P2P_UNSUPPORTED, "failed when it was executed");
}

static void nothing_runs(void **state) {
    const p2p_op op = parse(shapes[0]);
    (void)state;
    setenv("P2P_MACHINE_CUDNN", "refuse:all", 1);
    p2p_warnings_pass(count_warning);
    REFUSED(create_and_run(&op), P2P_UNSUPPORTED, "none of");
    p2p_warnings_pass(NULL);
}

static void takes_what_is_kept(void **state) {
    char now[64], others[3][64];
    snprintf(now, sizeof now, "cuDNN %d, 90, 132", DOUBLE_DNN_VERSION);
    snprintf(others[0], sizeof others[0], "cuDNN %d, 90, 132", DOUBLE_DNN_VERSION - 100);
    snprintf(others[1], sizeof others[1], "cuDNN %d, 100, 132", DOUBLE_DNN_VERSION);
    snprintf(others[2], sizeof others[2], "cuDNN %d, 90, 66", DOUBLE_DNN_VERSION);
    char names[P2P_MOST_CHOICES][P2P_CHOICE_NAME];
    const p2p_op op = parse(shapes[0]);
    const int count = list(&op, names);
    p2p_choice choice;
    (void)state;
    for (int i = 0; i < 3; i++) keep(&op, names[count - 1], others[i]);
    choose(&op, P2P_TUNE_STORED, &choice);
    assert_true(choice.seconds == 0); /* of another library or card */
    keep(&op, names[count - 1], now);
    choose(&op, P2P_TUNE_STORED, &choice);
    assert_true(choice.seconds == 0.25 && choice.default_seconds == 0.5 && timed() == 0);
    assert_string_equal(choice.name, names[count - 1]);
    assert_string_equal(planned(&op), names[count - 1]);
    keep(&op, "e12345", now); /* an engine that cuDNN does not have */
    choose(&op, P2P_TUNE_STORED, &choice);
    assert_string_equal(choice.name, "");
    assert_string_equal(planned(&op), names[0]);
}

/* Every algorithm that is listed computes what it should. */
static void runs_all_that_it_lists(void **state) {
    char names[P2P_MOST_CHOICES][P2P_CHOICE_NAME];
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        const p2p_op op = parse(shapes[i]);
        const int count = list(&op, names);
        p2p_choice choice;
        setenv("P2P_MACHINE_CUDNN", "wrong:all", 1);
        choose(&op, P2P_TUNE_ANEW, &choice); /* nothing is right */
        assert_false(choice.measured);
        unsetenv("P2P_MACHINE_CUDNN");
        choose(&op, P2P_TUNE_ANEW, &choice);
        assert_true(choice.measured);
        assert_true(timed() >= 2 * count); /* all were timed */
        reopen();
    }
}

static void products_have_no_choice(void **state) {
    char names[P2P_MOST_CHOICES][P2P_CHOICE_NAME];
    const p2p_op op = parse("conv_fwd x=f32:nhwc8:2x20x9x9 w=f32:krsc8:33x20x1x1 y=f32:nhwc8:2x33x9x9");
    p2p_choice choice;
    p2p_query answer;
    (void)state;
    assert_int_equal(list(&op, names), 0);
    choose(&op, P2P_TUNE_MEASURE, &choice);
    assert_true(!choice.measured && timed() == 0);
    REFUSED(p2p_operation_impose(device, &op, "e1"), P2P_UNSUPPORTED, "matrix product");
    OK(p2p_operation_impose(device, &op, ""));
    OK(p2p_operation_query(device, &op, &answer));
    assert_string_equal(answer.kernel, "gemm_1x1");
}

static double still_clock(void) {
    return 1;
}

static p2p_status note_time(void *context, const p2p_operation_timing *timing) {
    if (timing->end > timing->begin) ++*(int *)context;
    return P2P_OK;
}

/* Operations of a profile are timed by the device too. */
static void profiles_by_its_own_clock(void **state) {
    p2p_network *network = p2p_network_create("n");
    p2p_graph *graph = p2p_graph_create(1, 1, 1);
    const p2p_param w = p2p_network_filter(network, "w", 8, 8, 4, 4, 0, 0.02);
    const p2p_value x = p2p_input(graph, "x", P2P_TYPE_f32, 8, 8, 8);
    p2p_session *session = NULL;
    p2p_plan *plan = NULL;
    int count = 0;
    (void)state;
    p2p_output(graph, "y", p2p_conv(graph, x, network, w, (p2p_param){-1}, 2, 1), P2P_TYPE_f32);
    OK(p2p_graph_status(graph));
    OK(p2p_session_create(&device, 1, &(p2p_session_options){0}, &session));
    OK(p2p_session_plan(session, "profiled", &graph, &plan));
    OK(p2p_session_allocate(session, NULL, NULL));
    OK(p2p_session_initialise(session, network, 1));
    OK(p2p_plan_profile(plan, &(p2p_step){0}, still_clock, note_time, &count));
    OK(p2p_plan_wait(plan));
    assert_true(count > 0);
    p2p_session_destroy(session);
    p2p_graph_destroy(graph);
    p2p_network_destroy(network);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(lists_and_imposes),
        TEST(keeps_what_it_measured),
        TEST(leaves_out_what_is_wrong),
        TEST(leaves_out_what_does_not_run),
        TEST(takes_the_next_engine),
        TEST(leaves_a_choice_that_fails),
        TEST(nothing_runs),
        TEST(takes_what_is_kept),
        TEST(runs_all_that_it_lists),
        TEST(products_have_no_choice),
        TEST(profiles_by_its_own_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
