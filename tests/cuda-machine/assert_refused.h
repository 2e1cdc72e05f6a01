/* What tests of the CUDA machine and of the doubles expect of its rules. Include it after machine.h and
 * cmocka. */
#ifndef ASSERT_REFUSED_H
#define ASSERT_REFUSED_H

#include <string.h>

/* A rule has been broken, and the last message has the words; all violations are forgiven. */
static inline void assert_refused(const char *words) {
    if (machine_refusals() == 0 || !strstr(machine_last_refusal(), words))
        fail_msg("expected a refusal with \"%s\", the last is \"%s\"", words, machine_last_refusal());
    machine_forgive();
}

#endif
