/* Provokes faults in p2p, one at a time: each call of the operating system and of the allocator that a small
 * training, its resumption, a translation and a test make fails in each way that it can, or is the moment of
 * a kill, of a renaming of the training's folder, or of its replacement. After each the exit code, the
 * message and the files are checked, and the next command must reach the bits of an undisturbed run.
 *
 *   provoke P2P PICTURES [OPTION...]      the program, and the tool tests/support/pictures
 *     --whole             every call, every fault (hours); default: a sample in strata (minutes), see cases.h
 *     --cases N           at random N of these
 *     --seed N            of the sample; printed
 *     --only SUBJECT      train, resume, translate or test;  --call CLASS    e.g. write, malloc, any (kills)
 *     --case "train write 17 ENOSPC"      this case alone; may be repeated. Its folder is kept and printed
 *     --jobs N            so many at once
 *     --sanitized         P2P is built with sanitizers: faults in calls on the run's own files only, and
 * kills; tests/train/run/test_train_faults.c has the calls of backends there
 *
 * Exit code 0: every case was survived; 1: some were not; 2: the sweep could not be made. Ends with a table
 * in Markdown.
 */
#define _GNU_SOURCE
#include "../support/test_clock.h"
#include "cases.h"
#include "folders.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_CASES_GIVEN = 64 };

typedef struct {
    torture_target target;
    sweep_options sweep;
    char program[PATH_MAX], pictures[PATH_MAX], library[PATH_MAX], work[PATH_MAX];
    int jobs;
    case_list given;
} options;

/* What the processes share. */
typedef struct {
    atomic_size_t next;
    struct {
        verdict_kind kind;
        int32_t steps_lost;
    } results[];
} shared_results;

/* ---- Options ------------------------------------------------------------------------------------------ */

static _Noreturn void usage(void) {
    die("usage: provoke P2P PICTURES [--whole] [--cases N] [--seed N] [--only SUBJECT] [--call CLASS] "
        "[--case TEXT]... "
        "[--jobs N] [--sanitized]");
}

static uint64_t number(const char *text) {
    char *end;
    errno = 0;
    const uint64_t value = strtoull(text, &end, 10);
    if (errno || *end || end == text) die("'%s' is not a number", text);
    return value;
}

static void give_case(options *o, const char *text) {
    torture_case one;
    if (!case_parse(text, &one)) die("'%s' is not a case: SUBJECT CLASS NUMBER FAULT", text);
    if (!o->given.cases) o->given.cases = calloc(MOST_CASES_GIVEN, sizeof one);
    if (!o->given.cases || o->given.count == MOST_CASES_GIVEN) die("more than %d cases", MOST_CASES_GIVEN);
    o->given.cases[o->given.count++] = one;
}

/* Returns whether the option takes a value. */
static bool take_option(options *o, const char *name, const char *value) {
    if (strcmp(name, "--whole") == 0) {
        o->sweep.depth = SWEEP_WHOLE;
        return false;
    }
    if (strcmp(name, "--sanitized") == 0) {
        o->target.sanitized = true;
        return false;
    }
    if (!value) usage();
    if (strcmp(name, "--cases") == 0)
        o->sweep.most = number(value);
    else if (strcmp(name, "--seed") == 0)
        o->sweep.seed = number(value);
    else if (strcmp(name, "--jobs") == 0)
        o->jobs = (int)number(value);
    else if (strcmp(name, "--only") == 0 && (o->sweep.only = subject_named(value)))
        return true;
    else if (strcmp(name, "--call") == 0 && (o->sweep.only_call = call_named(value)) != CALL_NONE)
        return true;
    else if (strcmp(name, "--case") == 0)
        give_case(o, value);
    else
        usage();
    return true;
}

static void absolute(const char *path, char result[PATH_MAX]) {
    if (!realpath(path, result)) die("%s: %s", path, strerror(errno));
}

