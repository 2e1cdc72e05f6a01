/* Comparison of a convolution's result with the expected one. See p2p_tune.h.
 *
 * Factors are whole numbers from -3 to 3, exact in every storage, so direct sums are exact and others
 * nearly so. Bounds of rounding errors are not checked here: the operation tests do that.
 */
#include "p2p_tune.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 1 << 18,       /* elements transferred at a time */
    NANS = 1 << 16,        /* bytes of NaN that are transferred; the device copies them further */
    VALUES = 7,            /* from -3 to 3 */
    WHOLE_TERMS = 1 << 19, /* multiplications up to which every element is compared with the expected value */
    MOST_SAMPLES = 64,     /* otherwise so many elements */
    LEAST_SAMPLES = 4,     /* or fewer if each takes long */
    SAMPLE_TERMS = 1 << 18, /* multiplications for all samples together, about */
    COMPARED = 1 << 20,     /* elements that are compared with another candidate's, at most */
    COMPARED_PIECES = 32    /* in so many pieces, if there are more */
};

/* Tolerances relative to the magnitude of a typical result. The first is less than the effect of one
 * missing product in a million, and more than the rounding errors of Winograd's transforms; products in
 * bf16 have larger errors. A result stored in bf16 has only 8 significant bits in addition. */
static const double exact_share = 1e-3, bf16_share = 0.08, value_deviation = 4.0, stored_share = 1.0 / 128;

/* ---- The device ------------------------------------------------------------------------------------ */

static p2p_status write_buffer(const p2p_tune_check *o, p2p_binding to, const void *from, size_t bytes) {
    return o->device.table->buffer_write(o->device.device, to, from, bytes);
}

static p2p_status read_buffer(const p2p_tune_check *o, p2p_binding from, void *to, size_t bytes) {
    return o->device.table->buffer_read(o->device.device, from, to, bytes);
}

static p2p_status copy_buffer(const p2p_tune_check *o, p2p_binding from, p2p_binding to, size_t bytes) {
    return o->device.table->buffer_copy(o->device.device, from, to, bytes);
}

static p2p_status finish(const p2p_tune_check *o) {
    p2p_ticket ticket;
    P2P_TRY(o->device.table->submit(o->device.device, &ticket));
    return o->device.table->wait(o->device.device, ticket);
}

static int64_t stride_of(const p2p_op *op) {
    return op->stride > 0 ? op->stride : 1;
}

/* ---- Values ---------------------------------------------------------------------------------------- */

static int value_at(int role, int64_t index) {
    uint32_t h = (uint32_t)index * 2654435761u + (uint32_t)role * 40503u;
    h = (h ^ h >> 15) * 2246822519u;
    return (int)((h >> 16) % VALUES) - VALUES / 2;
}

