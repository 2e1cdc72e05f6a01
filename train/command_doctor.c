/* `p2p doctor`: whether this machine and its devices are fit for training. */
#include "command.h"
#include "doctor/doctor.h"
#include "setup/setup_devices.h"

/* Of three minutes on a card the rest is for the last algorithm, a training, and the rates. */
static const double algorithms_seconds = 120;

p2p_status command_doctor(settings *all) {
    doctor_request request = {.devices = all->device,
                              .backend = all->backend,
                              .report = all->report,
                              .seconds = algorithms_seconds};
    p2p_precision only = P2P_PRECISION_fp32;
    P2P_TRY(settings_no_arguments(all, "doctor"));
    P2P_TRY(setup_backend_check(all));
    if (all->device && settings_given(all, "backend"))
        return p2p_fail(P2P_USAGE, "--backend contradicts --device, which names the devices to examine");
    request.required = p2p_precision_parse(all->precision, &only); /* false: auto */
    for (int p = 0; p < P2P_PRECISION_COUNT; p++) request.precision[p] = !request.required || p == (int)only;
    return doctor_run(&request);
}
