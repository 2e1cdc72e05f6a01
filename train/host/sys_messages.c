/* Standard streams that never make the program wait, over POSIX threads, and stdout that always waits. See
 * sys.h. The descriptors are shared with other programs, so they are not made non-blocking; a thread per
 * stream waits in write() instead. Its part of the memory is static: messages about memory that has run out
 * get through.
 */
#define _GNU_SOURCE /* fopencookie */
#include "sys.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Seconds that an exit waits until messages are written. */
static const double EXIT_TIMEOUT = 0.2;
enum { RING_BYTES = 1 << 16, PIECE_BYTES = 4096, STACK_BYTES = 1 << 18 };

typedef struct {
    const int descriptor;
    const bool drops; /* the oldest lines, if there is no room; otherwise printing fails */
    bool started;
    sem_t work;
    pthread_mutex_t mutex; /* of the following */
    pthread_cond_t done;
    char ring[RING_BYTES];
    size_t first, used;
    unsigned long lost; /* lines, since the thread last wrote */
    bool writing;
    atomic_bool discards;
    int error; /* of the first write that failed */
} outlet;

static outlet messages = {.descriptor = STDERR_FILENO, .drops = true}, output = {.descriptor = STDOUT_FILENO};

/* ---- The thread --------------------------------------------------------------------------------------- */

/* Printed by a signal handler, which must not take a lock. */
static const char *_Atomic noted;
static atomic_size_t noted_length;

/* Another program may have made the descriptor non-blocking. */
static int write_all(int descriptor, const char *bytes, size_t size) {
    for (size_t done = 0; done < size;) {
        const ssize_t written = write(descriptor, bytes + done, size - done);
        if (written > 0)
            done += (size_t)written;
        else if (written < 0 && errno == EAGAIN)
            (void)poll(&(struct pollfd){.fd = descriptor, .events = POLLOUT}, 1, -1);
        else if (written < 0 && errno != EINTR)
            return errno;
    }
    return 0;
}

/* Moves the oldest bytes out of the ring: whole lines, if a line fits. The caller holds the lock. */
static size_t take(outlet *to, char piece[PIECE_BYTES]) {
    size_t count = to->used < PIECE_BYTES ? to->used : PIECE_BYTES;
    for (size_t i = 0; i < count; i++) piece[i] = to->ring[(to->first + i) % RING_BYTES];
    if (count < to->used) {
        const char *end = memrchr(piece, '\n', count);
        if (end) count = (size_t)(end - piece) + 1;
    }
    to->first = (to->first + count) % RING_BYTES;
    to->used -= count;
    return count;
}

static size_t describe_lost(unsigned long lost, char text[PIECE_BYTES]) {
    const int length =
        snprintf(text, PIECE_BYTES, "\n[%lu lines were not printed, because nothing read them]\n", lost);
    return length > 0 ? (size_t)length : 0;
}

/* The next bytes to write; 0 if there are none. */
static size_t next_piece(outlet *to, char piece[PIECE_BYTES]) {
    pthread_mutex_lock(&to->mutex);
    size_t count;
    if (to->lost > 0) {
        count = describe_lost(to->lost, piece);
        to->lost = 0;
    } else {
        count = take(to, piece);
    }
    to->writing = count > 0;
    if (!to->writing) pthread_cond_broadcast(&to->done);
    pthread_mutex_unlock(&to->mutex);
    return count;
}

static void note_error(outlet *to, int error) {
    pthread_mutex_lock(&to->mutex);
    if (to->error == 0) to->error = error;
    pthread_mutex_unlock(&to->mutex);
}

static void *write_forever(void *argument) {
    outlet *to = argument;
    char piece[PIECE_BYTES];
    for (;;) {
        while (sem_wait(&to->work) != 0) continue;
        for (size_t count; (count = next_piece(to, piece)) > 0;) {
            const int error = write_all(to->descriptor, piece, count);
            if (error != 0) note_error(to, error);
        }
        const char *note = to == &messages ? atomic_exchange(&noted, NULL) : NULL;
        if (note) (void)write_all(to->descriptor, note, atomic_load(&noted_length));
    }
    return NULL;
}

/* ---- Printing ----------------------------------------------------------------------------------------- */

/* The caller holds the lock. */
static void drop_line(outlet *to) {
    char byte = '\0';
    while (to->used > 0 && byte != '\n') {
        byte = to->ring[to->first];
        to->first = (to->first + 1) % RING_BYTES;
        to->used--;
    }
    to->lost++;
}

/* The write function of a stream. */
static ssize_t put(void *cookie, const char *bytes, size_t size) {
    outlet *to = cookie;
    if (size > RING_BYTES) size = RING_BYTES; /* the stream calls again with the rest */
    pthread_mutex_lock(&to->mutex);
    if (to->discards) {
        pthread_mutex_unlock(&to->mutex);
        return (ssize_t)size;
    }
    while (to->drops && size > RING_BYTES - to->used) drop_line(to);
    const bool fits = size <= RING_BYTES - to->used && (to->drops || to->error == 0);
    const int error = to->error != 0 ? to->error : EAGAIN;
    for (size_t i = 0; i < size && fits; i++) to->ring[(to->first + to->used + i) % RING_BYTES] = bytes[i];
    if (fits) to->used += size;
    pthread_mutex_unlock(&to->mutex);
    if (fits) sem_post(&to->work);
    if (!fits) errno = error;
    return fits ? (ssize_t)size : 0; /* 0: an error, for fopencookie */
}

