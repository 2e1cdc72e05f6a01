/* The verbose log, one line per call. It is discarded unless the program has set a stream (p2p_log_to in
 * p2p.h, which also declares p2p_warn). Errors are reported as statuses (p2p_status.h), not here.
 */
#ifndef P2P_HOST_LOG_H
#define P2P_HOST_LOG_H

#include "p2p.h"

#include <stdbool.h>

/* Writes a line to the stream of p2p_log_to. */
void p2p_log(const char *format, ...) P2P_PRINTF(1, 2);
/* Whether there is such a stream, to skip composing expensive lines. */
bool p2p_logging(void);

#endif
