/* Replicas on two and four devices of the machine made of software, whose sums NCCL's double makes, train
 * like the reference's replicas, with the same bits in every order of commands.
 *
 *   test_cuda_replicas [host]     host: NCCL is absent, and sums pass through the host
 */
#include "support/plan_training.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/test_expect.h"

/* About four times the difference of one device, whose sums are the same but in f32 where the reference's are
 * in f64. */
static const double BOUND = 2e-5;

static bool through_host;

typedef struct {
    int replicas;
    bool sync; /* statistics over all replicas, which NCCL does not combine */
    p2p_precision precision;
} shape;

/* ---- A training in a process of its own ------------------------------------------------------------ */

static bool write_all(int to, const void *bytes, size_t count) {
    return write(to, bytes, count) == (ssize_t)count;
}

/* Whether the warnings are those of the shape: only statistics pass through the host if there is NCCL. */
static bool expected_warnings(const shape *what, const char *warnings) {
    const bool fell_back = strstr(warnings, "reduced through host memory") != NULL;
    const bool lacks = strstr(warnings, "lacks a collective") != NULL;
    if (what->replicas == 1) return warnings[0] == '\0';
    return through_host ? fell_back : !fell_back && lacks == what->sync;
}

static int train_and_write(const shape *what, int to) {
    char *warnings = NULL;
    size_t size = 0;
    plan_training result;
    FILE *stream = open_memstream(&warnings, &size);
    if (!stream) return 1;
    p2p_warnings_to(stream);
    const p2p_session_options options = {.precision = what->precision};
    const p2p_status status = plan_train("cuda", 0, what->replicas, what->sync, &options, &result);
    p2p_warnings_to(NULL);
    fclose(stream);
    bool good = status == P2P_OK && expected_warnings(what, warnings);
    if (!good)
        fprintf(stderr, "%d replicas: %s; warnings: %s\n", what->replicas,
                status == P2P_OK ? "trained" : p2p_message(), warnings);
    good = good && write_all(to, &result, sizeof result) &&
           write_all(to, result.parameters, (size_t)result.count * sizeof *result.parameters);
    free(result.parameters);
    free(warnings);
    return !good;
}

static void read_all(int from, void *bytes, size_t count) {
    for (size_t done = 0; done < count;) {
        const ssize_t got = read(from, (char *)bytes + done, count - done);
        if (got <= 0) fail_msg("the training wrote no result");
        done += (size_t)got;
    }
}

/* The machine reads the order of commands when it starts, and reports violations when the process ends. */
static plan_training train(const shape *what, const char *seed) {
    int ends[2], status = 0;
    plan_training result;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        setenv("P2P_MACHINE_SEED", seed, 1);
        exit(train_and_write(what, ends[1]));
    }
    close(ends[1]);
    read_all(ends[0], &result, sizeof result);
    result.parameters = malloc((size_t)result.count * sizeof *result.parameters);
    assert_non_null(result.parameters);
    read_all(ends[0], result.parameters, (size_t)result.count * sizeof *result.parameters);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    return result;
}

/* ---- The tests ------------------------------------------------------------------------------------- */

/* With the seeds up to `last`. */
static void same_in_every_order(const shape *what, const plan_training *given, int last) {
    static const char *const seeds[] = {"1", "2", "3"};
    for (int seed = 1; seed <= last; seed++) {
        plan_training shuffled = train(what, seeds[seed - 1]);
        assert_true(plan_training_equal(&shuffled, given));
        free(shuffled.parameters);
    }
}

static void compare(int replicas) {
    const shape what = {replicas, true, P2P_PRECISION_fp32};
    plan_training reference;
    OK(plan_train("reference", 0, replicas, true, NULL, &reference));
    plan_training given = train(&what, "0");
    print_message("%d replicas differ by %.1e, allowed is %.1e\n", replicas,
                  plan_training_distance(&given, &reference), BOUND);
    assert_true(plan_training_distance(&given, &reference) < BOUND);
    assert_int_equal(given.collectives, reference.collectives);
    same_in_every_order(&what, &given, 3);
    free(given.parameters);
    free(reference.parameters);
}

static void test_one(void **state) {
    (void)state;
    compare(1);
}

static void test_two(void **state) {
    (void)state;
    compare(2);
}

static void test_four(void **state) {
    (void)state;
    compare(4);
}

/* NCCL sums the gradients of four replicas in bf16, too: none passes through host memory. */
static void test_four_in_bf16(void **state) {
    (void)state;
    const shape what = {4, false, P2P_PRECISION_bf16};
    plan_training given = train(&what, "0");
    assert_true(given.collectives > 0 && given.statistics == 0);
    same_in_every_order(&what, &given, 1);
    free(given.parameters);
}

int main(int argc, char **argv) {
    through_host = argc > 1 && strcmp(argv[1], "host") == 0;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one), cmocka_unit_test(test_two),
                                       cmocka_unit_test(test_four), cmocka_unit_test(test_four_in_bf16)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
