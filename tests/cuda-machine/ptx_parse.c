/* The text of PTX: modules, kernels, declarations and statements. What statements mean is in ptx_decode.c. */
#include "ptx_code.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A register, or a range of them: ".reg .f32 %f<328>". */
typedef struct {
    char *name;
    ptx_type type;
    int count;   /* 0: the name itself is the register */
    int32_t *at; /* offsets; -1: not used so far */
    int next;    /* in its bucket */
    unsigned bucket;
} symbol;

typedef struct {
    char *name;
    int pc; /* -1: not met so far */
    int line;
} label;

enum { BUCKETS = 1024 };

struct ptx_parser {
    const char *p;
    int line;
    char *message;
    size_t message_size;
    jmp_buf failed;
    ptx_module *module;
    ptx_kernel *kernel;
    symbol *symbols;
    int symbol_count, symbol_capacity, buckets[BUCKETS];
    label *labels;
    int label_count, label_capacity;
    ptx_statement statement;
};

static const uint64_t DYNAMIC_SHARED = (uint64_t)0xD1A
                                       << 40; /* stands for its offset until the kernel is whole */

/* Room for one more element of a list. */
#define GROW(list, count, capacity)                                                                          \
    do {                                                                                                     \
        if ((count) == (capacity)) {                                                                         \
            (capacity) = (capacity) ? 2 * (capacity) : 16;                                                   \
            (list) = realloc((list), (size_t)(capacity) * sizeof *(list));                                   \
            if (!(list)) abort();                                                                            \
        }                                                                                                    \
    } while (0)

_Noreturn void ptx_wrong(ptx_parser *parser, const char *format, ...) {
    char text[300];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    snprintf(parser->message, parser->message_size, "PTX line %d: %s", parser->line, text);
    longjmp(parser->failed, 1);
}

/* ---- Types --------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int bytes;
} types[] = {
    [ptx_none] = {"", 0},   [ptx_pred] = {"pred", 0}, [ptx_b8] = {"b8", 1},   [ptx_u8] = {"u8", 1},
    [ptx_s8] = {"s8", 1},   [ptx_b16] = {"b16", 2},   [ptx_u16] = {"u16", 2}, [ptx_s16] = {"s16", 2},
    [ptx_b32] = {"b32", 4}, [ptx_u32] = {"u32", 4},   [ptx_s32] = {"s32", 4}, [ptx_f32] = {"f32", 4},
    [ptx_b64] = {"b64", 8}, [ptx_u64] = {"u64", 8},   [ptx_s64] = {"s64", 8}, [ptx_f64] = {"f64", 8},
};

ptx_type ptx_type_of_name(const char *name) {
    for (int i = ptx_pred; i <= ptx_f64; i++)
        if (strcmp(types[i].name, name) == 0) return (ptx_type)i;
    return ptx_none;
}

int ptx_type_bytes(ptx_type type) {
    return types[type].bytes;
}

int ptx_lane_bytes(ptx_type type) {
    return types[type].bytes == 8 ? 8 : 4;
}

/* ---- Registers ----------------------------------------------------------------------------------------- */

ptx_kernel *ptx_current_kernel(ptx_parser *parser) {
    return parser->kernel;
}

static unsigned hash(const char *name, size_t length) {
    unsigned h = 2166136261u;
    for (size_t i = 0; i < length; i++) h = (h ^ (unsigned char)name[i]) * 16777619u;
    return h % BUCKETS;
}

static symbol *find_symbol(ptx_parser *parser, const char *name, size_t length) {
    for (int i = parser->buckets[hash(name, length)]; i >= 0; i = parser->symbols[i].next) {
        symbol *found = &parser->symbols[i];
        if (strncmp(found->name, name, length) == 0 && found->name[length] == 0) return found;
    }
    return NULL;
}

static void add_symbol(ptx_parser *parser, const char *name, ptx_type type, int count) {
    GROW(parser->symbols, parser->symbol_count, parser->symbol_capacity);
    const size_t length = strlen(name);
    symbol *added = &parser->symbols[parser->symbol_count];
    *added = (symbol){.name = strdup(name), .type = type, .count = count, .bucket = hash(name, length)};
    added->next = parser->buckets[added->bucket];
    added->at = malloc(sizeof *added->at * (size_t)(count + 1));
    if (!added->name || !added->at) abort();
    for (int i = 0; i <= count; i++) added->at[i] = -1;
    parser->buckets[added->bucket] = parser->symbol_count++;
}

