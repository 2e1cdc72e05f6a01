/* See doctor_machine.h. */
#include "doctor_machine.h"

#include "doctor_text.h"
#include "host/sys.h"
#include "host/sys_machine.h"
#include "p2p_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void heading(FILE *stream, const char *text) {
    fprintf(stream, "\n== %s\n", text);
}

static double in_gib(uint64_t bytes) {
    return (double)bytes / (1 << 30);
}

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* ---- System ------------------------------------------------------------------------------------------- */

void doctor_print_system(FILE *stream) {
    sys_machine machine;
    sys_memory memory;
    sys_machine_describe(&machine);
    heading(stream, "System");
    doctor_line(stream, "p2p        %s", P2P_VERSION);
    doctor_line(stream, "system     %s", machine.system[0] ? machine.system : "unknown");
    doctor_line(stream, "kernel     %s", machine.kernel);
    doctor_line(stream, "processor  %s, %d to use", machine.processor[0] ? machine.processor : "unknown",
                sys_processors());
    doctor_line(stream, "memory     %.1f GiB", in_gib(machine.memory_bytes));
    if (sys_memory_available(&memory))
        doctor_line(stream, "available  %.1f GiB: so much %s", in_gib(memory.bytes), memory.limit);
}

/* ---- Environment -------------------------------------------------------------------------------------- */

/* Variables that p2p, OpenCL's loader and drivers read. Others are private. */
static bool concerns_devices(const char *text) {
    static const char *const prefixes[] = {"P2P_",    "POCL_",    "OCL_",  "OPENCL_", "CL_",  "CUDA_",
                                           "NVIDIA_", "ROCR_",    "ROCM_", "HIP_",    "HSA_", "AMD_",
                                           "GPU_",    "RUSTICL_", "MESA_", "LIBCLC_", "ZE_",  "IGC_",
                                           "NEO",     "INTEL_",   "LD_"};
    static const char *const names[] = {"XDG_CACHE_HOME=", "TMPDIR=", "HOME="};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (begins(text, prefixes[i])) return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (begins(text, names[i])) return true;
    return false;
}

typedef struct {
    FILE *stream;
    int count;
} listing;

static void print_variable(void *context, const char *text) {
    listing *to = context;
    if (!concerns_devices(text)) return;
    doctor_line(to->stream, "%s", text);
    to->count++;
}

void doctor_print_environment(FILE *stream) {
    listing to = {stream, 0};
    heading(stream, "Environment: variables that p2p and drivers read");
    if (sys_environment_visit(print_variable, &to) != P2P_OK) doctor_line(stream, "%s", p2p_message());
    if (to.count == 0) doctor_line(stream, "none is set");
}

/* ---- Cards -------------------------------------------------------------------------------------------- */

static const struct {
    unsigned vendor;
    const char *name, *advice;
} makers[] = {
    {0x1002, "AMD",
     "install an OpenCL driver for it: Debian's mesa-opencl-icd with RUSTICL_ENABLE=radeonsi, or AMD's ROCm"},
    {0x8086, "Intel", "install an OpenCL driver for it: Debian's intel-opencl-icd"},
    {0x10de, "NVIDIA", "install NVIDIA's driver with OpenCL: Debian's nvidia-opencl-icd"},
};

static int maker_of(unsigned vendor) {
    for (int i = 0; i < 3; i++)
        if (makers[i].vendor == vendor) return i;
    return -1;
}

static bool has_gpu(const p2p_device_entry *entries, int count) {
    for (int i = 0; i < count; i++)
        if (!entries[i].unusable[0] && strcmp(entries[i].type, "GPU") == 0) return true;
    return false;
}

typedef struct {
    FILE *stream;
    doctor_findings *findings;
    bool reaches_gpu;
} card_listing;

static void print_card(const card_listing *to, const sys_card *card) {
    const int maker = maker_of(card->vendor);
    doctor_line(to->stream, "%s card %04x:%04x, %s", maker >= 0 ? makers[maker].name : "other", card->vendor,
                card->device, card->driver[0] ? card->driver : "no driver of the kernel");
    if (maker < 0 || to->reaches_gpu) return;
    doctor_find(to->findings, DOCTOR_SLOW, makers[maker].advice,
                "there is a card of %s (%04x:%04x, %s), and no device that can be used reaches it",
                makers[maker].name, card->vendor, card->device,
                card->driver[0] ? card->driver : "no driver of the kernel");
}

static void print_card_file(void *context, const char *path, bool usable) {
    const card_listing *to = context;
    doctor_line(to->stream, "%s %s", path, usable ? "can be used" : "can't be used by this user");
    if (!usable && !to->reaches_gpu)
        doctor_find(
            to->findings, DOCTOR_SLOW,
            "add this user to the groups render and video (usermod -aG render,video USER), and log in again",
            "this user may not use %s", path);
}

/* The files that register drivers with OpenCL's loader, and the library that each names. */
static bool is_registration(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && strcmp(dot, ".icd") == 0;
}

