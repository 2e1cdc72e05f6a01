/* The public interface of the p2p library: devices, networks, graphs, sessions and plans.
 *
 * A model declares its parameters once in a network and describes a step as a graph: values and operations
 * in program order, gradients included by p2p_backward. A session places networks and graphs on devices: it
 * plans (fusion, layouts, memory), allocates everything, and then runs plans again and again without
 * allocating. Values have logical shapes only (n, c, h, w); physical layouts belong to the device. This is
 * all that models/ and train/ see; what a backend implements is in p2p_backend.h.
 *
 * Threads: one thread uses a device and everything made from it. Different devices may run in different
 * threads. Networks and graphs are not written while sessions use them.
 */
#ifndef P2P_H
#define P2P_H

#include "p2p_op.h"
#include "p2p_status.h"

#include <stdio.h>

#define P2P_VERSION "0.1.0"

/* ---- Devices ------------------------------------------------------------------------------------------ */

typedef struct p2p_device p2p_device;

/* One line of `p2p devices`: a device, or a backend without one. */
typedef struct {
    char address[64]; /* "opencl:0"; only the backend's name when it has no device at all */
    char name[256];
    char driver[256];
    const char *type;    /* "GPU", "CPU", or "" for others; static */
    char unusable[512];  /* "" when it can be used, else why not */
    char no_bf16[256];   /* "" when a session may be in bf16, else why not */
    bool stores_bf16;    /* in bf16 it stores activations so; else its convolutions round their factors */
    size_t memory_bytes; /* 0 when unknown */
    size_t max_alloc_bytes;
    int compute_units;
    bool is_default; /* what "auto" takes */
} p2p_device_entry;

/* Every backend of this build and every device, unusable ones included. *entries is the caller's to free().
 */
p2p_status p2p_device_list(p2p_device_entry **entries, int *count);

/* Open by address: "opencl:1", "opencl" (its first usable device), "reference:0", "auto" (the best usable
 * device: a GPU before a CPU, OpenCL before the reference). P2P_NO_DEVICE when it can't be had, with the
 * reason; never another device instead. */
p2p_status p2p_device_open(const char *address, p2p_device **device);
void p2p_device_close(p2p_device *device); /* NULL is fine */
const char *p2p_device_address(const p2p_device *device);
const char *p2p_device_name(const p2p_device *device);

/* Seconds of one transfer each: host to device, device to host, and within the device by the driver's own
 * command and by a kernel, the copy operation. */
typedef struct {
    double write, read, copy, kernel;
} p2p_transfer_times;

/* Time `count` transfers of `bytes` (a multiple of 4) in each direction, each submitted and waited for alone;
 * one of each comes before and is not counted. `clock` gives seconds and never goes back. */
p2p_status p2p_device_time_transfers(p2p_device *device, size_t bytes, double (*clock)(void), int count,
                                     p2p_transfer_times *times);

/* The device's peak: time `count` runs, each submitted and waited for alone, of a kernel that does nothing
 * but multiply and add, with factors of `type` and sums in float32. The kernel's loop is lengthened until a
 * run takes P2P_PEAK_SECONDS. *flops is the work of one run, two per multiply-add; the kernel counts it, and
 * a wrong count is P2P_FAILED. P2P_UNSUPPORTED where the backend has no such kernel, or not for this type. */
#define P2P_PEAK_SECONDS 0.02
p2p_status p2p_device_time_peak(p2p_device *device, p2p_type type, double (*clock)(void), int count,
                                double *flops, double *seconds);

/* Where compiled programs and results of tuning are kept between runs: a folder, made when it is needed, or
 * "off" to find and keep nothing. NULL: what the environment names when the next device opens (P2P_CACHE_DIR,
 * else p2p in XDG_CACHE_HOME, else .cache/p2p in HOME), as without this call. Not while a device is open. */
p2p_status p2p_cache_folder_set(const char *folder);

/* Every environment variable that p2p and its tests read, as Markdown. */
void p2p_environment_print(FILE *stream);

