/* The metadata of a checkpoint: the JSON text "training" of a safetensors file. The file around it, and its
 * tensors, are the target fuzz_safetensors's. */
#include "fuzz.h"

#include "options/options.h"
#include "run/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Writes a file without tensors and without a checksum, as another program may. NULL if the bytes can't be a
 * JSON string. */
static const char *write_file(const uint8_t *bytes, size_t size) {
    json_t *header = json_pack("{s:{s:s, s:s%}}", "__metadata__", "format", "p2p-checkpoint-1", "training",
                               (const char *)bytes, size);
    char *text = header ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    if (!text) return NULL;
    const size_t length = strlen(text);
    uint8_t *file = malloc(8 + length);
    if (!file) abort();
    for (int i = 0; i < 8; i++) file[i] = (uint8_t)((uint64_t)length >> 8 * i);
    memcpy(file + 8, text, length);
    const char *path = fuzz_file("step-000000001.safetensors", file, 8 + length);
    free(file);
    free(text);
    return path;
}

static void check(const checkpoint_info *info) {
    const training_position *at = &info->position;
    fuzz_require(at->step >= 0 && at->epoch >= 0 && at->batch >= 0 && at->images >= 0,
                 "a position counts up");
    fuzz_require(at->best_epoch >= 0 && at->best_epoch <= at->epoch, "the best epoch is one of the past");
    fuzz_require(info->run[0] == '\0' || model_file_is_run(info->run), "an identity is one, or absent");
    fuzz_require(info->origin.training.pairs > 0, "a training has pairs");
}

/* What --resume does with it. */
static void resume(const checkpoint_info *info, const char *path) {
    static const char *arguments[] = {"train", NULL};
    settings all;
    char run[MODEL_FILE_RUN_BYTES];
    fuzz_require(settings_parse(&all, COMMAND_TRAIN, 1, arguments) == P2P_OK, "no option is needed");
    const p2p_status status = settings_resume(&all, info->settings, path);
    fuzz_require(status == P2P_OK || status == P2P_INPUT, "settings are read or refused");
    if (status == P2P_OK)
        fuzz_require(origin_identify(&info->origin, &all, info->choices ? info->choices : "", run) ==
                             P2P_OK &&
                         model_file_is_run(run),
                     "every origin has an identity");
    settings_free(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    const char *path = write_file(bytes, size);
    checkpoint_info info;
    if (!path) return 0;
    const p2p_status status = checkpoint_read_info(path, &info);
    fuzz_require(status == P2P_OK || status == P2P_INPUT, "metadata are read or refused");
    if (status == P2P_OK) {
        check(&info);
        resume(&info, path);
    }
    checkpoint_info_free(&info);
    return 0;
}
