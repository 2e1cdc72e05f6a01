/* A tiny conditional GAN and functions to train it, for tests of the planner, sessions, replicas and faults.
 * It has all patterns of fusion (biases, two activations of one result, dropout, skip connections, shared
 * discriminator weights, a frozen discriminator) at a size that the reference computes in milliseconds. It is
 * not pix2pix, which is in models/.
 */
#ifndef PLAN_NET_H
#define PLAN_NET_H

#include "p2p.h"

typedef struct {
    p2p_network *g, *d;
    struct {
        p2p_param w, scale, shift, running, bias;
    } e0, e1, e2, d2, d1, d0, c0, c1, c2;
    int64_t in, out, filters;
} plan_net;

typedef struct {
    int64_t local_batch, global_batch;
    int world;
    bool sync;        /* statistics over all replicas */
    double dropout;   /* probability; 0 is off */
    int devices;      /* of a rig: distinct ones, which its replicas take in turn; 0: one each */
    bool losses_only; /* no gradients, no updates: for validation */
} plan_net_step;

enum { PLAN_NET_SIDE = 16, PLAN_RIG_REPLICAS = 8 };

plan_net plan_net_create(int64_t in, int64_t out, int64_t filters);
void plan_net_destroy(plan_net *net);
/* A training step: inputs "x" (u8) and "t" (f32), losses "d_fake", "d_real", "g_gan", "g_l1", output "y". */
p2p_graph *plan_net_graph(const plan_net *net, const plan_net_step *step);

/* A session that trains a plan_net, with its devices, networks and plan. */
typedef struct {
    plan_net net;
    p2p_device *devices[PLAN_RIG_REPLICAS];
    int replicas;     /* of this process */
    int world, rank0; /* of all processes, and the number of this one's first */
    int64_t global_batch;
    p2p_graph *graphs[PLAN_RIG_REPLICAS];
    p2p_session *session;
    p2p_plan *plan;
} plan_rig;

/* Opens `replicas` devices, at most PLAN_RIG_REPLICAS, "<backend>:first + i" with the global batch divided as
 * evenly as it can be over the replicas of all processes, plans, allocates and initialises both networks. The
 * caller calls plan_rig_close, also after a failure. */
p2p_status plan_rig_open(plan_rig *rig, const char *backend, int first, int replicas, int64_t global_batch,
                         const plan_net *shape, const plan_net_step *step,
                         const p2p_session_options *options);
/* Fills the replica's part of the inputs "x" and "t" of step `number`. */
void plan_rig_inputs(const plan_rig *rig, int replica, uint32_t number, unsigned char *x, float *t);
/* Enqueues a step with inputs that depend on (number, image) only. */
p2p_status plan_rig_run(plan_rig *rig, uint32_t number);
/* The same, and waits for it. */
p2p_status plan_rig_step(plan_rig *rig, uint32_t number);
void plan_rig_close(plan_rig *rig);

/* Copies all parameters of both networks, in order, to an array of doubles, which the caller frees. */
p2p_status plan_rig_parameters(plan_rig *rig, double **values, int64_t *count);

#endif
