/* How sessions choose the algorithms of their convolutions: for which convolutions a device is queried, in
 * which mode, and the text that is written to and read from a checkpoint. The devices are the reference with
 * invented algorithms, which do not change results.
 */
#include "device/device.h"
#include "plan/session.h"
#include "support/plan_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* ---- Devices that record calls ------------------------------------------------------------------------ */

enum { A_CPU, A_GPU, ANOTHER_GPU, ON_REQUEST, DEVICES, CALLS_MOST = 256 };

static const p2p_module *reference;

static struct {
    int chosen, imposed;
    p2p_tune mode; /* of the last choice */
    bool has_clock;
    p2p_op ops[CALLS_MOST]; /* the convolutions of op_choose */
    char names[CALLS_MOST][P2P_CHOICE_NAME];
} calls;

static p2p_status device_count(int *count, p2p_obstacle *obstacle) {
    (void)obstacle;
    *count = DEVICES;
    return P2P_OK;
}

/* Two GPUs have equal properties; the third measures on request only. */
static p2p_status device_info(int index, p2p_device_info *info) {
    P2P_TRY(reference->device_info(0, info));
    info->type = index == A_CPU ? P2P_DEVICE_CPU : P2P_DEVICE_GPU;
    snprintf(info->name, sizeof info->name, "%s", index == A_CPU ? "choosy processor" : "choosy board");
    snprintf(info->driver, sizeof info->driver, "driver 7");
    info->measures_on_request = index == ON_REQUEST;
    return P2P_OK;
}

static p2p_status device_open(int index, p2p_be_device **device) {
    (void)index;
    return reference->device_open(0, device);
}

static p2p_status op_choose(p2p_be_device *device, const p2p_op *op, p2p_tune mode, double (*clock)(void),
                            p2p_choice *choice) {
    (void)device;
    calls.mode = mode;
    calls.has_clock = clock != NULL;
    assert_true(calls.chosen < CALLS_MOST);
    calls.ops[calls.chosen++] = *op;
    if (mode == P2P_TUNE_OFF) return P2P_OK;
    snprintf(choice->name, sizeof choice->name, "variant:%d", calls.chosen % 3);
    choice->measured = mode >= P2P_TUNE_MEASURE;
    choice->seconds = 1;
    return P2P_OK;
}

static p2p_status op_impose(p2p_be_device *device, const p2p_op *op, const char *name) {
    (void)device, (void)op;
    if (strcmp(name, "lost") == 0) return p2p_fail(P2P_UNSUPPORTED, "that variant is lost");
    assert_true(calls.imposed < CALLS_MOST);
    snprintf(calls.names[calls.imposed++], P2P_CHOICE_NAME, "%s", name);
    return P2P_OK;
}

static p2p_module module;

static const p2p_module *choosy_module(uint32_t abi, const p2p_host *given) {
    reference = p2p_module_reference(abi, given);
    module = *reference;
    module.name = "choosy";
    module.device_count = device_count;
    module.device_info = device_info;
    module.device_open = device_open;
    module.device.op_choose = op_choose;
    module.device.op_impose = op_impose;
    return &module;
}

/* ---- Sessions ------------------------------------------------------------------------------------------ */

static const plan_net shape = {.in = 3, .out = 3, .filters = 4};
static const plan_net_step training = {.dropout = 0.5};

static double no_clock(void) {
    fail_msg("%s", "the core reads no clock");
    return 0;
}

static int progressed, progress_total;

static void count_progress(void *context, int done, int total, const p2p_op *op, const p2p_choice *choice) {
    assert_ptr_equal(context, &progressed);
    if (done == 1) progressed = 0; /* another device */
    assert_int_equal(done, ++progressed);
    assert_true(done <= total && op && choice);
    progress_total = total;
}

static plan_rig open_rig(int first, int replicas, p2p_tune mode, const char *imposed) {
    const p2p_session_options options = {.tuning = {.mode = mode,
                                                    .clock = no_clock,
                                                    .progress = count_progress,
                                                    .context = &progressed,
                                                    .imposed = imposed}};
    plan_rig rig;
    memset(&calls, 0, sizeof calls);
    progressed = progress_total = 0;
    const p2p_status status = plan_rig_open(&rig, "choosy", first, replicas, 2, &shape, &training, &options);
    if (status != P2P_OK) fail_msg("%s", p2p_message());
    return rig;
}

