/* PoCL's cache of compiled kernels. PoCL has no device without a folder for it. It loads and runs what it
 * finds there: a damaged file aborts the process, or computes something else. p2p's own cache of programs is
 * in ocl_program_cache.c.
 */
#ifndef OCL_POCL_H
#define OCL_POCL_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stddef.h>

#include <CL/cl.h>

extern const char ocl_pocl_platform[]; /* PoCL's CL_PLATFORM_NAME */

/* Chooses PoCL's folder, unless POCL_CACHE_DIR is set: a folder in p2p's cache, whose files are verified here
 * (driver_folder of p2p_backend.h); without that cache PoCL's own, whose files are not; without that a
 * temporary one, which is removed when the process ends, or at the next such start if a signal has ended it.
 * A folder that others can write to is not used, also if POCL_CACHE_DIR names it. Call it before any OpenCL
 * function, with one thread only. Has an effect once per process. */
void ocl_pocl_prepare(void);

/* Records the files that PoCL has made in the folder of p2p's cache, if p2p_device_info.driver is PoCL's. The
 * whole folder is listed, which may have thousands of files. */
void ocl_pocl_record(const char *driver);

/* Whether 20 times as long as the last record took has passed since: so records take at most a twentieth of
 * the time. What a killed process has not recorded is made again. */
bool ocl_pocl_record_is_due(void);

/* Warns once if PoCL, which is among the platforms, uses the temporary folder, or another one than
 * POCL_CACHE_DIR. */
void ocl_pocl_found(void);

/* Why PoCL has no device, if the folder is the reason: a sentence; else "". */
enum { OCL_POCL_REASON = 400 };
void ocl_pocl_obstacle(char *text, size_t size);

/* Whether p2p_device_info.driver is PoCL's. */
bool ocl_pocl_is_driver(const char *driver);

/* Hints at a damaged cache, or at a POCL_CACHE_DIR that can't be used, if the driver is PoCL: `driver` is
 * that of p2p_device_info. Returns the status. */
p2p_status ocl_pocl_hint(const char *driver, p2p_status status);

/* From now on an abort or a fault of the process first writes a line on stderr that names the folder, and
 * then ends the process as before. Signals that were handled before PoCL was loaded are left alone. Call it
 * when a device of PoCL is opened, and again after a program was built, because compilers install handlers
 * when they start. PoCL aborts on damaged files, also in threads of its own when a kernel first runs. */
void ocl_pocl_watch(void);

#endif
