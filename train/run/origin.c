/* See origin.h. */
#include "origin.h"

#include "host/text.h"
#include "json_text.h"
#include "p2p.h"
#include "setup/setup_devices.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

bool origin_is_recorded(const training_origin *origin) {
    return origin->version[0] != '\0';
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

/* Adds a field unless the text is "". */
static json_t *add_text(json_t *object, const char *key, const char *text) {
    return json_text_add(object, key, text[0] != '\0', json_string(text));
}

static json_t *pairs_to_json(const dataset_identity *data) {
    char names[32];
    snprintf(names, sizeof names, "%016" PRIx64, data->names);
    json_t *object = json_pack("{s:I, s:s, s:s}", "pairs", (json_int_t)data->pairs, "names_hash", names,
                               "content", data->content);
    return add_text(object, "all_bytes", data->all_bytes);
}

/* Adds a field unless there are no pairs. */
static json_t *add_pairs(json_t *object, const char *key, const dataset_identity *data) {
    const bool wanted = data->pairs > 0;
    return json_text_add(object, key, wanted, wanted ? pairs_to_json(data) : NULL);
}

json_t *origin_to_json(const training_origin *origin) {
    json_t *object = json_pack("{s:s, s:o, s:o, s:s}", "version", origin->version, "device",
                               text_to_json(origin->device), "driver", text_to_json(origin->driver),
                               "algorithms", origin->measured ? "measured" : "heuristic");
    object = json_text_add(object, "devices", origin->devices > 1, json_integer(origin->devices));
    object = add_text(object, "arrangement", origin->arrangement);
    object = add_text(object, "initial_generator", origin->initial_generator);
    object = add_text(object, "initial_discriminator", origin->initial_discriminator);
    object = add_pairs(object, "training", &origin->training);
    return add_pairs(object, "validation", &origin->validation);
}

/* Returns false if the text is longer than a hash. NULL is "". */
static bool copy_hash(char to[DATASET_HASH_BYTES], const char *from) {
    return snprintf(to, DATASET_HASH_BYTES, "%s", from ? from : "") < DATASET_HASH_BYTES;
}

static bool pairs_from_json(json_t *object, dataset_identity *data) {
    const char *names, *content, *all_bytes = NULL;
    json_int_t pairs;
    if (!object) return true;
    if (json_unpack(object, "{s:I, s:s, s:s, s?s}", "pairs", &pairs, "names_hash", &names, "content",
                    &content, "all_bytes", &all_bytes) != 0)
        return false;
    data->pairs = pairs;
    data->names = strtoull(names, NULL, 16);
    return pairs > 0 && copy_hash(data->content, content) && copy_hash(data->all_bytes, all_bytes);
}

static bool read_all(json_t *object, training_origin *origin) {
    const char *version, *algorithms, *arrangement = NULL, *first = NULL, *second = NULL;
    json_t *device, *driver, *training, *validation = NULL;
    json_int_t devices = 1;
    if (json_unpack(object, "{s:s, s:o, s:o, s?I, s?s, s:s, s?s, s?s, s:o, s?o}", "version", &version,
                    "device", &device, "driver", &driver, "devices", &devices, "arrangement", &arrangement,
                    "algorithms", &algorithms, "initial_generator", &first, "initial_discriminator", &second,
                    "training", &training, "validation", &validation) != 0 ||
        version[0] == '\0' || devices < 1 || devices > SETUP_MOST_REPLICAS || !json_is_string(device) ||
        !json_is_string(driver))
        return false;
    snprintf(origin->version, sizeof origin->version, "%s", version);
    text_from_json(device, origin->device, sizeof origin->device);
    text_from_json(driver, origin->driver, sizeof origin->driver);
    origin->devices = (int)devices;
    snprintf(origin->arrangement, sizeof origin->arrangement, "%s", arrangement ? arrangement : "");
    origin->measured = strcmp(algorithms, "measured") == 0;
    return copy_hash(origin->initial_generator, first) && copy_hash(origin->initial_discriminator, second) &&
           pairs_from_json(training, &origin->training) && pairs_from_json(validation, &origin->validation);
}

p2p_status origin_from_json(const json_t *object, training_origin *origin, const char *path) {
    if (read_all((json_t *)object, origin)) return P2P_OK;
    return p2p_fail(P2P_INPUT, "%s: the record of the training's origin is damaged", path);
}

/* ---- Comparison --------------------------------------------------------------------------------------- */

/* Report a difference, whose sentence is the message of p2p_fail, if it is allowed; else return it as a
 * failure. */
static p2p_status report_difference(p2p_status code, bool allowed, const char *option, const char *remedy) {
    if (!allowed)
        return p2p_hint(code, "%s; --%s continues all the same, with other bits than without the change",
                        remedy, option);
    text_print_line("", p2p_message(), stderr);
    fprintf(stderr, "continuing, because --%s is given\n", option);
    return P2P_OK;
}

p2p_status origin_check_version(const training_origin *kept, const settings *all, const char *file) {
    if (!origin_is_recorded(kept)) {
        fprintf(
            stderr,
            "an older version of p2p began this training and recorded neither its version, its device nor "
            "the contents of its pairs: they cannot be compared now; the next checkpoint records them\n");
        return P2P_OK;
    }
    if (strcmp(kept->version, P2P_VERSION) == 0) return P2P_OK;
    p2p_fail(P2P_USAGE, "%s was written by p2p %s, but this is p2p %s: its results may differ", file,
             kept->version, P2P_VERSION);
    return report_difference(P2P_USAGE, all->allow_other_version, "allow-other-version",
                             "continue with the version of before");
}

/* Whether the contents are equal, as far as both are known. */
static bool same_contents(const dataset_identity *kept, const dataset_identity *now) {
    const bool both = kept->all_bytes[0] && now->all_bytes[0];
    return strcmp(kept->content, now->content) == 0 &&
           (!both || strcmp(kept->all_bytes, now->all_bytes) == 0);
}

static p2p_status check_number(const dataset_identity *kept, const dataset_identity *now,
                               const char *folder) {
    if (kept->pairs == now->pairs && kept->names == now->names) return P2P_OK;
    p2p_fail(P2P_INPUT,
             "--data %s: %" PRId64 " training pairs, but the checkpoint was made with %" PRId64
             " of other names",
             folder, now->pairs, kept->pairs);
    return p2p_hint(P2P_INPUT, "a training can be resumed only with the pairs with which it began");
}

/* A training that starts again reads its initial weights again. */
p2p_status origin_check_initial(const training_origin *kept, const training_origin *now, const char *file) {
    if (!origin_is_recorded(kept)) return P2P_OK;
    if (strcmp(kept->initial_generator, now->initial_generator) == 0 &&
        strcmp(kept->initial_discriminator, now->initial_discriminator) == 0)
        return P2P_OK;
    p2p_fail(P2P_INPUT, "the initial weights have changed since %s was written", file);
    return p2p_hint(P2P_INPUT,
                    "restore the files of --init-generator and --init-discriminator, or start a training in "
                    "another --out");
}

static void report_unverified(const training_origin *kept, const settings *all) {
    if (all->verify_data && !kept->training.all_bytes[0])
        fprintf(
            stderr,
            "--verify-data: no hash of all bytes was recorded before; sizes and samples are equal, and the "
            "next checkpoint records it\n");
}

p2p_status origin_check_data(const training_origin *kept, const training_origin *now, const settings *all,
                             const char *file) {
    static const char restore[] = "restore the pairs with which it began";
    P2P_TRY(check_number(&kept->training, &now->training, all->data));
    if (!origin_is_recorded(kept)) return P2P_OK;
    if (!same_contents(&kept->training, &now->training)) {
        p2p_fail(P2P_INPUT, "--data %s: the contents of the training pairs have changed since %s was written",
                 all->data, file);
        P2P_TRY(report_difference(P2P_INPUT, all->allow_other_data, "allow-other-data", restore));
    }
    const dataset_identity *before = &kept->validation, *found = &now->validation;
    if (before->pairs != found->pairs || before->names != found->names || !same_contents(before, found)) {
        p2p_fail(
            P2P_INPUT,
            "--data %s: the validation pairs, by which the best epoch is chosen, have changed since %s was "
            "written (%" PRId64 " then, %" PRId64 " now)",
            all->data, file, before->pairs, found->pairs);
        P2P_TRY(report_difference(P2P_INPUT, all->allow_other_data, "allow-other-data", restore));
    }
    report_unverified(kept, all);
    return P2P_OK;
}

/* Whether each text of `some` is one of `all`. */
static bool has_texts(const char *all, const char *some) {
    const size_t joint = strlen(ORIGIN_JOINT);
    for (const char *at = some; at;) {
        const char *end = strstr(at, ORIGIN_JOINT), *found = all;
        const size_t length = end ? (size_t)(end - at) : strlen(at);
        bool is_there = false;
        while (found && !is_there) {
            const char *found_end = strstr(found, ORIGIN_JOINT);
            const size_t found_length = found_end ? (size_t)(found_end - found) : strlen(found);
            is_there = found_length == length && memcmp(found, at, length) == 0;
            found = found_end ? found_end + joint : NULL;
        }
        if (!is_there) return false;
        at = end ? end + joint : NULL;
    }
    return true;
}

/* A smaller set of the recorded devices, a larger one that contains it, and the same devices in another order
 * count as the same devices. */
static bool same_texts(const char *kept, const char *now, bool same_count) {
    if (same_count) return has_texts(kept, now) && has_texts(now, kept);
    return has_texts(kept, now) || has_texts(now, kept);
}

p2p_status origin_check_device(const training_origin *kept, const training_origin *now, const settings *all,
                               const char *file) {
    if (!origin_is_recorded(kept)) return P2P_OK;
    const bool same_count = kept->devices == now->devices;
    if (same_texts(kept->device, now->device, same_count) &&
        same_texts(kept->driver, now->driver, same_count))
        return P2P_OK;
    p2p_fail(P2P_USAGE, "%s was trained on the device '%s' (driver %s), but this is '%s' (driver %s)", file,
             kept->device, kept->driver, now->device, now->driver);
    return report_difference(P2P_USAGE, all->allow_other_device, "allow-other-device",
                             "select the device with --device; p2p devices lists all");
}

/* ---- Devices ------------------------------------------------------------------------------------------ */

uint64_t origin_kind(const char *device, const char *driver) {
    return XXH3_64bits_withSeed(driver, strlen(driver), XXH3_64bits(device, strlen(device)));
}

void origin_arrange(training_origin *origin, const uint64_t *kinds, int count) {
    bool several = false;
    for (int i = 1; i < count; i++) several = several || kinds[i] != kinds[0];
    origin->arrangement[0] = '\0';
    if (several)
        snprintf(origin->arrangement, sizeof origin->arrangement, "%016" PRIx64,
                 (uint64_t)XXH3_64bits(kinds, (size_t)count * sizeof *kinds));
}

void origin_note_devices(const training_origin *kept, const training_origin *now) {
    char before[48] = "in another order than before";
    if (!origin_is_recorded(kept)) return;
    const bool moved = kept->arrangement[0] && strcmp(kept->arrangement, now->arrangement) != 0;
    if (kept->devices == now->devices && !moved) return;
    if (kept->devices != now->devices) snprintf(before, sizeof before, "and %d before", kept->devices);
    fprintf(
        stderr,
        "devices: %d, %s: the training continues from the same weights and in the same order of pairs, but "
        "its results may differ in their bits from here on\n",
        now->devices, before);
}

/* ---- Identity ----------------------------------------------------------------------------------------- */

/* What decides the bits. The names of files with initial weights are left out, because their contents are in
 * the origin. Hashes of all bytes are left out, because the same pairs may have them or not. */
static json_t *deciding(const training_origin *origin, const settings *all, const char *choices) {
    training_origin sampled = *origin;
    sampled.training.all_bytes[0] = sampled.validation.all_bytes[0] = '\0';
    json_t *options = settings_binding_to_json(all);
    if (options) {
        json_object_del(options, "init_generator");
        json_object_del(options, "init_discriminator");
    }
    return json_pack("{s:o, s:o, s:o}", "settings", options, "origin", origin_to_json(&sampled), "choices",
                     text_to_json(choices));
}

p2p_status origin_identify(const training_origin *origin, const settings *all, const char *choices,
                           char run[MODEL_FILE_RUN_BYTES]) {
    json_t *object = deciding(origin, all, choices);
    char *text;
    const p2p_status status =
        json_text_make("the training's identity", object, JSON_COMPACT | JSON_SORT_KEYS, &text);
    json_decref(object);
    P2P_TRY(status);
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, XXH3_128bits(text, strlen(text)));
    free(text);
    for (int i = 0; i < 16; i++) snprintf(run + 2 * i, 3, "%02x", bytes.digest[i]);
    return P2P_OK;
}
