/* Absent cards, for which cuDNN plans, and the backend "planned" with such a card as its only
 * device: it answers queries as the CUDA backend does, has no memory and runs nothing. So the planner of the
 * core gives the descriptors of a training as they would be on the card.
 */
#ifndef PLANNED_CARDS_H
#define PLANNED_CARDS_H

#include "conv/cuda_algorithm.h"
#include "plan/cuda_target.h"

typedef struct {
    const char *name;
    int capability, multiprocessors, threads, blocks; /* the last two of a multiprocessor */
    size_t shared_optin, l2_bytes;
    double memory_gib;
    size_t first, last; /* versions of cuDNN that plan for it */
} planned_card;

/* The others are planned for in the slow tier. */
enum { USUAL_CARDS = 5, PLANNED_CARDS = 10 };
extern const planned_card planned_cards[PLANNED_CARDS];

/* Whether the card computes convolutions in the precision. */
bool planned_card_has(const planned_card *card, p2p_precision precision);

/* Opens the library of cuDNN at `path` and looks up its functions in the table cuda_dnn. Returns false, with
 * a reason on standard error, if that fails. */
bool planned_library(const char *path);

/* Makes `algorithms` plan for the card. The caller calls planned_release. */
p2p_status planned_open(const planned_card *card, cuda_algorithms *algorithms);
void planned_release(cuda_algorithms *algorithms);

/* The card as planners see it, with `algorithms`, which must outlive the target, as its convolutions. */
cuda_target planned_target(const planned_card *card, cuda_algorithms *algorithms);

/* The backend, and the target that its device has from now on. */
const p2p_module *planned_module(uint32_t abi, const p2p_host *host);
void planned_module_set(const cuda_target *target);

#endif
