/* The algorithms of convolutions: for each descriptor the engine that computes it, by heuristics or by
 * choice, with its finalized plan. Every answer is kept, so equal descriptors have equal answers. Nothing
 * here needs a device: with the properties of a card, the answers are those that the card would give.
 */
#ifndef CUDA_ALGORITHM_H
#define CUDA_ALGORITHM_H

#include "cuda_engine.h"

/* A convolution by one engine. Owned by the table. */
typedef struct cuda_algorithm cuda_algorithm;
struct cuda_algorithm {
    cuda_algorithm *next;
    p2p_op conv;                     /* plain, but for the accumulate bit of its output */
    char requested[P2P_CHOICE_NAME]; /* "": by heuristics */
    cuda_dnn_graph graph;
    cuda_engine engine;
    cudnnBackendDescriptor_t plan; /* NULL: refused */
    size_t workspace_bytes;
    /* The part of it that is scratch memory: less than all if it takes the place of an algorithm that failed.
     * Then an operation has a workspace of its own. */
    size_t promised_bytes;
    char *reason; /* why it is refused */
    int users;    /* prepared convolutions with this plan */
    bool warm;    /* the plan has been executed on the device */
    bool failed;  /* its first execution failed: never found again */
};

typedef struct cuda_algorithm_choice cuda_algorithm_choice;

typedef struct {
    cuda_dnn_card card; /* set by the owner, which also releases what it names */
    cuda_algorithm *known;
    cuda_algorithm_choice *choices;
    int failures; /* algorithms whose first execution failed */
} cuda_algorithms;

/* Finds or makes the algorithm of a convolution by the engine `name`. "" is the choice for its plain
 * convolution, and without a choice the first engine of cuDNN's lists that is admitted, has a plan and keeps
 * to the limit of workspace. P2P_UNSUPPORTED, with the reason, if there is none. */
p2p_status cuda_algorithm_find(cuda_algorithms *all, const p2p_op *conv, const char *name,
                               cuda_algorithm **found);

/* The first execution of the algorithm failed, with the current message. It is never found again: a plan is
 * no proof that an engine runs. If it was the choice of its convolution, there is none any more, and the
 * heuristics take the next engine of the lists. Prints one warning, and returns P2P_UNSUPPORTED. */
p2p_status cuda_algorithm_fail(cuda_algorithms *all, cuda_algorithm *failed);

/* Makes `name` the choice for the plain convolution and all that reduce to it; "" removes the choice. If the
 * engine cannot compute it, P2P_UNSUPPORTED with the reason, and nothing changes. */
p2p_status cuda_algorithm_choose(cuda_algorithms *all, const p2p_op *plain, const char *name);
/* The choice for the convolution that `op` reduces to; "" if there is none. */
const char *cuda_algorithm_chosen(const cuda_algorithms *all, const p2p_op *op);

/* Lists the names of the engines that can compute a plain convolution, best first as cuDNN estimates, each
 * once, at most P2P_MOST_CHOICES. The heuristics' own is the first. */
p2p_status cuda_algorithm_list(cuda_algorithms *all, const p2p_op *plain, char (*names)[P2P_CHOICE_NAME],
                               int *count);

/* The function of a cuda_conv_library, whose context is a cuda_algorithms. */
p2p_status cuda_algorithm_plan(void *context, const p2p_op *conv, size_t *workspace_bytes,
                               char name[P2P_CHOICE_NAME]);

/* Releases the algorithms that were requested by name, unless one is in use or has failed. They are made
 * again when needed. */
void cuda_algorithms_forget(cuda_algorithms *all);
/* Releases everything but the card. Calls no library if the card's queue is lost. */
void cuda_algorithms_release(cuda_algorithms *all);

#endif
