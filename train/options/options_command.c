/* Commands that begin or resume a training, from its settings. See options.h. */
#include "host/memory_stream.h"
#include "host/text.h"
#include "option_values.h"

#include <stdlib.h>
#include <string.h>

static bool write_word(FILE *to, const char *word) {
    char *quoted = text_shell_word(word);
    if (quoted) fputs(quoted, to);
    free(quoted);
    return quoted != NULL;
}

static bool write_option(FILE *to, const settings *all, const option_row *row) {
    char *value = option_text(all, row);
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
    char name[OPTION_JSON_NAME_BYTES];
    option_json_name(row, name);
    const json_t *value = json_object_get(kept, name);
    json_t *fallback = option_json_of_text(row, row->fallback);
    const bool known = fallback != NULL, differs = value && !json_equal(value, fallback);
    json_decref(fallback);
    if (!known || !differs) return known;
    char *text = option_text_of_json(value);
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