/* Drops the registers of a scope that ends. */
static void drop_symbols(ptx_parser *parser, int count) {
    while (parser->symbol_count > count) {
        symbol *last = &parser->symbols[--parser->symbol_count];
        parser->buckets[last->bucket] = last->next;
        free(last->name);
        free(last->at);
    }
}

int32_t ptx_temporary(ptx_parser *parser, ptx_type type) {
    ptx_kernel *kernel = parser->kernel;
    const int32_t at = kernel->register_bytes;
    kernel->register_bytes += ptx_lane_bytes(type) * PTX_LANES;
    if (kernel->register_bytes > 1 << 24) ptx_wrong(parser, "too many registers");
    return at;
}

int32_t ptx_register(ptx_parser *parser, const char *name, ptx_type *type) {
    size_t length = strlen(name);
    symbol *found = find_symbol(parser, name, length);
    int position = 0;
    if (!found || found->count) {
        while (length > 0 && isdigit((unsigned char)name[length - 1])) length--;
        found = name[length] ? find_symbol(parser, name, length) : NULL;
        if (!found || (position = atoi(name + length)) >= found->count) return -1;
    }
    if (found->at[position] < 0) found->at[position] = ptx_temporary(parser, found->type);
    *type = found->type;
    return found->at[position];
}

int32_t ptx_constant_register(ptx_parser *parser, uint64_t value, bool wide) {
    ptx_kernel *kernel = parser->kernel;
    for (int i = 0; i < kernel->constant_count; i++)
        if (kernel->constants[i].value == value && kernel->constants[i].wide == wide)
            return kernel->constants[i].at;
    GROW(kernel->constants, kernel->constant_count, kernel->constant_capacity);
    const int32_t at = ptx_temporary(parser, wide ? ptx_b64 : ptx_b32);
    kernel->constants[kernel->constant_count++] = (ptx_constant){value, at, wide};
    return at;
}

int32_t ptx_argument_register(ptx_parser *parser, size_t offset, ptx_type type, bool wide) {
    ptx_kernel *kernel = parser->kernel;
    if (offset + (size_t)ptx_type_bytes(type) > kernel->params.bytes)
        ptx_wrong(parser, "no parameter is at %zu", offset);
    for (int i = 0; i < kernel->argument_count; i++) {
        const ptx_argument *known = &kernel->arguments[i];
        if (known->offset == offset && known->type == type && known->wide == wide) return known->at;
    }
    GROW(kernel->arguments, kernel->argument_count, kernel->argument_capacity);
    const int32_t at = ptx_temporary(parser, wide ? ptx_b64 : ptx_b32);
    kernel->arguments[kernel->argument_count++] = (ptx_argument){offset, type, at, wide};
    return at;
}

int32_t ptx_special_register(ptx_parser *parser, const char *name) {
    static const char *const names[PTX_SPECIALS] = {
        "%tid.x",       "%tid.y",       "%tid.z",       "%ntid.x",      "%ntid.y",     "%ntid.z", "%ctaid.x",
        "%ctaid.y",     "%ctaid.z",     "%nctaid.x",    "%nctaid.y",    "%nctaid.z",   "%laneid", "%warpid",
        "%lanemask_eq", "%lanemask_lt", "%lanemask_le", "%lanemask_gt", "%lanemask_ge"};
    for (int i = 0; i < PTX_SPECIALS; i++) {
        if (strcmp(names[i], name) != 0) continue;
        int32_t *at = &parser->kernel->special[i];
        if (*at < 0) *at = ptx_temporary(parser, ptx_b32);
        return *at;
    }
    return -1;
}

/* ---- Variables ----------------------------------------------------------------------------------------- */

