/* The table of options and everything derived from it. See options.h. */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <popt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum { KIND_FLAG, KIND_TEXT, KIND_CHOICE, KIND_COUNT, KIND_SEED, KIND_REAL } option_kind;

/* What an option means for a kept configuration. */
typedef enum {
    NOT_KEPT, /* where and how to run: may change freely and is not written down */
    KEPT,     /* written down; may change when a training is resumed */
    BINDING   /* written down; determines the result, so a resumed training can't change it */
} option_keeping;

typedef struct {
    const char *name;
    char letter;
    option_kind kind;
    size_t offset;
    unsigned commands;
    option_keeping keeping;
    double low, high;     /* KIND_COUNT, KIND_REAL: allowed range */
    const char *fallback; /* default as text; NULL for none */
    const char *argument; /* what --help calls the value; for KIND_CHOICE the choices, separated by | */
    const char *help;
} option_row;

#define AT(field) offsetof(settings, field)

enum {
    TRAIN = COMMAND_TRAIN,
    TRANSLATE = COMMAND_TRANSLATE,
    PLAN = COMMAND_PLAN,
    SAMPLE = COMMAND_SAMPLE_DATA,
    BENCH = COMMAND_BENCH,
    RUN = TRAIN | TRANSLATE | PLAN | BENCH, /* whatever opens a device */
    MODEL = TRAIN | PLAN | BENCH            /* whatever describes a model by options */
};
#define MAX_COUNT 2147483647.0

