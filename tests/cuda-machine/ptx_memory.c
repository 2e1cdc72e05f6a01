/* Loads, stores and atomic operations. Every access is checked: its alignment, its allocation, and in shared
 * memory also that what is read has been written, and that threads which touch the same bytes are separated
 * by a barrier. Between blocks, see ptx_order.c. */
#include "ptx_code.h"

#include <string.h>

#define REGISTER(type, at) ((type *)(void *)(warp->registers + (at)))
#define EACH_LANE(mask)                                                                                      \
    for (uint32_t left_ = (mask), lane; left_ && (lane = (uint32_t)__builtin_ctz(left_), 1);                 \
         left_ &= left_ - 1)

/* An access of a warp: what lanes touch. */
typedef struct {
    uint64_t at[PTX_LANES];
    unsigned bytes; /* of one lane */
    uint32_t mask;
    int first;          /* active lane */
    bool contiguous;    /* active lanes are neighbours and touch neighbouring bytes */
    bool uniform;       /* they all touch the same */
    uint64_t low, high; /* bounds of what is touched */
} access;

static void compute_addresses(const ptx_warp *warp, const ptx_insn *insn, access *a) {
    const uint64_t offset = (uint64_t)insn->offset;
    if (insn->a < 0) {
        for (int l = 0; l < PTX_LANES; l++) a->at[l] = offset;
    } else if (insn->mode == 8) {
        const uint64_t *base = REGISTER(const uint64_t, insn->a);
        for (int l = 0; l < PTX_LANES; l++) a->at[l] = base[l] + offset;
    } else {
        const uint32_t *base = REGISTER(const uint32_t, insn->a);
        for (int l = 0; l < PTX_LANES; l++) a->at[l] = (uint64_t)base[l] + offset;
    }
}

/* Fills all but the addresses; `what` is for messages. */
static void describe(const ptx_warp *warp, access *a, unsigned bytes, const char *what) {
    a->bytes = bytes;
    a->mask = warp->mask;
    a->first = __builtin_ctz(a->mask);
    const uint64_t start = a->at[a->first], base = start - (uint64_t)a->first * bytes;
    uint64_t wrong = 0, differs = 0, low = start, high = start, bits = 0;
    if (a->mask == ~0u) {
        for (int l = 0; l < PTX_LANES; l++)
            wrong |= a->at[l] ^ (base + (uint64_t)l * bytes), bits |= a->at[l], differs |= a->at[l] ^ start;
    } else {
        EACH_LANE(a->mask) {
            wrong |= a->at[lane] ^ (base + (uint64_t)lane * bytes), bits |= a->at[lane],
                differs |= a->at[lane] ^ start;
        }
    }
    const uint32_t run = a->mask >> a->first;
    a->contiguous = wrong == 0 && (run & (run + 1)) == 0;
    a->uniform = differs == 0;
    if (a->contiguous)
        high = start + (uint64_t)(__builtin_popcount(run) - 1) * bytes;
    else if (!a->uniform) {
        EACH_LANE(a->mask) {
            if (a->at[lane] < low) low = a->at[lane];
            if (a->at[lane] > high) high = a->at[lane];
        }
    }
    a->low = low;
    a->high = high + bytes;
    if (bits & (bytes - 1))
        ptx_fail(warp->run, CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned %s of %u bytes at 0x%llx", what, bytes,
                 (unsigned long long)start);
}

/* ---- Between memory and registers ---------------------------------------------------------------------- */

static uint64_t read_value(const unsigned char *from, ptx_type type) {
    switch (type) {
    case ptx_b8:
    case ptx_u8:
        return *from;
    case ptx_s8:
        return (uint64_t)(int64_t)(int8_t)*from;
    case ptx_b16:
    case ptx_u16:
    case ptx_s16: {
        uint16_t value;
        memcpy(&value, from, 2);
        return type == ptx_s16 ? (uint64_t)(int64_t)(int16_t)value : value;
    }
    case ptx_b64:
    case ptx_u64:
    case ptx_s64:
    case ptx_f64: {
        uint64_t value;
        memcpy(&value, from, 8);
        return value;
    }
    default: {
        uint32_t value;
        memcpy(&value, from, 4);
        return type == ptx_s32 ? (uint64_t)(int64_t)(int32_t)value : value;
    }
    }
}