/* The library, or the second program, lies beside this one. */
static void find_library(options *o) {
    char self[PATH_MAX];
    absolute("/proc/self/exe", self);
    *strrchr(self, '/') = '\0';
    snprintf(o->library, sizeof o->library, "%.*s/%s", PATH_MAX - 64, self,
             o->target.sanitized ? "p2p_short_of_memory" : "libmalloc_faults.so");
    if (!path_exists(o->library)) die("%s is missing", o->library);
}

static void parse(options *o, int argc, char **argv) {
    *o = (options){.sweep = {.seed = (uint64_t)time(NULL) % 100000, .only_call = CALL_NONE}, .jobs = 1};
    if (argc < 3) usage();
    absolute(argv[1], o->program);
    absolute(argv[2], o->pictures);
    for (int i = 3; i < argc; i++) i += take_option(o, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
    find_library(o);
    o->target.program = o->program;
    o->target.library = o->library;
    if (o->jobs < 1 || o->jobs > 256) usage();
}

/* ---- The work ----------------------------------------------------------------------------------------- */

static void enter(const char *folder) {
    if (chdir(folder) != 0) die("%s: %s", folder, strerror(errno));
}

/* Thousands of files are flushed to disk: in memory, where possible. */
static void make_work(options *o) {
    const char *base = getenv("TMPDIR");
    if (!base) base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(o->work, sizeof o->work, "%.*s/p2p-torture-XXXXXX", PATH_MAX - 64, base);
    if (!mkdtemp(o->work)) die("can't make %s: %s", o->work, strerror(errno));
    enter(o->work);
    folder_make("0");
    enter("0");
    subjects_prepare(&o->target, o->pictures);
}

static void report_failure(const options *o, const torture_case *one, const verdict *result) {
    char name[160];
    case_print(one, name, sizeof name);
    printf("FAILED: --case \"%s\" (%s): %s\n", name, result->where, result->reason);
    (void)o;
    fflush(stdout);
}

static void run_cases(const options *o, const case_list *list, shared_results *shared) {
    for (size_t i; (i = atomic_fetch_add(&shared->next, 1)) < list->count;) {
        verdict result;
        case_run(&o->target, &list->cases[i], &result);
        shared->results[i].kind = result.kind;
        shared->results[i].steps_lost = (int32_t)result.steps_lost;
        if (result.kind == VERDICT_FAILED) report_failure(o, &list->cases[i], &result);
    }
}

static shared_results *share(size_t cases) {
    shared_results *shared = mmap(NULL, sizeof *shared + cases * sizeof shared->results[0],
                                  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) die("no memory for the results");
    return shared;
}

static void start_job(const options *o, const case_list *list, shared_results *shared, int job) {
    char name[32];
    snprintf(name, sizeof name, "../%d", job);
    if (job > 0) folder_copy(".", name);
    fflush(NULL);
    const pid_t process = fork();
    if (process < 0) die("can't start a process: %s", strerror(errno));
    if (process > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    enter(name);
    run_cases(o, list, shared);
    exit(0);
}

/* A process per job, each with a copy of the folder; the first job, which has the folder itself, starts last.
 * This process runs no case, because a tracing process receives the end of every child. */
static void run_jobs(const options *o, const case_list *list, shared_results *shared) {
    bool good = true;
    for (int job = o->jobs - 1; job >= 0; job--) start_job(o, list, shared, job);
    for (int job = 0; job < o->jobs; job++) {
        int status;
        good &= wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    if (!good) die("a process of the sweep has failed");
}

/* ---- The table ---------------------------------------------------------------------------------------- */

typedef struct {
    size_t provoked, went_on, recovered, failed;
    int32_t most_lost;
} tally;

/* Faults of one row: those of a class with an effect of the same kind, and the same duration. */
static bool same_row(const fault *a, const fault *b) {
    return a->call == b->call && a->kind == b->kind && a->lasts == b->lasts;
}

static tally tally_row(const case_list *list, const shared_results *shared, const fault *row) {
    tally sum = {0};
    for (size_t i = 0; i < list->count; i++) {
        const verdict_kind kind = shared->results[i].kind;
        if ((row && !same_row(list->cases[i].what, row)) || kind == VERDICT_BEYOND) continue;
        sum.provoked++;
        sum.went_on += kind == VERDICT_WENT_ON;
        sum.recovered += kind == VERDICT_RECOVERED;
        sum.failed += kind == VERDICT_FAILED;
        if (shared->results[i].steps_lost > sum.most_lost) sum.most_lost = shared->results[i].steps_lost;
    }
    return sum;
}

static void print_faults(const fault *row) {
    for (const fault *f = row; f < faults + fault_count; f++)
        if (same_row(f, row)) printf(" %.*s", (int)strcspn(f->name, "+"), f->name);
    printf("%s", row->lasts && row->kind != FAULT_LOST ? ", from then on" : "");
}

static void print_tally(const tally *sum) {
    printf(" | %zu | %zu | %zu | ", sum->provoked, sum->went_on, sum->recovered);
    if (sum->most_lost > 0)
        printf("%d steps", (int)sum->most_lost);
    else
        printf("nothing");
    printf(" | %zu |\n", sum->failed);
}

static void print_table(const case_list *list, const shared_results *shared) {
    printf("\n| call | fault | provoked | completed all the same | ended, then repaired to equal bits | most "
           "lost | not "
           "survived |\n|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < fault_count; i++) {
        bool first = true;
        for (int k = 0; k < i; k++) first &= !same_row(&faults[k], &faults[i]);
        const tally sum = tally_row(list, shared, &faults[i]);
        if (!first || sum.provoked == 0) continue;
        printf("| %s |", call_meaning(faults[i].call));
        print_faults(&faults[i]);
        print_tally(&sum);
    }
    const tally all = tally_row(list, shared, NULL);
    printf("| all |");
    print_tally(&all);
}

/* ---- Main --------------------------------------------------------------------------------------------- */

static int run_given(options *o) {
    int failures = 0;
    for (size_t i = 0; i < o->given.count; i++) {
        verdict result;
        char name[160];
        case_run(&o->target, &o->given.cases[i], &result);
        case_print(&o->given.cases[i], name, sizeof name);
        static const char *const outcomes[] = {"not provoked: the run has fewer calls",
                                               "completed all the same", "ended, then repaired", "FAILED"};
        printf("%s (%s): %s%s%s\n", name, result.where, outcomes[result.kind], result.reason[0] ? ": " : "",
               result.reason);
        failures += result.kind == VERDICT_FAILED;
    }
    printf("%s/0 has the files\n", o->work);
    return failures > 0;
}

static int run_sweep(options *o) {
    case_list list;
    printf("seed %" PRIu64 "\n", o->sweep.seed);
    const double begun = test_clock();
    cases_select(&o->target, &o->sweep, &list);
    const double selected = test_clock();
    printf("%zu cases, selected in %.1f s\n", list.count, selected - begun);
    shared_results *shared = share(list.count);
    run_jobs(o, &list, shared);
    const double taken = test_clock() - selected;
    const tally all = tally_row(&list, shared, NULL);
    print_table(&list, shared);
    printf("\n%zu faults provoked, %zu not survived; seed %" PRIu64 "; %.0f s, %.1f cases per second\n",
           all.provoked, all.failed, o->sweep.seed, taken, (double)list.count / taken);
    case_list_free(&list);
    enter("/");
    folder_remove(o->work);
    if (all.provoked == 0) die("no fault was provoked");
    return all.failed > 0;
}

int main(int argc, char **argv) {
    static options o;
    parse(&o, argc, argv);
    if (!trace_is_possible()) {
        printf("SKIPPED: faults of calls: this machine forbids ptrace\n");
        return 0;
    }
    make_work(&o);
    return o.given.count > 0 ? run_given(&o) : run_sweep(&o);
}
