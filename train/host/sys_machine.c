/* See sys_machine.h. */
#include "sys_machine.h"
#include "sys.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { LINE_BYTES = PATH_MAX + 256, PATH_BYTES = 2 * PATH_MAX };

/* ---- Files -------------------------------------------------------------------------------------------- */

FILE *sys_open_below(const char *root, const char *path) {
    char whole[PATH_BYTES];
    const int length = snprintf(whole, sizeof whole, "%s%s", root, path);
    return length > 0 && (size_t)length < sizeof whole ? fopen(whole, "re") : NULL;
}

/* The rest of the first line that begins with `label`, without blanks, quotes and colons around it. */
static void read_field(const char *root, const char *path, const char *label, char *value, size_t size) {
    static const char around[] = " \t\n\":";
    char line[LINE_BYTES];
    FILE *file = sys_open_below(root, path);
    value[0] = '\0';
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, label, strlen(label)) != 0) continue;
        const char *at = line + strlen(label);
        at += strspn(at, around);
        size_t length = strlen(at);
        while (length > 0 && strchr(around, at[length - 1])) length--;
        snprintf(value, size, "%.*s", (int)length, at);
        break;
    }
    if (file) fclose(file);
}

/* ---- The machine -------------------------------------------------------------------------------------- */

void sys_machine_describe_in(const char *root, sys_machine *machine) {
    char kib[64];
    struct utsname name;
    *machine = (sys_machine){.memory_bytes = 0};
    read_field(root, "/etc/os-release", "PRETTY_NAME=", machine->system, sizeof machine->system);
    read_field(root, "/proc/cpuinfo", "model name", machine->processor, sizeof machine->processor);
    read_field(root, "/proc/meminfo", "MemTotal:", kib, sizeof kib);
    const unsigned long long total = strtoull(kib, NULL, 10);
    if (total < UINT64_MAX / 1024) machine->memory_bytes = (uint64_t)total * 1024;
    if (uname(&name) == 0) /* the machine's own name is not part of it */
        snprintf(machine->kernel, sizeof machine->kernel, "%.60s %.60s %.60s", name.sysname, name.release,
                 name.machine);
}

void sys_machine_describe(sys_machine *machine) {
    sys_machine_describe_in("", machine);
}

/* ---- Cards -------------------------------------------------------------------------------------------- */

static const char pci_folder[] = "/sys/bus/pci/devices";

static unsigned read_number(const char *root, const char *card, const char *field) {
    char path[512], text[32];
    const int length = snprintf(path, sizeof path, "%s/%s/%s", pci_folder, card, field);
    if (length < 0 || (size_t)length >= sizeof path) return 0;
    read_field(root, path, "0x", text, sizeof text);
    return (unsigned)strtoul(text, NULL, 16);
}

static void read_driver(const char *root, const char *card, char *driver, size_t size) {
    char path[PATH_BYTES], target[PATH_MAX];
    const int length = snprintf(path, sizeof path, "%s%s/%s/driver", root, pci_folder, card);
    driver[0] = '\0';
    if (length < 0 || (size_t)length >= sizeof path) return;
    const ssize_t bytes = readlink(path, target, sizeof target - 1);
    if (bytes <= 0) return;
    target[bytes] = '\0';
    snprintf(driver, size, "%.63s", sys_base_name(target));
}

/* Class 3 are display controllers, class 0x12 processing accelerators. */
static bool is_card(unsigned class) {
    return class >> 16 == 0x03 || class >> 16 == 0x12;
}

int sys_cards_find_in(const char *root, sys_card *cards, int capacity) {
    char path[PATH_BYTES];
    const int length = snprintf(path, sizeof path, "%s%s", root, pci_folder);
    DIR *folder = length > 0 && (size_t)length < sizeof path ? opendir(path) : NULL;
    const struct dirent *entry;
    int count = 0;
    while (folder && count < capacity && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.' || !is_card(read_number(root, entry->d_name, "class"))) continue;
        cards[count].vendor = read_number(root, entry->d_name, "vendor");
        cards[count].device = read_number(root, entry->d_name, "device");
        read_driver(root, entry->d_name, cards[count].driver, sizeof cards[count].driver);
        count++;
    }
    if (folder) closedir(folder);
    return count;
}

int sys_cards_find(sys_card *cards, int capacity) {
    return sys_cards_find_in("", cards, capacity);
}

void sys_card_files_visit(void (*visit)(void *context, const char *path, bool usable), void *context) {
    static const char *const others[] = {"/dev/kfd", "/dev/nvidiactl"};
    DIR *folder = opendir("/dev/dri");
    const struct dirent *entry;
    char path[PATH_MAX];
    while (folder && (entry = readdir(folder)) != NULL) {
        if (strncmp(entry->d_name, "renderD", strlen("renderD")) != 0) continue;
        snprintf(path, sizeof path, "/dev/dri/%s", entry->d_name);
        visit(context, path, access(path, R_OK | W_OK) == 0);
    }
    if (folder) closedir(folder);
    for (int i = 0; i < 2; i++)
        if (access(others[i], F_OK) == 0) visit(context, others[i], access(others[i], R_OK | W_OK) == 0);
}

/* ---- The process -------------------------------------------------------------------------------------- */

extern char **environ;

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

p2p_status sys_environment_visit(void (*visit)(void *context, const char *text), void *context) {
    size_t count = 0;
    while (environ && environ[count]) count++;
    const char **sorted = malloc((count + 1) * sizeof *sorted);
    if (!sorted) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a list of variables");
    for (size_t i = 0; i < count; i++) sorted[i] = environ[i];
    qsort(sorted, count, sizeof *sorted, compare_texts);
    for (size_t i = 0; i < count; i++) visit(context, sorted[i]);
    free(sorted);
    return P2P_OK;
}

/* The path at the end of a line of /proc/self/maps if it is that of a library; NULL if not. */
static char *library_of(char *line) {
    char *path = strchr(line, '/');
    if (!path) return NULL;
    path[strcspn(path, "\n")] = '\0';
    const char *name = strrchr(path, '/');
    return strstr(name, ".so") ? path : NULL;
}

/* The lines of a library follow each other. */
p2p_status sys_libraries_visit(void (*visit)(void *context, const char *path), void *context) {
    char line[LINE_BYTES], last[LINE_BYTES] = "";
    FILE *file = sys_open_below("", "/proc/self/maps");
    while (file && fgets(line, sizeof line, file)) {
        const char *path = library_of(line);
        if (!path || strcmp(path, last) == 0) continue;
        snprintf(last, sizeof last, "%s", path);
        visit(context, path);
    }
    if (file) fclose(file);
    return P2P_OK;
}
