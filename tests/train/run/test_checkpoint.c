/* Damaged checkpoints: every damaged bit of one is found, and the newest intact one is selected.
 *
 *   test_checkpoint [all]    all: every bit and every length; otherwise some of those of the header, whose
 *                            check takes longest
 */
#include "host/sys.h"
#include "models/safetensors_damage.h"
#include "run/checkpoint.h"
#include "support/test_files.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/model_session.h"
#include "support/test_expect.h"

/* ---- Reads that fail: the linker passes the program's fread() and ferror() through this file ---------- */

static int reads_left; /* until one fails; 0: none does */
static FILE *failed;

size_t __real_fread(void *bytes, size_t size, size_t count, FILE *stream);
int __real_ferror(FILE *stream);
size_t __wrap_fread(void *bytes, size_t size, size_t count, FILE *stream);
int __wrap_ferror(FILE *stream);

size_t __wrap_fread(void *bytes, size_t size, size_t count, FILE *stream) {
    failed = NULL;
    if (reads_left == 0 || --reads_left > 0) return __real_fread(bytes, size, count, stream);
    failed = stream;
    errno = EIO;
    return 0;
}

int __wrap_ferror(FILE *stream) {
    return stream == failed || __real_ferror(stream);
}

/* ---- Tests -------------------------------------------------------------------------------------------- */

static size_t header_step = 23; /* is prime: each bit of a byte has its turn */

/* A tiny model in a session, and its checkpoints of these steps in the test's own folder. */
static void save_checkpoints(const int *steps, int count) {
    pix2pix_config config = pix2pix_config_default();
    config.height = config.width = 8;
    config.depth = 2;
    config.ngf = config.ndf = 1;
    config.discriminator_net = DISCRIMINATOR_pixel;
    model_session made;
    model_session_open(&made, &config);
    OK(p2p_session_initialise(made.session, made.model->generator.network, 1));
    OK(p2p_session_initialise(made.session, made.model->discriminator.network, 1));
    for (int i = 0; i < count; i++) {
        checkpoint_info info = {.position = {.step = steps[i]},
                                .origin = {.training = {.pairs = 3, .names = 7}},
                                .settings = json_pack("{s:s}", "data", "toys")};
        OK(checkpoint_save(test_own_folder, &info, made.session, made.model));
        checkpoint_info_free(&info);
    }
    model_session_close(&made);
}

static void test_every_bit(void **state) {
    (void)state;
    save_checkpoints((int[]){5}, 1);
    safetensors_damage(test_own_path("step-000000005.safetensors"), header_step, header_step > 1 ? 3 : 1,
                       header_step);
}

static void damage(const char *name) {
    size_t size;
    const char *path = test_own_path(name);
    uint8_t *bytes = test_file_read(path, &size);
    bytes[size - 9] ^= 1;
    test_file_write(path, bytes, size);
    free(bytes);
}

static bool is_there(const char *name) {
    return test_is_there(test_own_path(name));
}

static void expect_intact(const char *name, int warnings) {
    char text[4096] = "";
    FILE *stream = fmemopen(text, sizeof text - 1, "w");
    assert_non_null(stream);
    p2p_warnings_to(stream);
    char *path;
    OK(checkpoint_find_intact(test_own_folder, &path));
    p2p_warnings_to(NULL);
    fclose(stream);
    assert_string_equal(path, test_own_path(name));
    free(path);
    int lines = 0;
    for (const char *c = text; *c; c++) lines += *c == '\n';
    if (lines != warnings) fail_msg("%d warnings: %s", lines, text);
    if (warnings > 0 && !strstr(text, name)) fail_msg("the intact file is not named: %s", text);
}

static void test_fallback(void **state) {
    (void)state;
    save_checkpoints((int[]){5, 9}, 2);
    expect_intact("step-000000009.safetensors", 0);
    damage("step-000000009.safetensors");
    expect_intact("step-000000005.safetensors", 2); /* the damage, and what follows */
    assert_true(is_there("step-000000009.safetensors" SYS_DAMAGED));
    assert_false(is_there("step-000000009.safetensors"));
    expect_intact("step-000000005.safetensors", 0); /* the damaged one is not a checkpoint any more */
}

static void test_none_intact(void **state) {
    (void)state;
    char *path;
    OK(checkpoint_find_intact(test_own_folder, &path));
    assert_null(path);
    save_checkpoints((int[]){5, 9}, 2);
    damage("step-000000009.safetensors");
    test_file_write(test_own_path("step-000000005.safetensors"), "cut", 3);
    REFUSED(checkpoint_find_intact(test_own_folder, &path), P2P_INPUT,
            "step-000000009.safetensors is damaged");
    HINT_HAS("--init-generator");
    assert_null(path);
    assert_true(is_there("step-000000009.safetensors") && is_there("step-000000005.safetensors"));
}

/* A file that can't be opened may be intact: no older one is taken. */
static void test_not_openable(void **state) {
    (void)state;
    char *path;
    save_checkpoints((int[]){5}, 1);
    test_link_add(test_own_path("step-000000009.safetensors"), "nowhere");
    REFUSED(checkpoint_find_intact(test_own_folder, &path), P2P_UNREADABLE, "can't read");
    assert_null(path);
    assert_true(is_there("step-000000005.safetensors"));
}

/* A read that fails does not show damage: nothing is set aside, and no older checkpoint is taken. */
static void test_not_readable(void **state) {
    (void)state;
    char *path;
    p2p_status status = P2P_FAILED;
    int failures = 0;
    save_checkpoints((int[]){5, 9}, 2);
    while (status != P2P_OK) {
        reads_left = ++failures;
        status = checkpoint_find_intact(test_own_folder, &path);
        reads_left = 0;
        if (status == P2P_OK) break;
        assert_int_equal(status, P2P_UNREADABLE);
        MESSAGE_HAS("step-000000009.safetensors: Input/output error");
        assert_null(path);
        assert_true(is_there("step-000000009.safetensors"));
        assert_false(is_there("step-000000009.safetensors" SYS_DAMAGED));
    }
    assert_true(failures > 3); /* the header's length, the header, and tensors */
    assert_non_null(strstr(path, "step-000000009.safetensors"));
    free(path);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "all") == 0) header_step = 1;
    const struct CMUnitTest tests[] = {
        TEST_IN_FOLDER(test_every_bit),    TEST_IN_FOLDER(test_fallback),
        TEST_IN_FOLDER(test_none_intact),  TEST_IN_FOLDER(test_not_openable),
        TEST_IN_FOLDER(test_not_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
