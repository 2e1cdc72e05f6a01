/* The reference with faults that p2p_device_check and `p2p doctor` must find, a device for each.
 */
#ifndef SICK_BACKEND_H
#define SICK_BACKEND_H

#include "p2p_backend.h"

enum {
    SICK_HEALTHY,   /* none; three algorithms, all right: "plain", "plain:wide", "other" */
    SICK_KIND,      /* act_fwd has a wrong slope */
    SICK_ALGORITHM, /* "other" computes conv_fwd with a wrong padding; "plain:wide" is refused when imposed */
    SICK_PRECISION, /* no tf32, no bf16 */
    SICK_REFUSES,   /* refuses dropout, which it must have, and normalisations with dropout, which it may lack
                     */
    SICK_LOST,      /* is lost when a gemm runs */
    SICK_LISTS,     /* op_list returns more names than there is room for */
    SICK_FALSE_SUM, /* its communicator changes nothing */
    SICK_DEVICES
};

const p2p_module *sick_module(uint32_t abi, const p2p_host *host);

#endif
