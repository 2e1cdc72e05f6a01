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

static void enter(progress *p) {
    if (p->drawing) sys_monitor_enter(p->drawing);
}

static void leave(progress *p) {
    if (p->drawing) sys_monitor_leave(p->drawing);
}

/* A line that is wider than the terminal has become since lies on several rows. */
static void erase_live_line(progress *p) {
    if (p->drawn == 0) return;
    const size_t columns = (size_t)sys_terminal_columns(p->stream), rows = (p->drawn - 1) / columns;
    fputc('\r', p->stream);
    if (rows > 0) fprintf(p->stream, "\033[%zuA", rows);
    fputs("\033[J", p->stream);
    p->drawn = 0;
}

/* The last column stays empty, because terminals differ in where the cursor is after it. */
static void draw_live_line(progress *p) {
    char text[PROGRESS_LINE_BYTES];
    const int columns = sys_terminal_columns(p->stream);
    erase_live_line(p);
    p->drawn = progress_fields_text(&p->fields, columns > 1 ? (size_t)columns - 1 : 1, text);
    fputs(text, p->stream);
    fflush(p->stream);
}

static void draw_again(void *context) {
    progress *p = context;
    enter(p);
    if (p->drawn > 0) draw_live_line(p);
    leave(p);
}

static void draw(progress *p, const progress_fields *fields) {
    char text[PROGRESS_LINE_BYTES];
    if (!p->live) {
        progress_fields_text(fields, SIZE_MAX, text);
        fprintf(p->stream, "%s\n", text);
        fflush(p->stream);
        return;
    }
    if (!sys_messages_idle()) return; /* nothing reads it: a later one is drawn */
    enter(p);
    p->fields = *fields;
    draw_live_line(p);
    leave(p);
}

/* ---- Creation ----------------------------------------------------------------------------------------- */

static void start_live(progress *p) {
    if (sys_monitor_create(&p->drawing) == P2P_OK) p->resize = sys_resize_watch(draw_again, p);
}

progress *progress_create(FILE *stream, int64_t total_steps, int64_t total_epochs, int64_t done_steps) {
    progress *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    *p = (progress){.stream = stream,
                    .live = sys_is_terminal(stream),
                    .coloured = sys_has_colours(stream),
                    .started = sys_clock(),
                    .total_steps = total_steps,
                    .total_epochs = total_epochs};
    if (p->live) start_live(p);
    if (done_steps > 0) progress_line(p, "continuing after step %lld", (long long)done_steps);
    return p;
}

void progress_destroy(progress *p) {
    if (!p) return;
    sys_resize_end(p->resize);
    sys_monitor_destroy(p->drawing);
    if (p->drawn > 0) fputc('\n', p->stream);
    free(p);
}

/* ---- Steps and pictures ------------------------------------------------------------------------------- */

/* Whether another line is due. The first and the last step always have one. */
static bool is_due(progress *p, bool last) {
    const double now = sys_clock();
    const bool first = p->last_shown == 0;
    if (now - p->last_shown < (p->live ? LIVE_INTERVAL : PLAIN_INTERVAL) && !first && !last) return false;
    p->last_shown = now;
    return true;
}

void progress_step(progress *p, const step_record *record, double seconds_left) {
    char left[TIME_LEFT_BYTES];
    if (!p || !is_due(p, record->step == p->total_steps)) return;
    progress_fields fields = {.spared = "step ", .vital = 3};
    time_left_text(seconds_left, left);
    progress_fields_add(&fields, "step %lld/%lld", (long long)record->step, (long long)p->total_steps);
    progress_fields_add(&fields, "L1 %.3f", record->losses.g_l1);
    progress_fields_add(&fields, "%s left", left);
    progress_fields_add(&fields, "D %.2f/%.2f", record->losses.d_real, record->losses.d_fake);
    progress_fields_add(&fields, "G %.2f", record->losses.g_gan);
    progress_fields_add(&fields, "%.2f images/s", record->images_per_s);
    progress_fields_add(&fields, "epoch %lld/%lld", (long long)record->epoch, (long long)p->total_epochs);
    progress_fields_add(&fields, "%.0f%% waiting for data", 100 * record->data_wait);
    if (record->reduces) progress_fields_add(&fields, "%.0f%% for reductions", 100 * record->reduction_wait);
    draw(p, &fields);
}

