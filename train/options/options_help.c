/* The options in --help, and the presets. See options.h. */
#include "host/sys.h"
#include "option_values.h"

#include <string.h>

enum { INDENT = 36, NARROW_INDENT = 26, MOST_COLUMNS = 110, LEAST_COLUMNS = 60, NARROW = 90 };

/* The columns of a terminal are used up to a number at which lines stay easy to read. */
static int columns_of(FILE *stream) {
    if (!sys_is_terminal(stream)) return MOST_COLUMNS;
    const int columns = sys_terminal_columns(stream);
    return columns > MOST_COLUMNS ? MOST_COLUMNS : columns < LEAST_COLUMNS ? LEAST_COLUMNS : columns;
}

/* Where the texts of options begin. */
static int indent_of(FILE *stream) {
    return columns_of(stream) < NARROW ? NARROW_INDENT : INDENT;
}

/* Print `text` from the column `indent` on, in lines that begin there. */
static void print_wrapped(const char *text, int indent, FILE *stream) {
    const int width = columns_of(stream);
    int column = indent;
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (column > indent && column + 1 + length > width) {
            fprintf(stream, "\n%*s", indent, "");
            column = indent;
        }
        column += fprintf(stream, "%s%.*s", column > indent ? " " : "", length, text);
        text += length + (text[length] == ' ');
    }
    fputc('\n', stream);
}

void settings_print_notes(const char *text, FILE *stream) {
    print_wrapped(text, 0, stream);
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
    const int indent = indent_of(stream);
    bool fits = width + 2 <= indent;
    fprintf(stream, "%-*s", fits ? indent : 0, left);
    if (!fits) fprintf(stream, "\n%*s", indent, "");
    snprintf(text, sizeof text, "%s%s%s%s", help_of(row, command), fallback ? " (" : "",
             fallback ? row->fallback : "", fallback ? ")" : "");
    print_wrapped(text, indent, stream);
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
