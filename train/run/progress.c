/* See progress.h. Two threads draw: the training's, and one that waits for changes of the terminal's width.
 */
#include "progress.h"

#include "host/sys.h"
#include "p2p_printable.h"
#include "progress_line.h"
#include "time_left.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Seconds between redraws of the live line, and between plain lines. */
static const double LIVE_INTERVAL = 0.1, PLAIN_INTERVAL = 10.0;
/* Seconds that other output waits until the live line is erased, if nothing reads it. */
static const double ERASE_TIMEOUT = 0.2;
struct progress {
    FILE *stream;
    bool live, coloured;
    int64_t total_steps, total_epochs;
    /* Clock reading from which the rate of pictures is measured, and the pictures finished by then. The first
     * pictures do not count, because drivers compile during them. */
    double started;
    int64_t started_done;
    double last_shown;    /* clock reading; 0 before the first step */
    sys_monitor *drawing; /* of the following; NULL unless live */
    sys_resize *resize;
    progress_fields fields; /* of the live line */
    size_t drawn;           /* the columns of the live line; 0: none is drawn */
};

/* ---- Drawing ------------------------------------------------------------------------------------------ */

static void enter(progress *shown) {
    if (shown->drawing) sys_monitor_enter(shown->drawing);
}

static void leave(progress *shown) {
    if (shown->drawing) sys_monitor_leave(shown->drawing);
}

/* A line that is wider than the terminal has become since lies on several rows. */
static void erase_live_line(progress *shown) {
    if (shown->drawn == 0) return;
    const size_t columns = (size_t)sys_terminal_columns(shown->stream), rows = (shown->drawn - 1) / columns;
    fputc('\r', shown->stream);
    if (rows > 0) fprintf(shown->stream, "\033[%zuA", rows);
    fputs("\033[J", shown->stream);
    shown->drawn = 0;
}

/* The last column stays empty, because terminals differ in where the cursor is after it. */
static void draw_live_line(progress *shown) {
    char text[PROGRESS_LINE_BYTES];
    const int columns = sys_terminal_columns(shown->stream);
    erase_live_line(shown);
    shown->drawn = progress_fields_text(&shown->fields, columns > 1 ? (size_t)columns - 1 : 1, text);
    fputs(text, shown->stream);
    fflush(shown->stream);
}

static void draw_again(void *context) {
    progress *shown = context;
    enter(shown);
    if (shown->drawn > 0) draw_live_line(shown);
    leave(shown);
}

static void draw(progress *shown, const progress_fields *fields) {
    char text[PROGRESS_LINE_BYTES];
    if (!shown->live) {
        progress_fields_text(fields, SIZE_MAX, text);
        fprintf(shown->stream, "%s\n", text);
        fflush(shown->stream);
        return;
    }
    if (!sys_messages_idle()) return; /* nothing reads it: a later one is drawn */
    enter(shown);
    shown->fields = *fields;
    draw_live_line(shown);
    leave(shown);
}

/* ---- Creation ----------------------------------------------------------------------------------------- */

static void start_live(progress *shown) {
    if (sys_monitor_create(&shown->drawing) == P2P_OK) shown->resize = sys_resize_watch(draw_again, shown);
}

progress *progress_create(FILE *stream, int64_t total_steps, int64_t total_epochs, int64_t done_steps) {
    progress *shown = calloc(1, sizeof *shown);
    if (!shown) return NULL;
    *shown = (progress){.stream = stream,
                        .live = sys_is_terminal(stream),
                        .coloured = sys_has_colours(stream),
                        .started = sys_clock(),
                        .total_steps = total_steps,
                        .total_epochs = total_epochs};
    if (shown->live) start_live(shown);
    if (done_steps > 0) progress_line(shown, "continuing after step %lld", (long long)done_steps);
    return shown;
}

void progress_destroy(progress *shown) {
    if (!shown) return;
    sys_resize_end(shown->resize);
    sys_monitor_destroy(shown->drawing);
    if (shown->drawn > 0) fputc('\n', shown->stream);
    free(shown);
}

/* ---- Steps and pictures ------------------------------------------------------------------------------- */

/* Whether another line is due. The first and the last step always have one. */
static bool is_due(progress *shown, bool last) {
    const double now = sys_clock();
    const bool first = shown->last_shown == 0;
    if (now - shown->last_shown < (shown->live ? LIVE_INTERVAL : PLAIN_INTERVAL) && !first && !last)
        return false;
    shown->last_shown = now;
    return true;
}

