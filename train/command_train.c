/* `p2p train`. The implementation is run/trainer.c. */
#include "command.h"
#include "host/sys.h"
#include "run/trainer.h"

bool command_train_is_shared(const settings *all) {
    (void)all;
    return true;
}

p2p_status command_train(settings *all) {
    P2P_TRY(settings_no_arguments(all, "train"));
    ranks *r;
    sys_output_start(); /* a training ends even if nothing reads the name of its model */
    P2P_TRY(ranks_open(&(ranks_work){"train", settings_layout()}, &r));
    return ranks_end(r, trainer_run(all, r));
}
