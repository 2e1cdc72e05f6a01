/* See pairs_make.h. The result of a picture has its name below the folder, with the suffix of --format. */
#include "pairs_make.h"

#include "data/dataset_files.h"
#include "host/folder_lock.h"
#include "host/sys.h"
#include "host/text.h"
#include "p2p_philox.h"
#include "pairs_record.h"
#include "pairs_split.h"
#include "pairs_task.h"
#include "pairs_work.h"
#include "use/result_files.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const settings *all;
    const pairs_operation *operation;
    const char *folders[PAIRS_SOURCES], *out;
    dataset_files files;
    pairs_task *tasks;
    size_t count;
    sys_lock *lock;             /* of `out` */
    size_t made, kept, skipped; /* pictures that are new, of an earlier run, and left out as bad */
} pairs_run;

static bool skips_bad(const pairs_run *run) {
    return strcmp(run->all->on_bad_image, "skip") == 0;
}

/* ---- Places ------------------------------------------------------------------------------------------- */

static p2p_status check_apart(const char *source, const char *out) {
    bool out_inside, source_inside;
    P2P_TRY(sys_path_inside(out, source, &out_inside));
    P2P_TRY(sys_path_inside(source, out, &source_inside));
    if (!out_inside && !source_inside) return P2P_OK;
    p2p_fail(P2P_USAGE, "%s, the folder of the results, and %s, whose pictures are read, lie in each other",
             out, source);
    return p2p_hint(P2P_USAGE, "choose a folder elsewhere: a later run would take results for pictures");
}

static p2p_status check_source_folder(const char *folder) {
    bool is_folder;
    P2P_TRY(sys_path_is_folder(folder, &is_folder));
    if (is_folder) return P2P_OK;
    return p2p_fail(P2P_INPUT, "there is no folder %s", folder);
}

static p2p_status check_folders(const pairs_run *run) {
    for (int i = 0; i < PAIRS_SOURCES && run->folders[i]; i++) {
        P2P_TRY(check_source_folder(run->folders[i]));
        P2P_TRY(check_apart(run->folders[i], run->out));
    }
    return P2P_OK;
}

/* ---- The list ----------------------------------------------------------------------------------------- */

/* Return `status`, or print its message and continue. */
static p2p_status leave_out(pairs_run *run, p2p_status status) {
    if (!pairs_is_bad_picture(status) || !skips_bad(run)) return status;
    text_print_line("left out: ", p2p_message(), stderr);
    run->skipped++;
    return P2P_OK;
}

static p2p_status report_singles(pairs_run *run) {
    for (size_t i = 0; i < run->files.single_count; i++)
        P2P_TRY(leave_out(run, dataset_files_single(&run->files, i)));
    return P2P_OK;
}

static p2p_status add_task(pairs_run *run, size_t index) {
    pairs_task *task = &run->tasks[run->count];
    dataset_paths paths;
    P2P_TRY(dataset_files_paths(&run->files, index, &paths));
    run->count++;
    task->sources[0] = paths.a;
    task->sources[1] = paths.b;
    P2P_TRY(result_name("", run->files.pairs[index].a, run->all->format, &task->name));
    task->item = p2p_name_hash(task->name);
    return sys_path_join(&task->result, run->out, task->name);
}

static p2p_status list_tasks(pairs_run *run) {
    P2P_TRY(dataset_files_list_folders(&run->files, run->folders[0], run->folders[1]));
    dataset_files_print_unread(&run->files);
    P2P_TRY(report_singles(run));
    run->tasks = calloc(run->files.count + 1, sizeof *run->tasks);
    if (!run->tasks) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %zu names", run->files.count);
    for (size_t i = 0; i < run->files.count; i++) P2P_TRY(add_task(run, i));
    return P2P_OK;
}

static p2p_status check_distinct(const pairs_run *run) {
    result_file *files = calloc(run->count + 1, sizeof *files);
    if (!files) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %zu names", run->count);
    for (size_t i = 0; i < run->count; i++)
        files[i] = (result_file){run->tasks[i].sources[0], run->tasks[i].result};
    p2p_status status = result_files_check(run->out, files, run->count, true);
    if (status == P2P_OK) status = result_files_sweep(files, run->count);
    free(files);
    return status;
}

