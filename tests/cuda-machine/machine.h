/* What the CUDA driver made of software (libcuda.so.1 of this folder) offers to the doubles of the libraries
 * above it and to tests, beside the driver API. It is not part of CUDA: nothing outside tests/ includes it.
 *
 * A device address can't be dereferenced by the host: it lies in a reserved range without access.
 * machine_memory() returns the host's address of its bytes. Work of a library is given as a command of a
 * stream, with the ranges that it reads and writes: the ranges are checked when the command is given and
 * again when it runs, and are compared with those of every command that streams, events and waits of the host
 * don't order.
 *
 * Every function may be called from any thread. `run` and `ready` of a command are called with the machine's
 * lock held, on the waiting thread; they may call the functions of this header except
 * machine_enqueue*, and no function of the driver.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define MACHINE_EXPORT              __attribute__((visibility("default")))
#define MACHINE_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define MACHINE_EXPORT
#define MACHINE_PRINTF(text, first)
#endif

/* The exit status of a process in which a rule was violated, whatever it would have returned. */
enum { MACHINE_EXIT = 86 };

/* ---- Rules --------------------------------------------------------------------------------------------- */

/* Reports a violation of a rule: one line on stderr, and in the file P2P_MACHINE_LOG. The process exits with
 * MACHINE_EXIT. The text begins with the name of the call: "cublasGemmEx: the workspace is of device 1". */
MACHINE_EXPORT void machine_refuse(const char *format, ...) MACHINE_PRINTF(1, 2);

/* For tests of the refusals. The number of violations that are not forgiven, and the text of the last, "" if
 * none. */
MACHINE_EXPORT int machine_refusals(void);
MACHINE_EXPORT const char *machine_last_refusal(void);
/* Drops all violations; sticky errors of devices remain. */
MACHINE_EXPORT void machine_forgive(void);

/* ---- Devices ------------------------------------------------------------------------------------------- */

/* Positions as cuDeviceGet counts them. -1: no current context of the calling thread; no live stream (NULL
 * too). */
MACHINE_EXPORT int machine_current_device(void);
MACHINE_EXPORT int machine_stream_device(CUstream stream);

/* "NVIDIA A100-SXM4-80GB", 8, 0. Strings are constants. False: no such device. */
typedef struct {
    const char *name;
    int major, minor;
    int multiprocessors;
    size_t memory;
} machine_card;
MACHINE_EXPORT bool machine_device_card(int device, machine_card *card);

/* The error that ends the device's context, or CUDA_SUCCESS; and how to cause one. The first cause stays. */
MACHINE_EXPORT CUresult machine_device_error(int device);
MACHINE_EXPORT void machine_lose_device(int device, CUresult error, const char *why);

/* Makes a context the calling thread's without a call of the driver, in which a fault could be planted: the
 * faults of a library are those of its own calls. */
MACHINE_EXPORT void machine_use_context(CUcontext context);

/* ---- Memory -------------------------------------------------------------------------------------------- */

/* Where the host finds the bytes of a device address; NULL, without a report, if the address is not in live
 * memory of a device or in pinned memory. The bytes up to the end of the allocation follow. */
MACHINE_EXPORT void *machine_memory(CUdeviceptr address);

/* The allocation that an address is in. `device` is -1 for pinned memory of the host. False: none. */
typedef struct {
    CUdeviceptr begin;
    size_t bytes;
    int device;
} machine_allocation;
MACHINE_EXPORT bool machine_find(CUdeviceptr address, machine_allocation *found);

/* ---- Commands ------------------------------------------------------------------------------------------ */

typedef enum { MACHINE_READ = 1, MACHINE_WRITE = 2, MACHINE_UPDATE = 3 } machine_access;

/* `what` names the range in messages: "x", "workspace". A range of 0 bytes is ignored. */
typedef struct {
    const char *what;
    CUdeviceptr begin;
    size_t bytes;
    machine_access access;
} machine_range;

/* Appends a command to a stream. `what` is the call that gives it, copied, as are the ranges and `bytes`
 * bytes of `data`, of which `run` gets the copy, aligned for any type. It fails with
 * CUDA_ERROR_INVALID_VALUE, and a refusal, if a range is not within one allocation of the stream's device or
 * pinned memory; with CUDA_ERROR_INVALID_CONTEXT if the stream's context is not current on the calling
 * thread; with CUDA_ERROR_INVALID_HANDLE for a stream that isn't alive or the NULL stream. After CUDA_SUCCESS
 * `run` is called once, or never if the device is lost. */
typedef void machine_run(void *data);
MACHINE_EXPORT CUresult machine_enqueue(CUstream stream, const char *what, const machine_range *ranges,
                                        int count, machine_run *run, const void *data, size_t bytes);

/* The same, but the command runs only after `ready` has returned true. `ready` is called when the command is
 * the first of its stream, any number of times: a collective notes there that its rank has come. `drop` is
 * called once in place of `run` if the device is lost; it may be NULL. While no command can run, the machine
 * releases its lock and calls `ready` again every millisecond; after P2P_MACHINE_PATIENCE seconds (20) the
 * wait is refused as one that never ends. */
typedef bool machine_ready(void *data);
MACHINE_EXPORT CUresult machine_enqueue_when(CUstream stream, const char *what, const machine_range *ranges,
                                             int count, machine_ready *ready, machine_run *run,
                                             machine_run *drop, const void *data, size_t bytes);

/* Called by a command's `run`: the machine's clock advances by so many nanoseconds, beside those for the
 * bytes of its ranges. */
MACHINE_EXPORT void machine_spend(uint64_t nanoseconds);

/* ---- Faults and counters ------------------------------------------------------------------------------- */

/* P2P_MACHINE_FAIL="CALL:N:ERROR,..." makes the N-th call of CALL fail ("CALL:N+:ERROR": every one from the
 * N-th on). A double calls this at the start of each function with the function's exported name; the driver's
 * own calls do. NULL: continue; else ERROR as it was written, a constant: "CUDA_ERROR_OUT_OF_MEMORY",
 * "CUDNN_STATUS_NOT_SUPPORTED". `uses_device`: the call may reach the current device. After a sticky error of
 * the driver ("CUDA_ERROR_LAUNCH_FAILED") the current device is lost, and the double returns what its library
 * returns then. */
MACHINE_EXPORT const char *machine_should_fail(const char *call, bool uses_device);

/* Adds to the counter `counter` of `what` ("conv_fwd x=..."), written to P2P_MACHINE_COUNTERS when the
 * process ends. */
MACHINE_EXPORT void machine_count(const char *what, const char *counter, uint64_t value);

/* The value of a counter so far; 0 if nothing was counted. A kernel's counters have its name: "launches",
 * "warp_instructions", "global_sectors" and others (module.c). */
MACHINE_EXPORT uint64_t machine_counter(const char *what, const char *counter);

/* The next number of the sequence that P2P_MACHINE_SEED begins; 0 in every draw where the seed is 0 or not
 * set. */
MACHINE_EXPORT uint64_t machine_draw(void);

#endif
