/* A line on a terminal while a session is prepared. Nothing is printed if the stream is not a terminal. */
#ifndef P2P_SETUP_PROGRESS_H
#define P2P_SETUP_PROGRESS_H

#include <stdio.h>

/* A p2p_progress for p2p_session_allocate: `done` of `total` operations are ready. `stream` is a FILE. */
void setup_show_preparing(void *stream, int done, int total);
/* `done` of `total` convolutions have been measured. */
void setup_show_measuring(FILE *stream, int done, int total);

#endif
