/* The public interface of the p2p library: devices, networks, graphs, sessions and plans.
 *
 * A model declares its parameters in a network and describes a step as a graph: values and operations in
 * program order; p2p_backward appends the gradients. A session places networks and graphs on devices: it
 * plans (fusion, layouts, memory), allocates once, and then runs plans repeatedly without allocating. Values
 * have logical shapes only (n, c, h, w); the device determines physical layouts. models/ and train/ use the
 * public headers of this folder only. The interface that a backend implements is p2p_backend.h.
 *
 * Threads: a device and everything created from it is used by one thread at a time. Different devices may be
 * used in different threads. Networks and graphs must not be modified while a session uses them.
 */
#ifndef P2P_H
#define P2P_H

#include "p2p_op.h"
#include "p2p_processes.h"
#include "p2p_status.h"

#include <stdio.h>

#define P2P_VERSION "0.1.0"

/* ---- Devices ------------------------------------------------------------------------------------------ */

typedef struct p2p_device p2p_device;

/* X(name, words): what is known of a device or of a backend without opening it. The first two are of a
 * device, the others of a backend that has none. */
#define P2P_PRESENCE_LIST(X)                                                                                 \
    X(USABLE, "usable")                                                                                      \
    X(UNUSABLE, "can't be used")                                                                             \
    X(NO_DEVICE, "no device")                                                                                \
    X(NO_LIBRARY, "without a library")                                                                       \
    X(OLD_DRIVER, "driver too old")                                                                          \
    X(NO_DRIVER, "without driver")                                                                           \
    X(FAILED, "failed")         /* for another reason */                                                     \
    X(REFUSED, "not loaded")    /* its file is damaged, or no module, or others can change it */             \
    X(OTHER_ABI, "another ABI") /* of another version of this program */                                     \
    X(ABSENT, "not installed")  /* a known backend without a file */

typedef enum {
#define X(name, words) P2P_PRESENCE_##name,
    P2P_PRESENCE_LIST(X)
#undef X
} p2p_presence;

const char *p2p_presence_words(p2p_presence presence);

/* An entry of p2p_device_list: a device, or a backend that has none. */
typedef struct {
    char address[64]; /* "opencl:0"; the backend's name alone if it has no device */
    char name[256];
    char driver[256];
    const char *type; /* "GPU", "CPU", or "" for other types; static */
    p2p_presence presence;
    char unusable[P2P_PATH_BYTES]; /* "" if the device is usable, else the reason, which follows the words */
    char details[512];             /* one line of what identifies it among others; "" for none */
    char no_bf16[256];             /* "" if sessions in bf16 are supported, else the reason */
    char no_tf32[256];             /* likewise tf32 */
    bool stores_bf16;    /* sessions in bf16 store activations in bf16; false: only factors are rounded */
    size_t memory_bytes; /* 0 if unknown */
    size_t max_alloc_bytes;
    int compute_units;
    bool is_default; /* the device that "auto" selects */
} p2p_device_entry;

/* Lists every backend and every device, including unusable ones: modules that are shared objects, in the
 * order in which they are found, then those that are part of the program, then known ones that are not
 * installed. Unless `backend` is NULL, those of this backend alone, and no other one's driver is started. No
 * device is opened. The caller frees *entries with free(). */
p2p_status p2p_device_list(const char *backend, p2p_device_entry **entries, int *count);

/* Opens a device by address: "opencl:1", "opencl" (its first usable device), "reference:0", or "auto" (the
 * best usable device: GPUs before CPUs, then in the order of the list, the reference last). Returns
 * P2P_NO_DEVICE, with the reason, if the device cannot be opened. No other device is substituted. */
p2p_status p2p_device_open(const char *address, p2p_device **device);
void p2p_device_close(p2p_device *device); /* NULL is allowed */
const char *p2p_device_address(const p2p_device *device);
const char *p2p_device_name(const p2p_device *device);
const char *p2p_device_driver(const p2p_device *device);  /* with its version */
const char *p2p_device_details(const p2p_device *device); /* p2p_device_entry.details */
/* P2P_UNSUPPORTED, with the device's reason, if it has no sessions in the precision. */
p2p_status p2p_device_check_precision(const p2p_device *device, p2p_precision precision);
/* Whether convolutions are faster in tf32 than in float32. False if a device only imitates tf32. */
bool p2p_device_fast_tf32(const p2p_device *device);
/* Whether the device has several algorithms for convolutions and measures them on request only, though it is
 * no CPU: P2P_TUNE_AUTO takes stored results, and its heuristics where there are none. */
