/* The memory that the system would give this process: what the machine has left, what each control group
 * above the process leaves, and its resource limits. See sys.h.
 *
 * Linux describes these in text files. A file that is absent or not understood sets no limit. Nothing is
 * allocated here but a line.
 */
#include "sys.h"
#include "sys_machine.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 2 * PATH_MAX };

static const uint64_t machine_scope = UINT64_MAX;

typedef struct {
    sys_memory *list; /* SYS_MEMORY_LIMITS */
    int count;
} found_limits;

static void add(found_limits *found, uint64_t bytes, uint64_t scope, const char *limit) {
    if (found->count == SYS_MEMORY_LIMITS) return;
    sys_memory *one = &found->list[found->count++];
    *one = (sys_memory){.bytes = bytes, .scope = scope};
    snprintf(one->limit, sizeof one->limit, "%s", limit);
}

static uint64_t left_of(uint64_t limit, uint64_t used) {
    return limit > used ? limit - used : 0;
}

/* ---- The machine -------------------------------------------------------------------------------------- */

/* The number after `name` at the start of a line of the file. */
static bool read_field(FILE *file, const char *name, uint64_t *value) {
    char line[512];
    const size_t length = strlen(name);
    rewind(file);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, name, length) == 0 && sscanf(line + length, "%" SCNu64, value) == 1) return true;
    return false;
}

static void read_machine(const char *root, found_limits *found) {
    uint64_t kib;
    FILE *file = sys_open_below(root, "/proc/meminfo");
    if (!file) return;
    if (read_field(file, "MemAvailable:", &kib) && kib < UINT64_MAX / 1024)
        add(found, kib * 1024, machine_scope, "is available on this machine");
    fclose(file);
}

/* ---- Control groups ----------------------------------------------------------------------------------- */

/* The names of a version's files. */
typedef struct {
    const char *mount, *limit, *usage, *inactive, *active; /* the last two: fields of memory.stat */
} group_version;

static const group_version version_1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                        "memory.usage_in_bytes", "total_inactive_file ",
                                        "total_active_file "};
static const group_version version_2 = {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file ",
                                        "active_file "};

/* The number in the file; false for "max" as well. */
static bool read_number(const char *root, const char *folder, const char *name, uint64_t *value) {
    char path[PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return false;
    FILE *file = sys_open_below(root, path);
    if (!file) return false;
    bool found = fscanf(file, "%" SCNu64, value) == 1;
    fclose(file);
    return found;
}

/* Pages of files, which the kernel drops if memory is needed. */
static uint64_t read_cached(const char *root, const char *folder, const group_version *version) {
    char path[PATH_BYTES];
    uint64_t inactive = 0, active = 0;
    if (snprintf(path, sizeof path, "%s/memory.stat", folder) >= (int)sizeof path) return 0;
    FILE *file = sys_open_below(root, path);
    if (!file) return 0;
    if (!read_field(file, version->inactive, &inactive)) inactive = 0;
    if (!read_field(file, version->active, &active)) active = 0;
    fclose(file);
    return inactive < UINT64_MAX - active ? inactive + active : 0;
}

/* Of a control group: the identity of its folder, which does not depend on the path that a container has. */
static uint64_t scope_of(const char *root, const char *folder) {
    char path[PATH_BYTES];
    struct stat about;
    if (snprintf(path, sizeof path, "%s%s", root, folder) >= (int)sizeof path) return 0;
    return stat(path, &about) == 0 ? (uint64_t)about.st_ino ^ (uint64_t)about.st_dev << 48 : 0;
}

static void read_group(const char *root, const char *folder, const group_version *version,
                       found_limits *found) {
    uint64_t limit, usage;
    if (!read_number(root, folder, version->limit, &limit)) return;
    if (!read_number(root, folder, version->usage, &usage)) return;
    uint64_t used = left_of(usage, read_cached(root, folder, version));
    add(found, left_of(limit, used), scope_of(root, folder),
        "is left by the memory limit of the control group");
}

/* The group of `path` and those above it, up to the mount. In a container the path may be the host's and not
 * exist; then the mount itself is the container's group. */
static void read_groups(const char *root, const char *path, const group_version *version,
                        found_limits *found) {
    char folder[PATH_BYTES];
    const size_t mount = strlen(version->mount);
    if (snprintf(folder, sizeof folder, "%s%s", version->mount, path) >= (int)sizeof folder) return;
    for (;;) {
        read_group(root, folder, version, found);
        char *slash = strrchr(folder, '/');
        if (!slash || slash < folder + mount) return;
        *slash = '\0';
    }
}

/* A line of /proc/self/cgroup is number:controllers:path; number 0 is version 2. */
static void read_all_groups(const char *root, found_limits *found) {
    char line[PATH_BYTES];
    FILE *file = sys_open_below(root, "/proc/self/cgroup");
    if (!file) return;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path) continue;
        *path++ = '\0';
        controllers++;
        if (strcmp(controllers, "memory") == 0) read_groups(root, path, &version_1, found);
        if (controllers[0] == '\0') read_groups(root, path, &version_2, found);
    }
    fclose(file);
}

/* ---- Limits of the process ---------------------------------------------------------------------------- */

/* statm: pages of address space, of resident memory, shared, of code, 0, of data and stacks. */
static void read_limits(found_limits *found) {
    unsigned long long space, data;
    struct rlimit limit;
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return;
    bool read = fscanf(file, "%llu %*u %*u %*u %*u %llu", &space, &data) == 2;
    fclose(file);
    if (!read) return;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        add(found, left_of(limit.rlim_cur, space * page), 0,
            "is left by the limit of the address space (ulimit -v)");
    if (getrlimit(RLIMIT_DATA, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        add(found, left_of(limit.rlim_cur, data * page), 0,
            "is left by the limit of the data segment (ulimit -d)");
}

int sys_memory_limits_in(const char *root, sys_memory limits[SYS_MEMORY_LIMITS]) {
    found_limits found = {.list = limits};
    read_machine(root, &found);
    read_limits(&found);
    read_all_groups(root, &found);
    return found.count;
}

int sys_memory_limits(sys_memory limits[SYS_MEMORY_LIMITS]) {
    return sys_memory_limits_in("", limits);
}

bool sys_memory_available_in(const char *root, sys_memory *memory) {
    sys_memory limits[SYS_MEMORY_LIMITS];
    const int count = sys_memory_limits_in(root, limits);
    *memory = (sys_memory){.bytes = UINT64_MAX};
    for (int i = 0; i < count; i++)
        if (limits[i].bytes < memory->bytes) *memory = limits[i];
    return count > 0;
}

bool sys_memory_available(sys_memory *memory) {
    return sys_memory_available_in("", memory);
}
