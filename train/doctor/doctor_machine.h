/* Sections of the report about everything but the devices' operations: the system, its cards, the
 * environment, the cache, the list of devices, and the libraries that are loaded.
 */
#ifndef P2P_DOCTOR_MACHINE_H
#define P2P_DOCTOR_MACHINE_H

#include "doctor_finding.h"
#include "p2p.h"

/* Each prints a section. What is wrong is a finding. */
void doctor_print_system(FILE *stream);
void doctor_print_environment(FILE *stream);
/* A card of a known maker that no device of the list reaches is a finding. */
void doctor_print_cards(const p2p_device_entry *entries, int count, doctor_findings *findings, FILE *stream);
void doctor_print_cache(doctor_findings *findings, FILE *stream);
void doctor_print_entries(const p2p_device_entry *entries, int count, FILE *stream);
/* Libraries of the system's own folders and others alike; the C library and the like are among them. */
void doctor_print_libraries(FILE *stream);

#endif
