/* Signs of life between ranks: forked processes on this machine. One ends, stops or fails, and all others end
 * with the exit code and one message; one that lives but makes no progress is named; other connections
 * disturb nothing. */
#include "host/sys.h"
#include "host/sys_socket.h"
#include "ranks/heartbeat.h"
#include "support/forked_processes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RANKS = 3, PRINTED = 1 << 14 };
static const double LIMIT = 3;    /* seconds without a sign of life */
static const double PATIENCE = 2; /* seconds without progress */

/* What a rank does when all are connected. Ranks that return end as after a training. */
typedef void behaviour(int rank);

/* Shared by the forked processes. */
static struct {
    heartbeat_place place;
    atomic_bool listening; /* rank 0 */
    atomic_int ready;      /* ranks */
} * shared;

static char (*host_names(void))[HEARTBEAT_HOST] {
    static char hosts[RANKS][HEARTBEAT_HOST] = {"alpha", "beta", "gamma"};
    return hosts;
}

/* Connects without the secret: one connection sends wrong bytes, one nothing. */
static void send_strangers(void) {
    char nonsense[64];
    memset(nonsense, 'x', sizeof nonsense);
    for (int i = 0; i < 2; i++) {
        const int stranger = sys_connect(&shared->place.addresses[0]);
        sys_sleep(0.1);
        if (i == 0) (void)sys_send(stranger, nonsense, sizeof nonsense);
    }
}

/* Of all ranks, but that `slow` has begun one transfer less; -1: none. */
static heartbeat_progress progress;
static int slow = -1;

static void read_progress(heartbeat_progress *now) {
    *now = progress;
}

static int run_rank(int rank, behaviour *behave) {
    const heartbeat_options options = {.rank = rank,
                                       .size = RANKS,
                                       .hosts = host_names(),
                                       .limit = LIMIT,
                                       .patience = PATIENCE,
                                       .progress = read_progress};
    if (rank == 0) {
        if (heartbeat_listen(&shared->place) != P2P_OK) return 101;
        atomic_store(&shared->listening, true);
    }
    while (!atomic_load(&shared->listening)) sys_sleep(0.01);
    if (rank == slow) progress.begun[1]--;
    if (rank == 1) send_strangers();
    if (heartbeat_start(&options, &shared->place) != P2P_OK) {
        fprintf(stderr, "%s\n", p2p_message());
        return 102;
    }
    heartbeat_set_command("the command");
    atomic_fetch_add(&shared->ready, 1);
    behave(rank);
    heartbeat_end();
    heartbeat_join();
    return 0;
}

/* This process stops when its thread has read the clock for its next turn. */
static atomic_bool stops_in_turn;
static _Thread_local bool turn_begins;

void __real_sys_sockets_wait(const int *sockets, const bool *writes, bool *ready, int count, double seconds);
void __wrap_sys_sockets_wait(const int *sockets, const bool *writes, bool *ready, int count, double seconds);
void __wrap_sys_sockets_wait(const int *sockets, const bool *writes, bool *ready, int count, double seconds) {
    __real_sys_sockets_wait(sockets, writes, ready, count, seconds);
    turn_begins = true;
}

double __real_sys_clock(void);
double __wrap_sys_clock(void);
double __wrap_sys_clock(void) {
    const double now = __real_sys_clock();
    if (turn_begins && atomic_exchange(&stops_in_turn, false)) raise(SIGSTOP);
    turn_begins = false;
    return now;
}

/* Whether a rank that stops continues when the others have lost it. */
static bool wakes;

static void wake_or_kill(pid_t stopped, int *status) {
    if (wakes) sys_sleep(LIMIT + 3);
    kill(stopped, wakes ? SIGCONT : SIGKILL);
    if (wakes) waitpid(stopped, status, 0);
}

/* Runs all ranks with their stderr in one pipe. Returns what they print. */
static const char *run_ranks(behaviour *behave, int exit_codes[RANKS]) {
    static char printed[PRINTED];
    int ends[2], used = 0;
    pid_t children[RANKS];
    atomic_store(&shared->listening, false);
    atomic_store(&shared->ready, 0);
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < RANKS; i++) {
        children[i] = fork();
        if (children[i] != 0) continue;
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        alarm(25);
        _exit(run_rank(i, behave));
    }
    close(ends[1]);
    for (int i = 0; i < RANKS; i++) {
        int status = 0;
        waitpid(children[i], &status, WUNTRACED);
        if (WIFSTOPPED(status)) wake_or_kill(children[i], &status);
        exit_codes[i] = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    for (long got; (got = read(ends[0], printed + used, (size_t)(PRINTED - 1 - used))) > 0;) used += (int)got;
    printed[used] = '\0';
    close(ends[0]);
    return printed;
}

