/* Which folders and files of modules are trusted. program/test_modules.sh tests the rules of P2P_MODULE_PATH
 * and of the program's folder in the program; here is that of the installation's folder, in which a test
 * can't write. */
#include "device/module_trust.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/test_expect.h"
#include "support/test_files.h"
#include "support/test_skip.h"

static const char *folder, *file, *program; /* program: in another folder */

/* The statuses of the folder and the file. Sets *trust. */
static void check(p2p_trust otherwise, p2p_trust *trust, p2p_status statuses[2]) {
    const int opened = open(folder, O_RDONLY | O_DIRECTORY), module = open(file, O_RDONLY);
    assert_true(opened >= 0 && module >= 0);
    *trust = p2p_trust_of(opened, program, otherwise);
    statuses[0] = p2p_trust_check_folder(*trust, opened, folder);
    statuses[1] = p2p_trust_check_file(*trust, opened, module, file, program);
    close(module);
    close(opened);
}

static void expect_installed(p2p_status of_folder, p2p_status of_file) {
    p2p_trust trust;
    p2p_status statuses[2];
    check(P2P_TRUST_INSTALLED, &trust, statuses);
    assert_int_equal(trust, P2P_TRUST_INSTALLED);
    assert_int_equal(statuses[0], of_folder);
    assert_int_equal(statuses[1], of_file);
}

static int set_up(void **state) {
    const int failed = test_own_folder_make(state);
    if (failed) return failed;
    folder = test_own_path("modules");
    file = test_own_path("modules/p2p_x.so");
    program = test_own_path("bin/p2p");
    test_folder_add(folder);
    test_folder_add(test_own_path("bin"));
    test_file_write(file, "x", 1);
    test_file_write(program, "x", 1);
    return 0;
}

/* Its group may write to it; nobody else. */
static void installed(void **state) {
    (void)state;
    assert_int_equal(chmod(folder, 0775), 0);
    assert_int_equal(chmod(file, 0775), 0);
    expect_installed(P2P_OK, P2P_OK);
    assert_int_equal(chmod(file, 0757), 0);
    expect_installed(P2P_OK, P2P_IO);
    assert_int_equal(chmod(file, 0755), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    expect_installed(P2P_IO, P2P_IO);
}

static void installed_by_another_user(void **state) {
    (void)state;
    if (chown(file, 1, 1) != 0 || chown(folder, 1, 1) != 0) TEST_SKIP("only root can give files away");
    expect_installed(P2P_OK, P2P_OK);
    assert_int_equal(chmod(folder, 01777), 0); /* as /tmp is */
    expect_installed(P2P_OK, P2P_IO);
}

/* The path is checked, so it must be that of the open file. */
static void replaced_while_it_is_read(void **state) {
    (void)state;
    const int opened = open(folder, O_RDONLY | O_DIRECTORY), other = open(program, O_RDONLY);
    assert_true(opened >= 0 && other >= 0);
    REFUSED(p2p_trust_check_file(P2P_TRUST_INSTALLED, opened, other, file, program), P2P_INPUT,
            "p2p_x.so: another file took its place while it was read");
    close(other);
    close(opened);
}

/* Named or installed, the folder of the program is that. */
static void folder_of_the_program(void **state) {
    (void)state;
    p2p_trust trust;
    p2p_status statuses[2];
    program = test_own_path("modules/p2p");
    test_file_write(program, "x", 1);
    assert_int_equal(chmod(folder, 0777), 0);
    check(P2P_TRUST_NAMED, &trust, statuses);
    assert_int_equal(trust, P2P_TRUST_PROGRAM);
    OK(statuses[0]);
    OK(statuses[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(installed, set_up, test_own_folder_remove),
        cmocka_unit_test_setup_teardown(installed_by_another_user, set_up, test_own_folder_remove),
        cmocka_unit_test_setup_teardown(replaced_while_it_is_read, set_up, test_own_folder_remove),
        cmocka_unit_test_setup_teardown(folder_of_the_program, set_up, test_own_folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