bool p2p_device_measures_on_request(const p2p_device *device);

/* The memory of a device. */
typedef struct {
    size_t bytes; /* 0 if unknown */
    /* What buffers can take now, beside other processes, and what libraries will take of that: an estimate.
     * `bytes` and 0 if the device does not report it. */
    size_t free_bytes, reserve;
    bool in_host;        /* buffers take host memory */
    size_t driver_bytes; /* host memory that the driver takes beside buffers, at most; an estimate */
} p2p_device_memory;

/* `joined`: the device will take part in collectives, whose library needs memory. */
void p2p_device_memory_of(p2p_device *device, bool joined, p2p_device_memory *memory);

/* Seconds of one transfer each: host to device, device to host, and within the device, once by the driver's
 * copy command and once by the kernel of the copy operation. */
typedef struct {
    double write, read, copy, kernel;
} p2p_transfer_times;

/* Times `count` transfers of `bytes` (a multiple of 4) in each direction. Each is submitted and waited for
 * alone. One of each is run first and not timed. `clock` returns seconds and is monotonic. Copies within the
 * device are timed four at a time, by the device's own clock if it has one. */
p2p_status p2p_device_time_transfers(p2p_device *device, size_t bytes, double (*clock)(void), int count,
                                     p2p_transfer_times *times);

/* Measures the device's peak: times `count` runs, each submitted and waited for alone, of a kernel or a
 * matrix product that only multiplies and adds, as convolutions with `math` do, with sums in float32. The
 * work is lengthened, then repeated, until one run takes P2P_PEAK_SECONDS. *flops receives the work of one
 * run, two operations per multiply-add. The device counts its multiply-adds; a wrong count returns
 * P2P_FAILED. Returns P2P_UNSUPPORTED if the backend has no such work for `math`. */
#define P2P_PEAK_SECONDS 0.02
p2p_status p2p_device_time_peak(p2p_device *device, p2p_math math, double (*clock)(void), int count,
                                double *flops, double *seconds);

/* Sets the folder of the persistent cache (compiled programs, results of tuning). The folder is created when
 * it is first written to. "off" disables the cache. NULL (the default) means the folder that the environment
 * names when the next device is opened: P2P_CACHE_DIR, else p2p in XDG_CACHE_HOME, else .cache/p2p in HOME.
 * Must not be called while a device is open. P2P_INVALID if the name is empty. */
p2p_status p2p_cache_folder_set(const char *folder);

/* Sets a limit (p2p_limit of p2p_backend.h) of every backend that has one of this name, for devices that are
 * opened afterwards. P2P_USAGE if a backend does not accept the value; then nothing is set. */
p2p_status p2p_limit_set(const char *name, double value);

/* Prints all environment variables that p2p, its backends and its tests read, as Markdown. */
void p2p_environment_print(FILE *stream);

/* Sets the stream of the verbose log: refusals of fused operations, build logs, tracing. NULL (the default)
 * discards it. */
void p2p_log_to(FILE *stream);
/* Sets the stream of warnings, one line each: a problem after which p2p continues. NULL (the default)
 * discards them. */
void p2p_warnings_to(FILE *stream);
/* Passes warnings to a function from now on, not to the stream; any thread may call it. NULL: to the stream
 * again. */
void p2p_warnings_pass(void (*warn)(const char *text));
/* Writes a line to the stream of warnings. */
void p2p_warn(const char *format, ...) P2P_PRINTF(1, 2);

/* ---- Networks: named parameters ----------------------------------------------------------------------- */

typedef struct p2p_network p2p_network;
typedef struct {
    int id; /* index in the network, from 0 */
} p2p_param;

typedef enum {
    P2P_PARAM_FILTER,  /* k c r s */
    P2P_PARAM_VECTOR,  /* c */
    P2P_PARAM_RUNNING, /* 2 x c: running mean (initially 0), running variance (initially 1); no gradient */
} p2p_param_kind;

