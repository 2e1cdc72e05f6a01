/* Choices of algorithms. See cuda_choose.h. */
#include "cuda_choose.h"

#include "device/cuda_memory.h"
#include "device/cuda_op.h"
#include "device/cuda_ticket.h"
#include "device/cuda_time.h"
#include "device/cuda_transfer.h"
#include "library/cuda_library.h"
#include "plan/cuda_plan_conv.h"

#include "p2p_tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Kept choices -------------------------------------------------------------------------------------- */

enum { KEY_PARTS = 3 };

typedef struct {
    char card[64];
    p2p_key_part part[KEY_PARTS];
} cache_key;

static void make_key(const p2p_be_device *device, cache_key *key) {
    static const char format[] = "p2p cuda tune 1";
    const cuda_target *target = &device->target;
    snprintf(key->card, sizeof key->card, "cuDNN %d, %d, %d", cuda_dnn_version(), target->capability,
             target->multiprocessors);
    key->part[0] = (p2p_key_part){format, sizeof format};
    key->part[1] = (p2p_key_part){key->card, strlen(key->card) + 1};
    key->part[2] = (p2p_key_part){device->info.name, strlen(device->info.name) + 1};
}

static bool find_kept(const p2p_be_device *device, const p2p_op *op, p2p_choice *choice) {
    cache_key key;
    char descriptor[P2P_OP_TEXT];
    make_key(device, &key);
    cuda_host->op_print(op, descriptor, sizeof descriptor);
    char *text = p2p_tune_kept_read(cuda_host, key.part, KEY_PARTS);
    const bool found = text && p2p_tune_text_find(text, descriptor, choice);
    free(text);
    return found;
}

static void keep(const p2p_be_device *device, const p2p_op *op, const p2p_choice *choice) {
    cache_key key;
    char descriptor[P2P_OP_TEXT];
    make_key(device, &key);
    cuda_host->op_print(op, descriptor, sizeof descriptor);
    free(p2p_tune_kept_put(cuda_host, key.part, KEY_PARTS, descriptor, choice));
}

/* ---- Measurement --------------------------------------------------------------------------------------- */

typedef struct {
    p2p_be_device *device;
    double (*clock)(void);
    p2p_tune_device tuned;
} tuner;

/* A cuda_conv_library of one engine. */
typedef struct {
    cuda_algorithms *algorithms;
    const char *name; /* "": the heuristics' */
} one_engine;

static p2p_status plan_engine(void *context, const p2p_op *conv, size_t *workspace_bytes,
                              char name[P2P_CHOICE_NAME]) {
    const one_engine *one = context;
    cuda_algorithm *found;
    P2P_TRY(cuda_algorithm_find(one->algorithms, conv, one->name, &found));
    *workspace_bytes = found->workspace_bytes;
    memcpy(name, found->engine.name, P2P_CHOICE_NAME);
    return P2P_OK;
}

static p2p_status plan_candidate(const tuner *t, const p2p_op *op, const char *name, cuda_plan *plan) {
    one_engine one = {cuda_convs_algorithms(t->device->convs), name};
    cuda_target target = t->device->target;
    target.conv = (cuda_conv_library){plan_engine, &one};
    memset(plan, 0, sizeof *plan);
    return cuda_plan_conv(&target, op, plan);
}

static p2p_status find_scratch(void *context, const p2p_op *op, const char *name, size_t *bytes) {
    cuda_plan plan;
    P2P_TRY(plan_candidate(context, op, name, &plan));
    *bytes = plan.answer.scratch_bytes;
    return P2P_OK;
}

static p2p_status create(void *context, const p2p_op *op, const char *name, const p2p_binding *bindings,
                         p2p_binding scratch, p2p_be_op **created) {
    const tuner *t = context;
    cuda_plan plan;
    P2P_TRY(plan_candidate(t, op, name, &plan));
    return cuda_op_create_planned(t->device, op, bindings, scratch, &plan, created);
}

static p2p_status time_candidate(void *context, const char *name, p2p_be_op *op, int runs, double *seconds) {
    const tuner *t = context;
    (void)name;
    return p2p_tune_time(&t->tuned, t->clock, op, runs, seconds);
}

static p2p_tune_device tune_device(p2p_be_device *device) {
    static const p2p_device_table table = {.buffer_create = cuda_buffer_create,
                                           .buffer_destroy = cuda_buffer_destroy,
                                           .buffer_write = cuda_buffer_write,
                                           .buffer_read = cuda_buffer_read,
                                           .buffer_copy = cuda_buffer_copy,
                                           .op_run = cuda_op_run,
                                           .op_destroy = cuda_op_destroy,
                                           .submit = cuda_submit,
                                           .wait = cuda_wait,
                                           .time_begin = cuda_time_begin,
                                           .time_end = cuda_time_end};
    return (p2p_tune_device){cuda_host, &table, device, &device->info};
}

