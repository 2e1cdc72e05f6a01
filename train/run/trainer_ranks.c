/* What the ranks of a training have in common. See trainer_setup.h. Rank 0 alone looks at the folder, which
 * the others may not see; all read the pairs.
 */
#include "host/sys.h"
#include "host/text.h"
#include "json_text.h"
#include "setup/setup_same.h"
#include "trainer_setup.h"

#include <stdlib.h>
#include <string.h>

bool trainer_writes(const trainer *t) {
    return ranks_number(t->ranks) == 0;
}

/* ---- The start ---------------------------------------------------------------------------------------- */

typedef struct {
    training_position at;
    training_origin kept;
    training_source source;
    bool resumes; /* from a checkpoint */
} start;

static const char SETTINGS[] = "the settings of rank 0";

/* Options that are not recorded, and have to be those of rank 0 all the same. */
static const char *const SAME_OPTIONS[] = {"resume",           "deterministic",      "tune",
                                           "allow-other-data", "allow-other-device", "allow-other-version"};
enum { SAME_COUNT = sizeof SAME_OPTIONS / sizeof SAME_OPTIONS[0] };

/* NULL if memory runs out. */
static json_t *same_to_json(const settings *all) {
    json_t *object = json_object();
    for (int i = 0; i < SAME_COUNT && object; i++) {
        if (json_object_set_new(object, SAME_OPTIONS[i], settings_value_to_json(all, SAME_OPTIONS[i])) == 0)
            continue;
        json_decref(object);
        object = NULL;
    }
    return object;
}

/* Ranks may have the pairs at different places; a resumed training takes what was not given from rank 0. */
static p2p_status print_settings(const trainer *t, char **text) {
    json_t *recorded = settings_to_json(t->all);
    if (recorded && !t->all->resume) json_object_del(recorded, "data");
    json_t *object = json_pack("{s:o, s:o}", "same", same_to_json(t->all), "recorded", recorded);
    const p2p_status status = json_text_make(SETTINGS, object, JSON_COMPACT | JSON_SORT_KEYS, text);
    json_decref(object);
    return status;
}

/* Takes what was not given from rank 0. What was given may differ from the checkpoint's, but not from what
 * rank 0 has: the ranks' exchanges depend on it. */
static p2p_status take_resumed(const trainer *t, const json_t *recorded) {
    P2P_TRY(settings_resume(t->all, recorded, SETTINGS));
    json_t *taken = settings_to_json(t->all);
    if (!taken) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for settings");
    json_object_del(taken, "data");
    const p2p_status status = setup_compare_options(taken, recorded);
    json_decref(taken);
    return status;
}

static p2p_status take_settings(const trainer *t, const json_t *first, const json_t *own) {
    const json_t *recorded = json_object_get(first, "recorded");
    P2P_TRY(setup_compare_options(json_object_get(own, "same"), json_object_get(first, "same")));
    if (t->all->resume) return take_resumed(t, recorded);
    return setup_compare_options(json_object_get(own, "recorded"), recorded);
}

static p2p_status parse(const char *text, json_t **value) {
    return json_text_parse(SETTINGS, text, strlen(text), 0, value, NULL);
}

static p2p_status take_texts(const trainer *t, const char *first, const char *own) {
    json_t *values[2] = {NULL, NULL};
    p2p_status status = parse(first, &values[0]);
    if (status == P2P_OK) status = parse(own, &values[1]);
    if (status == P2P_OK) status = take_settings(t, values[0], values[1]);
    json_decref(values[0]);
    json_decref(values[1]);
    return status;
}

/* All ranks have the command of rank 0, whose paths may not be theirs. */
static p2p_status share_command(trainer *t) {
    t->command = settings_resume_command(t->all);
    if (!t->command) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a command");
    char *own = t->command;
    const p2p_status status = ranks_share_text(t->ranks, &t->command);
    if (t->command != own) free(own);
    return status;
}

