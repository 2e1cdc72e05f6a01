/* See pairs_check.h. The pairs are looked at by all threads, and what is found is put together in their
 * order.
 */
#include "pairs_check.h"

#include "host/json_file.h"
#include "host/text.h"
#include "pairs_findings.h"
#include "pairs_work.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SPLITS = 3 };

typedef struct {
    const settings *all;
    const char *dir;
    checked_split splits[MOST_SPLITS];
    size_t split_count, pairs;
    findings found;
} checking;

/* ---- Listing ------------------------------------------------------------------------------------------ */

/* A folder that is not a data set: its folders A and B, or itself. */
static p2p_status list_plain(checking *work) {
    char *sides[PAIR_SIDES];
    bool two[PAIR_SIDES] = {false, false};
    P2P_TRY(sys_path_join(&sides[0], work->dir, "A"));
    p2p_status status = sys_path_join(&sides[1], work->dir, "B");
    if (status != P2P_OK) {
        free(sides[0]);
        return status;
    }
    for (int i = 0; i < PAIR_SIDES && status == P2P_OK; i++) status = sys_path_is_folder(sides[i], &two[i]);
    checked_split *split = &work->splits[work->split_count++];
    split->name = "";
    const bool both = two[0] && two[1];
    if (status == P2P_OK)
        status =
            dataset_files_list_folders(&split->files, both ? sides[0] : work->dir, both ? sides[1] : NULL);
    for (int i = 0; i < PAIR_SIDES; i++) free(sides[i]);
    return status;
}

static p2p_status list_split(checking *work, const char *name) {
    bool present;
    P2P_TRY(dataset_files_present(work->dir, name, &present));
    if (!present) return P2P_OK;
    checked_split *split = &work->splits[work->split_count++];
    split->name = name;
    return dataset_files_list(&split->files, work->dir, name, dataset_pairing_named(work->all->pairs));
}

static p2p_status list_all(checking *work) {
    static const char *const names[MOST_SPLITS] = {"train", "val", "test"};
    bool exists;
    P2P_TRY(sys_path_is_folder(work->dir, &exists));
    if (!exists) return p2p_fail(P2P_INPUT, "there is no folder %s", work->dir);
    for (int i = 0; i < MOST_SPLITS; i++) P2P_TRY(list_split(work, names[i]));
    if (work->split_count == 0) P2P_TRY(list_plain(work));
    for (size_t i = 0; i < work->split_count; i++) {
        checked_split *split = &work->splits[i];
        split->looks = calloc(split->files.count + 1, sizeof *split->looks);
        if (!split->looks) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %zu pairs", split->files.count);
        work->pairs += split->files.count;
    }
    return P2P_OK;
}

/* ---- Looking ------------------------------------------------------------------------------------------ */

static p2p_status look_at(void *context, size_t index) {
    const checking *work = context;
    const checked_split *split = work->splits;
    for (; index >= split->files.count; split++) index -= split->files.count;
    dataset_paths paths;
    P2P_TRY(dataset_files_paths(&split->files, index, &paths));
    const bool judge = dataset_pairing_named(work->all->pairs) == DATASET_PAIRS_AUTO;
    p2p_status status = pair_look_at(&paths, judge, &split->looks[index]);
    dataset_paths_free(&paths);
    return status;
}

/* A shift in pixels as a text, "3 to the right and 5 down". */
static void shift_text(const pair_look *look, char *text, size_t size) {
    const int x = (int)lround(look->shift_x * look->size.width);
    const int y = (int)lround(look->shift_y * look->size.height);
    snprintf(text, size, "about %d pixels to the %s and %d %s", abs(x), x < 0 ? "left" : "right", abs(y),
             y < 0 ? "up" : "down");
}

