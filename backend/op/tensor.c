/* Tensor descriptions: constructors, sizes, element positions, host conversion, text.
 *
 * In every layout the h*w elements of an (n, c) plane are at a constant distance from each other. A plane is
 * therefore described by (start, step), and one conversion loop serves all layouts. Nothing is allocated
 * here.
 */
#include "op_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_BLOCK = 4096 };

static const struct {
    const char *name;
    size_t bytes;
} types[] = {
#define X(name, bytes) {#name, bytes},
    P2P_TYPE_LIST(X)
#undef X
};

static const char *const layouts[] = {
#define X(name) #name,
    P2P_LAYOUT_LIST(X)
#undef X
};

/* ---- Constructors and names --------------------------------------------------------------------------- */

p2p_tensor p2p_tensor_activation(p2p_type type, int64_t n, int64_t c, int64_t h, int64_t w) {
    return (p2p_tensor){.type = type, .layout = P2P_LAYOUT_plain, .n = n, .c = c, .h = h, .w = w};
}

p2p_tensor p2p_tensor_filter(p2p_type type, int64_t k, int64_t c, int64_t r, int64_t s) {
    return p2p_tensor_activation(type, k, c, r, s);
}

p2p_tensor p2p_tensor_vector(p2p_type type, int64_t c) {
    return p2p_tensor_activation(type, 1, c, 1, 1);
}

p2p_tensor p2p_tensor_matrix(p2p_type type, int64_t rows, int64_t columns) {
    return p2p_tensor_activation(type, 1, rows, 1, columns);
}

p2p_tensor p2p_tensor_flat(p2p_type type, int64_t count) {
    return p2p_tensor_activation(type, 1, 1, 1, count);
}

p2p_tensor p2p_tensor_stats(p2p_type type, int64_t groups, int64_t rows, int64_t c) {
    return p2p_tensor_activation(type, groups, rows, 1, c);
}

size_t p2p_type_bytes(p2p_type type) {
    return (unsigned)type < P2P_TYPE_COUNT ? types[type].bytes : 0;
}

const char *p2p_type_name(p2p_type type) {
    return (unsigned)type < P2P_TYPE_COUNT ? types[type].name : "unknown";
}

const char *p2p_layout_name(p2p_layout layout) {
    return (unsigned)layout < P2P_LAYOUT_COUNT ? layouts[layout] : "unknown";
}

bool p2p_layout_is_filter(p2p_layout layout) {
    return layout == P2P_LAYOUT_ckrs || layout == P2P_LAYOUT_kcrs_t || layout == P2P_LAYOUT_krsc;
}

/* ---- Sizes and positions ------------------------------------------------------------------------------ */

static int64_t block_of(const p2p_tensor *tensor) {
    return tensor->block > 1 ? tensor->block : 1;
}

static int64_t whole_channels(const p2p_tensor *tensor) {
    return tensor->cp > 0 ? tensor->cp : tensor->c;
}

int64_t p2p_divide_up(int64_t value, int64_t divisor) {
    return value / divisor + (value % divisor != 0);
}

int64_t p2p_tensor_elements(const p2p_tensor *tensor) {
    return tensor->n * tensor->c * tensor->h * tensor->w;
}

/* The stored extents, padding included; their product is the number of stored elements. */
static void stored_extents(const p2p_tensor *tensor, int64_t extents[4]) {
    int64_t block = block_of(tensor);
    extents[0] = p2p_layout_is_filter(tensor->layout) ? p2p_divide_up(tensor->n, block) * block : tensor->n;
    extents[1] = p2p_divide_up(whole_channels(tensor), block) * block;
    extents[2] = tensor->h;
    extents[3] = tensor->w;
}

int64_t p2p_tensor_stored(const p2p_tensor *tensor) {
    int64_t extents[4];
    stored_extents(tensor, extents);
    return extents[0] * extents[1] * extents[2] * extents[3];
}

size_t p2p_tensor_bytes(const p2p_tensor *tensor) {
    return (size_t)p2p_tensor_stored(tensor) * p2p_type_bytes(tensor->type);
}

/* Distance in elements from one position of an (n, c) plane to the next; positions count along w, then h. */
static int64_t plane_step(const p2p_tensor *tensor) {
    int64_t block = block_of(tensor);
    switch (tensor->layout) {
    case P2P_LAYOUT_nchwc:
        return block;
    case P2P_LAYOUT_nhwc:
    case P2P_LAYOUT_krsc:
        return p2p_divide_up(whole_channels(tensor), block) * block;
    case P2P_LAYOUT_ckrs:
    case P2P_LAYOUT_kcrs_t:
        return block * block;
    default:
        return 1;
    }
}

