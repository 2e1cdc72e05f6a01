/* The examination of one device: its operations and algorithms in each precision, a tiny training, transfers
 * and rates.
 */
#ifndef P2P_DOCTOR_DEVICE_H
#define P2P_DOCTOR_DEVICE_H

#include "doctor_finding.h"
#include "doctor_text.h"
#include "p2p.h"

typedef struct {
    const char *address;           /* as it was named */
    const p2p_device_entry *entry; /* of the list of devices; NULL if it could not be opened */
    p2p_device *device;            /* NULL if it could not be opened */
    doctor_findings findings;
    doctor_text details; /* for the report: every kind of operation, every algorithm, every failure */
    bool lost;
} doctor_device;

typedef struct {
    bool precision[P2P_PRECISION_COUNT]; /* to examine */
    bool required; /* a precision that the device lacks is a failure; otherwise it is left out */
    double until;  /* clock reading after which no further algorithm is begun */
    const p2p_device_entry *entries; /* p2p_device_list */
    int entry_count;
} doctor_scope;

/* Opens the device and examines it. What goes wrong is a finding. P2P_OUT_OF_MEMORY if there is no memory for
 * the results. Call doctor_device_close() in any case. */
p2p_status doctor_device_examine(doctor_device *one, const doctor_scope *scope);
void doctor_device_close(doctor_device *one);

#endif
