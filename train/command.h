/* The commands of the program: one file each, all of one form. main.c chooses; nothing here prints errors.
 */
#ifndef P2P_COMMAND_H
#define P2P_COMMAND_H

#include "options/options.h"

typedef struct {
    const char *name;
    unsigned bit; /* COMMAND_* of options.h */
    const char *summary;
    const char *usage;    /* the line after "usage: " */
    const char *examples; /* lines for --help, each ending in a newline */
    const char *notes;    /* likewise, below the options; NULL: none */
    /* Results go to stdout, all else to stderr. */
    p2p_status (*run)(settings *all);
} command;

p2p_status command_train(settings *all);
p2p_status command_translate(settings *all);
p2p_status command_test(settings *all);
p2p_status command_devices(settings *all);
p2p_status command_plan(settings *all);
p2p_status command_sample_data(settings *all);
p2p_status command_bench(settings *all);
p2p_status command_tune(settings *all);

#endif
