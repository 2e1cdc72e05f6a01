/* The double of cuDNN executes plans: every engine computes each kind of convolution within the bound of its
 * arithmetic; bits repeat where they are said to; each misuse, each race and each planted fault is found.
 * What planning refuses is compared with the real library by cudnn_compare.sh.
 *
 *     test_dnn_double          devices of compute capability 9.0
 *     test_dnn_double v100     a device that cuDNN does not serve any more
 */
#include "convolution_kinds.h"
#include "double_test.h"

#include <cudnn.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef cudnnBackendDescriptor_t descriptor;
enum { X = 1, W, Y }; /* ids of tensors */

static cudnnHandle_t handle;

/* ---- Descriptors --------------------------------------------------------------------------------------- */

static descriptor create(cudnnBackendDescriptorType_t type) {
    descriptor made;
    OK(cudnnBackendCreateDescriptor(type, &made));
    return made;
}

static void set(descriptor to, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                int64_t count, const void *values) {
    OK(cudnnBackendSetAttribute(to, name, type, count, values));
}

static int64_t get(descriptor from, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                   int64_t room, void *values) {
    int64_t count = 0;
    OK(cudnnBackendGetAttribute(from, name, type, room, &count, values));
    return count;
}

/* kind: 0 forward, 1 data gradient, 2 filter gradient. */
typedef struct {
    int kind;
    bool bf16;
    int64_t n, c, h, w, k, r, s, stride, pad;
    float alpha, beta;
} convolution;

static int64_t rows(const convolution *v) {
    return (v->h + 2 * v->pad - v->r) / v->stride + 1;
}

static int64_t columns(const convolution *v) {
    return (v->w + 2 * v->pad - v->s) / v->stride + 1;
}

