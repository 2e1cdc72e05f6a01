/* p2p_device_check of one device in one precision: the tally, and its lines of the report. */
#ifndef P2P_DOCTOR_OPERATIONS_H
#define P2P_DOCTOR_OPERATIONS_H

#include "doctor_device.h"

enum { DOCTOR_SUMMARY = 192 };

/* Adds findings of what is slow and fails, and details. `until`: algorithms_until of p2p_check_options.
 * `summary` receives a clause about what works. */
void doctor_operations_examine(doctor_device *one, p2p_precision precision, double until,
                               char summary[DOCTOR_SUMMARY]);

#endif
