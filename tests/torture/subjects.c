/* See subjects.h. */
#define _GNU_SOURCE
#include "subjects.h"
#include "folders.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Six steps of one pair in two epochs. The thread that loads pictures runs beside the training. */
#define TRAINING                                                                                             \
    "train", "--data", "data", "--out", SUBJECT_OUT, "--device", "reference:0", "--workers", "1", "--size",  \
        "32", "--ngf", "2", "--ndf", "2", "--epochs", "2", "--checkpoint-every", "2", "--save-every", "1",   \
        "--keep-epochs", "1", NULL

const subject subjects[] = {
    {"train", {TRAINING}, NULL, true},
    {"resume",
     {"train", "--resume", "--out", SUBJECT_OUT, "--device", "reference:0", "--workers", "1", NULL},
     "begun",
     true},
    {"translate",
     {"translate", "--model", "model", "-o", SUBJECT_OUT, "--device", "reference:0", "pictures", NULL},
     NULL,
     false},
    {"test",
     {"test", "--model", "model", "--data", "data", "--out", SUBJECT_OUT, "--device", "reference:0", NULL},
     NULL,
     false},
};
const int subject_count = sizeof subjects / sizeof *subjects;

const subject *subject_named(const char *name) {
    for (int i = 0; i < subject_count; i++)
        if (strcmp(subjects[i].name, name) == 0) return &subjects[i];
    return NULL;
}

/* ---- Runs --------------------------------------------------------------------------------------------- */

#define MALLOC_MAP "malloc.map"

static void fill(subject_run *run, const torture_target *target, const char *const *words, const char *more) {
    int count = 0;
    *run = (subject_run){0};
    run->words[count++] = target->program;
    for (int i = 0; words[i]; i++) run->words[count++] = words[i];
    if (more) run->words[count++] = more;
    run->environment[0] = "P2P_CACHE_DIR=off";
    run->environment[1] = "ASAN_OPTIONS=detect_leaks=0:exitcode=99";
    run->environment[2] = "UBSAN_OPTIONS=exitcode=99:print_stacktrace=1";
    run->command = (trace_command){.arguments = run->words,
                                   .out = SUBJECT_STDOUT,
                                   .err = SUBJECT_STDERR,
                                   .environment = run->environment,
                                   .only_below = target->sanitized};
}

void subject_run_fill(subject_run *run, const torture_target *target, const subject *s, const char *more) {
    fill(run, target, s->arguments, more);
}

void subject_reset(const subject *s) {
    folder_remove(SUBJECT_OUT);
    folder_remove(SUBJECT_MOVED);
    if (s->start) folder_copy(s->start, SUBJECT_OUT);
}

static malloc_faults *map_faults(void) {
    const int file = open(MALLOC_MAP, O_RDWR | O_CREAT | O_TRUNC, 0666);
    if (file < 0 || ftruncate(file, sizeof(malloc_faults)) != 0) die("can't make %s", MALLOC_MAP);
    void *mapped = mmap(NULL, sizeof(malloc_faults), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped == MAP_FAILED) die("can't map %s: %s", MALLOC_MAP, strerror(errno));
    return mapped;
}

static void run_preloaded(subject_run *run, const torture_target *target, trace_outcome *outcome) {
    run->environment[3] = "P2P_MALLOC_FAULTS=" MALLOC_MAP;
    if (target->sanitized) {
        run->words[0] = target->library;
        run->environment[1] = "ASAN_OPTIONS=exitcode=99"; /* nothing traces it, so leaks can be found too */
        run->environment[4] = "LSAN_OPTIONS=exitcode=99";
    } else {
        snprintf(run->library, sizeof run->library, "LD_PRELOAD=%s", target->library);
        run->environment[4] = run->library;
        run->environment[5] = "GLIBC_TUNABLES=glibc.malloc.perturb=165"; /* freed memory is overwritten */
    }
    run_plainly(&run->command, outcome);
}

