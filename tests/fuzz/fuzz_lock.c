/* The lock file of a training's folder: free, and held through the kernel by a process that wrote any text.
 */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include "fuzz.h"

#include "host/lock.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static bool begins(const char *text, const char *word) {
    return strncmp(text, word, strlen(word)) == 0;
}

/* The hint may have a command to paste, so the number must be that of a process, not of all of them. */
static void check_message(void) {
    fuzz_require(strstr(p2p_message_hint(), "kill -") == NULL &&
                     !begins(p2p_message(), "run is in use: process -") &&
                     !begins(p2p_message(), "run may be in use: process -"),
                 "a process has a positive number");
}

static void hold(const char *path) {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    const int descriptor = open(path, O_RDWR | O_CLOEXEC);
    fuzz_require(descriptor >= 0 && fcntl(descriptor, F_OFD_SETLK, &whole) == 0, "the test can hold a lock");
    fuzz_require(sys_lock_check(path, "run") == P2P_USAGE, "a held lock is refused");
    check_message();
    close(descriptor);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    sys_lock *lock;
    const char *path = fuzz_file("run.lock", bytes, size);
    hold(path);
    const p2p_status checked = sys_lock_check(path, "run");
    if (checked != P2P_OK) check_message();
    fuzz_require(checked == P2P_OK || checked == P2P_USAGE, "a lock is free or refused");
    fuzz_require(sys_lock_take(&lock, path, "run") == checked, "a free lock can be taken");
    sys_lock_release(lock);
    return 0;
}
