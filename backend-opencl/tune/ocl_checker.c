/* Comparison of a convolution's result with the expected one. See ocl_checker.h.
 *
 * Factors are whole numbers from -3 to 3, exact in every storage, so direct sums are exact and others
 * nearly so. Bounds of rounding errors are not checked here: the operation tests do that.
 */
#include "ocl_checker.h"

#include "device/ocl_buffer.h"
#include "device/ocl_error.h"
#include "device/ocl_queue.h"
#include "plan/ocl_plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 1 << 18,       /* elements transferred at a time */
    VALUES = 7,            /* from -3 to 3 */
    WHOLE_TERMS = 1 << 19, /* multiplications up to which every element is compared with the expected value */
    MOST_SAMPLES = 64,     /* otherwise so many elements */
    LEAST_SAMPLES = 4,     /* or fewer if each takes long */
    SAMPLE_TERMS = 1 << 18 /* multiplications for all samples together, about */
};

/* Tolerances relative to the magnitude of a typical result. The first is less than the effect of one
 * missing product in a million, and more than the rounding errors of Winograd's transforms; products in
 * bf16 have larger errors. A result stored in bf16 has only 8 significant bits in addition. */
static const double exact_share = 1e-3, bf16_share = 0.08, value_deviation = 4.0, stored_share = 1.0 / 128;

/* ---- Values ---------------------------------------------------------------------------------------- */

static int value_at(int role, int64_t index) {
    uint32_t h = (uint32_t)index * 2654435761u + (uint32_t)role * 40503u;
    h = (h ^ h >> 15) * 2246822519u;
    return (int)((h >> 16) % VALUES) - VALUES / 2;
}

static const p2p_tensor *tensor_of(const ocl_checker *o, int role) {
    return &o->op->t[o->roles.at[role]];
}

/* A tensor of `count` consecutive elements as the device stores them. */
static p2p_tensor row_of(p2p_type type, int64_t count) {
    return (p2p_tensor){.type = type, .layout = P2P_LAYOUT_plain, .n = 1, .c = 1, .h = 1, .w = count};
}

/* Encodes each of the values as the device stores it. */
static void encode_values(p2p_type type, unsigned char *codes) {
    double values[VALUES];
    const p2p_tensor row = row_of(type, VALUES);
    for (int i = 0; i < VALUES; i++) values[i] = i - VALUES / 2;
    p2p_tensor_pack(&row, values, P2P_TYPE_f64, codes);
}

/* ---- Operands -------------------------------------------------------------------------------------- */

static p2p_status no_memory(void) {
    return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory to check a convolution");
}

static p2p_status write_piece(const ocl_checker *o, int role, int64_t first, int64_t count,
                              const unsigned char *codes, unsigned char *piece) {
    const size_t bytes = p2p_type_bytes(tensor_of(o, role)->type);
    for (int64_t i = 0; i < count; i++)
        memcpy(piece + (size_t)i * bytes, codes + (size_t)(value_at(role, first + i) + VALUES / 2) * bytes,
               bytes);
    const p2p_binding to = {o->buffer[role], (size_t)first * bytes};
    P2P_TRY(ocl_buffer_write(o->device, to, piece, (size_t)count * bytes));
    return ocl_queue_finish(o->device);
}

/* Fills every stored element, including lanes that are not channels: no kernel may use those of an
 * activation. */
static p2p_status fill(const ocl_checker *o, int role) {
    unsigned char codes[VALUES * sizeof(double)];
    const p2p_tensor *t = tensor_of(o, role);
    const int64_t count = p2p_tensor_stored(t);
    unsigned char *piece = malloc(PIECE * p2p_type_bytes(t->type));
    if (!piece) return no_memory();
    encode_values(t->type, codes);
    p2p_status status = P2P_OK;
    for (int64_t first = 0; first < count && status == P2P_OK; first += PIECE)
        status = write_piece(o, role, first, count - first < PIECE ? count - first : PIECE, codes, piece);
    free(piece);
    return status;
}

/* Fills a filter whose channels do not fill its blocks: the remaining lanes are zero, and kernels rely on
 * it. */
