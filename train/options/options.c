/* Parsing of the command line, derived from the table in option_rows.c. See options.h. */
#include "host/file_suffix.h"
#include "option_values.h"

#include <popt.h>
#include <stdlib.h>
#include <string.h>

const char *settings_option_name(unsigned command, int number) {
    for (int i = 0; i < option_row_count; i++)
        if ((option_rows[i].commands & command) && number-- == 0) return option_rows[i].name;
    return NULL;
}

/* Options of different commands may have one name. */
bool settings_given(const settings *all, const char *option) {
    for (int i = 0; i < option_row_count; i++)
        if (all->given[i] && strcmp(option_rows[i].name, option) == 0) return true;
    return false;
}

/* Convert a command's rows to popt's table. `val` is the row's index plus one. */
static void popt_table(unsigned command, struct poptOption table[SETTINGS_MAX_ROWS + 1]) {
    int count = 0;
    for (int i = 0; i < option_row_count; i++) {
        const option_row *row = &option_rows[i];
        if (!(row->commands & command)) continue;
        table[count++] = (struct poptOption){
            .longName = row->name,
            .shortName = row->letter,
            .argInfo = row->kind == KIND_FLAG ? POPT_ARG_NONE : POPT_ARG_STRING,
            .val = i + 1,
            .descrip = row->help,
            .argDescrip = row->argument,
        };
    }
    table[count] = (struct poptOption)POPT_TABLEEND;
}

static p2p_status parse_given(settings *all, poptContext context) {
    int found;
    while ((found = poptGetNextOpt(context)) > 0) {
        const option_row *row = &option_rows[found - 1];
        char *value = poptGetOptArg(context);
        p2p_status status = P2P_OK;
        if (row->kind != KIND_FLAG && !value) /* an empty value is "" */
            return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the value of --%s", row->name);
        if (row->kind != KIND_FLAG && all->given[found - 1])
            status = p2p_fail(P2P_USAGE, "--%s is given twice", row->name);
        if (status == P2P_OK) status = option_set(all, row, value);
        free(value);
        P2P_TRY(status);
        all->given[found - 1] = true;
    }
    if (found < -1)
        return p2p_fail(P2P_USAGE, "%s: %s", poptBadOption(context, POPT_BADOPTION_NOALIAS),
                        poptStrerror(found));
    return P2P_OK;
}

/* Set options that were not given to the preset's values. */
static p2p_status apply_preset(settings *all) {
    if (strcmp(all->preset, "tensorflow") != 0) return P2P_OK; /* the fallbacks are pytorch's values */
    for (int i = 0; i < preset_row_count; i++) {
        const preset_row *preset = &preset_rows[i];
        if (preset->tensorflow && !settings_given(all, preset->option))
            P2P_TRY(option_set(all, option_named(preset->option), preset->tensorflow));
    }
    return P2P_OK;
}

/* An empty argument is that of a shell's unset variable; as a folder it would be the current one. */
static p2p_status refuse_empty(const settings *all, const char *command) {
    for (int i = 0; all->arguments && all->arguments[i]; i++) {
        if (all->arguments[i][0] != '\0') continue;
        p2p_fail(P2P_USAGE, "argument %d of p2p %s is empty", i + 1, command);
        return p2p_hint(P2P_USAGE, "name a file or folder; . is the current folder");
    }
    return P2P_OK;
}

/* The options of a command, and so of a written_row, have different names. */
static const char *path_of(const settings *all, const written_row *written) {
    for (int i = 0; i < option_row_count; i++)
        if ((option_rows[i].commands & written->commands) &&
            strcmp(option_rows[i].name, written->option) == 0)
            return *(char **)option_field(all, &option_rows[i]);
    return NULL;
}

/* Refuse a file whose suffix is that of another format, and a folder with a file's. */
static p2p_status check_written(const settings *all, unsigned command) {
    for (int i = 0; i < written_row_count; i++) {
        const written_row *written = &written_rows[i];
        const char *path = written->commands & command ? path_of(all, written) : NULL;
        char what[32];
        if (!path) continue;
        snprintf(what, sizeof what, "--%s", written->option);
        P2P_TRY(written->suffixes ? file_suffix_check(what, path, written->suffixes)
                                  : file_suffix_check_folder(what, path));
    }
    return P2P_OK;
}

/* Take --gpus; a list of several numbers is for bench only. */
static p2p_status take_gpus(settings *all, unsigned command, const char *name) {
    const settings_counts *counts = &all->gpu_counts;
    all->gpus = counts->count > 0 ? counts->of[counts->count - 1] : 0;
    if (counts->count <= 1 || command == COMMAND_BENCH) return P2P_OK;
    p2p_fail(P2P_USAGE, "--gpus %d,%d: p2p %s takes one number", (int)counts->of[0], (int)counts->of[1],
             name);
    return p2p_hint(P2P_USAGE, "p2p bench measures several numbers of devices");
}

p2p_status settings_parse(settings *all, unsigned command, int argc, const char **argv) {
    *all = (settings){0};
    for (int i = 0; i < option_row_count; i++) {
        if (option_rows[i].fallback) P2P_TRY(option_set(all, &option_rows[i], option_rows[i].fallback));
    }
    struct poptOption table[SETTINGS_MAX_ROWS + 1];
    popt_table(command, table);
    poptContext context = poptGetContext("p2p", argc, argv, table, 0);
    if (!context) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to parse the command line");
    all->context = context;
    p2p_status status = parse_given(all, context);
    if (status == P2P_USAGE) return p2p_hint(status, "p2p help %s lists the options", argv[0]);
    P2P_TRY(status);
    P2P_TRY(apply_preset(all));
    P2P_TRY(take_gpus(all, command, argv[0]));
    all->arguments = poptGetArgs(context);
    P2P_TRY(refuse_empty(all, argv[0]));
    return check_written(all, command);
}

void settings_free(settings *all) {
    for (int i = 0; i < option_row_count; i++) {
        if (option_rows[i].kind == KIND_TEXT || option_rows[i].kind == KIND_CHOICE)
            free(*(char **)option_field(all, &option_rows[i]));
    }
    if (all->context) poptFreeContext(all->context);
    *all = (settings){0};
}

p2p_status settings_no_arguments(const settings *all, const char *name) {
    if (!all->arguments || !all->arguments[0]) return P2P_OK;
    p2p_fail(P2P_USAGE, "'%s': p2p %s takes options only", all->arguments[0], name);
    return p2p_hint(P2P_USAGE, "p2p help %s shows them", name);
}
