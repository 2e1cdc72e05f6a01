/* keep_choices ALGORITHM: stores ALGORITHM for the OpenCL device 0 as the measured choice of every
 * convolution on standard input, the output of `p2p plan`. For the test of how trainings use stored choices.
 */
#include "conv/ocl_conv.h"
#include "device/device.h"
#include "tune/ocl_kept.h"

#include <stdio.h>
#include <string.h>

/* Stores the choice for a line like "  12 conv_fwd x=... "; all other lines are skipped. */
static void keep(p2p_be_device *device, const char *line, const ocl_choice *choice, int *kept) {
    p2p_op op;
    const char *text = line + strspn(line, " 0123456789");
    ocl_plan plan;
    if (strncmp(text, "conv_", 5) != 0 || p2p_op_parse(text, &op) != P2P_OK) return;
    if (ocl_conv_plan_algorithm(&device->target, &choice->algorithm, &op, &plan) != P2P_OK) return;
    ocl_kept_put(device, &op, choice);
    ++*kept;
}

int main(int argc, char **argv) {
    ocl_choice choice = {.seconds = 0.5, .default_seconds = 1};
    char line[P2P_OP_TEXT + 64];
    int kept = 0;
    p2p_be_device *device;
    const p2p_module *module = p2p_module_opencl(P2P_BACKEND_ABI, p2p_host_services());
    if (argc != 2 || !ocl_conv_algorithm_parse(argv[1], &choice.algorithm)) return 2;
    if (module->device_open(0, &device) != P2P_OK) return 1;
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        keep(device, line, &choice, &kept);
    }
    module->device.close(device);
    printf("%d kept\n", kept);
    return kept == 0;
}