static const p2p_tensor *tensor_of(const p2p_tune_check *o, int role) {
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

static p2p_status no_memory(const p2p_tune_check *o) {
    return o->device.host->fail(P2P_OUT_OF_MEMORY, "no host memory to check a convolution");
}

static p2p_status write_piece(const p2p_tune_check *o, int role, int64_t first, int64_t count,
                              const unsigned char *codes, unsigned char *piece) {
    const size_t bytes = p2p_type_bytes(tensor_of(o, role)->type);
    for (int64_t i = 0; i < count; i++)
        memcpy(piece + (size_t)i * bytes, codes + (size_t)(value_at(role, first + i) + VALUES / 2) * bytes,
               bytes);
    const p2p_binding to = {o->buffer[role], (size_t)first * bytes};
    P2P_TRY(write_buffer(o, to, piece, (size_t)count * bytes));
    return finish(o);
}

/* Fills every stored element, including lanes that are not channels: unless the device keeps them zero, no
 * kernel may use those of an activation. */
static p2p_status fill(const p2p_tune_check *o, int role) {
    unsigned char codes[VALUES * sizeof(double)];
    const p2p_tensor *t = tensor_of(o, role);
    const int64_t count = p2p_tensor_stored(t);
    unsigned char *piece = malloc(PIECE * p2p_type_bytes(t->type));
    if (!piece) return no_memory(o);
    encode_values(t->type, codes);
    p2p_status status = P2P_OK;
    for (int64_t first = 0; first < count && status == P2P_OK; first += PIECE)
        status = write_piece(o, role, first, count - first < PIECE ? count - first : PIECE, codes, piece);
    free(piece);
    return status;
}

/* Fills an operand whose channels do not fill its blocks: the remaining lanes are zero, and kernels rely on
 * it. */
static p2p_status fill_padded(const p2p_tune_check *o, int role) {
    unsigned char codes[VALUES * sizeof(double)];
    const p2p_tensor *t = tensor_of(o, role);
    const size_t bytes = p2p_type_bytes(t->type);
    unsigned char *all = calloc(1, p2p_tensor_bytes(t));
    if (!all) return no_memory(o);
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
    p2p_status status = write_buffer(o, to, all, p2p_tensor_bytes(t));
    if (status == P2P_OK) status = finish(o);
    free(all);
    return status;
}

static bool has_padding(const p2p_tensor *t) {
    return p2p_tensor_stored(t) != p2p_tensor_elements(t);
}

p2p_tune_roles p2p_tune_roles_of(p2p_kind kind) {
    switch (kind) {
    case P2P_KIND_conv_bwd_data:
        return (p2p_tune_roles){{P2P_AT_conv_bwd_data_dx, P2P_AT_conv_bwd_data_w, P2P_AT_conv_bwd_data_dy},
                                P2P_TUNE_X};
    case P2P_KIND_conv_bwd_filter:
        return (p2p_tune_roles){
            {P2P_AT_conv_bwd_filter_x, P2P_AT_conv_bwd_filter_dw, P2P_AT_conv_bwd_filter_dy}, P2P_TUNE_W};
    default:
        return (p2p_tune_roles){{P2P_AT_conv_fwd_x, P2P_AT_conv_fwd_w, P2P_AT_conv_fwd_y}, P2P_TUNE_Y};
    }
}

/* The largest number of products summed in one element. */
static double terms(const p2p_tune_check *o) {
    const p2p_tensor *w = tensor_of(o, P2P_TUNE_W), *y = tensor_of(o, P2P_TUNE_Y);
    const int64_t stride = stride_of(o->op);
    if (o->roles.result == P2P_TUNE_W) return (double)y->n * (double)(y->h * y->w);
    if (o->roles.result == P2P_TUNE_Y) return (double)w->c * (double)(w->h * w->w);
    return (double)w->n * (double)(p2p_divide_up(w->h, stride) * p2p_divide_up(w->w, stride));
}

static double choose_tolerance(const p2p_tune_check *o) {
    const double share = o->op->math == P2P_MATH_stored ? exact_share : bf16_share;
    return share * value_deviation * sqrt(terms(o));
}

static p2p_status check_storage(const p2p_tune_check *o) {
    for (int role = 0; role < P2P_TUNE_ROLES; role++) {
        const p2p_type type = tensor_of(o, role)->type;
        if (type == P2P_TYPE_u8 || type == P2P_TYPE_u16 || type == P2P_TYPE_u32)
            return o->device.host->fail(P2P_UNSUPPORTED, "%s: operands of whole numbers are not measured",
                                        p2p_kind_name(o->op->kind));
    }
    return P2P_OK;
}

/* ---- Expected values ------------------------------------------------------------------------------- */

static double given(const p2p_tune_check *o, int role, int64_t n, int64_t c, int64_t h, int64_t w) {
    return value_at(role, p2p_tensor_index(tensor_of(o, role), n, c, h, w));
}

static double true_output(const p2p_tune_check *o, int64_t n, int64_t k, int64_t i, int64_t j) {
    const p2p_tensor *x = tensor_of(o, P2P_TUNE_X), *f = tensor_of(o, P2P_TUNE_W);
    const int64_t top = i * stride_of(o->op) - o->op->pad_top, left = j * stride_of(o->op) - o->op->pad_left;
    double sum = 0;
    for (int64_t r = 0; r < f->h; r++)
        for (int64_t s = 0; s < f->w; s++) {
            const int64_t h = top + r, w = left + s;
            if (h < 0 || h >= x->h || w < 0 || w >= x->w) continue;
            for (int64_t c = 0; c < f->c; c++)
                sum += given(o, P2P_TUNE_X, n, c, h, w) * given(o, P2P_TUNE_W, k, c, r, s);
        }
    return sum;
}

static double true_input(const p2p_tune_check *o, int64_t n, int64_t c, int64_t h, int64_t w) {
    const p2p_tensor *y = tensor_of(o, P2P_TUNE_Y), *f = tensor_of(o, P2P_TUNE_W);
    const int64_t stride = stride_of(o->op);
    double sum = 0;
    for (int64_t r = 0; r < f->h; r++)
        for (int64_t s = 0; s < f->w; s++) {
            const int64_t below = h + o->op->pad_top - r, right = w + o->op->pad_left - s;
            const int64_t i = below / stride, j = right / stride;
            if (below < 0 || right < 0 || below % stride || right % stride || i >= y->h || j >= y->w)
                continue;
            for (int64_t k = 0; k < f->n; k++)
                sum += given(o, P2P_TUNE_Y, n, k, i, j) * given(o, P2P_TUNE_W, k, c, r, s);
        }
    return sum;
}

static double true_filter(const p2p_tune_check *o, int64_t k, int64_t c, int64_t r, int64_t s) {
    const p2p_tensor *x = tensor_of(o, P2P_TUNE_X), *y = tensor_of(o, P2P_TUNE_Y);
    double sum = 0;
    for (int64_t n = 0; n < y->n; n++)
        for (int64_t i = 0; i < y->h; i++)
            for (int64_t j = 0; j < y->w; j++) {
                const int64_t h = i * stride_of(o->op) - o->op->pad_top + r;
                const int64_t w = j * stride_of(o->op) - o->op->pad_left + s;
                if (h < 0 || h >= x->h || w < 0 || w >= x->w) continue;
                sum += given(o, P2P_TUNE_X, n, c, h, w) * given(o, P2P_TUNE_Y, n, k, i, j);
            }
    return sum;
}

static double true_value(const p2p_tune_check *o, const int64_t at[4]) {
    if (o->roles.result == P2P_TUNE_Y) return true_output(o, at[0], at[1], at[2], at[3]);
    if (o->roles.result == P2P_TUNE_X) return true_input(o, at[0], at[1], at[2], at[3]);
    return true_filter(o, at[0], at[1], at[2], at[3]);
}

/* The position of a sample. Sample i of a complete check is logical element i. Otherwise the first samples
 * are two corners, where padding is, then pseudo-random elements. */
static void sample_position(const p2p_tune_check *o, int64_t sample, int64_t at[4]) {
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

static p2p_status find_truth(p2p_tune_check *o) {
    const double each = SAMPLE_TERMS / terms(o);
    const int64_t elements = p2p_tensor_elements(tensor_of(o, o->roles.result));
    o->complete = (double)elements * terms(o) <= WHOLE_TERMS;
    o->samples = each > MOST_SAMPLES ? MOST_SAMPLES : each < LEAST_SAMPLES ? LEAST_SAMPLES : (int)each;
    if (o->complete) o->samples = elements;
    o->truth = malloc((size_t)o->samples * sizeof *o->truth);
    if (!o->truth) return no_memory(o);
    for (int64_t i = 0; i < o->samples; i++) {
        int64_t at[4];
        sample_position(o, i, at);
        o->truth[i] = true_value(o, at);
    }
    return P2P_OK;
}

/* ---- Compared elements ----------------------------------------------------------------------------- */

/* The stored elements that are compared among candidates: `pieces` pieces of `count`, the last one possibly
 * less. */
typedef struct {
    int64_t all, count, pieces;
} sections;

static sections sections_of(const p2p_tune_check *o) {
    const int64_t all = p2p_tensor_stored(tensor_of(o, o->roles.result));
    if (all <= COMPARED) return (sections){all, all, 1};
    return (sections){all, COMPARED / COMPARED_PIECES, COMPARED_PIECES};
}

/* The first and the last piece are at the ends. */
static int64_t first_of(const sections *s, int64_t piece) {
    return s->pieces == 1 ? 0 : (s->all - s->count) * piece / (s->pieces - 1);
}

/* ---- Opening and closing --------------------------------------------------------------------------- */

/* Padding lanes of filters are zero on every device. */
static bool has_zero_padding(const p2p_tune_check *o, int role) {
    return (role == P2P_TUNE_W || o->device.info->zero_padding) && has_padding(tensor_of(o, role));
}

/* Creates the buffer to which the device gathers samples, or pieces. */
static p2p_status create_gathered(p2p_tune_check *o) {
    const sections s = sections_of(o);
    const size_t pieces = s.pieces > 1 ? COMPARED * p2p_type_bytes(tensor_of(o, o->roles.result)->type) : 0;
    const size_t samples = o->complete ? 0 : (size_t)o->samples * o->device.info->alignment;
    const size_t bytes = pieces > samples ? pieces : samples;
    if (bytes == 0) return P2P_OK;
    return o->device.table->buffer_create(o->device.device, bytes, &o->gathered);
}

p2p_status p2p_tune_check_open(p2p_tune_check *o, const p2p_tune_device *device, const p2p_op *op) {
    *o = (p2p_tune_check){.device = *device, .op = op, .roles = p2p_tune_roles_of(op->kind)};
    P2P_TRY(check_storage(o));
    o->tolerance = choose_tolerance(o);
    P2P_TRY(find_truth(o));
    P2P_TRY(create_gathered(o));
    for (int role = 0; role < P2P_TUNE_ROLES; role++)
        P2P_TRY(device->table->buffer_create(device->device, p2p_tensor_bytes(tensor_of(o, role)),
                                             &o->buffer[role]));
    for (int role = 0; role < P2P_TUNE_ROLES; role++) {
        if (role == o->roles.result) continue;
        P2P_TRY(has_zero_padding(o, role) ? fill_padded(o, role) : fill(o, role));
    }
    return P2P_OK;
}

void p2p_tune_check_close(p2p_tune_check *o) {
    for (int role = 0; role < P2P_TUNE_ROLES; role++)
        if (o->buffer[role]) o->device.table->buffer_destroy(o->device.device, o->buffer[role]);
    if (o->gathered) o->device.table->buffer_destroy(o->device.device, o->gathered);
    free(o->accepted);
    free(o->truth);
}

/* Copies the `done` bytes that the result begins with until they fill it. */
static p2p_status repeat_beginning(const p2p_tune_check *o, size_t done, size_t bytes) {
    p2p_be_buffer *result = o->buffer[o->roles.result];
    for (; done < bytes; done *= 2)
        P2P_TRY(copy_buffer(o, (p2p_binding){result, 0}, (p2p_binding){result, done},
                            bytes - done < done ? bytes - done : done));
    return P2P_OK;
}

p2p_status p2p_tune_check_prepare(p2p_tune_check *o) {
    const size_t bytes = p2p_tensor_bytes(tensor_of(o, o->roles.result)), some = bytes < NANS ? bytes : NANS;
    unsigned char *nans = malloc(some);
    if (!nans) return no_memory(o);
    memset(nans, 0xFF, some);
    p2p_status status = write_buffer(o, (p2p_binding){o->buffer[o->roles.result], 0}, nans, some);
    if (status == P2P_OK) status = repeat_beginning(o, some, bytes);
    const p2p_status finished = finish(o);
    free(nans);
    return status != P2P_OK ? status : finished;
}

/* ---- Samples --------------------------------------------------------------------------------------- */

/* False for NaN. */
static bool is_near(const p2p_tune_check *o, double got, double truth) {
    const bool rounded = tensor_of(o, o->roles.result)->type == P2P_TYPE_bf16;
    return fabs(got - truth) <= o->tolerance + (rounded ? stored_share * fabs(truth) : 0);
}

/* The stored elements from `first` on. */
static p2p_binding result_at(const p2p_tune_check *o, int64_t first) {
    const size_t bytes = p2p_type_bytes(tensor_of(o, o->roles.result)->type);
    return (p2p_binding){o->buffer[o->roles.result], (size_t)first * bytes};
}

/* Reads stored elements of the result from the device, and waits. */
static p2p_status read_raw(const p2p_tune_check *o, int64_t first, int64_t count, void *raw) {
    const size_t bytes = p2p_type_bytes(tensor_of(o, o->roles.result)->type);
    P2P_TRY(read_buffer(o, result_at(o, first), raw, (size_t)count * bytes));
    return finish(o);
}

/* Reads what was gathered, parts of `count` elements that are `distance` apart there, in one transfer. */
static p2p_status read_gathered(const p2p_tune_check *o, int64_t parts, size_t distance, void *raw) {
    P2P_TRY(read_buffer(o, (p2p_binding){o->gathered, 0}, raw, (size_t)parts * distance));
    return finish(o);
}

/* Reads all samples of a complete check: all elements in logical order. */
static p2p_status read_elements(const p2p_tune_check *o, double *values) {
    const p2p_tensor *t = tensor_of(o, o->roles.result);
    void *raw = malloc(p2p_tensor_bytes(t));
    const p2p_status status = raw ? read_raw(o, 0, p2p_tensor_stored(t), raw) : no_memory(o);
    if (status == P2P_OK) p2p_tensor_unpack(t, raw, values, P2P_TYPE_f64);
    free(raw);
    return status;
}

/* The device gathers the samples, because a transfer of each would take longer than their computation. */
static p2p_status gather_samples(const p2p_tune_check *o) {
    const p2p_tensor *t = tensor_of(o, o->roles.result);
    for (int64_t i = 0; i < o->samples; i++) {
        int64_t at[4];
        sample_position(o, i, at);
        P2P_TRY(copy_buffer(o, result_at(o, p2p_tensor_index(t, at[0], at[1], at[2], at[3])),
                            (p2p_binding){o->gathered, (size_t)i * o->device.info->alignment},
                            p2p_type_bytes(t->type)));
    }
    return P2P_OK;
}

static p2p_status read_samples(const p2p_tune_check *o, double *values) {
    const p2p_tensor row = row_of(tensor_of(o, o->roles.result)->type, 1);
    const size_t distance = o->device.info->alignment;
    if (o->complete) return read_elements(o, values);
    unsigned char *raw = malloc((size_t)o->samples * distance);
    p2p_status status = raw ? gather_samples(o) : no_memory(o);
    if (status == P2P_OK) status = read_gathered(o, o->samples, distance, raw);
    for (int64_t i = 0; i < o->samples && status == P2P_OK; i++)
        p2p_tensor_unpack(&row, raw + (size_t)i * distance, &values[i], P2P_TYPE_f64);
    free(raw);
    return status;
}

static bool check_samples(const p2p_tune_check *o, const double *values, char why[P2P_TUNE_WHY]) {
    int64_t i = 0, at[4];
    while (i < o->samples && is_near(o, values[i], o->truth[i])) i++;
    if (i == o->samples) return true;
    sample_position(o, i, at);
    snprintf(why, P2P_TUNE_WHY, "element %lld %lld %lld %lld of %s came out as %g instead of %g",
             (long long)at[0], (long long)at[1], (long long)at[2], (long long)at[3],
             p2p_kind_name(o->op->kind), values[i], o->truth[i]);
    return false;
}

static p2p_status compare_samples(const p2p_tune_check *o, bool *right, char why[P2P_TUNE_WHY]) {
    double *values = calloc((size_t)o->samples, sizeof *values);
    const p2p_status status = values ? read_samples(o, values) : no_memory(o);
    *right = values && status == P2P_OK && check_samples(o, values, why);
    free(values);
    return status;
}

/* ---- Pieces ---------------------------------------------------------------------------------------- */

static p2p_status read_raw_sections(const p2p_tune_check *o, const sections *s, void *raw) {
    const size_t bytes = (size_t)s->count * p2p_type_bytes(tensor_of(o, o->roles.result)->type);
    if (s->pieces == 1) return read_raw(o, 0, s->count, raw);
    for (int64_t i = 0; i < s->pieces; i++)
        P2P_TRY(copy_buffer(o, result_at(o, first_of(s, i)), (p2p_binding){o->gathered, (size_t)i * bytes},
                            bytes));
    return read_gathered(o, s->pieces, bytes, raw);
}

static p2p_status read_sections(const p2p_tune_check *o, const sections *s, float *values) {
    const p2p_type type = tensor_of(o, o->roles.result)->type;
    const p2p_tensor row = row_of(type, s->count * s->pieces);
    void *raw = malloc((size_t)(s->count * s->pieces) * p2p_type_bytes(type));
    const p2p_status status = raw ? read_raw_sections(o, s, raw) : no_memory(o);
    if (status == P2P_OK) p2p_tensor_unpack(&row, raw, values, P2P_TYPE_f32);
    free(raw);
    return status;
}

/* A lane that is not a channel stays NaN in both, where a device does not keep it zero. */
static bool agrees(const p2p_tune_check *o, double got, double accepted) {
    return is_near(o, got, accepted) || (isnan(got) && isnan(accepted));
}

static bool check_sections(const p2p_tune_check *o, const sections *s, const float *values,
                           char why[P2P_TUNE_WHY]) {
    int64_t i = 0;
    const int64_t count = s->count * s->pieces;
    while (i < count && agrees(o, (double)values[i], (double)o->accepted[i])) i++;
    if (i == count) return true;
    snprintf(why, P2P_TUNE_WHY, "stored element %lld came out as %g instead of %g",
             (long long)(first_of(s, i / s->count) + i % s->count), (double)values[i],
             (double)o->accepted[i]);
    return false;
}

/* Compares with the first correct candidate, or accepts the result as that. */
static p2p_status compare_sections(p2p_tune_check *o, bool *right, char why[P2P_TUNE_WHY]) {
    const sections s = sections_of(o);
    float *values = malloc((size_t)(s.count * s.pieces) * sizeof *values);
    const p2p_status status = values ? read_sections(o, &s, values) : no_memory(o);
    *right = values && status == P2P_OK && (!o->accepted || check_sections(o, &s, values, why));
    if (*right && !o->accepted)
        o->accepted = values;
    else
        free(values);
    return status;
}

p2p_status p2p_tune_check_result(p2p_tune_check *o, bool *right, char why[P2P_TUNE_WHY]) {
    P2P_TRY(compare_samples(o, right, why));
    return *right ? compare_sections(o, right, why) : P2P_OK;
}

/* ---- Operations ------------------------------------------------------------------------------------ */

void p2p_tune_check_bind(const p2p_tune_check *o, p2p_binding bindings[P2P_MAX_OPERANDS]) {
    for (int i = 0; i < P2P_MAX_OPERANDS; i++) bindings[i] = (p2p_binding){0};
    for (int role = 0; role < P2P_TUNE_ROLES; role++) bindings[o->roles.at[role]].buffer = o->buffer[role];
}

p2p_status p2p_tune_check_try(p2p_tune_check *o, p2p_be_op *op, bool *right, char why[P2P_TUNE_WHY]) {
    P2P_TRY(p2p_tune_check_prepare(o));
    P2P_TRY(o->device.table->op_run(o->device.device, op));
    P2P_TRY(finish(o));
    return p2p_tune_check_result(o, right, why);
}
