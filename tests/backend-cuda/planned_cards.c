/* See planned_cards.h. */
#include "planned_cards.h"

#include "cuda_planners.h"
#include "support/null_backend.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 9.10 crashes when it lists engines for a B200 without a device; later versions have no engines for a V100.
 */
enum { B200 = 91100, V100 = 91099, NEWER = 91900 };

const planned_card planned_cards[PLANNED_CARDS] = {
    {"NVIDIA A100-SXM4-80GB", 80, 108, 2048, 32, 166912, 41943040, 80, 0, SIZE_MAX},
    {"NVIDIA H200", 90, 132, 2048, 32, 232448, 62914560, 140, 0, SIZE_MAX},
    {"NVIDIA B200", 100, 148, 2048, 32, 232448, 132644864, 180, B200, SIZE_MAX},
    {"NVIDIA L4", 89, 58, 1536, 24, 101376, 50331648, 22, 0, SIZE_MAX},
    {"Tesla V100-SXM2-32GB", 70, 80, 2048, 32, 98304, 6291456, 32, 0, V100},
    {"Tesla T4", 75, 40, 1024, 16, 65536, 4194304, 14, 0, SIZE_MAX},
    {"NVIDIA A10", 86, 72, 1536, 16, 101376, 6291456, 22, 0, SIZE_MAX},
    {"NVIDIA GeForce RTX 5090", 120, 170, 1536, 24, 101376, 100663296, 31, B200, SIZE_MAX},
    {"NVIDIA GB10", 121, 48, 1536, 24, 101376, 25165824, 119, NEWER, SIZE_MAX},
    {"NVIDIA B300", 103, 148, 2048, 32, 232448, 132644864, 268, NEWER, SIZE_MAX},
};

bool planned_card_has(const planned_card *card, p2p_precision precision) {
    return precision == P2P_PRECISION_fp32 || card->capability >= 80;
}

/* ---- cuDNN --------------------------------------------------------------------------------------------- */

/* A pointer to a function, which ISO C does not convert from one to an object. */
static void store_function(void *to, void *symbol) {
    memcpy(to, &symbol, sizeof symbol);
}

bool planned_library(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return false;
    }
#define LOOK_UP(function) store_function(&cuda_dnn.function, dlsym(library, #function));
    CUDA_DNN_LIST(LOOK_UP)
#undef LOOK_UP
#define MISSING(function) || !cuda_dnn.function
    if (false CUDA_DNN_LIST(MISSING)) {
        fprintf(stderr, "%s lacks a function\n", path);
        return false;
    }
#undef MISSING
    return true;
}

/* The keys are those that cuDNN requires. */
static void describe(const planned_card *card, char *json, size_t size) {
    const int clock = 1980000, memory_clock = 2619000, driver = 13000;
    snprintf(
        json, size,
        "{\"cudnn_version\":%zu,\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
        "\"regsPerBlock\":65536,\"multiProcessorCount\":%d,\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,"
        "\"maxSharedMemoryPerBlockOptin\":%zu,\"reservedSharedMemoryPerBlock\":%d,\"maxRegistersPerSM\":"
        "65536,"
        "\"maxCtasPerSM\":%d,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":%d,\"pciDeviceId\":0,"
        "\"isTccDriver\":0,\"supportCoopLaunch\":1,\"totalGlobalMem\":%.0f,\"smClockRateKHz\":%d,"
        "\"memClockRateKHz\":%d,\"l2CacheSize\":%zu,\"cudaDeviceId\":0,\"deviceVer\":%d,\"driverVer\":%d,"
        "\"deviceName\":\"%s\"}",
        cuda_dnn.cudnnGetVersion(), card->multiprocessors, card->shared_optin,
        card->capability >= 80 ? 1024 : 0, card->blocks, card->threads, card->memory_gib * 1073741824.0,
        clock, memory_clock, card->l2_bytes, card->capability * 10, driver, card->name);
}

p2p_status planned_open(const planned_card *card, cuda_algorithms *algorithms) {
    char json[1024];
    *algorithms = (cuda_algorithms){.known = NULL};
    describe(card, json, sizeof json);
    return cuda_dnn_properties(NULL, json, &algorithms->card.properties);
}

void planned_release(cuda_algorithms *algorithms) {
    cuda_algorithms_release(algorithms);
    cuda_dnn_destroy(&algorithms->card.properties);
}

cuda_target planned_target(const planned_card *card, cuda_algorithms *algorithms) {
    return (cuda_target){.host = cuda_host,
                         .capability = card->capability,
                         .multiprocessors = card->multiprocessors,
                         .shared_bytes = 48 << 10,
                         .shared_optin = card->shared_optin,
                         .tf32 = planned_card_has(card, P2P_PRECISION_tf32),
                         .bf16 = planned_card_has(card, P2P_PRECISION_bf16),
                         .conv = {cuda_algorithm_plan, algorithms}};
}

/* ---- The backend --------------------------------------------------------------------------------------- */

/* The null backend, which runs nothing, with other answers. */
static cuda_target planned;

void planned_module_set(const cuda_target *target) {
    planned = *target;
}

static p2p_status device_count(int *count, p2p_obstacle *obstacle) {
    (void)obstacle;
    *count = 1;
    return P2P_OK;
}

static p2p_status device_info(int index, p2p_device_info *info) {
    (void)index;
    *info = (p2p_device_info){.type = P2P_DEVICE_GPU,
                              .compute_units = 1,
                              .memory_bytes = (size_t)1 << 40,
                              .max_alloc_bytes = (size_t)1 << 40,
                              .alignment = CUDA_ALIGNMENT,
                              .channel_alignment = CUDA_CHANNELS,
                              .zero_padding = true,
                              .activation = {P2P_TYPE_f32, P2P_LAYOUT_nhwc, CUDA_CHANNELS},
                              .activation_bf16 = {P2P_TYPE_bf16, P2P_LAYOUT_nhwc, CUDA_CHANNELS},
                              .filter = {P2P_TYPE_f32, P2P_LAYOUT_krsc, CUDA_CHANNELS},
                              .gradient_bf16 = P2P_TYPE_bf16,
                              .derives_filters = true,
                              .vector = {P2P_TYPE_f32, P2P_LAYOUT_plain, 0}};
    snprintf(info->name, sizeof info->name, "planned");
    snprintf(info->driver, sizeof info->driver, "no driver");
    return P2P_OK;
}

static p2p_status op_query(p2p_be_device *device, const p2p_op *op, p2p_query *answer) {
    cuda_plan plan;
    (void)device;
    P2P_TRY(cuda_plan_op(&planned, op, &plan));
    *answer = plan.answer;
    return P2P_OK;
}

const p2p_module *planned_module(uint32_t abi, const p2p_host *host) {
    static p2p_module module;
    if (abi != P2P_BACKEND_ABI) return NULL;
    module = *null_module(abi, host);
    module.name = "planned";
    module.description = "plans for cards that are not there";
    module.device_count = device_count;
    module.device_info = device_info;
    module.device.op_query = op_query;
    return &module;
}
