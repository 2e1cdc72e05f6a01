/* A kernel's decoded form: instructions over registers of 32 lanes. Only the files ptx_*.c
 * include it.
 *
 * The registers of a warp are one block of memory. A register is an array of 32 values: of 4 bytes, or of 8
 * for 64-bit types. Values of 16 bits are held zero-extended in 4 bytes; predicates as 0 and -1. Constants,
 * parameters and special registers are registers too, which are filled before the warp starts. An instruction
 * names registers by their offset.
 */
#ifndef PTX_CODE_H
#define PTX_CODE_H

#include "ptx.h"

#include <setjmp.h>

enum { PTX_LANES = 32, PTX_WARPS = 32, PTX_OPERANDS = 8 };

typedef enum {
    ptx_none,
    ptx_pred,
    ptx_b8,
    ptx_u8,
    ptx_s8,
    ptx_b16,
    ptx_u16,
    ptx_s16,
    ptx_b32,
    ptx_u32,
    ptx_s32,
    ptx_f32,
    ptx_b64,
    ptx_u64,
    ptx_s64,
    ptx_f64
} ptx_type;

/* Bytes in memory, and of one lane in a register. */
int ptx_type_bytes(ptx_type type);
int ptx_lane_bytes(ptx_type type);

typedef enum { ptx_generic, ptx_global, ptx_shared, ptx_local, ptx_space_param } ptx_space;

/* Generic addresses of shared and local memory lie in windows that no allocation has. */
static const uint64_t PTX_SHARED_WINDOW = (uint64_t)0x7e << 56, PTX_LOCAL_WINDOW = (uint64_t)0x7f << 56;

typedef struct ptx_warp ptx_warp;
typedef struct ptx_insn ptx_insn;
/* Executes an instruction for the lanes of warp->mask, which is not 0. */
typedef void ptx_handler(ptx_warp *warp, const ptx_insn *insn);

typedef enum {
    PTX_DO,     /* calls the handler */
    PTX_BRANCH, /* to target */
    PTX_EXIT,
    PTX_BARRIER, /* of the block */
    PTX_MEET     /* calls the handler once all lanes named in register `c` have arrived */
} ptx_class;

struct ptx_insn {
    ptx_handler *full, *masked; /* for all 32 lanes; for some */
    uint8_t class, negate, type, space;
    uint8_t vector;     /* values of a load or store */
    uint8_t size;       /* bytes of one of them in memory */
    uint8_t wide;       /* bytes of a lane of the registers of a load or store */
    uint8_t mode;       /* of shuffles and votes */
    uint8_t past_first; /* a load past the first level cache */
    uint8_t hidden;     /* a part of an instruction that is counted elsewhere */
    int32_t predicate;  /* register; -1: none */
    int32_t d, e;       /* destinations; -1: none */
    int32_t a, b, c;    /* sources; -1: none */
    int32_t v[4];       /* of a load or store */
    int32_t target;
    int32_t slot; /* of the cache of addresses */
    int32_t line; /* of the text */
    int64_t offset;
};

typedef struct {
    char *name;
    size_t offset, bytes;
} ptx_variable;
typedef struct {
    ptx_variable *list;
    int count, capacity;
    size_t bytes;
} ptx_variables;

typedef struct {
    uint64_t value;
    int32_t at;
    bool wide;
} ptx_constant;

/* A part of a parameter as a register that has it in every lane. */
typedef struct {
    size_t offset;
    ptx_type type;
    int32_t at;
    bool wide;
} ptx_argument;

enum {
    PTX_TID,
    PTX_NTID = 3,
    PTX_CTAID = 6,
    PTX_NCTAID = 9,
    PTX_LANEID = 12,
    PTX_WARPID,
    PTX_LANEMASK_EQ,
    PTX_LANEMASK_LT,
    PTX_LANEMASK_LE,
    PTX_LANEMASK_GT,
    PTX_LANEMASK_GE,
    PTX_SPECIALS
};