static int occurrences(const char *text, const char *words) {
    int count = 0;
    while ((text = strstr(text, words)) != NULL) {
        count++;
        text++;
    }
    return count;
}

static void expect_codes(const int found[RANKS], int first, int second, int third, const char *printed) {
    if (found[0] == first && found[1] == second && found[2] == third) return;
    fail_msg("exit codes %d, %d and %d instead of %d, %d and %d: %s", found[0], found[1], found[2], first,
             second, third, printed);
}

/* ---- Tests -------------------------------------------------------------------------------------------- */

static void end_well(int rank) {
    sys_sleep(0.3 * rank);
}

static void nothing_happens(void **state) {
    (void)state;
    int codes[RANKS];
    const char *printed = run_ranks(end_well, codes);
    expect_codes(codes, 0, 0, 0, printed);
    assert_string_equal(printed, "");
}

static void wait_long(void) {
    for (;;) sys_sleep(60);
}

static void wait_for_all(void) {
    while (atomic_load(&shared->ready) < RANKS) sys_sleep(0.01);
}

static void third_dies(int rank) {
    wait_for_all();
    if (rank == 2) kill(getpid(), SIGKILL);
    wait_long();
}

static void a_rank_dies(void **state) {
    (void)state;
    int codes[RANKS];
    const char *printed = run_ranks(third_dies, codes);
    expect_codes(codes, 5, 5, -1, printed);
    assert_int_equal(occurrences(printed, "rank 2 on gamma is lost: its process has ended"), 1);
    assert_int_equal(occurrences(printed, "p2p: "), 1);
    assert_non_null(strstr(printed, "there is no checkpoint yet: begin again at step 1, on what is left"));
    assert_non_null(strstr(printed, "with: the command\n"));
}

static void second_stops(int rank) {
    if (rank == 0) heartbeat_set_kept();
    if (rank == 1) raise(SIGSTOP);
    wait_long();
}

static void a_rank_stops(void **state) {
    (void)state;
    int codes[RANKS];
    const char *printed = run_ranks(second_stops, codes);
    expect_codes(codes, 5, -1, 5, printed);
    assert_int_equal(occurrences(printed, "rank 1 on beta is lost: no sign of life for 3 s"), 1);
    assert_int_equal(occurrences(printed, "hint: continue from the last checkpoint, on what is left"), 1);
}

static void first_stops(int rank) {
    wait_for_all();
    if (rank == 0) raise(SIGSTOP);
    wait_long();
}

/* It finds the others' connections ended, because they have lost it. */
static void a_stopped_rank_wakes(void **state) {
    (void)state;
    int codes[RANKS];
    wakes = true;
    const char *printed = run_ranks(first_stops, codes);
    wakes = false;
    expect_codes(codes, 5, 5, 5, printed);
    assert_int_equal(occurrences(printed, "rank 0 on alpha is lost: no sign of life for 3 s"), 2);
    assert_int_equal(occurrences(printed, "rank 0 on alpha was stopped for "), 1);
    assert_int_equal(occurrences(printed, "is lost"), 2);
}

static void first_stops_in_its_turn(int rank) {
    wait_for_all();
    if (rank == 0) atomic_store(&stops_in_turn, true);
    wait_long();
}

/* The clock shows no pause between this turn and the one before. */
static void a_rank_stopped_in_its_turn_wakes(void **state) {
    (void)state;
    int codes[RANKS];
    wakes = true;
    const char *printed = run_ranks(first_stops_in_its_turn, codes);
    wakes = false;
    expect_codes(codes, 5, 5, 5, printed);
    assert_int_equal(occurrences(printed, "rank 0 on alpha was stopped for "), 1);
}

static void first_dies(int rank) {
    wait_for_all();
    if (rank == 0) kill(getpid(), SIGKILL);
    wait_long();
}

/* Rank 0 can't print for all, so each other rank prints. */
static void the_first_dies(void **state) {
    (void)state;
    int codes[RANKS];
    const char *printed = run_ranks(first_dies, codes);
    expect_codes(codes, -1, 5, 5, printed);
    assert_int_equal(occurrences(printed, "rank 0 on alpha is lost: its process has ended"), 2);
    assert_int_equal(occurrences(printed, "the last checkpoint, or at step 1 if there is none"), 2);
}

