/* See pairs_findings.h. */
#include "pairs_findings.h"

#include "host/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {
#define X(name, meaning) #name,
    PAIRS_FINDING_LIST(X)
#undef X
};

static const char *const kind_meanings[] = {
#define X(name, meaning) meaning,
    PAIRS_FINDING_LIST(X)
#undef X
};

static p2p_status no_memory(void) {
    return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a list of problems");
}

static p2p_status grow(findings *found) {
    if (found->count < found->capacity) return P2P_OK;
    const size_t capacity = found->capacity == 0 ? 64 : 2 * found->capacity;
    finding *grown = realloc(found->list, capacity * sizeof *grown);
    if (!grown) return no_memory();
    found->list = grown;
    found->capacity = capacity;
    return P2P_OK;
}

p2p_status findings_add(findings *found, finding_kind kind, const char *name, const char *format, ...) {
    enum { TEXT_BYTES = 3 * P2P_PATH_BYTES };
    P2P_TRY(grow(found));
    finding *added = &found->list[found->count];
    *added = (finding){.kind = kind, .name = strdup(name), .text = malloc(TEXT_BYTES)};
    found->count++;
    found->counts[kind]++;
    if (!added->name || !added->text) return no_memory();
    va_list args;
    va_start(args, format);
    vsnprintf(added->text, TEXT_BYTES, format, args);
    va_end(args);
    char *shorter = realloc(added->text, strlen(added->text) + 1);
    if (shorter) added->text = shorter;
    return P2P_OK;
}

void findings_free(findings *found) {
    for (size_t i = 0; i < found->count; i++) {
        free(found->list[i].name);
        free(found->list[i].text);
    }
    free(found->list);
    *found = (findings){0};
}

void findings_print(const findings *found, FILE *stream) {
    if (found->count == 0) {
        text_line(stream, "no problems");
        return;
    }
    text_line(stream, "%-11s %6s  %s", "problem", "pairs", "what it means");
    for (int kind = 0; kind < FINDING_KINDS; kind++)
        if (found->counts[kind] > 0)
            text_line(stream, "%-11s %6zu  %s", kind_names[kind], found->counts[kind], kind_meanings[kind]);
    text_line(stream, "%s", "");
    for (size_t i = 0; i < found->count && i < FINDINGS_SHOWN; i++)
        text_line(stream, "%s: %s", kind_names[found->list[i].kind], found->list[i].text);
    if (found->count > FINDINGS_SHOWN)
        text_line(stream, "and %zu more; --json FILE has all", found->count - FINDINGS_SHOWN);
}

json_t *findings_to_json(const findings *found) {
    json_t *array = json_array();
    for (size_t i = 0; array && i < found->count; i++) {
        const finding *one = &found->list[i];
        json_t *object = json_pack("{s:s,s:o,s:o}", "problem", kind_names[one->kind], "name",
                                   text_to_json(one->name), "text", text_to_json(one->text));
        if (object && json_array_append_new(array, object) == 0) continue;
        json_decref(array);
        return NULL;
    }
    return array;
}

p2p_status checked_name(const checked_split *split, size_t index, char **name) {
    return sys_path_join(name, split->name, split->files.pairs[index].a);
}

/* ---- Duplicates --------------------------------------------------------------------------------------- */

typedef struct {
    const checked_split *split;
    size_t index;
    size_t order; /* among all pairs */
} pair_place;

static const pair_look *look_of(const pair_place *place) {
    return &place->split->looks[place->index];
}

/* By the hashes of the files, then in order. */
static int compare_hashes(const void *left, const void *right) {
    const pair_place *a = left, *b = right;
    const int first = strcmp(look_of(a)->hashes[0], look_of(b)->hashes[0]);
    if (first != 0) return first;
    const int second = strcmp(look_of(a)->hashes[1], look_of(b)->hashes[1]);
    if (second != 0) return second;
    return a->order < b->order ? -1 : a->order > b->order;
}

static int compare_order(const void *left, const void *right) {
    const pair_place *a = left, *b = right;
    return a->order < b->order ? -1 : a->order > b->order;
}

static bool same_files(const pair_place *a, const pair_place *b) {
    return strcmp(look_of(a)->hashes[0], look_of(b)->hashes[0]) == 0 &&
           strcmp(look_of(a)->hashes[1], look_of(b)->hashes[1]) == 0;
}

