/* See history.h. */
#include "history.h"

#include "curve.h"
#include "json_text.h"
#include "p2p_file.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The fields of a step's line, and of an epoch's, that become curves. */
typedef struct {
    const char *field, *curve;
    bool of_epochs;
} curve_source;

static const curve_source sources[] = {
    {"d_real", "d_real", false},
    {"d_fake", "d_fake", false},
    {"g_gan", "g_gan", false},
    {"g_l1", "g_l1", false},
    {"lr", "lr", false},
    {"d_real", "epoch_d_real", true},
    {"d_fake", "epoch_d_fake", true},
    {"g_gan", "epoch_g_gan", true},
    {"g_l1", "epoch_g_l1", true},
    {"val_l1", "val_l1", true},
    {"val_psnr", "val_psnr", true},
    {"val_ssim", "val_ssim", true},
};

enum { CURVES = sizeof sources / sizeof sources[0], TIME_BYTES = 32, DAY = 86400 /* seconds */ };

/* Successive steps whose rate becomes a point of a curve once they have taken HISTORY_RATE_SECONDS. */
typedef struct {
    double seconds;   /* of the steps, without what lies between epochs */
    double per_image; /* sum of the steps' seconds per image */
    int64_t steps, last;
} rate_window;

struct history {
    int64_t steps, epochs, epoch_steps;        /* epoch_steps: until the end of the last epoch */
    char began[TIME_BYTES], ended[TIME_BYTES]; /* "": not known */
    int64_t best_epoch, best_step;             /* 0: none */
    double best_l1, mean_target;               /* mean_target 0: not known */
    curve curves[CURVES];
    double seconds; /* of training, without interruptions */
    double clock;   /* the time of day of the last line, in seconds; NAN: not known */
    rate_window window;
    curve rates;
};

p2p_status history_create(history **result) {
    *result = calloc(1, sizeof **result);
    if (!*result) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the curves of a training");
    (*result)->clock = NAN;
    return P2P_OK;
}

void history_destroy(history *past) {
    free(past);
}

/* ---- Lines -------------------------------------------------------------------------------------------- */

