/* See doctor.h. */
#include "doctor.h"

#include "doctor_machine.h"
#include "doctor_selection.h"
#include "host/sys.h"
#include "host/text.h"
#include "p2p_check.h"
#include "p2p_file.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_ON_STDOUT = 5, MOST_IN_REPORT = 1000 };

typedef struct {
    const doctor_request *request;
    p2p_device_entry *entries;
    int entry_count;
    char *named; /* a copy of request->devices, cut at its commas */
    doctor_device *devices;
    int device_count;
    doctor_findings machine, together;
    doctor_text report;
    p2p_atomic_file file; /* of the report */
    double began;
} examination;

/* ---- The file ----------------------------------------------------------------------------------------- */

static const char contents[] = "system, processor and memory; graphics cards; the variables of the "
                               "environment that p2p and drivers read; the\n"
                               "cache's folder and state; devices and drivers; what each device computed "
                               "rightly, wrongly and how fast; the\n"
                               "paths of loaded libraries. It has no pictures, no names of data, and no name "
                               "of this machine. The home folder is\n"
                               "shown as ~; other paths are shown as they are.";

/* Opens the file first, so that a failure comes before the examination. */
static p2p_status announce(examination *all) {
    const char *path = all->request->report;
    bool exists = false;
    if (!path) return P2P_OK;
    P2P_TRY(sys_path_exists(path, &exists));
    if (exists) {
        p2p_fail(P2P_USAGE, "--report: %s exists already", path);
        return p2p_hint(P2P_USAGE, "name another file, or remove this one");
    }
    fprintf(stderr, "The report will contain: %s\n", contents);
    return p2p_atomic_open(&all->file, path);
}

static p2p_status write_report(examination *all) {
    if (!all->request->report) return P2P_OK;
    fwrite(all->report.bytes, 1, all->report.size, all->file.stream);
    P2P_TRY(p2p_atomic_commit_new(&all->file));
    text_line(stderr, "report: %s", all->request->report);
    return P2P_OK;
}

/* ---- Devices ------------------------------------------------------------------------------------------ */

static p2p_status add_device(examination *all, const char *address) {
    doctor_device *grown = realloc(all->devices, (size_t)(all->device_count + 1) * sizeof *grown);
    if (!grown) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the devices");
    all->devices = grown;
    all->devices[all->device_count++] = (doctor_device){.address = address};
    return P2P_OK;
}