/* The thread handles no signals. */
static bool start_thread(outlet *to) {
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    if (pthread_attr_init(&attributes) != 0) return false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool started = pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0 &&
                         pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
                         pthread_create(&thread, &attributes, write_forever, to) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

static bool prepare(outlet *to) {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) return false;
    const bool prepared = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                          pthread_cond_init(&to->done, &attributes) == 0 &&
                          pthread_mutex_init(&to->mutex, NULL) == 0 && sem_init(&to->work, 0, 0) == 0;
    pthread_condattr_destroy(&attributes);
    return prepared;
}

/* glibc's stdout and stderr are variables. With another C library, and if anything fails, streams stay as
 * they are. */
static void start(outlet *to, FILE **stream) {
#ifdef __GLIBC__
    if (to->started || !prepare(to)) return;
    FILE *own = fopencookie(to, "w", (cookie_io_functions_t){.write = put});
    if (!own) return;
    (void)setvbuf(own, NULL, _IONBF, 0);
    to->started = start_thread(to);
    if (!to->started) {
        fclose(own);
        return;
    }
    fflush(*stream);
    *stream = own;
#else
    (void)to, (void)stream, (void)prepare, (void)start_thread, (void)put;
#endif
}

/* ---- Output that waits -------------------------------------------------------------------------------- */

static bool output_waits; /* stdout is the stream of sys_output_prepare */

#ifdef __GLIBC__
static ssize_t put_waiting(void *cookie, const char *bytes, size_t size) {
    (void)cookie;
    const int error = write_all(STDOUT_FILENO, bytes, size);
    if (error != 0) errno = error;
    return error == 0 ? (ssize_t)size : 0; /* 0: an error, for fopencookie */
}

static int close_waiting(void *cookie) {
    (void)cookie;
    return close(STDOUT_FILENO);
}
#endif

void sys_output_prepare(void) {
#ifdef __GLIBC__
    FILE *own = fopencookie(NULL, "w", (cookie_io_functions_t){.write = put_waiting, .close = close_waiting});
    if (!own) return;
    if (isatty(STDOUT_FILENO)) (void)setvbuf(own, NULL, _IOLBF, BUFSIZ);
    stdout = own;
    output_waits = true;
#endif
}

/* ---- Starting ----------------------------------------------------------------------------------------- */

/* For libraries that print and end the process, as popt does when memory runs out. */
static void wait_at_exit(void) {
    (void)sys_messages_wait(EXIT_TIMEOUT);
}

void sys_messages_start(void) {
    start(&messages, &stderr);
    if (messages.started) (void)atexit(wait_at_exit);
}

void sys_output_start(void) {
    start(&output, &stdout);
}

void sys_messages_discard(bool discards) {
    if (!messages.started) return;
    pthread_mutex_lock(&messages.mutex);
    messages.discards = discards;
    pthread_mutex_unlock(&messages.mutex);
}

bool sys_messages_idle(void) {
    if (!messages.started) return true;
    pthread_mutex_lock(&messages.mutex);
    const bool idle = messages.used == 0 && !messages.writing;
    pthread_mutex_unlock(&messages.mutex);
    return idle;
}

void sys_messages_note(const char *text, size_t length) {
    if (messages.started && messages.discards) return; /* set before the handlers are */
    if (messages.started) {
        atomic_store(&noted_length, length);
        atomic_store(&noted, text);
        sem_post(&messages.work);
    } else if (write(STDERR_FILENO, text, length) < 0) {
        return; /* stderr may be closed */
    }
}

/* ---- Waiting ------------------------------------------------------------------------------------------ */

/* Whether everything has been written before the time. */
static bool wait_until(outlet *to, const struct timespec *end) {
    int code = 0;
    if (!to->started) return true;
    pthread_mutex_lock(&to->mutex);
    while (code == 0 && (to->used > 0 || to->writing || to->lost > 0))
        code = pthread_cond_timedwait(&to->done, &to->mutex, end);
    pthread_mutex_unlock(&to->mutex);
    return code == 0;
}

static struct timespec time_in(double seconds) {
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    const double nanoseconds = (double)end.tv_nsec + seconds * 1e9;
    end.tv_sec += (time_t)(nanoseconds / 1e9);
    end.tv_nsec = (long)(nanoseconds - 1e9 * (double)(time_t)(nanoseconds / 1e9));
    return end;
}

bool sys_messages_wait(double seconds) {
    const struct timespec end = time_in(seconds);
    return wait_until(&messages, &end);
}

int sys_output_wait(double seconds) {
    const struct timespec end = time_in(seconds);
    if (!wait_until(&output, &end)) return ETIMEDOUT;
    return output.started ? output.error : 0;
}

int sys_descriptor_of(FILE *stream) {
    if (messages.started && stream == stderr) return STDERR_FILENO;
    if ((output.started || output_waits) && stream == stdout) return STDOUT_FILENO;
    return fileno(stream);
}
