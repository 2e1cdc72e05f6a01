/* The other processes of a run, as sessions and communicators use them.
 *
 * The caller of p2p_session_create fills the table; nothing below it starts, finds or ends a process. Every
 * function is collective: all processes call it in the same order with the same sizes, and it returns when
 * this process's part is complete. A communicator may call from a thread of its own while the session's
 * caller waits for its results; two calls never overlap.
 */
#ifndef P2P_PROCESSES_H
#define P2P_PROCESSES_H

#include "p2p_op.h"

typedef struct {
    int size, rank; /* 0 <= rank < size */
    /* Overwrites `bytes` with those of process 0. */
    p2p_status (*share)(void *context, void *bytes, size_t size);
    /* all[i * size] to all[i * size + size - 1] receive the bytes of process i. */
    p2p_status (*gather)(void *context, const void *mine, size_t size, void *all);
    /* Performs a validated all_reduce or broadcast over the processes, on memory in which the replicas of
     * this process have been combined. `stored` has `bytes`, which are whole elements of t[0], and of moments
     * the whole tensor. Sums and moments are formed in the order of processes: sums of float32 and bfloat16
     * in float32, of float64 in float64, moments in float64; each is rounded once. The processes may divide
     * a tensor differently, at multiples of P2P_PROCESSES_PIECE bytes. */
    p2p_status (*combine)(void *context, const p2p_op *op, void *stored, size_t bytes);
    void *context;
} p2p_processes;

enum { P2P_PROCESSES_PIECE = 4 << 20 };

#endif
