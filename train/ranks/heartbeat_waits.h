/* How far each rank has got with transfers, and for how long others wait for one that makes no progress
 * though it shows signs of life. It warns and ends nothing: a rank may compile or read for as long as it
 * needs.
 * Private to heartbeat.c.
 */
#ifndef P2P_HEARTBEAT_WAITS_H
#define P2P_HEARTBEAT_WAITS_H

#include "heartbeat.h"

typedef struct heartbeat_waits heartbeat_waits;

/* Warnings come each time that `patience` seconds have passed without any progress. */
p2p_status heartbeat_waits_create(const heartbeat_options *options, heartbeat_waits **waits);
void heartbeat_waits_note(heartbeat_waits *waits, int rank, const heartbeat_progress *at);
/* So many seconds have passed. */
void heartbeat_waits_pass(heartbeat_waits *waits, double seconds);
void heartbeat_waits_destroy(heartbeat_waits *waits);

#endif
