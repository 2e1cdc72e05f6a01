/* See doctor_operations.h. */
#include "doctor_operations.h"

#include "host/sys.h"
#include "p2p_check.h"

#include <stdlib.h>
#include <string.h>

enum { KERNELS_BYTES = 200 };

typedef struct {
    int passed, refused, as_stored, failed;
    double used, seconds;
    char kernels[KERNELS_BYTES]; /* their names; as many as fit */
} tally;

typedef struct {
    doctor_device *one;
    p2p_precision precision;
    tally kinds[P2P_KIND_COUNT];
    int algorithms, algorithms_passed, algorithms_left_out;
    char forms_refused[160]; /* by name; as many as fit */
    doctor_text algorithm_lines, remark_lines;
} examination;

static const char driver_advice[] =
    "update the device's driver, and empty the driver's own cache of compiled kernels; if p2p doctor fails "
    "again, send the file of --report to the authors of p2p";
static const char algorithm_advice[] = "nothing, if a training is enough: p2p tests an algorithm on the "
                                       "device before it uses it, and then takes "
                                       "another. A newer driver may mend it";
static const char lost_advice[] = "look for the device's messages in the kernel's log (dmesg); a longer "
                                  "--device-timeout helps if the device is "
                                  "only slow";

/* ---- Progress ----------------------------------------------------------------------------------------- */

/* A line that is redrawn on a terminal. Elsewhere a line for every 50 checks. */
static void show_progress(void *context, int done, int total) {
    const examination *now = context;
    const bool live = sys_is_terminal(stderr);
    if (!live && done % 50 != 0) return;
    fprintf(stderr, "%s%s %s: check %d of %d%s", live ? "\r\033[K" : "", now->one->address,
            p2p_precision_name(now->precision), done + 1, total, live ? "" : "\n");
    fflush(stderr);
}

static void end_progress(void) {
    if (sys_is_terminal(stderr)) fprintf(stderr, "\r\033[K");
}

/* ---- Results ------------------------------------------------------------------------------------------ */

/* Adds a word to a list in a text of limited size, unless it is in the list or does not fit. */
static void add_word(char *list, size_t size, const char *separator, const char *word) {
    const size_t used = strlen(list), length = strlen(word);
    if (length == 0) return;
    for (const char *at = list; (at = strstr(at, word)) != NULL; at++) {
        const bool begins = at == list || at[-1] == ' ';
        if (begins && (at[length] == '\0' || at[length] == separator[0])) return;
    }
    if (used + strlen(separator) + length >= size) return;
    snprintf(list + used, size - used, "%s%s", used ? separator : "", word);
}

static void note_failure(examination *now, const p2p_check_result *result) {
    const bool algorithm = result->algorithm[0] != '\0';
    doctor_find(&now->one->findings, DOCTOR_FAILS, algorithm ? algorithm_advice : driver_advice,
                "%s %s%s%s%s%s: %s", p2p_precision_name(now->precision), p2p_kind_name(result->kind),
                algorithm ? " by " : "", result->algorithm, result->form[0] ? " with " : "", result->form,
                result->reason);
    doctor_line(now->remark_lines.stream, "FAILED %s%s%s: %s", result->descriptor, algorithm ? " by " : "",
                result->algorithm, result->reason);
}

static void note_refusal(examination *now, const p2p_check_result *result) {
    char form[128];
    snprintf(form, sizeof form, "%s with %s", p2p_kind_name(result->kind), result->form);
    add_word(now->forms_refused, sizeof now->forms_refused, ", ", form);
    doctor_line(now->remark_lines.stream, "refused %s: %s", result->descriptor, result->reason);
}

static void take_own_choice(examination *now, const p2p_check_result *result) {
    tally *of = &now->kinds[result->kind];
    of->passed += result->outcome == P2P_CHECK_PASSED;
    of->refused += result->outcome == P2P_CHECK_REFUSED;
    of->as_stored += result->outcome == P2P_CHECK_AS_STORED;
    of->failed += result->outcome == P2P_CHECK_FAILED;
    of->seconds += result->seconds;
    if (result->used > of->used) of->used = result->used;
    add_word(of->kernels, sizeof of->kernels, " ", result->kernel);
}

static void take_algorithm(examination *now, const p2p_check_result *result) {
    static const char *const outcomes[] = {"passed", "refused", "as stored", "left out", "FAILED"};
    now->algorithms += result->outcome != P2P_CHECK_LEFT_OUT;
    now->algorithms_passed += result->outcome == P2P_CHECK_PASSED;
    now->algorithms_left_out += result->outcome == P2P_CHECK_LEFT_OUT;
    doctor_line(now->algorithm_lines.stream, "%-16s %-24s %-9s %6.3f %8.2f  %s", p2p_kind_name(result->kind),
                result->algorithm, outcomes[result->outcome], result->used, result->seconds, result->kernel);
}

