/* Running another program. See sys.h. */
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

static p2p_status failed_to_start(const char *name, int error) {
    if (error == ENOENT) return p2p_fail(P2P_FAILED, "the program %s is not installed", name);
    return p2p_fail(P2P_FAILED, "can't start %s: %s", name, strerror(error));
}

static p2p_status wait_for(pid_t process, const char *name, int *exit_code) {
    int state;
    while (waitpid(process, &state, 0) < 0)
        if (errno != EINTR) return p2p_fail(P2P_FAILED, "can't wait for %s: %s", name, strerror(errno));
    P2P_TRY(sys_stop_check());
    if (WIFSIGNALED(state)) return p2p_fail(P2P_FAILED, "signal %d ended %s", WTERMSIG(state), name);
    *exit_code = WEXITSTATUS(state);
    return P2P_OK;
}

p2p_status sys_program_run(const char *const *words, int *exit_code) {
    posix_spawn_file_actions_t actions;
    pid_t process;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) return failed_to_start(words[0], error);
    error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (error == 0) error = posix_spawnp(&process, words[0], &actions, NULL, (char *const *)words, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error == 0 ? wait_for(process, words[0], exit_code) : failed_to_start(words[0], error);
}