/* Lists the heuristics' choice, "", and the other engines. */
static p2p_status list_candidates(cuda_algorithms *algorithms, const p2p_op *op,
                                  char (*names)[P2P_CHOICE_NAME], int *count) {
    char all[P2P_MOST_CHOICES][P2P_CHOICE_NAME];
    cuda_algorithm *first;
    int listed;
    P2P_TRY(cuda_algorithm_find(algorithms, op, "", &first));
    P2P_TRY(cuda_algorithm_list(algorithms, op, all, &listed));
    *count = 1;
    names[0][0] = '\0';
    for (int i = 0; i < listed; i++)
        if (strcmp(all[i], first->engine.name) != 0) memcpy(names[(*count)++], all[i], P2P_CHOICE_NAME);
    return P2P_OK;
}

/* No choice is set for `op` before. */
static p2p_status find_fastest(p2p_be_device *device, const p2p_op *op, double (*clock)(void),
                               p2p_choice *choice) {
    cuda_algorithms *algorithms = cuda_convs_algorithms(device->convs);
    tuner t = {device, clock, tune_device(device)};
    const p2p_tune_maker maker = {
        .context = &t, .scratch = find_scratch, .create = create, .time = time_candidate};
    char names[P2P_MOST_CHOICES + 1][P2P_CHOICE_NAME];
    int count;
    P2P_TRY(list_candidates(algorithms, op, names, &count));
    const p2p_status status = p2p_tune_fastest(&t.tuned, op, names, count, &maker, choice);
    cuda_algorithms_forget(algorithms);
    return status;
}

/* Measures, and stores the result. If measuring is not possible, the heuristics decide, and nothing is
 * stored. */
static p2p_status measure(p2p_be_device *device, const p2p_op *op, double (*clock)(void),
                          p2p_choice *choice) {
    const p2p_status status = find_fastest(device, op, clock, choice);
    if (status == P2P_OK && choice->seconds > 0) {
        choice->measured = true;
        keep(device, op, choice);
    }
    if (status != P2P_OUT_OF_MEMORY && status != P2P_UNSUPPORTED) return status;
    cuda_host->log("%s: not measured: %s", device->queue.name, cuda_host->message());
    *choice = (p2p_choice){.name = ""};
    return P2P_OK;
}

/* ---- Choices ------------------------------------------------------------------------------------------- */

/* Takes the choice that an earlier process stored, if the device has it. */
static bool take_kept(p2p_be_device *device, const p2p_op *op, p2p_choice *choice) {
    if (!find_kept(device, op, choice)) return false;
    if (cuda_algorithm_choose(cuda_convs_algorithms(device->convs), op, choice->name) == P2P_OK) return true;
    cuda_host->log("%s: the stored choice %s is not used: %s", device->queue.name, choice->name,
                   cuda_host->message());
    return false;
}

p2p_status cuda_op_choose(p2p_be_device *device, const p2p_op *op, p2p_tune mode, double (*clock)(void),
                          p2p_choice *choice) {
    cuda_algorithms *algorithms = cuda_convs_algorithms(device->convs);
    P2P_TRY(cuda_enter(&device->queue));
    *choice = (p2p_choice){.name = ""};
    P2P_TRY(cuda_algorithm_choose(algorithms, op, ""));
    if (cuda_conv_is_gemm(op)) return P2P_OK;
    if ((mode == P2P_TUNE_STORED || mode == P2P_TUNE_MEASURE) && take_kept(device, op, choice)) return P2P_OK;
    *choice = (p2p_choice){.name = ""};
    if (mode < P2P_TUNE_MEASURE) return P2P_OK;
    P2P_TRY(measure(device, op, clock, choice));
    return cuda_algorithm_choose(algorithms, op, choice->name);
}

p2p_status cuda_op_impose(p2p_be_device *device, const p2p_op *op, const char *name) {
    P2P_TRY(cuda_enter(&device->queue));
    if (name[0] && cuda_conv_is_gemm(op))
        return cuda_host->fail(P2P_UNSUPPORTED,
                               "%s: '%s' is not an algorithm here: a 1x1 filter is a matrix product",
                               device->queue.name, name);
    return cuda_algorithm_choose(cuda_convs_algorithms(device->convs), op, name);
}

p2p_status cuda_op_list(p2p_be_device *device, const p2p_op *op, char (*names)[P2P_CHOICE_NAME], int *count) {
    *count = 0;
    P2P_TRY(cuda_enter(&device->queue));
    if (cuda_conv_is_gemm(op)) return P2P_OK;
    return cuda_algorithm_list(cuda_convs_algorithms(device->convs), op, names, count);
}
