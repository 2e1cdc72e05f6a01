/* The table of algorithms. See cuda_algorithm.h. */
#include "cuda_algorithm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cuda_algorithm_choice {
    cuda_algorithm_choice *next;
    p2p_op plain;
    char name[P2P_CHOICE_NAME];
};

static p2p_status no_memory(void) {
    return cuda_host->fail(P2P_OUT_OF_MEMORY, "cuda: no host memory for the algorithm of a convolution");
}

/* ---- Making -------------------------------------------------------------------------------------------- */

/* The algorithm of this engine for the convolution that failed; NULL if none has. */
static const cuda_algorithm *find_failed(const cuda_algorithms *all, const p2p_op *conv, const char *name) {
    for (const cuda_algorithm *a = all->known; a; a = a->next)
        if (a->failed && strcmp(a->engine.name, name) == 0 && p2p_op_equal(&a->conv, conv)) return a;
    return NULL;
}

/* The workspace that may be used. Operations have allocated memory for that of the algorithms that failed. */
static size_t promised_workspace(const cuda_algorithms *all, const cuda_algorithm *a) {
    size_t bytes = a->workspace_bytes;
    for (const cuda_algorithm *f = all->known; f && !a->requested[0]; f = f->next)
        if (f->failed && f->promised_bytes < bytes && p2p_op_equal(&f->conv, &a->conv))
            bytes = f->promised_bytes;
    return bytes;
}

static p2p_status check_not_failed(const cuda_algorithms *all, const p2p_op *conv, const char *name) {
    if (!find_failed(all, conv, name)) return P2P_OK;
    return cuda_host->fail(P2P_UNSUPPORTED, "cuda: engine %s failed when it was executed", name);
}

/* Makes the plan of an engine, and takes its configuration, if it computes the convolution. */
static p2p_status try_engine(const cuda_algorithms *all, cuda_algorithm *a, cuda_engine *engine) {
    P2P_TRY(check_not_failed(all, &a->conv, engine->name));
    P2P_TRY(cuda_engine_admit(&all->card, &a->conv, engine));
    P2P_TRY(cuda_engine_plan(&all->card, engine, &a->plan, &a->workspace_bytes));
    a->promised_bytes = promised_workspace(all, a);
    a->engine = *engine;
    engine->config = NULL;
    return P2P_OK;
}

/* Tries the engines of a list until one has a plan. A list that cuDNN refuses to make counts as empty. */
static p2p_status try_list(const cuda_algorithms *all, cuda_algorithm *a, cudnnBackendHeurMode_t heuristic,
                           int *tried) {
    cuda_engine_list list;
    p2p_status status = cuda_engine_list_make(&all->card, &a->graph, heuristic, &list);
    if (status != P2P_OK) return status == P2P_UNSUPPORTED ? P2P_OK : status;
    for (int i = 0; i < list.count && !a->plan; i++) {
        status = try_engine(all, a, &list.engine[i]);
        if (status != P2P_OK && status != P2P_UNSUPPORTED) break;
        ++*tried;
    }
    cuda_engine_list_release(&list);
    return status == P2P_UNSUPPORTED ? P2P_OK : status;
}

static p2p_status find_by_heuristics(const cuda_algorithms *all, cuda_algorithm *a) {
    int tried = 0;
    for (int i = 0; i < CUDA_ENGINE_LISTS && !a->plan; i++)
        P2P_TRY(try_list(all, a, cuda_engine_lists[i], &tried));
    if (a->plan) return P2P_OK;
    P2P_TRY(cuda_check_device(all->card.queue, "cuDNN's search for an engine"));
    if (tried == 0) return cuda_host->fail(P2P_UNSUPPORTED, "cuda: cuDNN has no engine for this convolution");
    char last[512];
    snprintf(last, sizeof last, "%s", cuda_host->message());
    return cuda_host->fail(P2P_UNSUPPORTED, "cuda: none of %d engines of cuDNN can be used; of the last: %s",
                           tried, last);
}

static p2p_status find_by_name(const cuda_algorithms *all, cuda_algorithm *a) {
    cuda_engine engine;
    P2P_TRY(cuda_engine_make(&all->card, &a->graph, a->requested, &engine));
    const p2p_status status = try_engine(all, a, &engine);
    cuda_engine_release(&engine);
    return status;
}

