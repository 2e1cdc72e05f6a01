/* The backend interface: the functions that a backend implements, and the services that it may use.
 *
 * A backend has one entry function, which returns a table of about twenty functions. The core queries whether
 * the device supports an operation (op_query), prepares it (op_create) and enqueues it (op_run). A backend is
 * part of the program, linked against p2p_op, or a shared object that the program loads (p2p_module.h). Host
 * services are passed to the entry function. models/ and train/ do not include this file. In the core only
 * device/ calls the table, so argument checks, tracing and fault injection are in one place.
 *
 * Threads: any thread may call, but one at a time is inside a device, that is in a function of its table with
 * it or an object of it. Different threads may be inside different devices of a module at the same time, so
 * the module protects what its devices share. A module sets a library's state per thread, such as the current
 * device, at every entry: the thread may be new to it, or may have used another device last.
 * The functions of p2p_module are called by one thread at a time, and those of a communicator while no other
 * thread is inside one of its devices. The core synchronises threads that call one after the other.
 */
#ifndef P2P_BACKEND_H
#define P2P_BACKEND_H

#include "p2p_op.h"
#include "p2p_processes.h"

/* Version of the interface. A module must match exactly. Raised whenever the meaning of this file or of
 * p2p_op.h changes. */
enum { P2P_BACKEND_ABI = 14 };

/* A part of the key of a cache entry. */
typedef struct {
    const void *bytes;
    size_t size;
} p2p_key_part;

/* Host services, passed by the core to every module. Any thread may call them at any time. */
typedef struct {
    /* Sets the calling thread's message and returns `code` (p2p_fail). */
    p2p_status (*fail)(p2p_status code, const char *format, ...) P2P_PRINTF(2, 3);
    /* Sets the hint that belongs to the message and returns `code` (p2p_hint). */
    p2p_status (*hint)(p2p_status code, const char *format, ...) P2P_PRINTF(2, 3);
    /* The same with the arguments as a list. */
    p2p_status (*fail_v)(p2p_status code, const char *format, va_list args);
    p2p_status (*hint_v)(p2p_status code, const char *format, va_list args);
    /* The calling thread's message and hint (p2p_message, p2p_message_hint). */
    const char *(*message)(void);
    const char *(*message_hint)(void);
    /* Writes a line to the verbose log; discarded if logging is off. */
    void (*log)(const char *format, ...) P2P_PRINTF(1, 2);
    /* Whether logging is on: for work that is of use to the log alone. */
    bool (*logging)(void);
    /* Writes a warning, which is shown even if logging is off: a problem after which p2p continues. */
    void (*warn)(const char *format, ...) P2P_PRINTF(1, 2);
    /* Prints a descriptor as text, for messages (p2p_op_print). */
    int (*op_print)(const p2p_op *op, char *text, size_t size);
    /* Persistent cache (host/cache.h) for compiled programs and results of tuning. `kind` is a word that
     * shows in file names. The parts of the key cover everything that the value depends on. Entries may
     * disappear at any time; an entry that is found is unchanged. cache_get returns false if there is none;
     * the caller frees *value with free(). */
    bool (*cache_get)(const char *kind, const p2p_key_part *key, int parts, void **value, size_t *size);
    void (*cache_put)(const char *kind, const p2p_key_part *key, int parts, const void *value, size_t size);
    /* A folder below that cache for files that the driver `driver`, a word, stores itself: an absolute path,
     * valid until the process ends. At the first request of a process, recorded files that have changed are
     * removed, with a warning. Files without a record are removed too, unless another process uses the
     * folder. NULL if the cache is off or the folder can't be used (host/cache_driver.h). */
    const char *(*driver_folder)(const char *driver);
    /* Records the files that the driver has stored there, with checksums, except those for whose names
     * `unfinished` returns true: temporary files. No effect without such a folder. */
    void (*driver_folder_record)(const char *driver, bool (*unfinished)(const char *name));
    /* P2P_IO, with the reason, if a user other than this one and root can write to a folder of which code is
     * executed, or any user can put another in its place (p2p_folder_check_private); if any user can replace
     * a file or folder that a person has named (p2p_path_check_private). */
    p2p_status (*check_private_folder)(const char *path);
    p2p_status (*check_private_path)(const char *path);
} p2p_host;