static p2p_status fill_padded(const ocl_checker *o, int role) {
    unsigned char codes[VALUES * sizeof(double)];
    const p2p_tensor *t = tensor_of(o, role);
    const size_t bytes = p2p_type_bytes(t->type);
    unsigned char *all = calloc(1, p2p_tensor_bytes(t));
    if (!all) return no_memory();
    encode_values(t->type, codes);
    for (int64_t n = 0; n < t->n; n++)
        for (int64_t c = 0; c < t->c; c++)
            for (int64_t h = 0; h < t->h; h++)
                for (int64_t w = 0; w < t->w; w++) {
                    const int64_t at = p2p_tensor_index(t, n, c, h, w);
                    memcpy(all + (size_t)at * bytes,
                           codes + (size_t)(value_at(role, at) + VALUES / 2) * bytes, bytes);
                }
    const p2p_binding to = {o->buffer[role], 0};
    p2p_status status = ocl_buffer_write(o->device, to, all, p2p_tensor_bytes(t));
    if (status == P2P_OK) status = ocl_queue_finish(o->device);
    free(all);
    return status;
}

static bool has_padding(const p2p_tensor *t) {
    return p2p_tensor_stored(t) != p2p_tensor_elements(t);
}

ocl_checker_roles ocl_checker_roles_of(p2p_kind kind) {
    switch (kind) {
    case P2P_KIND_conv_bwd_data:
        return (ocl_checker_roles){{P2P_AT_conv_bwd_data_dx, P2P_AT_conv_bwd_data_w, P2P_AT_conv_bwd_data_dy},
                                   OCL_CHECK_X};
    case P2P_KIND_conv_bwd_filter:
        return (ocl_checker_roles){
            {P2P_AT_conv_bwd_filter_x, P2P_AT_conv_bwd_filter_dw, P2P_AT_conv_bwd_filter_dy}, OCL_CHECK_W};
    default:
        return (ocl_checker_roles){{P2P_AT_conv_fwd_x, P2P_AT_conv_fwd_w, P2P_AT_conv_fwd_y}, OCL_CHECK_Y};
    }
}

/* The largest number of products summed in one element. */
static double terms(const ocl_checker *o) {
    const p2p_tensor *w = tensor_of(o, OCL_CHECK_W), *y = tensor_of(o, OCL_CHECK_Y);
    const int64_t stride = ocl_stride(o->op);
    if (o->roles.result == OCL_CHECK_W) return (double)y->n * (double)(y->h * y->w);
    if (o->roles.result == OCL_CHECK_Y) return (double)w->c * (double)(w->h * w->w);
    return (double)w->n * (double)(ocl_divide_up(w->h, stride) * ocl_divide_up(w->w, stride));
}

static double choose_tolerance(const ocl_checker *o) {
    const double share = o->op->math == P2P_MATH_stored ? exact_share : bf16_share;
    return share * value_deviation * sqrt(terms(o));
}

static p2p_status check_storage(const ocl_checker *o) {
    for (int role = 0; role < OCL_CHECK_ROLES; role++) {
        const p2p_type type = tensor_of(o, role)->type;
        if (type == P2P_TYPE_u8 || type == P2P_TYPE_u16 || type == P2P_TYPE_u32)
            return ocl_refuse(&o->device->target, o->op, "operands of whole numbers are not measured");
    }
    return P2P_OK;
}

/* ---- Expected values ------------------------------------------------------------------------------- */

static double given(const ocl_checker *o, int role, int64_t n, int64_t c, int64_t h, int64_t w) {
    return value_at(role, p2p_tensor_index(tensor_of(o, role), n, c, h, w));
}

static double true_output(const ocl_checker *o, int64_t n, int64_t k, int64_t i, int64_t j) {
    const p2p_tensor *x = tensor_of(o, OCL_CHECK_X), *f = tensor_of(o, OCL_CHECK_W);
    const int64_t top = i * ocl_stride(o->op) - o->op->pad_top,
                  left = j * ocl_stride(o->op) - o->op->pad_left;
    double sum = 0;
    for (int64_t r = 0; r < f->h; r++)
        for (int64_t s = 0; s < f->w; s++) {
            const int64_t h = top + r, w = left + s;
            if (h < 0 || h >= x->h || w < 0 || w >= x->w) continue;
            for (int64_t c = 0; c < f->c; c++)
                sum += given(o, OCL_CHECK_X, n, c, h, w) * given(o, OCL_CHECK_W, k, c, r, s);
        }
    return sum;
}