static p2p_status make(const cuda_algorithms *all, cuda_algorithm *a) {
    P2P_TRY(cuda_dnn_graph_make(&all->card, &a->conv, &a->graph));
    return a->requested[0] ? find_by_name(all, a) : find_by_heuristics(all, a);
}

static void release_descriptors(cuda_algorithm *a) {
    cuda_dnn_destroy(&a->plan);
    cuda_engine_release(&a->engine);
    cuda_dnn_graph_release(&a->graph);
}

static void release(cuda_algorithm *a, bool lost) {
    if (!lost) release_descriptors(a);
    free(a->reason);
    free(a);
}

/* ---- Finding ------------------------------------------------------------------------------------------- */

static cuda_algorithm *find_known(const cuda_algorithms *all, const p2p_op *conv, const char *name) {
    for (cuda_algorithm *a = all->known; a; a = a->next) {
        const bool named = strcmp(a->requested, name) == 0 || (a->plan && strcmp(a->engine.name, name) == 0);
        if (named && !a->failed && p2p_op_equal(&a->conv, conv)) return a;
    }
    return NULL;
}

/* Keeps a refusal as well, with its message. */
static p2p_status add(cuda_algorithms *all, const p2p_op *conv, const char *name, cuda_algorithm **added) {
    if (strlen(name) >= P2P_CHOICE_NAME)
        return cuda_host->fail(P2P_UNSUPPORTED, "cuda: '%s' is not the name of an engine of cuDNN", name);
    cuda_algorithm *a = calloc(1, sizeof *a);
    if (!a) return no_memory();
    a->conv = *conv;
    memcpy(a->requested, name, strlen(name) + 1);
    p2p_status status = make(all, a);
    if (status == P2P_UNSUPPORTED) {
        release_descriptors(a);
        a->reason = strdup(cuda_host->message());
        status = a->reason ? P2P_OK : no_memory();
    }
    if (status != P2P_OK) {
        release(a, false);
        return status;
    }
    a->next = all->known;
    *added = all->known = a;
    return P2P_OK;
}

static const cuda_algorithm_choice *find_choice(const cuda_algorithms *all, const p2p_op *plain) {
    for (const cuda_algorithm_choice *c = all->choices; c; c = c->next)
        if (p2p_op_equal(&c->plain, plain)) return c;
    return NULL;
}

const char *cuda_algorithm_chosen(const cuda_algorithms *all, const p2p_op *op) {
    const p2p_op plain = p2p_op_plain_convolution(op);
    const cuda_algorithm_choice *choice = find_choice(all, &plain);
    return choice ? choice->name : "";
}

p2p_status cuda_algorithm_find(cuda_algorithms *all, const p2p_op *conv, const char *name,
                               cuda_algorithm **found) {
    if (!name[0]) name = cuda_algorithm_chosen(all, conv);
    *found = find_known(all, conv, name);
    if (!*found) P2P_TRY(add(all, conv, name, found));
    if ((*found)->plan) return P2P_OK;
    return cuda_host->fail(P2P_UNSUPPORTED, "%s", (*found)->reason);
}

p2p_status cuda_algorithm_plan(void *context, const p2p_op *conv, size_t *workspace_bytes,
                               char name[P2P_CHOICE_NAME]) {
    cuda_algorithm *found;
    P2P_TRY(cuda_algorithm_find(context, conv, "", &found));
    *workspace_bytes = found->promised_bytes;
    memcpy(name, found->engine.name, P2P_CHOICE_NAME);
    return P2P_OK;
}

/* ---- Failures ------------------------------------------------------------------------------------------ */

/* Removes the choice of the convolution if it is this engine. */
static void remove_choice(cuda_algorithms *all, const p2p_op *conv, const char *name) {
    const p2p_op plain = p2p_op_plain_convolution(conv);
    cuda_algorithm_choice *choice = (cuda_algorithm_choice *)find_choice(all, &plain);
    if (choice && strcmp(choice->name, name) == 0) choice->name[0] = '\0';
}

