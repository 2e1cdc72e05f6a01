/* Modules, devices, buffers, operations and communicators as the core uses them. The files of device/ are the
 * only callers of a backend's table.
 *
 * Every call is checked (bounds, alignment, validity of descriptors) and counted, and tests can make it fail.
 * If logging is on, the log has a line for each device opened or closed, each buffer and operation created,
 * each query and choice, and the first run of each operation. Planning is in plan/.
 */
#ifndef P2P_CORE_DEVICE_H
#define P2P_CORE_DEVICE_H

#include "p2p.h"
#include "p2p_backend.h"

typedef struct p2p_buffer p2p_buffer;
typedef struct p2p_operation p2p_operation;
typedef struct p2p_recorded p2p_recorded;
typedef struct p2p_comm p2p_comm;

/* A position in a buffer; {0} means absent. */
typedef struct {
    p2p_buffer *buffer;
    size_t offset;
} p2p_place;

/* The loaded modules of this process: `index` from 0; NULL past the end. module.c */
const p2p_module *p2p_module_at(int index);
/* Adds a module, for tests. P2P_INVALID if its name is taken. It must remain valid until the process ends. */
p2p_status p2p_module_register(p2p_module_entry entry);
/* The services that are passed to modules. */
const p2p_host *p2p_host_services(void);

const p2p_device_info *p2p_device_describe(const p2p_device *device);

p2p_status p2p_buffer_create(p2p_device *device, size_t bytes, p2p_buffer **buffer);
void p2p_buffer_destroy(p2p_buffer *buffer);
size_t p2p_buffer_bytes(const p2p_buffer *buffer);
p2p_status p2p_buffer_write(p2p_device *device, p2p_place to, const void *from, size_t bytes);
p2p_status p2p_buffer_read(p2p_device *device, p2p_place from, void *to, size_t bytes);
p2p_status p2p_buffer_copy(p2p_device *device, p2p_place from, p2p_place to, size_t bytes);

/* X(name, text): paths of a device that fail although it has them, and what happens instead. */
#define P2P_SLOWER_LIST(X)                                                                                   \
    X(host_memory, "it has no memory for fast transfers; they use other memory and are slower")              \
    X(recording, "its commands can't be recorded; they are enqueued one by one, which is slower")

typedef enum {
#define X(name, text) P2P_SLOWER_##name,
    P2P_SLOWER_LIST(X)
#undef X
        P2P_SLOWER_COUNT
} p2p_slower;

/* Warns, once per device and path, that a slower one is taken. The reason is the current message. */
void p2p_device_warn_slower(p2p_device *device, p2p_slower path);

/* Memory of the host for transfers with one device, zeroed: as fast as the device has, else malloc's, with a
 * warning if the device's could not be had. Free it before the device is closed. host_memory.c */
typedef struct {
    void *bytes;
    bool of_device;
} p2p_host_memory;

p2p_status p2p_host_memory_alloc(p2p_device *device, size_t bytes, p2p_host_memory *memory);
void p2p_host_memory_free(p2p_device *device, p2p_host_memory *memory);

p2p_status p2p_operation_query(p2p_device *device, const p2p_op *op, p2p_query *answer);
p2p_status p2p_operation_create(p2p_device *device, const p2p_op *op, const p2p_place *places,
                                p2p_place scratch, p2p_operation **operation);
p2p_status p2p_operation_run(p2p_operation *operation);
void p2p_operation_destroy(p2p_operation *operation);
/* peak_create of p2p_backend.h. `counts` has room for `capacity` float32 numbers. The result is run and
 * destroyed as an operation. P2P_UNSUPPORTED if the backend has no such kernel. */
p2p_status p2p_operation_create_peak(p2p_device *device, p2p_math math, int steps, p2p_place counts,
                                     int capacity, p2p_operation **operation, double *multiply_adds);

/* Whether the device has several algorithms for convolutions. If not, the next two return P2P_UNSUPPORTED. */
bool p2p_device_has_choices(const p2p_device *device);
/* op_choose and op_impose of p2p_backend.h, for the plain convolution of `op`. */
p2p_status p2p_operation_choose(p2p_device *device, const p2p_op *op, p2p_tune mode, double (*clock)(void),
                                p2p_choice *choice);
