/* Kernels on the CUDA machine: what lanes, warps and blocks do together is right in every order; every fault
 * of a kernel that the machine looks for is planted once, and found; counters are exact.
 * test_machine_arithmetic.c has the operations. */
#include "machine_test.h"

#include <pthread.h>

#include <stdio.h>

/* The address of element %r1 of 4 bytes of parameter `p` in %x`n`. */
#define ELEMENT(n, p, index)                                                                                 \
    "ld.param.u64 %x" n ", [" p "];\nmul.wide.u32 %x39, " index ", 4;\nadd.s64 %x" n ", %x" n ", %x39;\n"
#define GLOBAL_INDEX "mov.u32 %r2, %ctaid.x;\nmov.u32 %r3, %ntid.x;\nmad.lo.s32 %r1, %r2, %r3, %r0;\n"

static void unload(CUmodule module) {
    OK(cuModuleUnload(module));
}

/* ---- What is right ------------------------------------------------------------------------------------- */

/* Lanes take different branches, and loops of different lengths. */
static void test_divergence(void **state) {
    (void)state;
    CUmodule module = load_kernel(
        "", 1,
        GLOBAL_INDEX ELEMENT(
            "1", "p0", "%r1") "rem.u32 %r4, %r1, 3;\n"
                              "setp.eq.u32 %p1, %r4, 0;\n@%p1 bra ZERO;\n"
                              "setp.eq.u32 %p2, %r4, 1;\n@!%p2 bra TWO;\n"
                              "mov.u32 %r5, 0;\nmov.u32 %r6, 0;\n"
                              "LOOP:\nsetp.ge.u32 %p3, %r6, %r1;\n@%p3 bra DONE;\nadd.u32 %r5, %r5, %r6;\n"
                              "add.u32 %r6, %r6, 1;\nbra.uni LOOP;\nDONE:\nbra.uni STORE;\n"
                              "ZERO:\nmov.u32 %r5, 10;\nbra STORE;\n"
                              "TWO:\n@%p2 mov.u32 %r5, 5;\n@!%p2 neg.s32 %r5, %r1;\n"
                              "STORE:\nst.global.u32 [%x1], %r5;");
    const CUdeviceptr memory = new_memory(150 * 4);
    uint32_t values[150];
    OK(run_kernel(module, (shape){3, 50, 0}, &memory, 1));
    read_memory(memory, values, sizeof values);
    for (uint32_t i = 0; i < 150; i++)
        assert_int_equal(values[i], i % 3 == 0 ? 10 : i % 3 == 1 ? i * (i - 1) / 2 : 0 - i);
    assert_true(machine_counter("k", "divergent_branches") > 0);
    OK(cuMemFree(memory));
    unload(module);
}

#define SUM_TREE(barrier)                                                                                    \
    GLOBAL_INDEX ELEMENT("1", "p0",                                                                          \
                         "%r1") "ld.global.u32 %r5, [%x1];\n"                                                \
                                "mov.u32 %r6, tree;\nmad.lo.u32 %r7, %r0, 4, %r6;\n"                         \
                                "st.shared.u32 [%r7], %r5;\nmov.u32 %r8, 64;\n"                              \
                                "LOOP:\n" barrier "setp.ge.u32 %p1, %r0, %r8;\n@%p1 bra NEXT;\n"             \
                                "mad.lo.u32 %r9, %r8, 4, %r7;\nld.shared.u32 %r10, [%r9];\n"                 \
                                "ld.shared.u32 %r11, [%r7];\nadd.u32 %r11, %r11, %r10;\n"                    \
                                "st.shared.u32 [%r7], %r11;\n"                                               \
                                "NEXT:\nshr.u32 %r8, %r8, 1;\nsetp.ne.u32 %p2, %r8, 0;\n"                    \
                                "@%p2 bra LOOP;\nsetp.ne.u32 %p3, %r0, 0;\n@%p3 bra END;\n" ELEMENT(         \
                                    "2", "p1",                                                               \
                                    "%r2") "ld.shared.u32 %r12, [tree];\nst.global.u32 [%x2], %r12;\nEND:"

static const char *const tree = ".shared .align 4 .b8 tree[512];";

static void test_block_sums(void **state) {
    (void)state;
    CUmodule module = load_kernel(tree, 2, SUM_TREE("bar.sync 0;\n"));
    uint32_t values[640], sums[5];
    for (uint32_t i = 0; i < 640; i++) values[i] = i * i;
    const CUdeviceptr params[2] = {new_copy(values, sizeof values), new_memory(sizeof sums)};
    OK(run_kernel(module, (shape){5, 128, 0}, params, 2));
    read_memory(params[1], sums, sizeof sums);
    for (uint32_t b = 0; b < 5; b++) {
        uint32_t sum = 0;
        for (uint32_t i = 0; i < 128; i++) sum += values[128 * b + i];
        assert_int_equal(sums[b], sum);
    }
    assert_not_refused();
    for (int i = 0; i < 2; i++) OK(cuMemFree(params[i]));
    unload(module);
}

