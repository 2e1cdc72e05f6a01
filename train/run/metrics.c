/* OUT/metrics.jsonl. See metrics.h. */
#include "metrics.h"

#include "host/sys.h"
#include "json_text.h"
#include "model_file.h"
#include "p2p.h"
#include "p2p_file.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct metrics_log {
    FILE *stream;
    char *path;
    history *past;
    bool resumes; /* the next line is the first after an interruption */
};

/* More than an identity has, so that a longer text is not equal to one. */
enum { RUN_BYTES = 64 };

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

/* What was found in a log. */
typedef struct {
    int64_t damaged;    /* lines that are not records, and a first line without the identity */
    int64_t step;       /* of the last step's line that is kept; 0: none */
    int64_t steps;      /* lines of steps that are kept, each of a later step than the one before it */
    int64_t disordered; /* lines of steps that are kept, but are not later than the one before */
    int64_t lost, known_disordered; /* steps that an earlier start did not find, and found disordered */
} found_lines;

/* The fields of a line's value that decide whether it is kept; false if it is not a record. */
static bool read_fields(const json_t *record, int64_t *step, int64_t *epoch, bool *is_epoch) {
    const json_t *steps = json_object_get(record, "step"), *epochs = json_object_get(record, "epoch");
    *step = json_integer_value(steps);
    *epoch = json_integer_value(epochs);
    *is_epoch = json_object_get(record, "event") != NULL;
    return json_is_integer(steps) && json_is_integer(epochs);
}

/* The length of the first line without its end; SIZE_MAX if there is no whole line. */
static size_t first_line(const char *bytes, size_t size) {
    const char *newline = size > 0 ? memchr(bytes, '\n', size) : NULL;
    return newline ? (size_t)(newline - bytes) : SIZE_MAX;
}

typedef struct {
    char run[RUN_BYTES]; /* the identity in the first line; "" if it has none */
    size_t bytes;        /* of that line; 0 if it has no identity */
    bool is_line;        /* there is a whole first line */
    bool is_record;      /* the first line is a record */
    bool is_older;       /* as an older version wrote it, which had no identities */
} log_head;

static p2p_status read_head(const char *bytes, size_t size, const char *path, log_head *head) {
    const size_t length = first_line(bytes, size);
    int64_t step, epoch;
    bool is_epoch;
    json_t *line;
    *head = (log_head){.is_line = length != SIZE_MAX};
    if (!head->is_line) return P2P_OK;
    P2P_TRY(json_text_parse(path, bytes, length, JSON_REJECT_DUPLICATES, &line, NULL));
    const char *event = json_string_value(json_object_get(line, "event"));
    const char *text = json_string_value(json_object_get(line, "run"));
    if (event && text && strcmp(event, "run") == 0) snprintf(head->run, RUN_BYTES, "%s", text);
    if (head->run[0]) head->bytes = length + 1;
    head->is_record = read_fields(line, &step, &epoch, &is_epoch);
    head->is_older = head->is_record && !json_object_get(line, "time");
    json_decref(line);
    return P2P_OK;
}

typedef enum { HEAD_OWN, HEAD_DAMAGED, HEAD_OF_OTHERS } head_owner;

/* A file without a whole line has no identity: its training was killed before it wrote one. A first line that
 * is damaged or absent is taken for the training's own. */
static head_owner owner_of(const log_head *head, const char *run) {
    if (strcmp(head->run, run) == 0 || !head->is_line) return HEAD_OWN;
    if (!run[0]) return HEAD_OF_OTHERS;
    if (head->run[0]) return model_file_run_is_damaged(head->run, run) ? HEAD_DAMAGED : HEAD_OF_OTHERS;
    return head->is_older ? HEAD_OF_OTHERS : HEAD_DAMAGED;
}

static p2p_status check_run(const char *bytes, size_t size, const char *run, const char *path) {
    log_head head;
    P2P_TRY(read_head(bytes, size, path, &head));
    if (owner_of(&head, run) != HEAD_OF_OTHERS) return P2P_OK;
    p2p_fail(P2P_INPUT, "%s is the log of another training", path);
    return p2p_hint(P2P_INPUT,
                    "move it to another folder; it is neither used nor overwritten, and the training "
                    "continues with a new log");
}

static p2p_status read_log(const char *path, uint8_t **bytes, size_t *size) {
    *bytes = NULL;
    *size = 0;
    bool exists;
    P2P_TRY(sys_path_exists(path, &exists));
    if (!exists) return P2P_OK;
    return sys_file_read(path, SIZE_MAX, bytes, size, NULL);
}