/* Prints the session's choices. The caller frees *text. */
static void take_text(const plan_rig *rig, char **text) {
    assert_int_equal(p2p_session_choices_text(rig->session, text), P2P_OK);
}

static void chooses_once_for_each_convolution(void **state) {
    (void)state;
    plan_rig rig = open_rig(A_GPU, 1, P2P_TUNE_MEASURE, NULL);
    assert_true(calls.chosen > 5);
    assert_int_equal(calls.imposed, 0);
    assert_true(calls.has_clock);
    assert_int_equal(progressed, calls.chosen);
    assert_int_equal(progress_total, calls.chosen);
    assert_int_equal(p2p_session_choice_count(rig.session), calls.chosen);
    int convolutions = 0;
    const plan_part *part = &rig.plan->parts[0];
    for (int s = 0; s < part->step_count; s++) {
        const p2p_op *op = &part->steps[s].op;
        if (!p2p_op_is_convolution(op)) continue;
        convolutions++;
        assert_non_null(session_find_choice(rig.session, 0, op)); /* fused or not */
    }
    assert_true(convolutions > calls.chosen); /* the discriminator's occur twice */
    for (int i = 0; i < calls.chosen; i++) {
        const p2p_op plain = p2p_op_plain_convolution(&calls.ops[i]);
        assert_true(p2p_op_equal(&plain, &calls.ops[i]));
        for (int j = 0; j < i; j++) assert_false(p2p_op_equal(&calls.ops[i], &calls.ops[j]));
    }
    plan_rig_close(&rig);
}

static void takes_the_mode_that_suits_the_device(void **state) {
    (void)state;
    static const struct {
        int device;
        p2p_tune requested, used;
    } cases[] = {
        {A_CPU, P2P_TUNE_AUTO, P2P_TUNE_STORED},      {A_GPU, P2P_TUNE_AUTO, P2P_TUNE_MEASURE},
        {ON_REQUEST, P2P_TUNE_AUTO, P2P_TUNE_STORED}, {ON_REQUEST, P2P_TUNE_MEASURE, P2P_TUNE_MEASURE},
        {A_CPU, P2P_TUNE_OFF, P2P_TUNE_OFF},          {A_GPU, P2P_TUNE_OFF, P2P_TUNE_OFF},
        {A_GPU, P2P_TUNE_STORED, P2P_TUNE_STORED},    {A_CPU, P2P_TUNE_ANEW, P2P_TUNE_ANEW}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        plan_rig rig = open_rig(cases[i].device, 1, cases[i].requested, NULL);
        assert_int_equal(calls.mode, cases[i].used);
        plan_rig_close(&rig);
    }
}

static void measuring_needs_a_clock(void **state) {
    (void)state;
    const p2p_session_options options = {.tuning = {.mode = P2P_TUNE_AUTO}};
    p2p_device *cpu, *gpu;
    p2p_session *session;
    assert_int_equal(p2p_device_open("choosy:0", &cpu), P2P_OK);
    assert_int_equal(p2p_device_open("choosy:1", &gpu), P2P_OK);
    assert_int_equal(p2p_session_create(&cpu, 1, &options, &session), P2P_OK);
    p2p_session_destroy(session);
    assert_int_equal(p2p_session_create(&gpu, 1, &options, &session), P2P_INVALID);
    MESSAGE_HAS("clock");
    p2p_device_close(cpu);
    p2p_device_close(gpu);
}

/* The choices of one session are imposed on the next, whatever its own mode. */
static void imposes_what_was_chosen(void **state) {
    (void)state;
    plan_rig rig = open_rig(A_GPU, 1, P2P_TUNE_MEASURE, NULL);
    const int chosen = calls.chosen;
    char *text, names[CALLS_MOST][P2P_CHOICE_NAME];
    take_text(&rig, &text);
    for (int i = 0; i < chosen; i++) snprintf(names[i], sizeof names[i], "variant:%d", (i + 1) % 3);
    plan_rig_close(&rig);
    rig = open_rig(A_GPU, 1, P2P_TUNE_ANEW, text);
    assert_int_equal(calls.chosen, 0);
    assert_int_equal(calls.imposed, chosen);
    for (int i = 0; i < chosen; i++) assert_string_equal(calls.names[i], names[i]);
    char *again;
    take_text(&rig, &again);
    assert_string_equal(again, text);
    plan_rig_close(&rig);
    free(again);

    /* A choice whose line is missing is made by heuristic, not by measurement. */
    char *last = strrchr(text, '\n');
    *last = '\0';
    *(strrchr(text, '\n') + 1) = '\0';
    rig = open_rig(A_GPU, 1, P2P_TUNE_ANEW, text);
    assert_int_equal(calls.imposed, chosen - 1);
    assert_int_equal(calls.chosen, 1);
    assert_int_equal(calls.mode, P2P_TUNE_OFF);
    plan_rig_close(&rig);

    /* Another device makes its own choices. */
    rig = open_rig(A_CPU, 1, P2P_TUNE_STORED, text);
    assert_int_equal(calls.imposed, 0);
    assert_int_equal(calls.chosen, chosen);
    assert_int_equal(calls.mode, P2P_TUNE_STORED);
    plan_rig_close(&rig);
    free(text);
}