/* Sums by shuffles, votes and reductions of a warp. */
static void test_warp_operations(void **state) {
    (void)state;
    CUmodule module = load_kernel(
        "", 1,
        "mov.u32 %r1, %r0;\nmov.u32 %r2, 16;\n"
        "LOOP:\nshfl.sync.bfly.b32 %r3, %r1, %r2, 31, -1;\nadd.u32 %r1, %r1, %r3;\nshr.u32 %r2, %r2, 1;\n"
        "setp.ne.u32 %p1, %r2, 0;\n@%p1 bra LOOP;\n"
        "shfl.sync.down.b32 %r4|%p2, %r0, 3, 31, -1;\nselp.u32 %r5, %r4, 1000, %p2;\n"
        "shfl.sync.up.b32 %r6|%p3, %r0, 1, 0, -1;\nselp.u32 %r6, %r6, 2000, %p3;\n"
        "shfl.sync.idx.b32 %r7, %r0, 5, 6175, -1;\n" /* segments of 8 lanes: 0x181f */
        "setp.gt.u32 %p4, %r0, 11;\nvote.sync.ballot.b32 %r8, %p4, -1;\nvote.sync.any.pred %p5, %p4, -1;\n"
        "vote.sync.all.pred %p6, %p4, -1;\nselp.u32 %r9, 1, 0, %p5;\nselp.u32 %r10, 1, 0, %p6;\n"
        "redux.sync.max.u32 %r11, %r0, -1;\nactivemask.b32 %r12;\n"
        "ld.param.u64 %x1, [p0];\nmul.wide.u32 %x2, %r0, 32;\nadd.s64 %x1, %x1, %x2;\n"
        "st.global.v4.u32 [%x1], {%r1, %r5, %r6, %r7};\nst.global.v4.u32 [%x1+16], {%r8, %r9, %r10, %r11};");
    const CUdeviceptr memory = new_memory(32 * 32);
    uint32_t v[32][8];
    OK(run_kernel(module, (shape){1, 32, 0}, &memory, 1));
    read_memory(memory, v, sizeof v);
    for (uint32_t l = 0; l < 32; l++) {
        const uint32_t expected[8] = {
            496, l + 3 < 32 ? l + 3 : 1000, l > 0 ? l - 1 : 2000, (l & 24) + 5, 0xfffff000, 1, 0, 31};
        assert_memory_equal(v[l], expected, sizeof expected);
    }
    OK(cuMemFree(memory));
    unload(module);
}

static void test_atomics_and_globals(void **state) {
    (void)state;
    CUmodule module = load_kernel(
        ".global .align 4 .u32 total = 100;\n.const .align 4 .b8 table[8] = {1, 0, 0, 0, 5};", 1,
        "mov.u64 %x1, total;\natom.global.add.u32 %r1, [%x1], %r0;\nred.global.add.u32 [total], 1;\n"
        "mov.u64 %x3, table;\nld.const.u32 %r3, [%x3+4];\n"
        "ld.param.u64 %x2, [p0];\nred.global.max.u32 [%x2], %r0;\nred.global.add.u32 [%x2+4], %r3;\n"
        "bar.sync 0;\nsetp.ne.u32 %p1, %r0, 0;\n@%p1 bra END;\nld.global.u32 %r2, [total];\n"
        "st.global.u32 [%x2+8], %r2;\nEND:");
    const uint32_t zeros[3] = {0};
    uint32_t values[3];
    const CUdeviceptr memory = new_copy(zeros, sizeof zeros);
    OK(run_kernel(module, (shape){1, 64, 0}, &memory, 1));
    read_memory(memory, values, sizeof values);
    assert_int_equal(values[0], 63);
    assert_int_equal(values[1], 64 * 5);
    assert_int_equal(values[2], 100 + 64 * 63 / 2 + 64);
    OK(cuMemFree(memory));
    unload(module);
}

