/* What the files of the CUDA machine share: its state, its objects and the rules of its calls. Only they
 * include it.
 *
 * Every function of the driver API begins with driver_enter, which takes the one lock of the machine and
 * checks what all calls have in common, and ends with driver_leave. All other functions here are called with
 * the lock held.
 */
#ifndef DRIVER_H
#define DRIVER_H

#include "machine.h"

#include <pthread.h>
#include <stdio.h>

enum { DRIVER_DEVICES = 16, DRIVER_STREAMS = 128, DRIVER_QUEUE = 4096 };

/* ---- state.c: calls, settings, violations -------------------------------------------------------------- */

typedef enum {
    DRIVER_ALWAYS,      /* even before cuInit */
    DRIVER_INITIALIZED, /* queries of devices */
    DRIVER_SELECTS,     /* the same; the call plants its fault itself, once the context is current */
    DRIVER_WORKS,       /* needs a current context; a violation after a sticky error has been returned */
    DRIVER_GIVES,       /* the same, but no fault is planted: another call has been counted */
    DRIVER_ENDS         /* needs a current context; returns its sticky error, if any */
} driver_need;

/* Takes the lock, counts the call for P2P_MACHINE_FAIL and checks the need. On failure the lock is free again
 * and the result is what the call returns. `device` (not NULL) becomes the current context's. */
CUresult driver_enter(const char *call, driver_need need, int *device);
/* Gives the lock back; returns the result. */
CUresult driver_leave(CUresult result);
/* Counts a call, and returns the fault that is planted in it, or success. A sticky error loses the current
 * device. */
CUresult driver_plant(const char *call, bool uses_device);
/* The name of the call of this thread that driver_enter began last. */
const char *driver_call(void);

/* machine_refuse with the name of the call in front; returns the error. */
CUresult driver_refuse(CUresult error, const char *format, ...) MACHINE_PRINTF(2, 3);

void driver_lock(void);
void driver_unlock(void);
/* Releases the lock for a millisecond, or until another thread gives a command. */
void driver_pause(void);
void driver_wake(void);

typedef struct {
    int devices;        /* visible ones */
    int version;        /* 13000: what cuDriverGetVersion returns */
    uint64_t seed;      /* 0: commands run in the order in which they are given */
    uint64_t memory;    /* bytes of each device; 0: as the card has */
    uint64_t held;      /* P2P_MACHINE_HELD: bytes of each device that other processes have taken */
    int patience;       /* seconds */
    bool uninitialized; /* P2P_MACHINE_UNINITIALIZED=refuse: kernels may not read memory that nothing has
                           written */
    bool reuses; /* P2P_MACHINE_ADDRESSES=reuse: new memory gets the address of freed memory of its size */
    const char *counters;
} driver_settings;
extern driver_settings driver_setting;

/* Errors that headers of CUDA 12.0 lack. */
enum {
    DRIVER_ERROR_CONTAINED = 226,
    DRIVER_ERROR_TENSOR_MEMORY_LEAK = 721,
    DRIVER_ERROR_MPS_CLIENT_TERMINATED = 810
};

/* errors.c: CUDA_SUCCESS if no error has the name. */
CUresult driver_error_of_name(const char *name);

/* ---- cards.c: the devices ------------------------------------------------------------------------------ */

typedef enum { DRIVER_MODE_DEFAULT, DRIVER_MODE_PROHIBITED = 2, DRIVER_MODE_EXCLUSIVE = 3 } driver_mode;

typedef struct {
    machine_card card;
    int shared_per_block; /* bytes a kernel may opt in to */
    int shared_per_multiprocessor;
    int memory_clock, bus_width, clock; /* kHz, bits, kHz */
    int l2_bytes;
    bool ecc, mig, busy;
    bool divided; /* MIG is on, and there is no instance */
    bool in_front;
    driver_mode mode;
    unsigned char uuid[16];
    int pci_bus;
} driver_device;

/* Reads P2P_MACHINE_DEVICES, P2P_MACHINE_CARD and CUDA_VISIBLE_DEVICES; returns the number of visible
 * devices. */
int driver_read_cards(void);
const driver_device *driver_get_device(int device);
size_t driver_memory_bytes(int device);

/* ---- context.c ----------------------------------------------------------------------------------------- */

struct CUctx_st {
    int device;
    int retained;
    bool alive;
    CUresult error; /* sticky */
    bool reported;  /* a call has returned it */
    char why[400];
};
CUcontext driver_context(int device);
/* The calling thread's; NULL if none, or if it has been destroyed. */
CUcontext driver_current(void);
/* The device's sticky error or success, as what a call that waits returns. */
CUresult driver_result(int device);
/* Counts a command of the stream that has run; a planted sticky error loses the device. */
void driver_plant_command(CUstream stream);

/* ---- memory.c ------------------------------------------------------------------------------------------ */

typedef struct {
    CUdeviceptr begin;
    size_t bytes;
    int device; /* -1: pinned memory of the host, whose device address is the host's */
    bool alive;
    unsigned char *host;    /* where the bytes are */
    unsigned char *written; /* a bit per 4 bytes, or NULL: P2P_MACHINE_UNINITIALIZED */
} driver_allocation;

