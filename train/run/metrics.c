/* OUT/metrics.jsonl. See metrics.h. */
#include "metrics.h"

#include "host/sys.h"
#include "json_text.h"
#include "p2p_file.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct metrics_log {
    FILE *stream;
    char *path;
};

static double discriminator_loss(const loss_values *losses) {
    return 0.5 * (losses->d_real + losses->d_fake);
}

bool loss_is_finite(const loss_values *losses) {
    return isfinite(losses->d_real) && isfinite(losses->d_fake) && isfinite(losses->g_gan) &&
           isfinite(losses->g_l1);
}

/* The part of a log to keep: the number of steps and of ended epochs. */
typedef struct {
    int64_t steps, epochs;
} kept_part;

/* Whether a line is a complete record within the part. A line that was truncated by a kill is not. */
static p2p_status line_is_kept(const char *path, const char *line, size_t length, kept_part kept,
                               bool *result) {
    json_t *record;
    P2P_TRY(json_text_parse(path, line, length, 0, &record, NULL));
    const json_t *step = json_object_get(record, "step"), *epoch = json_object_get(record, "epoch");
    bool stays = json_is_integer(step) && json_is_integer(epoch) && json_integer_value(step) <= kept.steps;
    if (stays && json_object_get(record, "event")) stays = json_integer_value(epoch) <= kept.epochs;
    json_decref(record);
    *result = stays;
    return P2P_OK;
}

static p2p_status copy_kept_lines(const char *bytes, size_t size, FILE *to, kept_part kept,
                                  const char *path) {
    for (const char *line = bytes, *end = bytes + size; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        if (!newline) break;
        size_t length = (size_t)(newline - line);
        bool stays;
        P2P_TRY(line_is_kept(path, line, length, kept, &stays));
        if (stays && fwrite(line, 1, length + 1, to) != length + 1)
            return p2p_fail(P2P_IO, "%s: %s", path, strerror(errno));
        line = newline + 1;
    }
    return P2P_OK;
}

static p2p_status trim(const char *path, kept_part kept) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (sys_path_kind_of(path) == SYS_PATH_ABSENT) return P2P_OK;
    P2P_TRY(sys_file_read(path, SIZE_MAX, &bytes, &size, NULL));
    p2p_atomic_file file = {0};
    p2p_status status = p2p_atomic_open(&file, path);
    if (status == P2P_OK) status = copy_kept_lines((const char *)bytes, size, file.stream, kept, path);
    free(bytes);
    if (status == P2P_OK) return p2p_atomic_commit(&file);
    p2p_atomic_abandon(&file);
    return status;
}

p2p_status metrics_open(metrics_log **log, const char *path, int64_t keep_steps, int64_t keep_epochs) {
    *log = NULL;
    P2P_TRY(trim(path, (kept_part){.steps = keep_steps, .epochs = keep_epochs}));
    metrics_log *opened = calloc(1, sizeof *opened);
    char *name = strdup(path);
    FILE *stream = fopen(path, "ab");
    if (opened && name && stream) {
        *opened = (metrics_log){.stream = stream, .path = name};
        *log = opened;
        return P2P_OK;
    }
    p2p_status status = stream ? p2p_fail(P2P_OUT_OF_MEMORY, "no memory to open %s", path)
                               : p2p_fail(P2P_IO, "%s: %s", path, strerror(errno));
    if (stream) fclose(stream);
    free(name);
    free(opened);
    return status;
}

/* Write a line and release the object. Each line is flushed, so that other programs read whole lines. */
static p2p_status write_line(metrics_log *log, json_t *object) {
    char *text;
    p2p_status status = json_text_make(log->path, object, JSON_COMPACT, &text);
    json_decref(object);
    P2P_TRY(status);
    bool written = fprintf(log->stream, "%s\n", text) > 0 && fflush(log->stream) == 0;
    free(text);
    return written ? P2P_OK : p2p_fail(P2P_IO, "%s: %s", log->path, strerror(errno));
}

p2p_status metrics_step(metrics_log *log, const step_record *record) {
    const loss_values *losses = &record->losses;
    return write_line(log, json_pack("{s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "step",
                                     (json_int_t)record->step, "epoch", (json_int_t)record->epoch, "d_loss",
                                     discriminator_loss(losses), "d_real", losses->d_real, "d_fake",
                                     losses->d_fake, "g_gan", losses->g_gan, "g_l1", losses->g_l1, "lr",
                                     record->learning_rate, "images_per_s", record->images_per_s, "data_wait",
                                     record->data_wait));
}

/* Returns whether memory sufficed. */
static bool add_validation(json_t *object, const epoch_record *record) {
    const quality *measured = &record->validation;
    return json_object_set_new(object, "val_l1", quality_to_json(measured->l1)) == 0 &&
           json_object_set_new(object, "val_psnr", quality_to_json(measured->psnr)) == 0 &&
           json_object_set_new(object, "val_ssim", quality_to_json(measured->ssim)) == 0 &&
           json_object_set_new(object, "val_l1_of_mean_target", quality_to_json(record->baseline_l1)) == 0;
}

p2p_status metrics_epoch(metrics_log *log, const epoch_record *record) {
    const loss_values *mean = &record->mean;
    json_t *object = json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "event", "epoch", "step",
                               (json_int_t)record->step, "epoch", (json_int_t)record->epoch, "d_loss",
                               discriminator_loss(mean), "d_real", mean->d_real, "d_fake", mean->d_fake,
                               "g_gan", mean->g_gan, "g_l1", mean->g_l1);
    if (object && record->validated && !add_validation(object, record)) {
        json_decref(object);
        object = NULL;
    }
    return write_line(log, object);
}

p2p_status metrics_close(metrics_log *log) {
    if (!log) return P2P_OK;
    p2p_status status = P2P_OK;
    if (fclose(log->stream) != 0) status = p2p_fail(P2P_IO, "%s: %s", log->path, strerror(errno));
    free(log->path);
    free(log);
    return status;
}