static p2p_status share_settings(const trainer *t) {
    char *own, *text;
    P2P_TRY(print_settings(t, &own));
    text = own;
    p2p_status status = ranks_share_text(t->ranks, &text);
    if (status == P2P_OK && !trainer_writes(t)) status = take_texts(t, text, own);
    if (text != own) free(text);
    free(own);
    return status;
}

static p2p_status take_start(trainer *t, const start *shared) {
    t->at = shared->at;
    t->kept = shared->kept;
    t->source = shared->source;
    if (!shared->resumes) return P2P_OK;
    t->resumed_from = strdup("the checkpoint of rank 0");
    return t->resumed_from ? P2P_OK : p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a text");
}

p2p_status trainer_share_start(trainer *t) {
    if (!t->ranks) return P2P_OK;
    start shared = {.at = t->at, .kept = t->kept, .source = t->source, .resumes = t->resumed_from != NULL};
    P2P_TRY(ranks_agree(t->ranks, P2P_OK)); /* all have looked at the paths before rank 0 makes the folder */
    P2P_TRY(share_settings(t));
    P2P_TRY(share_command(t));
    if (t->resumed_from) ranks_set_kept(t->ranks); /* in rank 0 */
    P2P_TRY(ranks_share(t->ranks, &shared, sizeof shared));
    P2P_TRY(ranks_share_text(t->ranks, &t->choices));
    return trainer_writes(t) ? P2P_OK : take_start(t, &shared);
}

/* ---- Data --------------------------------------------------------------------------------------------- */

static bool same_pairs(const dataset_identity *a, const dataset_identity *b) {
    return a->pairs == b->pairs && a->names == b->names && strcmp(a->content, b->content) == 0;
}

p2p_status trainer_compare_data(const trainer *t) {
    dataset_identity first[2] = {t->origin.training, t->origin.validation};
    P2P_TRY(ranks_share(t->ranks, first, sizeof first));
    if (same_pairs(&first[0], &t->origin.training) && same_pairs(&first[1], &t->origin.validation))
        return P2P_OK;
    p2p_fail(P2P_INPUT, "%s has other pairs than in rank 0, or other files of the same names", t->all->data);
    return p2p_hint(P2P_INPUT, "all ranks need the same pairs: a shared folder, or equal copies");
}

/* ---- Devices ------------------------------------------------------------------------------------------ */

/* The texts of a rank's devices, of which each may be of several. */
typedef struct {
    char device[ORIGIN_TEXT_BYTES], driver[ORIGIN_TEXT_BYTES];
    char addresses[128];
    trainer_address address[SETUP_MOST_DEVICES];
    uint64_t kinds[SETUP_MOST_DEVICES];
    int32_t count;
    p2p_precision precision;
} rank_devices;

/* Whether the text is one of those that are joined. */
static bool has_text(const char *joined, const char *text, size_t length) {
    for (const char *at = joined; at;) {
        const char *end = strstr(at, ORIGIN_JOINT);
        const size_t found = end ? (size_t)(end - at) : strlen(at);
        if (found == length && memcmp(at, text, length) == 0) return true;
        at = end ? end + strlen(ORIGIN_JOINT) : NULL;
    }
    return false;
}

static void join_text(char joined[ORIGIN_TEXT_BYTES], const char *text, size_t length) {
    const size_t used = strlen(joined);
    if (has_text(joined, text, length) && used > 0) return;
    snprintf(joined + used, ORIGIN_TEXT_BYTES - used, "%s%.*s", used > 0 ? ORIGIN_JOINT : "", (int)length,
             text);
}

/* Joins each of the joined texts. */
static void join_texts(char joined[ORIGIN_TEXT_BYTES], const char *texts) {
    for (const char *at = texts; at;) {
        const char *end = strstr(at, ORIGIN_JOINT);
        join_text(joined, at, end ? (size_t)(end - at) : strlen(at));
        at = end ? end + strlen(ORIGIN_JOINT) : NULL;
    }
}