p2p_status metrics_check_run(const char *path, const char *run) {
    uint8_t *bytes;
    size_t size;
    P2P_TRY(read_log(path, &bytes, &size));
    p2p_status status = check_run((const char *)bytes, size, run, path);
    free(bytes);
    return status;
}

static p2p_status write_run(FILE *to, const char *run, const char *path) {
    if (!run[0] || fprintf(to, "{\"event\":\"run\",\"run\":\"%s\"}\n", run) > 0) return P2P_OK;
    return p2p_fail(P2P_IO, "%s: %s", path, strerror(errno));
}

/* More lines than steps are kept if their order is damaged. */
static int64_t missing_steps(kept_part kept, const found_lines *found) {
    return found->steps < kept.steps ? kept.steps - found->steps : 0;
}

/* A line with the numbers of missing and of disordered steps, so that the next start finds nothing new. */
static p2p_status write_lost(FILE *to, kept_part kept, const found_lines *found, const char *path) {
    const int64_t missing = missing_steps(kept, found);
    if (missing == 0 && found->disordered == 0) return P2P_OK;
    if (fprintf(to, "{\"event\":\"lost\",\"lost_steps\":%" PRId64 ",\"disordered_steps\":%" PRId64 "}\n",
                missing, found->disordered) > 0)
        return P2P_OK;
    return p2p_fail(P2P_IO, "%s: %s", path, strerror(errno));
}

/* Whether it is a line of write_lost; takes its numbers. */
static bool take_lost(const json_t *record, found_lines *found) {
    const char *event = json_string_value(json_object_get(record, "event"));
    const json_t *steps = json_object_get(record, "lost_steps");
    const json_int_t disordered = json_integer_value(json_object_get(record, "disordered_steps"));
    if (!event || strcmp(event, "lost") != 0 || !json_is_integer(steps)) return false;
    if (json_integer_value(steps) > found->lost) found->lost = json_integer_value(steps);
    if (disordered > found->known_disordered) found->known_disordered = disordered;
    return true;
}

static bool is_kept(const json_t *record, kept_part kept, found_lines *found) {
    int64_t step, epoch;
    bool is_epoch;
    if (take_lost(record, found)) return false; /* written again */
    if (!read_fields(record, &step, &epoch, &is_epoch)) {
        found->damaged++;
        return false;
    }
    if (step > kept.steps || (is_epoch && epoch > kept.epochs)) return false;
    if (is_epoch) return true;
    if (step > found->step)
        found->steps++;
    else
        found->disordered++;
    found->step = step;
    return true;
}

/* A last line without its end, which a kill leaves, does not count as damage. */
static p2p_status copy_kept_lines(const char *bytes, size_t size, FILE *to, kept_part kept, const char *path,
                                  history *past, found_lines *found) {
    for (const char *line = bytes, *end = bytes + size; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        if (!newline) break;
        size_t length = (size_t)(newline - line);
        json_t *record;
        P2P_TRY(json_text_parse(path, line, length, JSON_REJECT_DUPLICATES, &record, NULL));
        const bool stays = is_kept(record, kept, found);
        if (stays) history_add(past, record);
        json_decref(record);
        if (stays && fwrite(line, 1, length + 1, to) != length + 1)
            return p2p_fail(P2P_IO, "%s: %s", path, strerror(errno));
        line = newline + 1;
    }
    return P2P_OK;
}

static bool is_whole(kept_part kept, const found_lines *found) {
    return found->damaged == 0 && found->disordered <= found->known_disordered &&
           missing_steps(kept, found) <= found->lost;
}

/* A log with damaged or missing lines does not prevent training: nothing is computed from it. Its bytes are
 * kept in a file of their own. */
static p2p_status keep_damaged(const char *path, const uint8_t *bytes, size_t size, kept_part kept,
                               const found_lines *found) {
    if (is_whole(kept, found)) return P2P_OK;
    if (size == 0) {
        p2p_warn("%s is absent or empty: the losses of the first %" PRId64 " steps are lost", path,
                 kept.steps);
        return P2P_OK;
    }
    char *copy;
    P2P_TRY(sys_path_aside(&copy, path));
    p2p_status status = sys_file_write(copy, bytes, size);
    if (status == P2P_OK)
        p2p_warn(
            "%s: lines are damaged or missing; those that can be read remain, and the file as it was is %s",
            path, copy);
    free(copy);
    return status;
}

