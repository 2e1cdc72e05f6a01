/* `p2p train`. The implementation is run/trainer.c. */
#include "command.h"
#include "host/sys.h"
#include "run/trainer.h"

p2p_status command_train(settings *all) {
    P2P_TRY(settings_no_arguments(all, "train"));
    sys_output_start(); /* a training ends even if nothing reads the name of its model */
    return trainer_run(all);
}
