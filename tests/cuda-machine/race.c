/* Races between commands, found whatever the order was in which they ran. What happens before what is known
 * from vector clocks: a stream's commands follow each other, a wait for an event follows what was recorded,
 * and what is given follows everything for which the host has waited. Of two commands that touch the same
 * bytes, one of them writing, one must happen before the other.
 *
 * The host is one thread of clocks: what one thread has waited for counts for all.
 */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    char what[120];
    int slot;
    uint32_t number;
    driver_clock clock;
    driver_footprint footprint;
} past_command;

static struct {
    past_command *list;
    size_t count, capacity;
} history;

driver_clock driver_host_clock;

void driver_clock_join(driver_clock *clock, const driver_clock *other) {
    for (int i = 0; i < DRIVER_STREAMS; i++)
        if (other->at[i] > clock->at[i]) clock->at[i] = other->at[i];
}

void driver_footprint_free(driver_footprint *footprint) {
    free(footprint->reads);
    free(footprint->writes);
    *footprint = (driver_footprint){0};
}

static int compare_intervals(const void *one, const void *two) {
    const driver_interval *a = one, *b = two;
    return (a->begin > b->begin) - (a->begin < b->begin);
}

size_t driver_merge(driver_interval *intervals, size_t count) {
    if (count == 0) return 0;
    qsort(intervals, count, sizeof *intervals, compare_intervals);
    size_t last = 0;
    for (size_t i = 1; i < count; i++) {
        if (intervals[i].begin > intervals[last].end)
            intervals[++last] = intervals[i];
        else if (intervals[i].end > intervals[last].end)
            intervals[last].end = intervals[i].end;
    }
    return last + 1;
}

/* The first byte that both have; 0: none. */
static CUdeviceptr overlap(const driver_interval *a, size_t a_count, const driver_interval *b,
                           size_t b_count) {
    size_t i = 0, j = 0;
    while (i < a_count && j < b_count) {
        const CUdeviceptr begin = a[i].begin > b[j].begin ? a[i].begin : b[j].begin;
        if (begin < a[i].end && begin < b[j].end) return begin;
        if (a[i].end < b[j].end)
            i++;
        else
            j++;
    }
    return 0;
}

static void report(const past_command *one, const past_command *two, CUdeviceptr at, const char *how) {
    const driver_allocation *allocation = driver_find(at);
    machine_refuse("race: %s and %s %s byte %zu of an allocation of %zu, and nothing orders them (commands "
                   "%u of stream %d "
                   "and %u of stream %d)",
                   one->what, two->what, how, allocation ? (size_t)(at - allocation->begin) : 0,
                   allocation ? allocation->bytes : 0, one->number, one->slot, two->number, two->slot);
}

static void compare(const past_command *one, const past_command *two) {
    const driver_footprint *a = &one->footprint, *b = &two->footprint;
    CUdeviceptr at;
    if ((at = overlap(a->writes, a->write_count, b->writes, b->write_count)))
        report(one, two, at, "both write");
    else if ((at = overlap(a->writes, a->write_count, b->reads, b->read_count)))
        report(one, two, at, "write and read");
    else if ((at = overlap(a->reads, a->read_count, b->writes, b->write_count)))
        report(one, two, at, "read and write");
}

void driver_check_races(const driver_command *command, driver_footprint *footprint) {
    if (footprint->read_count + footprint->write_count == 0) {
        driver_footprint_free(footprint);
        return;
    }
    if (history.count == history.capacity) {
        history.capacity = history.capacity ? 2 * history.capacity : 64;
        history.list = realloc(history.list, history.capacity * sizeof *history.list);
        if (!history.list) abort();
    }
    past_command *now = &history.list[history.count];
    *now = (past_command){.slot = command->stream->slot,
                          .number = command->number,
                          .clock = command->clock,
                          .footprint = *footprint};
    memcpy(now->what, command->what, sizeof now->what);
    for (size_t i = 0; i < history.count; i++) {
        const past_command *past = &history.list[i];
        if (now->clock.at[past->slot] < past->number && past->clock.at[now->slot] < now->number)
            compare(past, now);
    }
    history.count++;
    *footprint = (driver_footprint){0};
}

/* Whether everything that is still to run follows the command. */
static bool is_settled(const past_command *past) {
    if (driver_host_clock.at[past->slot] < past->number) return false;
    for (CUstream stream = driver_streams; stream; stream = stream->next)
        if (stream->first && stream->first->clock.at[past->slot] < past->number) return false;
    return true;
}

void driver_prune_history(void) {
    size_t kept = 0;
    for (size_t i = 0; i < history.count; i++) {
        if (is_settled(&history.list[i]))
            driver_footprint_free(&history.list[i].footprint);
        else
            history.list[kept++] = history.list[i];
    }
    history.count = kept;
}
