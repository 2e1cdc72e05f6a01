/* How long the host pauses between two queries of an event. */
#ifndef CUDA_PAUSE_H
#define CUDA_PAUSE_H

/* Nanoseconds to sleep after a wait of so many seconds; 0: only yield the processor. Short waits end within a
 * microsecond of their event; a sleep takes at least 50 us longer than requested. Longer ones leave the
 * processor to others, and end at most an eighth later. */
long cuda_pause(double waited);

#endif
