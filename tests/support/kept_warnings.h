/* A host's function for warnings that counts them and keeps the last. */
#ifndef P2P_TEST_KEPT_WARNINGS_H
#define P2P_TEST_KEPT_WARNINGS_H

#include "p2p_status.h"

extern int warnings;
extern char warning[4096]; /* the last */

void keeping_warn(const char *format, ...) P2P_PRINTF(1, 2);
void warnings_forget(void);

#endif