p2p_status p2p_operation_impose(p2p_device *device, const p2p_op *op, const char *name);
/* op_list of p2p_backend.h, likewise. *count is 0 if the device has one algorithm or does not list them. */
p2p_status p2p_operation_list(p2p_device *device, const p2p_op *op,
                              char names[P2P_MOST_CHOICES][P2P_CHOICE_NAME], int *count);

p2p_status p2p_device_submit(p2p_device *device, p2p_ticket *ticket);
p2p_status p2p_device_wait(p2p_device *device, p2p_ticket ticket);
/* Orders all later commands of the device after a ticket of the device; 0: no effect. */
p2p_status p2p_device_order(p2p_device *device, p2p_ticket after);
/* Submits and waits. For set-up, reads and tests; not used within a step. */
p2p_status p2p_device_finish(p2p_device *device);

/* Time the commands enqueued in between on an idle device: by the device's own clock if it has one
 * (time_begin of p2p_backend.h), else by `clock`, which then includes the host's part. *begin is a reading of
 * `clock`. The end waits for all commands. */
p2p_status p2p_device_time_begin(p2p_device *device, double (*clock)(void), double *begin);
p2p_status p2p_device_time_end(p2p_device *device, double (*clock)(void), double begin, double *seconds);

bool p2p_device_can_record(const p2p_device *device);
p2p_status p2p_record_begin(p2p_device *device);
p2p_status p2p_record_end(p2p_device *device, p2p_recorded **recorded);
p2p_status p2p_recorded_run(p2p_recorded *recorded);
void p2p_recorded_destroy(p2p_recorded *recorded);

/* Collectives over a session's devices: by the backend's communicator if all devices are of one module that
 * has one and it supports the operation, else through host memory, reduced in replica order as
 * p2p_processes.h adds processes: in float32, but float64 and moments in float64. `processes` reaches those
 * of the replicas that are not in this one, and outlives the communicator; NULL if all are, or if the backend
 * finds the others itself. A refusal of the backend's own is remembered for the process: the next
 * communicator of these devices passes through host memory at once, and nothing is printed again. All
 * processes call this together. comm.c */
p2p_status p2p_comm_open(p2p_device *const *devices, int count, int world, int rank0,
                         const p2p_processes *processes, p2p_comm **comm);
void p2p_comm_close(p2p_comm *comm);
/* What such a communicator will do, for plans: nothing is opened, and no other process is asked. Sets *direct
 * to whether the backend's own will perform the collective, else it passes through host memory. A refusal
 * when the communicator is opened, also an earlier one, is not considered. P2P_UNSUPPORTED if it can't be
 * performed either way. */
p2p_status p2p_comm_foresee(p2p_device *const *devices, int count, int world, const p2p_processes *processes,
                            const p2p_op *op, bool *direct);
/* Determines how the collective is performed, and allocates what it needs, so that p2p_comm_run with this
 * descriptor allocates nothing. P2P_UNSUPPORTED if it can't be performed. */
p2p_status p2p_comm_prepare(p2p_comm *comm, const p2p_op *op);
/* Sets *direct to whether the backend's communicator performs the collective; else it passes through host
 * memory. False if the query fails. */
p2p_status p2p_comm_is_direct(p2p_comm *comm, const p2p_op *op, bool *direct);
/* Starts a collective. places[i], after[i] and done[i] belong to devices[i]: it begins when after[i] is
 * complete, and done[i] is complete when the result is available (0: already). Commands of a device see it if
 * they are ordered after done[i]. */
p2p_status p2p_comm_run(p2p_comm *comm, const p2p_op *op, const p2p_place *places, const p2p_ticket *after,
                        p2p_ticket *done);

/* Sets the clock by which reductions through host memory are timed: seconds, monotonic; NULL: none are. */
void p2p_comm_set_clock(p2p_comm *comm, double (*clock)(void));
/* Seconds so far for which the devices stood still for collectives, a mean over them; negative if not known.
 */
double p2p_comm_waited(const p2p_comm *comm);

/* For tests: makes the nth fallible table call from now (1 is the next) fail with P2P_FAILED and a message
 * that begins with "injected fault"; 0 disables it. Returns the number of calls since the last setting. */
uint64_t p2p_fault_inject(uint64_t nth);

#endif
