/* See pairs_split.h. Files are renamed one by one, so an interrupted run leaves each in one place, and the
 * next one moves the rest. */
#include "pairs_split.h"

#include "data/dataset.h"
#include "host/sys.h"
#include "host/text.h"
#include "image/picture_list.h"
#include "p2p_checksum.h"
#include "use/result_files.h"
#include "use/run_files.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRAIN, VAL, TEST, SPLITS };
static const char *const split_names[SPLITS] = {"train", "val", "test"};

typedef struct {
    const char *dir;
    double shares[SPLITS]; /* 0 to 1; the sum is 1 */
    sys_names names;       /* of pictures below `dir` that are to move */
    unread_pictures unread;
    size_t moved[SPLITS];
} splitting;

p2p_status pairs_split_exists(const char *dir, const char *name, bool *exists) {
    char *path, *inside;
    P2P_TRY(sys_path_join(&path, dir, name));
    p2p_status status = sys_path_exists(path, exists);
    free(path);
    for (int i = 0; i < SPLITS && status == P2P_OK && !*exists; i++) {
        P2P_TRY(sys_path_join(&inside, split_names[i], name));
        status = sys_path_join(&path, dir, inside);
        free(inside);
        P2P_TRY(status);
        status = sys_path_exists(path, exists);
        free(path);
    }
    return status;
}

/* ---- Which split -------------------------------------------------------------------------------------- */

/* "10%" or "10". */
static p2p_status parse_share(const char *option, const char *text, double *share) {
    char *end;
    const double percent = strtod(text, &end);
    const bool number = end != text && (*end == '\0' || strcmp(end, "%") == 0);
    if (!number || !(percent >= 0 && percent <= 100)) {
        p2p_fail(P2P_USAGE, "--%s: '%s' is no share of 0%% to 100%%", option, text);
        return p2p_hint(P2P_USAGE, "for example --%s 10%%", option);
    }
    *share = percent / 100;
    return P2P_OK;
}

static p2p_status parse_shares(const settings *all, splitting *work) {
    P2P_TRY(parse_share("val", all->val, &work->shares[VAL]));
    P2P_TRY(parse_share("test", all->test, &work->shares[TEST]));
    work->shares[TRAIN] = 1 - (work->shares[VAL] + work->shares[TEST]);
    if (work->shares[TRAIN] >= 0) return P2P_OK;
    return p2p_fail(P2P_USAGE, "--val %s and --test %s are more than 100%% together", all->val, all->test);
}

/* The folder of the layout in which the name begins: "A/", "B/" or "". */
static size_t side_length(const char *name) {
    return strncmp(name, "A/", 2) == 0 || strncmp(name, "B/", 2) == 0 ? 2 : 0;
}

/* A number of [0, 1) for the name without its suffix, equal for A and B of a pair. */
static double place_of(const char *name) {
    const char *stem = name + side_length(name), *slash = strrchr(stem, '/'), *dot = strrchr(stem, '.');
    const size_t length = dot && (!slash || dot > slash) ? (size_t)(dot - stem) : strlen(stem);
    const p2p_checksum hash = p2p_checksum_of(stem, length);
    double place = 0;
    for (int i = 5; i >= 0; i--) place = (place + hash.bytes[i]) / 256;
    return place;
}

static int split_of(const splitting *work, const char *name) {
    const double place = place_of(name);
    if (place < work->shares[VAL]) return VAL;
    return place < work->shares[VAL] + work->shares[TEST] ? TEST : TRAIN;
}

/* ---- Folders of splits -------------------------------------------------------------------------------- */

/* Whether a folder is one of a split, in any layout that is read: train, trainA, train_B. */
static bool is_split_folder(const char *name, size_t length) {
    for (int i = 0; i < SPLITS; i++) {
        const size_t own = strlen(split_names[i]);
        if (length < own || strncmp(name, split_names[i], own) != 0) continue;
        const char *rest = name + own;
        const size_t left = length - own;
        const bool side = left > 0 && (name[length - 1] == 'A' || name[length - 1] == 'B');
        if (left == 0 || (side && (left == 1 || (left == 2 && *rest == '_')))) return true;
    }
    return false;
}

/* Whether a file lies in a split of DIR. */
static bool is_split(const char *relative) {
    const char *name = relative + side_length(relative), *slash = strchr(name, '/');
    return slash && is_split_folder(name, (size_t)(slash - name));
}

/* ---- What must not be moved --------------------------------------------------------------------------- */

/* A file that `p2p train` or `p2p test` has written beside its pictures. */
static bool is_unsplit_record(const char *relative) {
    const char *slash = strrchr(relative, '/'), *name = slash ? slash + 1 : relative;
    const bool record = strcmp(name, RUN_METRICS) == 0 || strcmp(name, TEST_METRICS) == 0;
    return record && !is_split(relative);
}

/* P2P_USAGE if DIR, outside of its splits, has a folder of results, whose pictures would be moved. */
static p2p_status check_results(const char *dir) {
    sys_names records = {0};
    p2p_status status = sys_folder_walk(&records, dir, is_unsplit_record);
    if (status == P2P_OK && records.count > 0) {
        p2p_fail(P2P_USAGE, "%s/%s shows that its folder holds results, whose pictures would be moved", dir,
                 records.names[0]);
        status = p2p_hint(P2P_USAGE, "move the results out of %s first", dir);
    }
    sys_names_free(&records);
    return status;
}