p2p_status cuda_algorithm_fail(cuda_algorithms *all, cuda_algorithm *failed) {
    char descriptor[P2P_OP_TEXT], why[512];
    cuda_host->op_print(&failed->conv, descriptor, sizeof descriptor);
    snprintf(why, sizeof why, "%s", cuda_host->message());
    failed->failed = true;
    all->failures++;
    remove_choice(all, &failed->conv, failed->engine.name);
    cuda_host->warn("cuda: engine %s of cuDNN fails, and is not used for %s: %s", failed->engine.name,
                    descriptor, why);
    return cuda_host->fail(P2P_UNSUPPORTED, "cuda: engine %s failed when it was executed: %s",
                           failed->engine.name, why);
}

/* ---- Choices ------------------------------------------------------------------------------------------- */

p2p_status cuda_algorithm_choose(cuda_algorithms *all, const p2p_op *plain, const char *name) {
    cuda_algorithm *found;
    cuda_algorithm_choice *choice = (cuda_algorithm_choice *)find_choice(all, plain);
    if (name[0]) P2P_TRY(cuda_algorithm_find(all, plain, name, &found));
    if (!choice) {
        choice = calloc(1, sizeof *choice);
        if (!choice) return no_memory();
        *choice = (cuda_algorithm_choice){.next = all->choices, .plain = *plain};
        all->choices = choice;
    }
    memcpy(choice->name, name, strlen(name) + 1);
    return P2P_OK;
}

static bool is_listed(char (*names)[P2P_CHOICE_NAME], int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

/* Adds the engines of a list that have a plan. */
static p2p_status add_names(cuda_algorithms *all, const p2p_op *plain, const cuda_engine_list *list,
                            char (*names)[P2P_CHOICE_NAME], int *count) {
    for (int i = 0; i < list->count && *count < P2P_MOST_CHOICES; i++) {
        cudnnBackendDescriptor_t plan = NULL;
        size_t workspace;
        if (is_listed(names, *count, list->engine[i].name)) continue;
        p2p_status status = check_not_failed(all, plain, list->engine[i].name);
        if (status == P2P_OK) status = cuda_engine_admit(&all->card, plain, &list->engine[i]);
        if (status == P2P_OK) status = cuda_engine_plan(&all->card, &list->engine[i], &plan, &workspace);
        cuda_dnn_destroy(&plan);
        if (status == P2P_OK) memcpy(names[(*count)++], list->engine[i].name, P2P_CHOICE_NAME);
        if (status != P2P_OK && status != P2P_UNSUPPORTED) return status;
    }
    return P2P_OK;
}

static p2p_status list_names(cuda_algorithms *all, const p2p_op *plain, const cuda_dnn_graph *graph,
                             char (*names)[P2P_CHOICE_NAME], int *count) {
    for (int i = 0; i < CUDA_ENGINE_LISTS; i++) {
        cuda_engine_list list;
        p2p_status status = cuda_engine_list_make(&all->card, graph, cuda_engine_lists[i], &list);
        if (status == P2P_OK) status = add_names(all, plain, &list, names, count);
        cuda_engine_list_release(&list);
        if (status != P2P_OK && status != P2P_UNSUPPORTED) return status;
    }
    return P2P_OK;
}

p2p_status cuda_algorithm_list(cuda_algorithms *all, const p2p_op *plain, char (*names)[P2P_CHOICE_NAME],
                               int *count) {
    cuda_dnn_graph graph;
    *count = 0;
    P2P_TRY(cuda_dnn_graph_make(&all->card, plain, &graph));
    const p2p_status status = list_names(all, plain, &graph, names, count);
    cuda_dnn_graph_release(&graph);
    return status;
}

/* ---- Releasing ----------------------------------------------------------------------------------------- */

void cuda_algorithms_forget(cuda_algorithms *all) {
    for (cuda_algorithm **at = &all->known; *at;) {
        cuda_algorithm *a = *at;
        if (!a->requested[0] || a->users > 0 || a->failed) {
            at = &a->next;
            continue;
        }
        *at = a->next;
        release(a, all->card.queue && all->card.queue->lost);
    }
}

void cuda_algorithms_release(cuda_algorithms *all) {
    const bool lost = all->card.queue && all->card.queue->lost;
    while (all->known) {
        cuda_algorithm *next = all->known->next;
        release(all->known, lost);
        all->known = next;
    }
    while (all->choices) {
        cuda_algorithm_choice *next = all->choices->next;
        free(all->choices);
        all->choices = next;
    }
}
