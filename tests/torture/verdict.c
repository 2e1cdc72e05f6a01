/* See verdict.h. */
#define _GNU_SOURCE
#include "verdict.h"
#include "folders.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Names of cases ----------------------------------------------------------------------------------- */

void case_print(const torture_case *one, char *text, size_t size) {
    snprintf(text, size, "%s %s %" PRIu64 " %s", one->subject->name, call_name(one->what->call), one->nth,
             one->what->name);
}

bool case_parse(const char *text, torture_case *one) {
    char name[32], call[32], error[32];
    if (sscanf(text, "%31s %31s %" SCNu64 " %31s", name, call, &one->nth, error) != 4) return false;
    one->subject = subject_named(name);
    one->what = fault_named(call_named(call), error);
    return one->subject && one->what && one->nth > 0;
}

/* ---- Reasons ------------------------------------------------------------------------------------------ */

static bool failed(verdict *result, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool failed(verdict *result, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(result->reason, sizeof result->reason, format, args);
    va_end(args);
    result->kind = VERDICT_FAILED;
    return false;
}

/* The line "p2p: ..." of stderr and the hint after it, to be freed; NULL if there is none. */
static char *message_of(const char *path) {
    char *text = file_text(path), *found = strncmp(text, "p2p: ", 5) == 0 ? text : strstr(text, "\np2p: ");
    char *lines = NULL;
    if (found) {
        found += *found == '\n';
        size_t length = strcspn(found, "\n");
        if (strncmp(found + length, "\nhint: ", 7) == 0) length += 1 + strcspn(found + length + 1, "\n");
        lines = strndup(found, length);
    }
    free(text);
    return lines;
}

/* ---- The message -------------------------------------------------------------------------------------- */

static size_t folder_length(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* A temporary file's own name means nothing to a user: the message names the file that it would become, in
 * the same folder. */
static bool word_names_target(const char *word, const char *path) {
    const size_t length = folder_length(path);
    return folder_length(word) == length && strncmp(word, path, length) == 0 && word[length] != '\0';
}

/* Whether a word of the message is the path, a path below it, or the name of its file, which may be a part of
 * the temporary name. */
static bool word_names(const char *word, const char *path) {
    if (path_is_temporary(path) && word_names_target(word, path)) return true;
    const char *slash = strrchr(word, '/'), *base = slash ? slash + 1 : word;
    if (strcmp(word, path) == 0 || strstr(word, path)) return true;
    return strlen(base) >= 4 && strstr(path, base) != NULL;
}

static bool names_file(const char *message, const char *where) {
    char *copy = strdup(message), *rest = copy, path[TRACE_PATH_BYTES];
    bool found = false;
    snprintf(path, sizeof path, "%s", where);
    for (size_t length = strlen(path); length > 0 && path[length - 1] == '/';) path[--length] = '\0';
    for (char *word; !found && (word = strsep(&rest, " \n'\"(),;"));) {
        size_t length = strlen(word);
        while (length > 0 && strchr(":./", word[length - 1])) word[--length] = '\0';
        found = length > 0 && word_names(word, path);
    }
    free(copy);
    return found;
}

/* popt ends the program by itself, with "virtual memory exhausted.", before any work has begun. */
static bool popt_ended(void) {
    char *text = file_text(SUBJECT_STDERR);
    const bool ended = strcmp(text, "virtual memory exhausted.\n") == 0;
    free(text);
    return ended;
}

static bool speaks_of(const char *message, call_class call) {
    if (call == CALL_DEVICE) return strstr(message, "device") != NULL;
    return strcasestr(message, "memory") || strstr(message, "thread");
}

static bool is_output(const char *path) {
    return strcmp(path, SUBJECT_STDOUT) == 0 || strcmp(path, SUBJECT_STDERR) == 0;
}

/* If later calls fail too, the message may name the file of one of them. */
static bool check_message(const torture_case *one, const trace_outcome *outcome, verdict *result) {
    const traced_call *where = &outcome->where;
    char *message = message_of(SUBJECT_STDERR);
    bool good = true;
    if (strcmp(where->path, SUBJECT_STDERR) == 0)
        good = true; /* there is no place for a message */
    else if (!message && where->call == CALL_MALLOC && popt_ended())
        good = !path_exists(SUBJECT_OUT) || one->subject->start;
    else if (!message)
        good = failed(result, "exit code %d without a message", outcome->code);
    else if (where->call == CALL_MALLOC && outcome->code == 2 && strstr(where->path, "libpopt"))
        good = true; /* popt loses an argument in silence; the command line is then refused */
    else if (call_class_is_memory(where->call))
        good = speaks_of(message, where->call) ||
               failed(result, "the message does not name the cause: %s", message);
    else if (is_output(where->path))
        good =
            strstr(message, "output") || failed(result, "the message does not name the output: %s", message);
    else if (where->path[0] && where->path[0] != '/' && !one->what->lasts)
        good = names_file(message, where->path) ||
               failed(result, "the message does not name the file: %s", message);
    free(message);
    return good;
}

/* ---- What the fault left ------------------------------------------------------------------------------ */

static bool check_output(const subject *s, verdict *result) {
    char whole[64];
    snprintf(whole, sizeof whole, "whole-%s.txt", s->name);
    return file_equal(whole, SUBJECT_STDOUT) || failed(result, "exit code 0, but the output is not complete");
}

static bool check_whole(const subject *s, const char *when, verdict *result) {
    char whole[64], difference[400];
    snprintf(whole, sizeof whole, "whole-%s", s->name);
    return folder_equal(whole, SUBJECT_OUT, difference, sizeof difference) ||
           failed(result, "%s: %s", when, difference);
}

/* A file that the program was not killed at must not be left. */
static bool check_left(const torture_case *one, const char *difference, verdict *result) {
    const bool killed = one->what->kind == FAULT_KILL || one->what->kind == FAULT_TORN;
    const bool cannot = killed || one->what->lasts || one->what->call == CALL_UNLINK;
    if (cannot && strstr(difference, ".tmp")) return true;
    return failed(result, "after the fault: %s", difference);
}

/* A test that ends early leaves the names of its pictures in place of their numbers. */
static bool has_names_only(void) {
    char *text = file_text(SUBJECT_OUT "/metrics.json");
    const bool unfinished = strstr(text, "\"unfinished\": true") != NULL;
    free(text);
    return unfinished;
}

/* Whether the results are parts of those of the whole run. */
static bool is_part(const char *whole, char *difference, size_t size) {
    static const char *const aside = "names.json";
    const bool moves = has_names_only() && rename(SUBJECT_OUT "/metrics.json", aside) == 0;
    const bool part = folder_part(whole, SUBJECT_OUT, difference, size);
    return (!moves || rename(aside, SUBJECT_OUT "/metrics.json") == 0) && part;
}

/* Results of commands that use a model are complete or absent. */
static bool check_parts(const torture_case *one, verdict *result) {
    char whole[64], difference[400];
    if (one->subject->trains) {
        if (folder_has_temporary(SUBJECT_OUT, difference, sizeof difference))
            return check_left(one, difference, result);
        return true;
    }
    snprintf(whole, sizeof whole, "whole-%s", one->subject->name);
    return is_part(whole, difference, sizeof difference) || check_left(one, difference, result);
}

/* The exit code, the message and the files right after the fault. */
static bool check_end(const torture_case *one, const trace_outcome *outcome, verdict *result) {
    const bool kills = one->what->kind == FAULT_KILL || one->what->kind == FAULT_TORN;
    if (outcome->hung) return failed(result, "it hung");
    if (kills) return check_parts(one, result);
    if (outcome->signaled) return failed(result, "ended by signal %d", outcome->code - 128);
    if (outcome->code == 99) return failed(result, "a sanitizer's report: %s", SUBJECT_STDERR);
    if (outcome->code == 0)
        return check_output(one->subject, result) && check_whole(one->subject, "exit code 0", result);
    return check_message(one, outcome, result) && check_parts(one, result);
}

/* ---- The next command --------------------------------------------------------------------------------- */

/* The last step in the log. */
static int64_t logged_steps(void) {
    char *text = file_text(SUBJECT_OUT "/metrics.jsonl");
    int64_t last = 0, step;
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        const char *at = strstr(line, "\"step\":");
        if (at && sscanf(at, "\"step\":%" SCNd64, &step) == 1 && step > last) last = step;
    }
    free(text);
    return last;
}

static int64_t resumed_step(const char *text) {
    const char *at = strstr(text, "continuing after step ");
    int64_t step = 0;
    if (at) sscanf(at, "continuing after step %" SCNd64, &step);
    return step;
}

static const char *last_line(char *text) {
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == '\n') text[--length] = '\0';
    const char *at = strstr(text, "p2p: ");
    return at ? at : text;
}