static p2p_status add_duplicate(findings *found, const pair_place *first, const pair_place *again) {
    char *name, *other;
    P2P_TRY(checked_name(again->split, again->index, &name));
    p2p_status status = checked_name(first->split, first->index, &other);
    if (status == P2P_OK)
        status = findings_add(found, FINDING_duplicate, name, "%s has the bytes of %s%s", name, other,
                              first->split == again->split ? "" : ", in another split");
    if (status == P2P_OK) free(other);
    free(name);
    return status;
}

static p2p_status find_duplicates(findings *found, pair_place *places, size_t count) {
    qsort(places, count, sizeof *places, compare_hashes);
    size_t first = 0;
    for (size_t i = 1; i < count; i++) {
        if (same_files(&places[first], &places[i]))
            P2P_TRY(add_duplicate(found, &places[first], &places[i]));
        else
            first = i;
    }
    qsort(places, count, sizeof *places, compare_order);
    return P2P_OK;
}

/* ---- Swapped pairs ------------------------------------------------------------------------------------ */

enum { LEAST_PAIRS = 6 }; /* fewer do not show what is usual */
/* Added to the usual deviation of a feature, so that small ones do not count. */
static const double SLACK = 0.02;
/* A pair is swapped if that explains its features with at most this share of the deviation. */
static const double MUCH_BETTER = 0.5;

/* What is usual: the medians of each side's features, and of the deviations from them. */
typedef struct {
    double middle[PAIR_SIDES][PAIR_FEATURES], deviation[PAIR_FEATURES];
} usual_features;

static int compare_numbers(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static double median(double *numbers, size_t count) {
    qsort(numbers, count, sizeof *numbers, compare_numbers);
    return numbers[count / 2];
}

/* `numbers` has places for two of each pair. */
static void find_usual(const pair_place *places, size_t count, double *numbers, usual_features *usual) {
    for (int feature = 0; feature < PAIR_FEATURES; feature++) {
        for (int side = 0; side < PAIR_SIDES; side++) {
            for (size_t i = 0; i < count; i++) numbers[i] = look_of(&places[i])->features[side][feature];
            usual->middle[side][feature] = median(numbers, count);
        }
        for (size_t i = 0; i < PAIR_SIDES * count; i++) {
            const double value = look_of(&places[i / PAIR_SIDES])->features[i % PAIR_SIDES][feature];
            const double away = value - usual->middle[i % PAIR_SIDES][feature];
            numbers[i] = away < 0 ? -away : away;
        }
        usual->deviation[feature] = median(numbers, PAIR_SIDES * count) + SLACK;
    }
}

static double deviation_of(const pair_look *look, const usual_features *usual, bool swapped) {
    double sum = 0;
    for (int side = 0; side < PAIR_SIDES; side++)
        for (int feature = 0; feature < PAIR_FEATURES; feature++) {
            const double away = look->features[side][feature] - usual->middle[side ^ swapped][feature];
            sum += (away < 0 ? -away : away) / usual->deviation[feature];
        }
    return sum;
}

static p2p_status find_swapped(findings *found, const pair_place *places, size_t count) {
    usual_features usual;
    double *numbers = malloc(PAIR_SIDES * (count + 1) * sizeof *numbers);
    if (!numbers) return no_memory();
    find_usual(places, count, numbers, &usual);
    free(numbers);
    for (size_t i = 0; i < count; i++) {
        const pair_look *look = look_of(&places[i]);
        if (deviation_of(look, &usual, true) > MUCH_BETTER * deviation_of(look, &usual, false)) continue;
        char *name;
        P2P_TRY(checked_name(places[i].split, places[i].index, &name));
        p2p_status status =
            findings_add(found, FINDING_swapped, name, "%s seems to have A and B swapped", name);
        free(name);
        P2P_TRY(status);
    }
    return P2P_OK;
}

p2p_status findings_compare(findings *found, const checked_split *splits, size_t count) {
    size_t pairs = 0, usable = 0;
    for (size_t i = 0; i < count; i++) pairs += splits[i].files.count;
    pair_place *places = calloc(pairs + 1, sizeof *places);
    if (!places) return no_memory();
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < splits[i].files.count; k++)
            if (splits[i].looks[k].usable) {
                places[usable] = (pair_place){&splits[i], k, usable};
                usable++;
            }
    p2p_status status = find_duplicates(found, places, usable);
    if (status == P2P_OK && usable >= LEAST_PAIRS) status = find_swapped(found, places, usable);
    free(places);
    return status;
}