/* clang-format off */
static const option_row rows[] = {
    {"data", 0, KIND_TEXT, AT(data), TRAIN, KEPT, 0, 0, NULL, "DIR",
     "folder with train/ and, where present, val/ and test/: pairs side by side, JPEG or PNG"},
    {"out", 'o', KIND_TEXT, AT(out), TRAIN | TRANSLATE, NOT_KEPT, 0, 0, NULL, "PATH",
     "where results go; for translate a file for one image, a folder for several"},
    {"model", 'm', KIND_TEXT, AT(model), TRANSLATE, NOT_KEPT, 0, 0, NULL, "FILE",
     "a trained generator.safetensors"},
    {"direction", 0, KIND_CHOICE, AT(direction), TRAIN, BINDING, 0, 0, "AtoB", "AtoB|BtoA",
     "which half is the input: A is the left one"},
    {"backend", 0, KIND_CHOICE, AT(backend), RUN, NOT_KEPT, 0, 0, "auto",
     "auto|opencl|reference", "auto takes the best device present and says which"},
    {"device", 0, KIND_TEXT, AT(device), RUN, NOT_KEPT, 0, 0, NULL, "BACKEND:N",
     "one device, as p2p devices lists them, e.g. opencl:0"},
    {"batch", 'b', KIND_COUNT, AT(batch), MODEL, BINDING, 1, 4096, "1", "N", "pairs per step"},
    {"epochs", 'e', KIND_COUNT, AT(epochs), TRAIN, KEPT, 1, MAX_COUNT, NULL, "N",
     "passes over the data, in total (default 200 without --steps)"},
    {"steps", 0, KIND_COUNT, AT(steps), TRAIN | BENCH, KEPT, 1, MAX_COUNT, NULL, "N",
     "train: in total; with --epochs the smaller counts; bench: to measure (default 10, in --sweep 3)"},
    {"size", 's', KIND_COUNT, AT(size), MODEL | SAMPLE, BINDING, 4, 4096, "256", "N",
     "side of the square images that the networks see"},
    {"load-size", 0, KIND_COUNT, AT(load_size), TRAIN, BINDING, 4, 8192, NULL, "N",
     "side to resize to before the random crop to --size (default 286 for 256, in proportion)"},
    {"no-jitter", 0, KIND_FLAG, AT(no_jitter), TRAIN, BINDING, 0, 0, NULL, NULL,
     "resize to --size directly, no random crop"},
    {"no-flip", 0, KIND_FLAG, AT(no_flip), TRAIN, BINDING, 0, 0, NULL, NULL, "no random mirroring"},
    {"no-shuffle", 0, KIND_FLAG, AT(no_shuffle), TRAIN, BINDING, 0, 0, NULL, NULL,
     "take pairs in byte order of their names"},
    {"seed", 0, KIND_SEED, AT(seed), TRAIN | SAMPLE, BINDING, 0, 0, "1", "N",
     "determines every random number; the same seed gives the same bits on the same device"},
    {"generator", 0, KIND_TEXT, AT(generator), MODEL, BINDING, 0, 0, "auto", "NAME",
     "unet_256, unet_128, or the U-Net's number of levels; auto: as many as --size allows, at most 8"},
    {"ngf", 0, KIND_COUNT, AT(ngf), MODEL, BINDING, 1, 1024, "64", "N",
     "filters of the generator's first layer"},
    {"ndf", 0, KIND_COUNT, AT(ndf), MODEL, BINDING, 1, 1024, "64", "N",
     "filters of the discriminator's first layer"},
    {"dropout", 0, KIND_REAL, AT(dropout), MODEL, BINDING, 0, 0.95, "0.5", "P",
     "probability of dropping in the decoder; 0 is off"},
    {"lambda-l1", 0, KIND_REAL, AT(lambda_l1), MODEL, BINDING, 0, 1e6, "100", "X", "weight of the L1 loss"},
    {"init-generator", 0, KIND_TEXT, AT(init_generator), TRAIN, KEPT, 0, 0, NULL, "FILE",
     "start from these weights (safetensors)"},
    {"init-discriminator", 0, KIND_TEXT, AT(init_discriminator), TRAIN, KEPT, 0, 0, NULL, "FILE",
     "start from these weights (safetensors)"},
    {"save-every", 0, KIND_COUNT, AT(save_every), TRAIN, KEPT, 1, MAX_COUNT, NULL, "N",
     "steps between checkpoints (default: every 5 minutes, and at the end)"},
    {"resume", 0, KIND_FLAG, AT(resume), TRAIN, NOT_KEPT, 0, 0, NULL, NULL,
     "go on from the newest checkpoint in --out, bit for bit"},
    {"mode", 0, KIND_CHOICE, AT(mode), PLAN | BENCH, NOT_KEPT, 0, 0, "train", "train|translate",
     "which plan to show; of bench: whose operations"},
    {"what", 0, KIND_CHOICE, AT(what), BENCH, NOT_KEPT, 0, 0, "train", "train|translate|ops|transfers",
     "measure whole steps, a plan's operations one by one, or memory transfers"},
    {"json", 0, KIND_FLAG, AT(json), BENCH, NOT_KEPT, 0, 0, NULL, NULL, "one JSON object instead of a table"},
    {"sweep", 0, KIND_CHOICE, AT(sweep), BENCH, NOT_KEPT, 0, 0, NULL, "batch|size|filters|all",
     "measure how cost grows along one axis after the other: time per image and memory"},
    {"plot", 0, KIND_TEXT, AT(plot), BENCH, NOT_KEPT, 0, 0, NULL, "FILE",
     "also draw --sweep as an SVG picture"},
    {"trace", 0, KIND_TEXT, AT(trace), BENCH, NOT_KEPT, 0, 0, NULL, "FILE",
     "also write a timeline of one step's operations, for chrome://tracing and Perfetto"},
    {"count", 'n', KIND_COUNT, AT(count), SAMPLE, NOT_KEPT, 1, 100000, "40", "N", "pairs in train/"},
    {"verbose", 'v', KIND_FLAG, AT(verbose), RUN | COMMAND_DEVICES, NOT_KEPT, 0, 0, NULL, NULL,
     "log what the planner and the device decide"},
    {"help", 'h', KIND_FLAG, AT(help), ~0u, NOT_KEPT, 0, 0, NULL, NULL, "show this text"},
};
/* clang-format on */

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };
_Static_assert(ROW_COUNT <= 64, "settings.given has one bit per row");

