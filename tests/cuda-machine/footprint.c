/* The bytes of device memory that a launch reads and writes, in granules of 2 bytes, the smallest element
 * that kernels write: a bit each, in pages of 64 KiB. The bits of a block are kept apart until it ends, and
 * are then compared with those of all blocks before it: no block may write what another one touches, because
 * blocks run in no order. Atomic operations may, and they hand over to other blocks what was written before
 * them (ptx_order.c). */
#include "ptx_code.h"

#include <stdlib.h>
#include <string.h>

enum {
    PAGE_SHIFT = 16,
    GRANULE_SHIFT = 1,
    GRANULE = 1 << GRANULE_SHIFT,
    WORDS = 1 << (PAGE_SHIFT - GRANULE_SHIFT - 6),
    BUCKETS = 1024
};

typedef struct page {
    uint64_t key;                           /* address >> PAGE_SHIFT */
    uint64_t block[PTX_TOUCH_KINDS][WORDS]; /* of the block that runs */
    uint64_t read[WORDS], written[WORDS];
    unsigned first, end; /* all words of `block` outside [first, end) are 0 */
    struct page *next, *next_of_block;
} page;

typedef struct {
    driver_interval *list;
    size_t count, capacity;
} intervals;

/* What blocks have handed over at an address. */
typedef struct handed {
    uint64_t address;
    intervals written;
    struct handed *next;
} handed;

struct ptx_touched {
    page *buckets[BUCKETS];
    page *of_block; /* pages that the block has touched */
    size_t count;
    handed *handed; /* a list */
};

ptx_touched *ptx_touched_new(void) {
    ptx_touched *touched = calloc(1, sizeof *touched);
    if (!touched) abort();
    return touched;
}

void ptx_touched_free(ptx_touched *touched) {
    for (int i = 0; i < BUCKETS; i++)
        for (page *p = touched->buckets[i], *next; p; p = next) {
            next = p->next;
            free(p);
        }
    for (handed *h = touched->handed, *next; h; h = next) {
        next = h->next;
        free(h->written.list);
        free(h);
    }
    free(touched);
}

static page *find_page(ptx_touched *touched, uint64_t key) {
    page **bucket = &touched->buckets[key % BUCKETS];
    for (page *p = *bucket; p; p = p->next)
        if (p->key == key) return p;
    page *made = calloc(1, sizeof *made);
    if (!made) abort();
    made->key = key;
    made->next = *bucket;
    *bucket = made;
    touched->count++;
    return made;
}

static void set_bits(uint64_t *words, unsigned first, unsigned end) {
    while (first < end) {
        const unsigned word = first / 64, from = first % 64,
                       count = end - first < 64 - from ? end - first : 64 - from;
        words[word] |= (count == 64 ? ~(uint64_t)0 : ((uint64_t)1 << count) - 1) << from;
        first += count;
    }
}

static void touch_page(ptx_touched *touched, page *p, unsigned first, unsigned end, ptx_touch_kind kind) {
    if (p->end == 0) {
        p->next_of_block = touched->of_block;
        touched->of_block = p;
        p->first = WORDS;
    }
    if (first / 64 < p->first) p->first = first / 64;
    if ((end - 1) / 64 + 1 > p->end) p->end = (end - 1) / 64 + 1;
    set_bits(p->block[kind], first, end);
}

void ptx_touch(ptx_touched *touched, ptx_cache *cache, uint64_t begin, uint64_t bytes, ptx_touch_kind kind) {
    const uint64_t end = begin + bytes, page_bytes = (uint64_t)1 << PAGE_SHIFT;
    while (begin < end) {
        const uint64_t key = begin >> PAGE_SHIFT,
                       stop = (key + 1) * page_bytes < end ? (key + 1) * page_bytes : end;
        if (!cache->touched || cache->page != key) {
            cache->touched = find_page(touched, key);
            cache->page = key;
        }
        const unsigned first = (unsigned)((begin & (page_bytes - 1)) >> GRANULE_SHIFT);
        const unsigned last = (unsigned)(((stop - 1) & (page_bytes - 1)) >> GRANULE_SHIFT);
        touch_page(touched, cache->touched, first, last + 1, kind);
        begin = stop;
    }
}

/* ---- Between blocks ------------------------------------------------------------------------------------ */

static void add_granules(intervals *to, uint64_t begin, uint64_t end) {
    if (to->count && to->list[to->count - 1].end == begin) {
        to->list[to->count - 1].end = end;
        return;
    }
    if (to->count == to->capacity) {
        to->capacity = to->capacity ? 2 * to->capacity : 16;
        to->list = realloc(to->list, to->capacity * sizeof *to->list);
        if (!to->list) abort();
    }
    to->list[to->count++] = (driver_interval){begin, end};
}

static void add_page(intervals *to, const page *p, const uint64_t *words) {
    const uint64_t base = p->key << PAGE_SHIFT;
    for (unsigned w = 0; w < WORDS; w++) {
        uint64_t left = words[w];
        unsigned at = 0;
        while (left) {
            const unsigned skip = (unsigned)__builtin_ctzll(left);
            left >>= skip;
            at += skip;
            const unsigned run = ~left ? (unsigned)__builtin_ctzll(~left) : 64;
            const uint64_t begin = base + ((w * 64 + at) << GRANULE_SHIFT);
            add_granules(to, begin, begin + (run << GRANULE_SHIFT));
            left = run == 64 ? 0 : left >> run;
            at += run;
        }
    }
}

static handed *find_handed(ptx_touched *touched, uint64_t address) {
    for (handed *h = touched->handed; h; h = h->next)
        if (h->address == address) return h;
    handed *made = calloc(1, sizeof *made);
    if (!made) abort();
    *made = (handed){.address = address, .next = touched->handed};
    return touched->handed = made;
}