/* Opaque to the core; each backend defines its own. An object belongs to the device that created it. */
typedef struct p2p_be_device p2p_be_device;
typedef struct p2p_be_buffer p2p_be_buffer;
typedef struct p2p_be_op p2p_be_op;
typedef struct p2p_be_recording p2p_be_recording;
typedef struct p2p_be_comm p2p_be_comm;

/* An event of a device: the end of a submission, with everything submitted before, or of a collective. 0 has
 * always happened. */
typedef uint64_t p2p_ticket;

typedef enum { P2P_DEVICE_CPU, P2P_DEVICE_GPU, P2P_DEVICE_OTHER } p2p_device_type;

/* How a device stores tensors of a role. */
typedef struct {
    p2p_type type;
    p2p_layout layout;
    int block;
} p2p_storage;

typedef struct {
    char name[256];     /* for display, e.g. the vendor's device name */
    char driver[256];   /* driver or library, with version */
    char unusable[512]; /* "" if the device can be opened, else the reason */
    /* One line of what identifies it among others; "" for none. It begins with "PCI address 0000:3B:00.0" and
     * a comma or its end, in this form in every backend, if that is known, and has the UUID as "GPU-..." or
     * "MIG-...": the same card is recognised by them in other processes and backends. */
    char details[512];
    /* "" if the device supports sessions in bf16: convolutions with math=bf16, for the shapes that op_query
     * accepts, or activations stored in bf16. Else the reason. */
    char no_bf16[256];
    /* "" if the device supports convolutions with math=tf32, for the shapes that op_query accepts. Else the
     * reason. */
    char no_tf32[256];
    bool fast_tf32; /* they are faster than in float32, not only imitated: tf32 is then the program's default
                     */
    p2p_device_type type;
    int compute_units;
    size_t memory_bytes;    /* 0 if unknown */
    size_t max_alloc_bytes; /* largest single buffer */
    bool in_host_memory;    /* buffers take host memory: of a CPU, or of a GPU without memory of its own */
    /* Host memory that the driver takes beside buffers while operations are created and run, at most:
     * libraries, compilers, programs. An estimate. */
    size_t driver_bytes;
    size_t alignment; /* of a binding's byte offset; a power of two */
    /* Channel ranges of activations must start at a multiple of this, for all kinds except copy. */
    int channel_alignment;
    /* Padding lanes of activations are zero whenever an operation reads them, for libraries that multiply
     * whole blocks. Every operation keeps them zero, and input from the host has zeros there. */
    bool zero_padding;
    p2p_storage activation; /* activations and their gradients */
    /* The same in sessions in bf16: type bf16 if the device stores activations in bf16, else equal to
     * `activation`. */
    p2p_storage activation_bf16;
    p2p_storage filter; /* parameters, their gradients and moments */
    /* The type of filters' gradients in sessions in bf16, in the layout of `filter`. Gradients to which a
     * plan adds have the type of `filter` in every session, and so have all if the communicator sums in that
     * type only. If conv_bwd_filter is refused with that, it writes a temporary in this type, which `copy`
     * writes or adds to the gradient. */
    p2p_type gradient_bf16;
    /* op_query may request filters in another storage. Algorithms are then chosen (op_choose) for descriptors
     * with the filter as it will be read. */
    bool derives_filters;
    /* P2P_TUNE_AUTO measures nothing on this device, as on CPUs: its heuristics are good, a measurement of
     * all algorithms takes minutes, and its winners may differ from start to start. */
    bool measures_on_request;
    p2p_storage vector; /* biases, scales, shifts, statistics, losses, flat arrays; always plain */
} p2p_device_info;

/* The memory of an operand. */
typedef struct {
    p2p_be_buffer *buffer;
    size_t offset; /* bytes; a multiple of the device's alignment */
} p2p_binding;

/* How an operation depends on the storage of the filter that it reads. For P2P_FILTER_FASTER and
 * P2P_FILTER_REQUIRED the core queries the descriptor with the filter stored as p2p_query.filter and, if it
 * is accepted, keeps a derived copy of the parameters, renewed after each update. */
typedef enum {
    P2P_FILTER_AS_QUERIED, /* good as it is */
    P2P_FILTER_FASTER,     /* works as queried, and is faster with the other storage */
    P2P_FILTER_REQUIRED    /* works with the other storage only: op_create is not called as queried */
} p2p_filter_need;

