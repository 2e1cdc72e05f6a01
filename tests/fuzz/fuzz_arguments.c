/* The command line. The first byte chooses the command, and each line after it is an argument. */
#include "fuzz.h"

#include "options/options.h"
#include "p2p.h"
#include "setup/setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMMANDS = 8, MOST_ARGUMENTS = 64 };

/* Cuts the text at its line ends. Returns the number of arguments. */
static int cut(char *text, const char *arguments[MOST_ARGUMENTS + 1]) {
    int count = 1;
    arguments[0] = "command";
    for (char *at = text; at && count < MOST_ARGUMENTS;) {
        arguments[count++] = at;
        at = strchr(at, '\n');
        if (at) *at++ = '\0';
    }
    arguments[count] = NULL;
    return count;
}

/* The recorded settings, taken into a command line without options, are recorded as the same. */
static void check_recording(const settings *all) {
    static const char *arguments[] = {"train", NULL};
    settings resumed;
    json_t *kept = settings_to_json(all);
    fuzz_require(kept != NULL, "settings can be recorded");
    fuzz_require(settings_parse(&resumed, COMMAND_TRAIN, 1, arguments) == P2P_OK, "no option is needed");
    fuzz_require(settings_resume(&resumed, kept, "fuzz") == P2P_OK, "what was recorded can be resumed");
    json_t *again = settings_to_json(&resumed);
    fuzz_require(json_equal(kept, again), "with the same settings");
    json_decref(again);
    json_decref(kept);
    settings_free(&resumed);
}

static void check_command(const settings *all) {
    char *command = settings_resume_command(all);
    fuzz_require(command != NULL, "a training can be resumed by a command");
    for (const char *at = command; *at; at++)
        fuzz_require((unsigned char)*at >= ' ' && *at != 0x7f, "which can be pasted");
    free(command);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    const char *arguments[MOST_ARGUMENTS + 1];
    settings all;
    pix2pix_config config;
    if (size < 1) return 0;
    const unsigned command = 1u << bytes[0] % COMMANDS;
    char *text = fuzz_text(bytes + 1, size - 1);
    const p2p_status status = settings_parse(&all, command, cut(text, arguments), arguments);
    fuzz_require(status == P2P_OK || status == P2P_USAGE, "a command line is right or refused");
    if (status == P2P_OK) {
        const p2p_status described = setup_model_config(&all, &config);
        fuzz_require(described == P2P_OK || described == P2P_USAGE, "networks are described or refused");
        if (command == COMMAND_TRAIN) check_recording(&all);
        if (command == COMMAND_TRAIN) check_command(&all);
    }
    settings_free(&all);
    free(text);
    return 0;
}