struct ptx_kernel {
    char *name;
    ptx_insn *code;
    int count, capacity;
    ptx_variables params, shared, local;
    int32_t register_bytes; /* of a warp */
    ptx_constant *constants;
    int constant_count, constant_capacity;
    ptx_argument *arguments;
    int argument_count, argument_capacity;
    int32_t special[PTX_SPECIALS]; /* registers; -1: not used */
    int slots;
    int shared_granule; /* the smallest access to shared memory: 4, 2 or 1 */
    unsigned max_threads;
    ptx_kernel *next;
};

struct ptx_module {
    ptx_kernel *kernels; /* a list */
    int device;
    ptx_variables globals; /* `offset` is the address */
    ptx_variables shared;  /* of the module's scope; those of 0 bytes are the dynamic shared memory */
};

/* ---- From text to code --------------------------------------------------------------------------------- */

typedef enum { PTX_REGISTER, PTX_IMMEDIATE, PTX_VECTOR, PTX_ADDRESS, PTX_NAME, PTX_SINK } ptx_operand_kind;
enum { PTX_NAME_BYTES = 512 };

typedef struct {
    ptx_operand_kind kind;
    bool negated;
    char name[PTX_NAME_BYTES]; /* of a register, variable or label; of the base of an address, "" if it has
                                  none */
    char second[64];           /* of "p|q" */
    uint64_t bits;             /* of an immediate */
    int64_t offset;            /* of an address */
    int count;                 /* of a vector */
    char names[4][64];
} ptx_operand;

typedef struct {
    char op[96];
    int32_t predicate;
    bool negate;
    int line, count;
    ptx_operand operands[PTX_OPERANDS];
} ptx_statement;

typedef struct ptx_parser ptx_parser;
_Noreturn void ptx_wrong(ptx_parser *parser, const char *format, ...) MACHINE_PRINTF(2, 3);
/* A register by its name, as an offset; its type is stored. -1: not one. */
int32_t ptx_register(ptx_parser *parser, const char *name, ptx_type *type);
/* New registers: an unnamed one; one that always has a value; a part of a parameter. */
int32_t ptx_temporary(ptx_parser *parser, ptx_type type);
int32_t ptx_constant_register(ptx_parser *parser, uint64_t value, bool wide);
int32_t ptx_argument_register(ptx_parser *parser, size_t offset, ptx_type type, bool wide);
int32_t ptx_special_register(ptx_parser *parser, const char *name);
/* The value of a variable's name: its address or offset. False: none has the name. */
bool ptx_variable_value(ptx_parser *parser, const char *name, uint64_t *value, ptx_space *space);
int32_t ptx_label(ptx_parser *parser, const char *name);
ptx_kernel *ptx_current_kernel(ptx_parser *parser);
ptx_insn *ptx_emit(ptx_parser *parser, const ptx_statement *statement);
ptx_type ptx_type_of_name(const char *name);
/* ptx_decode.c: appends the code of a statement. */
void ptx_decode(ptx_parser *parser, const ptx_statement *statement);

/* ---- The table of operations --------------------------------------------------------------------------- */

/* An instruction whose lanes are independent: "add.f32". `d` is the result's type, the others those of the
 * sources. */
typedef struct {
    const char *name;
    ptx_handler *full, *masked;
    ptx_type d, a, b, c;
} ptx_op;
/* The same table, compiled for any processor and for those with AVX2 and FMA. It ends with a NULL name. */
extern const ptx_op ptx_ops_plain[], ptx_ops_avx2[];
/* The entry of a name; NULL: none. */
const ptx_op *ptx_find_op(const char *name);

/* ---- A run --------------------------------------------------------------------------------------------- */

typedef struct ptx_touched ptx_touched;

