/* The check of a tensor's values while it is read: finite, not too large, not negative where they can't be.
 * Private to weights*.c. */
#ifndef WEIGHTS_VALUES_H
#define WEIGHTS_VALUES_H

#include "safetensors.h"

/* Values are read in double precision, which represents every dtype of a file exactly; a device with f32
 * rounds once. */
#define WEIGHTS_READ_TYPE P2P_TYPE_f64

/* Magnitudes from which on a number rounds to infinity. */
#define WEIGHTS_BEYOND_BF16 0x1.ffp+127
#define WEIGHTS_BEYOND_F32  0x1.ffffffp+127

typedef struct {
    double least;  /* the smallest value that is allowed */
    double beyond; /* magnitudes must be below it; INFINITY: any finite number is allowed */
} weights_bounds;

/* Check `count` values of a tensor that were read as WEIGHTS_READ_TYPE. P2P_INPUT names the file and the
 * tensor, with the number of wrong elements in the whole tensor, or reports that the file is damaged. */
p2p_status weights_check_values(safetensors_file *file, const safetensors_entry *entry, const double *values,
                                int64_t count, const weights_bounds *bounds);

#endif
