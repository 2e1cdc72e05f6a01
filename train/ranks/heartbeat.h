/* Signs of life between the ranks, over TCP, by a thread of its own: they continue while a rank compiles,
 * computes, validates or writes, and whatever MPI does.
 *
 * Every rank has a connection to rank 0. A rank is lost if its connection ends, or if nothing has come over
 * it for the time limit, as from a process that is stopped. Then rank 0 prints the rank, its machine and the
 * reason, and all processes end with the exit code of P2P_DEVICE_LOST; if rank 0 is lost, each of the others
 * does. A failure of any rank is printed by rank 0 and ends all likewise. Of a rank that lives, but keeps the
 * others waiting for long, rank 0 prints that, and ends nothing.
 */
#ifndef P2P_HEARTBEAT_H
#define P2P_HEARTBEAT_H

#include "host/sys_socket.h"
#include "p2p_status.h"

enum { HEARTBEAT_HOST = 64, HEARTBEAT_SECRET = 16, HEARTBEAT_CHANNELS = 6 };

/* Transfers among ranks, by channel: of each all ranks begin the same number. */
typedef struct {
    uint64_t begun[HEARTBEAT_CHANNELS], ended[HEARTBEAT_CHANNELS];
} heartbeat_progress;

/* What all ranks have received when they begin. */
typedef struct {
    int rank, size;
    char (*hosts)[HEARTBEAT_HOST]; /* names of the ranks' machines; borrowed */
    double limit;                  /* seconds without a sign of life */
    double patience; /* seconds after which a rank that makes no progress is named, again and again */
    void (*progress)(heartbeat_progress *now); /* of this rank, by the thread */
} heartbeat_options;

/* Where rank 0 accepts connections, and what shows that a connection is of a rank. */
typedef struct {
    sys_address addresses[SYS_ADDRESSES];
    unsigned char secret[HEARTBEAT_SECRET];
} heartbeat_place;

/* In rank 0: listen. The place is for all ranks. */
p2p_status heartbeat_listen(heartbeat_place *place);
/* Connect all ranks, and start the thread. P2P_FAILED, with the rank or the addresses, after 20 seconds. */
p2p_status heartbeat_start(const heartbeat_options *options, const heartbeat_place *place);

/* Copied; NULL: none. See ranks_set_command. */
void heartbeat_set_command(const char *command);
/* See ranks_set_kept. */
void heartbeat_set_kept(void);

/* Print a warning, in rank 0: those of other ranks are sent there, and printed with rank and machine, once
 * for each machine. From any thread. Before heartbeat_start, by one thread, it is kept until then. */
void heartbeat_warn(const char *text);
/* Print what is kept, if the ranks can't connect. */
void heartbeat_print_kept(void);

/* From now on the end of a connection is not a loss. Called by all ranks when nothing else can fail. */
void heartbeat_end(void);
/* Afterwards, wait for the thread to end: when all have called heartbeat_end, or after 5 seconds. */
void heartbeat_join(void);
/* In another rank than 0: have rank 0 print the failure, with the calling thread's message and hint, and end
 * all. Does not return. */
_Noreturn void heartbeat_fail(p2p_status status);
/* Wait some seconds for this process to be ended because another rank reports a failure. */
void heartbeat_await_end(void);
/* In rank 0: print the calling thread's message and hint, and end all. Does not return. */
_Noreturn void heartbeat_end_all(p2p_status status);

#endif
