/* The peaks of float32 and of tensor cores. Their rates are the denominators of `p2p bench`; no operation
 * uses them. See cuda_peak.h.
 */
#include "cuda_peak.h"

#include "cuda_memory.h"
#include "cuda_op.h"
#include "cuda_ticket.h"
#include "cuda_transfer.h"

#include "plan/cuda_plan.h"

#include <stdlib.h>
#include <string.h>

enum {
    THREADS = 256,
    WAVE = 2048, /* threads that a multiprocessor executes at once, at most */
    CHAINS = 16, /* of peak.cu */
    /* Rows and columns of a product, powers of two: with the largest the tiles fill any card several times.
     */
    LEAST_SIDE = 64,
    MOST_SIDE = 4096,
    DEPTH = 8 /* terms of a sum for each row, so that reading and writing the result take 1 % of the time */
};

/* ---- float32 ------------------------------------------------------------------------------------------- */

/* Every multiprocessor has equally many threads: a wave of blocks that is partly full would take as long as a
 * full one. */
static int64_t choose_items(const p2p_be_device *device, int capacity) {
    int64_t items = (int64_t)device->target.multiprocessors * WAVE;
    while (items > capacity && items % (2 * THREADS) == 0) items /= 2;
    return cuda_min(items, capacity);
}

static p2p_status create_kernel(p2p_be_device *device, int steps, p2p_binding counts, int capacity,
                                p2p_be_op **created, double *multiply_adds) {
    const int64_t items = choose_items(device, capacity);
    const p2p_op op = p2p_op_peak(items);
    cuda_plan plan = {0};
    cuda_launch *launch = cuda_launch_add(&plan, "peak", "peak", THREADS);
    launch->grid[0] = (unsigned)p2p_divide_up(items, THREADS);
    cuda_arg_operand(launch, P2P_AT_broadcast_y);
    cuda_arg_int(launch, items);
    cuda_arg_int(launch, steps);
    cuda_arg_float(launch, 1);
    cuda_arg_float(launch, 1);
    *multiply_adds = (double)items * steps * CHAINS;
    return cuda_op_create_planned(device, &op, &counts, (p2p_binding){0}, &plan, created);
}

/* ---- Tensor cores -------------------------------------------------------------------------------------- */

/* y = a b, side x terms by terms x side, then counts = y v. All factors are 1 and share their memory, so
 * every element of y is `terms` and every count side * terms, powers of two that all storages have exactly.
 * Ones change few bits in the multipliers: the rate is about a tenth above that of random numbers, a ceiling.
 */
typedef struct {
    p2p_math math;
    p2p_type type;
    int64_t side, terms;
    uint64_t ones_bytes, y_at; /* in the scratch memory */
    cuda_plan plan;
} product;

static cuda_matrix in_scratch(const product *p, uint64_t offset, int64_t row_distance) {
    return (cuda_matrix){.operand = -1, .offset = offset, .row_distance = row_distance, .type = p->type};
}

static void plan_product(product *p, int64_t side) {
    const size_t bytes = p2p_type_bytes(p->type);
    p->side = side;
    p->terms = DEPTH * side;
    p->plan = (cuda_plan){0};
    p->ones_bytes = (uint64_t)(p->side * p->terms) * bytes;
    const uint64_t ones = cuda_scratch(&p->plan, p->ones_bytes);
    p->y_at = cuda_scratch(&p->plan, (uint64_t)(side * side) * bytes);
    cuda_step_add(&p->plan, CUDA_STEP_GEMM)->gemm = (cuda_gemm){.m = side,
                                                                .n = side,
                                                                .k = p->terms,
                                                                .alpha = 1,
                                                                .math = p->math,
                                                                .a = in_scratch(p, ones, p->terms),
                                                                .b = in_scratch(p, ones, side),
                                                                .y = in_scratch(p, p->y_at, side)};
    cuda_step_add(&p->plan, CUDA_STEP_GEMM)->gemm =
        (cuda_gemm){.m = side,
                    .n = 1,
                    .k = side,
                    .transpose_b = true,
                    .alpha = 1,
                    .a = in_scratch(p, p->y_at, side),
                    .b = in_scratch(p, ones, side),
                    .y = {.operand = P2P_AT_broadcast_y, .row_distance = 1, .type = P2P_TYPE_f32}};
}