/* The result of op_query if it returns P2P_OK. */
typedef struct {
    size_t scratch_bytes; /* memory that the operation needs while it runs; contents are lost afterwards */
    p2p_filter_need filter_need; /* not P2P_FILTER_AS_QUERIED: info has derives_filters */
    p2p_storage filter;
    char kernel[64]; /* name of the chosen implementation, for the plan dump */
} p2p_query;

typedef struct {
    /* -- device -- */
    /* Buffers, operations and recordings have been destroyed before. A recording under way, whose record_end
     * failed or was never called, is released as well. */
    void (*close)(p2p_be_device *device);

    /* On P2P_OK the memory is allocated physically and is zero for all later commands. The message of
     * P2P_OUT_OF_MEMORY names sizes. */
    p2p_status (*buffer_create)(p2p_be_device *device, size_t bytes, p2p_be_buffer **buffer);
    /* Objects are not NULL, and no command that uses them is pending. This holds for op_destroy,
     * recording_destroy and host_free too. An operation is destroyed before the buffers that it binds. */
    void (*buffer_destroy)(p2p_be_device *device, p2p_be_buffer *buffer);
    /* Enqueue a transfer, in order with all other commands of the device. Host memory must stay valid, and
     * must not be modified (write) or accessed (read), until a ticket submitted afterwards is complete. */
    p2p_status (*buffer_write)(p2p_be_device *device, p2p_binding to, const void *from, size_t bytes);
    p2p_status (*buffer_read)(p2p_be_device *device, p2p_binding from, void *to, size_t bytes);
    p2p_status (*buffer_copy)(p2p_be_device *device, p2p_binding from, p2p_binding to, size_t bytes);

    /* -- optional; if NULL, or after a failure, memory_bytes of p2p_device_info counts as free -- */
    /* Sets *free_bytes to what buffers of this process can take of the device's memory now, those that it has
     * already among them, and *reserve to the part of that which libraries will take while operations are
     * created and run, an estimate; `joined`: with collectives. Not for devices whose buffers are host
     * memory.
     */
    p2p_status (*memory_left)(p2p_be_device *device, bool joined, size_t *free_bytes, size_t *reserve);

    /* -- optional, both or none; if NULL the core allocates with malloc -- */
    /* Memory of the host from and to which transfers are fastest, such as pinned memory. Zero, aligned for
     * every type. P2P_OUT_OF_MEMORY if there is none of this kind: the core then uses other memory. */
    p2p_status (*host_alloc)(p2p_be_device *device, size_t bytes, void **memory);
    void (*host_free)(p2p_be_device *device, void *memory);

    /* Determines whether the device supports a validated descriptor. Returns P2P_UNSUPPORTED, with the reason
     * as message, if not. Cheap, except that it may run self-tests of kernels and record their verdicts.
     * Equal descriptors have equal answers while the device is open, with two exceptions: op_choose and
     * op_impose change algorithms, and an op_create, even one that fails, may find that the device supports
     * less. */
    p2p_status (*op_query)(p2p_be_device *device, const p2p_op *op, p2p_query *answer);
    /* Compiles, chooses and binds. `bindings` has an entry per operand of the kind, {0} for absent operands;
     * `scratch` has at least scratch_bytes of the latest query. May allocate, compile, run self-tests and
     * wait; op_run may not. P2P_UNSUPPORTED if the device turns out not to support what the query promised;
     * later queries take that into account. */
    p2p_status (*op_create)(p2p_be_device *device, const p2p_op *op, const p2p_binding *bindings,
                            p2p_binding scratch, p2p_be_op **created);
    /* Enqueues the operation. Does not allocate, and does not access operand memory from the host. Waits only
     * if the device's queue is full. */
    p2p_status (*op_run)(p2p_be_device *device, p2p_be_op *op);
    void (*op_destroy)(p2p_be_device *device, p2p_be_op *op);

    /* Starts everything enqueued so far as one submission. `ticket` is complete when the submission is. */
    p2p_status (*submit)(p2p_be_device *device, p2p_ticket *ticket);
    /* Blocks the calling thread until `ticket` is complete. P2P_DEVICE_LOST if it never will be. */
    p2p_status (*wait)(p2p_be_device *device, p2p_ticket ticket);

    /* -- optional; if NULL the core waits for the ticket on the host -- */
    /* Orders all commands that are enqueued from now on, recordings included, after a ticket of this device.
     * Does not block. */
    p2p_status (*order)(p2p_be_device *device, p2p_ticket after);

    /* -- optional, both or none; if NULL commands are timed by a clock of the host -- */
    /* Time commands by the device's own clock. time_begin notes its time, in order with operations and
     * copies. time_end notes it again, waits until all commands are complete, and writes the seconds between.
     * Of transfers with the host a part may be missing. One measurement at a time. */
    p2p_status (*time_begin)(p2p_be_device *device);
    p2p_status (*time_end)(p2p_be_device *device, double *seconds);

    /* -- optional, all or none; if NULL the core repeats op_run instead -- */
    p2p_status (*record_begin)(p2p_be_device *device);
    p2p_status (*record_end)(p2p_be_device *device, p2p_be_recording **recording);
    p2p_status (*recording_run)(p2p_be_device *device, p2p_be_recording *recording);
    void (*recording_destroy)(p2p_be_device *device, p2p_be_recording *recording);

    /* -- optional, both or none; if NULL the device has one algorithm per convolution -- */
    /* Chooses the algorithm of `op`, a p2p_op_plain_convolution, and of every descriptor that reduces to it,
     * for all later calls of op_query and op_create. Existing operations keep theirs. `mode` is not
     * P2P_TUNE_AUTO. `clock` returns seconds and is monotonic. A measurement runs candidates on memory of its
     * own, after each has been compared with reference results; if there is not enough memory for it, the
     * heuristic decides. */
    p2p_status (*op_choose)(p2p_be_device *device, const p2p_op *op, p2p_tune mode, double (*clock)(void),
                            p2p_choice *choice);
    /* Sets the algorithm by name: a name that op_choose returned on a device of this kind, or "" for the
     * heuristic. P2P_UNSUPPORTED, with the reason, if the device does not have it; then nothing changes. */
    p2p_status (*op_impose)(p2p_be_device *device, const p2p_op *op, const char *name);
    /* Optional, for devices with the two above. Lists the names of the algorithms that the device has for
     * `op`, a p2p_op_plain_convolution: each once, "" not among them, at most P2P_MOST_CHOICES. A name is
     * that of a family, or of one of its variants, "family:variant". Those that fail a self-test are listed
     * too; op_impose refuses them with the reason. *count is 0 if there is nothing to choose. Runs nothing.
     */
    p2p_status (*op_list)(p2p_be_device *device, const p2p_op *op, char (*names)[P2P_CHOICE_NAME],
                          int *count);

    /* -- optional; if NULL the device's peak cannot be measured -- */
    /* Prepares work that only multiplies and adds, at the device's full rate, as convolutions with `math` on
     * float32 (P2P_MATH_stored) or on narrower factors do; sums are in float32. It is a kernel in which at
     * most `capacity` work-items execute a loop of `steps` iterations (at most P2P_PEAK_STEPS) in registers,
     * or a matrix product that grows with `steps` and has at most `capacity` rows. In every run each
     * work-item, or row, writes a float32 to `counts`: the number of its multiply-adds, computed by adding,
     * so that a compiler cannot remove the work. *multiply_adds receives the exact sum of all counts of a
     * run. The result is run and destroyed as an operation. P2P_UNSUPPORTED if the device has no instructions
     * for `math`. */
    p2p_status (*peak_create)(p2p_be_device *device, p2p_math math, int steps, p2p_binding counts,
                              int capacity, p2p_be_op **created, double *multiply_adds);
} p2p_device_table;

