/* `p2p doctor` on doubles with known faults: the exit status, and the file of --report, which has everything
 * that is printed. The program itself is run by tests/program/test_doctor.sh.
 */
#include "../run/train_commands.h"
#include "doctor/doctor_selection.h"
#include "doctor/doctor_text.h"
#include "host/sys_machine.h"
#include "p2p.h"
#include "support/sick_backend.h"
#include "support/test_files.h"

#include "device/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/test_expect.h"

static char *report; /* of the last run; owned */

/* Runs `p2p doctor --device DEVICE --report report.txt`, with `precision` unless it is NULL, and reads the
 * file. */
static p2p_status examine(const char *device, const char *precision) {
    const char *path = test_own_path("report.txt");
    test_command line = {COMMAND_DOCTOR, command_doctor, {"doctor", "--device", device, "--report", path}};
    if (precision) line.words[5] = "--precision", line.words[6] = precision;
    size_t size;
    unlink(path);
    const p2p_status status = test_command_run(&line, NULL);
    free(report);
    report = (char *)test_file_read(path, &size);
    report = realloc(report, size + 1);
    assert_non_null(report);
    report[size] = '\0';
    return status;
}

#define REPORTED(fragment)                                                                                   \
    do {                                                                                                     \
        if (!strstr(report, fragment)) fail_msg("the report lacks \"%s\":\n%s", fragment, report);           \
    } while (0)

#define NOT_REPORTED(fragment)                                                                               \
    do {                                                                                                     \
        if (strstr(report, fragment)) fail_msg("the report has \"%s\":\n%s", fragment, report);              \
    } while (0)

/* ---- Devices ------------------------------------------------------------------------------------------ */

static void test_fit(void **state) {
    (void)state;
    OK(examine("sick:0", NULL));
    REPORTED(
        "\nsick:0  sick device 0 (naive loops in double precision, CPU)\n  works  fp32: 78 of 78 operations, "
        "9 of 9 algorithms of convolutions, a training of three steps\n");
    REPORTED("\n         tf32: 78 of 78 operations");
    REPORTED("\n         bf16: 78 of 78 operations");
    REPORTED("GB/s to the device");
    REPORTED("conv_bwd_filter  plain:wide               passed");
    REPORTED("\nverdict: fit: everything that a training needs works\n");
    NOT_REPORTED("fails");
    assert_string_equal(strrchr(report, '\n'), "\n");
    assert_non_null(strstr(strstr(report, "verdict"), "works\n")); /* the last line */
}

static void test_wrong_kind(void **state) {
    (void)state;
    REFUSED(examine("sick:1", "fp32"), P2P_FAILED, "not fit for training: 1 check failed");
    REPORTED("  works  fp32: 77 of 78 operations");
    REPORTED("  fails  fp32 act_fwd: y[");
    REPORTED("try: update the device's driver");
    REPORTED("FAILED act_fwd x=f64:plain:3x17x5x31 y=f64:plain:3x17x5x31 act=lrelu slope=0.2: y[");
    REPORTED("\nverdict: not fit: 1 check failed\n");
}

static void test_wrong_algorithm(void **state) {
    (void)state;
    REFUSED(examine("sick:2", "fp32"), P2P_FAILED, "4 checks failed");
    REPORTED("78 of 78 operations, 5 of 9 algorithms of convolutions, a training of three steps");
    REPORTED("fp32 conv_fwd by other: y[");
    REPORTED("fp32 conv_bwd_data by plain:wide: sick: 'plain:wide' fails its test here");
    REPORTED("try: nothing, if a training is enough");
}

static void test_refused_precision(void **state) {
    (void)state;
    REFUSED(examine("sick:3", "bf16"), P2P_FAILED, "1 check failed");
    REPORTED("  fails  bf16: it has no bf16 in its registers\n         try: use --precision fp32");
    OK(examine("sick:3", NULL)); /* it has one precision, and that works */
    REPORTED("  works  fp32: 78 of 78");
    NOT_REPORTED("bf16: 78");
}