static void load_lane(ptx_warp *warp, const ptx_insn *insn, uint32_t lane, const unsigned char *from) {
    const ptx_type type = (ptx_type)insn->type;
    const int size = insn->size;
    for (int v = 0; v < insn->vector; v++) {
        const uint64_t value = read_value(from + v * size, type);
        uint32_t *narrow = REGISTER(uint32_t, insn->v[v]);
        if (insn->wide == 8)
            REGISTER(uint64_t, insn->v[v])[lane] = value;
        else
            narrow[lane] = insn->wide == 2 ? (uint32_t)value & 0xffff : (uint32_t)value;
    }
}

static void store_lane(const ptx_warp *warp, const ptx_insn *insn, uint32_t lane, unsigned char *to) {
    const int size = insn->size;
    for (int v = 0; v < insn->vector; v++) {
        if (insn->wide == 8)
            memcpy(to + v * size, &REGISTER(const uint64_t, insn->v[v])[lane], (size_t)size);
        else
            memcpy(to + v * size, &REGISTER(const uint32_t, insn->v[v])[lane], (size_t)size);
    }
}

/* All lanes, neighbouring bytes, elements of 4 bytes: most accesses are such. */
static void load_rows(ptx_warp *warp, const ptx_insn *insn, const unsigned char *from) {
    const int vector = insn->vector;
    if (vector == 1) {
        memcpy(warp->registers + insn->v[0], from, 4 * PTX_LANES);
        return;
    }
    for (int v = 0; v < vector; v++) {
        uint32_t *to = REGISTER(uint32_t, insn->v[v]);
        for (int l = 0; l < PTX_LANES; l++) memcpy(&to[l], from + 4 * (l * vector + v), 4);
    }
}

static void store_rows(const ptx_warp *warp, const ptx_insn *insn, unsigned char *to) {
    const int vector = insn->vector;
    if (vector == 1) {
        memcpy(to, warp->registers + insn->v[0], 4 * PTX_LANES);
        return;
    }
    for (int v = 0; v < vector; v++) {
        const uint32_t *from = REGISTER(const uint32_t, insn->v[v]);
        for (int l = 0; l < PTX_LANES; l++) memcpy(to + 4 * (l * vector + v), &from[l], 4);
    }
}

/* Elements of 4 bytes anywhere, or one for all lanes. */
static void load_words(ptx_warp *warp, const ptx_insn *insn, const access *a, const unsigned char *host) {
    for (int v = 0; v < insn->vector; v++) {
        uint32_t *to = REGISTER(uint32_t, insn->v[v]), word;
        if (a->mask == ~0u && a->uniform) {
            memcpy(&word, host + 4 * v, 4);
            for (int l = 0; l < PTX_LANES; l++) to[l] = word;
        } else if (a->mask == ~0u) {
            for (int l = 0; l < PTX_LANES; l++) memcpy(&to[l], host + (a->at[l] - a->low) + 4 * v, 4);
        } else {
            EACH_LANE(a->mask) memcpy(&to[lane], host + (a->at[lane] - a->low) + 4 * v, 4);
        }
    }
}

static void store_words(const ptx_warp *warp, const ptx_insn *insn, const access *a, unsigned char *host) {
    for (int v = 0; v < insn->vector; v++) {
        const uint32_t *from = REGISTER(const uint32_t, insn->v[v]);
        EACH_LANE(a->mask) memcpy(host + (a->at[lane] - a->low) + 4 * v, &from[lane], 4);
    }
}

/* The bytes of `low` are at `host`. */
static void move(ptx_warp *warp, const ptx_insn *insn, const access *a, unsigned char *host, bool store) {
    const bool words = insn->wide == 4 && insn->size == 4, rows = words && a->contiguous && a->mask == ~0u;
    if (rows && store)
        store_rows(warp, insn, host);
    else if (rows)
        load_rows(warp, insn, host);
    else if (words && store)
        store_words(warp, insn, a, host);
    else if (words)
        load_words(warp, insn, a, host);
    else if (store) {
        EACH_LANE(a->mask) store_lane(warp, insn, lane, host + (a->at[lane] - a->low));
    } else {
        EACH_LANE(a->mask) load_lane(warp, insn, lane, host + (a->at[lane] - a->low));
    }
}

/* ---- Global memory ------------------------------------------------------------------------------------- */

