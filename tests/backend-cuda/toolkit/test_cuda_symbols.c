/* Whether NVIDIA's own libraries have every function that the backend looks up, by the name that it looks up,
 * and since when drivers have had it. The doubles of the libraries can't show that: they are built from the
 * same lists.
 *
 *   test_cuda_symbols FOLDER...     the toolkit's folders of libraries
 *
 * Types need no test of their own: a table's pointers have the types of the headers' declarations
 * (cuda_api.h). For the driver's, a second header of NVIDIA's, <cudaTypedefs.h>, has the types again; they
 * are compared when this file is compiled.
 */
#include "library/cuda_api.h"

#include <cudaTypedefs.h>
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_skip.h"

static char **folders;
static int folder_count;

/* A function's name is that to which the header's macro expands. */
#define TEXT_OF(name) #name
#define TEXT(name)    TEXT_OF(name)
#define NAME(name)    TEXT(name),
static const char *const driver_names[] = {CUDA_DRIVER_LIST(NAME) NULL};
static const char *const dnn_names[] = {CUDA_DNN_LIST(NAME) NULL};
static const char *const blas_names[] = {CUDA_BLAS_LIST(NAME) NULL};
static const char *const nccl_names[] = {CUDA_NCCL_LIST(NAME) NULL};

/* The backend looks up the first version (cuda_api.h). */
#ifdef PFN_cuEventElapsedTime
#undef PFN_cuEventElapsedTime
#define PFN_cuEventElapsedTime PFN_cuEventElapsedTime_v2000
#endif
#ifdef PFN_cuInit /* toolkits of CUDA 13 have names with versions only */
#define SAME_TYPE(name)                                                                                      \
    _Static_assert(__builtin_types_compatible_p(__typeof__(&name), PFN_##name),                              \
                   "cuda.h and cudaTypedefs.h differ in a function");
CUDA_DRIVER_LIST(SAME_TYPE)

/* "cuMemAlloc", "PFN_cuMemAlloc_v3020": since CUDA 3.2. */
#define TYPE(name) {#name, TEXT(PFN_##name)},
static const struct { const char *name, *type; } driver_types[] = {CUDA_DRIVER_LIST(TYPE)};
#endif

/* The library from the first folder that has it. Prints a line and returns NULL if none has it. */
static void *open_library(const char *name) {
    char path[4096];
    for (int i = 0; i < folder_count; i++) {
        snprintf(path, sizeof path, "%s/%s", folders[i], name);
        FILE *file = fopen(path, "rb");
        if (!file) continue;
        fclose(file);
        void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
        if (!library) fail_msg("%s", dlerror());
        return library;
    }
    printf("SKIPPED: symbols of %s: this toolkit does not have it\n", name);
    return NULL;
}

static int count_missing(void *library, const char *const *names) {
    int missing = 0;
    for (int i = 0; names[i]; i++) {
        if (dlsym(library, names[i])) continue;
        print_error("there is no function %s\n", names[i]);
        missing++;
    }
    return missing;
}

static void check(const char *library_name, const char *const *names) {
    void *library = open_library(library_name);
    if (library) assert_int_equal(count_missing(library, names), 0);
}

static void the_driver_has_every_function(void **state) {
    (void)state;
    check("libcuda.so", driver_names);
}

static void cudnn_has_every_function(void **state) {
    (void)state;
    check("libcudnn.so.9", dnn_names);
}

static void cublas_has_every_function(void **state) {
    (void)state;
    char name[32];
    snprintf(name, sizeof name, "libcublas.so.%d", CUDA_VERSION / 1000);
    check(name, blas_names);
}

/* These two are looked up for their versions alone (cuda_library.c). */
static void what_is_opened_early_has_a_version(void **state) {
    (void)state;
    static const char *const lt[] = {"cublasLtGetVersion", NULL}, *const nvrtc[] = {"nvrtcVersion", NULL};
    char name[32];
    snprintf(name, sizeof name, "libcublasLt.so.%d", CUDA_VERSION / 1000);
    check(name, lt);
    snprintf(name, sizeof name, "libnvrtc.so.%d", CUDA_VERSION / 1000);
    check(name, nvrtc);
}

static void nccl_has_every_function(void **state) {
    (void)state;
    check("libnccl.so.2", nccl_names);
}

/* cuBLAS has no function by the bare name; the driver has another one, an older interface. */
static void bare_names_are_not_the_functions(void **state) {
    (void)state;
    static const char *const bare[] = {"cublasCreate", NULL};
    char name[32];
    snprintf(name, sizeof name, "libcublas.so.%d", CUDA_VERSION / 1000);
    assert_string_equal(TEXT(cublasCreate), "cublasCreate_v2");
    assert_string_equal(TEXT(cuMemAlloc), "cuMemAlloc_v2");
    void *library = open_library(name);
    if (library) assert_int_equal(count_missing(library, bare), 1);
}

/* Code of a toolkit starts on drivers from the first release of its generation on (R525 has CUDA 12.0), so no
 * function may be newer. */
static void the_first_driver_of_the_generation_has_every_function(void **state) {
    (void)state;
#ifdef PFN_cuInit
    const long first = CUDA_VERSION / 1000 * 1000;
    for (size_t i = 0; i < sizeof driver_types / sizeof driver_types[0]; i++) {
        const char *number = strstr(driver_types[i].type, "_v");
        assert_non_null(number);
        const long since = strtol(number + 2, NULL, 10);
        if (since < 2000 || since > first)
            fail_msg("%s is of CUDA %ld, drivers of CUDA %ld lack it", driver_types[i].name, since, first);
    }
#else
    TEST_SKIP("cudaTypedefs.h of this toolkit does not say it");
#endif
}

int main(int count, char **arguments) {
    folders = arguments + 1;
    folder_count = count - 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_driver_has_every_function),
        cmocka_unit_test(cudnn_has_every_function),
        cmocka_unit_test(cublas_has_every_function),
        cmocka_unit_test(what_is_opened_early_has_a_version),
        cmocka_unit_test(nccl_has_every_function),
        cmocka_unit_test(bare_names_are_not_the_functions),
        cmocka_unit_test(the_first_driver_of_the_generation_has_every_function),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