static void *field_of(const settings *all, const option_row *row) {
    return (char *)all + row->offset;
}

static const option_row *row_named(const char *name) {
    for (int i = 0; i < ROW_COUNT; i++) {
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    }
    return NULL;
}

bool settings_given(const settings *all, const char *option) {
    const option_row *row = row_named(option);
    return row && (all->given >> (row - rows) & 1);
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

static p2p_status set_number(const settings *all, const option_row *row, const char *value) {
    char *end;
    errno = 0;
    double number = strtod(value, &end);
    bool whole = row->kind == KIND_COUNT;
    if (end == value || *end != '\0' || errno != 0 || !isfinite(number) || (whole && number != floor(number)))
        return p2p_fail(P2P_USAGE, "--%s: '%s' is not a %snumber", row->name, value, whole ? "whole " : "");
    if (number < row->low || number > row->high)
        return p2p_fail(P2P_USAGE, "--%s: %s is outside %.10g to %.10g", row->name, value, row->low,
                        row->high);
    if (whole)
        *(int64_t *)field_of(all, row) = (int64_t)number;
    else
        *(double *)field_of(all, row) = number;
    return P2P_OK;
}

static p2p_status set_seed(const settings *all, const option_row *row, const char *value) {
    char *end;
    errno = 0;
    unsigned long long seed = strtoull(value, &end, 0);
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
            return p2p_fail(P2P_USAGE, "--%s: '%s' is none of %s", row->name, value, row->argument);
        return set_text(field_of(all, row), value);
    case KIND_TEXT:
        if (value[0] == '\0') return p2p_fail(P2P_USAGE, "--%s: the value is empty", row->name);
        return set_text(field_of(all, row), value);
    case KIND_SEED:
        return set_seed(all, row, value);
    case KIND_COUNT:
    case KIND_REAL:
        return set_number(all, row, value);
    }
    return P2P_OK;
}

/* popt's form of a command's rows; `val` is the row's index plus one. */
static void popt_table(unsigned command, struct poptOption table[ROW_COUNT + 1]) {
    int count = 0;
    for (int i = 0; i < ROW_COUNT; i++) {
        const option_row *row = &rows[i];
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
        const option_row *row = &rows[found - 1];
        char *value = poptGetOptArg(context);
        p2p_status status = P2P_OK;
        if (row->kind != KIND_FLAG && settings_given(all, row->name))
            status = p2p_fail(P2P_USAGE, "--%s is given twice", row->name);
        if (status == P2P_OK) status = set_value(all, row, value ? value : "");
        free(value);
        P2P_TRY(status);
        all->given |= (uint64_t)1 << (found - 1);
    }
    if (found < -1)
        return p2p_fail(P2P_USAGE, "%s: %s", poptBadOption(context, POPT_BADOPTION_NOALIAS),
                        poptStrerror(found));
    return P2P_OK;
}

p2p_status settings_parse(settings *all, unsigned command, int argc, const char **argv) {
    *all = (settings){0};
    for (int i = 0; i < ROW_COUNT; i++) {
        if (rows[i].fallback) P2P_TRY(set_value(all, &rows[i], rows[i].fallback));
    }
    struct poptOption table[ROW_COUNT + 1];
    popt_table(command, table);
    poptContext context = poptGetContext("p2p", argc, argv, table, 0);
    if (!context) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to parse the command line");
    all->context = context;
    p2p_status status = parse_given(all, context);
    if (status == P2P_USAGE) return p2p_hint(status, "p2p help %s lists the options", argv[0]);
    P2P_TRY(status);
    all->arguments = poptGetArgs(context);
    return P2P_OK;
}

void settings_free(settings *all) {
    for (int i = 0; i < ROW_COUNT; i++) {
        if (rows[i].kind == KIND_TEXT || rows[i].kind == KIND_CHOICE) free(*(char **)field_of(all, &rows[i]));
    }
    if (all->context) poptFreeContext(all->context);
    *all = (settings){0};
}

