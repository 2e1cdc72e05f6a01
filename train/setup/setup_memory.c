/* The check of a computation's memory, and the search for what would fit. See setup_memory.h. */
#include "setup_memory.h"

#include "host/sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const memory_question *question;
    p2p_device_memory device; /* of the tightest one: with the least room for a replica */
    int replicas;             /* of this process */
    int times;                /* replicas on that device, of all processes */
    int tightest;             /* its place in the list */
    int sharing;              /* processes on it */
    sys_memory available;     /* of the host, beside what the process has already */
    int processes;            /* that share it */
    bool by_device;           /* the message is about the device's memory alone, and so is the hint */
    bool alone;               /* pictures are read one at a time */
} memory_search;

/* ---- Fitting ------------------------------------------------------------------------------------------ */

static size_t picture_bytes(const memory_search *search, const memory_need *need) {
    return search->alone ? need->picture : need->pictures;
}

/* What the host's memory has to hold for all processes that share it. */
static uint64_t host_total(const memory_search *search, const memory_need *need) {
    const p2p_device_memory *device = &search->device;
    const uint64_t buffers = (uint64_t)need->device * (uint64_t)search->replicas;
    return (uint64_t)search->processes * ((uint64_t)need->host + picture_bytes(search, need) +
                                          device->driver_bytes + (device->in_host ? buffers : 0));
}

/* What the tightest device has to hold. */
static uint64_t device_total(const memory_search *search, const memory_need *need) {
    return (uint64_t)need->device * (uint64_t)search->times;
}

/* What libraries will take on the tightest device in all processes. */
static size_t reserve_of(const memory_search *search) {
    return search->device.reserve * (size_t)search->sharing;
}

/* What buffers can take there. */
static size_t room_of(const memory_search *search) {
    const size_t reserve = reserve_of(search);
    return search->device.free_bytes > reserve ? search->device.free_bytes - reserve : 0;
}

static bool device_fits(const memory_search *search, const memory_need *need) {
    return search->device.bytes == 0 || device_total(search, need) <= room_of(search);
}

/* Libraries of collectives need a device for each replica; else sums pass through the host. */
static bool takes_part(const memory_question *question) {
    bool alone = true;
    for (int i = 0; i < question->devices->count; i++) {
        const bool shared = question->sharing && question->sharing->devices[i].others > 0;
        alone = alone && !shared && setup_devices_times(question->devices, i) == 1;
    }
    return question->joined && alone;
}

/* With the device at a place of the list as the tightest one. */
static memory_search with_device(const memory_search *search, int place) {
    const memory_question *question = search->question;
    memory_search at = *search;
    at.tightest = place;
    at.times = setup_devices_times(question->devices, place);
    at.sharing = 1;
    if (question->sharing) {
        at.times += question->sharing->devices[place].others;
        at.sharing = question->sharing->devices[place].processes;
    }
    p2p_device_memory_of(question->devices->list[place], takes_part(question), &at.device);
    return at;
}

static bool is_tighter(const memory_search *one, const memory_search *other) {
    if (one->device.bytes == 0 || other->device.bytes == 0) return one->device.bytes > 0;
    return room_of(one) / (size_t)one->times < room_of(other) / (size_t)other->times;
}

/* Several devices are of one kind, so the driver's own memory is counted once. */
static void find_tightest(memory_search *search) {
    const setup_devices *devices = search->question->devices;
    search->replicas = devices->count;
    *search = with_device(search, 0);
    for (int i = 1; i < devices->count; i++) {
        if (setup_devices_times(devices, i) == 0) continue;
        const memory_search at = with_device(search, i);
        if (is_tighter(&at, search)) *search = at;
    }
}

static void find_available(memory_search *search) {
    const memory_sharing *sharing = search->question->sharing;
    search->processes = sharing ? sharing->processes : 1;
    if (sharing)
        search->available = sharing->available;
    else
        (void)sys_memory_available(&search->available); /* UINT64_MAX bytes if nothing is known */
}

static bool fits(const memory_search *search, const memory_need *need) {
    return device_fits(search, need) && host_total(search, need) <= search->available.bytes;
}

/* Whether a shape can be planned and fits. */
static bool shape_fits(const memory_search *search, const memory_shape *shape, memory_need *need) {
    const memory_question *question = search->question;
    return question->measure(question->context, shape, need) == P2P_OK && fits(search, need);
}

/* The total that the message is about. */
static double gigabytes(const memory_search *search, const memory_need *need) {
    return 1e-9 * (double)(search->by_device ? device_total(search, need) : host_total(search, need));
}

/* ---- What would fit ----------------------------------------------------------------------------------- */

/* Larger numbers need more: the largest in [1, most] for which `shape_at` fits; 0: none. */
static int64_t largest(const memory_search *search, int64_t most,
                       memory_shape (*shape_at)(const memory_question *question, int64_t number),
                       memory_need *need) {
    int64_t low = 0, high = most + 1;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        const memory_shape shape = shape_at(search->question, middle);
        memory_need found;
        if (shape_fits(search, &shape, &found)) {
            low = middle;
            *need = found;
        } else {
            high = middle;
        }
    }
    return low;
}

