/* An interpreter of PTX: loads the text of a module, and runs its kernels over a grid, 32 lanes at a time. It
 * supports the instructions that nvcc makes of this project's kernels; another one is refused when the module
 * is loaded.
 *
 * Strict where a card isn't: it notices accesses out of bounds and misaligned ones, shared memory that is
 * read before it is written or that threads touch without a barrier between, barriers that some threads never
 * reach, and shuffles with absent lanes. Blocks, and the warps of a block, run in a seeded order.
 */
#ifndef PTX_H
#define PTX_H

#include "driver.h"

typedef struct ptx_module ptx_module;
typedef struct ptx_kernel ptx_kernel;

/* Loads PTX, and its variables into the memory of a device. After a failure returns NULL, and `message` has
 * the line and the reason. */
ptx_module *ptx_load(const char *text, int device, char *message, size_t size);
void ptx_free(ptx_module *module);
/* NULL: no kernel has the name. */
const ptx_kernel *ptx_find(const ptx_module *module, const char *name);

typedef struct {
    const char *name;
    int param_count;
    size_t param_bytes;
    size_t static_shared, local_bytes;
    unsigned max_threads; /* of __launch_bounds__; 0: none */
} ptx_info;
ptx_info ptx_kernel_info(const ptx_kernel *kernel);
/* Where a parameter lies among the param_bytes of a launch. */
void ptx_param(const ptx_kernel *kernel, int position, size_t *offset, size_t *bytes);

/* What a launch did. Sectors are 32 bytes of global memory: a request touches each sector that one of its
 * lanes does. Those of a block are counted once for each block, which its first level cache would move, and
 * distinct ones once per launch, which a perfect cache would. Reads and writes count apart. */
typedef struct {
    uint64_t warp_instructions, lane_instructions, divergent_branches, barriers;
    uint64_t global_requests, global_sectors, global_bytes;
    uint64_t block_sectors, distinct_sectors, distinct_read_bytes, distinct_written_bytes;
    uint64_t shared_requests, shared_conflicts; /* passes beyond those that the size of the request needs */
    uint64_t local_bytes;
} ptx_counters;

typedef struct {
    unsigned grid[3], block[3];
    size_t dynamic_shared;
    const unsigned char *params; /* param_bytes */
    int device;
    uint64_t seed; /* 0: blocks and warps in their order */
    /* Results. */
    ptx_counters counters;
    driver_footprint footprint; /* the caller frees it */
    CUresult error;             /* what a card would end with */
    char message[500];
} ptx_launch;

/* False: the launch failed, and error and message are set. */
bool ptx_run(const ptx_kernel *kernel, ptx_launch *launch);

#endif
