/* The verbose log and warnings. See log.h. Each line is flushed, so that the last one before a crash of a
 * driver is not lost. */
#include "log.h"
#include "p2p.h"
#include "p2p_printable.h"

#include <stdarg.h>

static FILE *log_stream, *warning_stream;
static void (*_Atomic warning_function)(const char *text);

void p2p_log_to(FILE *stream) {
    log_stream = stream;
}

bool p2p_logging(void) {
    return log_stream != NULL;
}

void p2p_log(const char *format, ...) {
    if (!log_stream) return;
    va_list args;
    va_start(args, format);
    p2p_print_line_v(log_stream, "", format, args);
    va_end(args);
}

void p2p_warnings_to(FILE *stream) {
    warning_stream = stream;
}

void p2p_warnings_pass(void (*warn)(const char *text)) {
    warning_function = warn;
}

void p2p_warn(const char *format, ...) {
    void (*const pass)(const char *text) = warning_function;
    char text[P2P_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    if (pass) {
        vsnprintf(text, sizeof text, format, args);
        pass(text);
    } else if (warning_stream) {
        p2p_print_line_v(warning_stream, "warning: ", format, args);
    }
    va_end(args);
}