static memory_shape shape_of_batch(const memory_question *question, int64_t batch) {
    memory_shape shape = question->shape;
    shape.batch = batch;
    return shape;
}

static int64_t scaled(int64_t side, int64_t part, int64_t whole, int64_t unit) {
    const int64_t units = side * part / whole / unit;
    return (units < 1 ? 1 : units) * unit;
}

/* A picture that is `number` units wide and keeps its proportions, alone in its batch. */
static memory_shape shape_of_picture(const memory_question *question, int64_t number) {
    const memory_shape *asked = &question->shape;
    const int64_t whole = asked->width / question->unit;
    return (memory_shape){1, number * question->unit, scaled(asked->height, number, whole, question->unit)};
}

/* The batch as a clause; "" if not even one picture at a time fits, or one was requested. */
static void propose_batch(const memory_search *search, char *text, size_t size) {
    memory_need need = {0};
    const int64_t asked = search->question->shape.batch;
    const int64_t batch = asked > 1 ? largest(search, asked - 1, shape_of_batch, &need) : 0;
    if (batch > 0) snprintf(text, size, "--batch %" PRId64 " needs %.2f GB", batch, gigabytes(search, &need));
}

/* Half of the size, and so on: the first that fits with the batch of `shape`, which becomes that shape. */
static bool find_size(const memory_search *search, memory_shape *shape, memory_need *need) {
    enum { LEAST_SIZE = 32 };
    while ((shape->width /= 2) >= LEAST_SIZE) {
        shape->height = shape->width;
        if (shape_fits(search, shape, need)) return true;
    }
    return false;
}

/* A size for the batch that was requested. */
static void propose_size(const memory_search *search, char *text, size_t size) {
    memory_shape shape = search->question->shape;
    memory_need need;
    if (find_size(search, &shape, &need))
        snprintf(text, size, "--size %" PRId64 " needs %.2f GB", shape.width, gigabytes(search, &need));
}

/* Not even one picture of the size fits: the largest size of which one does, and how many do. */
static void propose_size_and_batch(const memory_search *search, char *text, size_t size) {
    memory_question smaller = *search->question;
    memory_search search_smaller = *search;
    memory_need need;
    smaller.shape.batch = 1;
    if (!find_size(search, &smaller.shape, &need)) return;
    search_smaller.question = &smaller;
    const int64_t batch = largest(&search_smaller, search->question->shape.batch, shape_of_batch, &need);
    snprintf(text, size, "--size %" PRId64 " --batch %" PRId64 " needs %.2f GB", smaller.shape.width, batch,
             gigabytes(search, &need));
}

static void propose_picture(const memory_search *search, char *text, size_t size) {
    memory_need need = {0};
    const memory_question *question = search->question;
    const int64_t units = largest(search, question->shape.width / question->unit, shape_of_picture, &need);
    if (units == 0) return;
    const memory_shape shape = shape_of_picture(question, units);
    snprintf(text, size, "one picture of at most %" PRId64 " x %" PRId64 " pixels needs %.2f GB", shape.width,
             shape.height, gigabytes(search, &need));
}

/* The same with pictures that are read one at a time, as a clause; "" if that does not fit either. */
static void propose_pictures(const memory_search *search, char *text, size_t size) {
    enum { UNIT = 1000000 };
    memory_search alone = *search;
    memory_need need;
    alone.alone = true;
    if (!shape_fits(&alone, &search->question->shape, &need) || need.picture >= need.pictures) return;
    snprintf(text, size, "--memory %zuM, with fewer pictures read at once, needs %.2f GB",
             need.picture / UNIT + 1, gigabytes(&alone, &need));
}

static const char nothing_fits[] = "nothing smaller fits";

/* What would fit, as a sentence. The message of an earlier failure is lost. */
static void propose(const memory_search *search, char *text, size_t size) {
    char batch[80] = "", shape[120] = "";
    const memory_change change = search->question->change;
    propose_pictures(search, text, size);
    if (text[0]) return;
    if (change == MEMORY_FIXED) {
        snprintf(text, size,
                 "a resumed training keeps its batch and size: free memory, or continue on "
                 "another device");
        return;
    }
    propose_batch(search, batch, sizeof batch);
    if (change == MEMORY_OPTIONS && (batch[0] || search->question->shape.batch == 1))
        propose_size(search, shape, sizeof shape);
    else if (change == MEMORY_OPTIONS)
        propose_size_and_batch(search, shape, sizeof shape);
    if (change == MEMORY_PICTURES && !batch[0]) propose_picture(search, shape, sizeof shape);
    snprintf(text, size, "%s%s%s", batch, batch[0] && shape[0] ? "; or " : "", shape);
    if (!text[0])
        snprintf(text, size, "%s: free memory, or use %sanother device", nothing_fits,
                 change == MEMORY_OPTIONS ? "smaller networks (--ngf, --ndf) or " : "");
}

/* ---- The check ---------------------------------------------------------------------------------------- */

static const p2p_device *tightest_of(const memory_search *search) {
    return search->question->devices->list[search->tightest];
}

