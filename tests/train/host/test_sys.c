/* The contract of sys.h: paths, folders, files, threads. Walking and reading with malicious names are tested
 * with data sets and images. */
#define _GNU_SOURCE /* posix_openpt, sched_setaffinity */
#include "host/sys.h"
#include "support/test_files.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "support/test_expect.h"
#include "support/test_skip.h"

static bool wants_all(const char *relative) {
    (void)relative;
    return true;
}

static void assert_kind(const char *path, sys_path_kind expected) {
    sys_path_kind kind;
    bool is_folder;
    assert_int_equal(sys_path_kind_of(path, &kind), P2P_OK);
    assert_int_equal(kind, expected);
    assert_int_equal(sys_path_is_folder(path, &is_folder), P2P_OK);
    assert_int_equal(is_folder, expected == SYS_PATH_FOLDER);
}

static void test_paths(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"}, {"/", "b", "/b"}, {"a", "b/c", "a/b/c"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path;
        assert_int_equal(sys_path_join(&path, cases[i][0], cases[i][1]), P2P_OK);
        assert_string_equal(path, cases[i][2]);
        free(path);
    }
    static const char *const bases[][2] = {{"a/b/c", "c"}, {"c", "c"}, {"/c", "c"}, {"a/", ""}, {"", ""}};
    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++)
        assert_string_equal(sys_base_name(bases[i][0]), bases[i][1]);
    char *folder = test_folder_make();
    test_file_write(test_path(folder, "file"), "x", 1);
    test_link_add(test_path(folder, "link"), "file");
    test_link_add(test_path(folder, "dangling"), "nothing");
    assert_kind(folder, SYS_PATH_FOLDER);
    assert_kind(test_path(folder, "file"), SYS_PATH_FILE);
    assert_kind(test_path(folder, "link"), SYS_PATH_FILE);
    assert_kind(test_path(folder, "missing"), SYS_PATH_ABSENT);
    assert_kind(test_path(folder, "file/below"), SYS_PATH_ABSENT);
    assert_kind("/dev/null", SYS_PATH_OTHER);
    test_folder_remove(folder);
}

/* What cannot be found out is not absent. */
static void test_paths_that_cannot_be_known(void **state) {
    (void)state;
    char *folder = test_folder_make(), name[300];
    sys_path_kind kind;
    bool is_folder;
    sys_names names;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    test_link_add(test_path(folder, "loop"), "loop");
    test_link_add(test_path(folder, "dangling"), "nothing");
    REFUSED(sys_path_kind_of(test_path(folder, name), &kind), P2P_UNREADABLE, "File name too long");
    REFUSED(sys_path_kind_of(test_path(folder, "loop"), &kind), P2P_UNREADABLE, "loop is: Too many levels");
    REFUSED(sys_path_kind_of(test_path(folder, "loop/below"), &kind), P2P_UNREADABLE,
            "below is: Too many levels");
    REFUSED(sys_path_kind_of(test_path(folder, "dangling"), &kind), P2P_UNREADABLE, "leads nowhere");
    REFUSED(sys_path_is_folder(test_path(folder, "loop"), &is_folder), P2P_UNREADABLE, "loop");
    assert_int_equal(sys_path_kind_of(test_path(folder, "dangling/below"), &kind), P2P_OK);
    assert_int_equal(kind, SYS_PATH_ABSENT);
    if (geteuid() == 0) {
        TEST_SKIP_PART("no permission is denied to root");
    } else {
        test_folder_add(test_path(folder, "closed"));
        test_folder_add(test_path(folder, "closed/below"));
        assert_int_equal(chmod(test_path(folder, "closed"), 0400), 0); /* names, but nothing about them */
        REFUSED(sys_path_kind_of(test_path(folder, "closed/below"), &kind), P2P_UNREADABLE,
                "Permission denied");
        const p2p_status walked = sys_folder_walk(&names, folder, wants_all);
        assert_int_equal(chmod(test_path(folder, "closed"), 0700), 0);
        REFUSED(walked, P2P_UNREADABLE, "below is: Permission denied");
    }
    test_folder_remove(folder);
}