typedef struct {
    char name[160];
    p2p_param_kind kind;
    int64_t shape[4];    /* filter: k c r s; vector: c 1 1 1; running: 2 c 1 1 */
    double mean, stddev; /* of the normal distribution of the initial values; stddev 0: all are `mean` */
    bool resizing;       /* see p2p_network_filter_resizing */
} p2p_param_info;

p2p_network *p2p_network_create(const char *name); /* NULL if out of memory */
void p2p_network_destroy(p2p_network *network);
const char *p2p_network_name(const p2p_network *network);
/* Declare parameters. Names are unique within the network. The first failure is recorded in the network and
 * returned by p2p_network_status; graphs and sessions that use the network fail with it. After a failure the
 * result is {-1}. */
p2p_param p2p_network_filter(p2p_network *network, const char *name, int64_t k, int64_t c, int64_t r,
                             int64_t s, double mean, double stddev);
/* A filter of 4x4 whose transposed convolution of stride 2 and padding 1 begins as enlarging by 2 to the
 * nearest pixel, followed by a convolution with a random filter of 3x3. So every pixel of the result has
 * equal parts in the initial filter, and none of its patterns are those of a checkerboard. An element is the
 * sum of the numbers of the small filter that meet the same pixel: at most four, of rows r - 1 and r and
 * columns s - 1 and s. The root of the mean square of all elements is `stddev`. */
p2p_param p2p_network_filter_resizing(p2p_network *network, const char *name, int64_t k, int64_t c,
                                      double stddev);
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

/* Creates the graph of a step over `local_batch` images on this replica and `global_batch` images over all
 * `world` replicas. Losses and their gradients are means over the global batch. NULL if out of memory.
 *
 * `local_batch` may be 0 if the global batch is smaller than the number of replicas. Such a replica computes
 * on one image of zeros, for which no input is given, and takes part in every collective with zeros: it adds
 * nothing to losses, gradients and reduced statistics, and the statistics of its image alone are not kept.
 *
 * The builders below return no errors: the first failure is recorded in the graph, later calls do nothing and
 * return P2P_NONE, and p2p_graph_status returns the failure. p2p_session_plan checks it. */
p2p_graph *p2p_graph_create(int64_t local_batch, int64_t global_batch, int world);
void p2p_graph_destroy(p2p_graph *graph);
p2p_status p2p_graph_status(const p2p_graph *graph);
/* Makes the result of all convolutions added later independent of the batch: an image gets the same bits in
 * every batch. This excludes algorithms that are faster for large batches only and round differently. */
void p2p_graph_images_apart(p2p_graph *graph);

/* Inputs, which the host writes before each run. An image input is interleaved (n h w c); its value is
 * x/127.5 - 1 (u8) or x/32767.5 - 1 (u16). An activation input is f32 or f64 in n c h w order. */
p2p_value p2p_input_image(p2p_graph *graph, const char *name, p2p_type type, int64_t c, int64_t h, int64_t w);
p2p_value p2p_input(p2p_graph *graph, const char *name, p2p_type type, int64_t c, int64_t h, int64_t w);
/* Declares an output, which the host can read after each run in plain n c h w order. `type` is f32 or f64. */
void p2p_output(p2p_graph *graph, const char *name, p2p_value value, p2p_type type);

/* Divides the local batch into parts that are computed one after the other: layers that are added from now on
 * are over its images [first, first + count). A part may be begun again, for layers over values of it. An
 * input or a loss that several parts declare under one name is one of the plan: parts have their images of
 * it, and the loss is the sum. Without a call there is one part. */
void p2p_graph_part(p2p_graph *graph, int64_t first, int64_t count);
void p2p_value_shape(const p2p_graph *graph, p2p_value value, int64_t shape[4]); /* n c h w */

/* Convolution. w: k c r s. y: n, k, floor((h + 2 pad - r)/stride) + 1, and likewise for the width. A bias of
 * {-1} means none. */
p2p_value p2p_conv(p2p_graph *graph, p2p_value x, p2p_network *network, p2p_param w, p2p_param bias,
                   int stride, int pad);
/* Transposed convolution. w is the filter of the convolution that is transposed, so k = channels of x and
 * c = channels of y, as PyTorch's [in, out, r, s]. y: n, c, (h - 1) stride - 2 pad + r, and likewise for the
 * width. */
p2p_value p2p_conv_transposed(p2p_graph *graph, p2p_value x, p2p_network *network, p2p_param w,
                              p2p_param bias, int stride, int pad);