static void add_variable(ptx_variables *variables, const char *name, size_t bytes, size_t alignment,
                         size_t *offset) {
    GROW(variables->list, variables->count, variables->capacity);
    variables->bytes = (variables->bytes + alignment - 1) / alignment * alignment;
    *offset = variables->bytes;
    variables->list[variables->count++] = (ptx_variable){strdup(name), variables->bytes, bytes};
    variables->bytes += bytes;
}

static const ptx_variable *find_variable(const ptx_variables *variables, const char *name) {
    for (int i = 0; i < variables->count; i++)
        if (strcmp(variables->list[i].name, name) == 0) return &variables->list[i];
    return NULL;
}

static bool shared_value(ptx_parser *parser, const char *name, uint64_t *value) {
    const ptx_variable *found = find_variable(&parser->kernel->shared, name);
    if (found) return *value = found->offset, true;
    if (!(found = find_variable(&parser->module->shared, name))) return false;
    size_t offset;
    if (found->bytes == 0) return *value = DYNAMIC_SHARED, true;
    add_variable(&parser->kernel->shared, name, found->bytes, 16, &offset);
    *value = offset;
    return true;
}

bool ptx_variable_value(ptx_parser *parser, const char *name, uint64_t *value, ptx_space *space) {
    const ptx_variable *found;
    *space = ptx_shared;
    if (shared_value(parser, name, value)) return true;
    *space = ptx_space_param;
    if ((found = find_variable(&parser->kernel->params, name))) return *value = found->offset, true;
    *space = ptx_local;
    if ((found = find_variable(&parser->kernel->local, name))) return *value = found->offset, true;
    *space = ptx_global;
    if ((found = find_variable(&parser->module->globals, name))) return *value = found->offset, true;
    return false;
}

/* ---- Labels and code ----------------------------------------------------------------------------------- */

int32_t ptx_label(ptx_parser *parser, const char *name) {
    for (int i = 0; i < parser->label_count; i++)
        if (strcmp(parser->labels[i].name, name) == 0) return i;
    GROW(parser->labels, parser->label_count, parser->label_capacity);
    parser->labels[parser->label_count] = (label){strdup(name), -1, parser->line};
    return parser->label_count++;
}

ptx_insn *ptx_emit(ptx_parser *parser, const ptx_statement *statement) {
    ptx_kernel *kernel = parser->kernel;
    GROW(kernel->code, kernel->count, kernel->capacity);
    ptx_insn *insn = &kernel->code[kernel->count++];
    *insn = (ptx_insn){.predicate = -1,
                       .d = -1,
                       .e = -1,
                       .a = -1,
                       .b = -1,
                       .c = -1,
                       .v = {-1, -1, -1, -1},
                       .slot = -1,
                       .line = parser->line,
                       .vector = 1};
    if (statement) {
        insn->predicate = statement->predicate;
        insn->negate = statement->negate;
    }
    return insn;
}

/* ---- Words --------------------------------------------------------------------------------------------- */

static void skip(ptx_parser *parser) {
    for (;; parser->p++) {
        if (*parser->p == '\n')
            parser->line++;
        else if (parser->p[0] == '/' && parser->p[1] == '/') {
            while (parser->p[1] && parser->p[1] != '\n') parser->p++;
        } else if (!isspace((unsigned char)*parser->p))
            return;
    }
}

static bool accept(ptx_parser *parser, char c) {
    skip(parser);
    if (*parser->p != c) return false;
    parser->p++;
    return true;
}

static void expect(ptx_parser *parser, char c) {
    if (!accept(parser, c)) ptx_wrong(parser, "'%c' expected before '%.20s'", c, parser->p);
}

static bool is_word(char c) {
    return isalnum((unsigned char)c) || c == '_' || c == '$' || c == '%' || c == '.' || c == ':';
}

/* The next word; "" if another character follows. A single ':' ends it: it is that of a label. */
static void word(ptx_parser *parser, char *to, size_t size) {
    size_t n = 0;
    skip(parser);
    while (is_word(*parser->p)) {
        if (parser->p[0] == ':' && parser->p[1] != ':') break;
        if (parser->p[0] == ':') {
            if (n + 2 >= size) ptx_wrong(parser, "a name is too long");
            to[n++] = *parser->p++;
        }
        if (n + 1 >= size) ptx_wrong(parser, "a name is too long");
        to[n++] = *parser->p++;
    }
    to[n] = 0;
}

