/* The operations that p2p_device_check runs: every kind, unfused and in the forms that plans of the networks
 * have, on a few small odd shapes. The operation runner of the tests has the exhaustive tables.
 */
#ifndef P2P_CHECK_CASES_H
#define P2P_CHECK_CASES_H

#include "op_case.h"

typedef void check_visit(void *context, const op_case *item);

/* The cases depend on a few properties of the device. */
void check_cases_visit(const p2p_device_info *info, check_visit *visit, void *context);

#endif