/* The allocation whose range has the address, also a dead one of a device; NULL if there is none. */
driver_allocation *driver_find(CUdeviceptr address);
/* Checks that a range lies in live memory that the device may access, else refuses. `what` is named. */
CUresult driver_check_range(int device, const char *what, CUdeviceptr begin, size_t bytes);
/* Memory of a device, without a call; false: there is none left. */
bool driver_take_memory(int device, size_t bytes, CUdeviceptr *address);
void driver_give_memory_back(CUdeviceptr address);
int driver_live_allocations(int device, size_t *bytes);
/* Drops the device's memory, when its context ends. */
void driver_release_memory(int device);
/* Notes that a range has been written, if that is watched. */
void driver_mark_written(CUdeviceptr begin, size_t bytes);

/* ---- race.c: what happens before what ------------------------------------------------------------------ */

/* For each stream, the number of its last command that happens before. */
typedef struct {
    uint32_t at[DRIVER_STREAMS];
} driver_clock;
void driver_clock_join(driver_clock *clock, const driver_clock *other);

/* Sorted by begin, without overlaps among those of the same access. */
typedef struct {
    CUdeviceptr begin, end;
} driver_interval;
typedef struct {
    driver_interval *reads, *writes;
    size_t read_count, write_count;
} driver_footprint;
void driver_footprint_free(driver_footprint *footprint);
/* Sorts and merges intervals; returns how many are left. */
size_t driver_merge(driver_interval *intervals, size_t count);

typedef struct driver_command driver_command;
/* Compares the footprint of a command that runs with those of all that aren't ordered with it, and refuses a
 * race. Takes ownership of the footprint. */
void driver_check_races(const driver_command *command, driver_footprint *footprint);
/* Drops commands that happen before all future ones. */
void driver_prune_history(void);
extern driver_clock driver_host_clock;

/* ---- stream.c ------------------------------------------------------------------------------------------ */

/* What an event stands for: a point of a stream. */
typedef struct {
    int users;
    bool done;
    driver_clock clock;
    uint64_t time; /* of the machine's clock, nanoseconds */
} driver_record;

typedef enum { DRIVER_RUN, DRIVER_RECORD, DRIVER_WAIT } driver_kind;

struct driver_command {
    driver_kind kind;
    char what[120];
    CUstream stream;
    uint32_t number; /* among the stream's, from 1 */
    uint64_t order;  /* among all commands */
    driver_clock clock;
    machine_range *ranges;
    int range_count;
    /* DRIVER_RUN. A kernel reports its own footprint: `launch` instead of `run`; it also returns its
     * duration. */
    machine_ready *ready;
    machine_run *run, *drop;
    uint64_t (*launch)(driver_command *command, driver_footprint *footprint);
    void *data;
    driver_record *record; /* DRIVER_RECORD, DRIVER_WAIT */
    driver_command *next;
};

struct CUstream_st {
    CUcontext context;
    int device;
    int slot; /* position in clocks */
    unsigned flags;
    driver_clock clock; /* of the last command given */
    driver_command *first, *last;
    int pending;
    bool hangs;       /* its commands do not run any more: P2P_MACHINE_FAIL */
    CUgraph captured; /* counts the commands given; NULL: the stream is not captured */
    pthread_t capturer;
    CUstream next;
};

/* Checks a stream handle: alive, not NULL, of the current context. Refuses otherwise. */
CUresult driver_check_stream(CUstream stream);
/* Takes a command that driver_new_command made, in the state of its stream. */
driver_command *driver_new_command(CUstream stream, driver_kind kind, const char *what);
void driver_give(driver_command *command);
/* Copies the ranges into the command after checking each. */
CUresult driver_set_ranges(driver_command *command, const machine_range *ranges, int count);
void driver_drop_command(driver_command *command);
/* Runs one command, in the order given or drawn; false if none can run. */
bool driver_step(void);
/* Runs commands until the stream is empty, or the record has been reached. */
void driver_drain(CUstream stream);
void driver_wait_record(driver_record *record, int device);
driver_record *driver_new_record(void);
void driver_drop_record(driver_record *record);
/* The name of a command that has not run and uses the allocation; NULL if there is none. */
const char *driver_pending_use(const driver_allocation *allocation);
extern CUstream driver_streams;
int driver_live_streams(int device);
void driver_release_streams(int device);
void driver_drop_pending(int device);

/* ---- capture.c ----------------------------------------------------------------------------------------- */

/* Refuses if the calling thread captures a stream: the call would end the capture. */
CUresult driver_check_no_capture(void);
/* Refuses if the stream is being captured. */
CUresult driver_check_not_captured(CUstream stream);
/* Counts and drops a command of a stream that is being captured. */
void driver_capture(driver_command *command);

/* ---- event.c ------------------------------------------------------------------------------------------- */

int driver_live_events(int device);
void driver_release_events(int device);

/* ---- module.c ------------------------------------------------------------------------------------------ */

int driver_live_modules(int device);
void driver_release_modules(int device);
/* True if an argument of a kernel's command points into the allocation. */
bool driver_kernel_uses(const driver_command *command, const driver_allocation *allocation);

/* ---- counters.c ---------------------------------------------------------------------------------------- */

void driver_write_counters(void);

#endif
