/* A model with the plan of its training step at batch 1, on the reference device. Include it after cmocka. */
#ifndef P2P_MODEL_SESSION_H
#define P2P_MODEL_SESSION_H

#include "p2p.h"
#include "pix2pix.h"

#include "support/test_expect.h"

typedef struct {
    pix2pix *model;
    p2p_graph *graph;
    p2p_device *device;
    p2p_session *session; /* allocated; no network is initialised */
} model_session;

static inline void model_session_open(model_session *s, const pix2pix_config *config) {
    p2p_plan *plan;
    OK(pix2pix_create(&s->model, config));
    const pix2pix_graph_options options = pix2pix_graph_options_for(s->model, 1);
    OK(pix2pix_graph_train(s->model, &options, &s->graph));
    OK(p2p_device_open("reference", &s->device));
    OK(p2p_session_create(&s->device, 1, NULL, &s->session));
    OK(p2p_session_plan(s->session, "train", &s->graph, &plan));
    OK(p2p_session_allocate(s->session, NULL, NULL));
}

static inline void model_session_close(model_session *s) {
    p2p_session_destroy(s->session);
    p2p_graph_destroy(s->graph);
    p2p_device_close(s->device);
    pix2pix_destroy(s->model);
}

#endif