/* The room of `names` in op_list. */
enum { P2P_MOST_CHOICES = 64 };

/* A float32 counts this many iterations of up to 500 multiply-adds exactly. */
enum { P2P_PEAK_STEPS = 1 << 15 };

/* The contribution of a replica to a collective. Entry i of an array is local replica i. */
typedef struct {
    p2p_binding binding;
    p2p_ticket after; /* of the replica's device: completes when the contribution is complete */
} p2p_contribution;

typedef struct {
    /* Collectives under way are complete afterwards. */
    void (*close)(p2p_be_comm *comm);
    /* P2P_UNSUPPORTED, with the reason, for a collective that a communicator of these devices lacks. The core
     * then performs it through host memory. `devices`, `count` and `world` are those of comm_open, which may
     * not have been called yet: plans are made before. Cheap. */
    p2p_status (*query)(p2p_be_device *const *devices, int count, int world, const p2p_op *op);
    /* Start a collective, which runs beside the devices' commands. `op` is a validated all_reduce or
     * broadcast; t[0] describes every replica's tensor. done[i] receives the ticket of local replica i that
     * completes when its result is available; commands of that device are ordered after it only by `order`.
     * Collectives of a communicator are ordered as they are started. Sums are formed in a fixed order, the
     * same in every run, unless the user has chosen another algorithm of a vendor's library. The order may
     * depend on the extents of the tensor. */
    p2p_status (*all_reduce)(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                             p2p_ticket *done);
    p2p_status (*broadcast)(p2p_be_comm *comm, const p2p_op *op, const p2p_contribution *replicas,
                            p2p_ticket *done);
    /* Optional; if NULL it is not known. Seconds since the communicator was opened for which commands of the
     * local devices stood still because they were ordered after a collective, a mean over the devices. */
    double (*waited)(p2p_be_comm *comm);
    /* A device may be several replicas. Otherwise the core reduces over such replicas through host memory. */
    bool repeats_devices;
} p2p_comm_table;