/* Where verbose lines go: refusals of fused operations, build logs, tracing. NULL (the start) drops them. */
void p2p_log_to(FILE *stream);
/* Where warnings go, a line each: something is wrong, and p2p goes on. NULL (the start) drops them. */
void p2p_warnings_to(FILE *stream);

/* ---- Networks: named parameters ----------------------------------------------------------------------- */

typedef struct p2p_network p2p_network;
typedef struct {
    int id; /* index in the network, from 0 */
} p2p_param;

typedef enum {
    P2P_PARAM_FILTER,  /* k c r s */
    P2P_PARAM_VECTOR,  /* c */
    P2P_PARAM_RUNNING, /* 2 x c: running mean (starts at 0), running variance (starts at 1); no gradient */
} p2p_param_kind;

typedef struct {
    char name[160];
    p2p_param_kind kind;
    int64_t shape[4];    /* filter: k c r s; vector: c 1 1 1; running: 2 c 1 1 */
    double mean, stddev; /* initial values are drawn from this normal distribution; stddev 0 is constant */
} p2p_param_info;

p2p_network *p2p_network_create(const char *name); /* NULL when memory fails */
void p2p_network_destroy(p2p_network *network);
const char *p2p_network_name(const p2p_network *network);
/* Declare parameters; names are unique within the network. A failure is kept in the network and reported by
 * p2p_network_status and by every session that takes it. */
p2p_param p2p_network_filter(p2p_network *network, const char *name, int64_t k, int64_t c, int64_t r,
                             int64_t s, double mean, double stddev);
p2p_param p2p_network_vector(p2p_network *network, const char *name, int64_t c, double mean, double stddev);
p2p_param p2p_network_running(p2p_network *network, const char *name, int64_t c);
p2p_status p2p_network_status(const p2p_network *network);
int p2p_network_param_count(const p2p_network *network);
const p2p_param_info *p2p_network_param(const p2p_network *network, p2p_param param);
int64_t p2p_param_elements(const p2p_param_info *info);

/* ---- Graphs: one step, written once ------------------------------------------------------------------- */

typedef struct p2p_graph p2p_graph;
typedef struct {
    int id; /* 0 is "none" */
} p2p_value;

#define P2P_NONE ((p2p_value){0})

/* A graph of a step over `local_batch` images on this replica, `global_batch` over all `world` replicas:
 * losses and their gradients are means over the global batch. NULL when memory fails.
 *
 * Builders below never return errors: the first failure is kept in the graph, later calls do nothing and
 * return P2P_NONE, and p2p_graph_status (also asked by the session) gives it. */
p2p_graph *p2p_graph_create(int64_t local_batch, int64_t global_batch, int world);
void p2p_graph_destroy(p2p_graph *graph);
p2p_status p2p_graph_status(const p2p_graph *graph);
/* From here on convolutions give an image the same bits whatever the batch, at the price of ways of computing
 * them that are only fast, and round differently, in large batches. */
void p2p_graph_images_apart(p2p_graph *graph);

/* What the host gives before each run. An image input is interleaved (n h w c) and reads as x/127.5 - 1 (u8)
 * or x/32767.5 - 1 (u16); an activation input is f32 or f64 in n c h w. */
p2p_value p2p_input_image(p2p_graph *graph, const char *name, p2p_type type, int64_t c, int64_t h, int64_t w);
p2p_value p2p_input(p2p_graph *graph, const char *name, p2p_type type, int64_t c, int64_t h, int64_t w);
/* What the host can read after each run, as plain n c h w of `type` (f32, or f64 where the device has it). */
void p2p_output(p2p_graph *graph, const char *name, p2p_value value, p2p_type type);

void p2p_value_shape(const p2p_graph *graph, p2p_value value, int64_t shape[4]); /* n c h w */

