/* Conversion of descriptors to and from a line of text.
 *
 * The text may be typed on a command line to repeat a failed test, so parsing checks every character. It
 * checks spelling and validates each tensor; p2p_op_validate checks the operation. Numbers are in the C
 * locale, which p2p never changes.
 */
#include "op_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_BYTES = 160 };

static const char *const reductions[] = {"sum", "moments"};

enum { REDUCTION_COUNT = sizeof reductions / sizeof reductions[0] };

/* The name of a field's value; NULL if the field's values have no names. */
static const char *value_name(p2p_field field, int64_t value) {
    if ((field == P2P_FIELD_act || field == P2P_FIELD_act2) && value >= 0 && value < P2P_ACT_COUNT)
        return p2p_act_name((p2p_act)value);
    if (field == P2P_FIELD_math && value >= 0 && value < P2P_MATH_COUNT)
        return p2p_math_name((p2p_math)value);
    if (field == P2P_FIELD_reduction && value >= 0 && value < REDUCTION_COUNT) return reductions[value];
    return NULL;
}

/* ---- Printing ----------------------------------------------------------------------------------------- */

/* Text in a buffer of fixed size. `length` counts beyond its end, as snprintf does. */
typedef struct {
    char *text;
    size_t size, length;
} writer;

static void append(writer *out, const char *format, ...) P2P_PRINTF(2, 3);

static void append(writer *out, const char *format, ...) {
    size_t room = out->length < out->size ? out->size - out->length : 0;
    va_list args;
    va_start(args, format);
    int written = vsnprintf(room > 0 ? out->text + out->length : NULL, room, format, args);
    va_end(args);
    if (written > 0) out->length += (size_t)written;
}

/* Appends the shortest text that parses to an equal value: 100 rather than 1e+02, 0.1 rather than
 * 0.10000000000000001. */
static void append_real(writer *out, double value) {
    char shortest[40], digits[40];
    snprintf(shortest, sizeof shortest, "%.17g", value);
    for (int precision = 1; precision < 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strlen(digits) < strlen(shortest) && strtod(digits, NULL) == value) strcpy(shortest, digits);
    }
    append(out, "%s", shortest);
}

static void append_field(writer *out, const p2p_op *op, p2p_field field) {
    const p2p_field_info *info = &p2p_field_table[field];
    if (info->is_real) {
        double value = p2p_op_real_value(op, field);
        if (value == (double)info->default_value) return;
        append(out, " %s=", info->name);
        append_real(out, value);
        return;
    }
    int64_t value = p2p_op_int_value(op, field);
    if (value == info->default_value) return;
    const char *name = value_name(field, value);
    if (name != NULL)
        append(out, " %s=%s", info->name, name);
    else
        append(out, " %s=%" PRId64, info->name, value);
}

int p2p_op_print(const p2p_op *op, char *text, size_t size) {
    writer out = {.text = text, .size = size};
    append(&out, "%s", p2p_kind_name(op->kind));
    for (int i = 0; i < p2p_kind_operand_count(op->kind); i++) {
        if (!p2p_tensor_present(&op->t[i])) continue;
        char tensor[P2P_TENSOR_TEXT];
        p2p_tensor_print(&op->t[i], tensor, sizeof tensor);
        append(&out, " %s%s=%s", p2p_kind_operand_name(op->kind, i), p2p_op_accumulates(op, i) ? "+" : "",
               tensor);
    }
    for (p2p_field f = 0; f < P2P_FIELD_COUNT; f++) append_field(&out, op, f);
    return (int)out.length;
}

/* ---- Parsing ------------------------------------------------------------------------------------------ */

/* Copies the next run of non-blank characters; `token` is "" at the end of the text. Other than printable
 * characters are an error, so that messages can quote the token. */
static p2p_status next_token(const char **text, char token[TOKEN_BYTES]) {
    size_t length = 0;
    while (**text == ' ' || **text == '\t' || **text == '\n' || **text == '\r') ++*text;
    for (; **text != '\0' && strchr(" \t\n\r", **text) == NULL; ++*text) {
        unsigned char character = (unsigned char)**text;
        if (character < ' ' || character > '~')
            return p2p_fail(P2P_INVALID, "operation: byte 0x%02x is not part of any descriptor", character);
        if (length == TOKEN_BYTES - 1)
            return p2p_fail(P2P_INVALID, "operation: '%.40s...' is longer than any part of a descriptor",
                            token);
        token[length++] = (char)character;
        token[length] = '\0';
    }
    token[length] = '\0';
    return P2P_OK;
}