/* Why a backend has no device. The core composes the text for users, and decides whether `auto` warns. */
typedef enum {
    P2P_OBSTACLE_OTHER,      /* none of these: the message alone is the reason */
    P2P_OBSTACLE_NO_DRIVER,  /* `what`, a driver, is not installed */
    P2P_OBSTACLE_OLD_DRIVER, /* `what`, a driver, has the version `found`, older than `needed` */
    P2P_OBSTACLE_NO_LIBRARY, /* the driver is good; `what`, a library, is not installed */
    P2P_OBSTACLE_NO_DEVICE   /* driver and libraries are good, and list no device */
} p2p_obstacle_kind;

typedef struct {
    p2p_obstacle_kind kind;
    char what[128];   /* a name, with a version where one is required */
    char looked[512]; /* NO_DRIVER, NO_LIBRARY: where it was looked for */
    char found[64], needed[64];
} p2p_obstacle;

/* An environment variable that a backend reads, as it is shown to users: plain text, `` for literals. */
typedef struct {
    const char *name, *values, *fallback, *meaning;
    bool for_tests; /* for measuring and tests, not for users */
} p2p_variable;

/* A number that the program sets for all devices of a backend that are opened afterwards. It overrides an
 * environment variable. Known names: "timeout", the seconds after which unfinished work means that a device
 * is lost; 0: never. "deterministic", 0 or 1: whatever could differ between two runs on equal machines is
 * fixed, such as the algorithm of a collective. */
typedef struct {
    const char *name;
    double least, most; /* range of values */
    void (*set)(double value);
} p2p_limit;

typedef struct {
    uint32_t abi;            /* P2P_BACKEND_ABI of the build */
    const char *name;        /* "opencl": the part before the colon of a device's address */
    const char *description; /* one line, for display */
    const p2p_variable *variables;
    int variable_count;
    const p2p_limit *limits;
    int limit_count;
    /* The number of devices. 0 with P2P_OK is possible. P2P_NO_DEVICE if an obstacle is known: *obstacle, {0}
     * before the call, describes it, and the message has details, such as the vendor's code. Neither this
     * function nor the next opens a device or creates a context. */
    p2p_status (*device_count)(int *count, p2p_obstacle *obstacle);
    /* Fills *info for unusable devices too; `unusable` then has the reason. */
    p2p_status (*device_info)(int index, p2p_device_info *info);
    p2p_status (*device_open)(int index, p2p_be_device **device);
    /* Optional; if NULL the core reduces through host memory. `world` is the number of replicas in all
     * processes; those of this process are rank0 to rank0 + count - 1. `processes` has the other processes,
     * and outlives the communicator; NULL if all replicas are in this one. The answer, P2P_OK or
     * P2P_UNSUPPORTED, may differ between processes: the core then closes the communicator. */
    p2p_status (*comm_open)(p2p_be_device *const *devices, int count, int world, int rank0,
                            const p2p_processes *processes, p2p_be_comm **comm);
    p2p_device_table device;
    p2p_comm_table comm; /* all NULL without comm_open */
} p2p_module;

/* The entry function of a backend. Returns NULL if it does not implement version `abi`. Called once per
 * process, before any other function of the module. `host` outlives the module. */
typedef const p2p_module *(*p2p_module_entry)(uint32_t abi, const p2p_host *host);

const p2p_module *p2p_module_reference(uint32_t abi, const p2p_host *host);
const p2p_module *p2p_module_opencl(uint32_t abi, const p2p_host *host);

#endif