static void test_real_paths(void **state) {
    (void)state;
    static const char *const cases[][2] = {{"", ""},
                                           {"a/b/", "/a/b"},
                                           {"a/./b/../b", "/a/b"},
                                           {"link", "/a/b"},
                                           {"link/..", "/a"},
                                           {"new", "/new"},
                                           {"new//er/", "/new/er"},
                                           {"new/./er/../../a", "/a"},
                                           {"link/x", "/a/b/x"},
                                           {"self", "/self"},
                                           {"dangling", "/dangling"}};
    char *folder = test_folder_make(), *root, *real;
    test_folder_add(test_path(folder, "a"));
    test_folder_add(test_path(folder, "a/b"));
    test_file_write(test_path(folder, "file"), "x", 1);
    test_link_add(test_path(folder, "link"), "a/b");
    test_link_add(test_path(folder, "self"), "self");
    test_link_add(test_path(folder, "dangling"), "nothing");
    assert_int_equal(sys_path_real(&root, folder), P2P_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(sys_path_real(&real, test_path(folder, cases[i][0])), P2P_OK);
        assert_memory_equal(real, root, strlen(root));
        assert_string_equal(real + strlen(root), cases[i][1]);
        free(real);
    }
    assert_int_equal(sys_path_real(&real, "/../.."), P2P_OK);
    assert_string_equal(real, "/");
    free(real);
    assert_int_equal(sys_path_real(&real, "/nothing-of-this-name/../.."), P2P_OK);
    assert_string_equal(real, "/");
    free(real);
    assert_int_equal(sys_path_real(&real, test_path(folder, "file/x")), P2P_OK);
    assert_string_equal(real + strlen(root), "/file/x");
    free(real);
    free(root);
    test_folder_remove(folder);
}

static void test_making_folders(void **state) {
    (void)state;
    char *folder = test_folder_make();
    const char *deep = test_path(folder, "a/b//c/");
    assert_int_equal(sys_folder_make(deep), P2P_OK);
    assert_kind(deep, SYS_PATH_FOLDER);
    assert_int_equal(sys_folder_make(deep), P2P_OK); /* again */
    assert_int_equal(sys_folder_make("."), P2P_OK);
    assert_int_equal(sys_folder_make("/"), P2P_OK);
    test_file_write(test_path(folder, "file"), "x", 1);
    assert_int_equal(sys_folder_make(test_path(folder, "file")), P2P_IO);
    MESSAGE_HAS("file: File exists");
    assert_int_equal(sys_folder_make(test_path(folder, "file/below")), P2P_IO);
    assert_int_equal(sys_folder_make(""), P2P_USAGE);

    /* One folder is not made again with its parents, which may have been renamed meanwhile. */
    assert_int_equal(sys_folder_make_one(test_path(folder, "gone/one")), P2P_IO);
    assert_kind(test_path(folder, "gone"), SYS_PATH_ABSENT);
    assert_int_equal(sys_folder_make_one(test_path(folder, "one")), P2P_OK);
    assert_int_equal(sys_folder_make_one(test_path(folder, "one")), P2P_OK);
    test_folder_remove(folder);
}

static void test_files(void **state) {
    (void)state;
    char *folder = test_folder_make();
    const char *path = test_path(folder, "data");
    uint8_t *bytes;
    size_t size;
    uint64_t total;
    assert_int_equal(sys_file_write(path, "0123456789", 10), P2P_OK);
    assert_int_equal(sys_file_write(path, "abcdef", 6), P2P_OK); /* replaces */
    assert_int_equal(test_folder_entries(folder), 1);
    assert_int_equal(sys_file_read(path, 100, &bytes, &size, NULL), P2P_OK);
    assert_int_equal(size, 6);
    assert_memory_equal(bytes, "abcdef", 6);
    free(bytes);
    assert_int_equal(sys_file_read(path, 4, &bytes, &size, &total), P2P_OK);
    assert_int_equal(size, 4);
    assert_int_equal(total, 6);
    assert_memory_equal(bytes, "abcd", 4);
    free(bytes);
    assert_int_equal(sys_file_write(path, "", 0), P2P_OK);
    assert_int_equal(sys_file_read(path, 4, &bytes, &size, &total), P2P_OK);
    assert_int_equal(size, 0);
    free(bytes);
    assert_int_equal(sys_file_read(folder, 4, &bytes, &size, &total), P2P_UNREADABLE);
    assert_null(bytes);
    MESSAGE_HAS(folder);
    assert_int_equal(sys_file_remove(path), P2P_OK);
    assert_int_equal(sys_file_remove(path), P2P_OK); /* removing it again succeeds */
    assert_int_equal(sys_file_remove(folder), P2P_IO);
    assert_int_equal(test_folder_entries(folder), 0);
    test_folder_remove(folder);
}