static p2p_status parse_kind(const char *name, p2p_kind *kind) {
    for (int i = 0; i < P2P_KIND_COUNT; i++)
        if (strcmp(name, p2p_kind_name((p2p_kind)i)) == 0) {
            *kind = (p2p_kind)i;
            return P2P_OK;
        }
    if (name[0] == '\0') return p2p_fail(P2P_INVALID, "operation: the text is empty");
    return p2p_fail(P2P_INVALID, "operation: there is no kind '%s'", name);
}

static p2p_status parse_int(const char *kind, p2p_field field, const char *text, int64_t *value) {
    for (int64_t i = 0; value_name(field, i) != NULL; i++)
        if (strcmp(text, value_name(field, i)) == 0) {
            *value = i;
            return P2P_OK;
        }
    const char *end = text;
    if (!p2p_scan_int64(&end, value) || *end != '\0')
        return p2p_fail(P2P_INVALID, "%s: %s='%s' is not %s", kind, p2p_field_table[field].name, text,
                        value_name(field, 0) != NULL ? "one of its names" : "a 64-bit integer");
    return P2P_OK;
}

static p2p_status parse_real(const char *kind, p2p_field field, const char *text, double *value) {
    char *end = NULL;
    /* Decimal notation only; strtod also accepts inf, nan and hexadecimal. */
    bool plain = text[0] != '\0' && strspn(text, "0123456789+-.eE") == strlen(text);
    if (plain) *value = strtod(text, &end);
    if (!plain || *end != '\0' || !isfinite(*value))
        return p2p_fail(P2P_INVALID, "%s: %s='%s' is not a finite number", kind, p2p_field_table[field].name,
                        text);
    return P2P_OK;
}

/* The state of parsing: the descriptor so far, and which operands and fields were given, to detect
 * repetition. */
typedef struct {
    p2p_op op;
    bool operand_given[P2P_MAX_OPERANDS];
    bool field_given[P2P_FIELD_COUNT];
} reader;

static p2p_status given_twice(p2p_kind kind, const char *name) {
    return p2p_fail(P2P_INVALID, "%s: %s is given twice", p2p_kind_name(kind), name);
}

static p2p_status read_operand(reader *in, int operand, bool accumulate, const char *value) {
    p2p_kind kind = in->op.kind;
    const char *name = p2p_kind_operand_name(kind, operand);
    if (in->operand_given[operand]) return given_twice(kind, name);
    in->operand_given[operand] = true;
    if (p2p_tensor_parse(value, &in->op.t[operand]) != P2P_OK)
        return p2p_fail(P2P_INVALID, "%s: operand %s: %s", p2p_kind_name(kind), name, p2p_message());
    if (accumulate) in->op.accumulate |= UINT32_C(1) << operand;
    return P2P_OK;
}

static p2p_status read_field(reader *in, p2p_field field, const char *value) {
    const p2p_field_info *info = &p2p_field_table[field];
    if (in->field_given[field]) return given_twice(in->op.kind, info->name);
    in->field_given[field] = true;
    const char *kind = p2p_kind_name(in->op.kind);
    return info->is_real ? parse_real(kind, field, value, p2p_op_real(&in->op, field))
                         : parse_int(kind, field, value, p2p_op_int(&in->op, field));
}

/* `name=value`, or `name+=value` for an operand. Operands take precedence: loss_l1 has one named like a
 * field. */
static p2p_status read_assignment(reader *in, char *token) {
    p2p_kind kind = in->op.kind;
    char *equals = strchr(token, '=');
    if (equals == NULL || equals == token)
        return p2p_fail(P2P_INVALID, "%s: '%s' is not of the form name=value", p2p_kind_name(kind), token);
    const char *value = equals + 1;
    bool accumulate = equals[-1] == '+';
    equals[accumulate ? -1 : 0] = '\0';
    for (int i = 0; i < p2p_kind_operand_count(kind); i++)
        if (strcmp(token, p2p_kind_operand_name(kind, i)) == 0) return read_operand(in, i, accumulate, value);
    for (p2p_field f = 0; f < P2P_FIELD_COUNT; f++)
        if (!accumulate && strcmp(token, p2p_field_table[f].name) == 0) return read_field(in, f, value);
    return p2p_fail(P2P_INVALID, "%s: there is no operand%s '%s'", p2p_kind_name(kind),
                    accumulate ? "" : " or field", token);
}

p2p_status p2p_op_parse(const char *text, p2p_op *op) {
    reader in = {0};
    char token[TOKEN_BYTES];
    P2P_TRY(next_token(&text, token));
    P2P_TRY(parse_kind(token, &in.op.kind));
    for (;;) {
        P2P_TRY(next_token(&text, token));
        if (token[0] == '\0') break;
        P2P_TRY(read_assignment(&in, token));
    }
    *op = in.op;
    return P2P_OK;
}
