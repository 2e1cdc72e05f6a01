/* What statements of PTX mean: each becomes one instruction, or a few. Most are found in the table of
 * operations by their names; the others are memory accesses, control flow, and what lanes do together. */
#include "ptx_code.h"

#include <stdlib.h>
#include <string.h>

/* ---- Parts of names ------------------------------------------------------------------------------------ */

enum { PARTS = 12 };
typedef struct {
    char text[96];
    const char *part[PARTS];
    int count;
} split_name;

static void split(ptx_parser *parser, const char *op, split_name *to) {
    snprintf(to->text, sizeof to->text, "%s", op);
    to->count = 0;
    char *rest;
    for (char *part = strtok_r(to->text, ".", &rest); part; part = strtok_r(NULL, ".", &rest)) {
        if (to->count == PARTS) ptx_wrong(parser, "%s is not known", op);
        to->part[to->count++] = part;
    }
}

static bool has_part(const split_name *name, const char *part) {
    for (int i = 1; i < name->count; i++)
        if (strcmp(name->part[i], part) == 0) return true;
    return false;
}

static bool starts(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

static ptx_type last_type(ptx_parser *parser, const split_name *name) {
    const ptx_type type = ptx_type_of_name(name->part[name->count - 1]);
    if (!type) ptx_wrong(parser, "%s without a type", name->part[0]);
    return type;
}

/* ---- Operands ------------------------------------------------------------------------------------------ */

static bool is_float(ptx_type type) {
    return type == ptx_f32 || type == ptx_f64;
}

/* A register that has the source in the size of the type. */
static int32_t source(ptx_parser *parser, const ptx_operand *operand, ptx_type type) {
    const bool wide = ptx_lane_bytes(type) == 8;
    ptx_type own = ptx_none;
    uint64_t value;
    ptx_space space;
    if (operand->kind == PTX_IMMEDIATE) {
        uint64_t bits = operand->bits;
        if (type == ptx_pred) bits = bits ? ~(uint64_t)0 : 0;
        if (ptx_type_bytes(type) == 2) bits &= 0xffff;
        return ptx_constant_register(parser, wide ? bits : bits & 0xffffffff, wide);
    }
    if (operand->kind == PTX_REGISTER) {
        const int32_t special = ptx_special_register(parser, operand->name);
        const int32_t at = special >= 0 ? special : ptx_register(parser, operand->name, &own);
        if (at < 0) ptx_wrong(parser, "%s is not known", operand->name);
        if (special >= 0) own = ptx_u32;
        if ((own == ptx_pred) != (type == ptx_pred) || ptx_lane_bytes(own) != ptx_lane_bytes(type))
            ptx_wrong(parser, "%s is not of the instruction's type", operand->name);
        return at;
    }
    if (operand->kind == PTX_NAME && !is_float(type) &&
        ptx_variable_value(parser, operand->name, &value, &space))
        return ptx_constant_register(parser, value, wide);
    ptx_wrong(parser, "the operand %s is not understood", operand->name);
}

static int32_t destination(ptx_parser *parser, const char *name, ptx_type type) {
    ptx_type own = ptx_none;
    if (strcmp(name, "_") == 0) return ptx_temporary(parser, type);
    const int32_t at = ptx_register(parser, name, &own);
    if (at < 0) ptx_wrong(parser, "%s is not known", name);
    if ((own == ptx_pred) != (type == ptx_pred) || ptx_lane_bytes(own) != ptx_lane_bytes(type))
        ptx_wrong(parser, "%s is not of the instruction's type", name);
    return at;
}

static void need(ptx_parser *parser, const ptx_statement *statement, int least, int most) {
    if (statement->count < least || statement->count > most)
        ptx_wrong(parser, "%s with %d operands", statement->op, statement->count);
}

/* ---- Operations of the table --------------------------------------------------------------------------- */

static ptx_insn *emit_op(ptx_parser *parser, const ptx_statement *statement, const char *name) {
    const ptx_op *op = ptx_find_op(name);
    if (!op) ptx_wrong(parser, "%s is not known", statement->op);
    ptx_insn *insn = ptx_emit(parser, statement);
    insn->full = op->full;
    insn->masked = op->masked;
    return insn;
}

/* A source of the table; where the operation has none, the result's place stands for it. */
static int32_t op_source(ptx_parser *parser, const ptx_statement *statement, int position, ptx_type type,
                         int32_t place) {
    return type ? source(parser, &statement->operands[position], type) : place;
}

static void decode_op(ptx_parser *parser, const ptx_statement *statement, const char *name) {
    const ptx_op *op = ptx_find_op(name);
    if (!op) ptx_wrong(parser, "%s is not known", statement->op);
    const int count = 1 + (op->a != ptx_none) + (op->b != ptx_none) + (op->c != ptx_none);
    need(parser, statement, count, count);
    const int32_t d = destination(parser, statement->operands[0].name, op->d);
    const int32_t a = op_source(parser, statement, 1, op->a, d),
                  b = op_source(parser, statement, 2, op->b, d),
                  c = op_source(parser, statement, 3, op->c, d);
    ptx_insn *insn = emit_op(parser, statement, name);
    insn->d = d, insn->a = a, insn->b = b, insn->c = c;
}

/* An instruction between registers that the decoder adds. */
static void emit_unary(ptx_parser *parser, const ptx_statement *statement, const char *name, int32_t d,
                       int32_t a, bool hidden) {
    ptx_insn *insn = emit_op(parser, statement, name);
    insn->d = d, insn->a = a, insn->b = insn->c = d;
    insn->hidden = hidden;
}

/* "setp.lt.and.f32 p|q, a, b, !c". The second destination and the combination become instructions of their
 * own. */
static void decode_setp(ptx_parser *parser, const ptx_statement *statement) {
    char simple[96], combination[16] = "";
    split_name name;
    split(parser, statement->op, &name);
    snprintf(simple, sizeof simple, "setp");
    for (int i = 1; i < name.count; i++) {
        if (strcmp(name.part[i], "and") == 0 || strcmp(name.part[i], "or") == 0 ||
            strcmp(name.part[i], "xor") == 0)
            snprintf(combination, sizeof combination, "%s.pred", name.part[i]);
        else
            snprintf(simple + strlen(simple), sizeof simple - strlen(simple), ".%s", name.part[i]);
    }
    const ptx_op *op = ptx_find_op(simple);
    if (!op) ptx_wrong(parser, "%s is not known", statement->op);
    need(parser, statement, combination[0] ? 4 : 3, combination[0] ? 4 : 3);
    const ptx_operand *operands = statement->operands;
    const int32_t p = destination(parser, operands[0].name, ptx_pred);
    const int32_t a = source(parser, &operands[1], op->a), b = source(parser, &operands[2], op->b);
    const bool split_result = operands[0].second[0] != 0;
    /* The sources of what follows may be the destination itself. */
    const int32_t result = combination[0] || split_result ? ptx_temporary(parser, ptx_pred) : p;
    ptx_insn *insn = emit_op(parser, statement, simple);
    insn->d = result, insn->a = a, insn->b = b, insn->c = result;
    if (result == p) return;
    int32_t with = -1;
    if (combination[0]) {
        with = source(parser, &operands[3], ptx_pred);
        if (operands[3].negated) {
            const int32_t negated = ptx_temporary(parser, ptx_pred);
            emit_unary(parser, statement, "not.pred", negated, with, true);
            with = negated;
        }
    }
    if (split_result) {
        const int32_t opposite = ptx_temporary(parser, ptx_pred);
        emit_unary(parser, statement, "not.pred", opposite, result, true);
        const int32_t q = destination(parser, operands[0].second, ptx_pred);
        insn = emit_op(parser, statement, combination[0] ? combination : "mov.pred");
        insn->d = q, insn->a = opposite, insn->b = with >= 0 ? with : q, insn->c = q, insn->hidden = 1;
    }
    insn = emit_op(parser, statement, combination[0] ? combination : "mov.pred");
    insn->d = p, insn->a = result, insn->b = with >= 0 ? with : p, insn->c = p, insn->hidden = 1;
}

/* Conversions between integers depend on the source's signedness and the sizes alone. */
static bool integer_conversion(const split_name *name, char *simple, size_t size) {
    if (name->count != 3) return false;
    const ptx_type to = ptx_type_of_name(name->part[1]), from = ptx_type_of_name(name->part[2]);
    if (!to || !from || is_float(to) || is_float(from)) return false;
    const int to_bytes = ptx_type_bytes(to), from_bytes = ptx_type_bytes(from);
    const bool is_signed = from == ptx_s8 || from == ptx_s16 || from == ptx_s32 || from == ptx_s64;
    const char s = is_signed ? 's' : 'u';
    if (to_bytes == from_bytes && to_bytes >= 2)
        snprintf(simple, size, "mov.b%d", 8 * to_bytes);
    else if (to_bytes > from_bytes)
        snprintf(simple, size, "cvt.%c%d.%c%d", s, 8 * to_bytes, s, 8 * from_bytes);
    else
        snprintf(simple, size, "cvt.u%d.u%d", 8 * to_bytes, 8 * from_bytes);
    return true;
}

/* Names that mean the same as one of the table. */
static void canonical_name(ptx_parser *parser, const char *op, char *simple, size_t size) {
    split_name name;
    split(parser, op, &name);
    const char *first = name.part[0], *last = name.part[name.count - 1];
    const int bytes = ptx_type_bytes(ptx_type_of_name(last));
    snprintf(simple, size, "%s", op);
    if (strcmp(first, "cvt") == 0) {
        integer_conversion(&name, simple, size);
    } else if ((strcmp(first, "mov") == 0 || strcmp(first, "selp") == 0) && bytes) {
        snprintf(simple, size, "%s.b%d", first, 8 * bytes);
    } else if (strcmp(first, "shr") == 0 && last[0] == 'b') {
        snprintf(simple, size, "shr.u%s", last + 1);
    } else if ((strcmp(first, "add") == 0 || strcmp(first, "sub") == 0 || strcmp(first, "mul") == 0) &&
               has_part(&name, "rn")) {
        snprintf(simple, size, "%s.%s%s", first, has_part(&name, "ftz") ? "ftz." : "", last);
    } else if (bytes == 2 && last[0] == 'u' && (strcmp(first, "add") == 0 || strcmp(first, "sub") == 0)) {
        snprintf(simple, size, "%s.s16", first);
    } else if (strcmp(op, "mul.lo.u16") == 0) {
        snprintf(simple, size, "mul.lo.s16");
    }
}

/* ---- mov ----------------------------------------------------------------------------------------------- */

static int64_t parts_to_whole(const ptx_operand *vector, ptx_type type) {
    return vector->count == 2 ? ptx_type_bytes(type) / 2 : ptx_type_bytes(type) / 4;
}

/* mov.b32 {lo, hi}, r, and the other way. */
static void decode_pack(ptx_parser *parser, const ptx_statement *statement, ptx_type type) {
    const bool pack = statement->operands[1].kind == PTX_VECTOR;
    const ptx_operand *vector = &statement->operands[pack ? 1 : 0];
    if (vector->count == 3) ptx_wrong(parser, "a vector of 3");
    const int64_t part = parts_to_whole(vector, type);
    const ptx_type part_type = part == 4 ? ptx_b32 : part == 2 ? ptx_b16 : ptx_b8;
    const int32_t whole = pack ? destination(parser, statement->operands[0].name, type)
                               : source(parser, &statement->operands[1], type);
    ptx_insn made = {0};
    for (int i = 0; i < vector->count; i++) {
        ptx_operand one = {.kind = PTX_REGISTER};
        memcpy(one.name, vector->names[i], sizeof vector->names[i]);
        made.v[i] = pack ? source(parser, &one, part_type) : destination(parser, one.name, part_type);
    }
    ptx_insn *insn = ptx_emit(parser, statement);
    insn->full = insn->masked = pack ? ptx_pack : ptx_unpack;
    memcpy(insn->v, made.v, sizeof made.v);
    insn->vector = (uint8_t)vector->count;
    insn->wide = (uint8_t)ptx_type_bytes(type);
    insn->offset = part;
    if (pack)
        insn->d = whole;
    else
        insn->a = whole;
}

static void decode_mov(ptx_parser *parser, const ptx_statement *statement) {
    split_name name;
    char simple[96];
    split(parser, statement->op, &name);
    need(parser, statement, 2, 2);
    if (statement->operands[0].kind == PTX_VECTOR || statement->operands[1].kind == PTX_VECTOR) {
        decode_pack(parser, statement, last_type(parser, &name));
        return;
    }
    canonical_name(parser, statement->op, simple, sizeof simple);
    decode_op(parser, statement, simple);
}

/* cvta: generic addresses of global memory are the same; those of other memory lie in windows. */
static void decode_cvta(ptx_parser *parser, const ptx_statement *statement) {
    split_name name;
    split(parser, statement->op, &name);
    need(parser, statement, 2, 2);
    const bool to = has_part(&name, "to"), shared = has_part(&name, "shared"),
               local = has_part(&name, "local");
    if (last_type(parser, &name) != ptx_u64 || has_part(&name, "param"))
        ptx_wrong(parser, "%s is not known", statement->op);
    const int32_t d = destination(parser, statement->operands[0].name, ptx_u64);
    const int32_t a = source(parser, &statement->operands[1], ptx_u64);
    const uint64_t window = shared ? PTX_SHARED_WINDOW : local ? PTX_LOCAL_WINDOW : 0;
    const int32_t b = ptx_constant_register(parser, to ? 0 - window : window, true);
    ptx_insn *insn = emit_op(parser, statement, "add.u64");
    insn->d = d, insn->a = a, insn->b = b, insn->c = d;
}

/* ---- Memory -------------------------------------------------------------------------------------------- */

static ptx_space space_of(const split_name *name) {
    for (int i = 1; i < name->count; i++) {
        if (starts(name->part[i], "global") || strcmp(name->part[i], "const") == 0) return ptx_global;
        if (starts(name->part[i], "shared")) return ptx_shared;
        if (strcmp(name->part[i], "local") == 0) return ptx_local;
        if (starts(name->part[i], "param")) return ptx_space_param;
    }
    return ptx_generic;
}

static void check_modifiers(ptx_parser *parser, const char *op, const split_name *name) {
    static const char *const known[] = {"global",
                                        "const",
                                        "shared",
                                        "local",
                                        "param",
                                        "v2",
                                        "v4",
                                        "nc",
                                        "ca",
                                        "cg",
                                        "cs",
                                        "lu",
                                        "cv",
                                        "wb",
                                        "wt",
                                        "volatile",
                                        "relaxed",
                                        "weak",
                                        "gpu",
                                        "cta",
                                        "sys",
                                        "acquire",
                                        "release",
                                        "shared::cta",
                                        "param::entry",
                                        "L1::no_allocate",
                                        "L1::evict_last",
                                        "L1::evict_first",
                                        "L2::128B",
                                        "L2::256B",
                                        "L2::64B"};
    for (int i = 1; i < name->count - 1; i++) {
        size_t k = 0;
        while (k < sizeof known / sizeof *known && strcmp(known[k], name->part[i]) != 0) k++;
        if (k == sizeof known / sizeof *known) ptx_wrong(parser, "%s is not known", op);
    }
}

/* The base and offset of an address. A name's value becomes part of the offset. */
static void set_address(ptx_parser *parser, ptx_insn *insn, const ptx_operand *operand) {
    uint64_t value;
    ptx_space space;
    ptx_type type = ptx_none;
    if (operand->kind != PTX_ADDRESS) ptx_wrong(parser, "an address expected");
    insn->offset = operand->offset;
    if (!operand->name[0]) return;
    if (operand->name[0] != '%') {
        if (!ptx_variable_value(parser, operand->name, &value, &space))
            ptx_wrong(parser, "%s is not known", operand->name);
        insn->offset += (int64_t)value;
        return;
    }
    insn->a = ptx_register(parser, operand->name, &type);
    if (insn->a < 0 || type == ptx_pred) ptx_wrong(parser, "%s is no address", operand->name);
    insn->mode = (uint8_t)ptx_lane_bytes(type);
}

/* The registers of a load or store, which may be wider than its type. */
static void set_values(ptx_parser *parser, ptx_insn *insn, const ptx_operand *operand, bool store,
                       ptx_type type) {
    ptx_operand one = {.kind = PTX_REGISTER};
    const int count = operand->kind == PTX_VECTOR ? operand->count : 1;
    if (count != insn->vector) ptx_wrong(parser, "%d values instead of %d", count, insn->vector);
    for (int i = 0; i < count; i++) {
        ptx_type own = ptx_none;
        if (operand->kind == PTX_VECTOR)
            memcpy(one.name, operand->names[i], sizeof operand->names[i]);
        else
            memcpy(one.name, operand->name, sizeof one.name);
        if (store && operand->kind == PTX_IMMEDIATE) {
            insn->wide = (uint8_t)ptx_lane_bytes(type);
            insn->v[i] = source(parser, operand, type);
            continue;
        }
        if (!store && strcmp(one.name, "_") == 0) {
            insn->wide = (uint8_t)ptx_lane_bytes(type);
            insn->v[i] = ptx_temporary(parser, type);
            continue;
        }
        insn->v[i] = ptx_register(parser, one.name, &own);
        if (insn->v[i] < 0 || own == ptx_pred || ptx_lane_bytes(own) < ptx_lane_bytes(type))
            ptx_wrong(parser, "%s is not of the instruction's type", one.name);
        insn->wide = (uint8_t)(ptx_type_bytes(own) < 4 ? 2 : ptx_type_bytes(own));
    }
}

/* Parameters are registers: loading one is a move. */
static void decode_load_param(ptx_parser *parser, const ptx_statement *statement, const ptx_insn *load) {
    for (int i = 0; i < load->vector; i++) {
        const bool unsign = load->wide == 2 && load->type == ptx_s16; /* 16-bit registers are zero-extended */
        const ptx_type type = unsign ? ptx_u16 : (ptx_type)load->type;
        const size_t offset = (size_t)load->offset + (size_t)(i * ptx_type_bytes(type));
        const int32_t from = ptx_argument_register(parser, offset, type, load->wide == 8);
        emit_unary(parser, statement, load->wide == 8 ? "mov.b64" : "mov.b32", load->v[i], from, i > 0);
    }
}

static void decode_access(ptx_parser *parser, const ptx_statement *statement, bool store) {
    split_name name;
    split(parser, statement->op, &name);
    check_modifiers(parser, statement->op, &name);
    need(parser, statement, 2, 2);
    ptx_kernel *kernel = ptx_current_kernel(parser);
    const ptx_operand *address = &statement->operands[store ? 0 : 1],
                      *value = &statement->operands[store ? 1 : 0];
    ptx_insn made = {.a = -1, .v = {-1, -1, -1, -1}, .vector = 1};
    const ptx_type type = last_type(parser, &name);
    made.vector = has_part(&name, "v2") ? 2 : has_part(&name, "v4") ? 4 : 1;
    made.space = (uint8_t)space_of(&name);
    made.type = (uint8_t)type;
    set_address(parser, &made, address);
    set_values(parser, &made, value, store, type);
    if (made.space == ptx_space_param && (store || made.a >= 0))
        ptx_wrong(parser, "%s of a computed address", statement->op);
    if (made.space == ptx_space_param) {
        decode_load_param(parser, statement, &made);
        return;
    }
    made.past_first =
        !store && (has_part(&name, "cg") || has_part(&name, "cv") || has_part(&name, "volatile") ||
                   has_part(&name, "relaxed") || has_part(&name, "acquire"));
    if (made.space == ptx_shared && ptx_type_bytes(type) < kernel->shared_granule)
        kernel->shared_granule = ptx_type_bytes(type);
    ptx_insn *insn = ptx_emit(parser, statement);
    insn->full = insn->masked = store ? ptx_store_op : ptx_load_op;
    insn->a = made.a, insn->offset = made.offset, insn->mode = made.mode;
    insn->vector = made.vector, insn->space = made.space, insn->type = made.type, insn->wide = made.wide;
    insn->size = (uint8_t)ptx_type_bytes(type);
    insn->past_first = made.past_first;
    memcpy(insn->v, made.v, sizeof made.v);
    insn->slot = kernel->slots++;
}

/* "atom.global.add.u32 d, [a], b" and "red.global.add.u32 [a], b". */
static void decode_atomic(ptx_parser *parser, const ptx_statement *statement) {
    split_name name;
    split(parser, statement->op, &name);
    const bool result = strcmp(name.part[0], "atom") == 0;
    const ptx_type type = last_type(parser, &name);
    need(parser, statement, 2 + result, 3 + result);
    ptx_handler *handler = NULL;
    for (int i = 1; i < name.count - 1 && !handler; i++) handler = ptx_atomic(name.part[i], type);
    if (!handler) ptx_wrong(parser, "%s is not known", statement->op);
    ptx_insn made = {.a = -1, .d = -1, .c = -1};
    set_address(parser, &made, &statement->operands[result]);
    if (result) made.d = destination(parser, statement->operands[0].name, type);
    made.b = source(parser, &statement->operands[1 + result], type);
    if (statement->count == 3 + result) made.c = source(parser, &statement->operands[2 + result], type);
    ptx_insn *insn = ptx_emit(parser, statement);
    insn->full = insn->masked = handler;
    insn->a = made.a, insn->b = made.b, insn->c = made.c, insn->d = made.d;
    insn->offset = made.offset, insn->mode = made.mode;
    insn->space = (uint8_t)space_of(&name), insn->type = (uint8_t)type;
    insn->size = (uint8_t)ptx_type_bytes(type);
    insn->slot = ptx_current_kernel(parser)->slots++;
}

/* ---- Control flow -------------------------------------------------------------------------------------- */

static void decode_branch(ptx_parser *parser, const ptx_statement *statement) {
    need(parser, statement, 1, 1);
    const int32_t target = ptx_label(parser, statement->operands[0].name);
    ptx_insn *insn = ptx_emit(parser, statement);
    insn->class = PTX_BRANCH;
    insn->target = target;
}

static void decode_barrier(ptx_parser *parser, const ptx_statement *statement) {
    split_name name;
    split(parser, statement->op, &name);
    if (has_part(&name, "warp")) {
        need(parser, statement, 1, 1);
        const int32_t members = source(parser, &statement->operands[0], ptx_b32);
        ptx_insn *insn = ptx_emit(parser, statement);
        insn->class = PTX_MEET;
        insn->full = insn->masked = ptx_sync_warp;
        insn->c = members;
        return;
    }
    if (!has_part(&name, "sync") || statement->count != 1)
        ptx_wrong(parser, "%s is not known", statement->op);
    ptx_emit(parser, statement)->class = PTX_BARRIER;
}

/* ---- What lanes do together ---------------------------------------------------------------------------- */

static ptx_insn *emit_meeting(ptx_parser *parser, const ptx_statement *statement, ptx_handler *handler,
                              int32_t members) {
    ptx_insn *insn = ptx_emit(parser, statement);
    insn->class = PTX_MEET;
    insn->full = insn->masked = handler;
    insn->c = members;
    return insn;
}

/* shfl.sync.down.b32 d|p, a, b, c, members */
static void decode_shuffle(ptx_parser *parser, const ptx_statement *statement) {
    static const char *const modes[] = {"idx", "up", "down", "bfly"};
    split_name name;
    split(parser, statement->op, &name);
    need(parser, statement, 5, 5);
    int mode = 0;
    while (mode < 4 && !has_part(&name, modes[mode])) mode++;
    if (mode == 4 || !has_part(&name, "sync")) ptx_wrong(parser, "%s is not known", statement->op);
    const ptx_operand *operands = statement->operands;
    const int32_t d = destination(parser, operands[0].name, ptx_b32);
    const int32_t p = operands[0].second[0] ? destination(parser, operands[0].second, ptx_pred) : -1;
    const int32_t a = source(parser, &operands[1], ptx_b32), b = source(parser, &operands[2], ptx_b32),
                  c = source(parser, &operands[3], ptx_b32), members = source(parser, &operands[4], ptx_b32);
    ptx_insn *insn = emit_meeting(parser, statement, ptx_shuffle, members);
    insn->d = d, insn->e = p, insn->a = a, insn->b = b, insn->v[0] = c, insn->mode = (uint8_t)mode;
}

/* vote.sync.all.pred p, a, members; ballot gives a word */
static void decode_vote(ptx_parser *parser, const ptx_statement *statement) {
    static const char *const modes[] = {"ballot", "any", "all", "uni"};
    split_name name;
    split(parser, statement->op, &name);
    need(parser, statement, 3, 3);
    int mode = 0;
    while (mode < 4 && !has_part(&name, modes[mode])) mode++;
    if (mode == 4 || !has_part(&name, "sync")) ptx_wrong(parser, "%s is not known", statement->op);
    const int32_t d = destination(parser, statement->operands[0].name, mode == 0 ? ptx_b32 : ptx_pred);
    const int32_t a = source(parser, &statement->operands[1], ptx_pred);
    const int32_t members = source(parser, &statement->operands[2], ptx_b32);
    ptx_insn *insn = emit_meeting(parser, statement, ptx_vote, members);
    insn->d = d, insn->a = a, insn->mode = (uint8_t)mode, insn->space = statement->operands[1].negated;
}

/* redux.sync.add.u32 d, a, members */
static void decode_reduce(ptx_parser *parser, const ptx_statement *statement) {
    static const char *const modes[] = {"add", "min", "max", "and", "or", "xor"};
    split_name name;
    split(parser, statement->op, &name);
    need(parser, statement, 3, 3);
    int mode = 0;
    while (mode < 6 && !has_part(&name, modes[mode])) mode++;
    if (mode == 6) ptx_wrong(parser, "%s is not known", statement->op);
    const ptx_type type = last_type(parser, &name);
    const int32_t d = destination(parser, statement->operands[0].name, type);
    const int32_t a = source(parser, &statement->operands[1], type);
    const int32_t members = source(parser, &statement->operands[2], ptx_b32);
    ptx_insn *insn = emit_meeting(parser, statement, ptx_reduce, members);
    insn->d = d, insn->a = a, insn->mode = (uint8_t)mode, insn->type = (uint8_t)type;
}

static void decode_active(ptx_parser *parser, const ptx_statement *statement) {
    need(parser, statement, 1, 1);
    const int32_t d = destination(parser, statement->operands[0].name, ptx_b32);
    ptx_insn *insn = ptx_emit(parser, statement);
    insn->full = insn->masked = ptx_active;
    insn->d = d;
}

/* ---- All ----------------------------------------------------------------------------------------------- */

void ptx_decode(ptx_parser *parser, const ptx_statement *statement) {
    const char *op = statement->op;
    char simple[96];
    if (starts(op, "ld.") || starts(op, "ldu."))
        decode_access(parser, statement, false);
    else if (starts(op, "st."))
        decode_access(parser, statement, true);
    else if (starts(op, "mov."))
        decode_mov(parser, statement);
    else if (starts(op, "setp."))
        decode_setp(parser, statement);
    else if (starts(op, "cvta."))
        decode_cvta(parser, statement);
    else if (strcmp(op, "bra") == 0 || strcmp(op, "bra.uni") == 0)
        decode_branch(parser, statement);
    else if (strcmp(op, "ret") == 0 || strcmp(op, "exit") == 0 || strcmp(op, "ret.uni") == 0)
        ptx_emit(parser, statement)->class = PTX_EXIT;
    else if (starts(op, "bar.") || starts(op, "barrier."))
        decode_barrier(parser, statement);
    else if (starts(op, "shfl."))
        decode_shuffle(parser, statement);
    else if (starts(op, "vote."))
        decode_vote(parser, statement);
    else if (starts(op, "redux."))
        decode_reduce(parser, statement);
    else if (starts(op, "atom.") || starts(op, "red."))
        decode_atomic(parser, statement);
    else if (strcmp(op, "activemask.b32") == 0)
        decode_active(parser, statement);
    else if (strcmp(op, "trap") == 0) {
        ptx_insn *insn = ptx_emit(parser, statement);
        insn->full = insn->masked = ptx_trap;
    } else if (starts(op, "membar.") || starts(op, "fence.")) {
        ptx_insn *insn = ptx_emit(parser, statement);
        insn->full = insn->masked = strstr(op, ".cta") ? ptx_nothing : ptx_fence;
    } else {
        canonical_name(parser, op, simple, sizeof simple);
        decode_op(parser, statement, simple);
    }
}
