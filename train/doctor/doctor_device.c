/* See doctor_device.h. */
#include "doctor_device.h"

#include "bench/bench_peaks.h"
#include "doctor_operations.h"
#include "doctor_training.h"
#include "host/sys.h"

#include <string.h>

enum { SMALLEST_TRANSFER = 1 << 20, GROWTH = 8, TRANSFERS = 3 };

static const double longest_transfers = 0.5; /* seconds, for all of one size */
static const double slow_bytes_per_s = 2e9;  /* between host and GPU: less than two lanes of PCI Express 3 */

/* ---- Rates -------------------------------------------------------------------------------------------- */

static double seconds_of(const bench_transfers *t) {
    return t->write_s.least + t->read_s.least + t->copy_s.least + t->kernel_s.least;
}

/* In GB per second; within the device each byte is read and written. */
static void find_transfers(doctor_device *one, const bench_transfers *t, size_t size) {
    const double bytes = (double)size;
    const double to = bench_rate(bytes, t->write_s.least), from = bench_rate(bytes, t->read_s.least);
    const bool gpu = strcmp(one->entry->type, "GPU") == 0;
    doctor_find(
        &one->findings, DOCTOR_WORKS, NULL,
        "transfers of %zu MiB: %.2f GB/s to the device, %.2f back, %.2f within by copy, %.2f by a kernel",
        size >> 20, to / 1e9, from / 1e9, bench_rate(2 * bytes, t->copy_s.least) / 1e9,
        bench_rate(2 * bytes, t->kernel_s.least) / 1e9);
    if (gpu && (to < slow_bytes_per_s || from < slow_bytes_per_s))
        doctor_find(&one->findings, DOCTOR_SLOW,
                    "see whether the card is in a slot with all lanes (lspci -vv shows the link's width)",
                    "transfers between the host and this GPU are slower than %.0f GB/s",
                    slow_bytes_per_s / 1e9);
}

/* Enlarges the transfers while they are quick. */
static p2p_status measure_transfers(doctor_device *one) {
    bench_transfers times;
    size_t size = SMALLEST_TRANSFER;
    P2P_TRY(bench_measure_transfers(one->device, size, TRANSFERS, &times));
    while (size < BENCH_TRANSFER_BYTES && seconds_of(&times) * GROWTH * (TRANSFERS + 1) < longest_transfers) {
        size *= GROWTH;
        P2P_TRY(bench_measure_transfers(one->device, size, TRANSFERS, &times));
    }
    find_transfers(one, &times, size);
    return P2P_OK;
}

/* The peak with factors of a kind; nothing if the device has no work that measures it. */
static p2p_status measure_peak(doctor_device *one, p2p_math math, const char *factors) {
    double flops_per_s = 0;
    const p2p_status status = bench_measure_fma(one->device, math, &flops_per_s);
    if (status == P2P_OK)
        doctor_find(&one->findings, DOCTOR_WORKS, NULL, "peak with %s factors: %.4g GFLOP/s", factors,
                    flops_per_s / 1e9);
    return status == P2P_UNSUPPORTED ? P2P_OK : status;
}

static void note(doctor_device *one, p2p_status status, const char *what) {
    if (status == P2P_OK) return;
    one->lost = one->lost || status == P2P_DEVICE_LOST;
    doctor_find(&one->findings, DOCTOR_FAILS, NULL, "%s: %s", what, p2p_message());
}

static void measure(doctor_device *one) {
    note(one, measure_transfers(one), "transfers");
    if (!one->lost) note(one, measure_peak(one, P2P_MATH_stored, "f32"), "peak");
    if (!one->lost && !one->entry->no_tf32[0]) note(one, measure_peak(one, P2P_MATH_tf32, "tf32"), "peak");
    if (!one->lost && !one->entry->no_bf16[0]) note(one, measure_peak(one, P2P_MATH_bf16, "bf16"), "peak");
}

/* ---- Precisions --------------------------------------------------------------------------------------- */

