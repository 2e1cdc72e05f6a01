/* Transfers in a stream of their own, beside the commands of the queue, with the results of one stream.
 *
 * A large transfer starts when the commands that use its memory are complete, and later ones that use it wait
 * for it; all others run beside it. So the images of the next step arrive while this one computes. The ranges
 * that transfers have used lately are recorded, each with an event of the last command of the queue that
 * used it, and an event of its last transfer.
 */
#ifndef CUDA_OVERLAP_H
#define CUDA_OVERLAP_H

#include <cuda.h>

#include "p2p_backend.h"

enum { CUDA_OVERLAPS = 8 };

/* Memory that a command uses. */
typedef struct {
    CUdeviceptr begin, end;
    bool writes;
} cuda_range;

typedef struct {
    CUdeviceptr begin, end;
    CUevent used, copied;
    bool is_used;     /* by a command of the queue since a transfer last waited for `used` */
    bool is_copying;  /* a transfer for which no command of the queue has waited */
    bool copy_writes; /* it writes to the device */
} cuda_transferred;

typedef struct {
    CUstream stream; /* of transfers */
    CUevent fork;    /* in the queue, for transfers of memory that is not recorded */
    cuda_transferred range[CUDA_OVERLAPS];
    int count, next; /* ranges in use; the next one to be replaced */
} cuda_overlap;

p2p_status cuda_overlap_open(p2p_be_device *device);
void cuda_overlap_close(p2p_be_device *device);

/* Clears all ranges. Every command and transfer of the device is complete. Before memory is freed: the
 * driver gives its addresses again, and commands that use the new memory are not those of the old one. */
void cuda_overlap_forget(p2p_be_device *device);

/* Around a command of the queue, with all memory that it uses and that transfers may use. */
p2p_status cuda_overlap_before(p2p_be_device *device, const cuda_range *ranges, int count);
p2p_status cuda_overlap_after(p2p_be_device *device, const cuda_range *ranges, int count);

/* Around a transfer in the stream. `range->writes`: to the device. */
p2p_status cuda_overlap_begin(p2p_be_device *device, const cuda_range *range);
p2p_status cuda_overlap_end(p2p_be_device *device, const cuda_range *range);

#endif
