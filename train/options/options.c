/* Parsing, help, JSON and the check on --resume, derived from the table in option_rows.c. See options.h. */
#include "host/file_suffix.h"
#include "host/memory_stream.h"
#include "host/text.h"
#include "option_rows.h"

#include <errno.h>
#include <math.h>
#include <popt.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static void *field_of(const settings *all, const option_row *row) {
    return (char *)all + row->offset;
}

static const option_row *row_named(const char *name) {
    for (int i = 0; i < option_row_count; i++) {
        if (strcmp(option_rows[i].name, name) == 0) return &option_rows[i];
    }
    return NULL;
}

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

static p2p_status set_text(char **field, const char *value) {
    char *copy = strdup(value);
    if (!copy) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for an option's value");
    free(*field);
    *field = copy;
    return P2P_OK;
}

static bool is_choice(const char *choices, const char *value) {
    size_t length = strlen(value);
    for (const char *at = choices; length > 0; at++) {
        const char *end = strchr(at, '|');
        size_t size = end ? (size_t)(end - at) : strlen(at);
        if (size == length && memcmp(at, value, size) == 0) return true;
        if (!end) return false;
        at = end;
    }
    return false;
}

/* The factor of a size's suffix; 0 if it is none. */
static double byte_factor(const char *suffix) {
    static const char letters[] = "KMGT";
    if (*suffix == '\0') return 1;
    const char *letter = strchr(letters, *suffix >= 'a' && *suffix <= 'z' ? *suffix - 'a' + 'A' : *suffix);
    return letter != NULL && suffix[1] == '\0' ? ldexp(1024, (int)(letter - letters) * 10) : 0;
}

static p2p_status set_bytes(const settings *all, const option_row *row, const char *value) {
    char *end;
    errno = 0;
    const double number = strtod(value, &end), bytes = floor(number * byte_factor(end));
    if (end == value || byte_factor(end) == 0 || errno != 0 || !isfinite(bytes))
        return p2p_fail(P2P_USAGE, "--%s: '%s' is not a size such as 500M or 4G", row->name, value);
    if (bytes < row->low || bytes > row->high)
        return p2p_fail(P2P_USAGE, "--%s: %s is outside %.10g to %.10g bytes", row->name, value, row->low,
                        row->high);
    *(int64_t *)field_of(all, row) = (int64_t)bytes;
    return P2P_OK;
}

/* The number that `value` is, in the row's range. */
static p2p_status read_number(const option_row *row, const char *value, bool whole, double *number) {
    char *end;
    errno = 0;
    *number = strtod(value, &end);
    if (end == value || *end != '\0' || errno != 0 || !isfinite(*number) ||
        (whole && *number != floor(*number)))
        return p2p_fail(P2P_USAGE, "--%s: '%s' is not a %snumber", row->name, value, whole ? "whole " : "");
    if (*number >= row->low && *number <= row->high) return P2P_OK;
    return p2p_fail(P2P_USAGE, "--%s: %s is outside %.10g to %.10g", row->name, value, row->low, row->high);
}

static p2p_status set_number(const settings *all, const option_row *row, const char *value) {
    const bool whole = row->kind == KIND_COUNT;
    double number;
    P2P_TRY(read_number(row, value, whole, &number));
    if (whole)
        *(int64_t *)field_of(all, row) = (int64_t)number;
    else
        *(double *)field_of(all, row) = number;
    return P2P_OK;
}

static p2p_status add_count(const option_row *row, const char *value, settings_counts *counts) {
    double number;
    P2P_TRY(read_number(row, value, true, &number));
    if (counts->count == SETTINGS_MAX_COUNTS)
        return p2p_fail(P2P_USAGE, "--%s: more than %d numbers", row->name, SETTINGS_MAX_COUNTS);
    if (counts->count > 0 && (int64_t)number <= counts->of[counts->count - 1])
        return p2p_fail(P2P_USAGE, "--%s: %s does not follow a smaller number", row->name, value);
    counts->of[counts->count++] = (int64_t)number;
    return P2P_OK;
}

static p2p_status set_counts(const settings *all, const option_row *row, const char *value) {
    settings_counts *counts = field_of(all, row);
    *counts = (settings_counts){.count = 0};
    for (const char *at = value;; at++) {
        char piece[32];
        const size_t length = strcspn(at, ",");
        snprintf(piece, sizeof piece, "%.*s", (int)(length < sizeof piece ? length : sizeof piece), at);
        P2P_TRY(add_count(row, piece, counts));
        at += length;
        if (*at == '\0') return P2P_OK;
    }
}

