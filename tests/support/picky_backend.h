/* The reference backend with opinions: it computes exactly what the reference does, but stores tensors in
 * blocks, wants other filter layouts, allows small allocations only, refuses fusions, and can record. So what
 * the planner does for demanding devices is tested by its numbers. Its scratch memory is its own. Its peak is
 * a count without arithmetic, wrong on PICKY_STRICT.
 */
#ifndef PICKY_BACKEND_H
#define PICKY_BACKEND_H

#include "p2p_backend.h"

enum {
    PICKY_BLOCKED, /* channels in blocks of 4, data gradients want kcrs_t filters, allocations up to 32 KB */
    PICKY_STRICT,  /* plain; refuses every fusion, every channel range but in copies, additions but axpby's */
    PICKY_EASY,    /* the reference, recorded */
    PICKY_DEVICES
};

const p2p_module *picky_module(uint32_t abi, const p2p_host *host);
/* Recordings replayed so far. */
int picky_recordings_run(void);

#endif
