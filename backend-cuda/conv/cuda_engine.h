/* Engines: cuDNN's algorithms for an operation graph, with the settings ("knobs") of each, and their names.
 *
 * A name is an engine's number and its knobs: "e65:1-0_2-13" is engine 65 with knob 1 at 0 and knob 2 at 13,
 * or "e65" for an engine without knobs. It makes the same plan again in the same version of cuDNN, on a card
 * of the same kind.
 */
#ifndef CUDA_ENGINE_H
#define CUDA_ENGINE_H

#include "cuda_dnn.h"

/* An engine with its knobs (CUDNN_BACKEND_ENGINECFG_DESCRIPTOR). */
typedef struct {
    char name[P2P_CHOICE_NAME];
    cudnnBackendDescriptor_t config;
} cuda_engine;

typedef struct {
    cuda_engine *engine; /* best first, as cuDNN estimates */
    int count;
} cuda_engine_list;

/* The lists of cuDNN's heuristics, in the order in which an algorithm is looked for: A is fast, B estimates
 * more carefully, FALLBACK has what works in more cases. */
enum { CUDA_ENGINE_LISTS = 3 };
extern const cudnnBackendHeurMode_t cuda_engine_lists[CUDA_ENGINE_LISTS];

/* The list of one heuristic, which may be empty. The caller releases it. */
p2p_status cuda_engine_list_make(const cuda_dnn_card *card, const cuda_dnn_graph *graph,
                                 cudnnBackendHeurMode_t heuristic, cuda_engine_list *list);
void cuda_engine_list_release(cuda_engine_list *list);

/* The engine of a name. P2P_UNSUPPORTED, with the reason, if there is none. */
p2p_status cuda_engine_make(const cuda_dnn_card *card, const cuda_dnn_graph *graph, const char *name,
                            cuda_engine *engine);
void cuda_engine_release(cuda_engine *engine);

/* P2P_UNSUPPORTED, with the reason, unless the engine computes `conv` as p2p does: with equal bits in every
 * run, and in the descriptor's precision. f32 factors are rounded only with math=tf32, by tensor cores. */
p2p_status cuda_engine_admit(const cuda_dnn_card *card, const p2p_op *conv, const cuda_engine *engine);

/* A plan of the engine, and the bytes of workspace that it needs: at most CUDA_WORKSPACE, else
 * P2P_UNSUPPORTED. */
p2p_status cuda_engine_plan(const cuda_dnn_card *card, const cuda_engine *engine,
                            cudnnBackendDescriptor_t *plan, size_t *workspace_bytes);

#endif