/* Offset in elements of the first element of plane (n, c). */
static int64_t plane_start(const p2p_tensor *tensor, int64_t n, int64_t c) {
    int64_t block = block_of(tensor), channels = whole_channels(tensor), plane = tensor->h * tensor->w;
    c += tensor->c0;
    int64_t n_block = n / block, n_lane = n % block, c_block = c / block, c_lane = c % block;
    int64_t c_blocks = p2p_divide_up(channels, block), n_blocks = p2p_divide_up(tensor->n, block);
    switch (tensor->layout) {
    case P2P_LAYOUT_nchwc:
        return (n * c_blocks + c_block) * plane * block + c_lane;
    case P2P_LAYOUT_nhwc:
    case P2P_LAYOUT_krsc:
        return n * plane * c_blocks * block + c;
    case P2P_LAYOUT_ckrs:
        return ((n_block * c_blocks + c_block) * plane * block + c_lane) * block + n_lane;
    case P2P_LAYOUT_kcrs_t:
        return ((c_block * n_blocks + n_block) * plane * block + n_lane) * block + c_lane;
    default:
        return (n * channels + c) * plane;
    }
}

int64_t p2p_tensor_index(const p2p_tensor *tensor, int64_t n, int64_t c, int64_t h, int64_t w) {
    return plane_start(tensor, n, c) + (h * tensor->w + w) * plane_step(tensor);
}

p2p_tensor p2p_tensor_whole(const p2p_tensor *tensor) {
    p2p_tensor whole = *tensor;
    whole.c = whole_channels(tensor);
    whole.c0 = whole.cp = 0;
    return whole;
}

bool p2p_tensor_is_whole(const p2p_tensor *tensor) {
    return tensor->c0 == 0 && (tensor->cp == 0 || tensor->cp == tensor->c);
}

bool p2p_tensor_present(const p2p_tensor *tensor) {
    return tensor->n != 0;
}

bool p2p_tensor_same_shape(const p2p_tensor *a, const p2p_tensor *b) {
    return a->n == b->n && a->c == b->c && a->h == b->h && a->w == b->w;
}

bool p2p_tensor_equal(const p2p_tensor *a, const p2p_tensor *b) {
    if (!p2p_tensor_present(a) && !p2p_tensor_present(b)) return true;
    return p2p_tensor_same_shape(a, b) && a->type == b->type && a->layout == b->layout &&
           block_of(a) == block_of(b) && a->c0 == b->c0 && whole_channels(a) == whole_channels(b);
}

/* ---- Padding lanes ------------------------------------------------------------------------------------ */

bool p2p_tensor_owns_padding(const p2p_tensor *tensor) {
    return tensor->c0 + tensor->c == whole_channels(tensor);
}

static bool is_zero(const unsigned char *element, p2p_type type) {
    double value = 0;
    const p2p_tensor one = p2p_tensor_flat(type, 1);
    p2p_tensor_unpack(&one, element, &value, P2P_TYPE_f64);
    return value == 0;
}

/* Visits the padding lanes of the whole tensor. Sets them to zero, or returns the position of the first one
 * that is not zero; -1 if there is none. */
static int64_t walk_padding(const p2p_tensor *tensor, unsigned char *raw, bool clear) {
    const p2p_tensor whole = p2p_tensor_whole(tensor);
    const int64_t plane = whole.h * whole.w, step = plane_step(&whole);
    const size_t bytes = p2p_type_bytes(whole.type);
    int64_t extents[4];
    stored_extents(&whole, extents);
    for (int64_t n = 0; n < extents[0]; n++)
        for (int64_t c = n < whole.n ? whole.c : 0; c < extents[1]; c++)
            for (int64_t i = 0; i < plane; i++) {
                const int64_t at = plane_start(&whole, n, c) + i * step;
                unsigned char *element = raw + (size_t)at * bytes;
                if (clear)
                    memset(element, 0, bytes);
                else if (!is_zero(element, whole.type))
                    return at;
            }
    return -1;
}

void p2p_tensor_clear_padding(const p2p_tensor *tensor, void *raw) {
    (void)walk_padding(tensor, raw, true);
}

int64_t p2p_tensor_find_padding(const p2p_tensor *tensor, const void *raw) {
    return walk_padding(tensor, (unsigned char *)(uintptr_t)raw, false); /* does not write */
}

