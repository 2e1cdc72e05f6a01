/* Where libraries are found: folders with a library of a name that no system has.
 *
 *   test_cuda_library_find LIBRARY      any shared object
 */
#define _GNU_SOURCE /* dlinfo */
#include "library/cuda_error.h"
#include "library/cuda_find.h"

#include <dlfcn.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <glob.h>

#include "device/device.h"
#include "support/test_files.h"
#include "support/test_skip.h"

const p2p_host *cuda_host; /* of the module */

static const char *library; /* the file that stands for all */
static const char *folder;  /* everything is below it */
static const char name[] = "libp2p_test.so.9";

/* Puts the library into a folder below `folder`. */
static void put(const char *path) {
    char command[1024];
    snprintf(command, sizeof command, "mkdir -p '%s/%s' && cp --remove-destination '%s' '%s/%s/%s'", folder,
             path, library, folder, path, name);
    assert_int_equal(system(command), 0);
}

static void forget(void) {
    static const char *const variables[] = {"P2P_CUDA_LIBRARY_PATH", "P2P_CUDA_LIBRARY_ONLY", "CONDA_PREFIX",
                                            "VIRTUAL_ENV", "HOME"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) unsetenv(variables[i]);
}

static void set(const char *variable, const char *path) {
    char value[1024];
    snprintf(value, sizeof value, "%s/%s", folder, path);
    setenv(variable, value, 1);
}

static void expect_found(const char *path) {
    cuda_file file;
    char expected[1024];
    snprintf(expected, sizeof expected, "%s/%s/%s", folder, path, name);
    if (!cuda_find(name, NULL, &file)) fail_msg("not found: %s", expected);
    assert_string_equal(file.path, expected);
}

static void expect_missing(const char *why) {
    cuda_file file;
    assert_false(cuda_find(name, NULL, &file));
    assert_null(file.handle);
    if (why ? !strstr(file.why, why) : file.why[0] != 0) fail_msg("the reason is '%s'", file.why);
}

/* Ordered from the last place to the first. */
static void places_precede_each_other(void **state) {
    (void)state;
    forget();
    expect_missing(NULL);
    put("home/.local/lib/python3.10/site-packages/nvidia/cudnn/lib");
    set("HOME", "home");
    expect_found("home/.local/lib/python3.10/site-packages/nvidia/cudnn/lib");
    put("venv/lib/python3.11/site-packages/nvidia/cu13/lib");
    set("VIRTUAL_ENV", "venv");
    expect_found("venv/lib/python3.11/site-packages/nvidia/cu13/lib");
    put("conda/lib/python3.12/site-packages/nvidia/cudnn/lib");
    set("CONDA_PREFIX", "conda");
    expect_found("conda/lib/python3.12/site-packages/nvidia/cudnn/lib");
    put("conda/targets/x86_64-linux/lib");
    expect_found("conda/targets/x86_64-linux/lib");
    put("conda/lib");
    expect_found("conda/lib");
    put("own");
    set("P2P_CUDA_LIBRARY_PATH", "own");
    expect_found("own");
}

static void only_the_own_path(void **state) {
    (void)state;
    forget();
    put("conda/lib");
    set("CONDA_PREFIX", "conda");
    setenv("P2P_CUDA_LIBRARY_ONLY", "1", 1);
    expect_missing(NULL);
    set("P2P_CUDA_LIBRARY_PATH", "nowhere");
    expect_missing(NULL);
}

/* The folder in which fixed places are looked for; "": the real ones. glob is linked as a call of this. */
static char root[512];
int __real_glob(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found);
int __wrap_glob(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found);
int __wrap_glob(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found) {
    char inside[2048];
    snprintf(inside, sizeof inside, "%s%s", root, pattern);
    return __real_glob(inside, flags, failed, found);
}

/* From the last one to the first. */
static void fixed_places(void **state) {
    (void)state;
    static const char *const places[] = {
        "machine/usr/lib/python3/dist-packages/nvidia/cudnn/lib",
        "machine/usr/local/lib/python3.12/dist-packages/nvidia/cu13/lib",
        "machine/opt/cuda/lib64",
        "machine/usr/local/nvidia/lib64",
        "machine/usr/lib/wsl/lib",
        "machine/usr/lib64",
        "machine/usr/lib/x86_64-linux-gnu/libcudnn/13",
        "machine/usr/lib/x86_64-linux-gnu/nvidia/current",
        "machine/usr/lib/aarch64-linux-gnu",
        "machine/usr/lib/x86_64-linux-gnu",
        "machine/usr/local/cuda-12.9/lib64",
        "machine/usr/local/cuda-13.0/lib64",
        "machine/usr/local/cuda/lib64",
    };
    forget();
    snprintf(root, sizeof root, "%s/machine", folder);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        put(places[i]);
        expect_found(places[i]);
    }
    root[0] = '\0';
}

/* Here the program's: the module is part of it. test_cuda_states.sh has the real one. */
static void folder_of_the_module(void **state) {
    (void)state;
    char path[512] = "", expected[1024], command[2048];
    cuda_file file;
    forget();
    assert_true(readlink("/proc/self/exe", path, sizeof path - 1) > 0);
    *strrchr(path, '/') = '\0';
    snprintf(expected, sizeof expected, "%s/%s", path, name);
    snprintf(command, sizeof command, "cp --remove-destination '%s' '%s'", library, expected);
    assert_int_equal(system(command), 0);
    const bool found = cuda_find(name, NULL, &file);
    assert_int_equal(remove(expected), 0);
    assert_true(found);
    assert_string_equal(file.path, expected);
}