static rank_devices describe_own(const trainer *t) {
    rank_devices own = {.count = t->devices.count, .precision = t->devices.precision};
    for (int i = 0; i < t->devices.count; i++) {
        const char *device = p2p_device_name(t->devices.list[i]);
        const char *driver = p2p_device_driver(t->devices.list[i]);
        join_text(own.device, device, strlen(device));
        join_text(own.driver, driver, strlen(driver));
        own.kinds[i] = origin_kind(device, driver);
        snprintf(own.address[i], sizeof own.address[i], "%s", p2p_device_address(t->devices.list[i]));
    }
    setup_devices_print(&t->devices, own.addresses, sizeof own.addresses);
    return own;
}

/* All ranks compute in one precision: in fp32 if a rank has no fast tf32. It is recorded. */
static p2p_status agree_on_precision(trainer *t, const rank_devices *all) {
    p2p_precision *precision = &t->devices.precision;
    for (int i = 0; i < ranks_size(t->ranks); i++) {
        if (all[i].precision == *precision) continue;
        if (*precision != P2P_PRECISION_fp32)
            fprintf(stderr, "precision: fp32, because it is the default on rank %d\n", i);
        *precision = P2P_PRECISION_fp32;
    }
    return settings_set(t->all, "precision", p2p_precision_name(*precision));
}

/* Ranks have as many devices each. */
static p2p_status arrange(trainer *t, const rank_devices *all) {
    uint64_t kinds[SETUP_MOST_REPLICAS];
    t->addresses = calloc((size_t)t->replicas, sizeof *t->addresses);
    if (!t->addresses) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a list of devices");
    for (int r = 0; r < t->replicas; r++) {
        const rank_devices *rank = &all[r / t->devices.count];
        kinds[r] = rank->kinds[r % t->devices.count];
        memcpy(t->addresses[r], rank->address[r % t->devices.count], sizeof t->addresses[r]);
    }
    origin_arrange(&t->origin, kinds, t->replicas);
    return P2P_OK;
}

/* Each rank's launcher has bound it alike. */
static void note_processors(const trainer *t) {
    const int allowed = sys_processors(), all = sys_machine_processors();
    if (setup_few_processors(allowed, all, ranks_here(t->ranks), t->devices.count))
        fprintf(stderr,
                "warning: a rank may use %d of this machine's %d processors, too few to read "
                "pictures in time; allow more with --bind-to none of mpirun or --cpus-per-task of Slurm\n",
                allowed, all);
}

static p2p_status take_devices(trainer *t, const rank_devices *all) {
    for (int i = 0; i < ranks_size(t->ranks); i++) {
        if (all[i].count != all[0].count)
            return p2p_fail(P2P_USAGE, "rank %d has %d devices, rank 0 has %d: all need as many", i,
                            (int)all[i].count, (int)all[0].count);
        join_texts(t->origin.device, all[i].device);
        join_texts(t->origin.driver, all[i].driver);
        if (t->ranks)
            text_line(stderr, "rank %d on %s: %s, %s", i, ranks_host(t->ranks, i), all[i].addresses,
                      all[i].device);
    }
    if (t->ranks) note_processors(t);
    return arrange(t, all);
}

p2p_status trainer_number_replicas(trainer *t) {
    const rank_devices own = describe_own(t);
    rank_devices *all = calloc((size_t)ranks_size(t->ranks), sizeof *all);
    if (!all) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a list of devices");
    t->replicas = ranks_size(t->ranks) * t->devices.count;
    t->first_replica = ranks_number(t->ranks) * t->devices.count;
    p2p_status status = t->replicas <= SETUP_MOST_REPLICAS
                            ? ranks_gather(t->ranks, &own, sizeof own, all)
                            : p2p_fail(P2P_USAGE, "%d devices in all ranks; at most %d are possible",
                                       t->replicas, SETUP_MOST_REPLICAS);
    if (status == P2P_OK) status = take_devices(t, all);
    if (status == P2P_OK) status = agree_on_precision(t, all);
    free(all);
    return status;
}
