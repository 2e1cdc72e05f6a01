/* The table of all environment variables that p2p and its tests read, for users. Nothing is read here: each
 * variable is read in one place, in the core when the first device is opened (cache_folder.c) or whenever one
 * is (device.c), and likewise in a backend. tests/program/test_environment.sh compares the table with the
 * sources and with README.md.
 */
#include "p2p.h"

typedef struct {
    const char *name, *values, *fallback, *meaning;
} variable;

static const variable for_users[] = {
    {"P2P_CACHE_DIR", "a folder, or `off`", "see the next two",
     "The folder of compiled programs and results of tuning; `off` disables it. "
     "The option `--cache` overrides it."},
    {"XDG_CACHE_HOME", "an absolute path", "none",
     "Without `P2P_CACHE_DIR` the folder is `p2p` in this folder."},
    {"HOME", "a folder", "none", "Without both the folder is `.cache/p2p` in this folder."},
    {"POCL_CACHE_DIR", "a folder", "PoCL's",
     "PoCL's folder of compiled kernels; its own default is below `XDG_CACHE_HOME` or `HOME`. "
     "If that can't be written, p2p sets it to `pocl` in its cache, or to a temporary folder."},
    {"P2P_OPENCL_TIMEOUT", "seconds, 0 or more", "120",
     "A device other than a CPU is lost if its work takes longer; 0 waits without limit. "
     "The option `--device-timeout` overrides it."},
};

static const variable for_tests[] = {
    {"P2P_OPENCL_CONV", "`auto`, `direct`, `winograd`, `gpu`, `gpu_winograd`, `gemm`", "`auto`",
     "One family computes every convolution; what it does not support is refused."},
    {"P2P_OPENCL_VARIANT", "a variant's name, or `#` and its number", "by heuristic",
     "The family of `P2P_OPENCL_CONV` uses this variant for every shape that has it."},
    {"P2P_OPENCL_WINOGRAD", "`auto`, `off`, `always`", "`auto`",
     "`off` excludes Winograd's algorithm from every choice; `always` uses it for every suitable shape."},
    {"P2P_OPENCL_TREAT_AS", "`gpu`", "the device's type",
     "A CPU device chooses and runs kernels as a GPU does."},
    {"P2P_OPENCL_VECTOR_WIDTH", "1, 2, 4, 8, 16", "the driver's",
     "Tiles of CPU devices are chosen for vectors of this many floats."},
    {"P2P_OPENCL_BF16", "`auto`, `portable`, `off`", "`auto`",
     "`portable`: CPU devices compute in bf16 without assembly; `off`: no device supports bf16."},
    {"P2P_OPENCL_CACHE", "`auto`, `on`, `off`", "`auto`",
     "Whether compiled programs are stored; `auto`: if the driver does not store them itself."},
    {"P2P_OPENCL_FAIL", "names separated by commas", "none",
     "The self-tests of these families and tiles of convolutions fail."},
    {"P2P_OPENCL_LAUNCH_MS", "milliseconds, more than 0", "100",
     "On a device other than a CPU, a launch estimated to take longer is enqueued in pieces."},
    {"P2P_LOSE_DEVICE_AT", "a whole number", "0: never",
     "Every device is lost from this call of a backend on, counted from 1."},
    {"P2P_UPDATE_GOLDEN", "1", "none", "Tests write the text files with which they otherwise compare."},
    {"P2P_TEST_GOLDEN", "a folder", "`tests/golden`", "Tests find the committed files there."},
    {"TMPDIR", "a folder", "`/tmp`", "Tests make their temporary folders there."},
};

static void print_table(FILE *stream, const char *title, const variable *rows, size_t count) {
    fprintf(stream, "\n%s:\n\n| variable | values | default | meaning |\n|---|---|---|---|\n", title);
    for (size_t i = 0; i < count; i++)
        fprintf(stream, "| `%s` | %s | %s | %s |\n", rows[i].name, rows[i].values, rows[i].fallback,
                rows[i].meaning);
}

void p2p_environment_print(FILE *stream) {
    fputs("Variables of devices are read when devices are listed or opened, those of the cache once per\n"
          "process, and those of tests by the tests alone. An empty variable is treated as unset.\n",
          stream);
    print_table(stream, "For users", for_users, sizeof for_users / sizeof for_users[0]);
    print_table(stream, "For measuring and tests", for_tests, sizeof for_tests / sizeof for_tests[0]);
}
