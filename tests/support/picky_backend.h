/* The reference backend with restrictions: it computes the reference's results, but stores tensors in blocks,
 * requests other filter layouts, limits allocations, refuses fusions, and supports recordings. The planner's
 * output for such devices is tested by its numbers. Operations have their own scratch memory. The peak
 * returns a count without computing; on PICKY_STRICT the count is wrong.
 */
#ifndef PICKY_BACKEND_H
#define PICKY_BACKEND_H

#include "p2p_backend.h"

enum {
    PICKY_BLOCKED, /* channels in blocks of 4, kcrs_t filters for data gradients, allocations up to 32 KB */
    PICKY_STRICT,  /* plain; refuses fusions, channel ranges except in copies, accumulation except axpby's */
    PICKY_EASY,    /* the reference, with recordings */
    /* As libraries of tensor cores: channels innermost in blocks of 4, with padding lanes that are multiplied
     * and must be zero; filters in f64. In sessions in "bf16" activations are in f32, and then filters are
     * read and their gradients written in f32 only. */
    PICKY_TENSOR,
    PICKY_DEVICES
};

const p2p_module *picky_module(uint32_t abi, const p2p_host *host);
/* "twins": any number of PICKY_EASY, without a communicator, so that they reduce through host memory. */
const p2p_module *picky_twins_module(uint32_t abi, const p2p_host *host);
/* What fails from now on, although the table has it. */
typedef enum { PICKY_FAILS_NOTHING, PICKY_FAILS_HOST_MEMORY, PICKY_FAILS_RECORDING } picky_failure;
void picky_fail(picky_failure failure);
/* Pieces of host memory that are allocated. */
int picky_host_pieces(void);
/* From now on PICKY_TENSOR leaves NaN in padding lanes of one kind's results; P2P_KIND_COUNT: of none. */
void picky_leave_padding(p2p_kind kind);
/* The number of recordings replayed so far. */
int picky_recordings_run(void);

#endif
