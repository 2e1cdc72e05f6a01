/* The options in --help, and the presets. See options.h. */
#include "option_values.h"

#include <string.h>

enum { HELP_INDENT = 36, HELP_WIDTH = 110 };

/* Print `text` from the current column on, wrapped into lines that start at HELP_INDENT. */
static void print_wrapped(const char *text, int column, FILE *stream) {
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (column > HELP_INDENT && column + 1 + length > HELP_WIDTH) {
            fprintf(stream, "\n%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        }
        column += fprintf(stream, "%s%.*s", column > HELP_INDENT ? " " : "", length, text);
        text += length + (text[length] == ' ');
    }
    fputc('\n', stream);
}

static bool fallback_holds(const option_row *row, unsigned command) {
    for (int i = 0; i < fallback_exception_count; i++) {
        const fallback_exception *exception = &fallback_exceptions[i];
        if ((exception->commands & command) && strcmp(exception->option, row->name) == 0) return false;
    }
    return row->fallback && row->kind != KIND_FLAG;
}

static const char *help_of(const option_row *row, unsigned command) {
    for (int i = 0; i < help_exception_count; i++) {
        const help_exception *exception = &help_exceptions[i];
        if ((exception->commands & command) && strcmp(exception->option, row->name) == 0)
            return exception->help;
    }
    return row->help;
}

static void print_option(const option_row *row, unsigned command, FILE *stream) {
    char left[128], text[512];
    bool fallback = fallback_holds(row, command);
    int width = snprintf(left, sizeof left, "  %c%c%c --%s%s%s", row->letter ? '-' : ' ',
                         row->letter ? row->letter : ' ', row->letter ? ',' : ' ', row->name,
                         row->argument ? " " : "", row->argument ? row->argument : "");
    bool fits = width + 2 <= HELP_INDENT;
    fprintf(stream, "%-*s", fits ? HELP_INDENT : 0, left);
    if (!fits) fprintf(stream, "\n%*s", HELP_INDENT, "");
    snprintf(text, sizeof text, "%s%s%s%s", help_of(row, command), fallback ? " (" : "",
             fallback ? row->fallback : "", fallback ? ")" : "");
    print_wrapped(text, HELP_INDENT, stream);
}

void settings_print_options(unsigned command, FILE *stream) {
    const char *heading = NULL; /* printed above the first of its rows that belongs to the command */
    for (int i = 0; i < option_row_count; i++) {
        const option_row *row = &option_rows[i];
        if (row->kind == KIND_HEADING) heading = row->name;
        if (row->kind == KIND_HEADING || !(row->commands & command)) continue;
        if (heading) fprintf(stream, "%s:\n", heading);
        heading = NULL;
        print_option(row, command, stream);
    }
}

void settings_print_presets(FILE *stream) {
    fprintf(stream, "| option | `--preset pytorch` | `--preset tensorflow` |\n|---|---|---|\n");
    for (int i = 0; i < preset_row_count; i++) {
        const preset_row *preset = &preset_rows[i];
        const char *computed = preset->computed;
        fprintf(stream, "| `--%s` | %s | %s |\n", preset->option,
                computed ? computed : option_named(preset->option)->fallback,
                computed ? computed : preset->tensorflow);
    }
}