typedef enum {
    P2P_STATS_BATCH,   /* over the local batch; with `sync`, over the global batch */
    P2P_STATS_IMAGE,   /* per image: instance norm, and the paper's test mode at any batch size */
    P2P_STATS_RUNNING, /* the running statistics */
} p2p_norm_stats_over;

typedef struct {
    p2p_norm_stats_over over;
    bool sync;           /* P2P_STATS_BATCH: reduce the statistics over replicas */
    bool update_running; /* update the running statistics */
    double eps, momentum;
} p2p_norm_options;

/* `running` may be {-1} if it is neither read nor updated; `scale` and `shift` may both be {-1}: 1 and 0. */
p2p_value p2p_norm(p2p_graph *graph, p2p_value x, p2p_network *network, p2p_param scale, p2p_param shift,
                   p2p_param running, const p2p_norm_options *options);
p2p_value p2p_activation(p2p_graph *graph, p2p_value x, p2p_act act, double slope);
/* The mask is a function of `layer` (a name), seed, step and sample key. p = 0 returns x. */
p2p_value p2p_dropout(p2p_graph *graph, p2p_value x, double p, const char *layer);
/* Concatenation: the channels of a, then those of b. */
p2p_value p2p_concat(p2p_graph *graph, p2p_value a, p2p_value b);
/* The same value without a gradient. */
p2p_value p2p_detach(p2p_graph *graph, p2p_value x);

/* Losses: means over all elements of the global batch. The value becomes the scalar output `name`; `weight`
 * multiplies the gradient only. */
p2p_value p2p_loss_bce(p2p_graph *graph, p2p_value logits, int target, double weight, const char *name);
p2p_value p2p_loss_mse(p2p_graph *graph, p2p_value x, int target, double weight, const char *name);
p2p_value p2p_loss_l1(p2p_graph *graph, p2p_value x, p2p_value target, double weight, const char *name);

/* Appends the operations that compute the gradients of the weighted sum of `losses` with respect to every
 * trainable parameter of `target`, and overwrite its gradient arena. No gradients are computed for other
 * networks. `target` may be NULL. gradients[i] receives the gradient with respect to values[i]. It is a
 * failure if the losses do not depend on one of these parameters or values. */
void p2p_backward(p2p_graph *graph, const p2p_value *losses, int loss_count, p2p_network *target,
                  const p2p_value *values, int value_count, p2p_value *gradients);
/* The same, but the gradients are added to those that an earlier p2p_backward of the graph has left in the
 * arena of `target`, which is not NULL. */
void p2p_backward_add(p2p_graph *graph, const p2p_value *losses, int loss_count, p2p_network *target);
/* Sums the network's gradients over the replicas. No operation if world is 1. */
void p2p_all_reduce_gradients(p2p_graph *graph, p2p_network *network);
/* One Adam update of the network's parameters from its gradients. All updates of a graph must have the same
 * beta1 and beta2. */
void p2p_adam(p2p_graph *graph, p2p_network *network, double beta1, double beta2, double eps);

/* ---- Sessions and plans ------------------------------------------------------------------------------- */

typedef struct p2p_session p2p_session;
typedef struct p2p_plan p2p_plan;

/* How the algorithm of each convolution is chosen, before the first plan that contains it. {0}: by the
 * device's heuristic (P2P_TUNE_OFF). */
typedef struct {
    p2p_tune mode;
    double (*clock)(void); /* seconds, monotonic; required if `mode` can measure on a device of the session */
    /* Unless NULL, called after each choice for a plan on a device: choice number `done` of `total`. */
    void (*progress)(void *context, int done, int total, const p2p_op *op, const p2p_choice *choice);
    void *context;
    /* Unless NULL, the text of p2p_session_choices_text of an earlier session. On devices with the same name
     * and driver these choices are used, and the heuristic for all other convolutions, whatever the mode.
     * Copied by p2p_session_create. */
    const char *imposed;
} p2p_tuning;

/* Calls job(context, i) once for each i in [0, count), in any order, on any threads, and returns when all
 * calls have returned. */
typedef void (*p2p_job)(void *context, int index);
typedef void (*p2p_parallel)(p2p_job job, void *context, int count);