/* ---- Validation --------------------------------------------------------------------------------------- */

static p2p_status validate_fields(const p2p_tensor *t) {
    if ((unsigned)t->type >= P2P_TYPE_COUNT) return p2p_fail(P2P_INVALID, "unknown type %d", (int)t->type);
    if ((unsigned)t->layout >= P2P_LAYOUT_COUNT)
        return p2p_fail(P2P_INVALID, "unknown layout %d", (int)t->layout);
    if (t->block < 0 || t->block > MAX_BLOCK)
        return p2p_fail(P2P_INVALID, "block %d is outside 0 to %d", t->block, MAX_BLOCK);
    if (t->layout == P2P_LAYOUT_plain && t->block > 1)
        return p2p_fail(P2P_INVALID, "layout plain has no blocks, but block is %d", t->block);
    if (t->n < 1 || t->c < 1 || t->h < 1 || t->w < 1)
        return p2p_fail(P2P_INVALID,
                        "extents %" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 " are not positive", t->n,
                        t->c, t->h, t->w);
    if (t->cp < 0 || t->c0 < 0 || (t->cp == 0 && t->c0 != 0) ||
        (t->cp != 0 && (t->c0 > t->cp || t->c > t->cp - t->c0)))
        return p2p_fail(P2P_INVALID,
                        "channels %" PRId64 " from %" PRId64 " on are outside a tensor of %" PRId64, t->c,
                        t->c0, t->cp);
    return P2P_OK;
}

static p2p_status too_large(const p2p_tensor *tensor) {
    return p2p_fail(P2P_INVALID,
                    "extents %" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64
                    " take more bytes than can be counted",
                    tensor->n, whole_channels(tensor), tensor->h, tensor->w);
}

p2p_status p2p_tensor_validate(const p2p_tensor *tensor) {
    P2P_TRY(validate_fields(tensor));
    const int64_t limit = INT64_MAX < PTRDIFF_MAX ? INT64_MAX : PTRDIFF_MAX;
    if (tensor->n > limit - MAX_BLOCK || whole_channels(tensor) > limit - MAX_BLOCK) return too_large(tensor);
    int64_t extents[4];
    stored_extents(tensor, extents);
    int64_t bytes = (int64_t)p2p_type_bytes(tensor->type);
    for (int i = 0; i < 4; i++) {
        if (extents[i] > limit / bytes) return too_large(tensor);
        bytes *= extents[i];
    }
    return P2P_OK;
}

/* ---- Host conversion ---------------------------------------------------------------------------------- */

/* Rounds to nearest, ties to even. A NaN stays a NaN. */
static uint16_t bf16_from_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float float_from_bf16(uint16_t value) {
    uint32_t bits = (uint32_t)value << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

double p2p_round_bf16(double value) {
    return float_from_bf16(bf16_from_float((float)value));
}

/* Rounds away 13 of the 23 stored bits of a significand. */
double p2p_round_tf32(double value) {
    const float nearest = (float)value;
    uint32_t bits;
    float result;
    memcpy(&bits, &nearest, sizeof bits);
    if (nearest != nearest) return nearest;
    bits = (bits + 0xfff + (bits >> 13 & 1)) & ~UINT32_C(0x1fff);
    memcpy(&result, &bits, sizeof result);
    return result;
}

double p2p_round_factor(p2p_math math, double value) {
    if (math == P2P_MATH_bf16) return p2p_round_bf16(value);
    return math == P2P_MATH_tf32 ? p2p_round_tf32(value) : value;
}

/* The nearest integer within [0, limit]; 0 for NaN. */
static double clamped(double value, double limit) {
    if (!(value > 0)) return 0;
    return value < limit ? nearbyint(value) : limit;
}

#define LOAD_f32(p)  (*(p))
#define LOAD_f64(p)  (*(p))
#define LOAD_u8(p)   (*(p))
#define LOAD_u16(p)  (*(p))
#define LOAD_u32(p)  (*(p))
#define LOAD_bf16(p) float_from_bf16(*(p))

#define STORE_f32(p, value)  (*(p) = (float)(value))
#define STORE_f64(p, value)  (*(p) = (double)(value))
#define STORE_u8(p, value)   (*(p) = (uint8_t)clamped((double)(value), UINT8_MAX))
#define STORE_u16(p, value)  (*(p) = (uint16_t)clamped((double)(value), UINT16_MAX))
#define STORE_u32(p, value)  (*(p) = (uint32_t)clamped((double)(value), UINT32_MAX))
#define STORE_bf16(p, value) (*(p) = bf16_from_float((float)(value)))

typedef float c_f32;
typedef double c_f64;
typedef uint16_t c_bf16;
typedef uint8_t c_u8;
typedef uint16_t c_u16;
typedef uint32_t c_u32;

/* Moves `count` elements between host memory (contiguous) and a tensor (`step` elements apart). */
typedef void (*mover)(void *host, void *raw, int64_t step, int64_t count);

#define DEFINE_MOVERS(type, host_type)                                                                       \
    static void pack_##type##_##host_type(void *host, void *raw, int64_t step, int64_t count) {              \
        const c_##host_type *from = host;                                                                    \
        c_##type *to = raw;                                                                                  \
        for (int64_t i = 0; i < count; i++) STORE_##type(to + i * step, from[i]);                            \
    }                                                                                                        \
    static void unpack_##type##_##host_type(void *host, void *raw, int64_t step, int64_t count) {            \
        c_##host_type *to = host;                                                                            \
        const c_##type *from = raw;                                                                          \
        for (int64_t i = 0; i < count; i++) STORE_##host_type(to + i, LOAD_##type(from + i * step));         \
    }
