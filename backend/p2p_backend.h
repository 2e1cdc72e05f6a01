/* The backend interface: what a backend implements, and all that it sees of the rest of p2p.
 *
 * A backend is one entry symbol that returns a table of about twenty functions. It answers "can you?"
 * (op_query), "prepare" (op_create), "enqueue" (op_run). It links against nothing of ours: host services come
 * in through the entry call. Models and the trainer never include this file; in the core, device.c and comm.c
 * are the only callers of the table, so argument checks, tracing and fault injection live there once.
 */
#ifndef P2P_BACKEND_H
#define P2P_BACKEND_H

#include "p2p_op.h"

/* Exact match required; raised whenever this file or p2p_op.h changes meaning. */
enum { P2P_BACKEND_ABI = 7 };

/* A piece of what identifies something that is kept between runs. */
typedef struct {
    const void *bytes;
    size_t size;
} p2p_key_part;

/* Given by the core to every module. */
typedef struct {
    /* Compose the calling thread's message and return `code` (p2p_fail). */
    p2p_status (*fail)(p2p_status code, const char *format, ...) P2P_PRINTF(2, 3);
    /* Keep a hint beside the message (p2p_hint). */
    p2p_status (*hint)(p2p_status code, const char *format, ...) P2P_PRINTF(2, 3);
    /* One line for the verbose log; dropped when logging is off. */
    void (*log)(const char *format, ...) P2P_PRINTF(1, 2);
    /* One line that people should see even when logging is off: something is wrong, and p2p goes on. */
    void (*warn)(const char *format, ...) P2P_PRINTF(1, 2);
    /* The text form of a descriptor (p2p_op_print), for messages. */
    int (*op_print)(const p2p_op *op, char *text, size_t size);
    /* What is worth keeping between runs (cache.h): compiled programs, results of tuning. `kind` is a word
     * for people; the parts of the key say everything that the value depends on. Entries may vanish at any
     * time; one that is found is as it was kept. cache_get: false where there is none; the caller frees
     * *value. */
    bool (*cache_get)(const char *kind, const p2p_key_part *key, int parts, void **value, size_t *size);
    void (*cache_put)(const char *kind, const p2p_key_part *key, int parts, const void *value, size_t size);
} p2p_host;

/* Opaque to the core; each backend defines its own. Objects belong to the device that made them and are
 * used by one thread at a time. */
typedef struct p2p_be_device p2p_be_device;
typedef struct p2p_be_buffer p2p_be_buffer;
typedef struct p2p_be_op p2p_be_op;
typedef struct p2p_be_recording p2p_be_recording;
typedef struct p2p_be_comm p2p_be_comm;

/* A point in a device's order of commands: done when everything submitted up to it is done. Tickets of one
 * device grow; 0 is always done. */
typedef uint64_t p2p_ticket;

typedef enum { P2P_DEVICE_CPU, P2P_DEVICE_GPU, P2P_DEVICE_OTHER } p2p_device_type;

/* How a device wants tensors of a role stored. */
typedef struct {
    p2p_type type;
    p2p_layout layout;
    int block;
} p2p_storage;

typedef struct {
    char name[256];     /* for people, e.g. the vendor's device name */
    char driver[256];   /* driver or library with version */
    char unusable[512]; /* "" when the device can be opened, else why not */
    char no_bf16[256];  /* "" when sessions in bf16 gain something: convolutions with math=bf16, for the
                           shapes that it names by op_query, or activations stored in bf16; else why not */
    p2p_device_type type;
    int compute_units;
    size_t memory_bytes;         /* 0 when unknown */
    size_t max_alloc_bytes;      /* largest single buffer */
    size_t alignment;            /* a binding's byte offset must be a multiple of it; a power of two */
    int channel_alignment;       /* a channel range of an activation must start at a multiple of it, for every
                                    kind but copy, which takes any range */
    p2p_storage activation;      /* also activation gradients */
    p2p_storage activation_bf16; /* the same in sessions in bf16; of type bf16 where the device computes with
                                    such numbers, else equal to `activation` */
    p2p_storage filter;          /* as kept in the parameter arena and for gradients */
    p2p_storage vector;          /* biases, scales, shifts, statistics, losses, flat arrays; always plain */
} p2p_device_info;

/* Where an operand lives. */
typedef struct {
    p2p_be_buffer *buffer;
    size_t offset; /* bytes, multiple of the device's alignment */
} p2p_binding;

/* The answer of op_query when it returns P2P_OK. */
typedef struct {
    size_t scratch_bytes; /* memory that the operation needs while it runs; contents die with it */
    /* A filter operand in another layout than the descriptor's: the core makes a derived copy after each
     * update and asks again with it; `filter` is valid when want_filter is set. The operation
     * also works as asked, only slower. */
    bool want_filter;
    p2p_storage filter;
    char kernel[64]; /* name of the implementation chosen, for the plan dump */
} p2p_query;

