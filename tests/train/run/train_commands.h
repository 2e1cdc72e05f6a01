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

bool test_is_there(const char *path);

/* Fails unless the logs of two trainings are equal but for times and measured rates. */
void test_expect_same_log(const char *whole, const char *other);

/* cmocka's set-up and tear-down: the test's own folder with pairs in data/, as the current folder. */
int test_pairs_make(void **state);
int test_pairs_remove(void **state);

#endif