static void find_allocation(ptx_run_state *run, ptx_cache *cache, const access *a, const char *what) {
    if (cache->bytes && a->low - cache->begin < cache->bytes && a->high - cache->begin <= cache->bytes)
        return;
    const driver_allocation *found = driver_find(a->low);
    const unsigned long long at = a->low;
    if (!found)
        ptx_fail(run, CUDA_ERROR_ILLEGAL_ADDRESS, "%s of %u bytes at 0x%llx, where no memory is", what,
                 a->bytes, at);
    if (!found->alive)
        ptx_fail(run, CUDA_ERROR_ILLEGAL_ADDRESS, "%s at 0x%llx, in memory that has been freed", what, at);
    if (found->device >= 0 && found->device != run->launch->device)
        ptx_fail(run, CUDA_ERROR_ILLEGAL_ADDRESS, "%s at 0x%llx, memory of device %d", what, at,
                 found->device);
    if (a->high > found->begin + found->bytes)
        ptx_fail(run, CUDA_ERROR_ILLEGAL_ADDRESS,
                 "%s of %u bytes up to %llu bytes past the end of an allocation of %zu", what, a->bytes,
                 (unsigned long long)(a->high - found->begin - found->bytes), found->bytes);
    cache->begin = found->begin;
    cache->bytes = found->bytes;
    cache->host = found->host;
    cache->written = found->written;
}

static unsigned count_sectors(const access *a) {
    if (a->contiguous) return (unsigned)(((a->high - 1) >> 5) - (a->low >> 5) + 1);
    if (a->uniform) return 1;
    uint64_t seen[PTX_LANES];
    unsigned count = 0;
    EACH_LANE(a->mask) {
        const uint64_t sector = a->at[lane] >> 5;
        unsigned i = count;
        while (i > 0 && seen[i - 1] != sector) i--;
        if (i == 0) seen[count++] = sector;
    }
    return count;
}

static void note_global(ptx_run_state *run, ptx_cache *cache, const access *a, ptx_touch_kind kind) {
    ptx_counters *counters = &run->launch->counters;
    counters->global_requests++;
    counters->global_sectors += count_sectors(a) * (kind == PTX_ATOMIC ? 2 : 1); /* read, and written */
    counters->global_bytes += (uint64_t)__builtin_popcount(a->mask) * a->bytes;
    if (a->contiguous || a->uniform) {
        ptx_touch(run->touched, cache, a->low, a->high - a->low, kind);
        return;
    }
    EACH_LANE(a->mask) ptx_touch(run->touched, cache, a->at[lane], a->bytes, kind);
}

/* P2P_MACHINE_UNINITIALIZED: a bit per 4 bytes. */
static void watch_initialized(ptx_run_state *run, const ptx_cache *cache, const access *a, bool write) {
    EACH_LANE(a->mask) {
        const uint64_t begin = a->at[lane] - cache->begin;
        for (uint64_t g = begin / 4; g <= (begin + a->bytes - 1) / 4; g++) {
            if (write)
                cache->written[g / 8] |= (unsigned char)(1 << g % 8);
            else if (!(cache->written[g / 8] >> g % 8 & 1))
                ptx_report(run, "byte %llu of an allocation of %llu is read, and nothing has written it",
                           (unsigned long long)(4 * g), (unsigned long long)cache->bytes);
        }
    }
}

/* Whether a load may read what other blocks have handed over. */
static bool may_take(const ptx_run_state *run, const ptx_insn *insn) {
    return insn->past_first && run->order.visible > 0;
}

static void access_global(ptx_warp *warp, const ptx_insn *insn, const access *a, bool store) {
    ptx_run_state *run = warp->run;
    ptx_cache *cache = &run->cache[insn->slot];
    find_allocation(run, cache, a, store ? "store" : "load");
    if (store) run->stored = run->epoch;
    note_global(run, cache, a, store ? PTX_WRITE : may_take(run, insn) ? PTX_TAKE : PTX_READ);
    if (cache->written) watch_initialized(run, cache, a, store);
    move(warp, insn, a, cache->host + (a->low - cache->begin), store);
}

/* ---- Shared memory ------------------------------------------------------------------------------------- */

/* A tag records which thread touched a granule last: the block's barriers so far in the upper 32 bits, the
 * warp's synchronisations in 16, then flags and the thread. */
enum { TAG_LANES = 1 << 11, TAG_WARPS = 1 << 12, TAG_THREAD = (1 << 11) - 1 };

static uint64_t make_tag(const ptx_warp *warp, uint32_t lane) {
    return warp->run->epoch << 32 | (uint64_t)(warp->epoch & 0xffff) << 16 |
           (uint64_t)(warp->index * PTX_LANES) | lane;
}

