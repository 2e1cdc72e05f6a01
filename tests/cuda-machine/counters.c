/* Counters by name, written to P2P_MACHINE_COUNTERS when the process ends: one line for each thing that was
 * counted, "NAME counter=value counter=value", sorted. They depend on what ran, not on when, except
 * "calls", the calls that use a device: the host polls events. "commands" counts the commands that devices
 * have run, "contexts" the requests for a context. */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    char *what, *counter;
    uint64_t value;
} entry;

static struct {
    entry *list;
    size_t count, capacity;
} counters;

static int compare(const char *what, const char *counter, const entry *e) {
    const int order = strcmp(what, e->what);
    return order ? order : strcmp(counter, e->counter);
}

static entry *find_or_add(const char *what, const char *counter) {
    size_t low = 0, high = counters.count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const int order = compare(what, counter, &counters.list[middle]);
        if (order == 0) return &counters.list[middle];
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (counters.count == counters.capacity) {
        counters.capacity = counters.capacity ? 2 * counters.capacity : 64;
        counters.list = realloc(counters.list, counters.capacity * sizeof *counters.list);
        if (!counters.list) abort();
    }
    entry *place = &counters.list[low];
    memmove(place + 1, place, (counters.count - low) * sizeof *place);
    *place = (entry){strdup(what), strdup(counter), 0};
    if (!place->what || !place->counter) abort();
    counters.count++;
    return place;
}

void machine_count(const char *what, const char *counter, uint64_t value) {
    driver_lock();
    find_or_add(what, counter)->value += value;
    driver_unlock();
}

uint64_t machine_counter(const char *what, const char *counter) {
    driver_lock();
    const uint64_t value = find_or_add(what, counter)->value;
    driver_unlock();
    return value;
}

static void write_entries(FILE *file) {
    const char *line = "";
    for (size_t i = 0; i < counters.count; i++) {
        const entry *e = &counters.list[i];
        if (e->value == 0) continue;
        if (strcmp(line, e->what) != 0) fprintf(file, "%s%s", *line ? "\n" : "", e->what);
        fprintf(file, " %s=%llu", e->counter, (unsigned long long)e->value);
        line = e->what;
    }
    if (*line) fputc('\n', file);
}

void driver_write_counters(void) {
    const char *path = driver_setting.counters;
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) write_entries(file);
    if (path && (!file || fclose(file) != 0))
        machine_refuse("P2P_MACHINE_COUNTERS: %s can't be written", path);
    for (size_t i = 0; i < counters.count; i++) {
        free(counters.list[i].what);
        free(counters.list[i].counter);
    }
    free(counters.list);
    counters.list = NULL;
    counters.count = counters.capacity = 0;
}
