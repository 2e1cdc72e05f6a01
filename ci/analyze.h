/* What the analysers can't see: a failure is never P2P_OK, so what follows it is not reached. ci/analyze
 * includes this file in front of every source but those that define the functions. */
#ifndef P2P_ANALYZE_H
#define P2P_ANALYZE_H

#include "../backend/p2p_status.h"

#define p2p_fail(code, ...)             ((void)p2p_fail(code, __VA_ARGS__), (code))
#define p2p_hint(code, ...)             ((void)p2p_hint(code, __VA_ARGS__), (code))
#define p2p_failure_take(failure, code) (p2p_failure_take(failure, code), (void)((failure)->status = (code)))
#define p2p_failure_give(failure)       (p2p_failure_give(failure), (failure)->status)

#endif
