/* The text of stored choices: what was written is read, and any text is read safely. No device. */
#include "p2p_tune.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_expect.h"

static uint32_t draw(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

enum { LINES = 8, TEXT_ROOM = LINES * (P2P_OP_TEXT + 128) };

/* A descriptor per line. That of line 1 is the end of no other, and that of line 0 is a part of line 7's. */
static void print_descriptor(int line, char text[P2P_OP_TEXT]) {
    static const int channels[LINES] = {16, 32, 48, 64, 80, 96, 112, 160};
    snprintf(text, P2P_OP_TEXT,
             "conv_fwd x=f32:nchwc16:1x%dx9x9 w=f32:ckrs16:33x%dx4x4 y=f32:nchwc16:1x33x6x6", channels[line],
             channels[line]);
}

static char *whole_text(void) {
    static const char *const names[] = {"", "direct", "direct:1x1x8x2", "e65:1-0_12--1", "gemm", "winograd"};
    char *text = calloc(1, 1);
    for (int i = 0; i < LINES; i++) {
        char descriptor[P2P_OP_TEXT];
        p2p_choice choice = {.seconds = 0.25 + i, .default_seconds = 1e-9};
        strcpy(choice.name, names[i % 6]);
        print_descriptor(i, descriptor);
        char *longer = p2p_tune_text_replace(text, descriptor, &choice);
        assert_non_null(longer);
        free(text);
        text = longer;
    }
    return text;
}

static void reads_what_it_wrote(void **state) {
    (void)state;
    char *text = whole_text(), descriptor[P2P_OP_TEXT];
    p2p_choice choice;
    for (int replaced = 0; replaced < LINES; replaced++) {
        const p2p_choice changed = {.name = "gpu:16x64", .seconds = 3, .default_seconds = 4};
        print_descriptor(replaced, descriptor);
        char *other = p2p_tune_text_replace(text, descriptor, &changed);
        for (int i = 0; i < LINES; i++) {
            print_descriptor(i, descriptor);
            assert_true(p2p_tune_text_find(other, descriptor, &choice));
            assert_true(choice.seconds == (i == replaced ? 3 : 0.25 + i));
            assert_int_equal(strcmp(choice.name, "gpu:16x64") == 0, i == replaced);
        }
        free(other);
    }
    assert_false(p2p_tune_text_find(text, "conv_fwd of another shape", &choice));
    assert_false(p2p_tune_text_find("", descriptor, &choice));
    free(text);
}

/* Changes, removes and doubles bytes, cuts and joins lines. */
static void mutate(char *text, uint64_t *state) {
    static const char bytes[] = "\t\n :x019.-einfa\x80\xff";
    for (int n = 1 + (int)(draw(state) % 4); n > 0; n--) {
        const size_t length = strlen(text);
        const size_t at = length ? draw(state) % length : 0, count = 1 + draw(state) % 40;
        switch (draw(state) % 4) {
        case 0:
            if (length) text[at] = bytes[draw(state) % (sizeof bytes - 1)];
            break;
        case 1:
            if (at + count < length) memmove(text + at, text + at + count, length - at - count + 1);
            break;
        case 2:
            if (at + count < length && length + count < TEXT_ROOM)
                memmove(text + at + count, text + at, length - at + 1);
            break;
        default:
            text[at] = '\0';
        }
    }
}

/* For any text, what is found is valid, and what is written is found again. */
static void survives_any_text(void **state) {
    (void)state;
    enum { ROUNDS = 20000 };
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-:";
    char *whole = whole_text();
    uint64_t seed = 1;
    int found = 0;
    for (int round = 0; round < ROUNDS; round++) {
        char *mutated = calloc(1, TEXT_ROOM);
        strcpy(mutated, whole);
        mutate(mutated, &seed);
        char *text = strdup(mutated); /* allocated without slack, for the sanitizers */
        free(mutated);
        p2p_choice choice, written = {.name = "gemm", .seconds = 7, .default_seconds = 8};
        char descriptor[P2P_OP_TEXT];
        for (int i = 0; i < LINES; i++) {
            print_descriptor(i, descriptor);
            if (!p2p_tune_text_find(text, descriptor, &choice)) continue;
            found++;
            assert_true(isfinite(choice.seconds) && choice.seconds > 0);
            assert_true(isfinite(choice.default_seconds) && choice.default_seconds > 0);
            assert_true(strspn(choice.name, allowed) == strlen(choice.name));
        }
        print_descriptor((int)(draw(&seed) % LINES), descriptor);
        char *replaced = p2p_tune_text_replace(text, descriptor, &written);
        assert_true(p2p_tune_text_find(replaced, descriptor, &choice));
        free(replaced);
        free(text);
    }
    assert_true(found > ROUNDS && found < ROUNDS * LINES); /* some lines are damaged, others intact */
    free(whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_wrote),
        cmocka_unit_test(survives_any_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
