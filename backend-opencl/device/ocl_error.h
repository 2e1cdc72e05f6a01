/* Host services, and codes of OpenCL and CLBlast turned into statuses with a message. */
#ifndef OCL_ERROR_H
#define OCL_ERROR_H

#include "ocl_device.h"

/* "CL_OUT_OF_RESOURCES" for example; CLBlast's own codes too. */
const char *ocl_error_name(cl_int code);

/* P2P_OK for CL_SUCCESS; else the message names `what` and the code. Codes that only a dead device returns
 * become P2P_DEVICE_LOST, and are noted in `device` (may be NULL). */
p2p_status ocl_check(p2p_be_device *device, cl_int code, const char *what);

/* P2P_DEVICE_LOST once a command has shown that the device is gone. */
p2p_status ocl_check_alive(const p2p_be_device *device);

#endif