static void run_short_of_memory(subject_run *run, const torture_target *target, const fault *what,
                                uint64_t nth, trace_outcome *outcome) {
    malloc_faults *shared = map_faults();
    shared->nth = nth;
    shared->lasts = what->lasts;
    run_preloaded(run, target, outcome);
    outcome->injected = atomic_load(&shared->injected) != 0;
    outcome->where.call = CALL_MALLOC;
    snprintf(outcome->where.path, sizeof outcome->where.path, "%s", shared->site);
    munmap(shared, sizeof *shared);
}

static void run_on_lost_device(subject_run *run, uint64_t nth, trace_outcome *outcome) {
    snprintf(run->device_fault, sizeof run->device_fault, "P2P_LOSE_DEVICE_AT=%" PRIu64, nth);
    run->environment[3] = run->device_fault;
    run_plainly(&run->command, outcome);
    char *text = file_text(SUBJECT_STDERR);
    outcome->injected = outcome->code != 0 || strstr(text, "device is lost");
    outcome->where.call = CALL_DEVICE;
    free(text);
}

void subject_run_faulty(const torture_target *target, const subject *s, const fault *what, uint64_t nth,
                        trace_outcome *outcome) {
    subject_run run;
    subject_run_fill(&run, target, s, NULL);
    if (what->kind == FAULT_REPLACE) {
        folder_remove(SUBJECT_OTHER);
        folder_copy(SUBJECT_OTHER_WHOLE, SUBJECT_OTHER);
    }
    if (what->kind == FAULT_NULL)
        run_short_of_memory(&run, target, what, nth, outcome);
    else if (what->kind == FAULT_LOST)
        run_on_lost_device(&run, nth, outcome);
    else
        run_traced(&run.command,
                   &(trace_plan){.what = what,
                                 .nth = nth,
                                 .folder = SUBJECT_OUT,
                                 .moved = SUBJECT_MOVED,
                                 .other = SUBJECT_OTHER},
                   outcome, NULL);
}

/* ---- What an undisturbed run does --------------------------------------------------------------------- */

void subject_calls(const torture_target *target, const subject *s, trace_log *log) {
    subject_run run;
    trace_outcome outcome;
    subject_reset(s);
    subject_run_fill(&run, target, s, NULL);
    run_traced(&run.command, &(trace_plan){0}, &outcome, log);
    if (outcome.code != 0) die("%s fails without a fault: %s", s->name, file_text(SUBJECT_STDERR));
}

static bool loses_device(const torture_target *target, const subject *s, uint64_t nth) {
    trace_outcome outcome;
    subject_reset(s);
    subject_run_faulty(target, s, fault_named(CALL_DEVICE, "LOST"), nth, &outcome);
    return outcome.injected;
}

uint64_t subject_device_calls(const torture_target *target, const subject *s) {
    uint64_t low = 0, high = 64;
    while (loses_device(target, s, high)) {
        low = high;
        high *= 2;
    }
    while (high - low > 1) {
        const uint64_t middle = low + (high - low) / 2;
        if (loses_device(target, s, middle))
            low = middle;
        else
            high = middle;
    }
    return low;
}

uint64_t *subject_allocations(const torture_target *target, const subject *s, size_t *count) {
    subject_run run;
    trace_outcome outcome;
    malloc_faults *shared = map_faults();
    shared->records = 1;
    subject_reset(s);
    subject_run_fill(&run, target, s, NULL);
    run_preloaded(&run, target, &outcome);
    *count = atomic_load(&shared->count);
    if (outcome.code != 0 || *count == 0) die("%s does not run with %s", s->name, target->library);
    if (*count > MALLOC_MOST_SITES) *count = MALLOC_MOST_SITES;
    uint64_t *sites = malloc(*count * sizeof *sites);
    if (!sites) die("no memory for a list of calls");
    memcpy(sites, shared->sites, *count * sizeof *sites);
    munmap(shared, sizeof *shared);
    return sites;
}

/* ---- Preparation -------------------------------------------------------------------------------------- */

static void run_or_die(const torture_target *target, const char *const *words) {
    subject_run run;
    trace_outcome outcome;
    fill(&run, target, words, NULL);
    run_plainly(&run.command, &outcome);
    if (outcome.code != 0) die("%s fails: %s", words[0], file_text(SUBJECT_STDERR));
}

static void use_tool(const char *tool, const char *const *words) {
    const torture_target target = {.program = tool};
    run_or_die(&target, words);
}