static void run_next(const torture_target *target, const subject *s, const char *more,
                     trace_outcome *outcome) {
    subject_run run;
    subject_run_fill(&run, target, s, more);
    run_plainly(&run.command, outcome);
}

static bool expect_success(const trace_outcome *outcome, const char *what, verdict *result) {
    if (outcome->code == 0) return true;
    char *text = file_text(SUBJECT_STDERR);
    failed(result, "%s: exit code %d: %s", what, outcome->code, last_line(text));
    free(text);
    return false;
}

/* Resumes, or begins again if nothing has begun. */
static bool resume(const torture_target *target, verdict *result) {
    trace_outcome outcome;
    const int64_t steps = logged_steps();
    run_next(target, subject_named("resume"), NULL, &outcome);
    char *text = file_text(SUBJECT_STDERR);
    const bool unbegun = outcome.code == 3 && strstr(text, "no training to resume");
    result->steps_lost = steps - resumed_step(text);
    free(text);
    if (!unbegun) return expect_success(&outcome, "--resume", result);
    run_next(target, subject_named("train"), NULL, &outcome);
    return expect_success(&outcome, "begun again", result);
}

static bool recover(const torture_target *target, const subject *s, verdict *result) {
    trace_outcome outcome;
    if (s->trains) return resume(target, result) && check_whole(s, "resumed", result);
    run_next(target, s, "--force", &outcome);
    return expect_success(&outcome, "run again", result) && check_output(s, result) &&
           check_whole(s, "run again", result);
}