/* Off-switches (all false in normal use), precision, threads and tuning. Recording, memory sharing, the check
 * mode and threads do not change a bit of any result. Fusion may change rounding. */
typedef struct {
    bool no_fusion;       /* disables all of the following, up to no_derived: */
    bool no_fuse_bias;    /*   bias into convolutions */
    bool no_fuse_act;     /*   activations into convolutions and normalisations */
    bool no_fuse_dropout; /*   dropout into normalisations */
    bool no_merge_norm;   /*   statistics and application of a normalisation in one operation */
    bool no_elide_copies; /*   a concatenation's parts written directly into their channel ranges */
    bool no_derived;      /*   filters in a second, derived layout */
    bool no_sharing;      /* no two values share memory */
    bool no_buckets;      /* the gradients of a network are reduced in one piece, when all are complete */
    bool no_recording;    /* run operations one by one even if the device can record */
    bool check;           /* fill new memory with NaN; scan each operation's outputs for NaN and infinity */
    /* tf32: convolutions multiply with math=tf32 (p2p_op.h) for the shapes that the device accepts. bf16, in
     * the form that the device supports: activations and their gradients are stored in bf16 and computed with
     * in float32, filters' gradients may be stored in bf16 if each is written once and the replicas'
     * communicator sums bf16, or everything is stored in float32 and convolutions multiply with math=bf16 for
     * the shapes that the device accepts. Parameters, moments, statistics and losses are always float32.
     * P2P_UNSUPPORTED, with the reason, if a device does not support the precision. */
    p2p_precision precision;
    /* Least size of a bucket of gradients, which is reduced as soon as they are complete; 0: 16 MiB. The same
     * on all processes of a run. */
    size_t bucket_bytes;
    /* Runs host work that uses no device, and preparation of several replicas, a job for each: at most one
     * thread at a time uses a device, not always the thread that opened it. NULL: jobs run one after another.
     */
    p2p_parallel parallel;
    p2p_tuning tuning;
    /* Unless NULL, the session has replicas in other processes too: as many in each, numbered in the order of
     * processes, and planned, allocated and run in the same way. Losses and outputs are those of this
     * process. Borrowed until the session is destroyed. */
    const p2p_processes *processes;
} p2p_session_options;

/* Creates a session with one replica per device. The devices must outlive the session. */
p2p_status p2p_session_create(p2p_device *const *devices, int replicas, const p2p_session_options *options,
                              p2p_session **session);
void p2p_session_destroy(p2p_session *session);

/* Plans a graph: graphs[i] for replica i. The graphs may be the same object and must have the same
 * collectives in the same order. All plans of a session share the networks' state and one arena for
 * everything else, so only one plan runs at a time. The session's networks are those of the graphs. The
 * session owns the plan. Nothing is allocated on a device. All plans must be made before
 * p2p_session_allocate. After a failure the session can only be destroyed. */
p2p_status p2p_session_plan(p2p_session *session, const char *name, p2p_graph *const *graphs,
                            p2p_plan **plan);

/* The choices made for the plans so far. `index` counts from 0. *op and *choice are valid until the next
 * p2p_session_plan. */
int p2p_session_choice_count(const p2p_session *session);
void p2p_session_choice(const p2p_session *session, int index, const p2p_op **op, const p2p_choice **choice);
/* All choices as lines of text, for p2p_tuning.imposed of a later session; "" if there are none. The caller
 * frees *text with free(). */
p2p_status p2p_session_choices_text(const p2p_session *session, char **text);

/* Allocates the device memory of all plans and prepares their operations (compile, choose, bind). The message
 * of P2P_OUT_OF_MEMORY lists the bytes needed by purpose. Replicas are prepared at the same time by the
 * options' `parallel`; if several fail, the failure of the first is returned. `progress` may be NULL; it is
 * called by one thread at a time, not always the caller's. */
typedef void (*p2p_progress)(void *context, int done, int total);
p2p_status p2p_session_allocate(p2p_session *session, p2p_progress progress, void *context);

typedef struct {
    size_t parameters, gradients, moments, derived; /* bytes per replica */
    size_t activations; /* the arena shared by all plans, including scratch memory */
    size_t inputs_outputs;
    size_t total; /* the sum of those above: device memory */
    size_t host;  /* host memory of runs of all replicas: two inputs and three outputs of every plan, in plain
                     and stored form */
} p2p_session_memory;