static void imposes_arithmetic_too(void **state) {
    (void)state;
    plan_rig rig = open_rig(A_GPU, 1, P2P_TUNE_OFF, NULL);
    const int chosen = calls.chosen;
    char *text;
    take_text(&rig, &text);
    plan_rig_close(&rig);
    assert_non_null(strstr(text, "\n- conv_fwd "));
    rig = open_rig(A_GPU, 1, P2P_TUNE_MEASURE, text);
    assert_int_equal(calls.imposed, chosen);
    for (int i = 0; i < chosen; i++) assert_string_equal(calls.names[i], "");
    plan_rig_close(&rig);
    free(text);
}

static void replicas_agree(void **state) {
    (void)state;
    plan_rig rig = open_rig(A_GPU, 2, P2P_TUNE_MEASURE, NULL);
    assert_true(calls.chosen > 5);
    assert_int_equal(calls.imposed, calls.chosen); /* the second GPU has the choices of the first */
    for (int i = 0; i < calls.imposed; i++) assert_true(calls.names[i][0] != '\0');
    assert_int_equal(p2p_session_choice_count(rig.session), calls.chosen);
    plan_rig_close(&rig);
    rig = open_rig(A_CPU, 2, P2P_TUNE_STORED, NULL); /* a CPU and a GPU have separate choices */
    assert_int_equal(calls.imposed, 0);
    char *text;
    take_text(&rig, &text);
    assert_non_null(strstr(text, "device\tchoosy processor\tdriver 7\n"));
    assert_non_null(strstr(text, "device\tchoosy board\tdriver 7\n"));
    plan_rig_close(&rig);
    rig = open_rig(A_CPU, 2, P2P_TUNE_STORED, text);
    assert_int_equal(calls.chosen, 0);
    plan_rig_close(&rig);
    free(text);
}

static char warning[512];

static void warns_of_a_variant_that_is_lost(void **state) {
    (void)state;
    plan_rig rig = open_rig(A_GPU, 1, P2P_TUNE_OFF, NULL);
    char *text;
    take_text(&rig, &text);
    const int chosen = calls.chosen;
    plan_rig_close(&rig);
    char *line = strstr(text, "\n- ") + 1;
    char *changed = malloc(strlen(text) + sizeof "lost");
    assert_non_null(changed);
    sprintf(changed, "%.*slost%s", (int)(line - text), text, line + 1);
    FILE *stream = tmpfile();
    p2p_warnings_to(stream);
    rig = open_rig(A_GPU, 1, P2P_TUNE_MEASURE, changed);
    p2p_warnings_to(NULL);
    rewind(stream);
    assert_non_null(fgets(warning, sizeof warning, stream));
    assert_non_null(strstr(warning, "lost"));
    assert_int_equal(calls.imposed, chosen - 1);
    assert_int_equal(calls.chosen, 1);
    assert_int_equal(calls.mode, P2P_TUNE_OFF);
    fclose(stream);
    plan_rig_close(&rig);
    free(changed);
    free(text);
}

#define CONV "conv_fwd x=f32:plain:1x3x8x8 w=f32:plain:4x3x4x4 y=f32:plain:1x4x5x5"