static void test_synchronising(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    FILE *file = tmpfile(), *through = fdopen(ends[1], "w"), *full = fopen("/dev/full", "w");
    assert_true(file && through && full);
    assert_true(fputs("text", file) > 0 && fputs("text", through) > 0 && fputs("text", full) > 0);
    assert_true(sys_file_sync(file));
    assert_true(sys_file_sync(through)); /* is only flushed */
    char text[4];
    assert_int_equal(read(ends[0], text, sizeof text), sizeof text);
    assert_false(sys_file_sync(full));
    fclose(file);
    fclose(through);
    fclose(full);
    close(ends[0]);
}

static void test_walking_what_is_no_folder(void **state) {
    (void)state;
    char *folder = test_folder_make();
    test_file_write(test_path(folder, "file"), "x", 1);
    sys_names names;
    assert_int_equal(sys_folder_walk(&names, test_path(folder, "missing"), wants_all), P2P_UNREADABLE);
    MESSAGE_HAS("missing");
    assert_int_equal(sys_folder_walk(&names, test_path(folder, "file"), wants_all), P2P_UNREADABLE);
    assert_int_equal(names.count, 0);
    assert_int_equal(sys_folder_walk(&names, folder, wants_all), P2P_OK);
    assert_int_equal(names.count, 1);
    assert_string_equal(names.names[0], "file");
    sys_names_free(&names);
    test_folder_remove(folder);
}

/* Two threads that take turns: each waits until the number is its own. */
typedef struct {
    sys_monitor *monitor;
    int number;
} turns;

enum { TURNS = 200 };

static void take_turns(turns *shared, int remainder) {
    sys_monitor_enter(shared->monitor);
    for (int i = 0; i < TURNS; i++) {
        while (shared->number % 2 != remainder) sys_monitor_wait(shared->monitor);
        shared->number++;
        sys_monitor_wake_all(shared->monitor);
    }
    sys_monitor_leave(shared->monitor);
}

static void take_odd_turns(void *argument) {
    take_turns(argument, 1);
}

static void test_threads(void **state) {
    (void)state;
    turns shared = {.number = 0};
    sys_thread *thread;
    assert_int_equal(sys_monitor_create(&shared.monitor), P2P_OK);
    assert_int_equal(sys_thread_start(&thread, take_odd_turns, &shared), P2P_OK);
    take_turns(&shared, 0);
    sys_thread_join(thread);
    assert_int_equal(shared.number, 2 * TURNS);
    sys_monitor_destroy(shared.monitor);
    sys_thread_join(NULL);
    sys_monitor_destroy(NULL);
}

/* Jobs that count how often each has run, and may wait until two are at work. */
enum { JOBS = 1000 };

typedef struct {
    sys_monitor *monitor;
    int runs[JOBS];
    int started;
    bool wait;
} counted_jobs;

static void run_counted(void *context, int index) {
    counted_jobs *jobs = context;
    sys_monitor_enter(jobs->monitor);
    jobs->runs[index]++;
    jobs->started++;
    sys_monitor_wake_all(jobs->monitor);
    while (jobs->wait && jobs->started < 2) sys_monitor_wait(jobs->monitor);
    sys_monitor_leave(jobs->monitor);
}

static void test_parallel_jobs(void **state) {
    (void)state;
    static const int counts[] = {0, 1, 2, 3, JOBS};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        static counted_jobs jobs;
        jobs = (counted_jobs){.wait = counts[c] == 2 && sys_processors() > 1};
        assert_int_equal(sys_monitor_create(&jobs.monitor), P2P_OK);
        sys_parallel(run_counted, &jobs, counts[c]); /* the two that wait end only if both run at once */
        for (int i = 0; i < JOBS; i++) assert_int_equal(jobs.runs[i], i < counts[c]);
        sys_monitor_destroy(jobs.monitor);
    }
}