static double true_input(const ocl_checker *o, int64_t n, int64_t c, int64_t h, int64_t w) {
    const p2p_tensor *y = tensor_of(o, OCL_CHECK_Y), *f = tensor_of(o, OCL_CHECK_W);
    const int64_t stride = ocl_stride(o->op);
    double sum = 0;
    for (int64_t r = 0; r < f->h; r++)
        for (int64_t s = 0; s < f->w; s++) {
            const int64_t below = h + o->op->pad_top - r, right = w + o->op->pad_left - s;
            const int64_t i = below / stride, j = right / stride;
            if (below < 0 || right < 0 || below % stride || right % stride || i >= y->h || j >= y->w)
                continue;
            for (int64_t k = 0; k < f->n; k++)
                sum += given(o, OCL_CHECK_Y, n, k, i, j) * given(o, OCL_CHECK_W, k, c, r, s);
        }
    return sum;
}

static double true_filter(const ocl_checker *o, int64_t k, int64_t c, int64_t r, int64_t s) {
    const p2p_tensor *x = tensor_of(o, OCL_CHECK_X), *y = tensor_of(o, OCL_CHECK_Y);
    double sum = 0;
    for (int64_t n = 0; n < y->n; n++)
        for (int64_t i = 0; i < y->h; i++)
            for (int64_t j = 0; j < y->w; j++) {
                const int64_t h = i * ocl_stride(o->op) - o->op->pad_top + r;
                const int64_t w = j * ocl_stride(o->op) - o->op->pad_left + s;
                if (h < 0 || h >= x->h || w < 0 || w >= x->w) continue;
                sum += given(o, OCL_CHECK_X, n, c, h, w) * given(o, OCL_CHECK_Y, n, k, i, j);
            }
    return sum;
}

static double true_value(const ocl_checker *o, const int64_t at[4]) {
    if (o->roles.result == OCL_CHECK_Y) return true_output(o, at[0], at[1], at[2], at[3]);
    if (o->roles.result == OCL_CHECK_X) return true_input(o, at[0], at[1], at[2], at[3]);
    return true_filter(o, at[0], at[1], at[2], at[3]);
}

/* The position of a sample. Sample i of a complete check is logical element i. Otherwise the first samples
 * are two corners, where padding is, then pseudo-random elements. */
static void sample_position(const ocl_checker *o, int64_t sample, int64_t at[4]) {
    const p2p_tensor *t = tensor_of(o, o->roles.result);
    const int64_t extents[] = {t->n, t->c, t->h, t->w};
    for (int d = 3; d >= 0 && o->complete; d--) {
        at[d] = sample % extents[d];
        sample /= extents[d];
    }
    for (int d = 0; d < 4 && !o->complete; d++) {
        const uint32_t draw = ((uint32_t)sample * 4 + (uint32_t)d) * 2654435761u >> 8;
        at[d] = sample < 2 ? sample * (extents[d] - 1) : (int64_t)draw % extents[d];
    }
}

static p2p_status find_truth(ocl_checker *o) {
    const double each = SAMPLE_TERMS / terms(o);
    const int64_t elements = p2p_tensor_elements(tensor_of(o, o->roles.result));
    o->complete = (double)elements * terms(o) <= WHOLE_TERMS;
    o->samples = each > MOST_SAMPLES ? MOST_SAMPLES : each < LEAST_SAMPLES ? LEAST_SAMPLES : (int)each;
    if (o->complete) o->samples = elements;
    o->truth = malloc((size_t)o->samples * sizeof *o->truth);
    if (!o->truth) return no_memory();
    for (int64_t i = 0; i < o->samples; i++) {
        int64_t at[4];
        sample_position(o, i, at);
        o->truth[i] = true_value(o, at);
    }
    return P2P_OK;
}

/* ---- Opening, closing and samples ------------------------------------------------------------------ */

