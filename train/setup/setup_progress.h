/* One line on a terminal while a session is made ready; nothing where the stream is no terminal. */
#ifndef P2P_SETUP_PROGRESS_H
#define P2P_SETUP_PROGRESS_H

#include <stdio.h>

/* A p2p_progress for p2p_session_allocate: operation `done` of `total` is ready. `stream` is a FILE. */
void setup_show_preparing(void *stream, int done, int total);
/* Convolution `done` of `total` has been measured. */
void setup_show_measuring(FILE *stream, int done, int total);

#endif
