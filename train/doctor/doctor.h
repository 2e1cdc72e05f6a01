/* `p2p doctor`: whether this machine and its devices are fit for training.
 *
 * It examines the system, the cache, every device or those named, and a reduction over those of each backend.
 * A card that several backends list is examined through the first of them. A table with
 * what works, what is slow, what fails and what to try goes to stdout; a file with everything that was seen
 * can be sent to the authors of p2p. FORMATS.md describes it.
 */
#ifndef P2P_DOCTOR_H
#define P2P_DOCTOR_H

#include "doctor_device.h"

typedef struct {
    const char *devices; /* addresses separated by commas; NULL: every usable device of `backend` */
    const char *backend; /* "auto": all but the reference */
    const char *report;  /* the file, which must not exist; NULL: none */
    double seconds;      /* after which no further algorithm is tried on any device */
    bool precision[P2P_PRECISION_COUNT]; /* to examine */
    bool required;                       /* a device without one of these precisions is not fit */
} doctor_request;

/* P2P_OK if everything that a training needs works. Otherwise P2P_FAILED, P2P_DEVICE_LOST, or P2P_NO_DEVICE
 * if there is no device to examine, with the verdict as message; the report is written then as well.
 * P2P_USAGE if the file exists, before anything is examined. Progress goes to stderr. */
p2p_status doctor_run(const doctor_request *request);

#endif