/* Whether the accesses of the tag may happen at the same time as an access by the thread of `own`. */
static bool is_concurrent(uint64_t tag, uint64_t own) {
    if (tag >> 32 != own >> 32) return false;
    if (tag & TAG_WARPS || (tag & TAG_THREAD) / PTX_LANES != (own & TAG_THREAD) / PTX_LANES) return true;
    return (tag >> 16 & 0xffff) == (own >> 16 & 0xffff) &&
           (tag & TAG_LANES || (tag & TAG_THREAD) != (own & TAG_THREAD));
}

/* The tag of what has been read by the thread of `own` too. */
static uint64_t join_tags(uint64_t tag, uint64_t own) {
    if (tag >> 32 != own >> 32) return own;
    if (tag & TAG_WARPS || (tag & TAG_THREAD) / PTX_LANES != (own & TAG_THREAD) / PTX_LANES)
        return own | TAG_WARPS;
    if (tag >> 16 != own >> 16) return own;
    return (tag & TAG_THREAD) != (own & TAG_THREAD) ? tag | TAG_LANES : tag;
}

static void report_shared_race(ptx_run_state *run, uint64_t granule, uint64_t other, bool write,
                               bool written) {
    ptx_report(run,
               "shared memory at byte %llu is %s here and was %s by thread %u, without a barrier between",
               (unsigned long long)granule * (unsigned)run->kernel->shared_granule,
               write ? "written" : "read", written ? "written" : "read", (unsigned)(other & TAG_THREAD));
}

static void check_granule(ptx_run_state *run, uint64_t granule, uint64_t own, bool write) {
    const uint64_t last_write = run->shared_write[granule];
    if (is_concurrent(last_write, own)) report_shared_race(run, granule, last_write, write, true);
    if (write && is_concurrent(run->shared_read[granule], own))
        report_shared_race(run, granule, run->shared_read[granule], write, false);
    if (!write && last_write >> 32 < run->first_epoch)
        ptx_fail(run, CUDA_ERROR_LAUNCH_FAILED, "shared memory at byte %llu is read before it was written",
                 (unsigned long long)granule * (unsigned)run->kernel->shared_granule);
}

static void note_granule(ptx_run_state *run, uint64_t granule, uint64_t own, bool write) {
    if (write)
        run->shared_write[granule] = own;
    else
        run->shared_read[granule] = join_tags(run->shared_read[granule], own);
}

/* The common case of an access of neighbouring granules by all lanes: written in this block, but not since
 * the barrier, except by the same thread; nothing to join. False: nothing has been noted. */
static bool check_row(ptx_run_state *run, uint64_t granule, uint64_t first_tag, bool write) {
    uint64_t *writes = run->shared_write + granule, *reads = run->shared_read + granule;
    uint64_t other = 0, unsettled = 0;
    for (unsigned l = 0; l < PTX_LANES; l++) {
        const uint64_t own = first_tag + l, w = writes[l], r = reads[l];
        const bool same_epoch = w >> 32 == own >> 32, same_thread = ((w ^ own) & TAG_THREAD) == 0;
        const bool read_now = r >> 32 == own >> 32, read_alone = ((r ^ own) & 0xffff) == 0;
        other |= (uint64_t)(same_epoch & !same_thread) | (uint64_t)(!write & (w >> 32 < run->first_epoch));
        unsettled |= (uint64_t)(read_now & !read_alone & (write | !(r & TAG_WARPS)));
    }
    if (other | unsettled) return false;
    if (write) {
        for (unsigned l = 0; l < PTX_LANES; l++) writes[l] = first_tag + l;
        return true;
    }
    for (unsigned l = 0; l < PTX_LANES; l++)
        reads[l] = reads[l] >> 32 == first_tag >> 32 && reads[l] & TAG_WARPS ? reads[l] : first_tag + l;
    return true;
}

/* First all lanes are checked, then noted: lanes of one instruction don't race with each other. */
static void check_shared(ptx_warp *warp, const access *a, bool write) {
    ptx_run_state *run = warp->run;
    const unsigned granule = (unsigned)run->kernel->shared_granule;
    if (a->contiguous && a->mask == ~0u && a->bytes == granule &&
        check_row(run, a->low / granule, make_tag(warp, 0), write))
        return;
    const uint32_t mask = a->uniform && !write ? a->mask & (0 - a->mask) : a->mask;
    EACH_LANE(mask) {
        const uint64_t own = make_tag(warp, lane), end = (a->at[lane] + a->bytes) / granule;
        for (uint64_t g = a->at[lane] / granule; g < end; g++) check_granule(run, g, own, write);
    }
    EACH_LANE(mask) {
        const uint64_t own = make_tag(warp, lane) | (mask != a->mask ? TAG_LANES : 0),
                       end = (a->at[lane] + a->bytes) / granule;
        for (uint64_t g = a->at[lane] / granule; g < end; g++) note_granule(run, g, own, write);
    }
}

