/* The table of all environment variables that p2p, its backends and its tests read, for users. The backends'
 * modules describe theirs. Nothing is read here. Each variable P2P_* is read in one place: in the core when
 * the first device is opened (cache_folder.c), whenever one is (device.c) or when modules are looked for
 * (module_find.c), in train/ranks/ when a training starts, and likewise in a backend. NO_COLOR and TERM are
 * read in train/host/sys.c, folders of the user and of the system wherever a file in them is used.
 * tests/program/test_environment.sh compares the table with the sources and with ENVIRONMENT.md.
 */
#include "device_internal.h"

static const p2p_variable core_variables[] = {
    {"P2P_CACHE_DIR", "a folder, or `off`", "see the next two",
     "The folder of compiled programs and results of tuning; `off` disables it. "
     "The option `--cache` overrides it.",
     false},
    {"XDG_CACHE_HOME", "an absolute path", "none",
     "Without `P2P_CACHE_DIR` the folder is `p2p` in this folder.", false},
    {"HOME", "a folder", "none", "Without both the folder is `.cache/p2p` in this folder.", false},
    {"P2P_MODULE_PATH", "absolute paths of folders, separated by colons", "none",
     "Backends, `p2p_NAME.so`, are looked for there first. Folders and files must belong to the user or to "
     "root, and no other user may write to them; the folder of the program is excepted. Ignored in programs "
     "with raised privileges.",
     false},
    {"P2P_MPI", "`openmpi`, `mpich`, or `off`", "what the launcher has set",
     "The MPI of a training that `mpirun` or `srun` has started; `off`: each process trains by itself.",
     false},
    {"P2P_RANK_TIMEOUT", "seconds, 3 to 3600", "20",
     "A rank without a sign of life for so long is lost, and ends the training of all.", false},
    {"OMPI_COMM_WORLD_SIZE", "a number", "none", "Set by Open MPI's `mpirun`: the number of processes.",
     false},
    {"OMPI_COMM_WORLD_RANK", "a number", "0", "Set by Open MPI's `mpirun`: this process's place among them.",
     false},
    {"PMI_SIZE", "a number", "none", "Set by MPICH's `mpirun`: the number of processes.", false},
    {"PMI_RANK", "a number", "none", "Set by MPICH's `mpirun`: this process's place among them.", false},
    {"SLURM_STEP_NUM_TASKS", "a number", "none", "Set by `srun`: the number of processes.", false},
    {"PMIX_RANK", "a number", "none", "Set by `srun` with PMIx: this process's place among them.", false},
    {"MPI_LOCALRANKID", "a number", "none", "Set by MPICH's `mpirun`: a hint then names it, and not `srun`.",
     false},
    {"SLURM_PROCID", "a number", "none", "Set by `srun`: this process's place among them.", false},
    {"SLURM_JOB_ID", "a number", "none",
     "Set in jobs of Slurm, which repeat SIGTERM: a second one does not end the program.", false},
    {"LSB_JOBID", "a number", "none", "The same in jobs of LSF, which send SIGTERM after SIGINT.", false},
    {"NO_COLOR", "anything", "none", "Nothing is printed in colours.", false},
    {"TERM", "the kind of the terminal", "none", "Without it, and for `dumb`, nothing is printed in colours.",
     false},
    {"TMPDIR", "an absolute path", "`/tmp`",
     "Tests make their temporary folders there, and PoCL's is made there if no cache can be used.", false},
    {"P2P_LOSE_DEVICE_AT", "a whole number", "0: never",
     "Every device is lost from this call of a backend on, counted from 1.", true},
    {"P2P_UPDATE_GOLDEN", "1", "none", "Tests write the text files with which they otherwise compare.", true},
    {"P2P_TEST_GOLDEN", "a folder", "`tests/golden`", "Tests find the committed files there.", true},
    {"P2P_FLIPPED", "`bit:DEVICE:UPDATES`, `nan:DEVICE:BYTES`", "none",
     "The backend `flipped` of the tests spoils this device's memory.", true},
    {"P2P_MALLOC_FAULTS", "a file", "none",
     "The sweep of faults counts allocations in it, and makes one fail.", true},
};

static void print_row(FILE *stream, const p2p_variable *row) {
    fprintf(stream, "| `%s` | %s | %s | %s |\n", row->name, row->values, row->fallback, row->meaning);
}

static void print_rows(FILE *stream, const p2p_variable *rows, int count, bool for_tests) {
    for (int i = 0; i < count; i++)
        if (rows[i].for_tests == for_tests) print_row(stream, &rows[i]);
}

/* The core's rows, then those of the modules. */
static void print_table(FILE *stream, const char *title, bool for_tests) {
    const p2p_module *module;
    fprintf(stream, "\n%s:\n\n| variable | values | default | meaning |\n|---|---|---|---|\n", title);
    print_rows(stream, core_variables, sizeof core_variables / sizeof core_variables[0], for_tests);
    for (int i = 0; (module = p2p_module_at(i)) != NULL; i++)
        print_rows(stream, module->variables, module->variable_count, for_tests);
}

void p2p_environment_print(FILE *stream) {
    fputs("Variables of devices are read when devices are listed or opened, those of the cache once per\n"
          "process. An empty variable is treated as unset, except those of CUDA and NCCL, which NVIDIA's\n"
          "libraries read themselves.\n",
          stream);
    print_table(stream, "For users", false);
    print_table(stream, "For measuring and tests", true);
}