/* w: k c r s. y: n, k, (h + 2 pad - r)/stride + 1, ... bias may be {-1} for none. */
p2p_value p2p_conv(p2p_graph *graph, p2p_value x, p2p_network *network, p2p_param w, p2p_param bias,
                   int stride, int pad);
/* The transposed convolution: w is stored as the filter of the convolution that it transposes, so k =
 * channels of x and c = channels of y, PyTorch's [in, out, r, s]. y: n, c, (h - 1) stride - 2 pad + r, ... */
p2p_value p2p_conv_transposed(p2p_graph *graph, p2p_value x, p2p_network *network, p2p_param w,
                              p2p_param bias, int stride, int pad);

typedef enum {
    P2P_STATS_BATCH,   /* over the local batch (over all replicas' with `sync`) */
    P2P_STATS_IMAGE,   /* each image by itself: instance norm, and the paper's test mode at any batch size */
    P2P_STATS_RUNNING, /* the running statistics */
} p2p_norm_stats_over;

typedef struct {
    p2p_norm_stats_over over;
    bool sync;           /* P2P_STATS_BATCH: reduce the statistics over replicas */
    bool update_running; /* move the running statistics */
    double eps, momentum;
} p2p_norm_options;

/* running may be {-1} when it is neither read nor moved; scale and shift both may be, for 1 and 0. */
p2p_value p2p_norm(p2p_graph *graph, p2p_value x, p2p_network *network, p2p_param scale, p2p_param shift,
                   p2p_param running, const p2p_norm_options *options);
p2p_value p2p_activation(p2p_graph *graph, p2p_value x, p2p_act act, double slope);
/* layer: the name that, with seed, step and sample, determines the mask. p = 0 returns x. */
p2p_value p2p_dropout(p2p_graph *graph, p2p_value x, double p, const char *layer);
/* Channels of a, then those of b. */
p2p_value p2p_concat(p2p_graph *graph, p2p_value a, p2p_value b);
/* The same value, through which no gradient passes. */
p2p_value p2p_detach(p2p_graph *graph, p2p_value x);

/* Losses. The value, a mean over all elements of the global batch, becomes the scalar output `name`
 * (unweighted); its gradient is multiplied by `weight`. */
p2p_value p2p_loss_bce(p2p_graph *graph, p2p_value logits, int target, double weight, const char *name);
p2p_value p2p_loss_mse(p2p_graph *graph, p2p_value x, int target, double weight, const char *name);
p2p_value p2p_loss_l1(p2p_graph *graph, p2p_value x, p2p_value target, double weight, const char *name);

/* Append the operations that compute the gradients of the (weighted) sum of `losses` with respect to every
 * trainable parameter of `target`: they overwrite its gradients. A parameter that the losses don't reach is
 * an error. Parameters of other networks get none. `target` may be NULL. Gradients of values can be asked
 * for as well: gradients[i] becomes that of values[i]. */
void p2p_backward(p2p_graph *graph, const p2p_value *losses, int loss_count, p2p_network *target,
                  const p2p_value *values, int value_count, p2p_value *gradients);
/* Sum the network's gradients over replicas; nothing when world is 1. */
void p2p_all_reduce_gradients(p2p_graph *graph, p2p_network *network);
/* One Adam update of the network's parameters from its gradients. All updates of a graph share beta1, beta2.
 */
void p2p_adam(p2p_graph *graph, p2p_network *network, double beta1, double beta2, double eps);

/* ---- Sessions and plans ------------------------------------------------------------------------------- */

typedef struct p2p_session p2p_session;
typedef struct p2p_plan p2p_plan;

/* How each convolution's way of being computed is chosen, before the first plan that has it; with {0} by
 * arithmetic. */
typedef struct {
    p2p_tune mode;
    double (*clock)(void); /* seconds, never going back; where something may be measured */
    /* After each choice for a plan on a device, where not NULL: the `done`th of `total`. */
    void (*progress)(void *context, int done, int total, const p2p_op *op, const p2p_choice *choice);
    void *context;
    /* Where not NULL, the text of an earlier session: on devices with its name and driver exactly these
     * choices, and arithmetic for the rest, whatever the mode. Not read after p2p_session_create. */
    const char *imposed;
} p2p_tuning;