static p2p_status add_contents(findings *found, const pair_look *look, const char *name) {
    char shift[96];
    if (look->equal)
        return findings_add(found, FINDING_equal, name, "%s: A and B are the same picture", name);
    for (int i = 0; i < PAIR_SIDES; i++)
        if (look->one_colour[i])
            return findings_add(found, FINDING_one_colour, name, "%s: %c has one colour", name, "AB"[i]);
    if (look->goes_on)
        return findings_add(found, FINDING_not_a_pair, name,
                            "%s continues across its middle, as a single picture does", name);
    if (look->shift_x == 0 && look->shift_y == 0) return P2P_OK;
    shift_text(look, shift, sizeof shift);
    return findings_add(found, FINDING_shifted, name, "%s: B seems to be shifted %s", name, shift);
}

static p2p_status add_pair(checking *work, const checked_split *split, size_t index) {
    const pair_look *look = &split->looks[index];
    char *name;
    P2P_TRY(checked_name(split, index, &name));
    p2p_status status = look->usable ? add_contents(&work->found, look, name)
                                     : findings_add(&work->found, FINDING_unusable, name, "%s", look->reason);
    free(name);
    return status;
}

static p2p_status add_single(checking *work, const checked_split *split, size_t index) {
    const dataset_names *names = &split->files.singles[index];
    char *name;
    P2P_TRY(sys_path_join(&name, split->name, names->a ? names->a : names->b));
    (void)dataset_files_single(&split->files, index); /* for its message */
    p2p_status status = findings_add(&work->found, FINDING_single, name, "%s", p2p_message());
    free(name);
    return status;
}

static p2p_status collect(checking *work) {
    for (size_t i = 0; i < work->split_count; i++) {
        const checked_split *split = &work->splits[i];
        for (size_t k = 0; k < split->files.single_count; k++) P2P_TRY(add_single(work, split, k));
        for (size_t k = 0; k < split->files.count; k++) P2P_TRY(add_pair(work, split, k));
    }
    return findings_compare(&work->found, work->splits, work->split_count);
}

/* ---- The table ---------------------------------------------------------------------------------------- */

/* The different texts of a column, and how often each occurs, in the order of their appearance. */
enum { MOST_TEXTS = 16, TEXT_BYTES = 40 };
typedef struct {
    char texts[MOST_TEXTS][TEXT_BYTES];
    int64_t counts[MOST_TEXTS];
    int different; /* the last place counts all that have no place of their own */
} tally;

static void count_text(tally *counted, const char *text) {
    int i = 0;
    while (i < counted->different && strcmp(counted->texts[i], text) != 0) i++;
    if (i == MOST_TEXTS) i--;
    if (i == counted->different) counted->different++;
    snprintf(counted->texts[i], TEXT_BYTES, "%s", i == MOST_TEXTS - 1 ? "others" : text);
    counted->counts[i]++;
}

typedef struct {
    tally sizes, kinds, formats;
} split_tallies;

static void format_text(const image_header *header, char text[TEXT_BYTES]) {
    static const char *const names[] = {"", "grey", "grey and alpha", "RGB", "RGB and alpha"};
    snprintf(text, TEXT_BYTES, "%s, %d bits", names[header->channels], header->bits);
}

static void count_pair(split_tallies *tallies, const pair_look *look) {
    char text[TEXT_BYTES];
    snprintf(text, sizeof text, "%d x %d", look->size.width, look->size.height);
    count_text(&tallies->sizes, text);
    for (int i = 0; i < look->files; i++) {
        format_text(&look->facts[i].header, text);
        count_text(&tallies->formats, text);
        count_text(&tallies->kinds, look->facts[i].kind);
    }
}

static split_tallies tallies_of(const checked_split *split) {
    split_tallies tallies = {0};
    for (size_t i = 0; i < split->files.count; i++)
        if (split->looks[i].usable) count_pair(&tallies, &split->looks[i]);
    return tallies;
}

static void print_tally(const tally *counted, const char *heading, FILE *stream) {
    for (int i = 0; i < counted->different; i++)
        text_line(stream, "  %-8s %8" PRId64 "  %s", i == 0 ? heading : "", counted->counts[i],
                  counted->texts[i]);
}