static uint64_t number(ptx_parser *parser) {
    char text[64], *end;
    const bool negative = accept(parser, '-');
    word(parser, text, sizeof text);
    uint64_t value;
    if (text[0] == '0' && (text[1] == 'f' || text[1] == 'F' || text[1] == 'd' || text[1] == 'D'))
        value = strtoull(text + 2, &end, 16);
    else
        value = strtoull(text, &end, 0);
    if (*end == 'U') end++;
    if (end == text || *end) ptx_wrong(parser, "'%s' is no number", text);
    return negative ? 0 - value : value;
}

/* ---- Declarations -------------------------------------------------------------------------------------- */

/* ".align 4 .b8 name[16]": the name, and the bytes; 0 for "name[]". */
static size_t declaration(ptx_parser *parser, char *name, size_t size, size_t *alignment) {
    ptx_type type = ptx_none;
    *alignment = 1;
    for (skip(parser); *parser->p == '.'; skip(parser)) {
        word(parser, name, size);
        if (strcmp(name, ".align") == 0)
            *alignment = (size_t)number(parser);
        else if (ptx_type_of_name(name + 1))
            type = ptx_type_of_name(name + 1);
    }
    word(parser, name, size);
    size_t bytes = (size_t)ptx_type_bytes(type);
    if (!name[0] || bytes == 0 || *alignment == 0) ptx_wrong(parser, "a declaration is not understood");
    if (*alignment < bytes) *alignment = bytes;
    while (accept(parser, '[')) {
        skip(parser);
        bytes *= *parser->p == ']' ? 0 : (size_t)number(parser);
        expect(parser, ']');
    }
    return bytes;
}

static void declare(ptx_parser *parser, ptx_variables *variables) {
    char name[PTX_NAME_BYTES];
    size_t alignment, offset;
    const size_t bytes = declaration(parser, name, sizeof name, &alignment);
    add_variable(variables, name, bytes, alignment, &offset);
}

static void declare_registers(ptx_parser *parser) {
    char text[64];
    word(parser, text, sizeof text);
    const ptx_type type = text[0] ? ptx_type_of_name(text + 1) : ptx_none;
    if (!type) ptx_wrong(parser, "registers of type %s are not known", text);
    do {
        word(parser, text, sizeof text);
        int count = 0;
        if (accept(parser, '<')) {
            count = (int)number(parser);
            expect(parser, '>');
            if (count < 1 || count > 1 << 20) ptx_wrong(parser, "%d registers", count);
        }
        add_symbol(parser, text, type, count);
    } while (accept(parser, ','));
    expect(parser, ';');
}

/* The values of "= {1, 2}" or "= 5", elements of `width` bytes. */
static void initial_values(ptx_parser *parser, unsigned char *to, size_t bytes, size_t width) {
    if (!accept(parser, '=')) return;
    const bool list = accept(parser, '{');
    size_t at = 0;
    do {
        const uint64_t value = number(parser);
        if (at + width > bytes) ptx_wrong(parser, "too many initial values");
        memcpy(to + at, &value, width);
        at += width;
    } while (accept(parser, ','));
    if (list) expect(parser, '}');
}

static void module_variable(ptx_parser *parser, bool shared) {
    char name[PTX_NAME_BYTES];
    size_t alignment, offset, width = 1;
    const char *before = parser->p;
    const size_t bytes = declaration(parser, name, sizeof name, &alignment);
    if (shared)
        add_variable(&parser->module->shared, name, bytes, alignment, &offset);
    else {
        static const char *const wide[] = {"16 ", "32 ", "64 "};
        for (int i = 0; i < 3; i++)
            for (const char *p = before; p < parser->p; p++)
                if (*p == '.' && p[1] && strncmp(p + 2, wide[i], 3) == 0) width = (size_t)2 << i;
        add_variable(&parser->module->globals, name, bytes, alignment, &offset);
        ptx_variable *added = &parser->module->globals.list[parser->module->globals.count - 1];
        added->offset = 0;
        CUdeviceptr address;
        if (!driver_take_memory(parser->module->device, bytes ? bytes : 1, &address))
            ptx_wrong(parser, "no memory for %s", name);
        memset(machine_memory(address), 0, bytes);
        driver_mark_written(address, bytes);
        initial_values(parser, machine_memory(address), bytes, width);
        added->offset = (size_t)address;
    }
    expect(parser, ';');
}

