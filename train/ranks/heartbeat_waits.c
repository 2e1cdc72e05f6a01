/* Ranks that keep others waiting. See heartbeat_waits.h. */
#include "heartbeat_waits.h"

#include "host/text.h"

#include <stdlib.h>
#include <string.h>

/* Seconds without progress, and those at which it is reported next. */
typedef struct {
    double seconds, next;
} standstill;

struct heartbeat_waits {
    const heartbeat_options *options;
    heartbeat_progress *at;  /* per rank */
    standstill *behind, all; /* of each rank that others wait for; of all, in one transfer */
};

p2p_status heartbeat_waits_create(const heartbeat_options *options, heartbeat_waits **waits) {
    heartbeat_waits *made = calloc(1, sizeof *made);
    *waits = made;
    if (made) {
        made->options = options;
        made->at = calloc((size_t)options->size, sizeof *made->at);
        made->behind = calloc((size_t)options->size, sizeof *made->behind);
    }
    if (made && made->at && made->behind) return P2P_OK;
    heartbeat_waits_destroy(made);
    *waits = NULL;
    return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the progress of ranks");
}

void heartbeat_waits_destroy(heartbeat_waits *waits) {
    if (!waits) return;
    free(waits->at);
    free(waits->behind);
    free(waits);
}

void heartbeat_waits_note(heartbeat_waits *waits, int rank, const heartbeat_progress *at) {
    if (memcmp(&waits->at[rank], at, sizeof *at) == 0) return;
    waits->at[rank] = *at;
    waits->behind[rank] = waits->all = (standstill){0};
}

/* Whether the rank has not begun a transfer that another one has begun. */
static bool is_behind(const heartbeat_waits *waits, int rank) {
    for (int i = 0; i < waits->options->size; i++)
        for (int c = 0; c < HEARTBEAT_CHANNELS; c++)
            if (waits->at[rank].begun[c] < waits->at[i].begun[c]) return true;
    return false;
}

/* Whether all ranks have begun the same transfer of a channel, and none has ended it. */
static bool all_wait(const heartbeat_waits *waits) {
    for (int c = 0; c < HEARTBEAT_CHANNELS; c++) {
        bool waiting = true;
        for (int i = 0; i < waits->options->size; i++)
            waiting = waiting && waits->at[i].begun[c] == waits->at[0].begun[c] &&
                      waits->at[i].ended[c] < waits->at[i].begun[c];
        if (waiting) return true;
    }
    return false;
}

/* Whether it is to be reported now. */
static bool lasts(standstill *of, double seconds, double patience) {
    if (of->next == 0) of->next = patience;
    of->seconds += seconds;
    if (of->seconds < of->next) return false;
    of->next += patience;
    return true;
}

void heartbeat_waits_pass(heartbeat_waits *waits, double seconds) {
    const heartbeat_options *o = waits->options;
    for (int i = 0; i < o->size; i++) {
        standstill *behind = &waits->behind[i];
        if (!is_behind(waits, i))
            *behind = (standstill){0};
        else if (lasts(behind, seconds, o->patience))
            text_line(
                stderr,
                "warning: rank %d on %s has kept the other ranks waiting for %.0f s: it compiles, reads or "
                "writes, or hangs",
                i, o->hosts[i], behind->seconds);
    }
    if (!all_wait(waits))
        waits->all = (standstill){0};
    else if (lasts(&waits->all, seconds, o->patience))
        text_line(stderr,
                  "warning: all ranks have waited for one transfer by MPI for %.0f s: its network may be cut",
                  waits->all.seconds);
}
