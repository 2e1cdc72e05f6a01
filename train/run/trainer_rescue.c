/* The early end of a training. See trainer_rescue.h. The message has the cause; the hint has a remedy, what
 * is kept, and the command that resumes the training. */
#include "trainer_rescue.h"

#include "host/sys.h"
#include "trainer_save.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { COMMAND_BYTES = 600, KEPT_BYTES = 200 };

static p2p_status stopped(const trainer *t) {
    char command[COMMAND_BYTES];
    settings_resume_command(t->all, command, sizeof command);
    p2p_fail(P2P_STOPPED, "stopped by %s after step %" PRId64 " of %" PRId64 "; a checkpoint is saved",
             sys_stop_name(), t->at.step, t->total_steps);
    return p2p_hint(P2P_STOPPED, "continue with: %s", command);
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

/* "the training up to step 12 is kept" */
static void describe_kept(const trainer *t, bool saved, char *text, size_t size) {
    char *newest = NULL;
    if (saved)
        snprintf(text, size, "the training up to step %" PRId64 " is kept", t->at.step);
    else if (checkpoint_find(t->paths.checkpoints, 0, &newest) == P2P_OK && newest)
        snprintf(text, size, "the last checkpoint is %s", newest);
    else
        snprintf(text, size, "there is no checkpoint yet");
    free(newest);
}

/* Returns the failure without a command that resumes, because resuming would diverge again. */
static p2p_status diverged(const trainer *t, const p2p_failure *failure) {
    char kept[KEPT_BYTES];
    describe_kept(t, false, kept, sizeof kept);
    p2p_fail(failure->status, "%s", failure->message);
    return p2p_hint(failure->status,
                    "train into another --out with a smaller --lr, a larger --batch or another --seed; %s",
                    kept);
}

p2p_status trainer_rescue(trainer *t, const p2p_failure *failure, bool exact) {
    char kept[KEPT_BYTES], command[COMMAND_BYTES];
    const p2p_status status = failure->status;
    if (status == P2P_DIVERGED) return diverged(t, failure);
    const p2p_status saved = exact ? trainer_save(t) : P2P_FAILED;
    if (status == P2P_STOPPED) return saved == P2P_OK ? stopped(t) : saved;
    describe_kept(t, saved == P2P_OK, kept, sizeof kept);
    settings_resume_command(t->all, command, sizeof command);
    p2p_fail(status, "%s", failure->message);
    return p2p_hint(status, "%s; %s; then continue with: %s",
                    failure->hint[0] ? failure->hint : remedy(status), kept, command);
}
