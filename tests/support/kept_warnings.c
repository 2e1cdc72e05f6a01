/* See kept_warnings.h. */
#include "kept_warnings.h"

#include <stdarg.h>
#include <stdio.h>

int warnings;
char warning[4096];

void keeping_warn(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(warning, sizeof warning, format, args);
    va_end(args);
    warnings++;
}

void warnings_forget(void) {
    warnings = 0;
    warning[0] = '\0';
}