static void test_refused_operation(void **state) {
    (void)state;
    REFUSED(examine("sick:4", "fp32"), P2P_FAILED, "checks failed");
    REPORTED("  fails  fp32 dropout: sick: it drops nothing");
    REPORTED("  slow   fp32: the device lacks 3 fused forms");
    NOT_REPORTED("a training of three steps\n");
}

static void test_lost(void **state) {
    (void)state;
    REFUSED(examine("sick:5,sick:0", "fp32"), P2P_DEVICE_LOST, "sick:5 was lost while it was examined");
    REPORTED("fp32 gemm: sick: it is lost");
    REPORTED("dmesg");
    REPORTED("\nsick:0  sick device 0"); /* the other one is examined nevertheless */
}

/* The devices of "sick" without a communicator. */
static const p2p_module *lone_module(uint32_t abi, const p2p_host *host) {
    static p2p_module module;
    module = *sick_module(abi, host);
    module.name = "lone";
    module.comm_open = NULL;
    module.comm = (p2p_comm_table){0};
    return &module;
}

/* A sum over the devices of each backend that has several. */
static void test_together(void **state) {
    (void)state;
    OK(examine("reference:0,sick:0", "fp32"));
    NOT_REPORTED("the devices together");
    OK(examine("lone:0,sick:0,lone:0,sick:0", "fp32"));
    REPORTED("the devices together\n  works  the sum over 2 devices of sick equals the host's\n"
             "  slow   the sum over 2 devices of lone equals the host's; it passes through the host");
    REFUSED(examine("sick:7,sick:7", "fp32"), P2P_FAILED, "1 check failed");
    REPORTED("the devices together\n  fails  the sum over 2 devices of sick: sick:7 has ");
}

/* As many as a machine of eight cards lists: through CUDA, through OpenCL, and its processor. */
static void test_many_devices(void **state) {
    (void)state;
    REFUSED(examine("sick:99,sick:99,sick:99,sick:99,sick:99,sick:99,sick:99,sick:99,sick:99,sick:99,sick:99,"
                    "sick:99,sick:99,sick:99,sick:99,sick:99,sick:99",
                    "fp32"),
            P2P_FAILED, "17 checks failed");
}

static void test_a_card_counts_once(void **state) {
    (void)state;
    p2p_device_entry entries[] = {
        {.address = "cuda:0", .name = "H200", .type = "GPU"},
        {.address = "cuda:1", .name = "H200", .type = "GPU"},
        {.address = "cuda:2", .name = "T4", .type = "GPU", .presence = P2P_PRESENCE_UNUSABLE},
        {.address = "opencl:0", .name = "H200", .type = "GPU"},
        {.address = "opencl:1", .name = "T4", .type = "GPU"},
        {.address = "opencl:2", .name = "Iris", .type = "GPU"},
        {.address = "opencl:3", .name = "H200", .type = "CPU"},
    };
    const bool left_out[] = {false, false, false, true, false, false, false};
    for (int i = 0; i < 7; i++) assert_int_equal(doctor_same_card(entries, i) != NULL, left_out[i]);
    assert_string_equal(doctor_same_card(entries, 3)->address, "cuda:0");
    /* By their places, if both are known. */
    snprintf(entries[0].details, sizeof entries[0].details, "PCI address 0000:3B:00.0, GPU-1, compute 9.0");
    snprintf(entries[1].details, sizeof entries[1].details, "PCI address 0000:5E:00.0, GPU-2, compute 9.0");
    snprintf(entries[3].details, sizeof entries[3].details, "PCI address 0000:5E:00.0");
    assert_string_equal(doctor_same_card(entries, 3)->address, "cuda:1");
    snprintf(entries[3].details, sizeof entries[3].details, "PCI address 0000:5E:00.1");
    assert_null(doctor_same_card(entries, 3));
    assert_true(doctor_is_of("cuda:1", "cuda") && doctor_is_of("cuda", "cuda") &&
                doctor_is_of("cuda:1", "auto"));
    assert_false(doctor_is_of("cuda:1", "cu") || doctor_is_of("cu:1", "cuda") ||
                 doctor_is_of("reference:0", "auto"));
}