/* The end of the first folder of a split below a folder of DIR; NULL if there is none. */
static const char *nested_split(const char *relative) {
    const char *at = strchr(relative + side_length(relative), '/');
    for (const char *slash; at && (slash = strchr(at + 1, '/')); at = slash)
        if (is_split_folder(at + 1, (size_t)(slash - at - 1))) return slash;
    return NULL;
}

/* P2P_USAGE if pictures lie in a split of another data set, which they would leave. */
static p2p_status check_nested(const splitting *work) {
    for (size_t i = 0; i < work->names.count; i++) {
        const char *name = work->names.names[i], *end = nested_split(name);
        if (!end) continue;
        p2p_fail(P2P_USAGE, "%s/%.*s is the split of another data set: its pictures would leave it",
                 work->dir, (int)(end - name), name);
        return p2p_hint(P2P_USAGE, "move that data set out of %s first, or rename the folder if it is none",
                        work->dir);
    }
    return P2P_OK;
}

/* ---- Moving ------------------------------------------------------------------------------------------- */

/* The paths of a picture now and later. The caller frees both. */
static p2p_status paths_of(const splitting *work, const char *name, char **from, char **to) {
    char *inside;
    *from = *to = NULL;
    P2P_TRY(sys_path_join(&inside, split_names[split_of(work, name)], name));
    p2p_status status = sys_path_join(to, work->dir, inside);
    free(inside);
    return status == P2P_OK ? sys_path_join(from, work->dir, name) : status;
}

static p2p_status check_free(const splitting *work, const char *name, const char *from, const char *to) {
    bool exists;
    p2p_status status = sys_path_no_links(work->dir, name);
    if (status != P2P_OK)
        return p2p_hint(status, "only files that lie in %s itself are moved: copy it there", work->dir);
    P2P_TRY(result_folder_check(work->dir, to));
    P2P_TRY(sys_path_exists(to, &exists));
    if (!exists) return P2P_OK;
    p2p_fail(P2P_USAGE, "%s can't move to %s, which exists already", from, to);
    return p2p_hint(P2P_USAGE, "rename or remove one of them: nothing is overwritten");
}

static p2p_status move(const splitting *work, const char *name, const char *from, const char *to) {
    P2P_TRY(check_free(work, name, from, to));
    P2P_TRY(result_folder_make(work->dir, to));
    return sys_file_rename(from, to);
}

typedef p2p_status picture_action(const splitting *work, const char *name, const char *from, const char *to);

static p2p_status for_each(const splitting *work, picture_action *act) {
    for (size_t i = 0; i < work->names.count; i++) {
        const char *name = work->names.names[i];
        char *from, *to;
        p2p_status status = paths_of(work, name, &from, &to);
        if (status == P2P_OK) status = act(work, name, from, to);
        free(from);
        free(to);
        P2P_TRY(status);
    }
    return P2P_OK;
}

/* The split to which most pictures have moved. */
static int fullest(const splitting *work) {
    int most = TRAIN;
    for (int i = VAL; i < SPLITS; i++)
        if (work->moved[i] > work->moved[most]) most = i;
    return most;
}

/* Print what to do if a split that has a share is empty. A larger share has no effect on pictures that have
 * moved. */
static p2p_status report_empty(const splitting *work, int split) {
    bool present;
    const char *name = split_names[split], *from = split_names[fullest(work)];
    const double share = work->shares[split];
    const size_t count = work->names.count;
    if (share == 0 || count == 0 || work->moved[split] > 0) return P2P_OK;
    P2P_TRY(dataset_has_split(work->dir, name, &present));
    if (present) return P2P_OK;
    const bool sides = side_length(work->names.names[0]) > 0;
    text_line(stderr,
              "%s is empty: %g%% of %zu picture%s is %.3g on average; move some from %s/%s to %s/%s by "
              "hand%s",
              name, 100 * share, count, count == 1 ? "" : "s", share * (double)count, work->dir, from,
              work->dir, name, sides ? ", in A and B alike" : "");
    return P2P_OK;
}

static p2p_status report(splitting *work) {
    for (size_t i = 0; i < work->names.count; i++) work->moved[split_of(work, work->names.names[i])]++;
    text_line(stderr, "moved %zu picture%s of %s: %zu to train, %zu to val, %zu to test", work->names.count,
              work->names.count == 1 ? "" : "s", work->dir, work->moved[TRAIN], work->moved[VAL],
              work->moved[TEST]);
    unread_pictures_print(&work->unread, work->dir);
    for (int i = TRAIN; i < SPLITS; i++) P2P_TRY(report_empty(work, i));
    return P2P_OK;
}

static p2p_status check_some(const splitting *work) {
    bool has_train;
    if (work->names.count > 0) return P2P_OK;
    P2P_TRY(dataset_has_split(work->dir, split_names[TRAIN], &has_train));
    if (has_train) return P2P_OK;
    return picture_list_empty(&work->unread, work->dir);
}

p2p_status pairs_split(const settings *all, const char *dir) {
    splitting work = {.dir = dir};
    P2P_TRY(parse_shares(all, &work));
    P2P_TRY(picture_list(&work.names, &work.unread, dir, is_split));
    p2p_status status = check_some(&work);
    if (status == P2P_OK) status = check_results(dir);
    if (status == P2P_OK) status = check_nested(&work);
    if (status == P2P_OK) status = for_each(&work, check_free);
    if (status == P2P_OK) status = for_each(&work, move);
    if (status == P2P_OK) status = report(&work);
    unread_pictures_free(&work.unread);
    sys_names_free(&work.names);
    return status;
}