p2p_status ocl_checker_open(ocl_checker *o, p2p_be_device *device, const p2p_op *op) {
    *o = (ocl_checker){.device = device, .op = op, .roles = ocl_checker_roles_of(op->kind)};
    P2P_TRY(check_storage(o));
    o->tolerance = choose_tolerance(o);
    P2P_TRY(find_truth(o));
    for (int role = 0; role < OCL_CHECK_ROLES; role++)
        P2P_TRY(ocl_buffer_create(device, p2p_tensor_bytes(tensor_of(o, role)), &o->buffer[role]));
    P2P_TRY(ocl_buffer_create(device, p2p_tensor_bytes(tensor_of(o, o->roles.result)), &o->accepted));
    for (int role = 0; role < OCL_CHECK_ROLES; role++) {
        if (role == o->roles.result) continue;
        const bool padded = role == OCL_CHECK_W && has_padding(tensor_of(o, role));
        P2P_TRY(padded ? fill_padded(o, role) : fill(o, role));
    }
    return P2P_OK;
}

void ocl_checker_close(ocl_checker *o) {
    for (int role = 0; role < OCL_CHECK_ROLES; role++)
        if (o->buffer[role]) ocl_buffer_destroy(o->device, o->buffer[role]);
    if (o->accepted) ocl_buffer_destroy(o->device, o->accepted);
    free(o->truth);
}

p2p_status ocl_checker_prepare(ocl_checker *o) {
    const size_t bytes = p2p_tensor_bytes(tensor_of(o, o->roles.result)), most = PIECE * sizeof(float);
    unsigned char *nans = malloc(most);
    if (!nans) return no_memory();
    memset(nans, 0xFF, most);
    p2p_status status = P2P_OK;
    for (size_t at = 0; at < bytes && status == P2P_OK; at += most) {
        const p2p_binding to = {o->buffer[o->roles.result], at};
        status = ocl_buffer_write(o->device, to, nans, bytes - at < most ? bytes - at : most);
    }
    const p2p_status finished = ocl_queue_finish(o->device);
    free(nans);
    return status != P2P_OK ? status : finished;
}

/* False for NaN. */
static bool is_near(const ocl_checker *o, double got, double truth) {
    const bool rounded = tensor_of(o, o->roles.result)->type == P2P_TYPE_bf16;
    return fabs(got - truth) <= o->tolerance + (rounded ? stored_share * fabs(truth) : 0);
}

/* Reads stored elements from the device, and waits. */
static p2p_status read_raw(const ocl_checker *o, p2p_be_buffer *from, int64_t first, int64_t count,
                           void *raw) {
    const size_t bytes = p2p_type_bytes(tensor_of(o, o->roles.result)->type);
    P2P_TRY(
        ocl_buffer_read(o->device, (p2p_binding){from, (size_t)first * bytes}, raw, (size_t)count * bytes));
    return ocl_queue_finish(o->device);
}

static p2p_status read_element(const ocl_checker *o, const int64_t at[4], double *value) {
    const p2p_tensor *t = tensor_of(o, o->roles.result);
    const p2p_tensor row = row_of(t->type, 1);
    double stored = 0; /* room for any type */
    P2P_TRY(
        read_raw(o, o->buffer[o->roles.result], p2p_tensor_index(t, at[0], at[1], at[2], at[3]), 1, &stored));
    p2p_tensor_unpack(&row, &stored, value, P2P_TYPE_f64);
    return P2P_OK;
}

/* Reads all samples of a complete check: all elements in logical order. */
static p2p_status read_elements(const ocl_checker *o, double *values) {
    const p2p_tensor *t = tensor_of(o, o->roles.result);
    void *raw = malloc(p2p_tensor_bytes(t));
    const p2p_status status =
        raw ? read_raw(o, o->buffer[o->roles.result], 0, p2p_tensor_stored(t), raw) : no_memory();
    if (status == P2P_OK) p2p_tensor_unpack(t, raw, values, P2P_TYPE_f64);
    free(raw);
    return status;
}

static p2p_status read_samples(const ocl_checker *o, double *values) {
    if (o->complete) return read_elements(o, values);
    for (int64_t i = 0; i < o->samples; i++) {
        int64_t at[4];
        sample_position(o, i, at);
        P2P_TRY(read_element(o, at, &values[i]));
    }
    return P2P_OK;
}