/* Drop the tasks whose result exists. `known`: whether an earlier run of this command has made it. */
static p2p_status keep_made(pairs_run *run, bool known) {
    size_t left = 0;
    p2p_status status = P2P_OK;
    for (size_t i = 0; i < run->count; i++) {
        pairs_task *task = &run->tasks[i];
        bool made = false;
        if (status == P2P_OK) status = pairs_split_exists(run->out, task->name, &made);
        if (status == P2P_OK && made && !known) {
            p2p_fail(P2P_USAGE, "%s exists already", task->result);
            status = p2p_hint(P2P_USAGE, "choose another folder, or remove it: nothing is overwritten");
        }
        if (status == P2P_OK && made)
            pairs_task_free(task);
        else
            run->tasks[left++] = *task;
    }
    run->kept += run->count - left;
    run->count = left;
    return status;
}

static p2p_status measure_all(pairs_run *run) {
    size_t left = 0;
    p2p_status status = P2P_OK;
    for (size_t i = 0; i < run->count; i++) {
        pairs_task *task = &run->tasks[i];
        const size_t skipped = run->skipped;
        if (status == P2P_OK) status = leave_out(run, pairs_task_measure(run->all, run->operation, task));
        if (run->skipped > skipped)
            pairs_task_free(task);
        else
            run->tasks[left++] = *task;
    }
    run->count = left;
    return status;
}

/* ---- The run ------------------------------------------------------------------------------------------ */

static p2p_status run_task(void *context, size_t index) {
    const pairs_run *run = context;
    return pairs_task_run(run->all, run->operation, run->out, &run->tasks[index]);
}

static p2p_status run_all(pairs_run *run) {
    const pairs_work work = {.count = run->count,
                             .workers = (int)run->all->workers,
                             .skip_bad = skips_bad(run),
                             .makes = true,
                             .job = run_task,
                             .context = run};
    pairs_work_result result;
    P2P_TRY(pairs_work_run(&work, &result));
    run->skipped += result.skipped;
    run->made = result.done;
    return P2P_OK;
}

static void report(const pairs_run *run) {
    char kept[64] = "", skipped[64] = "";
    if (run->kept > 0) snprintf(kept, sizeof kept, ", kept %zu that were there", run->kept);
    if (run->skipped > 0) snprintf(skipped, sizeof skipped, ", left out %zu", run->skipped);
    text_line(stderr, "made %zu picture%s in %s%s%s", run->made, run->made == 1 ? "" : "s", run->out, kept,
              skipped);
}

/* Drop what is made. *known: whether an earlier run of this command has made something. */
static p2p_status compare_out(pairs_run *run, const pairs_record *record, bool *known) {
    P2P_TRY(pairs_record_compare(record, run->all, run->out, known));
    return keep_made(run, *known);
}

/* The folder is made once there is something to write. It is looked at again when it is locked: another
 * command may have written there. */
static p2p_status prepare(pairs_run *run, const pairs_record *record) {
    bool known = false;
    P2P_TRY(check_folders(run));
    P2P_TRY(list_tasks(run));
    P2P_TRY(folder_lock_check(run->out));
    P2P_TRY(check_distinct(run));
    P2P_TRY(compare_out(run, record, &known));
    P2P_TRY(measure_all(run));
    if (run->count + run->kept == 0) return p2p_fail(P2P_INPUT, "no usable picture is left");
    P2P_TRY(folder_lock_take(&run->lock, run->out));
    P2P_TRY(compare_out(run, record, &known));
    return known ? P2P_OK : pairs_record_write(record, run->all, run->out);
}

static void run_free(pairs_run *run) {
    for (size_t i = 0; run->tasks && i < run->count; i++) pairs_task_free(&run->tasks[i]);
    free(run->tasks);
    dataset_files_free(&run->files);
    sys_lock_release(run->lock);
}

p2p_status pairs_make(const settings *all, const pairs_operation *operation, const char *a, const char *b,
                      const char *out) {
    pairs_run run = {.all = all, .operation = operation, .folders = {a, b}, .out = out};
    const pairs_record record = {.operation = operation->name,
                                 .sources = run.folders,
                                 .source_count = b ? 2 : 1,
                                 .options = operation->options};
    p2p_status status = prepare(&run, &record);
    if (status == P2P_OK) status = run_all(&run);
    if (status == P2P_OK) report(&run);
    run_free(&run);
    return status;
}
