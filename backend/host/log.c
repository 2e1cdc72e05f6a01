/* The verbose log and warnings. See log.h. */
#include "log.h"
#include "p2p.h"

#include <stdarg.h>

static FILE *log_stream, *warning_stream;

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
    vfprintf(log_stream, format, args);
    va_end(args);
    fputc('\n', log_stream);
    fflush(log_stream); /* so that the last line before a crash of a driver is not lost */
}

void p2p_warnings_to(FILE *stream) {
    warning_stream = stream;
}

void p2p_warn(const char *format, ...) {
    if (!warning_stream) return;
    va_list args;
    va_start(args, format);
    fputs("warning: ", warning_stream);
    vfprintf(warning_stream, format, args);
    va_end(args);
    fputc('\n', warning_stream);
    fflush(warning_stream);
}
