/* See progress.h. */
#include "progress.h"

#include "host/sys.h"
#include "host/text.h"
#include "p2p_printable.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Seconds between redraws of the live line, and between plain lines. */
static const double LIVE_INTERVAL = 0.1, PLAIN_INTERVAL = 10.0;
/* Seconds that other output waits until the live line is erased, if nothing reads it. */
static const double PATIENCE = 0.2;
struct progress {
    FILE *stream;
    bool live;
    bool line_is_drawn;
    int64_t total_steps, total_epochs;
    /* Clock reading from which the rate of pictures is measured, and the pictures finished by then. The first
     * pictures do not count, because drivers compile during them. */
    double started;
    int64_t started_done;
    double last_shown; /* clock reading; 0 before the first step */
};

progress *progress_create(FILE *stream, int64_t total_steps, int64_t total_epochs, int64_t done_steps) {
    progress *shown = calloc(1, sizeof *shown);
    if (!shown) return NULL;
    *shown = (progress){.stream = stream,
                        .live = sys_is_terminal(stream),
                        .started = sys_clock(),
                        .total_steps = total_steps,
                        .total_epochs = total_epochs};
    if (done_steps > 0) progress_line(shown, "continuing after step %lld", (long long)done_steps);
    return shown;
}

static void erase_live_line(progress *shown) {
    if (shown->line_is_drawn) fprintf(shown->stream, "\r\033[K");
    shown->line_is_drawn = false;
}

/* Whether another line is due. The first and the last step always have one. */
static bool is_due(progress *shown, bool last) {
    const double now = sys_clock();
    const bool first = shown->last_shown == 0;
    if (now - shown->last_shown < (shown->live ? LIVE_INTERVAL : PLAIN_INTERVAL) && !first && !last)
        return false;
    shown->last_shown = now;
    return true;
}

static void draw(progress *shown, const char *text) {
    if (shown->live && !sys_messages_idle()) return; /* nothing reads it: a later one is drawn */
    erase_live_line(shown);
    if (shown->live) {
        int columns = sys_terminal_columns(shown->stream);
        fprintf(shown->stream, "%.*s", columns > 1 ? columns - 1 : 1, text);
        shown->line_is_drawn = true;
    } else {
        fprintf(shown->stream, "%s\n", text);
    }
    fflush(shown->stream);
}

void progress_step(progress *shown, const step_record *record) {
    char left[32], reductions[48] = "", text[320];
    if (!shown || !is_due(shown, record->step == shown->total_steps)) return;
    double images = (double)(shown->total_steps - record->step) * record->images;
    text_duration(images / record->images_per_s, left, sizeof left);
    if (record->reduces)
        snprintf(reductions, sizeof reductions, ", %.0f%% for reductions", 100 * record->reduction_wait);
    snprintf(text, sizeof text,
             "epoch %lld/%lld step %lld/%lld  %.2f images/s, %.0f%% waiting for data%s  %s left  D real %.2f "
             "fake %.2f  G %.2f  L1 %.3f",
             (long long)record->epoch, (long long)shown->total_epochs, (long long)record->step,
             (long long)shown->total_steps, record->images_per_s, 100 * record->data_wait, reductions, left,
             record->losses.d_real, record->losses.d_fake, record->losses.g_gan, record->losses.g_l1);
    draw(shown, text);
}

void progress_pictures(progress *shown, int64_t done) {
    char left[32], text[128];
    if (!shown) return;
    const bool first = shown->last_shown == 0;
    if (!is_due(shown, done == shown->total_steps)) return;
    const double rate = (double)(done - shown->started_done) / (shown->last_shown - shown->started);
    if (first) {
        shown->started = shown->last_shown;
        shown->started_done = done;
    }
    text_duration((double)(shown->total_steps - done) / rate, left, sizeof left);
    snprintf(text, sizeof text, "picture %lld/%lld  %.2f images/s  %s left", (long long)done,
             (long long)shown->total_steps, rate, left);
    draw(shown, text);
}

void progress_hide(progress *shown) {
    if (!shown) return;
    const bool drawn = shown->line_is_drawn;
    erase_live_line(shown);
    fflush(shown->stream);
    if (drawn) sys_messages_wait(PATIENCE);
}

void progress_line(progress *shown, const char *format, ...) {
    if (!shown) return;
    erase_live_line(shown);
    va_list args;
    va_start(args, format);
    p2p_print_line_v(shown->stream, "", format, args);
    va_end(args);
}

void progress_destroy(progress *shown) {
    if (!shown) return;
    if (shown->line_is_drawn) fputc('\n', shown->stream);
    free(shown);
}
