/* See trainer_report.h. */
#include "trainer_report.h"

#include "host/sys.h"
#include "report/run_page.h"
#include "trainer_folder.h"

#include <stdlib.h>

/* Seconds between two pages of a training with short epochs. */
static const double INTERVAL = 5;

static p2p_status make_page(const trainer *t, char **text, size_t *size) {
    run_shown run = {.name = t->all->out, .link = "", .config = t->config, .past = t->past};
    *text = NULL;
    p2p_status status = run_shown_find_samples(&run, t->paths.samples);
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

void trainer_report_epoch(trainer *t) {
    if (t->last_report == 0 || sys_clock() - t->last_report >= INTERVAL) trainer_report_end(t);
}