static void second_fails(int rank) {
    if (rank == 1) {
        p2p_fail(P2P_INPUT, "the picture is bad\nand so is this line");
        heartbeat_fail(p2p_hint(P2P_INPUT, "replace it"));
    }
    wait_long();
}

static void a_rank_fails(void **state) {
    (void)state;
    int codes[RANKS];
    const char *printed = run_ranks(second_fails, codes);
    expect_codes(codes, 3, 3, 3, printed);
    assert_int_equal(occurrences(printed, "p2p: rank 1 on beta: the picture is bad"), 1);
    assert_int_equal(occurrences(printed, "\nand so"), 0); /* escaped */
    assert_int_equal(occurrences(printed, "hint: replace it"), 1);
}

/* All ranks fail for the same reason: rank 0 prints it as its own, once. */
static void all_fail(int rank) {
    p2p_fail(P2P_NO_DEVICE, "there is no device");
    if (rank == 0) heartbeat_end_all(P2P_NO_DEVICE);
    heartbeat_fail(P2P_NO_DEVICE);
}

static void all_ranks_fail(void **state) {
    (void)state;
    int codes[RANKS];
    const char *printed = run_ranks(all_fail, codes);
    expect_codes(codes, 4, 4, 4, printed);
    assert_string_equal(printed, "p2p: there is no device\n");
}

/* A warning is printed once for each machine, of other ranks with their names. */
static void all_warn(int rank) {
    wait_for_all();
    if (rank > 0) sys_sleep(0.3); /* rank 0 is first */
    for (int i = 0; i < 2; i++) heartbeat_warn("the cache\nis full");
    if (rank == 1) heartbeat_warn("slow");
    sys_sleep(0.5);
}

static void ranks_warn(void **state) {
    (void)state;
    int codes[RANKS];
    const char *printed = run_ranks(all_warn, codes);
    expect_codes(codes, 0, 0, 0, printed);
    assert_int_equal(occurrences(printed, "warning: the cache"), 1);
    assert_int_equal(occurrences(printed, "warning: rank 1 on beta: the cache"), 1);
    assert_int_equal(occurrences(printed, "warning: rank 1 on beta: slow\n"), 1);
    assert_int_equal(occurrences(printed, "warning: rank 2 on gamma: the cache"), 1);
    assert_int_equal(occurrences(printed, "\nis full"), 0); /* escaped */
    assert_int_equal(occurrences(printed, "warning: "), 4);
}

/* The progress is set before the thread that reads it starts. */
static void stay(int rank) {
    (void)rank;
    sys_sleep(2 * PATIENCE + 1.5);
}

/* Rank 1 has not begun the fourth transfer of the second channel, in which the others wait. */
static void a_rank_stays_behind(void **state) {
    (void)state;
    int codes[RANKS];
    progress = (heartbeat_progress){.begun = {7, 4}, .ended = {7, 3}};
    slow = 1;
    const char *printed = run_ranks(stay, codes);
    slow = -1;
    expect_codes(codes, 0, 0, 0, printed);
    assert_int_equal(occurrences(printed, "warning: rank 1 on beta has kept the other ranks waiting for "),
                     2);
    assert_int_equal(occurrences(printed, "warning: "), 2);
}

static void all_wait(void **state) {
    (void)state;
    int codes[RANKS];
    progress = (heartbeat_progress){.begun = {8, 3}, .ended = {7, 3}};
    const char *printed = run_ranks(stay, codes);
    expect_codes(codes, 0, 0, 0, printed);
    assert_int_equal(occurrences(printed, "warning: all ranks have waited for one transfer by MPI for "), 2);
    assert_int_equal(occurrences(printed, "warning: "), 2);
}

/* All compute, between two transfers. */
static void none_waits(void **state) {
    (void)state;
    int codes[RANKS];
    progress = (heartbeat_progress){.begun = {8, 3}, .ended = {8, 3}};
    const char *printed = run_ranks(stay, codes);
    expect_codes(codes, 0, 0, 0, printed);
    assert_string_equal(printed, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rank_stays_behind),  cmocka_unit_test(all_wait),
        cmocka_unit_test(none_waits),           cmocka_unit_test(nothing_happens),
        cmocka_unit_test(a_rank_dies),          cmocka_unit_test(a_rank_stops),
        cmocka_unit_test(a_stopped_rank_wakes), cmocka_unit_test(a_rank_stopped_in_its_turn_wakes),
        cmocka_unit_test(the_first_dies),       cmocka_unit_test(a_rank_fails),
        cmocka_unit_test(all_ranks_fail),       cmocka_unit_test(ranks_warn)};
    shared = forked_memory(sizeof *shared);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