void progress_step(progress *shown, const step_record *record, double seconds_left) {
    char left[TIME_LEFT_BYTES];
    if (!shown || !is_due(shown, record->step == shown->total_steps)) return;
    progress_fields fields = {.spared = "step ", .vital = 3};
    time_left_text(seconds_left, left);
    progress_fields_add(&fields, "step %lld/%lld", (long long)record->step, (long long)shown->total_steps);
    progress_fields_add(&fields, "L1 %.3f", record->losses.g_l1);
    progress_fields_add(&fields, "%s left", left);
    progress_fields_add(&fields, "D %.2f/%.2f", record->losses.d_real, record->losses.d_fake);
    progress_fields_add(&fields, "G %.2f", record->losses.g_gan);
    progress_fields_add(&fields, "%.2f images/s", record->images_per_s);
    progress_fields_add(&fields, "epoch %lld/%lld", (long long)record->epoch, (long long)shown->total_epochs);
    progress_fields_add(&fields, "%.0f%% waiting for data", 100 * record->data_wait);
    if (record->reduces) progress_fields_add(&fields, "%.0f%% for reductions", 100 * record->reduction_wait);
    draw(shown, &fields);
}

/* Whether a line for the part that is done is due. `left` receives the time for the rest, and *rate the parts
 * per second. */
static bool part_is_due(progress *shown, int64_t done, char left[TIME_LEFT_BYTES], double *rate) {
    const bool first = shown->last_shown == 0;
    if (!is_due(shown, done == shown->total_steps)) return false;
    *rate = (double)(done - shown->started_done) / (shown->last_shown - shown->started);
    if (first) {
        shown->started = shown->last_shown;
        shown->started_done = done;
    }
    time_left_text((double)(shown->total_steps - done) / *rate, left);
    return true;
}

void progress_pictures(progress *shown, int64_t done) {
    char left[TIME_LEFT_BYTES];
    double rate;
    if (!shown || !part_is_due(shown, done, left, &rate)) return;
    progress_fields fields = {0};
    progress_fields_add(&fields, "picture %lld/%lld", (long long)done, (long long)shown->total_steps);
    progress_fields_add(&fields, "%s left", left);
    progress_fields_add(&fields, "%.2f images/s", rate);
    draw(shown, &fields);
}

void progress_bytes(progress *shown, int64_t done) {
    char left[TIME_LEFT_BYTES];
    double rate;
    if (!shown || !part_is_due(shown, done, left, &rate)) return;
    progress_fields fields = {0};
    progress_fields_add(&fields, "read %.0f/%.0f MB", (double)done / 1e6, (double)shown->total_steps / 1e6);
    progress_fields_add(&fields, "%s left", left);
    draw(shown, &fields);
}

/* ---- Other lines --------------------------------------------------------------------------------------- */

void progress_hide(progress *shown) {
    if (!shown) return;
    enter(shown);
    const bool drawn = shown->drawn > 0;
    erase_live_line(shown);
    fflush(shown->stream);
    leave(shown);
    if (drawn) sys_messages_wait(ERASE_TIMEOUT);
}

static void print_line(progress *shown, progress_look look, const char *format, va_list args) {
    static const char *const colours[] = {"", "\033[32m", "\033[33m"};
    const bool coloured = shown->coloured && look != PROGRESS_PLAIN;
    enter(shown);
    const bool drawn = shown->drawn > 0;
    erase_live_line(shown);
    p2p_print_line_v(shown->stream, coloured ? colours[look] : "", format, args);
    if (coloured) fputs("\033[0m", shown->stream);
    if (drawn) draw_live_line(shown); /* below the line */
    fflush(shown->stream);
    leave(shown);
}

void progress_line(progress *shown, const char *format, ...) {
    va_list args;
    if (!shown) return;
    va_start(args, format);
    print_line(shown, PROGRESS_PLAIN, format, args);
    va_end(args);
}

void progress_line_in(progress *shown, progress_look look, const char *format, ...) {
    va_list args;
    if (!shown) return;
    va_start(args, format);
    print_line(shown, look, format, args);
    va_end(args);
}

void progress_epoch(progress *shown, const epoch_record *record) {
    char text[PROGRESS_LINE_BYTES];
    progress_fields fields = {0};
    if (!shown) return;
    progress_fields_add(&fields, "epoch %lld/%lld", (long long)record->epoch, (long long)shown->total_epochs);
    progress_fields_add(&fields, "L1 %.3f", record->mean.g_l1);
    if (record->validated) {
        progress_fields_add(&fields, "val L1 %.4f%s", record->validation.l1, record->best ? " best" : "");
        progress_fields_add(&fields, "%.1f dB", record->validation.psnr);
        progress_fields_add(&fields, "SSIM %.3f", record->validation.ssim);
    }
    progress_fields_add(&fields, "D %.2f/%.2f", record->mean.d_real, record->mean.d_fake);
    if (!record->validated) progress_fields_add(&fields, "G %.2f", record->mean.g_gan);
    progress_fields_text(&fields, PROGRESS_COLUMNS, text);
    progress_line_in(shown, record->best ? PROGRESS_GOOD : PROGRESS_PLAIN, "%s", text);
}
