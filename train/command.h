/* The commands of the program, one file each. main.c selects the command and prints its error. */
#ifndef P2P_COMMAND_H
#define P2P_COMMAND_H

#include "options/options.h"

#include <stdbool.h>

typedef struct {
    const char *name;
    unsigned bit; /* COMMAND_* of options.h */
    const char *summary;
    const char *usage;    /* the line after "usage: " */
    const char *examples; /* lines for --help, each ending in a newline */
    const char *notes;    /* likewise, below the options; NULL: none */
    /* Prints results on stdout, everything else on stderr. */
    p2p_status (*run)(settings *all);
    /* Whether processes that a launcher of MPI has started share this work. If not, or if NULL, the first of
     * them works alone. */
    bool (*is_shared)(const settings *all);
} command;

bool command_train_is_shared(const settings *all);
bool command_bench_is_shared(const settings *all);

p2p_status command_train(settings *all);
p2p_status command_translate(settings *all);
p2p_status command_test(settings *all);
p2p_status command_devices(settings *all);
p2p_status command_plan(settings *all);
p2p_status command_sample_data(settings *all);
p2p_status command_pairs(settings *all);
p2p_status command_bench(settings *all);
p2p_status command_tune(settings *all);
p2p_status command_doctor(settings *all);
p2p_status command_report(settings *all);

#endif
