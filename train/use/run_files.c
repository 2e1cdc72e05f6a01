/* See run_files.h. */
#include "run_files.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void run_epoch_name(char name[RUN_EPOCH_NAME_BYTES], int64_t epoch) {
    snprintf(name, RUN_EPOCH_NAME_BYTES, "%03" PRId64 "-" RUN_GENERATOR, epoch);
}

int64_t run_epoch_of_name(const char *name) {
    int64_t epoch;
    int length = 0;
    if (sscanf(name, "%9" SCNd64 "-" RUN_GENERATOR "%n", &epoch, &length) != 1) return 0;
    return length > 0 && name[length] == '\0' && epoch > 0 ? epoch : 0;
}

bool run_is_epoch_name(const char *name) {
    return run_epoch_of_name(name) > 0;
}

void run_epoch_sample_name(char name[RUN_EPOCH_NAME_BYTES], int64_t epoch) {
    snprintf(name, RUN_EPOCH_NAME_BYTES, "epoch-%04" PRId64 ".png", epoch);
}

void run_step_sample_name(char name[RUN_EPOCH_NAME_BYTES], int64_t step) {
    snprintf(name, RUN_EPOCH_NAME_BYTES, "step-%06" PRId64 ".png", step);
}

void run_sample_of_name(const char *name, int64_t *epoch, int64_t *step) {
    int length = 0;
    *epoch = *step = 0;
    if (sscanf(name, "epoch-%10" SCNd64 ".png%n", epoch, &length) != 1 || length == 0) {
        *epoch = 0;
        if (sscanf(name, "step-%10" SCNd64 ".png%n", step, &length) != 1) *step = 0;
    }
    if (length == 0 || name[length] != '\0') *epoch = *step = 0;
}

bool run_is_sample_name(const char *name) {
    int64_t epoch, step;
    run_sample_of_name(name, &epoch, &step);
    return epoch > 0 || step > 0;
}

bool run_is_best_name(const char *name) {
    return strcmp(name, RUN_GENERATOR) == 0 || strcmp(name, RUN_DISCRIMINATOR) == 0 ||
           strcmp(name, RUN_BEST_NUMBERS) == 0;
}

void run_checkpoint_name(char name[RUN_EPOCH_NAME_BYTES], int64_t step) {
    snprintf(name, RUN_EPOCH_NAME_BYTES, "step-%09" PRId64 ".safetensors", step);
}

int64_t run_step_of_checkpoint(const char *name) {
    int64_t step;
    int length = 0;
    if (sscanf(name, "step-%9" SCNd64 ".safetensors%n", &step, &length) != 1) return -1;
    return length > 0 && name[length] == '\0' ? step : -1;
}

bool run_is_checkpoint_name(const char *name) {
    return run_step_of_checkpoint(name) >= 0;
}