/* Narrow and wide accesses, local memory, generic addresses, packed registers. */
static void test_accesses(void **state) {
    (void)state;
    CUmodule module = load_kernel(
        "", 1,
        ".local .align 8 .b8 depot[16];\n.shared .align 8 .b8 room[512];\nld.param.u64 %x1, "
        "[p0];\nmul.wide.u32 %x2, %r0, 16;\n"
        "add.s64 %x1, %x1, %x2;\nld.global.s8 %r1, [%x1];\nld.global.u8 %r2, [%x1+1];\nld.global.s16 %r3, "
        "[%x1+2];\n"
        "ld.global.s32 %x3, [%x1+4];\nmov.u64 %x4, depot;\ncvta.local.u64 %x5, %x4;\nst.u64 [%x5+8], %x3;\n"
        "ld.local.u64 %x6, [%x4+8];\nmov.u64 %x7, room;\ncvta.shared.u64 %x8, %x7;\nmul.wide.u32 %x9, %r0, "
        "8;\n"
        "add.s64 %x8, %x8, %x9;\nst.u64 [%x8], %x6;\nld.u64 %x10, [%x8];\nmov.b64 {%r4, %r5}, %x10;\n"
        "mov.b32 {%h1, %h2}, %r4;\nmov.b32 %r6, {%h2, %h1};\nadd.s32 %r1, %r1, %r2;\nadd.s32 %r1, %r1, %r3;\n"
        "st.global.u8 [%x1+15], %r2;\nst.global.v2.u32 [%x1], {%r1, %r6};\nst.global.u32 [%x1+8], %r5;");
    unsigned char bytes[64][16];
    for (int i = 0; i < 64; i++)
        for (int j = 0; j < 16; j++) bytes[i][j] = (unsigned char)(i * 37 + j * 91 + 200);
    const CUdeviceptr memory = new_copy(bytes, sizeof bytes);
    int32_t values[64][4];
    OK(run_kernel(module, (shape){1, 64, 0}, &memory, 1));
    read_memory(memory, values, sizeof values);
    for (int i = 0; i < 64; i++) {
        int16_t half;
        int32_t word;
        memcpy(&half, &bytes[i][2], 2);
        memcpy(&word, &bytes[i][4], 4);
        assert_true(values[i][0] == (signed char)bytes[i][0] + bytes[i][1] + half);
        assert_int_equal((uint32_t)values[i][1], (uint32_t)word << 16 | (uint32_t)word >> 16);
        assert_true(values[i][2] == (word < 0 ? -1 : 0));
        assert_int_equal((uint32_t)values[i][3] >> 24, bytes[i][1]);
    }
    OK(cuMemFree(memory));
    unload(module);
}

/* ---- Faults of memory ---------------------------------------------------------------------------------- */

static const char *const store_index = GLOBAL_INDEX ELEMENT("1", "p0", "%r1") "st.global.u32 [%x1], %r1;";

/* Runs a kernel that must fail so, and begins a new context. */
static void assert_lost(const char *before, const char *body, shape s, CUdeviceptr param, CUresult error,
                        const char *words) {
    CUmodule module = load_kernel(before, 2, body);
    const CUdeviceptr params[2] = {param, param};
    assert_int_equal(run_kernel(module, s, params, 2), error);
    assert_refused(words);
    recover();
}

static void test_bounds(void **state) {
    (void)state;
    assert_lost("", store_index, (shape){2, 32, 0}, new_memory(63 * 4), CUDA_ERROR_ILLEGAL_ADDRESS,
                "4 bytes past the end of an allocation of 252");
    assert_lost("", store_index, (shape){1, 32, 0}, new_memory(128) + 2, CUDA_ERROR_MISALIGNED_ADDRESS,
                "misaligned store of 4 bytes");
    assert_lost("", store_index, (shape){1, 32, 0}, 4096, CUDA_ERROR_ILLEGAL_ADDRESS,
                "where no memory is, in kernel k");
    const CUdeviceptr freed = new_memory(128);
    OK(cuMemFree(freed));
    assert_lost("", store_index, (shape){1, 32, 0}, freed, CUDA_ERROR_ILLEGAL_ADDRESS,
                "in memory that has been freed");
    OK(cuCtxSetCurrent(contexts[1]));
    const CUdeviceptr other = new_memory(128);
    OK(cuCtxSetCurrent(contexts[0]));
    assert_lost("", store_index, (shape){1, 32, 0}, other, CUDA_ERROR_ILLEGAL_ADDRESS, "memory of device 1");
    OK(cuCtxSetCurrent(contexts[1]));
    OK(cuMemFree(other));
    OK(cuCtxSetCurrent(contexts[0]));
}

