/* Status codes and messages: how functions of p2p report failures.
 *
 * A function that can fail returns p2p_status. The message is composed where the failure occurs, with the
 * name of the file, flag or vendor code; callers forward the status (P2P_TRY). Library code does not print
 * and does not exit: the program prints the message and the hint, and exits with p2p_status_exit_code().
 * Nothing is logged here.
 */
#ifndef P2P_STATUS_H
#define P2P_STATUS_H

#include <stdarg.h>

#if defined(__GNUC__)
#define P2P_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define P2P_PRINTF(fmt, args)
#endif

/* X(name, exit code of the program, cause) */
#define P2P_STATUS_LIST(X)                                                                                   \
    X(OK, 0, "success")                                                                                      \
    X(FAILED, 1, "the program or the machine failed")                                                        \
    X(OUT_OF_MEMORY, 1, "host or device memory did not suffice")                                             \
    X(UNSUPPORTED, 1, "the device does not support the operation; not an error while planning")              \
    X(INVALID, 1, "a caller of the library passed an invalid argument")                                      \
    X(IO, 1, "the operating system refused to read or write")                                                \
    X(USAGE, 2, "the command line is wrong")                                                                 \
    X(INPUT, 3, "a file or folder given by the user is unusable")                                            \
    X(UNREADABLE, 3,                                                                                         \
      "a file or folder can't be opened, read or looked at; nothing is known of its contents")               \
    X(NO_DEVICE, 4, "there is no such device")                                                               \
    X(DEVICE_LOST, 5, "the device does not respond and can no longer be used")                               \
    X(DIVERGED, 1, "a training produced numbers that are not finite")                                        \
    X(STOPPED, 130, "stopped by a signal; completed work is kept")

typedef enum {
#define X(name, exit_code, meaning) P2P_##name,
    P2P_STATUS_LIST(X)
#undef X
} p2p_status;

/* Sets the calling thread's message, clears its hint, and returns `code`. `code` must not be P2P_OK. An
 * argument may be the old message. */
p2p_status p2p_fail(p2p_status code, const char *format, ...) P2P_PRINTF(2, 3);
p2p_status p2p_fail_v(p2p_status code, const char *format, va_list args);

/* Sets the hint: what the user could try. It belongs to the message and is cleared by the next p2p_fail.
 * Returns `code`. */
p2p_status p2p_hint(p2p_status code, const char *format, ...) P2P_PRINTF(2, 3);
p2p_status p2p_hint_v(p2p_status code, const char *format, va_list args);

/* The calling thread's last message and hint; "" if there is none. Valid until the thread's next p2p_fail or
 * p2p_hint. */
const char *p2p_message(void);
const char *p2p_message_hint(void);

/* A message holds three paths of the greatest length, and a hint a command that is to be pasted, with five
 * such paths in the longest form that quoting makes of them. Of a longer text the middle is left out, and "
 * [...] " marks the place. */
enum { P2P_PATH_BYTES = 4096, P2P_MESSAGE_BYTES = 4 * P2P_PATH_BYTES, P2P_HINT_BYTES = 24 * P2P_PATH_BYTES };

/* A failure with its message and hint, to outlive calls that may fail after it: cleaning up, another
 * thread's. */
typedef struct {
    p2p_status status;
    char message[P2P_MESSAGE_BYTES], hint[P2P_HINT_BYTES];
} p2p_failure;

/* Stores `status` and the calling thread's message and hint. */
void p2p_failure_take(p2p_failure *failure, p2p_status status);
/* Makes the stored text the calling thread's message and hint, and returns the status. */
p2p_status p2p_failure_give(const p2p_failure *failure);

const char *p2p_status_name(p2p_status code);
int p2p_status_exit_code(p2p_status code);

/* Returns the status of `expression` from the enclosing function unless it is P2P_OK. */
#define P2P_TRY(expression)                                                                                  \
    do {                                                                                                     \
        p2p_status p2p_try_status_ = (expression);                                                           \
        if (p2p_try_status_ != P2P_OK) return p2p_try_status_;                                               \
    } while (0)

#endif