void settings_print_options(unsigned command, FILE *stream) {
    fprintf(stream, "Options:\n");
    for (int i = 0; i < ROW_COUNT; i++) {
        const option_row *row = &rows[i];
        if (!(row->commands & command)) continue;
        char left[64];
        snprintf(left, sizeof left, "%c%c%c --%s%s%s", row->letter ? '-' : ' ',
                 row->letter ? row->letter : ' ', row->letter ? ',' : ' ', row->name,
                 row->argument ? " " : "", row->argument ? row->argument : "");
        fprintf(stream, "  %-38s %s", left, row->help);
        if (row->fallback && row->kind != KIND_FLAG) fprintf(stream, " (%s)", row->fallback);
        fputc('\n', stream);
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
        return *(char **)field ? json_string(*(char **)field) : json_null();
    case KIND_COUNT:
        return *(int64_t *)field ? json_integer(*(int64_t *)field) : json_null();
    case KIND_SEED:
        return json_sprintf("%llu", (unsigned long long)*(uint64_t *)field);
    case KIND_REAL:
        return json_real(*(double *)field);
    }
    return NULL;
}

json_t *settings_to_json(const settings *all) {
    json_t *object = json_object();
    for (int i = 0; i < ROW_COUNT && object; i++) {
        const option_row *row = &rows[i];
        if (!(row->commands & COMMAND_TRAIN) || row->keeping == NOT_KEPT) continue;
        char name[64];
        json_name(row, name);
        if (json_object_set_new(object, name, value_to_json(all, row)) != 0) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

/* The kept value as the text that the command line would have had; "" for none. */
static void json_as_text(const json_t *value, char *text, size_t size) {
    text[0] = '\0';
    if (json_is_string(value)) snprintf(text, size, "%s", json_string_value(value));
    if (json_is_integer(value)) snprintf(text, size, "%lld", (long long)json_integer_value(value));
    if (json_is_real(value)) snprintf(text, size, "%.17g", json_real_value(value));
    if (json_is_true(value)) snprintf(text, size, "yes");
}

static p2p_status resume_row(settings *all, const option_row *row, const json_t *kept, const char *file) {
    char name[64], was[1024], now[1024];
    json_name(row, name);
    const json_t *value = json_object_get(kept, name);
    if (!value) return p2p_fail(P2P_INPUT, "%s: the settings lack '%s'", file, name);
    json_t *mine = value_to_json(all, row);
    bool equal = mine && json_equal(mine, value);
    json_as_text(value, was, sizeof was);
    json_as_text(mine, now, sizeof now);
    json_decref(mine);
    if (equal) return P2P_OK;
    if (settings_given(all, row->name)) {
        p2p_fail(P2P_USAGE, "--%s %s contradicts %s, which was trained with %s", row->name, now, file,
                 was[0] ? was : "none");
        return p2p_hint(P2P_USAGE, "leave --%s out to go on as before, or train into another --out",
                        row->name);
    }
    if (row->kind == KIND_FLAG) {
        *(bool *)field_of(all, row) = json_is_true(value);
        return P2P_OK;
    }
    if (was[0] == '\0') return P2P_OK;
    p2p_status status = set_value(all, row, was);
    return status == P2P_USAGE ? p2p_fail(P2P_INPUT, "%s: the kept setting '%s' is unusable", file, name)
                               : status;
}

p2p_status settings_resume(settings *all, const json_t *kept, const char *file) {
    if (!json_is_object(kept)) return p2p_fail(P2P_INPUT, "%s: holds no settings", file);
    for (int i = 0; i < ROW_COUNT; i++) {
        if ((rows[i].commands & COMMAND_TRAIN) && rows[i].keeping == BINDING)
            P2P_TRY(resume_row(all, &rows[i], kept, file));
    }
    return P2P_OK;
}
