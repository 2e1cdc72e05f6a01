/* Pages: texts from outside can't become markup, a page has its training's identity, and nothing is loaded
 * from elsewhere. */
#include "report/page.h"
#include "report/run_page.h"
#include "support/test_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/test_expect.h"
#include "support/test_text.h"

static const char identity[] = "0123456789abcdef0123456789abcdef";

static char *page_of(const char *title, const char *run, json_t *data) {
    size_t size;
    char *folder = test_folder_make(), *path = strdup(test_path(folder, "page.html"));
    OK(page_write(path, "run_page", title, run, data));
    char read[PAGE_RUN_BYTES];
    OK(page_run(path, RUN_PAGE, read));
    assert_string_equal(read, run ? run : "");
    char *text = (char *)test_file_read(path, &size);
    free(path);
    test_folder_remove(folder);
    return text;
}

static void test_no_text_becomes_markup(void **state) {
    (void)state;
    static const char hostile[] = "</script><script>alert(1)</script><!--\"'&\xff\n\xe2\x80\xae";
    char *plain = page_of("name", identity, json_pack("{s:[]}", "runs"));
    char *text = page_of(hostile, identity, json_pack("{s:o}", "name", page_text(hostile)));
    assert_int_equal(count_text(text, "<script"), count_text(plain, "<script"));
    assert_int_equal(count_text(text, "</script"), count_text(plain, "</script"));
    assert_int_equal(count_text(text, "<!--"), count_text(plain, "<!--"));
    assert_non_null(strstr(text, "<title>&#60;/script&#62;&#60;script&#62;alert(1)&#60;/script&#62;"
                                 "&#60;!--&#34;&#39;&#38;\\xff\\x0a\\xe2\\x80\\xae</title>"));
    assert_non_null(strstr(text, "\\u003c/script>\\u003cscript>alert(1)"));
    free(text);
    free(plain);
}

/* The data are the JSON that was given, whatever the texts are. */
static void test_data(void **state) {
    (void)state;
    static const char start[] = "id=\"data\">";
    json_t *data = json_pack("{s:s, s:f}", "name", "</script>\\\"\xe2\x82\xac", "number", 0.25);
    char *text = page_of("name", identity, json_incref(data));
    const char *from = strstr(text, start);
    assert_non_null(from);
    from += sizeof start - 1;
    json_t *read = json_loadb(from, (size_t)(strstr(from, "</script>") - from), 0, NULL);
    assert_true(json_equal(read, data));
    json_decref(read);
    json_decref(data);
    free(text);
}

/* No address of a network is in a page, but the name of SVG's elements. */
static void test_nothing_is_loaded(void **state) {
    (void)state;
    char *text = page_of("name", NULL, json_pack("{s:[]}", "runs"));
    assert_int_equal(count_text(text, "//www.w3.org/2000/svg"), 1);
    assert_int_equal(count_text(text, "http:") + count_text(text, "https:"), 1);
    assert_int_equal(count_text(text, "src=\"") + count_text(text, "<link") + count_text(text, "@import"), 0);
    assert_non_null(strstr(text, "default-src 'none'"));
    free(text);
}

static void test_other_files_are_no_pages(void **state) {
    (void)state;
    static const char *const others[] = {"", "mine", "<!DOCTYPE html>\n<title>mine</title>"};
    char *folder = test_folder_make(), run[PAGE_RUN_BYTES];
    const char *path = test_path(folder, "report.html");
    OK(run_page_check(path, identity)); /* there is none */
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        test_file_write(path = test_path(folder, "report.html"), others[i], strlen(others[i]));
        assert_int_equal(page_run(path, RUN_PAGE, run), P2P_INPUT);
        assert_string_equal(run, "");
        assert_int_equal(run_page_check(path, identity), P2P_INPUT);
    }
    OK(page_write(path, "run_page", "name", identity, json_object()));
    OK(run_page_check(path, identity));
    assert_int_equal(run_page_check(path, "another"), P2P_INPUT);
    OK(page_write(path, "test_page", "name", NULL, json_object())); /* of another kind */
    assert_int_equal(run_page_check(path, ""), P2P_INPUT);
    assert_int_equal(page_write(path, "run_page", "name", identity, NULL), P2P_OUT_OF_MEMORY);
    test_folder_remove(folder);
}

static void expect_text(json_t *made, const char *expected) {
    assert_string_equal(json_string_value(made), expected);
    json_decref(made);
}

static void test_links(void **state) {
    (void)state;
    expect_text(page_link("", "samples"), "samples");
    expect_text(page_link("../a b", "samples"), "../a%20b/samples");
    expect_text(page_link("x", "50% #1?\"<\xc3\xa9\xff.png"), "x/50%25%20%231%3F%22%3C%C3%A9%FF.png");
}

/* ---- The length --------------------------------------------------------------------------------------- */

/* The page of a training with these settings, of which epochs of `made` steps have ended. */
static char *page_with(const char *name, json_t *config, int epochs, int made) {
    run_shown run = {.name = name, .link = "", .config = config};
    char *text;
    size_t size;
    OK(history_create(&run.past));
    for (int i = 1; i <= epochs; i++) {
        json_t *line = json_pack("{s:s, s:i, s:i}", "event", "epoch", "step", i * made, "epoch", i);
        history_add(run.past, line);
        json_decref(line);
    }
    OK(run_page_make(&run, 1, identity, &text, &size));
    run_shown_free(&run);
    return text;
}

