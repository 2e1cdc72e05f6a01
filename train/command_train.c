/* `p2p train`. The implementation is run/trainer.c. */
#include "command.h"
#include "host/sys.h"
#include "run/trainer.h"

p2p_status command_train(settings *all) {
    P2P_TRY(settings_no_arguments(all, "train"));
    ranks *together;
    sys_output_start(); /* a training ends even if nothing reads the name of its model */
    P2P_TRY(ranks_open(&together));
    const p2p_status status = trainer_run(all, together);
    if (together && status != P2P_OK && status != P2P_STOPPED) ranks_fail(together, status);
    const bool reports = ranks_number(together) == 0; /* a launcher ends all if one ends by a signal */
    p2p_failure failure;
    p2p_failure_take(&failure, status);
    P2P_TRY(ranks_close(together));
    return status == P2P_OK || !reports ? P2P_OK : p2p_failure_give(&failure);
}
