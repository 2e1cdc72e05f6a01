/* The verbose log and warnings, one line per call. Both are discarded unless the program has set a stream
 * (p2p_log_to and p2p_warnings_to in p2p.h). Errors are reported as statuses (p2p_status.h), not here.
 */
#ifndef P2P_HOST_LOG_H
#define P2P_HOST_LOG_H

#include "p2p_status.h"

#include <stdbool.h>

/* Writes a line to the stream of p2p_log_to. */
void p2p_log(const char *format, ...) P2P_PRINTF(1, 2);
/* Whether there is such a stream, to skip composing expensive lines. */
bool p2p_logging(void);
/* Writes a line to the stream of p2p_warnings_to. */
void p2p_warn(const char *format, ...) P2P_PRINTF(1, 2);

#endif
