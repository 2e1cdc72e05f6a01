/* The table of every environment variable that p2p and its tests read, for people. Nothing is read here: each
 * variable has one reader, in the core when the first device opens (cache_folder.c) or whenever one does
 * (device.c), in a backend likewise. tests/program/test_environment.sh compares the table with the sources
 * and with README.md.
 */
#include "p2p.h"

typedef struct {
    const char *name, *values, *fallback, *meaning;
} variable;

static const variable for_users[] = {
    {"P2P_CACHE_DIR", "a folder, or `off`", "see the next two",
     "Compiled programs and results of tuning are kept there; `off` keeps and finds nothing. "
     "The option `--cache` wins."},
    {"XDG_CACHE_HOME", "an absolute path", "none",
     "Without `P2P_CACHE_DIR` they are kept in its folder `p2p`."},
    {"HOME", "a folder", "none", "Without both they are kept in its folder `.cache/p2p`."},
    {"P2P_OPENCL_TIMEOUT", "seconds, 0 or more", "120",
     "A device that is no CPU counts as lost when its work takes longer; 0 waits without end. "
     "The option `--device-timeout` wins."},
};

static const variable for_tests[] = {
    {"P2P_OPENCL_CONV", "`auto`, `direct`, `winograd`, `gpu`, `gpu_winograd`, `gemm`", "`auto`",
     "One family computes every convolution; what it can't compute is refused."},
    {"P2P_OPENCL_VARIANT", "a variant's name, or `#` and its number", "by arithmetic",
     "The family of `P2P_OPENCL_CONV` uses this variant wherever a shape has it."},
    {"P2P_OPENCL_WINOGRAD", "`auto`, `off`, `always`", "`auto`",
     "`off` leaves Winograd's algorithm out of every choice; `always` takes it wherever it suits."},
    {"P2P_OPENCL_TREAT_AS", "`gpu`", "the device's type", "A CPU device chooses and runs what a GPU would."},
    {"P2P_OPENCL_VECTOR_WIDTH", "1, 2, 4, 8, 16", "the driver's",
     "Tiles of CPU devices are chosen for vectors of so many floats."},
    {"P2P_OPENCL_BF16", "`auto`, `portable`, `off`", "`auto`",
     "`portable`: CPU devices compute in bf16 without assembly; `off`: no device offers bf16."},
    {"P2P_OPENCL_CACHE", "`auto`, `on`, `off`", "`auto`",
     "Whether compiled programs are kept; `auto`: where the driver does not keep them itself."},
    {"P2P_OPENCL_FAIL", "names with commas between", "none",
     "The self-tests of these families and tiles of convolutions fail."},
    {"P2P_OPENCL_LAUNCH_MS", "milliseconds, more than 0", "100",
     "On a device that is no CPU a launch that may take longer is enqueued in pieces."},
    {"P2P_LOSE_DEVICE_AT", "a whole number", "0: never",
     "Every device is lost at this call of a backend, counted from 1."},
    {"P2P_UPDATE_GOLDEN", "1", "none", "Tests write the text files that they otherwise compare with."},
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
    fputs("Variables are read when devices are listed or opened, those of the cache once per process. An "
          "empty\n"
          "variable counts as none.\n",
          stream);
    print_table(stream, "For users", for_users, sizeof for_users / sizeof for_users[0]);
    print_table(stream, "For measuring and tests", for_tests, sizeof for_tests / sizeof for_tests[0]);
}
