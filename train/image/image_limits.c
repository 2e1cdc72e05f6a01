/* A semaphore of bytes. See image_limits.h. Threads wait in a queue of numbered tickets, so that a large
 * picture is not starved by small ones. */
#include "image_limits.h"

#include "host/sys.h"
#include "image_codec.h"

static struct {
    uint64_t max_pixels, memory;
    sys_monitor *monitor; /* NULL: no limit was set. Protects the fields below */
    uint64_t taken;
    uint64_t next_ticket, served; /* the ticket whose turn it is */
} limits = {.max_pixels = IMAGE_MAX_PIXELS, .memory = UINT64_MAX};

p2p_status image_limits_set(const image_limits *wanted) {
    if (limits.monitor == NULL) P2P_TRY(sys_monitor_create(&limits.monitor));
    limits.max_pixels = wanted->max_pixels;
    limits.memory = wanted->memory;
    return P2P_OK;
}

uint64_t image_memory_limit(void) {
    return limits.memory;
}

p2p_status image_memory_check(uint64_t bytes, const char *name) {
    if (bytes <= limits.memory) return P2P_OK;
    p2p_fail(P2P_INPUT, "%s takes %.1f MB of memory to read; %.1f MB are allowed for pictures", name,
             (double)bytes / 1e6, (double)limits.memory / 1e6);
    return p2p_hint(P2P_INPUT, "make the picture smaller, allow more with --memory, or leave it out with "
                               "--on-bad-image skip");
}

p2p_status image_memory_take(uint64_t bytes, const char *name) {
    if (limits.monitor == NULL) return P2P_OK;
    P2P_TRY(image_memory_check(bytes, name));
    sys_monitor_enter(limits.monitor);
    const uint64_t ticket = limits.next_ticket++;
    while (ticket != limits.served || bytes > limits.memory - limits.taken) sys_monitor_wait(limits.monitor);
    limits.taken += bytes;
    limits.served++;
    sys_monitor_wake_all(limits.monitor);
    sys_monitor_leave(limits.monitor);
    return P2P_OK;
}

void image_memory_give(uint64_t bytes) {
    if (limits.monitor == NULL) return;
    sys_monitor_enter(limits.monitor);
    limits.taken -= bytes;
    sys_monitor_wake_all(limits.monitor);
    sys_monitor_leave(limits.monitor);
}

p2p_status image_check_size(uint64_t width, uint64_t height, const char *name) {
    if (width == 0 || height == 0) return p2p_fail(P2P_INPUT, "%s has no pixels", name);
    if (width <= IMAGE_MAX_SIDE && height <= IMAGE_MAX_SIDE && width * height <= limits.max_pixels)
        return P2P_OK;
    p2p_fail(P2P_INPUT, "%s is %llu x %llu pixels; at most %d on a side and %llu in all are accepted", name,
             (unsigned long long)width, (unsigned long long)height, IMAGE_MAX_SIDE,
             (unsigned long long)limits.max_pixels);
    return p2p_hint(P2P_INPUT,
                    "make it smaller, or leave it out with --on-bad-image skip; --max-pixels sets the "
                    "number of pixels, up to %d",
                    IMAGE_MAX_PIXELS);
}