static p2p_status set_seed(const settings *all, const option_row *row, const char *value) {
    char *end;
    errno = 0;
    const bool hexadecimal = value[0] == '0' && (value[1] == 'x' || value[1] == 'X');
    unsigned long long seed = strtoull(value, &end, hexadecimal ? 16 : 10);
    if (end == value || *end != '\0' || errno != 0 || strchr(value, '-'))
        return p2p_fail(P2P_USAGE, "--%s: '%s' is not a number from 0 to 18446744073709551615", row->name,
                        value);
    *(uint64_t *)field_of(all, row) = seed;
    return P2P_OK;
}

static p2p_status set_value(const settings *all, const option_row *row, const char *value) {
    switch (row->kind) {
    case KIND_FLAG:
        *(bool *)field_of(all, row) = true;
        return P2P_OK;
    case KIND_CHOICE:
        if (!is_choice(row->argument, value))
            return p2p_fail(P2P_USAGE, "--%s: '%s' is not one of %s", row->name, value, row->argument);
        return set_text(field_of(all, row), value);
    case KIND_TEXT:
        if (value[0] == '\0') return p2p_fail(P2P_USAGE, "--%s: the value is empty", row->name);
        return set_text(field_of(all, row), value);
    case KIND_SEED:
        return set_seed(all, row, value);
    case KIND_BYTES:
        return set_bytes(all, row, value);
    case KIND_COUNTS:
        return set_counts(all, row, value);
    case KIND_COUNT:
    case KIND_REAL:
        return set_number(all, row, value);
    case KIND_HEADING:
        break;
    }
    return P2P_OK;
}

p2p_status settings_set(settings *all, const char *option, const char *value) {
    return set_value(all, row_named(option), value);
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
        if (status == P2P_OK) status = set_value(all, row, value);
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
            P2P_TRY(set_value(all, row_named(preset->option), preset->tensorflow));
    }
    return P2P_OK;
}

void settings_print_presets(FILE *stream) {
    fprintf(stream, "| flag | `--preset pytorch` | `--preset tensorflow` |\n|---|---|---|\n");
    for (int i = 0; i < preset_row_count; i++) {
        const preset_row *preset = &preset_rows[i];
        const char *computed = preset->computed;
        fprintf(stream, "| `--%s` | %s | %s |\n", preset->option,
                computed ? computed : row_named(preset->option)->fallback,
                computed ? computed : preset->tensorflow);
    }
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
            return *(char **)field_of(all, &option_rows[i]);
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
        if (option_rows[i].fallback) P2P_TRY(set_value(all, &option_rows[i], option_rows[i].fallback));
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
            free(*(char **)field_of(all, &option_rows[i]));
    }
    if (all->context) poptFreeContext(all->context);
    *all = (settings){0};
}

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

/* "load-size" -> "load_size". */
static void json_name(const option_row *row, char name[64]) {
    snprintf(name, 64, "%s", row->name);
    for (char *c = name; *c; c++) {
        if (*c == '-') *c = '_';
    }
}

static json_t *value_to_json(const settings *all, const option_row *row) {
    void *field = field_of(all, row);
    switch (row->kind) {
    case KIND_FLAG:
        return json_boolean(*(bool *)field);
    case KIND_TEXT:
    case KIND_CHOICE:
        return *(char **)field ? text_to_json(*(char **)field) : json_null();
    case KIND_COUNTS: /* what is recorded or printed has one */
        return json_integer(((const settings_counts *)field)->of[0]);
    case KIND_BYTES:
    case KIND_COUNT:
        return *(int64_t *)field || row->low == 0 ? json_integer(*(int64_t *)field) : json_null();
    case KIND_SEED:
        return json_sprintf("%llu", (unsigned long long)*(uint64_t *)field);
    case KIND_REAL:
        return json_real(*(double *)field);
    case KIND_HEADING:
        break;
    }
    return NULL;
}

json_t *settings_value_to_json(const settings *all, const char *option) {
    const option_row *row = row_named(option);
    return row ? value_to_json(all, row) : NULL;
}