/* Passes of a request beyond one per 128 bytes: 32 banks of 4 bytes give one word each per pass. Requests of
 * 8 and 16 bytes per lane are served for halves and quarters of the warp. */
static unsigned count_conflicts(const access *a) {
    if (a->contiguous || a->uniform) return 0;
    const unsigned words = a->bytes < 4 ? 1 : a->bytes / 4, group = PTX_LANES / words;
    unsigned extra = 0;
    for (unsigned first = 0; first < PTX_LANES; first += group) {
        uint64_t word_of[PTX_LANES][PTX_LANES];
        unsigned count[PTX_LANES] = {0}, worst = 1;
        for (unsigned l = first; l < first + group; l++) {
            if (!(a->mask >> l & 1)) continue;
            for (unsigned k = 0; k < words; k++) {
                const uint64_t word = a->at[l] / 4 + k;
                const unsigned bank = word % PTX_LANES;
                unsigned i = 0;
                while (i < count[bank] && word_of[bank][i] != word) i++;
                if (i == count[bank]) word_of[bank][count[bank]++] = word;
                if (count[bank] > worst) worst = count[bank];
            }
        }
        extra += worst - 1;
    }
    return extra;
}

static void bound_shared(ptx_run_state *run, const access *a) {
    if (a->high > run->shared_bytes)
        ptx_fail(run, CUDA_ERROR_ILLEGAL_ADDRESS, "%u bytes up to byte %llu of %zu bytes of shared memory",
                 a->bytes, (unsigned long long)a->high, run->shared_bytes);
}

static void access_shared(ptx_warp *warp, const ptx_insn *insn, const access *a, bool store) {
    ptx_run_state *run = warp->run;
    bound_shared(run, a);
    check_shared(warp, a, store);
    run->launch->counters.shared_requests++;
    run->launch->counters.shared_conflicts += count_conflicts(a);
    move(warp, insn, a, run->shared + a->low, store);
}

/* ---- Local memory, and all ----------------------------------------------------------------------------- */

static void access_local(ptx_warp *warp, const ptx_insn *insn, const access *a, bool store) {
    ptx_run_state *run = warp->run;
    const size_t bytes = run->kernel->local.bytes;
    if (a->high > bytes)
        ptx_fail(run, CUDA_ERROR_ILLEGAL_ADDRESS, "byte %llu of %zu bytes of local memory",
                 (unsigned long long)a->high, bytes);
    run->launch->counters.local_bytes += (uint64_t)__builtin_popcount(a->mask) * a->bytes;
    EACH_LANE(a->mask) {
        unsigned char *at = warp->local + lane * bytes + a->at[lane];
        if (store)
            store_lane(warp, insn, lane, at);
        else
            load_lane(warp, insn, lane, at);
    }
}

/* The space of a generic address, which becomes an offset in it. */
static ptx_space resolve(ptx_warp *warp, ptx_space space, access *a) {
    if (space != ptx_generic) return space;
    const uint64_t window = a->at[__builtin_ctz(warp->mask)] & (uint64_t)0xff << 56;
    if (window != PTX_SHARED_WINDOW && window != PTX_LOCAL_WINDOW) return ptx_global;
    for (int l = 0; l < PTX_LANES; l++) a->at[l] -= window;
    return window == PTX_SHARED_WINDOW ? ptx_shared : ptx_local;
}

static void do_access(ptx_warp *warp, const ptx_insn *insn, bool store) {
    access a;
    compute_addresses(warp, insn, &a);
    const ptx_space space = resolve(warp, (ptx_space)insn->space, &a);
    describe(warp, &a, (unsigned)(insn->size * insn->vector), store ? "store" : "load");
    if (space == ptx_shared)
        access_shared(warp, insn, &a, store);
    else if (space == ptx_local)
        access_local(warp, insn, &a, store);
    else
        access_global(warp, insn, &a, store);
}

