/* How the ranks connect to rank 0. A connection begins with a secret, which rank 0 has shared by MPI, and the
 * rank's number; rank 0 answers with a byte. Other connections are closed. Private to heartbeat.c.
 */
#ifndef P2P_HEARTBEAT_CONNECT_H
#define P2P_HEARTBEAT_CONNECT_H

#include "heartbeat.h"

/* In rank 0: accept the connection of each other rank; sockets[i] is that of rank i. Closes the listener. */
p2p_status heartbeat_accept(const heartbeat_options *options, const heartbeat_place *place,
                            sys_listener *listener, int *sockets);
/* In another rank: connect to the first address that answers. */
p2p_status heartbeat_connect(const heartbeat_options *options, const heartbeat_place *place, int *socket);

#endif