#define X(type, bytes) DEFINE_MOVERS(type, f32) DEFINE_MOVERS(type, f64)
P2P_TYPE_LIST(X)
#undef X

/* [type of the tensor][host type is f64] */
static const mover packers[][2] = {
#define X(type, bytes) {pack_##type##_f32, pack_##type##_f64},
    P2P_TYPE_LIST(X)
#undef X
};
static const mover unpackers[][2] = {
#define X(type, bytes) {unpack_##type##_f32, unpack_##type##_f64},
    P2P_TYPE_LIST(X)
#undef X
};

/* Moves all planes in pieces. The lanes of a channel block share cache lines, so pieces are small enough that
 * these lines stay cached until all lanes are moved. */
static void move_planes(const p2p_tensor *t, char *host, size_t host_bytes, char *raw, mover move) {
    enum { PIECE = 512 };
    int64_t plane = t->h * t->w, step = plane_step(t);
    int64_t block = t->layout == P2P_LAYOUT_nhwc ? t->c : block_of(t);
    size_t bytes = p2p_type_bytes(t->type);
    for (int64_t n = 0; n < t->n; n++)
        for (int64_t c_first = 0; c_first < t->c; c_first += block)
            for (int64_t at = 0; at < plane; at += PIECE) {
                int64_t c_end = t->c - c_first < block ? t->c : c_first + block;
                int64_t count = plane - at < PIECE ? plane - at : PIECE;
                for (int64_t c = c_first; c < c_end; c++)
                    move(host + (size_t)((n * t->c + c) * plane + at) * host_bytes,
                         raw + (size_t)(plane_start(t, n, c) + at * step) * bytes, step, count);
            }
}

/* A plain tensor of the host's type is contiguous within an image. */
static bool is_verbatim(const p2p_tensor *tensor, p2p_type host_type) {
    return tensor->layout == P2P_LAYOUT_plain && tensor->type == host_type;
}

void p2p_tensor_pack(const p2p_tensor *tensor, const void *host, p2p_type host_type, void *raw) {
    size_t host_bytes = p2p_type_bytes(host_type);
    if (!is_verbatim(tensor, host_type)) {
        /* Movers of both directions have one type, so `host` is not const there. Packing only reads it. */
        move_planes(tensor, (char *)(uintptr_t)host, host_bytes, raw,
                    packers[tensor->type][host_type == P2P_TYPE_f64]);
        return;
    }
    size_t image = (size_t)(tensor->c * tensor->h * tensor->w) * host_bytes;
    for (int64_t n = 0; n < tensor->n; n++)
        memcpy((char *)raw + (size_t)plane_start(tensor, n, 0) * host_bytes, (const char *)host + n * image,
               image);
}

void p2p_tensor_unpack(const p2p_tensor *tensor, const void *raw, void *host, p2p_type host_type) {
    size_t host_bytes = p2p_type_bytes(host_type);
    if (!is_verbatim(tensor, host_type)) {
        move_planes(tensor, host, host_bytes, (char *)(uintptr_t)raw,
                    unpackers[tensor->type][host_type == P2P_TYPE_f64]);
        return;
    }
    size_t image = (size_t)(tensor->c * tensor->h * tensor->w) * host_bytes;
    for (int64_t n = 0; n < tensor->n; n++)
        memcpy((char *)host + n * image, (const char *)raw + (size_t)plane_start(tensor, n, 0) * host_bytes,
               image);
}