/* What an instruction accessed last: the allocation, and a page of the launch's footprint. */
typedef struct {
    uint64_t begin, bytes;
    unsigned char *host, *written;
    uint64_t page;
    void *touched;
} ptx_cache;

/* Atomic operations after which a block may read what other blocks have stored: `taken` of them, the first
 * `visible` before a barrier. */
enum { PTX_TAKEN = 8 };
typedef struct {
    uint64_t address[PTX_TAKEN];
    int taken, visible;
} ptx_order;

typedef struct {
    const ptx_kernel *kernel;
    ptx_launch *launch;
    ptx_touched *touched;
    ptx_cache *cache; /* one per slot */
    unsigned char *shared;
    size_t shared_bytes;
    uint64_t *shared_write, *shared_read; /* tags of the last accesses to each granule */
    uint64_t epoch, first_epoch;          /* barriers so far, and when the block began */
    uint64_t stored;                      /* epoch of the block's last store to global memory; 0: none */
    ptx_order order;
    const ptx_insn *now; /* the instruction that runs, for messages */
    const ptx_warp *warp;
    unsigned block[3];
    int reports;
    jmp_buf failed;
} ptx_run_state;

typedef struct {
    int pc;
    uint32_t mask;
    enum { PTX_RUNS, PTX_AT_BARRIER, PTX_AT_MEETING } state;
} ptx_group;

/* The last fence of a warp, and its last atomic operation with a result, until a fence follows. */
typedef struct {
    uint64_t epoch;
    uint32_t lanes, atomic_lanes;
    uint64_t atomic;
} ptx_fences;

struct ptx_warp {
    ptx_run_state *run;
    unsigned char *registers, *local;
    const int32_t *lanes; /* -1 for each lane that executes, else 0 */
    uint32_t mask;        /* the same as bits */
    uint32_t all, live;   /* lanes that the block has; those that have not left */
    int index;
    uint32_t epoch; /* synchronisations of the warp since the last barrier */
    ptx_fences fences;
    ptx_group groups[PTX_LANES];
    int group_count;
};

/* Ends the launch with an error; the place is added to the message. */
_Noreturn void ptx_fail(ptx_run_state *run, CUresult error, const char *format, ...) MACHINE_PRINTF(3, 4);
/* Reports a violation that doesn't end the launch. */
void ptx_report(ptx_run_state *run, const char *format, ...) MACHINE_PRINTF(2, 3);

/* ptx_memory.c, ptx_warp.c */
ptx_handler ptx_load_op, ptx_store_op, ptx_fence, ptx_pack, ptx_unpack, ptx_nothing;
ptx_handler *ptx_atomic(const char *operation, ptx_type type);
ptx_handler ptx_shuffle, ptx_vote, ptx_reduce, ptx_active, ptx_sync_warp, ptx_trap;

/* ptx_order.c: notes an atomic operation of lanes on addresses of global memory. */
void ptx_order_atomic(ptx_warp *warp, const ptx_insn *insn, const uint64_t *at);

/* footprint.c: which bytes a launch has touched, by granules of 2 bytes. PTX_TAKE: a read of what another
 * block may have handed over. */
typedef enum { PTX_READ, PTX_WRITE, PTX_ATOMIC, PTX_TAKE, PTX_TOUCH_KINDS } ptx_touch_kind;
ptx_touched *ptx_touched_new(void);
void ptx_touched_free(ptx_touched *touched);
void ptx_touch(ptx_touched *touched, ptx_cache *cache, uint64_t begin, uint64_t bytes, ptx_touch_kind kind);
/* What the block has written is handed over to those that take it at an atomic operation's address. */
void ptx_touched_hand_over(ptx_touched *touched, uint64_t address);
/* Reports what the block touched that another one has written, or the other way. */
void ptx_touched_end_block(ptx_touched *touched, ptx_run_state *run);
/* Makes the intervals and counts what is distinct. */
void ptx_touched_finish(ptx_touched *touched, ptx_launch *launch);

#endif
