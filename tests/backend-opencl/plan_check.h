/* Checks of a plan of the OpenCL backend, by itself and against the kernel files: what ocl_op.c and drivers
 * rely on. */
#ifndef PLAN_CHECK_H
#define PLAN_CHECK_H

#include "conv/ocl_conv.h"
#include "ocl_planners.h"
#include "plan/ocl_plan.h"

/* Plans and checks the plan, or the reason of the refusal. `algorithm` NULL: by the default choice. Memory
 * that planners do not write must not matter, so the operation is planned twice into memory with different
 * contents. Returns whether there is a plan. */
bool plan_and_check(const ocl_target *target, const ocl_conv_algorithm *algorithm, const p2p_op *op,
                    ocl_plan *plan);

bool same_plan(const ocl_plan *a, const ocl_plan *b);

/* Fails the test with the operation and the target of the last plan_and_check unless `holds`. */
void check_that(bool holds, const char *what);

/* Frees the kernel files that the checks have read. */
void plan_check_release(void);

#endif