/* Write the lines to keep. */
static p2p_status write_kept(FILE *to, const char *bytes, size_t size, const char *run, kept_part kept,
                             const char *path, history *past) {
    found_lines found = {0};
    log_head head;
    P2P_TRY(read_head(bytes, size, path, &head));
    found.damaged = owner_of(&head, run) == HEAD_DAMAGED;
    P2P_TRY(write_run(to, run, path));
    P2P_TRY(copy_kept_lines(bytes + head.bytes, size - head.bytes, to, kept, path, past, &found));
    P2P_TRY(write_lost(to, kept, &found, path));
    return keep_damaged(path, (const uint8_t *)bytes, size, kept, &found);
}

/* Write the log again, with the lines to keep. */
static p2p_status trim(const char *path, const char *run, kept_part kept, history *past) {
    uint8_t *bytes;
    size_t size;
    P2P_TRY(read_log(path, &bytes, &size));
    p2p_atomic_file file = {0};
    const char *text = bytes ? (const char *)bytes : "";
    p2p_status status = check_run(text, size, run, path);
    if (status == P2P_OK) status = p2p_atomic_open(&file, path);
    if (status == P2P_OK) status = write_kept(file.stream, text, size, run, kept, path, past);
    free(bytes);
    if (status == P2P_OK) return p2p_atomic_commit(&file);
    p2p_atomic_abandon(&file);
    return status;
}

p2p_status metrics_open(metrics_log **log, const char *path, const char *run, int64_t keep_steps,
                        int64_t keep_epochs, history *past) {
    *log = NULL;
    P2P_TRY(trim(path, run, (kept_part){.steps = keep_steps, .epochs = keep_epochs}, past));
    FILE *stream;
    P2P_TRY(p2p_file_append(path, &stream));
    metrics_log *opened = calloc(1, sizeof *opened);
    char *name = strdup(path);
    if (opened && name) {
        *opened = (metrics_log){.stream = stream, .path = name, .past = past, .resumes = keep_steps > 0};
        *log = opened;
        return P2P_OK;
    }
    fclose(stream);
    free(name);
    free(opened);
    return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to open %s", path);
}

/* Write a line, add it to the history and release the object. Each line is flushed, so that other programs
 * read whole lines. */
static p2p_status write_line(metrics_log *log, json_t *object) {
    char *text;
    object = json_text_add(object, "resumed", log->resumes, json_true());
    log->resumes = false;
    p2p_status status = json_text_make(log->path, object, JSON_COMPACT | JSON_ENSURE_ASCII, &text);
    if (status == P2P_OK) history_add(log->past, object);
    json_decref(object);
    P2P_TRY(status);
    bool written = fprintf(log->stream, "%s\n", text) > 0 && fflush(log->stream) == 0;
    free(text);
    return written ? P2P_OK : p2p_fail(P2P_IO, "%s: %s", log->path, strerror(errno));
}

p2p_status metrics_step(metrics_log *log, const step_record *record) {
    const loss_values *losses = &record->losses;
    char now[SYS_TIME_BYTES];
    sys_time_text(now);
    json_t *object = json_pack(
        "{s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:s, s:f, s:f}", "step", (json_int_t)record->step, "epoch",
        (json_int_t)record->epoch, "d_loss", discriminator_loss(losses), "d_real", losses->d_real, "d_fake",
        losses->d_fake, "g_gan", losses->g_gan, "g_l1", losses->g_l1, "lr", record->learning_rate, "time",
        now, "images_per_s", record->images_per_s, "data_wait", record->data_wait);
    return write_line(
        log, json_text_add(object, "reduction_wait", record->reduces, json_real(record->reduction_wait)));
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
    char now[SYS_TIME_BYTES];
    sys_time_text(now);
    return write_line(log, json_text_add(object, "time", true, json_string(now)));
}

p2p_status metrics_sync(metrics_log *log) {
    if (sys_file_sync(log->stream)) return P2P_OK;
    return p2p_fail(P2P_IO, "%s: %s", log->path, strerror(errno));
}

p2p_status metrics_close(metrics_log *log) {
    if (!log) return P2P_OK;
    p2p_status status = P2P_OK;
    if (fclose(log->stream) != 0) status = p2p_fail(P2P_IO, "%s: %s", log->path, strerror(errno));
    free(log->path);
    free(log);
    return status;
}