void ptx_touched_hand_over(ptx_touched *touched, uint64_t address) {
    handed *to = find_handed(touched, address);
    for (page *p = touched->of_block; p; p = p->next_of_block) add_page(&to->written, p, p->block[PTX_WRITE]);
}

static bool takes(const ptx_order *order, uint64_t address) {
    for (int i = 0; i < order->visible; i++)
        if (order->address[i] == address) return true;
    return false;
}

/* The granules of a word that lie in the intervals. */
static uint64_t granules_of(const intervals *of, uint64_t begin) {
    uint64_t bits = 0;
    const uint64_t end = begin + (64 << GRANULE_SHIFT);
    for (size_t i = 0; i < of->count; i++) {
        const uint64_t first = of->list[i].begin > begin ? of->list[i].begin : begin,
                       stop = of->list[i].end < end ? of->list[i].end : end;
        if (first < stop)
            set_bits(&bits, (unsigned)(first - begin) >> GRANULE_SHIFT,
                     (unsigned)(stop - begin) >> GRANULE_SHIFT);
    }
    return bits;
}

/* The granules of a word that other blocks have handed over to this one. */
static uint64_t handed_granules(const ptx_run_state *run, const page *p, unsigned word) {
    const uint64_t begin = (p->key << PAGE_SHIFT) + ((uint64_t)word * 64 << GRANULE_SHIFT);
    uint64_t bits = 0;
    for (const handed *h = run->touched->handed; h; h = h->next)
        if (takes(&run->order, h->address)) bits |= granules_of(&h->written, begin);
    return bits;
}

/* ---- The end of a block -------------------------------------------------------------------------------- */

static void report_blocks(ptx_run_state *run, const page *p, unsigned word, uint64_t bits, bool written) {
    const uint64_t at =
        (p->key << PAGE_SHIFT) + ((word * 64 + (unsigned)__builtin_ctzll(bits)) << GRANULE_SHIFT);
    const driver_allocation *found = driver_find(at);
    ptx_report(
        run,
        "byte %llu of an allocation is %s by this block and written or read by another one, and nothing "
        "orders them",
        (unsigned long long)(found ? at - found->begin : 0), written ? "written" : "read");
}

/* Sectors of 16 granules in a word. */
static unsigned sectors_of(uint64_t granules) {
    uint64_t any = granules | granules >> 8;
    any |= any >> 4;
    any |= any >> 2;
    any |= any >> 1;
    return (unsigned)__builtin_popcountll(any & 0x0001000100010001u);
}

static void end_page(ptx_run_state *run, page *p) {
    for (unsigned w = p->first; w < p->end; w++) {
        const uint64_t taken = p->block[PTX_TAKE][w], read = p->block[PTX_READ][w] | taken,
                       written = p->block[PTX_WRITE][w];
        const uint64_t both = written & (p->read[w] | p->written[w]);
        uint64_t late = read & p->written[w];
        if (late & taken) late &= p->block[PTX_READ][w] | ~handed_granules(run, p, w);
        if (both)
            report_blocks(run, p, w, both, true);
        else if (late)
            report_blocks(run, p, w, late, false);
        run->launch->counters.block_sectors += sectors_of(read) + sectors_of(written);
        p->read[w] |= read;
        p->written[w] |= written;
        p->block[PTX_READ][w] = p->block[PTX_WRITE][w] = p->block[PTX_TAKE][w] = 0;
    }
    p->first = p->end = 0;
}

void ptx_touched_end_block(ptx_touched *touched, ptx_run_state *run) {
    for (page *p = touched->of_block; p; p = p->next_of_block) end_page(run, p);
    touched->of_block = NULL;
}

/* ---- The end of a launch ------------------------------------------------------------------------------- */

static int compare_pages(const void *one, const void *two) {
    const page *a = *(page *const *)one, *b = *(page *const *)two;
    return (a->key > b->key) - (a->key < b->key);
}

void ptx_touched_finish(ptx_touched *touched, ptx_launch *launch) {
    page **pages = malloc((touched->count + 1) * sizeof *pages);
    if (!pages) abort();
    size_t n = 0;
    for (int i = 0; i < BUCKETS; i++)
        for (page *p = touched->buckets[i]; p; p = p->next) pages[n++] = p;
    qsort(pages, n, sizeof *pages, compare_pages);
    intervals reads = {0}, writes = {0};
    ptx_counters *counters = &launch->counters;
    for (size_t i = 0; i < n; i++) {
        for (unsigned w = 0; w < WORDS; w++) {
            pages[i]->read[w] |=
                pages[i]->block[PTX_READ][w] | pages[i]->block[PTX_TAKE][w] | pages[i]->block[PTX_ATOMIC][w];
            pages[i]->written[w] |= pages[i]->block[PTX_WRITE][w] | pages[i]->block[PTX_ATOMIC][w];
        }
        add_page(&reads, pages[i], pages[i]->read);
        add_page(&writes, pages[i], pages[i]->written);
        for (unsigned w = 0; w < WORDS; w++) {
            const uint64_t read = pages[i]->read[w], written = pages[i]->written[w];
            counters->distinct_sectors += sectors_of(read) + sectors_of(written);
            counters->distinct_read_bytes += GRANULE * (unsigned)__builtin_popcountll(read);
            counters->distinct_written_bytes += GRANULE * (unsigned)__builtin_popcountll(written);
        }
    }
    free(pages);
    launch->footprint = (driver_footprint){reads.list, writes.list, reads.count, writes.count};
}