/* Newer folders first; characters of patterns in a variable stand for themselves. */
static void folders_by_pattern(void **state) {
    (void)state;
    forget();
    put("odd [1]*/lib/python3.8/site-packages/nvidia/a/lib");
    put("odd [1]*/lib/python3.9/site-packages/nvidia/a/lib");
    put("odd 1x/lib/python3.9/site-packages/nvidia/a/lib");
    set("VIRTUAL_ENV", "odd [1]*");
    expect_found("odd [1]*/lib/python3.9/site-packages/nvidia/a/lib");
    setenv("VIRTUAL_ENV", "odd [1]*", 1); /* a relative path is none */
    expect_missing(NULL);
}

/* The search continues after a damaged file, whose reason is kept if there is no other. */
static void damaged_files(void **state) {
    (void)state;
    char path[1024];
    forget();
    put("damaged");
    snprintf(path, sizeof path, "%s/damaged/%s", folder, name);
    test_file_write(path, "damage", 6);
    put("good");
    set("P2P_CUDA_LIBRARY_PATH", "damaged");
    expect_missing("/damaged/libp2p_test.so.9: ");
    snprintf(path, sizeof path, "relative:%s/damaged:%s/good", folder, folder);
    setenv("P2P_CUDA_LIBRARY_PATH", path, 1);
    expect_found("good");
}

static int asked; /* by `fits` */

/* Whether the library is not in a folder of the name "unfit". */
static bool fits(void *tried) {
    struct link_map *map = NULL;
    asked++;
    return dlinfo(tried, RTLD_DI_LINKMAP, &map) == 0 && !strstr(map->l_name, "/unfit/");
}

/* The file that is opened, and how many are tried, with these folders in front. */
static void expect_fit(const char *folders, const char *path, int tries) {
    cuda_file file;
    char text[2048], expected[1024];
    size_t used = 0;
    for (const char *at = folders; *at; at += strcspn(at, ":"), at += *at == ':')
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%s/%.*s:", folder, (int)strcspn(at, ":"), at);
    setenv("P2P_CUDA_LIBRARY_PATH", text, 1);
    snprintf(expected, sizeof expected, "%s/%s/%s", folder, path, name);
    asked = 0;
    assert_true(cuda_find(name, fits, &file));
    assert_string_equal(file.path, expected);
    assert_int_equal(asked, tries);
}

/* A file that is not fit is passed, but is the result if there is no other. One that is alone is not tried.
 */
static void files_that_are_not_fit(void **state) {
    (void)state;
    if (UNDER_SANITIZER) TEST_SKIP("the sanitizer's functions are missing where a library is tried");
    forget();
    put("one/unfit");
    put("two/unfit");
    put("fit");
    expect_fit("one/unfit", "one/unfit", 0);
    expect_fit("one/unfit:one/unfit", "one/unfit", 0);
    expect_fit("one/unfit:fit", "fit", 2);
    expect_fit("fit:one/unfit", "fit", 1);
    expect_fit("one/unfit:two/unfit:nowhere:fit", "fit", 3);
    expect_fit("two/unfit:one/unfit", "two/unfit", 2);
}

static void expect_refused(const char *path, mode_t permissions, mode_t before) {
    char changed[1024];
    snprintf(changed, sizeof changed, "%s/%s", folder, path);
    assert_int_equal(chmod(changed, permissions), 0);
    expect_missing("other users can write to it");
    assert_int_equal(chmod(changed, before), 0);
}

/* A library, its folder, and one above are changed by this user and root only; a later place still counts. */
static void what_others_can_replace(void **state) {
    (void)state;
    char changed[1024];
    forget();
    put("above/mine");
    set("P2P_CUDA_LIBRARY_PATH", "above/mine");
    expect_found("above/mine");
    expect_refused("above/mine/libp2p_test.so.9", 0757, 0755);
    expect_refused("above/mine", 0757, 0755);
    expect_refused("above", 0757, 0755);
    snprintf(changed, sizeof changed, "%s/above", folder);
    assert_int_equal(chmod(changed, 01757), 0); /* as /tmp is */
    expect_found("above/mine");
    put("place/lib");
    set("CONDA_PREFIX", "place");
    assert_int_equal(chmod(changed, 0757), 0);
    expect_found("place/lib");
    expect_refused("place/lib", 0757, 0755);
    assert_int_equal(chmod(changed, 0755), 0);
}

/* Another user's folder is one that any user could have made if the folder above is as /tmp is; else its
 * owner is an administrator. */
static void what_others_own(void **state) {
    (void)state;
    char given[1024], above[1024];
    forget();
    put("any/given/mine");
    set("P2P_CUDA_LIBRARY_PATH", "any/given/mine");
    snprintf(above, sizeof above, "%s/any", folder);
    snprintf(given, sizeof given, "%s/any/given", folder);
    if (chown(given, 1, (gid_t)-1) != 0) TEST_SKIP("only root can give folders away");
    expect_found("any/given/mine");
    assert_int_equal(chmod(above, 01777), 0);
    expect_missing("it belongs to another user");
    assert_int_equal(chown(given, geteuid(), (gid_t)-1), 0);
    expect_found("any/given/mine");
}

static int make_folder(void **state) {
    const int status = test_own_folder_make(state);
    folder = test_own_folder;
    return status;
}

int main(int count, char **arguments) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_precede_each_other),
        cmocka_unit_test(only_the_own_path),
        cmocka_unit_test(fixed_places),
        cmocka_unit_test(folder_of_the_module),
        cmocka_unit_test(folders_by_pattern),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(files_that_are_not_fit),
        cmocka_unit_test(what_others_can_replace),
        cmocka_unit_test(what_others_own),
    };
    if (count != 2) return 2;
    library = arguments[1];
    cuda_host = p2p_host_services();
    return cmocka_run_group_tests(tests, make_folder, test_own_folder_remove);
}