static void print_registration(const char *folder, const char *name, FILE *stream) {
    char *path = NULL;
    uint8_t *bytes = NULL;
    size_t size = 0;
    p2p_status status = sys_path_join(&path, folder, name);
    if (status == P2P_OK) status = sys_file_read(path, 512, &bytes, &size, NULL);
    const char *end = status == P2P_OK && size > 0 ? memchr(bytes, '\n', size) : NULL;
    if (end) size = (size_t)(end - (const char *)bytes);
    if (status == P2P_OK)
        doctor_line(stream, "OpenCL driver %s: %.*s", name, (int)size, (const char *)bytes);
    else
        doctor_line(stream, "OpenCL driver %s: %s", name, p2p_message());
    free(path);
    free(bytes);
}

static void print_registrations(FILE *stream) {
    static const char folder[] = "/etc/OpenCL/vendors";
    sys_names names = {0};
    if (sys_folder_walk(&names, folder, is_registration) != P2P_OK || names.count == 0)
        doctor_line(stream, "no OpenCL driver is registered in %s", folder);
    for (size_t i = 0; i < names.count; i++) print_registration(folder, names.names[i], stream);
    sys_names_free(&names);
}

void doctor_print_cards(const p2p_device_entry *entries, int count, doctor_findings *findings, FILE *stream) {
    enum { MOST = 32 };
    sys_card cards[MOST];
    const int found = sys_cards_find(cards, MOST);
    card_listing to = {stream, findings, has_gpu(entries, count)};
    heading(stream, "Cards and drivers");
    for (int i = 0; i < found; i++) print_card(&to, &cards[i]);
    if (found == 0) doctor_line(stream, "the kernel lists no graphics card");
    sys_card_files_visit(print_card_file, &to);
    print_registrations(stream);
}

/* ---- Cache -------------------------------------------------------------------------------------------- */

static void find_cache_problems(const p2p_cache_state *state, doctor_findings *findings) {
    if (state->problem[0])
        doctor_find(
            findings, DOCTOR_FAILS,
            "take write permission from others (chmod go-w), make the folder writable for this user, or name "
            "another with --cache",
            "the cache %s can't be used: %s", state->folder, state->problem);
    if (state->damaged + state->foreign > 0)
        doctor_find(
            findings, DOCTOR_FAILS,
            "remove these files, or the whole folder; p2p makes them again. If entries are damaged again, "
            "examine the disk",
            "the cache %s has %ld damaged entries and %ld that others can write to; %s", state->folder,
            state->damaged, state->foreign, state->first_bad);
}

void doctor_print_cache(doctor_findings *findings, FILE *stream) {
    p2p_cache_state *state = malloc(sizeof *state);
    heading(stream, "Cache of compiled programs and results of tuning");
    if (!state || p2p_cache_examine(state) != P2P_OK) {
        doctor_find(findings, DOCTOR_FAILS, NULL, "the cache could not be examined: %s",
                    state ? p2p_message() : "there is no memory");
    } else if (!state->folder[0] && !state->problem[0]) {
        doctor_line(stream, "off: every start compiles anew");
        doctor_find(findings, DOCTOR_SLOW, "leave out --cache off and P2P_CACHE_DIR=off", "the cache is off");
    } else {
        doctor_line(stream, "folder   %s%s", state->folder, state->exists ? "" : " (made when it is needed)");
        doctor_line(stream, "state    %s", state->problem[0] ? state->problem : "this user can write it");
        doctor_line(stream, "entries  %ld, %.1f MiB; %ld damaged, %ld that others can write to",
                    state->entries, (double)state->bytes / (1 << 20), state->damaged, state->foreign);
        if (state->first_bad[0]) doctor_line(stream, "first    %s", state->first_bad);
        find_cache_problems(state, findings);
    }
    free(state);
}

/* ---- Devices and libraries ---------------------------------------------------------------------------- */

static void print_entry(const p2p_device_entry *entry, FILE *stream) {
    doctor_line(stream, "%s  %s", entry->address, entry->name);
    if (entry->unusable[0]) {
        doctor_line(stream, "    can't be used: %s", entry->unusable);
        return;
    }
    doctor_line(stream, "    %s%s%s", entry->driver, entry->type[0] ? ", " : "", entry->type);
    if (entry->compute_units > 0) doctor_line(stream, "    %d compute units", entry->compute_units);
    if (entry->memory_bytes > 0)
        doctor_line(stream, "    %.2f GiB of memory, %.2f GiB in one piece", in_gib(entry->memory_bytes),
                    in_gib(entry->max_alloc_bytes));
    if (entry->no_tf32[0]) doctor_line(stream, "    no tf32: %s", entry->no_tf32);
    if (entry->no_bf16[0]) doctor_line(stream, "    no bf16: %s", entry->no_bf16);
    if (!entry->no_bf16[0])
        doctor_line(stream, "    bf16: %s",
                    entry->stores_bf16 ? "activations are stored in it" : "factors of convolutions");
}

void doctor_print_entries(const p2p_device_entry *entries, int count, FILE *stream) {
    heading(stream, "Backends and devices");
    for (int i = 0; i < count; i++) print_entry(&entries[i], stream);
}

static void print_library(void *context, const char *path) {
    doctor_line(context, "%s", path);
}

void doctor_print_libraries(FILE *stream) {
    heading(stream, "Libraries that are loaded");
    if (sys_libraries_visit(print_library, stream) != P2P_OK) doctor_line(stream, "%s", p2p_message());
}