static void move(const char *from, const char *to) {
    if (rename(from, to) != 0) die("can't rename %s: %s", from, strerror(errno));
}

/* Three pairs in two formats, and a validation pair; pictures to translate, of two formats and two sizes. */
static void draw(const torture_target *target, const char *pictures) {
    run_or_die(target,
               (const char *[]){"sample-data", "data", "--count", "3", "--size", "32", "--seed", "3", NULL});
    use_tool(pictures, (const char *[]){"crop", "data/train/00002.jpg", "0", "0", "64", "32",
                                        "data/train/00002.png", NULL});
    use_tool(pictures, (const char *[]){"crop", "data/val/00001.jpg", "0", "0", "64", "32",
                                        "data/val/00001.png", NULL});
    if (remove("data/train/00002.jpg") != 0 || remove("data/val/00001.jpg") != 0)
        die("can't remove a picture");
    folder_make("pictures");
    folder_make("pictures/below");
    use_tool(pictures,
             (const char *[]){"crop", "data/train/00001.jpg", "0", "0", "32", "32", "pictures/a.png", NULL});
    use_tool(pictures, (const char *[]){"crop", "data/train/00003.jpg", "0", "0", "32", "32",
                                        "pictures/below/b.jpg", NULL});
    use_tool(pictures,
             (const char *[]){"crop", "data/train/00003.jpg", "0", "0", "21", "30", "pictures/c.png", NULL});
}

/* Another training of the same pictures. */
static void keep_other(const torture_target *target) {
    subject_run run;
    trace_outcome outcome;
    subject_reset(subject_named("train"));
    subject_run_fill(&run, target, subject_named("train"), "--seed=9");
    run_plainly(&run.command, &outcome);
    if (outcome.code != 0) die("another training fails: %s", file_text(SUBJECT_STDERR));
    move(SUBJECT_OUT, SUBJECT_OTHER_WHOLE);
}

static void keep_whole(const torture_target *target, const subject *s) {
    char name[64];
    subject_reset(s);
    run_or_die(target, s->arguments);
    snprintf(name, sizeof name, "whole-%s", s->name);
    folder_remove(name);
    move(SUBJECT_OUT, name);
    snprintf(name, sizeof name, "whole-%s.txt", s->name);
    move(SUBJECT_STDOUT, name);
}

/* Kills a training right after its second checkpoint was published. The number of calls until then differs by
 * a few between runs, because the report has times: returns whether the kill came at that moment. */
static bool kill_after_checkpoint(const torture_target *target, const subject *s) {
    trace_log log = {0};
    trace_outcome outcome;
    uint64_t nth = 0;
    char difference[512];
    subject_calls(target, s, &log);
    for (size_t i = 0; i < log.count; i++)
        if (log.calls[i].call == CALL_RENAME && strstr(log.calls[i].path, "step-000000004.")) nth = i + 2;
    trace_log_free(&log);
    if (nth == 0) die("the training does not publish a checkpoint of step 4");
    subject_reset(s);
    subject_run_faulty(target, s, fault_named(CALL_ANY, "KILL"), nth, &outcome);
    return outcome.injected && path_exists(SUBJECT_OUT "/checkpoints/step-000000004.safetensors") &&
           !folder_has_temporary(SUBJECT_OUT, difference, sizeof difference);
}

/* Keeps the folder of such a training. */
static void keep_begun(const torture_target *target) {
    enum { TRIES = 30 };
    for (int i = 0; i < TRIES; i++) {
        if (!kill_after_checkpoint(target, subject_named("train"))) continue;
        move(SUBJECT_OUT, "begun");
        return;
    }
    die("the training could not be killed");
}

void subjects_prepare(const torture_target *target, const char *pictures) {
    draw(target, pictures);
    keep_whole(target, subject_named("train"));
    folder_copy("whole-train", "model");
    keep_other(target);
    keep_begun(target);
    for (int i = 0; i < subject_count; i++)
        if (&subjects[i] != subject_named("train")) keep_whole(target, &subjects[i]);
    char difference[512];
    if (!folder_equal("whole-train", "whole-resume", difference, sizeof difference))
        die("a resumed training is not an undisturbed one: %s", difference);
}
