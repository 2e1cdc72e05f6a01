/* JSON files of a training that p2p reads again: config.json and best.json. */
#include "fuzz.h"

#include "host/json_file.h"
#include "options/options.h"
#include "run/origin.h"
#include "run/trainer_folder.h"

#include <stdio.h>
#include <string.h>

/* What --resume does with a config.json. */
static void resume(const json_t *config, const char *path) {
    static const char *arguments[] = {"train", NULL};
    settings all;
    training_origin origin = {0};
    const json_t *recorded = json_object_get(config, "origin");
    fuzz_require(settings_parse(&all, COMMAND_TRAIN, 1, arguments) == P2P_OK, "no option is needed");
    p2p_status status = recorded ? origin_from_json(recorded, &origin, path) : P2P_OK;
    fuzz_require(status == P2P_OK || status == P2P_INPUT, "an origin is read or refused");
    status = settings_resume(&all, config, path);
    fuzz_require(status == P2P_OK || status == P2P_INPUT, "settings are read or refused");
    settings_free(&all);
}

/* Takes the reference to the object. */
static void seal(json_t *object, const char *path) {
    json_t *again = NULL, *copy = json_incref(object);
    fuzz_require(json_file_write_sealed(path, object, JSON_INDENT(1)) == P2P_OK, "an object can be written");
    fuzz_require(json_file_read_sealed(path, &again) == P2P_OK && json_equal(again, copy),
                 "what was written is read again");
    json_decref(again);
    json_decref(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    const char *path = fuzz_file("config.json", bytes, size);
    json_t *object = NULL;
    const p2p_status status = json_file_read_sealed(path, &object);
    fuzz_require((status == P2P_OK) == (object != NULL), "an object is read, or a status has the reason");
    fuzz_require(status == P2P_OK || status == P2P_INPUT, "a file is read or refused");
    trainer any = {0};
    int64_t epoch;
    ownership owner = OWNED;
    fuzz_require(trainer_owner_of_numbers(&any, path, &epoch, &owner) == P2P_OK, "the file can be read");
    fuzz_require((owner == OWNED_DAMAGED) == !object, "best.json is damaged if it holds no sealed object");
    if (!object) return 0;
    resume(object, path);
    seal(object, path);
    return 0;
}
