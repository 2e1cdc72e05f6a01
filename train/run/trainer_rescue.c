/* The early end of a training. See trainer_rescue.h. The message has the cause; the hint has a remedy, what
 * is kept, and the command that resumes the training. */
#include "trainer_rescue.h"

#include "host/sys.h"
#include "ranks/ranks_launch.h"
#include "trainer_folder.h"
#include "trainer_report.h"
#include "trainer_save.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Completes the hint of a failure with the command that resumes, and `more` options. Without memory for it,
 * the hint stays. */
static p2p_status hint_command(const trainer *t, p2p_status status, const char *hint, const char *more) {
    if (t->ranks)
        return p2p_hint(status, "%scontinue, under %s with %d ranks as before, with: %s%s", hint,
                        launch_command(), ranks_size(t->ranks), t->command, more);
    char *command = settings_resume_command(t->all);
    if (command) p2p_hint(status, "%scontinue with: %s%s", hint, command, more);
    free(command);
    return status;
}

/* --resume refuses pairs of other contents, and other numbers of pairs. So the pair stays in its folder. */
static const char without_pair[] = "leave the file in its place; after replacing it, add --allow-other-data; "
                                   "to continue without the pair, ";

static p2p_status hint_without_pair(const trainer *t, p2p_status status) {
    const bool given = settings_given(t->all, "on-bad-image");
    if (given) P2P_TRY(settings_set(t->all, "on-bad-image", "skip"));
    return hint_command(t, status, p2p_message_hint(), given ? "" : " --on-bad-image skip");
}

static p2p_status stopped(const trainer *t) {
    p2p_fail(P2P_STOPPED, "stopped by %s after step %" PRId64 " of %" PRId64 "; a checkpoint is saved",
             sys_stop_name(), t->at.step, t->total_steps);
    return hint_command(t, P2P_STOPPED, "", "");
}

/* A remedy for failures without a hint of their own. */
static const char *remedy(p2p_status failure) {
    switch (failure) {
    case P2P_IO:
        return "free space or make the folder writable";
    case P2P_INPUT:
        return "restore or repair the file";
    case P2P_DEVICE_LOST:
        return "check with p2p devices whether the device still works";
    case P2P_OUT_OF_MEMORY:
        return "free memory";
    default:
        return "remove the cause";
    }
}

enum { KEPT_BYTES = P2P_PATH_BYTES + 100 };

/* "the training up to step 12 is kept" */
static void describe_kept(const trainer *t, bool saved, char text[KEPT_BYTES]) {
    char *newest = NULL;
    if (saved)
        snprintf(text, KEPT_BYTES, "the training up to step %" PRId64 " is kept", t->at.step);
    else if (!trainer_writes(t)) /* the folder may not be seen from here */
        snprintf(text, KEPT_BYTES, "rank 0 has the last checkpoint");
    else if (checkpoint_find(t->paths.checkpoints, 0, &newest) == P2P_OK && newest)
        snprintf(text, KEPT_BYTES, "the last checkpoint is %s", newest);
    else
        snprintf(text, KEPT_BYTES, "there is no checkpoint yet");
    free(newest);
}

/* Returns the failure without a command that resumes, because resuming would diverge again. */
static p2p_status diverged(const trainer *t, const p2p_failure *failure) {
    char kept[KEPT_BYTES];
    describe_kept(t, false, kept);
    p2p_fail(failure->status, "%s", failure->message);
    return p2p_hint(failure->status,
                    "train into another --out with a smaller --lr, a larger --batch or another --seed; %s",
                    kept);
}

static p2p_status write(trainer *t) {
    P2P_TRY(trainer_follow_or_make_folder(t));
    return trainer_save(t);
}

/* Rank 0 writes. The result is shared with all ranks. */
static p2p_status save(trainer *t) {
    return ranks_agree(t->ranks, trainer_writes(t) ? write(t) : P2P_OK);
}

p2p_status trainer_rescue(trainer *t, const p2p_failure *failure, bool exact, bool bad_pair) {
    char kept[KEPT_BYTES];
    const p2p_status status = failure->status;
    if (status == P2P_DIVERGED) return diverged(t, failure);
    const p2p_status saved = exact ? save(t) : P2P_FAILED;
    if (saved == P2P_OK) trainer_report_end(t);
    if (status == P2P_STOPPED) return saved == P2P_OK ? stopped(t) : saved;
    const bool without = bad_pair && strcmp(t->all->on_bad_image, "skip") != 0;
    describe_kept(t, saved == P2P_OK, kept);
    p2p_fail(status, "%s", failure->message);
    p2p_hint(status, "%s; %s; %s", failure->hint[0] ? failure->hint : remedy(status), kept,
             without ? without_pair : "then ");
    return without ? hint_without_pair(t, status) : hint_command(t, status, p2p_message_hint(), "");
}