static void test_unknown_device(void **state) {
    (void)state;
    REFUSED(examine("sick:99,sick:0", "fp32"), P2P_FAILED, "1 check failed");
    REPORTED("\nsick:99\n  fails  there is no device \"sick:99\"");
    REPORTED("\nsick:0  sick device 0");
}

/* ---- The report --------------------------------------------------------------------------------------- */

static void test_existing_report(void **state) {
    const char *path = test_own_path("report.txt");
    const test_command line = {COMMAND_DOCTOR,
                               command_doctor,
                               {"doctor", "--device", "sick:0", "--precision", "fp32", "--report", path}};
    (void)state;
    test_file_write(path, "mine", 4);
    REFUSED(test_command_run(&line, NULL), P2P_USAGE, "report.txt exists already");
    size_t size;
    uint8_t *bytes = test_file_read(path, &size);
    assert_int_equal(size, 4);
    free(bytes);
}

static void expect_hidden(const char *text, const char *home, const char *wanted) {
    char *hidden = doctor_hide_home(text, home);
    assert_string_equal(hidden, wanted);
    free(hidden);
}

static void test_home(void **state) {
    (void)state;
    expect_hidden("/home/al/x:/home/al, '/home/al' /home/al", "/home/al", "~/x:~, '~' ~");
    expect_hidden("/home/al/x", "/home/al/", "~/x");
    expect_hidden("/home/alice/x /home/al.old /home/al-1 /home/al\xC3\xA9", "/home/al",
                  "/home/alice/x /home/al.old /home/al-1 /home/al\xC3\xA9");
    expect_hidden("/usr/lib", "/", "/usr/lib");
    expect_hidden("/usr/lib", "", "/usr/lib");
}

/* The cache below the home folder, and a variable that names it. */
static void test_no_personal_paths(void **state) {
    (void)state;
    assert_int_equal(setenv("HOME", test_own_folder, 1), 0);
    assert_int_equal(setenv("LD_P2P_TEST", test_own_path("somewhere"), 1), 0);
    assert_int_equal(setenv("SECRET_TOKEN", "a password", 1), 0);
    OK(p2p_cache_folder_set(test_own_path("cache")));
    REFUSED(examine("sick:99", "fp32"), P2P_FAILED, "1 check failed");
    REPORTED("\nHOME=~\n");
    REPORTED("\nLD_P2P_TEST=~/somewhere\n");
    REPORTED("\nfolder   ~/cache (made when it is needed)\n");
    NOT_REPORTED(test_own_folder);
    NOT_REPORTED("SECRET_TOKEN");
    OK(p2p_cache_folder_set("off"));
}

/* ---- The cache ---------------------------------------------------------------------------------------- */

/* The device is missing, so that there is nothing to examine but the cache. */
static void expect_failures(int count) {
    char verdict[32];
    snprintf(verdict, sizeof verdict, ": %d check", 1 + count);
    REFUSED(examine("sick:99", "fp32"), P2P_FAILED, verdict);
}

static void expect_broken_cache(const char *fragment) {
    expect_failures(1);
    REPORTED("this machine\n  fails  the cache ");
    REPORTED(fragment);
}