static bool check_samples(const ocl_checker *o, const double *values, char why[OCL_CHECK_WHY]) {
    int64_t i = 0, at[4];
    while (i < o->samples && is_near(o, values[i], o->truth[i])) i++;
    if (i == o->samples) return true;
    sample_position(o, i, at);
    snprintf(why, OCL_CHECK_WHY, "element %lld %lld %lld %lld of %s came out as %g instead of %g",
             (long long)at[0], (long long)at[1], (long long)at[2], (long long)at[3],
             p2p_kind_name(o->op->kind), values[i], o->truth[i]);
    return false;
}

static p2p_status compare_samples(const ocl_checker *o, bool *right, char why[OCL_CHECK_WHY]) {
    double *values = malloc((size_t)o->samples * sizeof *values);
    const p2p_status status = values ? read_samples(o, values) : no_memory();
    *right = status == P2P_OK && check_samples(o, values, why);
    free(values);
    return status;
}

/* ---- All elements ---------------------------------------------------------------------------------- */

static p2p_status read_piece(const ocl_checker *o, p2p_be_buffer *from, int64_t first, int64_t count,
                             unsigned char *raw, double *values) {
    const p2p_tensor row = row_of(tensor_of(o, o->roles.result)->type, count);
    P2P_TRY(read_raw(o, from, first, count, raw));
    p2p_tensor_unpack(&row, raw, values, P2P_TYPE_f64);
    return P2P_OK;
}

/* A lane that is not a channel stays NaN in both. */
static bool agrees(const ocl_checker *o, double got, double accepted) {
    return is_near(o, got, accepted) || (isnan(got) && isnan(accepted));
}

static p2p_status compare_pieces(const ocl_checker *o, unsigned char *raw, double *got, double *accepted,
                                 bool *right, char why[OCL_CHECK_WHY]) {
    const int64_t all = p2p_tensor_stored(tensor_of(o, o->roles.result));
    for (int64_t first = 0; first < all && *right; first += PIECE) {
        const int64_t count = all - first < PIECE ? all - first : PIECE;
        P2P_TRY(read_piece(o, o->buffer[o->roles.result], first, count, raw, got));
        P2P_TRY(read_piece(o, o->accepted, first, count, raw, accepted));
        for (int64_t i = 0; i < count && *right; i++) {
            *right = agrees(o, got[i], accepted[i]);
            if (!*right)
                snprintf(why, OCL_CHECK_WHY, "stored element %lld came out as %g instead of %g",
                         (long long)(first + i), got[i], accepted[i]);
        }
    }
    return P2P_OK;
}

static p2p_status compare_all(const ocl_checker *o, bool *right, char why[OCL_CHECK_WHY]) {
    unsigned char *raw = malloc(PIECE * sizeof(double));
    double *values = malloc(2 * PIECE * sizeof *values);
    p2p_status status = raw && values ? P2P_OK : no_memory();
    if (status == P2P_OK) status = compare_pieces(o, raw, values, values + PIECE, right, why);
    free(raw);
    free(values);
    return status;
}

p2p_status ocl_checker_result(ocl_checker *o, bool *right, char why[OCL_CHECK_WHY]) {
    P2P_TRY(compare_samples(o, right, why));
    if (!*right) return P2P_OK;
    if (o->has_accepted) return compare_all(o, right, why);
    const p2p_binding from = {o->buffer[o->roles.result], 0}, to = {o->accepted, 0};
    P2P_TRY(ocl_buffer_copy(o->device, from, to, p2p_tensor_bytes(tensor_of(o, o->roles.result))));
    o->has_accepted = true;
    return ocl_queue_finish(o->device);
}

p2p_status ocl_checker_try(ocl_checker *o, ocl_plan_maker make, void *context, p2p_be_buffer *scratch,
                           p2p_be_op **made, bool *right, char why[OCL_CHECK_WHY]) {
    p2p_binding bindings[P2P_MAX_OPERANDS] = {{0}};
    for (int role = 0; role < OCL_CHECK_ROLES; role++) bindings[o->roles.at[role]].buffer = o->buffer[role];
    P2P_TRY(ocl_checker_prepare(o));
    P2P_TRY(ocl_op_create_by(o->device, make, context, o->op, bindings, (p2p_binding){scratch, 0}, made));
    P2P_TRY(ocl_op_run(o->device, *made));
    P2P_TRY(ocl_queue_finish(o->device));
    return ocl_checker_result(o, right, why);
}