static void refuses_damaged_text(void **state) {
    (void)state;
    static const char *const texts[] = {
        "nonsense",
        "- nonsense",
        "variant " CONV " x",
        "variant conv_fwd",
        " " CONV,
        "variant\t" CONV,
        "device",
        "- bias_grad dy=f32:plain:1x1x1x1 db=f32:plain:1x1x1x1",
        "0123456789012345678901234567890123456789012345678901234567890123 " CONV};
    p2p_device *device;
    p2p_session *session;
    assert_int_equal(p2p_device_open("choosy:0", &device), P2P_OK);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const p2p_session_options options = {.tuning = {.imposed = texts[i]}};
        const p2p_status status = p2p_session_create(&device, 1, &options, &session);
        if (status != P2P_INPUT) fail_msg("'%s' was taken", texts[i]);
        assert_null(session);
    }
    const p2p_session_options fine = {.tuning = {.imposed = "device\tx\ty\nvariant " CONV "\n- " CONV "\n"}};
    assert_int_equal(p2p_session_create(&device, 1, &fine, &session), P2P_OK);
    p2p_session_destroy(session);
    p2p_device_close(device);
}

static void devices_without_choices_choose_nothing(void **state) {
    (void)state;
    const p2p_session_options options = {.tuning = {.mode = P2P_TUNE_ANEW, .clock = no_clock}};
    plan_rig rig;
    p2p_choice choice;
    p2p_op op;
    assert_int_equal(plan_rig_open(&rig, "reference", 0, 1, 2, &shape, &training, &options), P2P_OK);
    assert_int_equal(p2p_session_choice_count(rig.session), 0);
    char *text;
    take_text(&rig, &text);
    assert_string_equal(text, "");
    free(text);
    assert_int_equal(p2p_op_parse(CONV, &op), P2P_OK);
    assert_int_equal(p2p_operation_choose(rig.devices[0], &op, P2P_TUNE_OFF, no_clock, &choice),
                     P2P_UNSUPPORTED);
    assert_int_equal(p2p_operation_impose(rig.devices[0], &op, "variant"), P2P_UNSUPPORTED);
    plan_rig_close(&rig);
}

/* ---- Plain convolutions -------------------------------------------------------------------------------- */

static void reduces_to(const char *text, const char *expected) {
    p2p_op op;
    char plain[P2P_OP_TEXT];
    if (p2p_op_parse(text, &op) != P2P_OK || p2p_op_validate(&op) != P2P_OK) fail_msg("%s", p2p_message());
    op = p2p_op_plain_convolution(&op);
    assert_int_equal(p2p_op_validate(&op), P2P_OK);
    p2p_op_print(&op, plain, sizeof plain);
    assert_string_equal(plain, expected);
}

static void reduces_to_plain_convolutions(void **state) {
    (void)state;
    reduces_to(CONV, CONV);
    reduces_to(
        "conv_fwd x=f32:plain:1x3@1/5x8x8 w=f32:plain:4x3x4x4 bias=f32:plain:1x4x1x1 y+=f32:plain:1x4x5x5 "
        "act=lrelu slope=0.2",
        CONV);
    reduces_to("conv_fwd x=f32:plain:6x3x8x8 w=f32:plain:4x3x4x4 y=f32:plain:6x4x5x5 images=1", CONV);
    reduces_to(
        "conv_bwd_data dy=f32:plain:6x4x5x5 w=f32:plain:4x3x4x4 dx=f32:plain:6x3x8x8 images=2 stride=1",
        "conv_bwd_data dy=f32:plain:2x4x5x5 w=f32:plain:4x3x4x4 dx=f32:plain:2x3x8x8");
    reduces_to("conv_bwd_filter x=f32:plain:2x3x8x8 dy=f32:plain:2x4x7x7 dw+=f32:plain:4x3x4x4 pad_top=1 "
               "pad_bottom=1 pad_left=1 pad_right=1",
               "conv_bwd_filter x=f32:plain:2x3x8x8 dy=f32:plain:2x4x7x7 dw=f32:plain:4x3x4x4 pad_top=1 "
               "pad_left=1 pad_bottom=1 pad_right=1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses_once_for_each_convolution),
        cmocka_unit_test(takes_the_mode_that_suits_the_device),
        cmocka_unit_test(measuring_needs_a_clock),
        cmocka_unit_test(imposes_what_was_chosen),
        cmocka_unit_test(imposes_arithmetic_too),
        cmocka_unit_test(replicas_agree),
        cmocka_unit_test(warns_of_a_variant_that_is_lost),
        cmocka_unit_test(refuses_damaged_text),
        cmocka_unit_test(devices_without_choices_choose_nothing),
        cmocka_unit_test(reduces_to_plain_convolutions),
    };
    if (p2p_module_register(choosy_module) != P2P_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
