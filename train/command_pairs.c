/* `p2p pairs`: makes data sets from existing pictures. The work is in pairs/; here the subcommand is chosen,
 * and its arguments and options are checked. */
#include "command.h"
#include "host/text.h"
#include "p2p_printable.h"
#include "pairs/pairs_check.h"
#include "pairs/pairs_make.h"
#include "pairs/pairs_side_by_side.h"
#include "pairs/pairs_split.h"
#include "pairs/pairs_video.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name;
    const char *usage; /* the names of its arguments */
    int arguments;
    const char *const *options; /* its own, beside `common`; NULL: those of its pairs_operation */
    p2p_status (*run)(const settings *all, const char *const *arguments);
} subcommand;

/* ---- The subcommands ---------------------------------------------------------------------------------- */

/* Print what to do next with the pairs in `dir`. */
static void print_next(const char *format, const char *dir) {
    char *word = text_shell_word(dir);
    if (word) text_line(stderr, format, word);
    free(word);
}

static p2p_status run_combine(const settings *all, const char *const *arguments) {
    P2P_TRY(pairs_make(all, pairs_operation_named("combine"), arguments[0], arguments[1], arguments[2]));
    text_line(stdout, "%s", arguments[2]);
    print_next("next: p2p pairs split %s", arguments[2]);
    return P2P_OK;
}

static p2p_status make(const settings *all, const char *name, const char *const *arguments) {
    P2P_TRY(pairs_make(all, pairs_operation_named(name), arguments[0], NULL, arguments[1]));
    text_line(stdout, "%s", arguments[1]);
    return P2P_OK;
}

static p2p_status derive(const settings *all, const char *name, const char *const *arguments) {
    P2P_TRY(make(all, name, arguments));
    if (!all->input_only) print_next("next: p2p pairs split %s", arguments[1]);
    return P2P_OK;
}

static p2p_status run_resize(const settings *all, const char *const *arguments) {
    if (settings_given(all, "size")) return make(all, "resize", arguments);
    p2p_fail(P2P_USAGE, "--size is missing: the side to which pictures are resized");
    return p2p_hint(P2P_USAGE, "p2p pairs resize photos small --size 256");
}

static p2p_status run_edges(const settings *all, const char *const *arguments) {
    return derive(all, "edges", arguments);
}

static p2p_status run_grey(const settings *all, const char *const *arguments) {
    return derive(all, "grey", arguments);
}

static p2p_status run_lowres(const settings *all, const char *const *arguments) {
    return derive(all, "lowres", arguments);
}

static p2p_status run_blank(const settings *all, const char *const *arguments) {
    return derive(all, "blank", arguments);
}

static p2p_status run_split(const settings *all, const char *const *arguments) {
    P2P_TRY(pairs_split(all, arguments[0]));
    text_line(stdout, "%s", arguments[0]);
    bool side_by_side;
    P2P_TRY(pairs_need_side_by_side(arguments[0], &side_by_side));
    print_next(side_by_side ? "next: p2p train --data %s --out run --pairs side-by-side"
                            : "next: p2p train --data %s --out run",
               arguments[0]);
    return P2P_OK;
}

static p2p_status run_video(const settings *all, const char *const *arguments) {
    P2P_TRY(pairs_video(all, arguments[0], arguments[1]));
    text_line(stdout, "%s", arguments[1]);
    print_next("next: p2p pairs edges %s PAIRS, or grey, lowres or blank, makes pairs of the frames",
               arguments[1]);
    return P2P_OK;
}

static p2p_status run_check(const settings *all, const char *const *arguments) {
    return pairs_check(all, arguments[0]);
}

static const char *const common[] = {"workers", "on-bad-image", "max-pixels", "memory", "help", NULL};

#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const subcommand subcommands[] = {
    {"combine", "A B OUT", 3, NULL, run_combine},
    {"split", "DIR", 1, OPTIONS("val", "test"), run_split},
    {"resize", "FOLDER OUT", 2, NULL, run_resize},
    {"edges", "FOLDER OUT", 2, NULL, run_edges},
    {"grey", "FOLDER OUT", 2, NULL, run_grey},
    {"lowres", "FOLDER OUT", 2, NULL, run_lowres},
    {"blank", "FOLDER OUT", 2, NULL, run_blank},
    {"video", "FILE OUT", 2, OPTIONS("fps"), run_video},
    {"check", "DIR", 1, OPTIONS("pairs", "json"), run_check},
};

enum { SUBCOMMANDS = sizeof subcommands / sizeof *subcommands };

/* ---- Checks ------------------------------------------------------------------------------------------- */

static p2p_status unknown(const char *name) {
    char text[160] = "";
    for (int i = 0; i < SUBCOMMANDS; i++) p2p_list_append(text, sizeof text, subcommands[i].name);
    if (name)
        p2p_fail(P2P_USAGE, "'%s' is not a subcommand of p2p pairs", name);
    else
        p2p_fail(P2P_USAGE, "no subcommand of p2p pairs is given");
    return p2p_hint(P2P_USAGE, "they are %s; p2p help pairs shows examples", text);
}

static bool is_in(const char *const *names, const char *name) {
    for (; *names; names++)
        if (strcmp(*names, name) == 0) return true;
    return false;
}

/* P2P_USAGE for an option that would have no effect. */
static p2p_status check_options(const settings *all, const subcommand *chosen) {
    const char *const *allowed =
        chosen->options ? chosen->options : pairs_operation_named(chosen->name)->options;
    const char *name;
    for (int i = 0; (name = settings_option_name(COMMAND_PAIRS, i)) != NULL; i++) {
        if (!settings_given(all, name) || is_in(common, name) || is_in(allowed, name)) continue;
        p2p_fail(P2P_USAGE, "--%s has no effect on p2p pairs %s", name, chosen->name);
        return p2p_hint(P2P_USAGE, "p2p help pairs shows which subcommand each option belongs to");
    }
    if (settings_given(all, "fit") && !settings_given(all, "size"))
        return p2p_fail(P2P_USAGE, "--fit has no effect without --size");
    return P2P_OK;
}

static p2p_status check_arguments(const subcommand *chosen, const char *const *arguments) {
    int count = 0;
    while (arguments[count]) count++;
    if (count == chosen->arguments) return P2P_OK;
    p2p_fail(P2P_USAGE, "p2p pairs %s takes %d argument%s, %s: %d given", chosen->name, chosen->arguments,
             chosen->arguments == 1 ? "" : "s", chosen->usage, count);
    return p2p_hint(P2P_USAGE, "p2p help pairs shows examples");
}

p2p_status command_pairs(settings *all) {
    const char *const *arguments = all->arguments;
    if (!arguments || !arguments[0]) return unknown(NULL);
    for (int i = 0; i < SUBCOMMANDS; i++) {
        if (strcmp(subcommands[i].name, arguments[0]) != 0) continue;
        P2P_TRY(check_options(all, &subcommands[i]));
        P2P_TRY(check_arguments(&subcommands[i], arguments + 1));
        return subcommands[i].run(all, arguments + 1);
    }
    return unknown(arguments[0]);
}
