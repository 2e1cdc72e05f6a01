/* Reading the environment variables. See ocl_environment.h. */
#include "ocl_environment.h"

#include "conv/ocl_algorithm.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double default_launch_ms = 100, default_timeout = 120;
static double limited_timeout = -1; /* negative: none */

void ocl_environment_limit_timeout(double seconds) {
    limited_timeout = seconds;
}

/* The value of a variable; NULL if it is not set or empty. */
static const char *value_of(const char *name) {
    const char *text = getenv(name);
    return text && text[0] != '\0' ? text : NULL;
}

static void note_problem(ocl_environment *e, const char *format, ...) P2P_PRINTF(2, 3);

/* Only the first problem is recorded. */
static void note_problem(ocl_environment *e, const char *format, ...) {
    va_list args;
    if (e->problem[0] != '\0') return;
    va_start(args, format);
    vsnprintf(e->problem, sizeof e->problem, format, args);
    va_end(args);
}

/* The index of a variable's value among `count` words; 0 if it is not set or not among them. `rule` lists
 * the words in the message. */
static int read_word(ocl_environment *e, const char *name, const char *const *words, int count,
                     const char *rule) {
    const char *text = value_of(name);
    if (!text) return 0;
    for (int i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0) return i;
    note_problem(e, "%s is '%s', but must be %s", name, text, rule);
    return 0;
}

/* The value of a variable, a number of at least `least`; `otherwise` if it is not set or invalid. */
static double read_number(ocl_environment *e, const char *name, double least, double otherwise) {
    const char *text = value_of(name);
    char *end = NULL;
    if (!text) return otherwise;
    const double value = strtod(text, &end);
    if (*end == '\0' && isfinite(value) && value >= least) return value;
    note_problem(e, "%s is '%s', but must be a number, at least %g", name, text, least);
    return otherwise;
}

static ocl_conv_family read_family(ocl_environment *e) {
    const char *text = value_of("P2P_OPENCL_CONV");
    if (!text) return OCL_CONV_AUTO;
    const ocl_conv_family family = ocl_conv_family_named(text, strlen(text));
    if (family != OCL_CONV_FAMILIES) return family;
    note_problem(e, "P2P_OPENCL_CONV is '%s', but must be auto, direct, winograd, gpu, gpu_winograd or gemm",
                 text);
    return OCL_CONV_AUTO;
}

static void read_variant(ocl_environment *e) {
    const char *text = value_of("P2P_OPENCL_VARIANT");
    if (!text) return;
    if (e->family != OCL_CONV_AUTO && strlen(text) < sizeof e->variant)
        strcpy(e->variant, text);
    else
        note_problem(e,
                     "P2P_OPENCL_VARIANT is '%s', but must be a variant of the family that P2P_OPENCL_CONV "
                     "names, or '#' and a number",
                     text);
}

static void read_fail(ocl_environment *e) {
    const char *text = value_of("P2P_OPENCL_FAIL");
    if (!text) return;
    if (strlen(text) < sizeof e->fail)
        strcpy(e->fail, text);
    else
        note_problem(e, "P2P_OPENCL_FAIL has more than %d characters", OCL_FAIL_BYTES - 1);
}

ocl_environment ocl_environment_read(void) {
    static const char *const bf16[OCL_BF16_USES] = {"auto", "portable", "off"};
    static const char *const widths[] = {"", "1", "2", "4", "8", "16"};
    static const char *const winograd[OCL_WINOGRAD_USES] = {"auto", "off", "always"};
    static const char *const devices[] = {"", "gpu"};
    static const char *const cache[OCL_CACHE_USES] = {"auto", "on", "off"};
    ocl_environment e = {0};
    e.bf16 = (ocl_bf16_use)read_word(&e, "P2P_OPENCL_BF16", bf16, OCL_BF16_USES, "auto, portable or off");
    const int width = read_word(&e, "P2P_OPENCL_VECTOR_WIDTH", widths, 6, "1, 2, 4, 8 or 16");
    e.vector_width = width > 0 ? 1 << (width - 1) : 0;
    e.family = read_family(&e);
    read_variant(&e);
    e.winograd = (ocl_winograd_use)read_word(&e, "P2P_OPENCL_WINOGRAD", winograd, OCL_WINOGRAD_USES,
                                             "auto, off or always");
    e.treat_as_gpu = read_word(&e, "P2P_OPENCL_TREAT_AS", devices, 2, "gpu") == 1;
    e.launch_seconds = read_number(&e, "P2P_OPENCL_LAUNCH_MS", 1e-6, default_launch_ms) / 1000;
    e.timeout =
        limited_timeout >= 0 ? limited_timeout : read_number(&e, "P2P_OPENCL_TIMEOUT", 0, default_timeout);
    e.cache = (ocl_cache_use)read_word(&e, "P2P_OPENCL_CACHE", cache, OCL_CACHE_USES, "auto, on or off");
    read_fail(&e);
    return e;
}

bool ocl_environment_fails(const ocl_environment *environment, const char *name) {
    const char *list = environment->fail;
    const size_t length = strlen(name);
    while (*list) {
        const size_t item = strcspn(list, ",");
        if (item == length && strncmp(list, name, length) == 0) return true;
        list += item + (list[item] == ',');
    }
    return false;
}

bool ocl_environment_acts_as_cpu(const ocl_environment *environment, p2p_device_type type) {
    return type == P2P_DEVICE_CPU && !environment->treat_as_gpu && environment->family != OCL_CONV_GPU &&
           environment->family != OCL_CONV_GPU_WINOGRAD;
}