static descriptor tensor(const convolution *v, int64_t id, int64_t n, int64_t c, int64_t h, int64_t w) {
    const cudnnDataType_t type = v->bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    const int64_t dim[4] = {n, c, h, w}, stride[4] = {c * h * w, 1, c * w, c}, alignment = 16;
    descriptor d = create(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    set(d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dim);
    set(d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, stride);
    set(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    set(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    OK(cudnnBackendFinalize(d));
    return d;
}

static descriptor convolution_of(const convolution *v) {
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const int64_t dims = 2, stride[2] = {v->stride, v->stride}, pad[2] = {v->pad, v->pad}, one[2] = {1, 1};
    descriptor d = create(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    set(d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums);
    set(d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set(d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dims);
    set(d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride);
    set(d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pad);
    set(d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pad);
    set(d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, one);
    OK(cudnnBackendFinalize(d));
    return d;
}

/* The graph keeps what it refers to. */
static descriptor graph_of(const convolution *v) {
    descriptor part[4] = {tensor(v, X, v->n, v->c, v->h, v->w), tensor(v, W, v->k, v->c, v->r, v->s),
                          tensor(v, Y, v->n, v->k, rows(v), columns(v)), convolution_of(v)};
    descriptor operation = create(kinds[v->kind].type),
               graph = create(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set(operation, kinds[v->kind].x, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part[0]);
    set(operation, kinds[v->kind].w, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part[1]);
    set(operation, kinds[v->kind].y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part[2]);
    set(operation, kinds[v->kind].convolution, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part[3]);
    set(operation, kinds[v->kind].alpha, CUDNN_TYPE_FLOAT, 1, &v->alpha);
    set(operation, kinds[v->kind].beta, CUDNN_TYPE_FLOAT, 1, &v->beta);
    OK(cudnnBackendFinalize(operation));
    set(graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    set(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &operation);
    OK(cudnnBackendFinalize(graph));
    for (int i = 0; i < 4; i++) OK(cudnnBackendDestroyDescriptor(part[i]));
    OK(cudnnBackendDestroyDescriptor(operation));
    return graph;
}

/* ---- Plans --------------------------------------------------------------------------------------------- */

typedef struct {
    descriptor plan; /* NULL: the engine has none */
    int64_t index, workspace;
    bool tensor, random;
} plan;
enum { MOST_PLANS = 64 };

static plan make_plan(descriptor configuration) {
    plan made = {.plan = create(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)};
    descriptor engine = create(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    cudnnBackendNumericalNote_t notes[20];
    get(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engine);
    get(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &made.index);
    const int64_t count = get(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, 20, notes);
    for (int64_t i = 0; i < count; i++) {
        made.tensor = made.tensor || notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        made.random = made.random || notes[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
    }
    set(made.plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    set(made.plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &configuration);
    if (cudnnBackendFinalize(made.plan) == CUDNN_STATUS_SUCCESS) {
        get(made.plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &made.workspace);
    } else {
        OK(cudnnBackendDestroyDescriptor(made.plan));
        made.plan = NULL;
    }
    OK(cudnnBackendDestroyDescriptor(engine));
    return made;
}

/* All plans of a list of the heuristics. */
static int64_t make_plans(const convolution *v, cudnnBackendHeurMode_t mode, plan plans[MOST_PLANS]) {
    descriptor graph = graph_of(v), heuristics = create(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR), c[MOST_PLANS];
    int64_t made = 0;
    set(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph);
    set(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    OK(cudnnBackendFinalize(heuristics));
    for (int i = 0; i < MOST_PLANS; i++) c[i] = create(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    const int64_t count =
        get(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST_PLANS, c);
    for (int64_t i = 0; i < count; i++) {
        plans[made] = make_plan(c[i]);
        if (plans[made].plan) made++;
    }
    for (int i = 0; i < MOST_PLANS; i++) OK(cudnnBackendDestroyDescriptor(c[i]));
    OK(cudnnBackendDestroyDescriptor(heuristics));
    OK(cudnnBackendDestroyDescriptor(graph));
    return made;
}

static void destroy_plans(plan plans[MOST_PLANS], int64_t count) {
    for (int64_t i = 0; i < count; i++) OK(cudnnBackendDestroyDescriptor(plans[i].plan));
}

static descriptor pack_with(const int64_t ids[3], CUdeviceptr x, CUdeviceptr w, CUdeviceptr y,
                            CUdeviceptr workspace) {
    void *pointers[3] = {test_pointer(y), test_pointer(x), test_pointer(w)}, *room = test_pointer(workspace);
    descriptor d = create(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    set(d, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3, ids);
    set(d, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3, pointers);
    set(d, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &room);
    return d;
}

static descriptor pack_of(CUdeviceptr x, CUdeviceptr w, CUdeviceptr y, CUdeviceptr workspace) {
    descriptor d = pack_with((const int64_t[3]){Y, X, W}, x, w, y, workspace);
    OK(cudnnBackendFinalize(d));
    return d;
}

static cudnnStatus_t execute(const plan *p, CUdeviceptr x, CUdeviceptr w, CUdeviceptr y,
                             CUdeviceptr workspace) {
    descriptor pack = pack_of(x, w, y, workspace);
    const cudnnStatus_t status = cudnnBackendExecute(handle, p->plan, pack);
    OK(cudnnBackendDestroyDescriptor(pack));
    return status;
}

/* ---- Results ------------------------------------------------------------------------------------------- */

enum { MOST_ELEMENTS = 1 << 16 };
static float values[3][MOST_ELEMENTS], result[MOST_ELEMENTS], again[MOST_ELEMENTS];
static double sums[MOST_ELEMENTS], sizes[MOST_ELEMENTS];

static size_t elements(const convolution *v, int operand) {
    if (operand == 0) return (size_t)(v->n * v->c * v->h * v->w);
    return (size_t)(operand == 1 ? v->k * v->c * v->r * v->s : v->n * v->k * rows(v) * columns(v));
}

static int output_of(const convolution *v) {
    return v->kind == 0 ? 2 : v->kind == 1 ? 0 : 1;
}

/* The sums of products in double, and of their magnitudes, by the definition of the forward convolution. */
static void compute(const convolution *v) {
    const int64_t p = rows(v), q = columns(v);
    memset(sums, 0, sizeof sums);
    memset(sizes, 0, sizeof sizes);
    for (int64_t at = 0; at < v->n * p * q * v->r * v->s; at++) {
        const int64_t s = at % v->s, r = at / v->s % v->r, column = at / v->s / v->r % q,
                      row = at / v->s / v->r / q % p, n = at / v->s / v->r / q / p,
                      i = row * v->stride - v->pad + r, j = column * v->stride - v->pad + s;
        if (i < 0 || i >= v->h || j < 0 || j >= v->w) continue;
        for (int64_t k = 0; k < v->k; k++)
            for (int64_t c = 0; c < v->c; c++) {
                const int64_t x = ((n * v->h + i) * v->w + j) * v->c + c,
                              w = ((k * v->r + r) * v->s + s) * v->c + c,
                              y = ((n * p + row) * q + column) * v->k + k;
                const double product = v->kind == 0   ? (double)values[0][x] * (double)values[1][w]
                                       : v->kind == 1 ? (double)values[1][w] * (double)values[2][y]
                                                      : (double)values[0][x] * (double)values[2][y];
                const int64_t to = v->kind == 0 ? y : v->kind == 1 ? x : w;
                sums[to] += product;
                sizes[to] += fabs(product);
            }
    }
}

/* Fills the operands, rounded to their type, and computes what is expected. */
static void prepare(const convolution *v, CUdeviceptr operand[3]) {
    for (int t = 0; t < 3; t++) {
        assert_true(elements(v, t) <= MOST_ELEMENTS);
        test_fill(values[t], elements(v, t), (uint32_t)(t + 1));
        if (v->bf16)
            for (size_t i = 0; i < elements(v, t); i++) values[t][i] = test_bf16(values[t][i]);
        operand[t] = test_floats(values[t], elements(v, t), v->bf16);
    }
    compute(v);
}

/* The largest error relative to the sum of magnitudes. */
static double error_of(const convolution *v) {
    const int output = output_of(v);
    double largest = 0;
    for (size_t i = 0; i < elements(v, output); i++) {
        const double before = v->beta != 0 ? (double)v->beta * (double)values[output][i] : 0,
                     wanted = (double)v->alpha * sums[i] + before,
                     size = fabs((double)v->alpha) * sizes[i] + fabs(before),
                     error = fabs((double)result[i] - wanted) / (size + 1e-30);
        largest = error > largest || isnan(error) ? error : largest;
    }
    return largest;
}

static void check_plan(const convolution *v, const plan *p) {
    CUdeviceptr operand[3];
    const int output = output_of(v);
    const CUdeviceptr workspace = p->workspace > 0 ? test_memory((size_t)p->workspace) : 0;
    prepare(v, operand);
    OK(execute(p, operand[0], operand[1], operand[2], workspace));
    test_read(0, operand[output], result, elements(v, output), v->bf16);
    const double error = error_of(v), bound = v->bf16 ? 1.0 / 256 : p->tensor ? 1.0 / 512 : 2e-6;
    if (!(error <= bound))
        fail_msg("engine %d, kind %d: error %g, bound %g", (int)p->index, v->kind, error, bound);
    if (p->tensor && !v->bf16) assert_true(error > 2e-6); /* it does round factors */
    test_release();
}

static const convolution cases[] = {
    {0, false, 2, 8, 9, 7, 16, 4, 4, 2, 1, 1, 0},  {0, false, 1, 12, 6, 6, 4, 3, 3, 1, 1, 0.5f, 1},
    {0, false, 1, 5, 5, 5, 3, 4, 4, 1, 1, 1, 0},   {0, false, 3, 8, 2, 2, 8, 4, 4, 2, 1, 1, 0},
    {0, false, 1, 64, 4, 4, 64, 3, 3, 1, 1, 1, 0}, {0, false, 1, 8, 6, 11, 8, 1, 1, 1, 0, 2, -1},
};

/* Every engine, kind and type; list A and B together have both kinds of engines. */
static void test_results(void **state) {
    (void)state;
    const cudnnBackendHeurMode_t modes[3] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int variant = 0; variant < 6; variant++) {
            convolution v = cases[i];
            v.kind = variant % 3;
            v.bf16 = variant >= 3;
            for (int m = 0; m < 3; m++) {
                plan plans[MOST_PLANS];
                const int64_t count = make_plans(&v, modes[m], plans);
                for (int64_t p = 0; p < count; p++)
                    if (plans[p].workspace < 1 << 20 || (i == 0 && m == 0)) check_plan(&v, &plans[p]);
                assert_true(m == 0 || count > 0);
                destroy_plans(plans, count);
            }
        }
}

/* Equal runs have equal bits unless the engine is marked; engines and knobs that add in another order differ.
 */
static void test_bits(void **state) {
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        const convolution v = {kind, false, 2, 64, 8, 8, 64, 4, 4, 2, 1, 1, 0};
        static float first[MOST_PLANS][256];
        plan plans[MOST_PLANS];
        const int64_t count = make_plans(&v, CUDNN_HEUR_MODE_B, plans);
        CUdeviceptr operand[3];
        int output = output_of(&v), kinds_of_bits = 0;
        prepare(&v, operand);
        for (int64_t p = 0; p < count; p++) {
            const CUdeviceptr workspace =
                plans[p].workspace > 0 ? test_memory((size_t)plans[p].workspace) : 0;
            bool equal = true;
            for (int run = 0; run < 6; run++) {
                OK(execute(&plans[p], operand[0], operand[1], operand[2], workspace));
                test_read(0, operand[output], run == 0 ? result : again, elements(&v, output), false);
                equal = equal && (run == 0 || memcmp(result, again, elements(&v, output) * 4) == 0);
            }
            assert_int_equal(equal, !plans[p].random);
            memcpy(first[p], result, sizeof first[p]);
            bool is_new = !plans[p].tensor && !plans[p].random;
            for (int64_t other = 0; other < p; other++)
                if (memcmp(first[other], first[p], sizeof first[p]) == 0) is_new = false;
            kinds_of_bits += is_new;
        }
        assert_true(kinds_of_bits >= 3);
        destroy_plans(plans, count);
    }
}

/* ---- Faults -------------------------------------------------------------------------------------------- */

static const convolution plain = {0, false, 1, 8, 8, 8, 8, 4, 4, 2, 1, 1, 0};

/* The first plan with or without workspace. */
static plan take_plan(const convolution *v, bool with_workspace) {
    plan plans[MOST_PLANS], found = {0};
    const int64_t count = make_plans(v, CUDNN_HEUR_MODE_B, plans);
    for (int64_t i = 0; i < count; i++)
        if (!found.plan && (plans[i].workspace > 0) == with_workspace && !plans[i].tensor && !plans[i].random)
            found = plans[i];
        else
            OK(cudnnBackendDestroyDescriptor(plans[i].plan));
    assert_non_null(found.plan);
    return found;
}

static void test_planted(void **state) {
    (void)state;
    char setting[64];
    const plan p = take_plan(&plain, false);
    CUdeviceptr operand[3];
    prepare(&plain, operand);
    snprintf(setting, sizeof setting, "version:9.10.2,wrong:%d", (int)p.index);
    setenv("P2P_MACHINE_CUDNN", setting, 1);
    assert_int_equal(cudnnGetVersion(), 91002);
    OK(execute(&p, operand[0], operand[1], operand[2], 0));
    test_read(0, operand[2], result, elements(&plain, 2), false);
    assert_true(error_of(&plain) > 1e-3);
    setenv("P2P_MACHINE_CUDNN", "wrong:1234,refuse:all", 1);
    assert_int_equal(execute(&p, operand[0], operand[1], operand[2], 0), CUDNN_STATUS_EXECUTION_FAILED);
    assert_int_equal(machine_refusals(), 0);
    unsetenv("P2P_MACHINE_CUDNN");
    OK(execute(&p, operand[0], operand[1], operand[2], 0));
    test_read(0, operand[2], result, elements(&plain, 2), false);
    assert_true(error_of(&plain) < 1e-6);
    OK(cudnnBackendDestroyDescriptor(p.plan));
}

static void test_refusals(void **state) {
    (void)state;
    const plan p = take_plan(&plain, false), q = take_plan(&plain, true);
    CUdeviceptr o[3];
    prepare(&plain, o);
    const CUdeviceptr workspace = test_memory((size_t)q.workspace),
                      small = test_memory((size_t)q.workspace - 4);
    test_enter(1);
    const CUdeviceptr far = test_memory(1 << 16);
    REFUSED(execute(&p, o[0], o[1], o[2], 0), "the handle is of device 0, but 1 is current");
    REFUSED(cudnnSetStream(handle, (cudaStream_t)test_devices[1].stream),
            "the handle is of device 0, but 1 is current");
    test_enter(0);
    REFUSED(cudnnSetStream(handle, (cudaStream_t)test_devices[1].stream),
            "the stream is of device 1, the handle of 0");
    REFUSED(cudnnSetStream(handle, NULL), "the stream is NULL");
    REFUSED(execute(&p, far, o[1], o[2], 0), "x is not in memory of device 0");
    REFUSED(execute(&p, o[0], o[1], far, 0), "y is not in memory of device 0");
    REFUSED(execute(&p, o[0] + 8, o[1], o[2], 0), "x is not aligned to 16 bytes");
    REFUSED(execute(&p, o[0], o[1], o[0], 0), "y overlaps x");
    REFUSED(execute(&p, o[0] + 64, o[1], o[2], 0), "x");
    REFUSED(execute(&q, o[0], o[1], o[2], 0), "bytes of workspace");
    REFUSED(execute(&q, o[0], o[1], o[2], small), "the workspace has");
    REFUSED(execute(&q, o[0], o[1], o[2], far), "the workspace is not in memory of device 0");
    REFUSED(execute(&q, o[0], o[1], o[2], workspace + 4), "the workspace is not aligned");
    REFUSED(execute(&q, o[0], o[1], o[2], o[0]), "overlaps");
    descriptor open = create(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR), pack = pack_of(o[0], o[1], o[2], 0);
    REFUSED(cudnnBackendExecute(handle, p.plan, open), "not finalized");
    REFUSED(cudnnBackendExecute(handle, pack, p.plan), "not an execution plan");
    REFUSED(cudnnBackendExecute((cudnnHandle_t)pack, p.plan, pack), "never was one");
    OK(cudnnBackendDestroyDescriptor(pack));
    REFUSED(cudnnBackendExecute(handle, p.plan, pack), "a descriptor that was destroyed");
    REFUSED(cudnnBackendDestroyDescriptor(pack), "a descriptor that was destroyed");
    OK(cudnnBackendDestroyDescriptor(open));
    descriptor other = pack_with((const int64_t[3]){Y, X, 9}, o[0], o[1], o[2], 0),
               twice = pack_with((const int64_t[3]){Y, X, X}, o[0], o[1], o[2], 0);
    OK(cudnnBackendFinalize(other));
    REFUSED(cudnnBackendExecute(handle, p.plan, other), "w is not in the variant pack");
    REFUSED(cudnnBackendFinalize(twice), "an id is twice in the variant pack");
    OK(cudnnBackendDestroyDescriptor(other));
    OK(cudnnBackendDestroyDescriptor(twice));
    cudnnHandle_t second;
    OK(cudnnCreate(&second));
    cudnnHandle_t first = handle;
    handle = second;
    REFUSED(execute(&p, o[0], o[1], o[2], 0), "the handle has no stream");
    handle = first;
    OK(cudnnDestroy(second));
    REFUSED(cudnnDestroy(second), "never was one");
    OK(cudnnBackendDestroyDescriptor(p.plan));
    OK(cudnnBackendDestroyDescriptor(q.plan));
}

/* A workspace that two streams use, and an operand that another stream writes. */
static void test_races(void **state) {
    (void)state;
    const plan q = take_plan(&plain, true);
    CUdeviceptr o[3], other[3];
    prepare(&plain, o);
    prepare(&plain, other);
    const CUdeviceptr workspace = test_memory((size_t)q.workspace), second = test_memory((size_t)q.workspace);
    OK(execute(&q, o[0], o[1], o[2], workspace));
    OK(cudnnSetStream(handle, (cudaStream_t)test_devices[0].other));
    OK(execute(&q, other[0], other[1], other[2], workspace));
    test_read(0, o[2], result, 1, false);
    assert_refused("race: cudnnBackendExecute and cudnnBackendExecute");
    OK(cudnnSetStream(handle, (cudaStream_t)test_devices[0].stream));
    OK(execute(&q, o[0], o[1], o[2], workspace));
    OK(cuMemsetD8Async(o[0], 0, 4, test_devices[0].other));
    test_read(0, o[2], result, 1, false);
    assert_refused("race: ");
    /* In one stream, or with a workspace for each, nothing is wrong. */
    OK(execute(&q, o[0], o[1], o[2], workspace));
    OK(execute(&q, o[0], o[1], o[2], workspace));
    OK(cudnnSetStream(handle, (cudaStream_t)test_devices[0].other));
    OK(execute(&q, other[0], other[1], other[2], second));
    test_read(0, o[2], result, 1, false);
    assert_int_equal(machine_refusals(), 0);
    OK(cudnnSetStream(handle, (cudaStream_t)test_devices[0].stream));
    OK(cudnnBackendDestroyDescriptor(q.plan));
}

typedef struct {
    const plan *plan;
    CUdeviceptr operand[3];
} user;

static void *use_handle(void *data) {
    const user *u = data;
    cuCtxSetCurrent(test_devices[0].context);
    descriptor pack = NULL;
    const double begun = test_clock();
    for (int i = 0; test_unrefused(begun); i++) {
        pack = pack_of(u->operand[0], u->operand[1], u->operand[2], 0);
        cudnnBackendExecute(handle, u->plan->plan, pack);
        cudnnBackendDestroyDescriptor(pack);
        if (i % 16 == 15) cuStreamSynchronize(test_devices[0].stream);
    }
    return NULL;
}

static void test_two_threads(void **state) {
    (void)state;
    const plan p = take_plan(&plain, false);
    user u = {.plan = &p};
    pthread_t thread[2];
    prepare(&plain, u.operand);
    for (int i = 0; i < 2; i++) OK(pthread_create(&thread[i], NULL, use_handle, &u));
    for (int i = 0; i < 2; i++) OK(pthread_join(thread[i], NULL));
    OK(cuStreamSynchronize(test_devices[0].stream));
    assert_refused("another thread is using the handle");
    OK(cudnnBackendDestroyDescriptor(p.plan));
}

/* ---- All ----------------------------------------------------------------------------------------------- */

static int setup(void **state) {
    test_open(state);
    OK(cudnnCreate(&handle));
    OK(cudnnSetStream(handle, (cudaStream_t)test_devices[0].stream));
    return 0;
}

static int teardown(void **state) {
    OK(cudnnDestroy(handle));
    return test_close(state);
}

/* cuDNN after 9.10 has no code for a V100. */
static void test_old_card(void **state) {
    (void)state;
    CUcontext context;
    cudnnHandle_t made;
    OK(cuInit(0));
    REFUSED(cudnnCreate(&made), "no context is current");
    OK(cuDevicePrimaryCtxRetain(&context, 0));
    OK(cuCtxSetCurrent(context));
    setenv("P2P_MACHINE_CUDNN", "version:9.11.0", 1);
    assert_int_equal(cudnnCreate(&made), CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH);
    setenv("P2P_MACHINE_CUDNN", "version:9.10.2", 1);
    OK(cudnnCreate(&made));
    OK(cudnnDestroy(made));
    OK(cuDevicePrimaryCtxRelease(0));
    assert_int_equal(machine_refusals(), 0);
}

/* Of two kinds of cards: a plan for the one is executed on the other. */
static void test_plan_of_another_card(void **state) {
    (void)state;
    const plan p = take_plan(&plain, false);
    const cudnnHandle_t first = handle;
    test_enter(1);
    OK(cudnnCreate(&handle));
    OK(cudnnSetStream(handle, (cudaStream_t)test_devices[1].stream));
    const CUdeviceptr memory = test_memory(1 << 16);
    REFUSED(execute(&p, memory, memory + (1 << 14), memory + (1 << 15), 0),
            "the plan was made for another device");
    OK(cudnnDestroy(handle));
    handle = first;
    test_enter(0);
    OK(cudnnBackendDestroyDescriptor(p.plan));
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_results), cmocka_unit_test(test_bits),
                                       cmocka_unit_test(test_planted), cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_races),   cmocka_unit_test(test_two_threads)};
    const struct CMUnitTest old[] = {cmocka_unit_test(test_old_card)};
    const struct CMUnitTest cards[] = {cmocka_unit_test(test_plan_of_another_card)};
    if (argc > 1 && strcmp(argv[1], "cards") == 0) return cmocka_run_group_tests(cards, setup, teardown);
    if (argc > 1 && strcmp(argv[1], "v100") == 0) return cmocka_run_group_tests(old, NULL, NULL);
    return cmocka_run_group_tests(tests, setup, teardown);
}
