/* The check mode of plans detects steps that read memory never written or produce a NaN or an infinity, and,
 * on devices with zero_padding, steps that leave padding lanes of activations that are not zero.
 *
 * Before a step, its scratch memory and the memory that it is the first to use are filled with NaN. After it,
 * every output is read back and its real elements are checked. Each step is waited for, so this is slow.
 * Results are bitwise those of other runs.
 */
#include "session.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static p2p_status write_and_wait(const plan_part *part, plan_address at, const void *bytes, size_t count) {
    P2P_TRY(p2p_buffer_write(part->device, session_place(part->session, part->replica, at), bytes, count));
    return p2p_device_finish(part->device);
}

/* All bits set is a NaN in every real type. Padding lanes of vectors and filters must stay zero; those of
 * activations are filled too. */
static p2p_status fill_with_nan(const plan_part *part, const plan_value *value) {
    size_t bytes = p2p_tensor_bytes(&value->tensor);
    size_t elements = (size_t)p2p_tensor_elements(&value->tensor);
    unsigned char *raw = calloc(1, bytes);
    double *host = malloc(elements * sizeof *host);
    p2p_status status = P2P_OK;
    if (!raw || !host) {
        status = p2p_fail(P2P_OUT_OF_MEMORY, "no host memory to check a value");
    } else {
        memset(host, 0xFF, elements * sizeof *host);
        if (value->role == IR_ACTIVATION) memset(raw, 0xFF, bytes);
        p2p_tensor_pack(&value->tensor, host, P2P_TYPE_f64, raw);
        status = write_and_wait(part, value->at, raw, bytes);
    }
    free(raw);
    free(host);
    return status;
}

static p2p_status fill_scratch(const plan_part *part, const plan_step *step) {
    const size_t bytes = step->query.scratch_bytes;
    if (bytes == 0) return P2P_OK;
    unsigned char *raw = malloc(bytes);
    if (!raw) return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory to check scratch memory");
    memset(raw, 0xFF, bytes);
    p2p_status status = write_and_wait(part, step->scratch, raw, bytes);
    free(raw);
    return status;
}

p2p_status plan_check_before(const plan_part *part, int s) {
    for (int v = 1; v < part->value_count; v++) {
        const plan_value *value = &part->values[v];
        bool fresh = value->origin == IR_LOCAL && value->first == s && value->last >= s;
        if (fresh) P2P_TRY(fill_with_nan(part, value));
    }
    return fill_scratch(part, &part->steps[s]);
}

/* Position of the first element in logical order that is not finite; -1 if all are. */
static int64_t find_bad(const double *host, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(host[i])) return i;
    return -1;
}

static p2p_status report(const plan_part *part, int s, int operand, int64_t position, double value) {
    const plan_step *step = &part->steps[s];
    const p2p_tensor *tensor = &step->op.t[operand];
    char text[P2P_OP_TEXT];
    p2p_op_print(&step->op, text, sizeof text);
    int64_t w = position % tensor->w, h = position / tensor->w % tensor->h;
    int64_t c = position / (tensor->w * tensor->h) % tensor->c;
    int64_t n = position / (tensor->w * tensor->h * tensor->c);
    return p2p_fail(P2P_FAILED,
                    "%s: step %d (layer %d, kernel %s): %s[%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64
                    "] is %f after: %s",
                    p2p_device_address(part->device), s, step->layer, step->query.kernel,
                    p2p_kind_operand_name(step->op.kind, operand), n, c, h, w, value, text);
}

/* Whether the operand is an activation whose padding lanes the step must have set to zero. */
static bool has_zero_padding(const plan_part *part, const plan_step *step, int operand) {
    return p2p_device_describe(part->device)->zero_padding && step->value[operand] &&
           part->values[step->value[operand]].role == IR_ACTIVATION &&
           p2p_tensor_owns_padding(&step->op.t[operand]);
}

static p2p_status check_padding(const plan_part *part, int s, int operand, const void *raw) {
    const plan_step *step = &part->steps[s];
    const int64_t at = p2p_tensor_find_padding(&step->op.t[operand], raw);
    char text[P2P_OP_TEXT];
    if (at < 0) return P2P_OK;
    p2p_op_print(&step->op, text, sizeof text);
    return p2p_fail(P2P_FAILED,
                    "%s: step %d (layer %d, kernel %s): stored element %" PRId64
                    " of %s, a padding lane, is not zero after: %s",
                    p2p_device_address(part->device), s, step->layer, step->query.kernel, at,
                    p2p_kind_operand_name(step->op.kind, operand), text);
}

static p2p_status check_operand(const plan_part *part, int s, int operand) {
    const plan_step *step = &part->steps[s];
    const p2p_tensor *tensor = &step->op.t[operand];
    size_t bytes = p2p_tensor_bytes(tensor);
    int64_t elements = p2p_tensor_elements(tensor);
    unsigned char *raw = malloc(bytes);
    double *host = malloc((size_t)elements * sizeof *host);
    p2p_status status = P2P_OK;
    if (!raw || !host) {
        status = p2p_fail(P2P_OUT_OF_MEMORY, "no host memory to check an output");
    } else {
        p2p_place place = session_place(part->session, part->replica, step->at[operand]);
        status = p2p_buffer_read(part->device, place, raw, bytes);
        if (status == P2P_OK) status = p2p_device_finish(part->device);
    }
    if (status == P2P_OK) {
        p2p_tensor_unpack(tensor, raw, host, P2P_TYPE_f64);
        int64_t bad = find_bad(host, elements);
        if (bad >= 0) status = report(part, s, operand, bad, host[bad]);
        if (bad < 0 && has_zero_padding(part, step, operand)) status = check_padding(part, s, operand, raw);
    }
    free(raw);
    free(host);
    return status;
}

p2p_status plan_check_after(const plan_part *part, int s) {
    const p2p_op *op = &part->steps[s].op;
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        bool written = p2p_op_operand_use(op, i) & P2P_OUT;
        if (written) P2P_TRY(check_operand(part, s, i));
    }
    return P2P_OK;
}