/* ---- Cases -------------------------------------------------------------------------------------------- */

/* Kills the training at random calls, up to five times in turn. */
static bool kill_again(const torture_target *target, const torture_case *one, verdict *result) {
    const fault *kill = fault_named(CALL_ANY, "KILL");
    uint64_t random = one->nth * 6364136223846793005u + 1442695040888963407u;
    const subject *s = one->subject;
    for (int i = 0; i < 5; i++) {
        trace_outcome outcome;
        random = random * 6364136223846793005u + 1442695040888963407u;
        subject_run_faulty(target, s, kill, 1 + (random >> 33) % 1500, &outcome);
        if (outcome.hung) return failed(result, "it hung");
        if (!outcome.injected && outcome.code != 0 && i > 0 && !path_exists(SUBJECT_OUT "/config.json")) {
            s = one->subject; /* nothing has begun yet */
            continue;
        }
        if (!outcome.injected && !expect_success(&outcome, "between kills", result)) return false;
        if (one->subject->trains) s = subject_named("resume");
    }
    return true;
}

/* Nothing was made or changed in the old place of a moved folder. */
static bool check_old_place(const torture_case *one, const char *message, verdict *result) {
    char difference[400];
    if (one->what->kind == FAULT_MOVE)
        return !path_exists(SUBJECT_OUT) ||
               failed(result, "the folder was made again at its old path: %s", message);
    if (!folder_equal(SUBJECT_OTHER_WHOLE, SUBJECT_OUT, difference, sizeof difference))
        return failed(result, "another training's folder was changed: %s", difference);
    folder_remove(SUBJECT_OUT);
    return true;
}

/* After a renaming: the moved folder is complete, or becomes so in its old place. */
static void end_moved(const torture_target *target, const torture_case *one, const trace_outcome *outcome,
                      verdict *result) {
    char *message = message_of(SUBJECT_STDERR);
    if (outcome->hung)
        failed(result, "it hung");
    else if (outcome->signaled)
        failed(result, "ended by signal %d", outcome->code - 128);
    else if (outcome->code != 0 && !message)
        failed(result, "exit code %d without a message", outcome->code);
    else if (!check_old_place(one, message ? message : "exit code 0", result))
        ; /* it has failed */
    else if (rename(SUBJECT_MOVED, SUBJECT_OUT) != 0)
        failed(result, "the moved folder is not there");
    else if (outcome->code == 0 && check_whole(one->subject, "exit code 0", result))
        result->kind = VERDICT_WENT_ON;
    else if (outcome->code != 0)
        recover(target, one->subject, result);
    free(message);
}

void case_run(const torture_target *target, const torture_case *one, verdict *result) {
    trace_outcome outcome = {0};
    *result = (verdict){.kind = VERDICT_RECOVERED};
    subject_reset(one->subject);
    if (one->what->kind == FAULT_KILLS) {
        if (kill_again(target, one, result)) recover(target, one->subject, result);
        return;
    }
    subject_run_faulty(target, one->subject, one->what, one->nth, &outcome);
    snprintf(result->where, sizeof result->where, "%s%s%s", call_name(outcome.where.call),
             outcome.where.path[0] ? " " : "", outcome.where.path);
    if (one->what->kind == FAULT_MOVE || one->what->kind == FAULT_REPLACE) {
        result->kind = outcome.injected ? VERDICT_RECOVERED : VERDICT_BEYOND;
        if (outcome.injected) end_moved(target, one, &outcome, result);
        return;
    }
    if (!check_end(one, &outcome, result)) return;
    const bool complete = outcome.code == 0;
    if (!complete && !recover(target, one->subject, result)) return;
    result->kind = complete ? VERDICT_WENT_ON : VERDICT_RECOVERED;
    if (!outcome.injected) result->kind = VERDICT_BEYOND;
}