static const char *address_of(const memory_search *search) {
    return p2p_device_address(tightest_of(search));
}

/* "this training needs", or "3 processes of this training need". */
static int begin_text(const memory_search *search, int processes, char *text, size_t size) {
    return processes > 1 ? snprintf(text, size, "%d processes of %s need", processes, search->question->what)
                         : snprintf(text, size, "%s needs", search->question->what);
}

static void describe_device(const memory_search *search, const memory_need *need, char *text, size_t size) {
    const p2p_device_memory *device = &search->device;
    char left[96] = "";
    if (device->reserve > 0)
        snprintf(left, sizeof left, ": %.2f GB are free, and libraries need %.2f GB",
                 1e-9 * (double)device->free_bytes, 1e-9 * (double)reserve_of(search));
    const int used = begin_text(search, search->sharing, text, size);
    snprintf(text + used, size - (size_t)used, " %.2f GB on %s (%s), which has %.2f GB%s",
             1e-9 * (double)device_total(search, need), address_of(search),
             p2p_device_name(tightest_of(search)), 1e-9 * (double)device->bytes, left);
}

/* What pictures take is part of the message from here on. */
enum { LEAST_SAID = 10000000 };

static void describe_host(const memory_search *search, const memory_need *need, char *text, size_t size) {
    char addresses[256], pictures[64] = "";
    setup_devices_print(search->question->devices, addresses, sizeof addresses);
    if (need->pictures >= LEAST_SAID)
        snprintf(pictures, sizeof pictures, " and %.2f GB for reading pictures",
                 1e-9 * (double)need->pictures * search->processes);
    int used = begin_text(search, search->processes, text, size);
    used += snprintf(text + used, size - (size_t)used, " %.2f GB of memory%s%s%s",
                     1e-9 * (double)host_total(search, need),
                     search->device.in_host ? ", with that of " : " beside that of ", addresses, pictures);
    if (search->available.bytes != UINT64_MAX && (size_t)used < size)
        snprintf(text + used, size - (size_t)used, "; %.2f GB %s", 1e-9 * (double)search->available.bytes,
                 search->available.limit);
}

static void describe(memory_search *search, const memory_need *need, char *text, size_t size) {
    search->by_device = !device_fits(search, need) || (!search->device.in_host && fits(search, need));
    if (search->by_device)
        describe_device(search, need, text, size);
    else
        describe_host(search, need, text, size);
}

/* A part is too large for one buffer, or for the device's numbers, whose reason is in the verbose log. */
static void describe_part(memory_search *search, p2p_status status, char *text, size_t size) {
    search->by_device = !search->device.in_host;
    snprintf(text, size, "%s doesn't fit on %s (%s): %s", search->question->what, address_of(search),
             p2p_device_name(tightest_of(search)),
             status == P2P_OUT_OF_MEMORY ? p2p_message() : "the device can't address a part of it");
}

bool setup_memory_hopeless(const memory_fit *fit) {
    return strncmp(fit->proposal, nothing_fits, sizeof nothing_fits - 1) == 0;
}

/* Propose what would fit after a shape that can't be planned. If nothing can, the failure is another one. */
static p2p_status propose_instead(memory_search *search, p2p_status status, memory_fit *fit) {
    p2p_failure failure;
    describe_part(search, status, fit->text, sizeof fit->text);
    p2p_failure_take(&failure, status);
    propose(search, fit->proposal, sizeof fit->proposal);
    return status == P2P_UNSUPPORTED && setup_memory_hopeless(fit) ? p2p_failure_give(&failure) : P2P_OK;
}

p2p_status setup_memory_fit(const memory_question *question, memory_fit *fit) {
    memory_search search = {.question = question};
    memory_need need;
    *fit = (memory_fit){0};
    find_tightest(&search);
    find_available(&search);
    p2p_status status = question->measure(question->context, &question->shape, &need);
    if (status == P2P_OUT_OF_MEMORY || status == P2P_UNSUPPORTED)
        return propose_instead(&search, status, fit);
    P2P_TRY(status);
    describe(&search, &need, fit->text, sizeof fit->text);
    fit->fits = fits(&search, &need);
    if (!fit->fits) propose(&search, fit->proposal, sizeof fit->proposal);
    return P2P_OK;
}

p2p_status setup_memory_refuse(const memory_fit *fit) {
    if (fit->fits) return P2P_OK;
    p2p_fail(P2P_OUT_OF_MEMORY, "%s", fit->text);
    return p2p_hint(P2P_OUT_OF_MEMORY, "%s", fit->proposal);
}

p2p_status setup_memory_check(const memory_question *question) {
    memory_fit fit;
    P2P_TRY(setup_memory_fit(question, &fit));
    return setup_memory_refuse(&fit);
}

p2p_status setup_memory_check_ranks(memory_question *question, ranks *r) {
    memory_sharing sharing;
    P2P_TRY(setup_share_memory(r, question->devices, &sharing));
    question->sharing = &sharing;
    const p2p_status status = ranks_agree(r, setup_memory_check(question));
    question->sharing = NULL;
    return status;
}
