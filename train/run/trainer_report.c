/* See trainer_report.h. */
#include "trainer_report.h"

#include "host/sys.h"
#include "report/run_page.h"
#include "trainer_folder.h"

#include <stdlib.h>

/* The least seconds since the page before. */
static const double intervals[] = {[REPORT_LATER] = 60, [REPORT_SOON] = 5, [REPORT_NOW] = 0};

/* Prints once that there are pictures of another training. */
static void report_others(trainer *t, const run_shown *run) {
    if (run->others > 0 && !t->others_reported)
        progress_line(t->progress, "%s: %s belongs to another training, and is not shown in the page",
                      t->paths.samples, run->other);
    t->others_reported = t->others_reported || run->others > 0;
}

static p2p_status make_page(trainer *t, char **text, size_t *size) {
    run_shown run = {.name = t->all->out, .link = "", .config = t->config, .past = t->past};
    *text = NULL;
    p2p_status status = run_shown_find_samples(&run, t->paths.samples, t->run);
    report_others(t, &run);
    if (status == P2P_OK) status = run_page_make(&run, 1, t->run[0] ? t->run : NULL, text, size);
    free(run.epochs);
    free(run.steps);
    return status;
}

static p2p_status write_page(trainer *t) {
    char *text;
    size_t size;
    bool moved;
    P2P_TRY(trainer_follow_folder(t, &moved));
    P2P_TRY(make_page(t, &text, &size));
    p2p_status status = run_page_check(t->paths.report, t->run);
    if (status == P2P_OK) status = sys_file_write(t->paths.report, text, size);
    free(text);
    return status;
}

void trainer_report_end(trainer *t) {
    if (!trainer_writes(t)) return;
    const p2p_status status = write_page(t);
    if (status != P2P_OK && !t->report_failed)
        progress_line(t->progress, "%s is not written, and the training continues without it: %s",
                      t->paths.report, p2p_message());
    t->report_failed = status != P2P_OK;
    t->last_report = sys_clock();
}

/* Prints once where the page is. */
void trainer_report(trainer *t, report_urgency urgency) {
    const bool first = t->last_report == 0;
    if (!trainer_writes(t) || (!first && sys_clock() - t->last_report < intervals[urgency])) return;
    trainer_report_end(t);
    if (first && !t->report_failed)
        progress_line(t->progress, "the course so far: %s, for a browser", t->paths.report);
}