static const char *refusal_of(const p2p_device_entry *entry, p2p_precision precision) {
    return precision == P2P_PRECISION_bf16   ? entry->no_bf16
           : precision == P2P_PRECISION_tf32 ? entry->no_tf32
                                             : "";
}

static bool examine_training(doctor_device *one, p2p_precision precision) {
    const p2p_status status = doctor_training_check(one->device, precision);
    one->lost = one->lost || status == P2P_DEVICE_LOST;
    if (status == P2P_OK) return true;
    doctor_find(&one->findings, DOCTOR_FAILS, p2p_message_hint()[0] ? p2p_message_hint() : NULL,
                "%s: a training of three steps: %s", p2p_precision_name(precision), p2p_message());
    return false;
}

static void examine_precision(doctor_device *one, const doctor_scope *scope, p2p_precision precision,
                              double until) {
    const char *refusal = refusal_of(one->entry, precision);
    if (refusal[0] && scope->required)
        doctor_find(&one->findings, DOCTOR_FAILS, "use --precision fp32, which every device has", "%s: %s",
                    p2p_precision_name(precision), refusal);
    if (refusal[0] || one->lost) return;
    char summary[DOCTOR_SUMMARY];
    doctor_operations_examine(one, precision, until, summary);
    const bool trains = !one->lost && examine_training(one, precision);
    doctor_find(&one->findings, DOCTOR_WORKS, NULL, "%s: %s%s", p2p_precision_name(precision), summary,
                trains ? ", a training of three steps" : "");
}

/* Whether the precision is among those to examine and the device has it. */
static bool will_examine(const doctor_device *one, const doctor_scope *scope, int precision) {
    return scope->precision[precision] && !refusal_of(one->entry, (p2p_precision)precision)[0];
}

/* Each precision gets an equal share of the time that is left. */
static double share_until(const doctor_device *one, const doctor_scope *scope, int precision) {
    const double now = sys_clock();
    int left = 0;
    for (int p = precision; p < P2P_PRECISION_COUNT; p++) left += will_examine(one, scope, p);
    return now + (scope->until - now) / (left > 0 ? left : 1);
}

static void examine_precisions(doctor_device *one, const doctor_scope *scope) {
    for (int p = 0; p < P2P_PRECISION_COUNT; p++)
        if (scope->precision[p]) examine_precision(one, scope, (p2p_precision)p, share_until(one, scope, p));
}

/* ---- The device --------------------------------------------------------------------------------------- */

static void note_kind(doctor_device *one) {
    if (strncmp(one->entry->address, "reference:", strlen("reference:")) == 0)
        doctor_find(&one->findings, DOCTOR_SLOW, NULL,
                    "the reference is for tests: it computes many times more slowly");
}

static const p2p_device_entry *entry_of(const doctor_scope *scope, const char *address) {
    for (int i = 0; i < scope->entry_count; i++)
        if (strcmp(scope->entries[i].address, address) == 0) return &scope->entries[i];
    return NULL;
}

p2p_status doctor_device_examine(doctor_device *one, const doctor_scope *scope) {
    P2P_TRY(doctor_text_open(&one->details));
    if (p2p_device_open(one->address, &one->device) != P2P_OK) {
        one->device = NULL;
        doctor_find(&one->findings, DOCTOR_FAILS, p2p_message_hint()[0] ? p2p_message_hint() : NULL, "%s",
                    p2p_message());
        return doctor_text_finish(&one->details);
    }
    one->entry = entry_of(scope, p2p_device_address(one->device));
    if (!one->entry) {
        doctor_find(&one->findings, DOCTOR_FAILS, NULL, "it is not in the list of devices any more");
        return doctor_text_finish(&one->details);
    }
    note_kind(one);
    examine_precisions(one, scope);
    if (!one->lost) measure(one);
    return doctor_text_finish(&one->details);
}

void doctor_device_close(doctor_device *one) {
    p2p_device_close(one->device);
    doctor_findings_free(&one->findings);
    doctor_text_free(&one->details);
    one->device = NULL;
}
