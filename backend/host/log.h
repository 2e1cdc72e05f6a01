/* The library's two streams for people: a verbose log and warnings, a line each. Both are dropped until the
 * program has named a stream (p2p.h); errors are statuses (p2p_status.h) and never come here.
 */
#ifndef P2P_HOST_LOG_H
#define P2P_HOST_LOG_H

#include "p2p_status.h"

#include <stdbool.h>

/* A verbose line to the stream of p2p_log_to. */
void p2p_log(const char *format, ...) P2P_PRINTF(1, 2);
/* Whether there is such a stream: for lines that are expensive to compose. */
bool p2p_logging(void);
/* A line to the stream of p2p_warnings_to. */
void p2p_warn(const char *format, ...) P2P_PRINTF(1, 2);

#endif
