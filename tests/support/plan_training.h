/* Trainings of a plan_net on replicas, and the distance between the results of two. */
#ifndef PLAN_TRAINING_H
#define PLAN_TRAINING_H

#include "plan_net.h"

enum { PLAN_TRAINING_STEPS = 5, PLAN_TRAINING_BATCH = 4, PLAN_TRAINING_LOSSES = 4 };

typedef struct {
    double losses[PLAN_TRAINING_STEPS][PLAN_TRAINING_LOSSES];
    double *parameters; /* the caller frees them */
    int64_t count;
    int steps;
    int collectives, statistics; /* steps of the first replica's plan */
} plan_training;

/* The shape that these functions train. */
extern const plan_net plan_training_net;

/* At most PLAN_TRAINING_STEPS steps with `batch` images of all replicas. The result's parameters are NULL
 * after a failure. */
p2p_status plan_train_steps(const char *backend, int first, int replicas, int64_t batch, int steps,
                            const plan_net_step *step, const p2p_session_options *options,
                            plan_training *result);

/* One training of PLAN_TRAINING_STEPS steps: what it is after the first step, and after all. The caller frees
 * both. */
p2p_status plan_train_two_lengths(const char *backend, int replicas, int64_t batch, const plan_net_step *step,
                                  plan_training *one_step, plan_training *all);

/* plan_train_steps with PLAN_TRAINING_STEPS steps, PLAN_TRAINING_BATCH images and dropout, on the devices
 * "<backend>:first + i", with statistics over all replicas if `sync`. */
p2p_status plan_train(const char *backend, int first, int replicas, bool sync,
                      const p2p_session_options *options, plan_training *result);
/* The largest difference of losses and parameters, relative to values above 1; infinite if their numbers
 * of parameters differ. Of losses as many steps count as `a` has. */
double plan_training_distance(const plan_training *a, const plan_training *b);
/* Whether losses and parameters have the same bits. */
bool plan_training_equal(const plan_training *a, const plan_training *b);

#endif