/* Known before p2p_session_allocate, from the plans made so far. */
void p2p_session_memory_use(const p2p_session *session, p2p_session_memory *memory);

/* Host memory for inputs of a replica: of the kind from which its device reads fastest (pinned, if it has
 * that), else malloc's, with a warning. Zeroed, aligned for every type, owned by the session: freed by
 * p2p_session_host_free, else by p2p_session_destroy. It can be had before p2p_session_allocate. Not counted
 * in p2p_session_memory. P2P_INVALID if there is no such replica. */
p2p_status p2p_session_host_alloc(p2p_session *session, int replica, size_t bytes, void **memory);
/* Frees it, after waiting until no run can read it. NULL is allowed. */
void p2p_session_host_free(p2p_session *session, void *memory);

/* Draws every parameter of the network from its initial distribution, in logical order, so the values are the
 * same on every device. Sets moments and gradients to zero. */
p2p_status p2p_session_initialise(p2p_session *session, const p2p_network *network, uint64_t seed);

typedef enum { P2P_STATE_VALUE, P2P_STATE_GRADIENT, P2P_STATE_MOMENT1, P2P_STATE_MOMENT2 } p2p_state_part;

/* Copy one parameter between the host (plain logical order, f32 or f64) and the devices. A read waits for all
 * work and returns replica 0's values (running statistics: the mean over the replicas, exact if all are
 * equal). A write writes every replica. Running statistics have P2P_STATE_VALUE only. */
p2p_status p2p_session_read(p2p_session *session, const p2p_network *network, p2p_param param,
                            p2p_state_part part, p2p_type type, void *host);
/* Reads in pieces of about a megabyte, in order, and passes each to `take`, so that no buffer as large as the
 * parameter is needed. `values` has `count` elements and is valid during the call. A failure of `take` ends
 * the reading and is returned. */
typedef p2p_status (*p2p_take_elements)(void *context, const void *values, int64_t count);
p2p_status p2p_session_read_pieces(p2p_session *session, const p2p_network *network, p2p_param param,
                                   p2p_state_part part, p2p_type type, p2p_take_elements take, void *context);
p2p_status p2p_session_write(p2p_session *session, const p2p_network *network, p2p_param param,
                             p2p_state_part part, p2p_type type, const void *host);
/* Writes in such pieces: `give` fills `values` with the parameter's next `count` elements. A failure of
 * `give` ends the writing and is returned; pieces already written stay. */
typedef p2p_status (*p2p_give_elements)(void *context, void *values, int64_t count);
p2p_status p2p_session_write_pieces(p2p_session *session, const p2p_network *network, p2p_param param,
                                    p2p_state_part part, p2p_type type, p2p_give_elements give,
                                    void *context);

/* The running statistics of one replica, which are of its own images unless statistics are reduced. With
 * several processes `replica` counts over all, and those of other processes are as p2p_session_gather left
 * them; writes of them wait for p2p_session_broadcast. P2P_INVALID if there is no such replica, or if the
 * parameter has another kind. */
p2p_status p2p_session_read_running(p2p_session *session, const p2p_network *network, p2p_param param,
                                    int replica, p2p_type type, void *host);
p2p_status p2p_session_write_running(p2p_session *session, const p2p_network *network, p2p_param param,
                                     int replica, p2p_type type, const void *host);

/* Updates what p2p_session_read and p2p_session_read_running return of the replicas of other processes. All
 * processes must call it. Waits. No effect if this process has all replicas. */
p2p_status p2p_session_gather(p2p_session *session);

/* Of all processes. */
int p2p_session_replicas(const p2p_session *session);
/* Seconds since the session was created for which its devices stood still for reductions that other commands
 * did not hide, a mean over the devices. False if it is not known: the options have no tuning.clock, or the
 * backend does not measure it. */
bool p2p_session_waited(const p2p_session *session, double *seconds);
/* Copies the parameters and moments of replica 0, as they are stored, to all replicas by broadcasts. Running
 * statistics are left alone in a single process; of several, each replica gets those that process 0 has
 * written for it. Called by all processes. Waits. */
p2p_status p2p_session_broadcast(p2p_session *session);
/* A difference between replicas, which are numbered over all processes. */
typedef struct {
    int replica;   /* the first whose numbers are not those of `like`; -1: all are equal */
    int like;      /* the first of those of which there are most */
    bool outvoted; /* more than half of all are as `like`; else nothing shows which have changed */
} p2p_difference;