/* Calls job(context, i) once for each i in [0, count), in any order, on any threads, and returns when all
 * have returned. */
typedef void (*p2p_job)(void *context, int index);
typedef void (*p2p_parallel)(p2p_job job, void *context, int count);

/* Off-switches, all false in normal use, the precision, and who has threads. Recording, sharing, checking
 * and threads change no bit of any result; fusion may, within rounding. */
typedef struct {
    bool no_fusion;       /* all of the following: */
    bool no_fuse_bias;    /*   bias into convolutions */
    bool no_fuse_act;     /*   activations into convolutions and normalisations */
    bool no_fuse_dropout; /*   dropout into normalisations */
    bool no_merge_norm;   /*   statistics and application of a normalisation in one operation */
    bool no_elide_copies; /*   producers write straight into their channel range of a concatenation */
    bool no_derived;      /* no derived filter layouts */
    bool no_sharing;      /* every value has memory of its own */
    bool no_recording;    /* replay op by op even where the device can record */
    bool check;           /* fresh memory is NaN; every output is scanned after every operation */
    /* bf16 precision, as the device has it: it stores activations and their gradients in bf16 and computes in
     * float32, or it stores all in float32 and its convolutions multiply with math=bf16 (p2p_op.h), for the
     * shapes that it doesn't refuse. Parameters, their gradients and moments, statistics and losses are
     * float32 either way. A device that has neither is refused with the reason. */
    bool bf16;
    p2p_parallel parallel; /* for work of the host's that no device sees; NULL: one job after another */
    p2p_tuning tuning;
} p2p_session_options;

/* One replica per device. Devices outlive the session. */
p2p_status p2p_session_create(p2p_device *const *devices, int replicas, const p2p_session_options *options,
                              p2p_session **session);
void p2p_session_destroy(p2p_session *session);

/* Plan a graph: graphs[i] for replica i (they may be the same object); all must have the same collectives
 * in the same order. Plans share networks' state and one arena for everything else, so only one runs at a
 * time. Nothing is allocated on the device. Networks are taken from the graphs. The plan is the session's.
 * All plans come before p2p_session_allocate; after a failure the session can only be destroyed. */
p2p_status p2p_session_plan(p2p_session *session, const char *name, p2p_graph *const *graphs,
                            p2p_plan **plan);

/* The choices that the plans so far asked for: `index` from 0. Valid until the next plan. */
int p2p_session_choice_count(const p2p_session *session);
void p2p_session_choice(const p2p_session *session, int index, const p2p_op **op, const p2p_choice **choice);
/* All of them as lines of text, for p2p_tuning.imposed of a later session; "" where devices have no choices.
 * *text is the caller's to free(). */
p2p_status p2p_session_choices_text(const p2p_session *session, char **text);

/* Allocate the device memory of all plans so far and prepare their operations (compile, choose, bind).
 * P2P_OUT_OF_MEMORY names what was needed for what. `progress` may be NULL. */
typedef void (*p2p_progress)(void *context, int done, int total);
p2p_status p2p_session_allocate(p2p_session *session, p2p_progress progress, void *context);

typedef struct {
    size_t parameters, gradients, moments, derived; /* bytes per replica */
    size_t activations; /* the arena shared by all plans, which has operations' scratch memory too */
    size_t inputs_outputs;
    size_t total;
} p2p_session_memory;

void p2p_session_memory_use(const p2p_session *session, p2p_session_memory *memory);

/* Draw every parameter of the network from its initial distribution, in logical order: the same numbers on
 * every device. Moments and gradients become zero. */
p2p_status p2p_session_initialise(p2p_session *session, const p2p_network *network, uint64_t seed);

typedef enum { P2P_STATE_VALUE, P2P_STATE_GRADIENT, P2P_STATE_MOMENT1, P2P_STATE_MOMENT2 } p2p_state_part;

