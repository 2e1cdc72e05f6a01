/* Modules of kernels and their launches. */
#include "driver.h"

int driver_live_modules(int device) {
    (void)device;
    return 0;
}

void driver_release_modules(int device) {
    (void)device;
}

bool driver_kernel_uses(const driver_command *command, const driver_allocation *allocation) {
    (void)command, (void)allocation;
    return false;
}