typedef struct {
    /* -- device -- */
    void (*close)(p2p_be_device *device);

    /* Really allocated when it returns P2P_OK, and zeros to all later commands; P2P_OUT_OF_MEMORY names
     * sizes. */
    p2p_status (*buffer_create)(p2p_be_device *device, size_t bytes, p2p_be_buffer **buffer);
    void (*buffer_destroy)(p2p_be_device *device, p2p_be_buffer *buffer);
    /* Commands, in order with all others of the device. Host memory must stay valid and unchanged (write) or
     * untouched (read) until a ticket submitted afterwards is done. */
    p2p_status (*buffer_write)(p2p_be_device *device, p2p_binding to, const void *from, size_t bytes);
    p2p_status (*buffer_read)(p2p_be_device *device, p2p_binding from, void *to, size_t bytes);
    p2p_status (*buffer_copy)(p2p_be_device *device, p2p_binding from, p2p_binding to, size_t bytes);

    /* Can the device carry out this validated descriptor? P2P_UNSUPPORTED with the reason as message when
     * not. Cheap, leaves nothing on the device, has no side effect: the same question has the same
     * answer as long as the device is open. A backend may test its kernels when it is first asked. */
    p2p_status (*op_query)(p2p_be_device *device, const p2p_op *op, p2p_query *answer);
    /* Compile, choose and bind. `bindings` has one entry per operand of the kind, absent ones {0};
     * `scratch` has at least the queried bytes. May allocate, compile and wait: op_run may not. */
    p2p_status (*op_create)(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                            p2p_binding scratch, p2p_be_op **created);
    /* Enqueue. Never allocates or touches operand memory from the host, and waits at most for room in a queue
     * that holds as much work as the driver bears. */
    p2p_status (*op_run)(p2p_be_device *device, p2p_be_op *op);
    void (*op_destroy)(p2p_be_device *device, p2p_be_op *op);

    /* Everything enqueued so far becomes one submission and starts; `ticket` is done when it is. */
    p2p_status (*submit)(p2p_be_device *device, p2p_ticket *ticket);
    /* Block the calling thread until `ticket` is done. P2P_DEVICE_LOST when it never will be. */
    p2p_status (*wait)(p2p_be_device *device, p2p_ticket ticket);

    /* -- optional: NULL, and the core replays op_run instead -- */
    p2p_status (*record_begin)(p2p_be_device *device);
    p2p_status (*record_end)(p2p_be_device *device, p2p_be_recording **recording);
    p2p_status (*recording_run)(p2p_be_device *device, p2p_be_recording *recording);
    void (*recording_destroy)(p2p_be_device *device, p2p_be_recording *recording);

    /* -- optional: both or none; NULL, and the device has one way for every convolution -- */
    /* Choose how `op`, a p2p_op_plain_convolution, is computed from now on, and every descriptor that reduces
     * to it: op_query and op_create obey. Operations that exist keep their way. `mode` is not P2P_TUNE_AUTO;
     * `clock` gives seconds and never goes back. Measuring runs candidates on memory of its own, each of
     * which has first been compared with the truth; where there is no room for that, arithmetic decides. */
    p2p_status (*op_choose)(p2p_be_device *device, const p2p_op *op, p2p_tune mode, double (*clock)(void),
                            p2p_choice *choice);
    /* The same by name: one that op_choose has given on such a device, or "". P2P_UNSUPPORTED, with the
     * reason, when it can't be had; then nothing changes. */
    p2p_status (*op_impose)(p2p_be_device *device, const p2p_op *op, const char *name);

    /* -- optional: NULL, and the core says that the device's peak can't be measured -- */
    /* Prepare a kernel that does nothing but multiply and add in registers, as many at a time as the device
     * can, with factors of `type` and sums in float32. Its work-items, at most `capacity`, each go `steps`
     * (at most P2P_PEAK_STEPS) times through a loop, and each writes a float32 to `counts` in every run: the
     * number of multiply-adds that it has made, found by adding in the loop, so that no compiler can leave
     * work out. *multiply_adds is what all counts of a run add up to, exactly. Run and destroyed as an
     * operation. P2P_UNSUPPORTED for a type without such instructions. */
    p2p_status (*peak_create)(p2p_be_device *device, p2p_type type, int steps, p2p_binding counts,
                              int capacity, p2p_be_op **created, double *multiply_adds);
} p2p_device_table;

/* Few enough that a float32 counts a loop of 500 multiply-adds exactly. */
enum { P2P_PEAK_STEPS = 1 << 15 };

/* One contribution to a collective: this process's replica `i` stands at position i of the array. */
typedef struct {
    p2p_binding binding;
    p2p_ticket after; /* of the replica's device: its contribution is complete then */
} p2p_contribution;

typedef struct {
    void (*close)(p2p_be_comm *comm);
    /* `op` is a validated all_reduce or broadcast whose t[0] describes every replica's tensor. Gives, per
     * local replica, the ticket after which the result is there; later commands of that device are ordered
     * behind it. The order of summation is the replica order. */
    p2p_status (*all_reduce)(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                             p2p_ticket *done);
    p2p_status (*broadcast)(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                            p2p_ticket *done);
} p2p_comm_table;

typedef struct {
    uint32_t abi;            /* P2P_BACKEND_ABI of the build */
    const char *name;        /* "opencl": the word before the colon in a device's address */
    const char *description; /* one line for people */
    /* How many devices this module sees. P2P_OK with 0 is possible; P2P_NO_DEVICE says why none. */
    p2p_status (*device_count)(int *count);
    /* Filled even for a device that can't be used (then `unusable` says why). */
    p2p_status (*device_info)(int index, p2p_device_info *info);
    p2p_status (*device_open)(int index, p2p_be_device **device);
    /* Optional: NULL, and the core reduces through host memory. `world` counts replicas over all
     * processes; this process has those from rank0 on. */
    p2p_status (*comm_open)(p2p_be_device *const *devices, int count, int world, int rank0,
                            p2p_be_comm **comm);
    p2p_device_table device;
    p2p_comm_table comm; /* all NULL without comm_open */
} p2p_module;

/* The one symbol of a backend. Returns NULL when it can't speak `abi`. Called once per process before
 * anything else of the module; `host` outlives the module. */
typedef const p2p_module *(*p2p_module_entry)(uint32_t abi, const p2p_host *host);

const p2p_module *p2p_module_reference(uint32_t abi, const p2p_host *host);
const p2p_module *p2p_module_opencl(uint32_t abi, const p2p_host *host);

#endif
