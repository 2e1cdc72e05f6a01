/* Conversion of OpenCL and CLBlast codes to statuses with a message. */
#ifndef OCL_ERROR_H
#define OCL_ERROR_H

#include "ocl_device.h"

/* The name of a code, for example "CL_OUT_OF_RESOURCES", including CLBlast's own codes. */
const char *ocl_error_name(cl_int code);

/* Returns P2P_OK for CL_SUCCESS. Otherwise the message names `what` and the code. Codes that only a lost
 * device returns give P2P_DEVICE_LOST and mark `device` (may be NULL) as lost. */
p2p_status ocl_check(p2p_be_device *device, cl_int code, const char *what);

/* Returns P2P_DEVICE_LOST if an earlier command found that the device is lost, or if one of its collectives
 * has failed. */
p2p_status ocl_check_alive(const p2p_be_device *device);

#endif