static void print_split(const checking *work, const checked_split *split) {
    const split_tallies tallies = tallies_of(split);
    const bool two = split->files.folders[1] != NULL;
    text_line(stdout, "%s: %zu pair%s, %s", split->name[0] ? split->name : work->dir, split->files.count,
              split->files.count == 1 ? "" : "s", two ? "A and B in two folders" : "side by side");
    print_tally(&tallies.sizes, "A and B", stdout);
    print_tally(&tallies.kinds, "files", stdout);
    print_tally(&tallies.formats, "pixels", stdout);
    dataset_files_print_unread(&split->files);
    text_line(stdout, "%s", "");
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

static json_t *tally_to_json(const tally *counted) {
    json_t *object = json_object();
    for (int i = 0; object && i < counted->different; i++)
        if (json_object_set_new(object, counted->texts[i], json_integer(counted->counts[i])) != 0) {
            json_decref(object);
            return NULL;
        }
    return object;
}

static json_t *split_to_json(const checked_split *split) {
    const split_tallies tallies = tallies_of(split);
    return json_pack("{s:s,s:I,s:I,s:b,s:o,s:o,s:o}", "split", split->name, "pairs",
                     (json_int_t)split->files.count, "singles", (json_int_t)split->files.single_count,
                     "side_by_side", split->files.folders[1] == NULL, "sizes", tally_to_json(&tallies.sizes),
                     "files", tally_to_json(&tallies.kinds), "pixels", tally_to_json(&tallies.formats));
}

static p2p_status write_json(const checking *work) {
    json_t *splits = json_array();
    for (size_t i = 0; splits && i < work->split_count; i++)
        if (json_array_append_new(splits, split_to_json(&work->splits[i])) != 0) {
            json_decref(splits);
            splits = NULL;
        }
    return json_file_write_new(work->all->json_file,
                               json_pack("{s:o,s:o,s:o}", "folder", text_to_json(work->dir), "splits", splits,
                                         "problems", findings_to_json(&work->found)),
                               JSON_INDENT(2));
}

/* ---- All of it ---------------------------------------------------------------------------------------- */

static p2p_status check_json(const settings *all) {
    bool exists;
    if (!all->json_file) return P2P_OK;
    P2P_TRY(sys_path_exists(all->json_file, &exists));
    if (!exists) return P2P_OK;
    p2p_fail(P2P_USAGE, "--json %s exists already", all->json_file);
    return p2p_hint(P2P_USAGE, "choose another name, or remove it: nothing is overwritten");
}

/* Returns P2P_INPUT with the number of problems. */
static p2p_status fail_found(const checking *work) {
    bool odd = false;
    for (size_t i = 0; i < work->split_count; i++)
        for (size_t k = 0; k < work->splits[i].files.count; k++) odd |= work->splits[i].looks[k].odd_shape;
    p2p_status status = p2p_fail(P2P_INPUT, "%s: %zu problem%s", work->dir, work->found.count,
                                 work->found.count == 1 ? "" : "s");
    if (!odd) return status;
    return p2p_hint(status,
                    "if pictures with the shape of a single one are pairs, as those of portraits are, "
                    "give --pairs side-by-side here and to p2p train");
}

static p2p_status run(checking *work) {
    P2P_TRY(check_json(work->all));
    P2P_TRY(list_all(work));
    const pairs_work looking = {
        .count = work->pairs, .workers = (int)work->all->workers, .job = look_at, .context = work};
    pairs_work_result result;
    P2P_TRY(pairs_work_run(&looking, &result));
    P2P_TRY(collect(work));
    for (size_t i = 0; i < work->split_count; i++) print_split(work, &work->splits[i]);
    findings_print(&work->found, stdout);
    if (work->all->json_file) P2P_TRY(write_json(work));
    if (work->found.count == 0) return P2P_OK;
    return fail_found(work);
}

p2p_status pairs_check(const settings *all, const char *dir) {
    checking work = {.all = all, .dir = dir};
    p2p_status status = run(&work);
    for (size_t i = 0; i < work.split_count; i++) {
        checked_split *split = &work.splits[i];
        for (size_t k = 0; split->looks && k < split->files.count; k++) pair_look_free(&split->looks[k]);
        free(split->looks);
        dataset_files_free(&split->files);
    }
    findings_free(&work.found);
    return status;
}
