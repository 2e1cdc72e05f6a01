/* report.html: the course of a training, or of several beside each other. */
#ifndef P2P_RUN_PAGE_H
#define P2P_RUN_PAGE_H

#include "history.h"
#include "page.h"

#include <stdbool.h>
#include <stdint.h>

#define RUN_PAGE "run_page" /* its name in page.h */

/* A training as the page shows it. The caller owns what it points to. */
typedef struct {
    const char *name; /* its folder, as it was given */
    const char *link; /* the path from the page's folder to that of the training; "": it lies there */
    json_t *config;   /* the object of config.json; NULL: not known */
    history *past;
    int64_t *epochs, *steps; /* numbers of the pictures in samples/, in increasing order */
    size_t epoch_count, step_count;
    size_t others;  /* pictures there that belong to another training */
    char other[64]; /* the name of the first of these */
} run_shown;

/* The numbers of the pictures in RUN/samples, and how many belong to another training than `identity` and are
 * left out; NULL: all are taken. The caller frees run->epochs and run->steps, also after a failure. */
p2p_status run_shown_find_samples(run_shown *run, const char *samples, const char *identity);

/* Fill *run from the files of the training in `folder`, and *identity with that of its files ("": an older
 * training). P2P_INPUT if there is no training, or if log and config.json are of two. Call run_shown_free()
 * in any case: it frees everything but `name` and `link`. */
p2p_status run_shown_read(run_shown *run, const char *folder, const history_watch *watch, /* NULL: none */
                          char identity[HISTORY_RUN_BYTES]);
void run_shown_free(run_shown *run);

/* Make the page in memory, which the caller frees, or write it. `identity` as in page_make. */
p2p_status run_page_make(const run_shown *runs, int count, const char *identity, char **text, size_t *size);
p2p_status run_page_write(const char *path, const run_shown *runs, int count, const char *identity);

/* Whether a page with the identity `found` (page_run) is that of the training `identity`, or was damaged. A
 * page without an identity, of several trainings, is not. */
bool run_page_is_of(const char *found, const char *identity);

/* P2P_INPUT, with a hint, if there is a file at `path` that is not the page of the training `identity`. */
p2p_status run_page_check(const char *path, const char *identity);

#endif
