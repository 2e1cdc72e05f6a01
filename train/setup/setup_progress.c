/* See setup_progress.h. */
#include "setup_progress.h"

#include "host/sys.h"

void setup_show_preparing(void *stream, int done, int total) {
    if (!sys_is_terminal(stream)) return;
    fprintf(stream, done < total ? "\rpreparing operation %d of %d" : "\r\033[K", done, total);
    fflush(stream);
}

void setup_show_measuring(FILE *stream, int done, int total) {
    if (!sys_is_terminal(stream)) return;
    fprintf(stream, done < total ? "\rmeasuring convolution %d of %d" : "\r\033[K", done + 1, total);
    fflush(stream);
}