static void test_cache(void **state) {
    const p2p_host *host = p2p_host_services();
    const p2p_key_part key = {"key", 3};
    const char *folder = test_own_path("cache");
    (void)state;
    OK(p2p_cache_folder_set(folder));
    host->cache_put("program", &key, 1, "value", 5);
    expect_failures(0);
    REPORTED("entries  1, 0.0 MiB; 0 damaged, 0 that others can write to");
    test_file_write(test_path(folder, "program-0123456789abcdef0123456789abcdef"), "damage", 6);
    expect_broken_cache("has 1 damaged entries and 0 that others can write to");
    REPORTED("try: remove these files");
    assert_int_equal(chmod(folder, 0777), 0);
    expect_failures(2);
    REPORTED("because other users can write to it");
    OK(p2p_cache_folder_set(test_own_path("cache/program-0123456789abcdef0123456789abcdef")));
    expect_broken_cache("it is not a folder");
    OK(p2p_cache_folder_set(test_own_path("cache/program-0123456789abcdef0123456789abcdef/below")));
    expect_broken_cache("can't be used: ");
    OK(p2p_cache_folder_set("off"));
}

/* ---- The machine -------------------------------------------------------------------------------------- */

static void add_card(const char *name, const char *class, const char *vendor, const char *device) {
    char path[128];
    snprintf(path, sizeof path, "sys/bus/pci/devices/%s", name);
    test_folder_add(test_own_path(path));
    const char *const fields[][2] = {{"class", class}, {"vendor", vendor}, {"device", device}};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "sys/bus/pci/devices/%s/%s", name, fields[i][0]);
        test_file_write(test_own_path(path), fields[i][1], strlen(fields[i][1]));
    }
}

static void test_machine(void **state) {
    static const char *const folders[] = {"sys",  "sys/bus", "sys/bus/pci", "sys/bus/pci/devices",
                                          "proc", "etc"};
    static const char processor[] = "processor\t: 0\nmodel name\t: A \"fast\" one\n";
    sys_machine machine;
    sys_card cards[2];
    (void)state;
    assert_int_equal(sys_cards_find_in(test_own_folder, cards, 2), 0);
    sys_machine_describe_in(test_own_folder, &machine);
    assert_string_equal(machine.processor, "");
    assert_int_equal(machine.memory_bytes, 0);
    for (int i = 0; i < 6; i++) test_folder_add(test_own_path(folders[i]));
    add_card("0000:00:02.0", "0x030000\n", "0x1002\n", "0x73bf\n");
    add_card("0000:00:03.0", "0x020000\n", "0x8086\n", "0x100e\n"); /* a network card */
    test_link_add(test_own_path("sys/bus/pci/devices/0000:00:02.0/driver"), "../../../drivers/amdgpu");
    test_file_write(test_own_path("proc/cpuinfo"), processor, strlen(processor));
    test_file_write(test_own_path("proc/meminfo"), "MemTotal:   2048 kB\n", 20);
    assert_int_equal(sys_cards_find_in(test_own_folder, cards, 2), 1);
    assert_int_equal(cards[0].vendor, 0x1002);
    assert_int_equal(cards[0].device, 0x73bf);
    assert_string_equal(cards[0].driver, "amdgpu");
    sys_machine_describe_in(test_own_folder, &machine);
    assert_string_equal(machine.processor, "A \"fast\" one");
    assert_int_equal(machine.memory_bytes, 2048 * 1024);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(test_fit),
        TEST_IN_FOLDER(test_wrong_kind),
        TEST_IN_FOLDER(test_wrong_algorithm),
        TEST_IN_FOLDER(test_refused_precision),
        TEST_IN_FOLDER(test_refused_operation),
        TEST_IN_FOLDER(test_lost),
        TEST_IN_FOLDER(test_together),
        TEST_IN_FOLDER(test_many_devices),
        cmocka_unit_test(test_a_card_counts_once),
        TEST_IN_FOLDER(test_unknown_device),
        TEST_IN_FOLDER(test_existing_report),
        TEST_IN_FOLDER(test_no_personal_paths),
        TEST_IN_FOLDER(test_cache),
        TEST_IN_FOLDER(test_machine),
        cmocka_unit_test(test_home),
    };
    if (p2p_module_register(sick_module) != P2P_OK || p2p_module_register(lone_module) != P2P_OK ||
        p2p_cache_folder_set("off") != P2P_OK)
        return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(report);
    return failed;
}
