/* Commands of the program, run in the test's process, and tiny pairs to run them on. Shared by tests of
 * failures and of kills.
 */
#ifndef P2P_TRAIN_COMMANDS_H
#define P2P_TRAIN_COMMANDS_H

#include "command.h"

#include <stdbool.h>

enum { TEST_COMMAND_WORDS = 48 };

typedef struct {
    unsigned bit;
    p2p_status (*run)(settings *all);
    const char *words[TEST_COMMAND_WORDS]; /* the command's name, then its options; NULL-terminated */
} test_command;

/* Runs the command without output, with `more` after its words unless that is NULL. */
p2p_status test_command_run(const test_command *line, const char *more);
/* The same; stdout and stderr are added to the file `output`. */
p2p_status test_command_run_into(const char *output, const test_command *line, const char *more);

/* Fails unless the logs of two trainings are equal but for times and measured rates. */
void test_expect_same_log(const char *whole, const char *other);

/* Fails unless two folders of trainings have the same files, hidden ones included, but for what
 * test_expect_same_log leaves out and for the contents of report.html, which has times. Files whose names
 * begin with `but` (NULL: none) are left out. */
void test_expect_same_run(const char *whole, const char *other, const char *but);

/* cmocka's set-up and tear-down: the test's own folder with pairs in data/, as the current folder. */
int test_pairs_make(void **state);
/* Add training pairs until there are `count`. */
void test_pairs_add(int count);
int test_pairs_remove(void **state);

#endif