/* ---- Statements ---------------------------------------------------------------------------------------- */

static void vector_operand(ptx_parser *parser, ptx_operand *operand) {
    operand->kind = PTX_VECTOR;
    do {
        if (operand->count == 4) ptx_wrong(parser, "a vector of more than 4");
        word(parser, operand->names[operand->count++], sizeof operand->names[0]);
    } while (accept(parser, ','));
    expect(parser, '}');
}

static void address_operand(ptx_parser *parser, ptx_operand *operand) {
    operand->kind = PTX_ADDRESS;
    skip(parser);
    if (isdigit((unsigned char)*parser->p) || *parser->p == '-')
        operand->offset = (int64_t)number(parser);
    else {
        word(parser, operand->name, sizeof operand->name);
        if (accept(parser, '+'))
            operand->offset = (int64_t)number(parser);
        else if (skip(parser), *parser->p == '-')
            operand->offset = (int64_t)number(parser);
    }
    expect(parser, ']');
}

static void parse_operand(ptx_parser *parser, ptx_operand *operand) {
    memset(operand, 0, sizeof *operand);
    if (accept(parser, '{')) {
        vector_operand(parser, operand);
        return;
    }
    if (accept(parser, '[')) {
        address_operand(parser, operand);
        return;
    }
    operand->negated = accept(parser, '!');
    skip(parser);
    if (isdigit((unsigned char)*parser->p) || *parser->p == '-') {
        operand->kind = PTX_IMMEDIATE;
        operand->bits = number(parser);
        return;
    }
    word(parser, operand->name, sizeof operand->name);
    if (!operand->name[0]) ptx_wrong(parser, "an operand expected before '%.20s'", parser->p);
    if (accept(parser, '|')) word(parser, operand->second, sizeof operand->second);
    operand->kind = operand->name[0] == '%'           ? PTX_REGISTER
                    : strcmp(operand->name, "_") == 0 ? PTX_SINK
                                                      : PTX_NAME;
}

static void parse_statement(ptx_parser *parser, const char *op) {
    ptx_statement *statement = &parser->statement;
    if (strlen(op) >= sizeof statement->op) ptx_wrong(parser, "%s is not known", op);
    strcpy(statement->op, op);
    statement->line = parser->line;
    statement->count = 0;
    while (!accept(parser, ';')) {
        if (statement->count == PTX_OPERANDS) ptx_wrong(parser, "too many operands");
        parse_operand(parser, &statement->operands[statement->count++]);
        accept(parser, ',');
    }
    ptx_decode(parser, statement);
}

/* "@%p1" or "@!%p1", if present. */
static void parse_predicate(ptx_parser *parser) {
    ptx_statement *statement = &parser->statement;
    char name[64];
    ptx_type type;
    statement->predicate = -1;
    statement->negate = false;
    if (!accept(parser, '@')) return;
    statement->negate = accept(parser, '!');
    word(parser, name, sizeof name);
    statement->predicate = ptx_register(parser, name, &type);
    if (statement->predicate < 0 || type != ptx_pred) ptx_wrong(parser, "%s is no predicate", name);
}

static void skip_to_semicolon(ptx_parser *parser) {
    while (*parser->p && *parser->p != ';') {
        if (*parser->p == '\n') parser->line++;
        parser->p++;
    }
    expect(parser, ';');
}

static void skip_line(ptx_parser *parser) {
    while (*parser->p && *parser->p != '\n') parser->p++;
}