/* Only options recorded at least that firmly. */
static json_t *kept_to_json(const settings *all, option_keeping least) {
    json_t *object = json_object();
    for (int i = 0; i < option_row_count && object; i++) {
        const option_row *row = &option_rows[i];
        if (!(row->commands & COMMAND_TRAIN) || row->keeping < least) continue;
        char name[64];
        json_name(row, name);
        if (json_object_set_new(object, name, value_to_json(all, row)) != 0) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

uint64_t settings_layout(void) {
    XXH64_hash_t hash = 0;
    for (int i = 0; i < option_row_count; i++) {
        const option_row *row = &option_rows[i];
        const uint64_t numbers[] = {row->kind, row->offset, row->commands, row->keeping};
        hash = XXH3_64bits_withSeed(row->name, strlen(row->name), hash);
        hash = XXH3_64bits_withSeed(numbers, sizeof numbers, hash);
    }
    return hash;
}

json_t *settings_to_json(const settings *all) {
    return kept_to_json(all, KEPT);
}

json_t *settings_binding_to_json(const settings *all) {
    return kept_to_json(all, BINDING);
}

/* The shortest text from which strtod restores every bit. */
static void real_as_text(double value, char *text, size_t size) {
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value) return;
    }
}

/* A recorded value as text for the command line; "" if it is null or false. The caller frees it. NULL if
 * memory runs out. */
static char *json_as_text(const json_t *value) {
    enum { NUMBER_BYTES = 32 };
    const size_t size = json_is_string(value) ? json_string_length(value) + 1 : NUMBER_BYTES;
    char *text = calloc(size, 1);
    if (!text) return NULL;
    if (json_is_string(value)) text_from_json(value, text, size);
    if (json_is_integer(value)) snprintf(text, size, "%lld", (long long)json_integer_value(value));
    if (json_is_real(value)) real_as_text(json_real_value(value), text, size);
    if (json_is_true(value)) snprintf(text, size, "yes");
    return text;
}

/* The option's present value, likewise. */
static char *value_as_text(const settings *all, const option_row *row) {
    json_t *value = value_to_json(all, row);
    char *text = value ? json_as_text(value) : NULL;
    json_decref(value);
    return text;
}

static p2p_status contradiction(const settings *all, const option_row *row, const char *was,
                                const char *file) {
    char *now = value_as_text(all, row);
    p2p_fail(P2P_USAGE, "--%s %s contradicts %s, which was trained with %s", row->name, now ? now : "", file,
             was[0] ? was : "none");
    free(now);
    return p2p_hint(P2P_USAGE, "leave --%s out to continue as before, or train into another --out",
                    row->name);
}

static bool equals_kept(const settings *all, const option_row *row, const json_t *kept) {
    json_t *mine = value_to_json(all, row);
    bool equal = mine && json_equal(mine, kept);
    json_decref(mine);
    return equal;
}

/* The option's value if it is set to the text; NULL: not set. */
static json_t *text_as_value(const option_row *row, const char *text) {
    settings untouched = {0};
    json_t *value = NULL;
    if (!text || set_value(&untouched, row, text) == P2P_OK) value = value_to_json(&untouched, row);
    settings_free(&untouched);
    return value;
}

/* A training may continue in another precision on a device without that of before. */
static bool allows_precision(const settings *all, const option_row *row) {
    return all->allow_other_device && strcmp(row->name, "precision") == 0;
}

/* Decides about an option that is given, and was recorded with another value. */
static p2p_status resume_given(const settings *all, const option_row *row, const char *was,
                               const char *file) {
    if (row->keeping == KEPT) return P2P_OK;
    if (!allows_precision(all, row)) return contradiction(all, row, was, file);
    text_line(stderr,
              "precision: %s was trained with %s; --precision %s replaces it, because "
              "--allow-other-device is given",
              file, was, all->precision);
    return P2P_OK;
}

/* Takes the value, as text, that `file` has recorded. */
static p2p_status resume_text(settings *all, const option_row *row, const char *was, const char *file) {
    if (settings_given(all, row->name)) return resume_given(all, row, was, file);
    if (row->kind == KIND_FLAG) {
        *(bool *)field_of(all, row) = was[0] != '\0';
        return P2P_OK;
    }
    if (was[0] == '\0') return P2P_OK;
    p2p_status status = set_value(all, row, was);
    return status == P2P_USAGE
               ? p2p_fail(P2P_INPUT, "%s: the saved value of --%s is unusable", file, row->name)
               : status;
}