/* Whether a line for the part that is done is due. `left` receives the time for the rest, and *rate the parts
 * per second. */
static bool part_is_due(progress *p, int64_t done, char left[TIME_LEFT_BYTES], double *rate) {
    const bool first = p->last_shown == 0;
    if (!is_due(p, done == p->total_steps)) return false;
    *rate = (double)(done - p->started_done) / (p->last_shown - p->started);
    if (first) {
        p->started = p->last_shown;
        p->started_done = done;
    }
    time_left_text((double)(p->total_steps - done) / *rate, left);
    return true;
}

void progress_pictures(progress *p, int64_t done) {
    char left[TIME_LEFT_BYTES];
    double rate;
    if (!p || !part_is_due(p, done, left, &rate)) return;
    progress_fields fields = {0};
    progress_fields_add(&fields, "picture %lld/%lld", (long long)done, (long long)p->total_steps);
    progress_fields_add(&fields, "%s left", left);
    progress_fields_add(&fields, "%.2f images/s", rate);
    draw(p, &fields);
}

void progress_bytes(progress *p, int64_t done) {
    char left[TIME_LEFT_BYTES];
    double rate;
    if (!p || !part_is_due(p, done, left, &rate)) return;
    progress_fields fields = {0};
    progress_fields_add(&fields, "read %.0f/%.0f MB", (double)done / 1e6, (double)p->total_steps / 1e6);
    progress_fields_add(&fields, "%s left", left);
    draw(p, &fields);
}

/* ---- Other lines --------------------------------------------------------------------------------------- */

void progress_hide(progress *p) {
    if (!p) return;
    enter(p);
    const bool drawn = p->drawn > 0;
    erase_live_line(p);
    fflush(p->stream);
    leave(p);
    if (drawn) sys_messages_wait(ERASE_TIMEOUT);
}

static void print_line(progress *p, progress_look look, const char *format, va_list args) {
    static const char *const colours[] = {"", "\033[32m", "\033[33m"};
    const bool coloured = p->coloured && look != PROGRESS_PLAIN;
    enter(p);
    const bool drawn = p->drawn > 0;
    erase_live_line(p);
    p2p_print_line_v(p->stream, coloured ? colours[look] : "", format, args);
    if (coloured) fputs("\033[0m", p->stream);
    if (drawn) draw_live_line(p); /* below the line */
    fflush(p->stream);
    leave(p);
}

void progress_line(progress *p, const char *format, ...) {
    va_list args;
    if (!p) return;
    va_start(args, format);
    print_line(p, PROGRESS_PLAIN, format, args);
    va_end(args);
}

void progress_line_in(progress *p, progress_look look, const char *format, ...) {
    va_list args;
    if (!p) return;
    va_start(args, format);
    print_line(p, look, format, args);
    va_end(args);
}

void progress_epoch(progress *p, const epoch_record *record) {
    char text[PROGRESS_LINE_BYTES];
    progress_fields fields = {0};
    if (!p) return;
    progress_fields_add(&fields, "epoch %lld/%lld", (long long)record->epoch, (long long)p->total_epochs);
    progress_fields_add(&fields, "L1 %.3f", record->mean.g_l1);
    if (record->validated) {
        progress_fields_add(&fields, "val L1 %.4f%s", record->validation.l1, record->best ? " best" : "");
        progress_fields_add(&fields, "%.1f dB", record->validation.psnr);
        progress_fields_add(&fields, "SSIM %.3f", record->validation.ssim);
    }
    progress_fields_add(&fields, "D %.2f/%.2f", record->mean.d_real, record->mean.d_fake);
    if (!record->validated) progress_fields_add(&fields, "G %.2f", record->mean.g_gan);
    progress_fields_text(&fields, PROGRESS_COLUMNS, text);
    progress_line_in(p, record->best ? PROGRESS_GOOD : PROGRESS_PLAIN, "%s", text);
}