static void test_error_is_sticky(void **state) {
    (void)state;
    CUmodule module = load_kernel("", 1, store_index);
    const CUdeviceptr memory = new_memory(64);
    CUdeviceptr more;
    assert_int_equal(run_kernel(module, (shape){1, 32, 0}, &memory, 1), CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_refused("past the end");
    assert_int_equal(cuModuleUnload(module), CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_not_refused();
    assert_int_equal(cuMemAlloc(&more, 4), CUDA_ERROR_ILLEGAL_ADDRESS);
    assert_refused("cuMemAlloc_v2: device 0 was lost before");
    recover();
}

static void test_shared_faults(void **state) {
    (void)state;
    const char *room = ".shared .align 4 .b8 room[256];";
#define SHARED_AT "mov.u32 %r1, room;\nmad.lo.u32 %r2, %r0, 4, %r1;\n"
    assert_lost(room, SHARED_AT "st.shared.u32 [%r2+132], %r0;", (shape){1, 32, 0}, 0,
                CUDA_ERROR_ILLEGAL_ADDRESS, "up to byte 260 of 256 bytes of shared memory");
    assert_lost(room, SHARED_AT "ld.shared.u32 %r3, [%r2];", (shape){1, 32, 0}, 0, CUDA_ERROR_LAUNCH_FAILED,
                "is read before it was written");
    assert_lost(room, SHARED_AT "st.shared.u32 [%r2+2], %r0;", (shape){1, 32, 0}, 0,
                CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned");
}

/* A race in shared memory is a violation; the launch continues. */
static void assert_shared_race(const char *body, bool found) {
    CUmodule module = load_kernel(".shared .align 4 .b8 room[256];", 1, body);
    const CUdeviceptr none = 0;
    OK(run_kernel(module, (shape){1, 64, 0}, &none, 1));
    if (found)
        assert_refused("without a barrier between");
    else
        assert_not_refused();
    unload(module);
}

static void test_shared_races(void **state) {
    (void)state;
#define OPPOSITE  "xor.b32 %r3, %r0, 32;\nmad.lo.u32 %r4, %r3, 4, %r1;\n"
#define NEIGHBOUR "xor.b32 %r3, %r0, 1;\nmad.lo.u32 %r4, %r3, 4, %r1;\n"
    const char *store = SHARED_AT "st.shared.u32 [%r2], %r0;\n";
    char text[1024];
    const struct {
        const char *middle;
        bool race;
    } cases[] = {
        {OPPOSITE "ld.shared.u32 %r5, [%r4];", true},
        {"bar.sync 0;\n" OPPOSITE "ld.shared.u32 %r5, [%r4];", false},
        {"bar.sync 0;\n" OPPOSITE "ld.shared.u32 %r5, [%r4];\nst.shared.u32 [%r2], %r5;", true},
        {"bar.sync 0;\n" OPPOSITE "ld.shared.u32 %r5, [%r4];\nbar.sync 0;\nst.shared.u32 [%r2], %r5;", false},
        {OPPOSITE "st.shared.u32 [%r4], %r0;", true},
        {NEIGHBOUR "ld.shared.u32 %r5, [%r4];", true},
        {"bar.warp.sync -1;\n" NEIGHBOUR "ld.shared.u32 %r5, [%r4];", false},
        {"bar.warp.sync -1;\n" OPPOSITE "ld.shared.u32 %r5, [%r4];", true},
        {"ld.shared.u32 %r5, [%r2];\nst.shared.u32 [%r2], %r5;", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "%s%s", store, cases[i].middle);
        /* A store may find what another warp has read, or a load what it hasn't written yet: both are the
         * race. */
        CUmodule module = load_kernel(".shared .align 4 .b8 room[256];", 1, text);
        const CUdeviceptr none = 0;
        const CUresult result = run_kernel(module, (shape){1, 64, 0}, &none, 1);
        if (!cases[i].race) {
            assert_not_refused();
            OK(result);
        }
        if (cases[i].race && machine_refusals() == 0) fail_msg("case %zu: no race is found", i);
        machine_forgive();
        if (result != CUDA_SUCCESS)
            recover();
        else
            unload(module);
    }
    assert_shared_race(SHARED_AT "st.shared.u32 [%r1], 7;", true);
    assert_shared_race(SHARED_AT "setp.lt.u32 %p1, %r0, 32;\n@%p1 st.shared.u32 [%r1], 7;", false);
}

/* ---- Barriers and shuffles ----------------------------------------------------------------------------- */

static void test_barriers(void **state) {
    (void)state;
    const shape two_warps = {1, 64, 0};
    assert_lost("", "setp.gt.u32 %p1, %r0, 39;\n@%p1 ret;\nbar.sync 0;", two_warps, 0,
                CUDA_ERROR_LAUNCH_FAILED, "never come to a barrier at which others wait");
    assert_lost("", "setp.gt.u32 %p1, %r0, 31;\n@%p1 ret;\nbar.sync 0;", two_warps, 0,
                CUDA_ERROR_LAUNCH_FAILED, "never come to a barrier at which others wait");
    assert_lost("", "setp.gt.u32 %p1, %r0, 10;\n@%p1 bra B;\nbar.sync 0;\nbra END;\nB:\nbar.sync 0;\nEND:",
                two_warps, 0, CUDA_ERROR_LAUNCH_FAILED, "others at another");
    assert_lost("", "setp.gt.u32 %p1, %r0, 10;\n@%p1 bar.sync 0;", two_warps, 0, CUDA_ERROR_LAUNCH_FAILED,
                "a barrier whose predicate others don't share");
    assert_lost("", "trap;", two_warps, 0, CUDA_ERROR_LAUNCH_FAILED, "trap, in kernel k");
}

static void test_shuffles(void **state) {
    (void)state;
    const shape warp = {1, 32, 0};
    assert_lost("", "setp.gt.u32 %p1, %r0, 15;\n@%p1 bra END;\nshfl.sync.bfly.b32 %r1, %r0, 1, 31, -1;\nEND:",
                warp, 0, CUDA_ERROR_LAUNCH_FAILED, "wait for lanes that never come");
    assert_lost("",
                "setp.gt.u32 %p1, %r0, 15;\n@%p1 bra END;\nshfl.sync.bfly.b32 %r1, %r0, 16, 31, 65535;\nEND:",
                warp, 0, CUDA_ERROR_LAUNCH_FAILED, "which does not take part");
    assert_lost("", "shfl.sync.bfly.b32 %r1, %r0, 1, 31, 65535;", warp, 0, CUDA_ERROR_LAUNCH_FAILED,
                "not among those it names");
}

/* ---- Launches ------------------------------------------------------------------------------------------ */

static CUresult launch(CUmodule module, shape s, CUstream stream, CUdeviceptr param) {
    void *params[] = {&param};
    return cuLaunchKernel(get_kernel(module), s.grid, 1, 1, s.block, 1, 1, s.shared, stream, params, NULL);
}

static CUmodule load_text(const char *text) {
    CUmodule module = NULL;
    OK(cuModuleLoadData(&module, text));
    return module;
}

/* Launch bounds, which the compiler counts on, and more parameters than a launch has. */
static void test_kernel_limits(void **state) {
    (void)state;
    static unsigned char many[5000];
    CUmodule bounded = load_text(".version 8.0\n.target sm_70\n.address_size 64\n.visible .entry k()\n"
                                 ".maxntid 64, 1, 1\n{\nret;\n}\n"),
             long_one = load_text(".version 8.0\n.target sm_70\n.address_size 64\n.visible .entry k(.param "
                                  ".align 8 .b8 p0[5000])\n{\nret;\n}\n");
    CUstream stream = new_stream();
    void *params[] = {many};
    assert_int_equal(launch(bounded, (shape){1, 65, 0}, stream, 0), CUDA_ERROR_INVALID_VALUE);
    assert_refused("65 threads per block; its launch bounds are 64");
    assert_int_equal(cuLaunchKernel(get_kernel(long_one), 1, 1, 1, 1, 1, 1, 0, stream, params, NULL),
                     CUDA_ERROR_INVALID_VALUE);
    assert_refused("5000 bytes of parameters");
    assert_int_equal(cuLaunchKernel(get_kernel(bounded), 1, 1, 1, 1, 1, 1, 0, stream, NULL, (void *[]){NULL}),
                     CUDA_ERROR_INVALID_VALUE);
    assert_refused("extra parameters");
    unload(bounded);
    CUfunction function;
    assert_int_equal(cuModuleGetFunction(&function, bounded, "k"), CUDA_ERROR_INVALID_HANDLE);
    assert_refused("the module is not alive");
    assert_int_equal(cuModuleUnload(bounded), CUDA_ERROR_INVALID_HANDLE);
    assert_refused("the module is not alive");
    unload(long_one);
    OK(cuStreamDestroy(stream));
}

static void *end_of_another(void *stream) {
    CUgraph graph;
    cuCtxSetCurrent(contexts[0]);
    cuStreamEndCapture(stream, &graph);
    return NULL;
}

/* A kernel's first launch, an allocation, a wait and an unpinned copy are refused inside a capture. */
static void test_capture(void **state) {
    (void)state;
    CUmodule module = load_kernel("", 1, "");
    CUstream stream = new_stream();
    CUdeviceptr memory = new_memory(100), more;
    CUgraph graph;
    pthread_t thread;
    char pageable[100];
    assert_int_equal(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_ERROR_INVALID_VALUE);
    assert_refused("another thread's allocation would end the capture");
    assert_int_equal(cuStreamEndCapture(stream, &graph), CUDA_ERROR_ILLEGAL_STATE);
    assert_refused("the stream is not captured");
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    assert_int_equal(launch(module, (shape){1, 32, 0}, stream, 0), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    assert_refused("k is launched for the first time inside a capture");
    assert_int_equal(cuMemAlloc(&more, 100), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    assert_refused("a stream is being captured, which the call would end");
    assert_int_equal(cuStreamSynchronize(stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    assert_refused("the stream is being captured");
    assert_int_equal(cuMemcpyHtoDAsync(memory, pageable, 100, stream), CUDA_ERROR_INVALID_VALUE);
    assert_refused("not pinned memory");
    assert_int_equal(pthread_create(&thread, NULL, end_of_another, stream), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_refused("another thread began the capture");
    OK(cuStreamEndCapture(stream, &graph));
    OK(cuGraphDestroy(graph));
    /* Launched before, it is captured, and does not run. */
    OK(launch(module, (shape){1, 32, 0}, stream, 0));
    OK(cuStreamSynchronize(stream));
    OK(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    OK(launch(module, (shape){1, 32, 0}, stream, 0));
    OK(cuMemsetD8Async(memory, 1, 100, stream));
    OK(cuStreamEndCapture(stream, &graph));
    OK(cuStreamSynchronize(stream));
    assert_int_equal(((const unsigned char *)machine_memory(memory))[0], 0xff);
    OK(cuGraphDestroy(graph));
    assert_int_equal(cuGraphDestroy(graph), CUDA_ERROR_INVALID_VALUE);
    assert_refused("the graph is not alive");
    unload(module);
    OK(cuMemFree(memory));
    OK(cuStreamDestroy(stream));
}

static void test_launch_limits(void **state) {
    (void)state;
    CUmodule module =
        load_kernel(".extern .shared .align 16 .b8 dynamic[];", 1, "st.shared.u32 [dynamic], 1;");
    CUstream stream = new_stream();
    CUfunction function = get_kernel(module);
    int value;
    assert_int_equal(launch(module, (shape){1, 1025, 0}, stream, 0), CUDA_ERROR_INVALID_VALUE);
    assert_refused("a grid of 1 x 1 x 1 blocks of 1025 x 1 x 1 threads");
    assert_int_equal(launch(module, (shape){0, 32, 0}, stream, 0), CUDA_ERROR_INVALID_VALUE);
    assert_refused("a grid of 0");
    assert_int_equal(cuLaunchKernel(function, 1, 70000, 1, 32, 1, 1, 0, stream, NULL, NULL),
                     CUDA_ERROR_INVALID_VALUE);
    assert_refused("a grid of 1 x 70000");
    assert_int_equal(cuLaunchKernel(function, 1, 1, 1, 64, 32, 1, 0, stream, NULL, NULL),
                     CUDA_ERROR_INVALID_VALUE);
    assert_refused("2048 threads per block");
    assert_int_equal(cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 4, stream, NULL, NULL),
                     CUDA_ERROR_INVALID_VALUE);
    assert_refused("parameter 0 is missing");
    assert_int_equal(launch(module, (shape){1, 32, 50000}, stream, 0), CUDA_ERROR_INVALID_VALUE);
    assert_refused("50000 bytes of dynamic");
    OK(cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 100000));
    OK(launch(module, (shape){1, 1, 50000}, stream, 0));
    assert_int_equal(cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 232449),
                     CUDA_ERROR_INVALID_VALUE);
    assert_refused("the card has 232448");
    OK(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, function));
    assert_int_equal(value, 1024);
    assert_int_equal(launch(module, (shape){1, 32, 0}, NULL, 0), CUDA_ERROR_INVALID_HANDLE);
    assert_refused("the NULL stream");
    assert_int_equal(cuModuleUnload(module), CUDA_ERROR_ILLEGAL_STATE);
    assert_refused("1 launches have not run");
    OK(cuStreamSynchronize(stream));
    OK(cuCtxSetCurrent(contexts[1]));
    CUstream other = new_stream();
    assert_int_equal(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 4, other, NULL, NULL),
                     CUDA_ERROR_INVALID_CONTEXT);
    assert_refused("the module is of device 0, the current context of 1");
    OK(cuStreamDestroy(other));
    OK(cuCtxSetCurrent(contexts[0]));
    unload(module);
    assert_int_equal(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 4, stream, NULL, NULL),
                     CUDA_ERROR_INVALID_HANDLE);
    assert_refused("the function is not alive");
    OK(cuStreamDestroy(stream));
}

/* ---- Races between kernels ----------------------------------------------------------------------------- */

/* Two kernels on two streams write `distance` elements apart. */
static void run_two(unsigned distance, bool ordered) {
    CUmodule module = load_kernel("", 1, store_index);
    CUstream one = new_stream(), two = new_stream();
    CUevent event = new_event(CU_EVENT_DISABLE_TIMING);
    const CUdeviceptr memory = new_memory(1024);
    OK(launch(module, (shape){1, 32, 0}, one, memory));
    OK(cuEventRecord(event, one));
    if (ordered) OK(cuStreamWaitEvent(two, event, 0));
    OK(launch(module, (shape){1, 32, 0}, two, memory + 4 * distance));
    OK(cuStreamSynchronize(one));
    OK(cuStreamSynchronize(two));
    OK(cuMemFree(memory));
    OK(cuEventDestroy(event));
    OK(cuStreamDestroy(one));
    OK(cuStreamDestroy(two));
    unload(module);
}

static void test_races(void **state) {
    (void)state;
    run_two(32, false);
    assert_not_refused();
    run_two(0, true);
    assert_not_refused();
    run_two(31, false);
    assert_refused("race: kernel k and kernel k both write byte 124 of an allocation of 1024");
}

/* Four blocks, each of which has 32 elements of its own. */
static void run_blocks(const char *body, bool race) {
    CUmodule module = load_kernel("", 1, body);
    uint32_t zeros[256] = {0};
    const CUdeviceptr memory = new_copy(zeros, sizeof zeros);
    OK(run_kernel(module, (shape){4, 32, 0}, &memory, 1));
    if (race)
        assert_refused("by this block and written or read by another one");
    else
        assert_not_refused();
    OK(cuMemFree(memory));
    unload(module);
}

static void test_races_of_blocks(void **state) {
    (void)state;
    const char *own = GLOBAL_INDEX ELEMENT("1", "p0", "%r1");
    char text[1000];
    const struct {
        const char *rest;
        bool race;
    } cases[] = {
        {"ld.global.u32 %r4, [%x1];\nst.global.u32 [%x1], %r4;", false},
        {"st.global.u32 [%x1], %r1;\nst.global.u32 [%x1+4], %r1;", true},
        {"ld.global.u32 %r4, [%x1+128];\nst.global.u32 [%x1], %r4;", true},
        {"ld.global.u32 %r4, [%x1+512];\nst.global.u32 [%x1], %r4;", false},
        {"ld.param.u64 %x2, [p0];\nld.global.u32 %r4, [%x2+768];\nst.global.u32 [%x1], %r4;", false},
        {"ld.param.u64 %x2, [p0];\nred.global.add.u32 [%x2+768], 1;\nst.global.u32 [%x1], %r4;", false},
        {"ld.param.u64 %x2, [p0];\nst.global.u32 [%x2+768], 1;", true},
        /* the last thread writes the lower half of the next block's first element, which writes the upper one
         */
        {"st.global.u16 [%x1+2], %r1;\nst.global.u16 [%x1+4], %r1;", false},
        {"st.global.u16 [%x1], %r1;\nst.global.u16 [%x1+4], %r1;", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "%s%s", own, cases[i].rest);
        run_blocks(text, cases[i].race);
    }
}

/* The last of four blocks of 64 threads sums the elements of all; its number is in the second parameter. */
#define LAST_BLOCK_SUMS(barrier, before, after, load)                                                        \
    GLOBAL_INDEX ELEMENT("1", "p0", "%r1")                                                                   \
        ELEMENT("3", "p0",                                                                                   \
                "%r0") "st.global.u32 [%x1], %r1;\n" barrier                                                 \
                       "setp.ne.u32 %p1, %r0, 0;\n@%p1 bra WAIT;\n" before                                   \
                       "ld.param.u64 %x2, [p1];\natom.global.inc.u32 %r4, [%x2], 3;\n" after                 \
                       "st.shared.u32 [number], %r4;\nWAIT:\nbar.sync 0;\nld.shared.u32 %r4, [number];\n"    \
                       "setp.ne.u32 %p2, %r4, 3;\n@%p2 bra END;\n" load ".u32 %r5, [%x3];\n" load            \
                       ".u32 %r6, [%x3+256];\n"                                                              \
                       "add.u32 %r5, %r5, %r6;\n" load ".u32 %r6, [%x3+512];\nadd.u32 %r5, %r5, %r6;\n" load \
                       ".u32 %r6, [%x3+768];\nadd.u32 %r5, %r5, %r6;\nst.global.u32 [%x3+1024], %r5;\nEND:"

/* Twice, because the counter must have returned to 0. */
static void run_last_block(const char *body, bool race) {
    CUmodule module = load_kernel(".shared .align 4 .b8 number[4];", 2, body);
    const uint32_t zeros[320] = {0};
    uint32_t sums[64];
    const CUdeviceptr params[2] = {new_copy(zeros, sizeof zeros), new_copy(zeros, 4)};
    for (int again = 0; again < 2; again++) {
        OK(run_kernel(module, (shape){4, 64, 0}, params, 2));
        if (race)
            assert_refused("is read by this block and written or read by another one");
        else
            assert_not_refused();
        read_memory(params[0] + 1024, sums, sizeof sums);
        for (uint32_t i = 0; i < 64; i++) assert_int_equal(sums[i], 4 * i + 6 * 64);
    }
    for (int i = 0; i < 2; i++) OK(cuMemFree(params[i]));
    unload(module);
}

static void test_order_of_blocks(void **state) {
    (void)state;
#define BARRIER "bar.sync 0;\n"
#define FENCE   "membar.gl;\n"
#define PAST    "ld.global.cg"
    run_last_block(LAST_BLOCK_SUMS(BARRIER, FENCE, FENCE, PAST), false);
    run_last_block(LAST_BLOCK_SUMS(BARRIER, "fence.acq_rel.gpu;\n", "fence.sc.sys;\n", "ld.volatile.global"),
                   false);
    run_last_block(LAST_BLOCK_SUMS("", FENCE, FENCE, PAST), true);
    run_last_block(LAST_BLOCK_SUMS(BARRIER, "", FENCE, PAST), true);
    run_last_block(LAST_BLOCK_SUMS(BARRIER, "membar.cta;\n", FENCE, PAST), true);
    run_last_block(LAST_BLOCK_SUMS(BARRIER, FENCE, "", PAST), true);
    run_last_block(LAST_BLOCK_SUMS(BARRIER, FENCE, FENCE, "ld.global"), true);
    run_last_block(LAST_BLOCK_SUMS(BARRIER, FENCE "st.global.u32 [%x1], %r1;\n", FENCE, PAST), true);
}

/* ---- Counters ------------------------------------------------------------------------------------------ */

static uint64_t count_of(const char *counter, CUmodule module, shape s, const CUdeviceptr *params) {
    const uint64_t before = machine_counter("k", counter);
    OK(run_kernel(module, s, params, 2));
    return machine_counter("k", counter) - before;
}

/* Two blocks load each of 32 elements with all lanes, in two loads: 4 sectors 4 times, twice by blocks. */
static void test_sectors_of_blocks(void **state) {
    (void)state;
    CUmodule module = load_kernel(
        "", 2,
        ELEMENT("1", "p0", "%r0")
            GLOBAL_INDEX ELEMENT("2", "p1", "%r1") "ld.global.u32 %r5, [%x1];\nld.global.u32 %r6, [%x1];\n"
                                                   "add.u32 %r5, %r5, %r6;\nst.global.u32 [%x2], %r5;");
    const CUdeviceptr params[2] = {new_memory(128), new_memory(256)};
    const shape two = {2, 32, 0};
    assert_int_equal(count_of("global_sectors", module, two, params), 4 * 4 + 8);
    assert_int_equal(count_of("block_sectors", module, two, params), 2 * 4 + 8);
    assert_int_equal(count_of("distinct_sectors", module, two, params), 4 + 8);
    unload(module);
    for (int i = 0; i < 2; i++) OK(cuMemFree(params[i]));
}

/* Stores with a stride, 1024 elements for each block: sectors of global memory, passes of shared memory. */
static void test_counters(void **state) {
    (void)state;
    static const struct {
        unsigned stride, sectors, conflicts;
    } cases[] = {{1, 4, 0}, {2, 8, 1}, {3, 12, 0}, {8, 32, 7}, {32, 32, 31}};
    CUmodule module = load_kernel(
        ".shared .align 4 .b8 room[4096];", 2,
        "ld.param.u32 %r3, [p1];\nmul.lo.u32 %r1, %r0, %r3;\nmov.u32 %r5, %ctaid.x;\n"
        "mad.lo.u32 %r6, %r5, 1024, %r1;\n" ELEMENT(
            "1", "p0", "%r6") "st.global.u32 [%x1], %r0;\nshl.b32 %r2, %r1, 2;\nmov.u32 %r4, room;\n"
                              "add.u32 %r2, %r2, %r4;\nst.shared.u32 [%r2], %r0;");
    const CUdeviceptr memory = new_memory(2 * 32 * 32 * 4);
    const shape one = {1, 32, 0}, two = {2, 32, 0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const CUdeviceptr params[2] = {memory, cases[i].stride};
        /* Memory begins at a sector, because allocations do. */
        for (int again = 0; again < 2; again++) {
            assert_int_equal(count_of("global_sectors", module, one, params), cases[i].sectors);
            assert_int_equal(count_of("distinct_sectors", module, one, params), cases[i].sectors);
            assert_int_equal(count_of("distinct_sectors", module, two, params), 2 * cases[i].sectors);
            assert_int_equal(count_of("global_sectors", module, two, params), 2 * cases[i].sectors);
            assert_int_equal(count_of("shared_conflicts", module, one, params), cases[i].conflicts);
            assert_int_equal(count_of("distinct_written_bytes", module, one, params), 128);
            assert_int_equal(count_of("launches", module, one, params), 1);
            assert_int_equal(count_of("warp_instructions", module, one, params), 14);
            assert_int_equal(count_of("lane_instructions", module, two, params), 2 * 14 * 32);
        }
    }
    unload(module);
    OK(cuMemFree(memory));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_divergence),
        cmocka_unit_test(test_block_sums),
        cmocka_unit_test(test_warp_operations),
        cmocka_unit_test(test_atomics_and_globals),
        cmocka_unit_test(test_accesses),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_error_is_sticky),
        cmocka_unit_test(test_shared_faults),
        cmocka_unit_test(test_shared_races),
        cmocka_unit_test(test_barriers),
        cmocka_unit_test(test_shuffles),
        cmocka_unit_test(test_launch_limits),
        cmocka_unit_test(test_kernel_limits),
        cmocka_unit_test(test_capture),
        cmocka_unit_test(test_races),
        cmocka_unit_test(test_races_of_blocks),
        cmocka_unit_test(test_order_of_blocks),
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_sectors_of_blocks),
    };
    return cmocka_run_group_tests(tests, setup_contexts, release_contexts);
}