/* One item of a body: a declaration, a label or a statement. */
static void parse_item(ptx_parser *parser) {
    char op[PTX_NAME_BYTES];
    parse_predicate(parser);
    word(parser, op, sizeof op);
    if (parser->statement.predicate < 0 && accept(parser, ':')) {
        const int32_t position = ptx_label(parser, op);
        label *met = &parser->labels[position];
        if (met->pc >= 0) ptx_wrong(parser, "label %s is there twice", op);
        met->pc = parser->kernel->count;
    } else if (strcmp(op, ".reg") == 0)
        declare_registers(parser);
    else if (strcmp(op, ".shared") == 0)
        declare(parser, &parser->kernel->shared), expect(parser, ';');
    else if (strcmp(op, ".local") == 0)
        declare(parser, &parser->kernel->local), expect(parser, ';');
    else if (strcmp(op, ".pragma") == 0)
        skip_to_semicolon(parser);
    else if (strcmp(op, ".loc") == 0)
        skip_line(parser);
    else if (op[0] == 0 || op[0] == '.')
        ptx_wrong(parser, "'%s%.20s' is not understood", op, parser->p);
    else
        parse_statement(parser, op);
}

/* A body after its '{', with inner scopes. */
static void parse_body(ptx_parser *parser) {
    enum { DEPTH = 32 };
    int scopes[DEPTH], depth = 0;
    while (depth >= 0) {
        if (accept(parser, '{')) {
            if (depth == DEPTH) ptx_wrong(parser, "too many scopes");
            scopes[depth++] = parser->symbol_count;
        } else if (accept(parser, '}')) {
            if (--depth >= 0) drop_symbols(parser, scopes[depth]);
        } else {
            if (!*parser->p) ptx_wrong(parser, "the text ends within a kernel");
            parse_item(parser);
        }
    }
}

/* ---- Kernels ------------------------------------------------------------------------------------------- */

/* Branches get their targets, and the dynamic shared memory its place after the static one. */
static void finish_kernel(ptx_parser *parser) {
    ptx_kernel *kernel = parser->kernel;
    ptx_emit(parser, NULL)->class = PTX_EXIT;
    for (int i = 0; i < kernel->count; i++) {
        ptx_insn *insn = &kernel->code[i];
        if (insn->class != PTX_BRANCH) continue;
        const label *to = &parser->labels[insn->target];
        if (to->pc < 0) ptx_wrong(parser, "there is no label %s", to->name);
        insn->target = to->pc;
    }
    kernel->shared.bytes = (kernel->shared.bytes + 15) / 16 * 16;
    for (int i = 0; i < kernel->constant_count; i++)
        if (kernel->constants[i].value == DYNAMIC_SHARED) kernel->constants[i].value = kernel->shared.bytes;
    for (int i = 0; i < kernel->count; i++)
        if (kernel->code[i].offset >> 40 == (int64_t)(DYNAMIC_SHARED >> 40))
            kernel->code[i].offset += (int64_t)kernel->shared.bytes - (int64_t)DYNAMIC_SHARED;
}

static void drop_labels(ptx_parser *parser) {
    for (int i = 0; i < parser->label_count; i++) free(parser->labels[i].name);
    parser->label_count = 0;
}

static void parse_limits(ptx_parser *parser) {
    char text[64];
    for (skip(parser); *parser->p == '.'; skip(parser)) {
        unsigned product = 1;
        word(parser, text, sizeof text);
        if (strcmp(text, ".maxntid") != 0 && strcmp(text, ".reqntid") != 0 &&
            strcmp(text, ".minnctapersm") != 0)
            ptx_wrong(parser, "%s is not known", text);
        do product *= (unsigned)number(parser);
        while (accept(parser, ','));
        if (strcmp(text, ".minnctapersm") != 0) parser->kernel->max_threads = product;
    }
}

static void parse_entry(ptx_parser *parser) {
    char name[PTX_NAME_BYTES];
    ptx_kernel *kernel = parser->kernel = calloc(1, sizeof *kernel);
    if (!kernel) abort();
    kernel->next = parser->module->kernels;
    parser->module->kernels = kernel;
    for (int i = 0; i < PTX_SPECIALS; i++) kernel->special[i] = -1;
    kernel->shared_granule = 4;
    word(parser, name, sizeof name);
    kernel->name = strdup(name);
    expect(parser, '(');
    while (!accept(parser, ')')) {
        word(parser, name, sizeof name);
        if (strcmp(name, ".param") != 0) ptx_wrong(parser, ".param expected, not '%s'", name);
        declare(parser, &kernel->params);
        accept(parser, ',');
    }
    parse_limits(parser);
    expect(parser, '{');
    parse_body(parser);
    finish_kernel(parser);
    drop_symbols(parser, 0);
    drop_labels(parser);
}