/* Of 10 pairs on 2 devices. */
static json_t *length(const char *policy, int batch, int parts, int epochs, int decay, int steps) {
    json_t *config = json_pack("{s:s, s:i, s:i, s:i, s:{s:i, s:{s:i}}}", "lr_policy", policy, "batch", batch,
                               "grad_accumulate", parts, "epochs_decay", decay, "origin", "devices", 2,
                               "training", "pairs", 10);
    json_object_set_new(config, "epochs", epochs > 0 ? json_integer(epochs) : json_null());
    json_object_set_new(config, "steps", steps > 0 ? json_integer(steps) : json_null());
    return config;
}

static void expect_length(json_t *config, int epochs, int made, const char *expected) {
    char *text = page_with("run", config, epochs, made);
    if (!strstr(text, expected)) fail_msg("the page lacks %s", expected);
    free(text);
}

static void test_how_long_a_training_is(void **state) {
    (void)state;
    expect_length(length("constant", 1, 1, 4, 100, 0), 0, 0, "\"epoch_steps\":5,\"total_steps\":20");
    expect_length(length("constant", 2, 1, 4, 100, 0), 0, 0, "\"epoch_steps\":3,\"total_steps\":12");
    expect_length(length("constant", 1, 3, 4, 100, 0), 0, 0, "\"epoch_steps\":2,\"total_steps\":8");
    expect_length(length("linear", 1, 1, 4, 2, 0), 0, 0, "\"total_steps\":30");
    expect_length(length("constant", 1, 1, 4, 100, 7), 0, 0, "\"total_steps\":7");
    expect_length(length("constant", 1, 1, 4, 100, 21), 0, 0, "\"total_steps\":20");
    expect_length(length("constant", 1, 1, 0, 100, 9), 0, 0, "\"epoch_steps\":5,\"total_steps\":9");
    expect_length(length("constant", 1, 1, 4, 100, 0), 3, 10,
                  "\"total_steps\":35"); /* on one device before */
    expect_length(length("constant", 1, 1, 4, 100, 0), 5, 10, "\"epoch_steps\":5,\"command\""); /* nonsense */
    expect_length(NULL, 3, 10, "\"history\"");
}

static void expect_title(const char *name, const char *expected) {
    char *text = page_with(name, NULL, 0, 0);
    if (!strstr(text, expected)) fail_msg("%s: the page lacks %s", name, expected);
    free(text);
}

static void test_titles(void **state) {
    (void)state;
    expect_title("run", "<title>run: training</title>");
    expect_title("/data/runs/shoes 2//", "<title>shoes 2: training</title>");
    expect_title("a/<b>", "<title>&#60;b&#62;: training</title>");
    assert_int_equal(chdir("/usr"), 0);
    expect_title(".", "<title>usr: training</title>");
    expect_title("lib/..", "<title>usr: training</title>");
}

/* ---- Size --------------------------------------------------------------------------------------------- */

/* Ten thousand epochs of forty steps each, with pictures. The page has less than 2 MB. */
static void test_a_long_training(void **state) {
    (void)state;
    enum { EPOCHS = 10000, STEPS = 40, LARGEST = 2000000 };
    char *folder = test_folder_make();
    size_t size;
    run_shown run = {.name = "long", .link = ""};
    OK(history_create(&run.past));
    json_t *step = json_pack("{s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f}", "step", 0, "epoch", 0, "d_real", 0.1,
                             "d_fake", 0.1, "g_gan", 0.1, "g_l1", 0.1, "lr", 2e-4, "images_per_s", 0.1);
    json_t *epoch = json_pack("{s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "event", "epoch", "step",
                              0, "epoch", 0, "d_real", 0.1, "d_fake", 0.1, "g_gan", 0.1, "g_l1", 0.1,
                              "val_l1", 0.1, "val_psnr", 0.1, "val_ssim", 0.1);
    for (int i = 1; i <= EPOCHS * STEPS; i++) {
        json_t *line = i % STEPS == 0 ? epoch : step;
        const char *key;
        json_t *value;
        json_object_foreach(line, key, value) if (json_is_real(value))
            json_real_set(value, 1.0 / 3 + (double)(i * 7919LL % 1000003) / 1000003);
        json_integer_set(json_object_get(line, "step"), i);
        json_integer_set(json_object_get(line, "epoch"), 1 + (i - 1) / STEPS);
        history_add(run.past, line);
    }
    run.epochs = calloc(EPOCHS, sizeof *run.epochs);
    assert_non_null(run.epochs);
    for (int i = 0; i < EPOCHS; i++) run.epochs[run.epoch_count++] = i + 1;
    OK(run_page_write(test_path(folder, "report.html"), &run, 1, identity));
    free(test_file_read(test_path(folder, "report.html"), &size));
    print_message("%zu bytes\n", size);
    assert_true(size > 100000 && size < LARGEST);
    run_shown_free(&run);
    json_decref(step);
    json_decref(epoch);
    test_folder_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_text_becomes_markup),
        cmocka_unit_test(test_data),
        cmocka_unit_test(test_nothing_is_loaded),
        cmocka_unit_test(test_other_files_are_no_pages),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_how_long_a_training_is),
        cmocka_unit_test(test_titles),
        cmocka_unit_test(test_a_long_training),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
