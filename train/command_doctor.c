/* `p2p doctor`: whether this machine and its devices are fit for training. */
#include "command.h"
#include "doctor/doctor.h"

/* Three minutes on a card: the operations themselves take about one. */
static const double algorithms_seconds = 90;

p2p_status command_doctor(settings *all) {
    doctor_request request = {
        .devices = all->device, .report = all->report, .scope = {.algorithms_seconds = algorithms_seconds}};
    P2P_TRY(settings_no_arguments(all, "doctor"));
    request.scope.required = settings_given(all, "precision");
    p2p_precision only = P2P_PRECISION_fp32;
    if (request.scope.required)
        (void)p2p_precision_parse(all->precision, &only); /* one of the option's choices */
    for (int p = 0; p < P2P_PRECISION_COUNT; p++)
        request.scope.precision[p] = !request.scope.required || p == (int)only;
    return doctor_run(&request);
}