static p2p_status resume_value(settings *all, const option_row *row, const json_t *value, const char *file) {
    if (equals_kept(all, row, value)) return P2P_OK;
    char *was = json_as_text(value);
    if (!was) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the saved settings");
    p2p_status status = resume_text(all, row, was, file);
    free(was);
    return status;
}

/* What versions without the option did: as the fallback does, but for the precision. */
static const char *value_before(const option_row *row) {
    return strcmp(row->name, "precision") == 0 ? "fp32" : row->fallback;
}

/* An older version may have recorded settings without the option. */
static p2p_status resume_row(settings *all, const option_row *row, const json_t *kept, const char *file) {
    char name[64];
    json_name(row, name);
    json_t *value = json_object_get(kept, name);
    value = value ? json_incref(value) : text_as_value(row, value_before(row));
    if (!value) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the saved settings");
    p2p_status status = resume_value(all, row, value, file);
    json_decref(value);
    return status;
}

p2p_status settings_resume(settings *all, const json_t *kept, const char *file) {
    if (!json_is_object(kept)) return p2p_fail(P2P_INPUT, "%s: holds no settings", file);
    for (int i = 0; i < option_row_count; i++) {
        if ((option_rows[i].commands & COMMAND_TRAIN) && option_rows[i].keeping != NOT_KEPT)
            P2P_TRY(resume_row(all, &option_rows[i], kept, file));
    }
    return P2P_OK;
}

/* ---- The command that resumes ------------------------------------------------------------------------- */

static bool write_word(FILE *to, const char *word) {
    char *quoted = text_shell_word(word);
    if (quoted) fputs(quoted, to);
    free(quoted);
    return quoted != NULL;
}

static bool write_option(FILE *to, const settings *all, const option_row *row) {
    char *value = value_as_text(all, row);
    if (!value) return false;
    fprintf(to, row->kind == KIND_FLAG ? " --%s" : " --%s ", row->name);
    const bool complete = row->kind == KIND_FLAG || write_word(to, value);
    free(value);
    return complete;
}

static bool write_resume_command(FILE *to, const settings *all) {
    bool complete = write_word(to, all->program ? all->program : "p2p");
    fputs(" train", to);
    for (int i = 0; i < option_row_count && complete; i++) {
        const option_row *row = &option_rows[i];
        const bool train = row->commands & COMMAND_TRAIN, resume = strcmp(row->name, "resume") == 0;
        if (train && row->keeping != BINDING && all->given[i] && !resume)
            complete = write_option(to, all, row);
    }
    fputs(" --resume", to);
    return complete;
}

char *settings_resume_command(const settings *all) {
    memory_stream to;
    memory_stream_open(&to);
    if (to.stream) to.failed = !write_resume_command(to.stream, all);
    return memory_stream_take(&to);
}

/* Write a recorded value, unless it is the default or none. */
static bool write_kept(FILE *to, const json_t *kept, const option_row *row) {
    char name[64];
    json_name(row, name);
    const json_t *value = json_object_get(kept, name);
    json_t *fallback = text_as_value(row, row->fallback);
    const bool known = fallback != NULL, differs = value && !json_equal(value, fallback);
    json_decref(fallback);
    if (!known || !differs) return known;
    char *text = json_as_text(value);
    if (!text) return false;
    if (text[0]) fprintf(to, row->kind == KIND_FLAG ? " --%s" : " --%s ", row->name);
    const bool complete = !text[0] || row->kind == KIND_FLAG || write_word(to, text);
    free(text);
    return complete;
}

static bool write_begin_command(FILE *to, const json_t *kept, const char *out) {
    bool complete = true;
    fputs("p2p train", to);
    for (int i = 0; i < option_row_count && complete; i++) {
        const option_row *row = &option_rows[i];
        if ((row->commands & COMMAND_TRAIN) && row->keeping != NOT_KEPT) complete = write_kept(to, kept, row);
    }
    fputs(" --out ", to);
    return complete && write_word(to, out);
}

char *settings_begin_command(const json_t *kept, const char *out) {
    memory_stream to;
    memory_stream_open(&to);
    if (to.stream) to.failed = !write_begin_command(to.stream, kept, out);
    return memory_stream_take(&to);
}

p2p_status settings_no_arguments(const settings *all, const char *name) {
    if (!all->arguments || !all->arguments[0]) return P2P_OK;
    p2p_fail(P2P_USAGE, "'%s': p2p %s takes options only", all->arguments[0], name);
    return p2p_hint(P2P_USAGE, "p2p help %s shows them", name);
}