static p2p_status select_named(examination *all) {
    char *rest = NULL;
    all->named = strdup(all->request->devices);
    if (!all->named) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the names of devices");
    for (char *name = strtok_r(all->named, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
        P2P_TRY(add_device(all, name));
    return all->device_count > 0 ? P2P_OK : p2p_fail(P2P_USAGE, "--device names no device");
}

static p2p_status select_entry(examination *all, int index) {
    const p2p_device_entry *entry = &all->entries[index], *same;
    if (entry->unusable[0]) {
        doctor_find(&all->machine, DOCTOR_SLOW, NULL, "%s can't be used: %s", entry->address,
                    entry->unusable);
        return P2P_OK;
    }
    same = strcmp(all->request->backend, "auto") == 0 ? doctor_same_card(all->entries, index) : NULL;
    if (!same) return add_device(all, entry->address);
    text_line(stderr, "%s, %s, is left out: %s seems to be the same card; --device %s examines it",
              entry->address, entry->name, same->address, entry->address);
    doctor_line(all->report.stream, "left out: %s, the same card as %s", entry->address, same->address);
    return P2P_OK;
}

static p2p_status select_usable(examination *all) {
    const char *backend = all->request->backend;
    const bool any = strcmp(backend, "auto") == 0;
    for (int i = 0; i < all->entry_count; i++) {
        const p2p_device_entry *entry = &all->entries[i];
        if (doctor_is_of(entry->address, backend) || (any && entry->unusable[0]))
            P2P_TRY(select_entry(all, i));
    }
    if (all->device_count == 0 && any)
        doctor_find(
            &all->machine, DOCTOR_FAILS,
            "install a driver: on any processor Debian's pocl-opencl-icd; for a graphics card see above",
            "there is no device to train on but the reference, which is for tests");
    else if (all->device_count == 0)
        doctor_find(&all->machine, DOCTOR_FAILS, "p2p devices lists all, with the reasons for unusable ones",
                    "--backend %s: it has no device that can be used", backend);
    return P2P_OK;
}

/* Each device gets an equal share of the time that is left. */
static p2p_status examine_devices(examination *all) {
    doctor_scope scope = {
        .required = all->request->required, .entries = all->entries, .entry_count = all->entry_count};
    memcpy(scope.precision, all->request->precision, sizeof scope.precision);
    for (int i = 0; i < all->device_count; i++) {
        const double now = sys_clock();
        scope.until = now + (all->began + all->request->seconds - now) / (all->device_count - i);
        text_line(stderr, "examining %s", all->devices[i].address);
        P2P_TRY(doctor_device_examine(&all->devices[i], &scope));
    }
    return P2P_OK;
}

/* ---- Together ----------------------------------------------------------------------------------------- */

/* A sum over the backend's devices, as in a training on all of them. */
static void examine_reduction(examination *all, p2p_device *const *devices, int count) {
    const int length = (int)strcspn(p2p_device_address(devices[0]), ":");
    const char *backend = p2p_device_address(devices[0]);
    bool direct = false;
    text_line(stderr, "examining a reduction over %d devices of %.*s", count, length, backend);
    if (p2p_devices_check_reduction(devices, count, &direct) != P2P_OK)
        doctor_find(&all->together, DOCTOR_FAILS, NULL, "the sum over %d devices of %.*s: %s", count, length,
                    backend, p2p_message());
    else
        doctor_find(&all->together, direct ? DOCTOR_WORKS : DOCTOR_SLOW, NULL,
                    "the sum over %d devices of %.*s equals the host's%s", count, length, backend,
                    direct ? "" : "; it passes through the host's memory");
}

static p2p_device *open_device(const examination *all, int index) {
    return all->devices[index].lost ? NULL : all->devices[index].device;
}

/* Whether an open device before `index` is of its backend. */
static bool follows_its_kind(const examination *all, int index) {
    const char *address = p2p_device_address(all->devices[index].device);
    for (int i = 0; i < index; i++)
        if (open_device(all, i) && doctor_same_backend(p2p_device_address(open_device(all, i)), address))
            return true;
    return false;
}

/* Devices of several backends share no training. */
static p2p_status examine_reductions(examination *all) {
    p2p_device **devices = calloc((size_t)all->device_count + 1, sizeof *devices);
    if (!devices) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the devices");
    for (int first = 0; first < all->device_count; first++) {
        int count = 0;
        if (!open_device(all, first) || follows_its_kind(all, first)) continue;
        const char *address = p2p_device_address(open_device(all, first));
        for (int i = first; i < all->device_count; i++)
            if (open_device(all, i) && doctor_same_backend(p2p_device_address(open_device(all, i)), address))
                devices[count++] = open_device(all, i);
        if (count > 1) examine_reduction(all, devices, count);
    }
    free(devices);
    return P2P_OK;
}

/* ---- Output ------------------------------------------------------------------------------------------- */

static int count_failures(const examination *all) {
    int fails = all->machine.fails + all->together.fails;
    for (int i = 0; i < all->device_count; i++) fails += all->devices[i].findings.fails;
    return fails;
}

static void print_device_heading(const doctor_device *one, FILE *stream) {
    const p2p_device_entry *entry = one->entry;
    if (!entry)
        doctor_line(stream, "%s", one->address);
    else
        doctor_line(stream, "%s  %s (%s%s%s)", entry->address, entry->name, entry->driver,
                    entry->type[0] ? ", " : "", entry->type);
}

static void print_findings(const examination *all, int most, FILE *stream) {
    if (all->machine.count > 0) {
        doctor_line(stream, "this machine");
        doctor_findings_print(&all->machine, most, stream);
    }
    for (int i = 0; i < all->device_count; i++) {
        print_device_heading(&all->devices[i], stream);
        doctor_findings_print(&all->devices[i].findings, most, stream);
    }
    if (all->together.count > 0) {
        doctor_line(stream, "the devices together");
        doctor_findings_print(&all->together, most, stream);
    }
}

static void print_verdict(const examination *all, FILE *stream) {
    const int fails = count_failures(all);
    if (fails == 0)
        doctor_line(stream, "verdict: fit: everything that a training needs works");
    else
        doctor_line(stream, "verdict: not fit: %d check%s failed", fails, fails == 1 ? "" : "s");
}

static void print_details(const examination *all, FILE *stream) {
    for (int i = 0; i < all->device_count; i++) {
        const doctor_text *details = &all->devices[i].details;
        if (!details->bytes) continue;
        doctor_line(stream, "%s", "");
        fprintf(stream, "== Operations of ");
        doctor_line(stream, "%s", all->devices[i].address);
        fwrite(details->bytes, 1, details->size, stream);
    }
}

/* ---- All ---------------------------------------------------------------------------------------------- */

static p2p_status examine(examination *all) {
    FILE *report = all->report.stream;
    fprintf(report, "p2p doctor report 1\n\nThis file contains: %s\n", contents);
    doctor_print_system(report);
    doctor_print_environment(report);
    P2P_TRY(p2p_device_list(NULL, &all->entries, &all->entry_count));
    doctor_print_cards(all->entries, all->entry_count, &all->machine, report);
    doctor_print_cache(&all->machine, report);
    doctor_print_entries(all->entries, all->entry_count, report);
    P2P_TRY(all->request->devices ? select_named(all) : select_usable(all));
    P2P_TRY(examine_devices(all));
    P2P_TRY(examine_reductions(all));
    doctor_print_libraries(report);
    print_details(all, report);
    fprintf(report, "\n== Findings, after %.0f seconds\n", sys_clock() - all->began);
    print_findings(all, MOST_IN_REPORT, report);
    print_verdict(all, report);
    return doctor_text_finish(&all->report);
}

static p2p_status judge(const examination *all) {
    const int fails = count_failures(all);
    for (int i = 0; i < all->device_count; i++)
        if (all->devices[i].lost)
            return p2p_fail(P2P_DEVICE_LOST, "%s was lost while it was examined", all->devices[i].address);
    if (fails == 0) return P2P_OK;
    if (all->device_count == 0) return p2p_fail(P2P_NO_DEVICE, "there is no device to train on");
    return p2p_fail(P2P_FAILED, "not fit for training: %d check%s failed", fails, fails == 1 ? "" : "s");
}

p2p_status doctor_run(const doctor_request *request) {
    examination *all = calloc(1, sizeof *all);
    if (!all) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to examine this machine");
    *all = (examination){.request = request, .began = sys_clock()};
    p2p_status status = announce(all);
    if (status == P2P_OK) status = doctor_text_open(&all->report);
    if (status == P2P_OK) status = examine(all);
    if (status == P2P_OK) {
        print_findings(all, MOST_ON_STDOUT, stdout);
        print_verdict(all, stdout);
        status = write_report(all);
    }
    if (status == P2P_OK) status = judge(all);
    for (int i = 0; i < all->device_count; i++) doctor_device_close(&all->devices[i]);
    doctor_findings_free(&all->machine);
    doctor_findings_free(&all->together);
    doctor_text_free(&all->report);
    p2p_atomic_abandon(&all->file);
    free(all->devices);
    free(all->entries);
    free(all->named);
    free(all);
    return status;
}