/* Compares checksums of the parameters, or of Adam's moments, as they are stored, of all replicas. Called by
 * all processes. Waits. */
p2p_status p2p_session_compare(p2p_session *session, bool moments, p2p_difference *found);

/* The type in which the devices store parameters (f32 or f64): a file of this type holds them exactly. */
p2p_type p2p_session_state_type(const p2p_session *session);

/* The parameters of one run. */
typedef struct {
    uint64_t seed;
    uint32_t step; /* number of earlier updates: dropout's step; Adam's t is step + 1 */
    double learning_rate;
    /* A key per image of this process, in replica order; NULL: 0, 1, 2, ... */
    const uint32_t *samples;
} p2p_step;

/* Gives the host memory of the replica's part of input `name` for the next run, in plain order. The caller
 * writes all of it: it may hold the input of an earlier run. Valid until the next p2p_plan_run or
 * p2p_plan_profile of this plan. Two such memories alternate; if the run that used this one last is still in
 * flight, the call waits for it.
 *
 * P2P_INVALID if there is no such replica or input, if the input is of several parts of the graph, or if the
 * session has not allocated its memory; a failed wait returns its own status (the device may be lost). *place
 * is then NULL. After a failed wait p2p_plan_run waits for the same run again, and returns the status if the
 * wait fails again. */
p2p_status p2p_plan_input(p2p_plan *plan, int replica, const char *name, void **place);

/* Names the memory from which the next run takes the replica's part of input `name`, in plain order, instead
 * of that of p2p_plan_input. It is transferred without another copy, unless the device stores it in another
 * form. Any memory of the host will do; transfers from that of p2p_session_host_alloc are the fastest.
 * `memory` is borrowed and must stay unchanged until the run has been waited for, or has failed. Counts for
 * one call of p2p_plan_run or p2p_plan_profile; the last call for an input, of this function or of
 * p2p_plan_input, decides. Does not wait. P2P_INVALID as p2p_plan_input. */
p2p_status p2p_plan_input_from(p2p_plan *plan, int replica, const char *name, const void *memory);

/* Enqueues one run and returns. At most two runs are in flight: the third waits for the first, whose outputs
 * are lost unless p2p_plan_wait was called for it. After a failure no command of this run is in flight. */
p2p_status p2p_plan_run(p2p_plan *plan, const p2p_step *step);
/* Waits for the oldest run not yet waited for. Its outputs can be read until the next p2p_plan_wait.
 * P2P_INVALID if there is none. */
p2p_status p2p_plan_wait(p2p_plan *plan);
/* Results of the run last waited for: a loss (summed over the replicas of this process), and the elements of
 * an output in plain order and the type that p2p_output declared. */
p2p_status p2p_plan_loss(p2p_plan *plan, const char *name, double *value);
p2p_status p2p_plan_output(p2p_plan *plan, int replica, const char *name, void *host);

/* One operation of a profiled run. `op` and `kernel` are valid for the lifetime of the session. */
typedef struct {
    const p2p_op *op;
    const char *kernel;
    int replica;
    int position; /* in the replica's list of operations, from 0 */
    int needed;   /* how many of the run's collectives, counted from the first, it comes after */
    /* A reading of the clock when it was enqueued on an idle device, and the one at its end. The time between
     * is that of the device's own clock if the device has one. */
    double begin, end;
} p2p_operation_timing;

typedef p2p_status (*p2p_operation_timed)(void *context, const p2p_operation_timing *timing);

/* Like p2p_plan_run, but submits and waits for each operation alone and reports it to `timed`, in order.
 * P2P_INVALID if another run is in flight. Results are those of p2p_plan_run, and p2p_plan_wait must be
 * called for them as well. `clock` returns seconds and is monotonic. A failure of `timed` ends the run, which
 * then has no results, and is returned. */
p2p_status p2p_plan_profile(p2p_plan *plan, const p2p_step *step, double (*clock)(void),
                            p2p_operation_timed timed, void *context);

/* Prints the plan as text: operations with their kernels, counts of operations and fusions, memory by
 * purpose. */
p2p_status p2p_plan_print(const p2p_plan *plan, FILE *stream);

#endif