/* In a process of its own, because a test can't count on getting its processors back. */
static void test_processors_of_a_part(void **state) {
    (void)state;
    assert_in_range(sys_processors(), 1, sys_machine_processors());
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        cpu_set_t first;
        CPU_ZERO(&first);
        for (int i = 0; CPU_COUNT(&first) == 0 && i < CPU_SETSIZE; i++) {
            CPU_SET(i, &first);
            if (sched_setaffinity(0, sizeof first, &first) != 0) CPU_CLR(i, &first);
        }
        _exit(CPU_COUNT(&first) == 1 && sys_processors() == 1 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

typedef struct {
    int order[JOBS], count;
} ordered_jobs;

static void run_ordered(void *context, int index) {
    ordered_jobs *jobs = context;
    jobs->order[jobs->count++] = index;
}

/* On one thread, jobs run one by one in order. */
static void test_jobs_on_one_thread(void **state) {
    (void)state;
    static ordered_jobs jobs;
    sys_parallel_on(1, run_ordered, &jobs, JOBS);
    assert_int_equal(jobs.count, JOBS);
    for (int i = 0; i < JOBS; i++) assert_int_equal(jobs.order[i], i);
}

/* Two threads are more than one, on a machine with one processor too. */
static void test_jobs_on_two_threads(void **state) {
    (void)state;
    static counted_jobs jobs;
    jobs = (counted_jobs){.wait = true};
    assert_int_equal(sys_monitor_create(&jobs.monitor), P2P_OK);
    sys_parallel_on(2, run_counted, &jobs, 2); /* ends only if both run at once */
    assert_int_equal(jobs.started, 2);
    sys_monitor_destroy(jobs.monitor);
}

static void test_paths_without_links(void **state) {
    (void)state;
    test_folder_add(test_own_path("real"));
    test_file_write(test_own_path("real/file"), "x", 1);
    test_link_add(test_own_path("link"), "real");
    test_link_add(test_own_path("real/alias"), "file");
    OK(sys_path_no_links(test_own_folder, "real/file"));
    OK(sys_path_no_links(test_own_folder, "absent/file"));
    OK(sys_path_no_links(test_own_path("link"), "file")); /* the folder itself may be one */
    REFUSED(sys_path_no_links(test_own_folder, "link/file"), P2P_USAGE, "link/file is a symbolic link");
    REFUSED(sys_path_no_links(test_own_folder, "real/alias"), P2P_USAGE, "real/alias is a symbolic link");
}

static void test_links_to_folders(void **state) {
    (void)state;
    enum { NOBODY = 65534 };
    test_folder_add(test_own_path("real"));
    test_link_add(test_own_path("link"), "real");
    test_link_add(test_own_path("real/again"), ".");
    OK(sys_folder_check_links(test_own_folder, test_own_folder));
    OK(sys_folder_check_links(test_own_folder, test_own_path("absent/below")));
    OK(sys_folder_check_links(test_own_folder, test_own_path("link/again/x"))); /* this user's own */
    if (geteuid() != 0 || lchown(test_own_path("link"), NOBODY, NOBODY) != 0)
        TEST_SKIP("links of another user: needs root");
    REFUSED(sys_folder_check_links(test_own_folder, test_own_path("link")), P2P_USAGE,
            "link is a symbolic link");
    REFUSED(sys_folder_check_links(test_own_folder, test_own_path("link/again/x")), P2P_USAGE,
            "number 65534");
    OK(sys_folder_check_links(test_own_path("link"),
                              test_own_path("link/again/x"))); /* the person named it */
    assert_int_equal(lchown(test_own_path("real/again"), NOBODY, NOBODY), 0);
    REFUSED(sys_folder_check_links(test_own_path("link"), test_own_path("link/again/x")), P2P_USAGE,
            "link/again is a symbolic link");
    REFUSED(sys_folder_check_links(test_own_path("real/"), test_own_path("real/again")), P2P_USAGE,
            "real/again");
}

static char printed_lines[256];

static void keep_line(const char *line) {
    const size_t used = strlen(printed_lines);
    snprintf(printed_lines + used, sizeof printed_lines - used, "[%s]", line);
}

static void test_programs(void **state) {
    (void)state;
    int code = -1;
    const char *const reads_nothing[] = {"sh", "-c", "read line && exit 1; exit 7", NULL};
    const char *const ends_by_signal[] = {"sh", "-c", "kill -9 $$", NULL};
    const char *const absent[] = {"p2p-no-such-program", NULL};
    OK(sys_program_run(reads_nothing, keep_line, &code));
    assert_int_equal(code, 7);
    REFUSED(sys_program_run(ends_by_signal, keep_line, &code), P2P_FAILED, "signal 9 ended sh");
    REFUSED(sys_program_run(absent, keep_line, &code), P2P_FAILED,
            "the program p2p-no-such-program is not installed");
    const char *const prints[] = {
        "sh", "-c", "echo out; echo err >&2; printf 'a\\n\\nb\\033'; (sleep 9; echo late) &", NULL};
    printed_lines[0] = '\0';
    OK(sys_program_run(prints, keep_line, &code)); /* `sleep` holds the output open */
    assert_string_equal(printed_lines, "[out][err][a][b\033]");
}

/* The system's clock, in place of the C library's function: what a test sets, or some real time. */
static const struct timespec *shown_time;

int clock_gettime(clockid_t clock, struct timespec *now) {
    (void)clock;
    if (shown_time)
        *now = *shown_time;
    else
        timespec_get(now, TIME_UTC);
    return 0;
}

/* A clock that jumps back stands still, so that no duration or rate is negative. */
static void test_clock_that_jumps(void **state) {
    (void)state;
    static const struct timespec times[] = {
        {5000000000, 500000000}, {4999999999, 0}, {1, 0}, {5000000000, 600000000}};
    static const double expected[] = {5000000000.5, 5000000000.5, 5000000000.5, 5000000000.6};
    for (int i = 0; i < 4; i++) {
        shown_time = &times[i];
        const double read = sys_clock();
        shown_time = NULL;
        assert_true(read > expected[i] - 1e-3 && read < expected[i] + 1e-3);
    }
}

static void test_terminal_and_clock(void **state) {
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_false(sys_is_terminal(file));
    assert_int_equal(sys_terminal_columns(file), 80);
    fclose(file);
    double before = sys_clock();
    for (int i = 0; i < 1000; i++) {
        double now = sys_clock();
        assert_true(now >= before);
        before = now;
    }
}

/* A stream of a new terminal, whose other end stays open. */
static FILE *open_terminal(int *end) {
    *end = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(*end >= 0 && grantpt(*end) == 0 && unlockpt(*end) == 0);
    const int terminal = open(ptsname(*end), O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    return fdopen(terminal, "w");
}

/* NULL: not set. */
static void set_variable(const char *name, const char *value) {
    assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

static void test_colours(void **state) {
    (void)state;
    static const struct {
        const char *term, *no_color;
        bool colours;
    } cases[] = {{"xterm", NULL, true}, {"xterm", "", true}, {"xterm", "1", false},
                 {"dumb", NULL, false}, {"", NULL, false},   {NULL, NULL, false}};
    int end;
    FILE *terminal = open_terminal(&end), *file = tmpfile();
    assert_non_null(terminal);
    assert_non_null(file);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set_variable("TERM", cases[i].term);
        set_variable("NO_COLOR", cases[i].no_color);
        assert_int_equal(sys_has_colours(terminal), cases[i].colours);
        assert_false(sys_has_colours(file));
    }
    fclose(file);
    fclose(terminal);
    close(end);
}

/* gcc and clang announce AddressSanitizer, whose allocator replaces glibc's, in different ways. */
#if defined __has_feature
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZED
#endif
#elif defined __SANITIZE_ADDRESS__
#define ADDRESS_SANITIZED
#endif

/* After a large block was freed, the allocator still returns the memory of the next ones. */
static void test_freed_memory(void **state) {
    (void)state;
#if defined __GLIBC__ && !defined ADDRESS_SANITIZED
    sys_memory_return_freed();
    void *volatile first = malloc(8 << 20);
    free(first);
    const size_t blocks = mallinfo2().hblks;
    void *volatile second = malloc(1 << 20);
    assert_int_equal(mallinfo2().hblks, blocks + 1);
    free(second);
#else
    TEST_SKIP("the allocator is not glibc's own");
#endif
}

static void test_peak_memory(void **state) {
    (void)state;
    enum { BYTES = 64 << 20 };
    size_t before = sys_peak_memory();
    unsigned char *memory = malloc(BYTES);
    assert_non_null(memory);
    memset(memory, 1, BYTES);
    assert_true(memory[BYTES - 1] == 1);
    size_t after = sys_peak_memory();
    free(memory);
    assert_true(before > 0);
    assert_true(after >= BYTES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_real_paths),
        cmocka_unit_test(test_paths_that_cannot_be_known),
        cmocka_unit_test(test_making_folders),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_synchronising),
        cmocka_unit_test(test_walking_what_is_no_folder),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_parallel_jobs),
        cmocka_unit_test(test_processors_of_a_part),
        cmocka_unit_test(test_jobs_on_one_thread),
        cmocka_unit_test(test_jobs_on_two_threads),
        TEST_IN_FOLDER(test_paths_without_links),
        TEST_IN_FOLDER(test_links_to_folders),
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_terminal_and_clock),
        cmocka_unit_test(test_colours),
        cmocka_unit_test(test_clock_that_jumps),
        cmocka_unit_test(test_peak_memory),
        cmocka_unit_test(test_freed_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
