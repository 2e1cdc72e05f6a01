/* Shared by the tests of the CUDA machine: contexts, memory, and kernels given as PTX. */
#ifndef MACHINE_TEST_H
#define MACHINE_TEST_H

#include "machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assert_refused.h"

#define OK(call) assert_int_equal(call, CUDA_SUCCESS)

extern CUcontext contexts[2];

/* Nothing has been refused. */
void assert_not_refused(void);

/* Retains the contexts of both devices; device 0 is current. */
int setup_contexts(void **state);
int release_contexts(void **state);
/* Ends the context of device 0 after it was lost, and begins a new one. */
void recover(void);

CUstream new_stream(void);
CUevent new_event(unsigned flags);
CUdeviceptr new_memory(size_t bytes);
/* Memory with the bytes of `from`. */
CUdeviceptr new_copy(const void *from, size_t bytes);
/* The bytes of device memory, without a command. */
void read_memory(CUdeviceptr from, void *to, size_t bytes);
unsigned char *new_pinned(size_t bytes);

/* A module of one kernel `k` of the parameters p0, p1, ... (.u64 each), with the declarations and statements
 * of `body`. The registers %r<40> and %b<8> (b32), %x<40> (b64), %h<8> (b16) and %p<8> are declared; %r0 is
 * %tid.x. */
CUmodule load_kernel(const char *before, int params, const char *body);
CUfunction get_kernel(CUmodule module);

typedef struct {
    unsigned grid, block, shared;
} shape;
/* Launches and waits; returns what the wait returns. */
CUresult run_kernel(CUmodule module, shape s, const CUdeviceptr *params, int count);

#endif
