/* Owner of a device's verdicts and choices. See ocl_tuning.h. */
#include "ocl_tuning.h"

#include "device/ocl_buffer.h"
#include "device/ocl_op.h"
#include "device/ocl_queue.h"

#include <stdlib.h>

p2p_status ocl_tuning_open(p2p_be_device *device) {
    device->tuning = calloc(1, sizeof *device->tuning);
    if (!device->tuning) return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory for a device's choices");
    device->target.verdicts = &device->tuning->verdicts;
    device->target.choices = &device->tuning->choices;
    return P2P_OK;
}

void ocl_tuning_close(p2p_be_device *device) {
    ocl_tuning *tuning = device->tuning;
    if (!tuning) return;
    while (tuning->algorithm_verdicts) {
        ocl_algorithm_verdict *next = tuning->algorithm_verdicts->next;
        free(tuning->algorithm_verdicts);
        tuning->algorithm_verdicts = next;
    }
    ocl_choices_release(&tuning->choices);
    free(tuning->kept);
    free(tuning);
    device->tuning = NULL;
}

p2p_tune_device ocl_tune_device(p2p_be_device *device) {
    static const p2p_device_table table = {.buffer_create = ocl_buffer_create,
                                           .buffer_destroy = ocl_buffer_destroy,
                                           .buffer_write = ocl_buffer_write,
                                           .buffer_read = ocl_buffer_read,
                                           .buffer_copy = ocl_buffer_copy,
                                           .op_run = ocl_op_run,
                                           .op_destroy = ocl_op_destroy,
                                           .submit = ocl_queue_submit,
                                           .wait = ocl_queue_wait};
    return (p2p_tune_device){ocl_host, &table, device, &device->info};
}