static int64_t choose_side(int steps, int capacity) {
    int64_t side = LEAST_SIDE;
    while (side < MOST_SIDE && side < (int64_t)DEPTH * steps && 2 * side <= capacity) side *= 2;
    return side;
}

/* Plans the largest product that there is memory for. */
static p2p_status allocate(p2p_be_device *device, product *p, int64_t side, p2p_be_buffer **memory) {
    p2p_status status = P2P_OUT_OF_MEMORY;
    for (; status == P2P_OUT_OF_MEMORY && side >= LEAST_SIDE; side /= 2) {
        plan_product(p, side);
        status = cuda_buffer_create(device, p->plan.answer.scratch_bytes, memory);
    }
    return status;
}

/* Writes a row of ones, and copies the written rows until all are written. */
static p2p_status write_ones(p2p_be_device *device, const product *p, p2p_be_buffer *memory) {
    static const float one = 1;
    static const uint16_t one_bf16 = 0x3F80;
    const size_t size = p2p_type_bytes(p->type), row = (size_t)p->terms * size;
    unsigned char *ones = malloc(row);
    if (!ones) return cuda_host->fail(P2P_OUT_OF_MEMORY, "no host memory for the factors of a product");
    for (size_t at = 0; at < row; at += size)
        memcpy(ones + at, p->type == P2P_TYPE_bf16 ? (const void *)&one_bf16 : &one, size);
    p2p_status status = cuda_buffer_write(device, (p2p_binding){memory, 0}, ones, row);
    for (size_t done = row; done < p->ones_bytes && status == P2P_OK; done *= 2)
        status = cuda_buffer_copy(device, (p2p_binding){memory, 0}, (p2p_binding){memory, done}, done);
    const p2p_status drained = cuda_drain_all(device);
    free(ones);
    return status == P2P_OK ? drained : status;
}

static p2p_status create_product(p2p_be_device *device, product *p, p2p_binding counts, p2p_be_buffer *memory,
                                 p2p_be_op **created) {
    const p2p_op op = p2p_op_peak(p->side);
    P2P_TRY(write_ones(device, p, memory));
    P2P_TRY(cuda_op_create_planned(device, &op, &counts, (p2p_binding){memory, 0}, &p->plan, created));
    cuda_op_own(*created, memory);
    return P2P_OK;
}

static p2p_status create_tensor_peak(p2p_be_device *device, p2p_math math, int steps, p2p_binding counts,
                                     int capacity, p2p_be_op **created, double *multiply_adds) {
    product p = {.math = math == P2P_MATH_tf32 ? P2P_MATH_tf32 : P2P_MATH_stored,
                 .type = math == P2P_MATH_tf32 ? P2P_TYPE_f32 : P2P_TYPE_bf16};
    const char *obstacle = math == P2P_MATH_tf32 ? device->info.no_tf32 : device->info.no_bf16;
    p2p_be_buffer *memory = NULL;
    if (obstacle[0])
        return cuda_host->fail(P2P_UNSUPPORTED, "%s: no peak with math=%s: %s", device->queue.name,
                               p2p_math_name(math), obstacle);
    P2P_TRY(allocate(device, &p, choose_side(steps, capacity), &memory));
    *multiply_adds = (double)p.side * (double)p.side * (double)p.terms;
    const p2p_status status = create_product(device, &p, counts, memory, created);
    if (status != P2P_OK) cuda_buffer_destroy(device, memory);
    return status;
}

p2p_status cuda_peak_create(p2p_be_device *device, p2p_math math, int steps, p2p_binding counts, int capacity,
                            p2p_be_op **created, double *multiply_adds) {
    *created = NULL;
    P2P_TRY(cuda_enter(&device->queue));
    if (math == P2P_MATH_stored)
        return create_kernel(device, steps, counts, capacity, created, multiply_adds);
    return create_tensor_peak(device, math, steps, counts, capacity, created, multiply_adds);
}