/* Copy one parameter between the host (plain logical order, f32 or f64) and the devices. Reads wait for all
 * work and come from replica 0 (running statistics: the mean over replicas); writes go to every replica.
 * Running statistics have only P2P_STATE_VALUE. */
p2p_status p2p_session_read(p2p_session *session, const p2p_network *network, p2p_param param,
                            p2p_state_part part, p2p_type type, void *host);
/* Read in pieces of about a megabyte, in order, each given to `take`, so that nothing as large as a parameter
 * is held. `values` are `count` elements, valid during the call; a failure of `take` ends the reading. */
typedef p2p_status (*p2p_take_elements)(void *context, const void *values, int64_t count);
p2p_status p2p_session_read_pieces(p2p_session *session, const p2p_network *network, p2p_param param,
                                   p2p_state_part part, p2p_type type, p2p_take_elements take, void *context);
p2p_status p2p_session_write(p2p_session *session, const p2p_network *network, p2p_param param,
                             p2p_state_part part, p2p_type type, const void *host);
/* Write likewise in pieces: `give` fills `values` with the parameter's next `count` elements. Its failure
 * ends the writing, and leaves what was written before. */
typedef p2p_status (*p2p_give_elements)(void *context, void *values, int64_t count);
p2p_status p2p_session_write_pieces(p2p_session *session, const p2p_network *network, p2p_param param,
                                    p2p_state_part part, p2p_type type, p2p_give_elements give,
                                    void *context);

/* The type in which the devices keep parameters: what a file needs to hold for nothing to be lost. */
p2p_type p2p_session_state_type(const p2p_session *session);

/* What changes per run. */
typedef struct {
    uint64_t seed;
    uint32_t step; /* updates made before this one: dropout's step; Adam's t is step + 1 */
    double learning_rate;
    const uint32_t *samples; /* one key per image of the global batch, in replica order; NULL: 0, 1, 2, ... */
} p2p_step;

/* Host memory to fill for the next run: replica's part of input `name`, plain. NULL when there is no such
 * input. Valid until the next p2p_plan_run of this plan. */
void *p2p_plan_input(p2p_plan *plan, int replica, const char *name);

/* Enqueue one run and return; at most two runs are in flight, so the third waits for the first, whose outputs
 * are lost when nobody has waited for them. After a failure nothing of this run is in flight. */
p2p_status p2p_plan_run(p2p_plan *plan, const p2p_step *step);
/* Wait for the oldest run not yet waited for; its outputs can be read until the next p2p_plan_wait. */
p2p_status p2p_plan_wait(p2p_plan *plan);
/* Of the run last waited for: a loss (summed over replicas), and an output's elements, plain. */
p2p_status p2p_plan_loss(p2p_plan *plan, const char *name, double *value);
p2p_status p2p_plan_output(p2p_plan *plan, int replica, const char *name, void *host);

/* One operation of a profiled run. `op` and `kernel` are valid as long as the session. */
typedef struct {
    const p2p_op *op;
    const char *kernel;
    int replica;
    int position;      /* in the replica's list of operations, from 0 */
    double begin, end; /* clock readings: given to an idle device, and carried out */
} p2p_operation_timing;

typedef p2p_status (*p2p_operation_timed)(void *context, const p2p_operation_timing *timing);

/* p2p_plan_run, but each operation is submitted and waited for alone and reported to `timed` in order; no
 * other run may be in flight. The results are those of a run, p2p_plan_wait included. `clock` gives seconds
 * and never goes back. A failure of `timed` ends the run, which then has no results, and is returned. */
p2p_status p2p_plan_profile(p2p_plan *plan, const p2p_step *step, double (*clock)(void),
                            p2p_operation_timed timed, void *context);

/* The plan as text: operations with fusions and kernels, memory by kind, counts. */
p2p_status p2p_plan_print(const p2p_plan *plan, FILE *stream);

#endif