static void take(void *context, const p2p_check_result *result) {
    examination *now = context;
    if (result->algorithm[0])
        take_algorithm(now, result);
    else
        take_own_choice(now, result);
    if (result->outcome == P2P_CHECK_FAILED) note_failure(now, result);
    if (result->outcome == P2P_CHECK_REFUSED) note_refusal(now, result);
    if (result->outcome == P2P_CHECK_AS_STORED)
        doctor_line(now->remark_lines.stream, "as stored %s: %s", result->descriptor, result->reason);
}

/* ---- Details and findings ----------------------------------------------------------------------------- */

static void print_lines(doctor_text *lines, FILE *stream) {
    if (doctor_text_finish(lines) == P2P_OK) fwrite(lines->bytes, 1, lines->size, stream);
}

static void print_details(examination *now) {
    FILE *stream = now->one->details.stream;
    doctor_line(stream, "precision %s", p2p_precision_name(now->precision));
    doctor_line(stream, "%-16s %6s %7s %9s %6s %6s %8s  %s", "operation", "passed", "refused", "as stored",
                "failed", "bound", "seconds", "kernels");
    for (int k = 0; k < P2P_KIND_COUNT; k++) {
        const tally *of = &now->kinds[k];
        if (of->passed + of->refused + of->failed == 0) continue;
        doctor_line(stream, "%-16s %6d %7d %9d %6d %6.3f %8.2f  %s", p2p_kind_name((p2p_kind)k), of->passed,
                    of->refused, of->as_stored, of->failed, of->used, of->seconds, of->kernels);
    }
    if (now->algorithms + now->algorithms_left_out > 0)
        doctor_line(stream, "%-16s %-24s %-9s %6s %8s  %s", "algorithms of", "name", "outcome", "bound",
                    "seconds", "kernel");
    print_lines(&now->algorithm_lines, stream);
    print_lines(&now->remark_lines, stream);
}

static tally sum(const examination *now) {
    tally all = {0};
    for (int k = 0; k < P2P_KIND_COUNT; k++) {
        all.passed += now->kinds[k].passed;
        all.refused += now->kinds[k].refused;
        all.as_stored += now->kinds[k].as_stored;
        all.failed += now->kinds[k].failed;
    }
    return all;
}

static void print_summary(const examination *now, const tally *all, char summary[DOCTOR_SUMMARY]) {
    char as_stored[48] = "", algorithms[64] = "";
    if (all->as_stored > 0) snprintf(as_stored, sizeof as_stored, " (%d computed in fp32)", all->as_stored);
    if (now->algorithms > 0)
        snprintf(algorithms, sizeof algorithms, ", %d of %d algorithms of convolutions",
                 now->algorithms_passed, now->algorithms);
    snprintf(summary, DOCTOR_SUMMARY, "%d of %d operations%s%s", all->passed, all->passed + all->failed,
             as_stored, algorithms);
}

static void find(examination *now, char summary[DOCTOR_SUMMARY]) {
    const tally all = sum(now);
    const char *precision = p2p_precision_name(now->precision);
    doctor_findings *findings = &now->one->findings;
    print_summary(now, &all, summary);
    if (all.refused > 0)
        doctor_find(findings, DOCTOR_SLOW, NULL,
                    "%s: the device lacks %d fused form%s, which p2p computes in several passes: %s",
                    precision, all.refused, all.refused == 1 ? "" : "s", now->forms_refused);
    if (now->algorithms_left_out > 0)
        doctor_find(findings, DOCTOR_SLOW, "run p2p doctor again: what is compiled now is quicker then",
                    "%s: no time was left for %d algorithms of convolutions", precision,
                    now->algorithms_left_out);
}

/* A failure as a whole, if it is not among the results. */
static void find_end(examination *now, p2p_status status) {
    now->one->lost = status == P2P_DEVICE_LOST;
    if (status == P2P_OK) return;
    doctor_find(&now->one->findings, DOCTOR_FAILS, status == P2P_DEVICE_LOST ? lost_advice : driver_advice,
                "%s: the checks could not be completed: %s", p2p_precision_name(now->precision),
                p2p_message());
}

static p2p_status open_lines(examination *now) {
    P2P_TRY(doctor_text_open(&now->algorithm_lines));
    return doctor_text_open(&now->remark_lines);
}

void doctor_operations_examine(doctor_device *one, p2p_precision precision, double until,
                               char summary[DOCTOR_SUMMARY]) {
    snprintf(summary, DOCTOR_SUMMARY, "no operations");
    examination *now = calloc(1, sizeof *now);
    if (!now) {
        doctor_find(&one->findings, DOCTOR_FAILS, NULL, "there is no memory for the checks");
        return;
    }
    *now = (examination){.one = one, .precision = precision};
    const p2p_check_options options = {.precision = precision,
                                       .clock = sys_clock,
                                       .algorithms_until = until,
                                       .progress = show_progress,
                                       .visit = take,
                                       .context = now};
    p2p_status status = open_lines(now);
    if (status == P2P_OK) status = p2p_device_check(one->device, &options);
    find_end(now, status);
    end_progress();
    if (now->remark_lines.stream) {
        print_details(now);
        find(now, summary);
    }
    doctor_text_free(&now->algorithm_lines);
    doctor_text_free(&now->remark_lines);
    free(now);
}
