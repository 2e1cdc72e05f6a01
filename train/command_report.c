/* `p2p report`: writes report.html of a training again, or a page that compares several. The page is
 * report/run_page.c. */
#include "command.h"
#include "host/sys.h"
#include "host/text.h"
#include "report/run_page.h"
#include "run/progress.h"
#include "use/run_files.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *const *folders;
    int count;
    char *path; /* of the page */
    run_shown *runs;
    char **links;
    char identity[HISTORY_RUN_BYTES]; /* of the last training that was read */
} report_job;

static p2p_status choose_path(report_job *job, const char *out) {
    if (job->count == 0) {
        p2p_fail(P2P_USAGE, "no training is named");
        return p2p_hint(P2P_USAGE, "p2p report RUN, where RUN is the folder that was --out of p2p train");
    }
    if (out) return sys_path_join(&job->path, "", out);
    if (job->count == 1) return sys_path_join(&job->path, job->folders[0], RUN_REPORT);
    p2p_fail(P2P_USAGE, "a page that compares trainings needs a name");
    return p2p_hint(P2P_USAGE, "-o compared.html");
}

/* The folder of the page, an absolute path without links; "" is the root. The caller frees it. */
static p2p_status page_folder(const char *path, char **folder) {
    P2P_TRY(sys_path_real(folder, path));
    char *slash = strrchr(*folder, '/');
    if (slash) *slash = '\0';
    return P2P_OK;
}

/* The length of the folders that both absolute paths begin with. */
static size_t common_folders(const char *a, const char *b) {
    size_t common = 0;
    for (size_t i = 0;; i++) {
        if ((!a[i] || a[i] == '/') && (!b[i] || b[i] == '/')) common = i;
        if (a[i] != b[i] || !a[i]) return common;
    }
}

/* The relative path from a folder to another; "" if they are one. The caller frees it. */
static p2p_status make_link(const char *from, const char *to, char **link) {
    static const char parent[] = "../";
    const size_t common = common_folders(from, to);
    const char *below = to + common + (to[common] == '/');
    size_t parents = 0;
    for (const char *at = from + common; *at; at++) parents += *at == '/';
    const size_t before = parents * (sizeof parent - 1);
    *link = calloc(before + strlen(below) + 1, 1);
    if (!*link) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a link");
    for (size_t i = 0; i < before; i++) (*link)[i] = parent[i % (sizeof parent - 1)];
    memcpy(*link + before, below, strlen(below));
    return P2P_OK;
}

/* The path from the page's folder to that of training `index`. */
static p2p_status link_run(report_job *job, int index) {
    char *from = NULL, *to = NULL;
    p2p_status status = page_folder(job->path, &from);
    if (status == P2P_OK) status = sys_path_real(&to, job->folders[index]);
    if (status == P2P_OK) status = make_link(from, to, &job->links[index]);
    if (status == P2P_OK) job->runs[index].link = job->links[index];
    free(from);
    free(to);
    return status;
}

/* Logs from this size on take seconds to read. */
static const uint64_t LARGE_LOG = 32 << 20;

/* Show how much of a large log is read. */
static void show_reading(void *context, uint64_t done, uint64_t size) {
    progress **shown = context;
    if (size < LARGE_LOG) return;
    if (!*shown) *shown = progress_create(stderr, (int64_t)size, 0, 0);
    progress_bytes(*shown, (int64_t)done);
}

static p2p_status read_run(report_job *job, int index) {
    progress *shown = NULL;
    const history_watch watch = {show_reading, &shown};
    const p2p_status status = run_shown_read(&job->runs[index], job->folders[index], &watch, job->identity);
    progress_destroy(shown);
    return status;
}

static p2p_status read_runs(report_job *job) {
    job->runs = calloc((size_t)job->count, sizeof *job->runs);
    job->links = calloc((size_t)job->count, sizeof *job->links);
    if (!job->runs || !job->links)
        return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %d trainings", job->count);
    for (int i = 0; i < job->count; i++) {
        P2P_TRY(read_run(job, i));
        P2P_TRY(link_run(job, i));
    }
    return P2P_OK;
}

/* A page of one training has its identity. One of several has none, and replaces none that has. */
static p2p_status write_page(const report_job *job) {
    const char *identity = job->count == 1 ? job->identity : "";
    P2P_TRY(run_page_check(job->path, identity));
    return run_page_write(job->path, job->runs, job->count, identity[0] ? identity : NULL);
}

static void free_job(report_job *job) {
    for (int i = 0; i < job->count && job->runs; i++) run_shown_free(&job->runs[i]);
    for (int i = 0; i < job->count && job->links; i++) free(job->links[i]);
    free(job->runs);
    free(job->links);
    free(job->path);
}

p2p_status command_report(settings *all) {
    report_job job = {.folders = all->arguments};
    while (all->arguments && all->arguments[job.count]) job.count++;
    p2p_status status = choose_path(&job, all->out);
    if (status == P2P_OK) status = read_runs(&job);
    if (status == P2P_OK) status = write_page(&job);
    if (status == P2P_OK) text_line(stdout, "%s", job.path);
    free_job(&job);
    return status;
}
