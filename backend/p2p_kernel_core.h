/* What the kernels of several backends have in common, for CUDA C and OpenCL C: numbers that hosts pass to
 * them, which op/op.c compares with the host's, the words of the step block, and the update by Adam. The
 * reference has its own code, with which they are compared. Includes no other header.
 */
#ifndef P2P_KERNEL_CORE_H
#define P2P_KERNEL_CORE_H

/* The values of p2p_act. */
#define ACT_NONE  0
#define ACT_RELU  1
#define ACT_LRELU 2
#define ACT_TANH  3

/* Words of the step block (p2p_step_block in p2p_op.h). */
#define STEP_SEED_LO 0
#define STEP_SEED_HI 1
#define STEP_STEP    2
#define STEP_LR      4
#define STEP_ROOT_V  5
#define STEP_SAMPLE  10

/* Adam (p2p_op.h): updates p, m and v by the gradient g. They are of `type`, a number or, in OpenCL C, a
 * vector. The caller has beta1, rest1 = 1 - beta1, beta2, rest2 = 1 - beta2, eps and, of the step block, lr
 * and root. */
#define ADAM(type, p, g, m, v)                                                                               \
    do {                                                                                                     \
        const type d_ = (g), m_ = beta1 * (m) + rest1 * d_, v_ = beta2 * (v) + rest2 * (d_ * d_);            \
        (m) = m_;                                                                                            \
        (v) = v_;                                                                                            \
        (p) -= lr * m_ / (sqrt(v_) * root + eps);                                                            \
    } while (0)

#endif