static void skip_function(ptx_parser *parser) {
    int depth = 0;
    while (*parser->p && *parser->p != '{' && *parser->p != ';') skip(parser), parser->p++;
    do {
        if (!*parser->p) ptx_wrong(parser, "the text ends within a function");
        if (*parser->p == '{') depth++;
        if (*parser->p == '}') depth--;
        if (*parser->p == '\n') parser->line++;
        parser->p++;
    } while (depth > 0);
}

static void parse_module(ptx_parser *parser) {
    char text[PTX_NAME_BYTES];
    for (skip(parser); *parser->p; skip(parser)) {
        word(parser, text, sizeof text);
        if (strcmp(text, ".version") == 0 || strcmp(text, ".target") == 0 ||
            strcmp(text, ".address_size") == 0 || strcmp(text, ".file") == 0)
            skip_line(parser);
        else if (strcmp(text, ".entry") == 0)
            parse_entry(parser);
        else if (strcmp(text, ".func") == 0)
            skip_function(parser);
        else if (strcmp(text, ".shared") == 0)
            module_variable(parser, true);
        else if (strcmp(text, ".global") == 0 || strcmp(text, ".const") == 0)
            module_variable(parser, false);
        else if (strcmp(text, ".visible") != 0 && strcmp(text, ".weak") != 0 && strcmp(text, ".extern") != 0)
            ptx_wrong(parser, "'%s%.20s' is not understood", text, parser->p);
    }
}

static bool parse(ptx_parser *parser) {
    if (setjmp(parser->failed)) return false;
    parse_module(parser);
    return true;
}

ptx_module *ptx_load(const char *text, int device, char *message, size_t size) {
    ptx_parser *parser = calloc(1, sizeof *parser);
    ptx_module *module = calloc(1, sizeof *module);
    if (!parser || !module) abort();
    *parser = (ptx_parser){.p = text, .line = 1, .message = message, .message_size = size, .module = module};
    for (int i = 0; i < BUCKETS; i++) parser->buckets[i] = -1;
    module->device = device;
    const bool loaded = parse(parser);
    drop_symbols(parser, 0);
    drop_labels(parser);
    free(parser->symbols);
    free(parser->labels);
    free(parser);
    if (loaded) return module;
    ptx_free(module);
    return NULL;
}

static void free_variables(ptx_variables *variables) {
    for (int i = 0; i < variables->count; i++) free(variables->list[i].name);
    free(variables->list);
}

void ptx_free(ptx_module *module) {
    for (int i = 0; i < module->globals.count; i++)
        if (module->globals.list[i].offset) driver_give_memory_back(module->globals.list[i].offset);
    free_variables(&module->globals);
    free_variables(&module->shared);
    for (ptx_kernel *kernel = module->kernels, *next; kernel; kernel = next) {
        next = kernel->next;
        free_variables(&kernel->params);
        free_variables(&kernel->shared);
        free_variables(&kernel->local);
        free(kernel->name);
        free(kernel->code);
        free(kernel->constants);
        free(kernel->arguments);
        free(kernel);
    }
    free(module);
}

/* ---- Queries ------------------------------------------------------------------------------------------- */

const ptx_kernel *ptx_find(const ptx_module *module, const char *name) {
    const ptx_kernel *kernel = module->kernels;
    while (kernel && strcmp(kernel->name, name) != 0) kernel = kernel->next;
    return kernel;
}

ptx_info ptx_kernel_info(const ptx_kernel *kernel) {
    return (ptx_info){.name = kernel->name,
                      .param_count = kernel->params.count,
                      .param_bytes = kernel->params.bytes,
                      .static_shared = kernel->shared.bytes,
                      .local_bytes = kernel->local.bytes,
                      .max_threads = kernel->max_threads};
}

void ptx_param(const ptx_kernel *kernel, int position, size_t *offset, size_t *bytes) {
    *offset = kernel->params.list[position].offset;
    *bytes = kernel->params.list[position].bytes;
}