void ptx_load_op(ptx_warp *warp, const ptx_insn *insn) {
    do_access(warp, insn, false);
}

void ptx_store_op(ptx_warp *warp, const ptx_insn *insn) {
    do_access(warp, insn, true);
}

/* ---- Atomic operations --------------------------------------------------------------------------------- */

/* Where the bytes of the access are, checked and counted as read and written. Atomic operations don't race.
 * The first level cache has no part in them, so each request of a block moves its sectors. */
static unsigned char *atomic_place(ptx_warp *warp, const ptx_insn *insn, access *a) {
    ptx_run_state *run = warp->run;
    compute_addresses(warp, insn, a);
    const ptx_space space = resolve(warp, (ptx_space)insn->space, a);
    describe(warp, a, (unsigned)insn->size, "atomic operation");
    if (space == ptx_local)
        ptx_fail(run, CUDA_ERROR_INVALID_ADDRESS_SPACE, "an atomic operation on local memory");
    if (space == ptx_shared) {
        bound_shared(run, a);
        return run->shared + a->low;
    }
    ptx_cache *cache = &run->cache[insn->slot];
    find_allocation(run, cache, a, "atomic operation");
    note_global(run, cache, a, PTX_ATOMIC);
    run->launch->counters.block_sectors += 2 * count_sectors(a);
    ptx_order_atomic(warp, insn, a->at);
    return cache->host + (a->low - cache->begin);
}

#define ATOMIC(id, type, expression)                                                                         \
    static void atomic_##id(ptx_warp *warp, const ptx_insn *insn) {                                          \
        access at;                                                                                           \
        unsigned char *host = atomic_place(warp, insn, &at);                                                 \
        EACH_LANE(at.mask) {                                                                                 \
            unsigned char *place = host + (at.at[lane] - at.low);                                            \
            const type b = REGISTER(const type, insn->b)[lane];                                              \
            const type c = insn->c >= 0 ? REGISTER(const type, insn->c)[lane] : b;                           \
            type a, result;                                                                                  \
            memcpy(&a, place, sizeof a);                                                                     \
            (void)c;                                                                                         \
            result = (expression);                                                                           \
            memcpy(place, &result, sizeof a);                                                                \
            if (insn->d >= 0) REGISTER(type, insn->d)[lane] = a;                                             \
        }                                                                                                    \
    }
ATOMIC(add_u32, uint32_t, a + b)
ATOMIC(add_u64, uint64_t, a + b)
ATOMIC(add_f32, float, a + b)
ATOMIC(add_f64, double, a + b)
ATOMIC(min_u32, uint32_t, a < b ? a : b)
ATOMIC(max_u32, uint32_t, a > b ? a : b)
ATOMIC(min_s32, int32_t, a < b ? a : b)
ATOMIC(max_s32, int32_t, a > b ? a : b)
ATOMIC(and_b32, uint32_t, a &b)
ATOMIC(or_b32, uint32_t, a | b)
ATOMIC(exch_b32, uint32_t, b)
ATOMIC(exch_b64, uint64_t, b)
ATOMIC(cas_b32, uint32_t, a == b ? c : a)
ATOMIC(cas_b64, uint64_t, a == b ? c : a)
ATOMIC(inc_u32, uint32_t, a >= b ? 0 : a + 1)

ptx_handler *ptx_atomic(const char *operation, ptx_type type) {
    static const struct {
        const char *operation;
        ptx_type type;
        ptx_handler *handler;
    } known[] = {
        {"add", ptx_u32, atomic_add_u32},   {"add", ptx_s32, atomic_add_u32},
        {"add", ptx_u64, atomic_add_u64},   {"add", ptx_f32, atomic_add_f32},
        {"add", ptx_f64, atomic_add_f64},   {"min", ptx_u32, atomic_min_u32},
        {"max", ptx_u32, atomic_max_u32},   {"min", ptx_s32, atomic_min_s32},
        {"max", ptx_s32, atomic_max_s32},   {"and", ptx_b32, atomic_and_b32},
        {"or", ptx_b32, atomic_or_b32},     {"exch", ptx_b32, atomic_exch_b32},
        {"exch", ptx_b64, atomic_exch_b64}, {"cas", ptx_b32, atomic_cas_b32},
        {"cas", ptx_b64, atomic_cas_b64},   {"inc", ptx_u32, atomic_inc_u32},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].type == type && strcmp(known[i].operation, operation) == 0) return known[i].handler;
    return NULL;
}