/* ---- Text --------------------------------------------------------------------------------------------- */

int p2p_tensor_print(const p2p_tensor *tensor, char *text, size_t size) {
    char block[16] = "", range[48] = "";
    if (tensor->block > 1) snprintf(block, sizeof block, "%d", tensor->block);
    if (tensor->c0 != 0 || whole_channels(tensor) != tensor->c)
        snprintf(range, sizeof range, "@%" PRId64 "/%" PRId64, tensor->c0, tensor->cp);
    return snprintf(text, size, "%s:%s%s:%" PRId64 "x%" PRId64 "%sx%" PRId64 "x%" PRId64,
                    p2p_type_name(tensor->type), p2p_layout_name(tensor->layout), block, tensor->n, tensor->c,
                    range, tensor->h, tensor->w);
}

bool p2p_scan_int64(const char **text, int64_t *value) {
    const char *at = *text;
    bool negative = *at == '-';
    int64_t sum = 0;
    if (negative) at++;
    if (*at < '0' || *at > '9') return false;
    for (; *at >= '0' && *at <= '9'; at++) {
        int digit = *at - '0';
        if (sum < (INT64_MIN + digit) / 10) return false;
        sum = sum * 10 - digit; /* negative, because INT64_MIN has no positive counterpart */
    }
    if (!negative && sum == INT64_MIN) return false;
    *value = negative ? sum : -sum;
    *text = at;
    return true;
}

/* Advances past `word` if the text begins with it. */
static bool scan_word(const char **text, const char *word) {
    size_t length = strlen(word);
    if (strncmp(*text, word, length) != 0) return false;
    *text += length;
    return true;
}

static bool scan_type(const char **text, p2p_type *type) {
    for (int i = 0; i < P2P_TYPE_COUNT; i++)
        if (scan_word(text, types[i].name)) {
            *type = (p2p_type)i;
            return scan_word(text, ":");
        }
    return false;
}

static bool scan_layout(const char **text, p2p_layout *layout, int *block) {
    int64_t number = 0;
    for (int i = 0; i < P2P_LAYOUT_COUNT; i++)
        if (scan_word(text, layouts[i])) {
            *layout = (p2p_layout)i;
            if (**text != ':' && !p2p_scan_int64(text, &number)) return false;
            if (number < 0 || number > MAX_BLOCK) return false;
            *block = (int)number;
            return scan_word(text, ":");
        }
    return false;
}

static bool scan_extents(const char **text, p2p_tensor *tensor) {
    if (!p2p_scan_int64(text, &tensor->n) || !scan_word(text, "x")) return false;
    if (!p2p_scan_int64(text, &tensor->c)) return false;
    if (scan_word(text, "@")) {
        if (!p2p_scan_int64(text, &tensor->c0) || !scan_word(text, "/")) return false;
        if (!p2p_scan_int64(text, &tensor->cp)) return false;
    }
    if (!scan_word(text, "x") || !p2p_scan_int64(text, &tensor->h)) return false;
    return scan_word(text, "x") && p2p_scan_int64(text, &tensor->w) && **text == '\0';
}

p2p_status p2p_tensor_parse(const char *text, p2p_tensor *tensor) {
    p2p_tensor parsed = {0};
    const char *at = text;
    const char *missing = NULL;
    if (!scan_type(&at, &parsed.type))
        missing = "a type (f32, f64, bf16, u8, u16, u32) and a colon";
    else if (!scan_layout(&at, &parsed.layout, &parsed.block))
        missing = "a layout (plain, nchwc, nhwc, ckrs, kcrs_t, krsc) with its block, and a colon";
    else if (!scan_extents(&at, &parsed))
        missing = "extents such as 1x3x8x8 or 1x3@3/6x8x8";
    if (missing != NULL)
        return p2p_fail(P2P_INVALID, "tensor '%.*s': expected %s at '%.*s'", P2P_TENSOR_TEXT, text, missing,
                        P2P_TENSOR_TEXT, at);
    if (p2p_tensor_validate(&parsed) != P2P_OK)
        return p2p_fail(P2P_INVALID, "tensor '%.*s': %s", P2P_TENSOR_TEXT, text, p2p_message());
    *tensor = parsed;
    return P2P_OK;
}