/* The number of a field; NAN if it is absent or no number. */
static double number_of(const json_t *line, const char *field) {
    const json_t *value = json_object_get(line, field);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static void add_time(history *past, const json_t *line) {
    const char *time = json_string_value(json_object_get(line, "time"));
    if (!time || strlen(time) >= TIME_BYTES) return;
    if (!past->began[0]) snprintf(past->began, TIME_BYTES, "%s", time);
    snprintf(past->ended, TIME_BYTES, "%s", time);
}

/* The time of day in a time such as 2026-01-31T23:59:59.123Z, in seconds; NAN if it has none. */
static double time_of_day(const json_t *line) {
    const char *time = json_string_value(json_object_get(line, "time"));
    const char *clock = time ? strchr(time, 'T') : NULL;
    unsigned hours, minutes, seconds, milliseconds;
    if (!clock || sscanf(clock, "T%2u:%2u:%2u.%3uZ", &hours, &minutes, &seconds, &milliseconds) != 4)
        return NAN;
    return hours * 3600.0 + minutes * 60.0 + seconds + milliseconds / 1e3;
}

/* The seconds from the line before to this one; of the first line 0. HISTORY_RATE_SECONDS if the line has no
 * time, so that each step of an older log is a point. */
static double seconds_since_last(history *past, const json_t *line) {
    const double now = time_of_day(line), seconds = now - past->clock;
    past->clock = now;
    if (isnan(now)) return HISTORY_RATE_SECONDS;
    if (isnan(seconds)) return 0;
    return seconds >= 0 ? seconds : seconds + DAY;
}

/* Add the time since a line with the clock `before`, unless the training was interrupted after it. */
static void add_duration(history *past, const json_t *line, double before, double seconds) {
    const bool known = !isnan(before) && !isnan(past->clock);
    if (known && !json_is_true(json_object_get(line, "resumed"))) past->seconds += seconds;
}

static void add_window(curve *rates, const rate_window *window) {
    curve_add(rates, window->last, (double)window->steps / window->per_image);
}

/* Add a step's rate, `seconds` after the line before it. */
static void add_rate(history *past, int64_t step, double seconds, double images_per_s) {
    rate_window *window = &past->window;
    if (!(images_per_s > 0)) return;
    window->seconds += seconds;
    window->per_image += 1 / images_per_s;
    window->steps++;
    window->last = step;
    if (window->seconds < HISTORY_RATE_SECONDS) return;
    add_window(&past->rates, window);
    *window = (rate_window){0};
}

static void add_validation(history *past, const json_t *line, int64_t step, int64_t epoch) {
    const double l1 = number_of(line, "val_l1"), mean_target = number_of(line, "val_l1_of_mean_target");
    if (isfinite(mean_target)) past->mean_target = mean_target;
    if (!isfinite(l1) || (past->best_epoch > 0 && l1 >= past->best_l1)) return;
    past->best_epoch = epoch;
    past->best_step = step;
    past->best_l1 = l1;
}

void history_add(history *past, const json_t *line) {
    const json_t *steps = json_object_get(line, "step"), *epochs = json_object_get(line, "epoch");
    if (!past || !json_is_integer(steps) || !json_is_integer(epochs)) return;
    const int64_t step = json_integer_value(steps), epoch = json_integer_value(epochs);
    const bool ends_epoch = json_object_get(line, "event") != NULL;
    past->steps = step;
    if (ends_epoch) past->epochs = epoch;
    if (ends_epoch) past->epoch_steps = step;
    add_time(past, line);
    const double before = past->clock, seconds = seconds_since_last(past, line);
    add_duration(past, line, before, seconds);
    if (!ends_epoch) add_rate(past, step, seconds, number_of(line, "images_per_s"));
    for (int i = 0; i < CURVES; i++)
        if (sources[i].of_epochs == ends_epoch)
            curve_add(&past->curves[i], step, number_of(line, sources[i].field));
    if (ends_epoch) add_validation(past, line, step, epoch);
}

void history_position(const history *past, int64_t *epochs, int64_t *steps) {
    *epochs = past->epochs;
    *steps = past->epoch_steps;
}

/* ---- A file ------------------------------------------------------------------------------------------- */

static void take_run(const json_t *line, char run[HISTORY_RUN_BYTES]) {
    const char *event = json_string_value(json_object_get(line, "event"));
    const char *text = json_string_value(json_object_get(line, "run"));
    if (event && text && strcmp(event, "run") == 0) snprintf(run, HISTORY_RUN_BYTES, "%s", text);
}

enum { WATCHED_BYTES = 1 << 20 /* between two calls of a history_watch */ };

typedef struct {
    FILE *stream;
    const char *path;
    const history_watch *watch; /* NULL: none */
    uint64_t size, done, shown; /* bytes */
} log_file;

/* Read a whole line without its end, which may have any bytes. *length is SIZE_MAX if the line is too long.
 * False at the end. */
static bool next_line(log_file *log, char text[HISTORY_LINE_BYTES], size_t *length) {
    size_t used = 0;
    int c;
    while ((c = getc_unlocked(log->stream)) != EOF && c != '\n') {
        if (used < HISTORY_LINE_BYTES) text[used] = (char)c;
        used++;
    }
    log->done += used + 1;
    *length = used <= HISTORY_LINE_BYTES ? used : SIZE_MAX;
    return c != EOF;
}

static void watch_reading(log_file *log) {
    if (!log->watch || log->done - log->shown < WATCHED_BYTES) return;
    log->watch->show(log->watch->context, log->done, log->size);
    log->shown = log->done;
}

static p2p_status read_lines(history *past, log_file *log, char run[HISTORY_RUN_BYTES]) {
    char text[HISTORY_LINE_BYTES];
    size_t length;
    for (bool first = true; next_line(log, text, &length); first = false) {
        json_t *line;
        watch_reading(log);
        if (length == SIZE_MAX) continue;
        P2P_TRY(json_text_parse(log->path, text, length, JSON_REJECT_DUPLICATES, &line, NULL));
        if (first) take_run(line, run);
        history_add(past, line);
        json_decref(line);
    }
    if (ferror(log->stream)) return p2p_fail(P2P_UNREADABLE, "%s: %s", log->path, strerror(errno));
    if (log->watch) log->watch->show(log->watch->context, log->size, log->size);
    return P2P_OK;
}

p2p_status history_read(history *past, const char *path, const history_watch *watch,
                        char run[HISTORY_RUN_BYTES]) {
    log_file log = {.path = path, .watch = watch};
    run[0] = '\0';
    P2P_TRY(p2p_file_open(path, &log.stream, &log.size));
    const p2p_status status = read_lines(past, &log, run);
    fclose(log.stream);
    return status;
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

static bool has_rates(const history *past) {
    return past->rates.count > 0 || past->window.steps > 0;
}

/* A training that is shorter than a window has the rate of all its steps. */
static json_t *rates_to_json(const history *past) {
    curve rates = past->rates;
    if (rates.count == 0 && past->window.steps > 0) add_window(&rates, &past->window);
    return curve_to_json(&rates);
}

static json_t *curves_to_json(const history *past) {
    json_t *object = json_object();
    for (int i = 0; i < CURVES; i++)
        if (past->curves[i].count > 0)
            object = json_text_add(object, sources[i].curve, true, curve_to_json(&past->curves[i]));
    return json_text_add(object, "images_per_s", has_rates(past), rates_to_json(past));
}

json_t *history_to_json(const history *past) {
    json_t *object = json_pack("{s:I, s:I, s:i, s:o}", "steps", (json_int_t)past->steps, "epochs",
                               (json_int_t)past->epochs, "rate_seconds", HISTORY_RATE_SECONDS, "curves",
                               curves_to_json(past));
    object = json_text_add(object, "began", past->began[0], json_string(past->began));
    object = json_text_add(object, "ended", past->ended[0], json_string(past->ended));
    object = json_text_add(object, "seconds", past->began[0], json_real(past->seconds));
    object = json_text_add(object, "mean_target", past->mean_target > 0, json_real(past->mean_target));
    return json_text_add(object, "best", past->best_epoch > 0,
                         json_pack("{s:I, s:I, s:f}", "epoch", (json_int_t)past->best_epoch, "step",
                                   (json_int_t)past->best_step, "l1", past->best_l1));
}
