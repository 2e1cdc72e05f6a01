/* How long the host pauses between two queries of an event. */
#ifndef CUDA_PAUSE_H
#define CUDA_PAUSE_H

/* Nanoseconds to sleep after a wait of so many seconds; 0: only yield the processor. A sleep takes at least
 * 50 us longer than requested, so short waits only yield, and end within a microsecond of their event. Longer
 * waits leave the processor to other threads, and end at most an eighth of their time late. */
long cuda_pause(double waited);

#endif
