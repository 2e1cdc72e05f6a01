/* The memory that this process can still take. See sys.h. Linux has no single number for it: the machine,
 * each control group above the process, and the limit of its address space all count. */
#include "sys.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The number after `key` at the start of a line; with "" the file's first number. `fallback` if there is
 * none, as in a file that holds "max". */
static uint64_t number_in(const char *path, const char *key, uint64_t fallback) {
    char line[256];
    uint64_t found = fallback;
    FILE *file = fopen(path, "r");
    if (file == NULL) return fallback;
    while (found == fallback && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, strlen(key)) == 0) (void)sscanf(line + strlen(key), "%" SCNu64, &found);
    fclose(file);
    return found;
}

static uint64_t machine_available(void) {
    const uint64_t kib = number_in("/proc/meminfo", "MemAvailable:", UINT64_MAX);
    return kib > UINT64_MAX / 1024 ? UINT64_MAX : kib * 1024;
}

/* What a control group's limit leaves. Its cache of files counts as used there, but can be freed at once. */
static uint64_t group_available(const char *folder, const char *limit_name, const char *used_name,
                                const char *cache_key) {
    char path[4096 + 64];
    snprintf(path, sizeof path, "%s/%s", folder, limit_name);
    const uint64_t limit = number_in(path, "", UINT64_MAX);
    snprintf(path, sizeof path, "%s/%s", folder, used_name);
    uint64_t used = number_in(path, "", 0);
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    const uint64_t cache = number_in(path, cache_key, 0);
    if (limit == UINT64_MAX) return UINT64_MAX;
    used -= cache < used ? cache : used;
    return used < limit ? limit - used : 0;
}

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* Version 2: the process's group and all above it. A container sees its own group as the top. */
static uint64_t groups_available(void) {
    char line[4096] = "", folder[4096 + 32];
    FILE *file = fopen("/proc/self/cgroup", "r");
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL)
        found = strncmp(line, "0::", 3) == 0;
    if (file != NULL) fclose(file);
    uint64_t available = group_available("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file ");
    if (!found) return available;
    line[strcspn(line, "\n")] = '\0';
    for (char *slash; (slash = strrchr(line + 3, '/')) != NULL; *slash = '\0') {
        snprintf(folder, sizeof folder, "/sys/fs/cgroup%s", line + 3);
        available =
            least(available, group_available(folder, "memory.max", "memory.current", "inactive_file "));
    }
    return available;
}

static uint64_t address_space_available(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
    const uint64_t used = number_in("/proc/self/statm", "", 0) * (uint64_t)sysconf(_SC_PAGESIZE);
    return used < limit.rlim_cur ? limit.rlim_cur - used : 0;
}

uint64_t sys_memory_available(void) {
    const uint64_t older = group_available("/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                           "memory.usage_in_bytes", "total_inactive_file ");
    return least(least(machine_available(), groups_available()), least(older, address_space_available()));
}
