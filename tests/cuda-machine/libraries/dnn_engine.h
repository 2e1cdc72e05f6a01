/* The engines of cuDNN's double: which there are, what each supports, what the heuristics list, and what a
 * plan computes. The kinds of plans that exist are a part of those that the real library has (cudnn_calls.c).
 */
#ifndef DNN_ENGINE_H
#define DNN_ENGINE_H

#include "dnn_compute.h"
#include "dnn_descriptor.h"

/* What plans depend on. */
typedef struct {
    int capability; /* 90 */
    int multiprocessors;
} dnn_device;

/* A convolution operation as its descriptors say it. Operands in the order x, w, y. */
typedef struct {
    dnn_shape shape;
    cudnnDataType_t type[3];
    int64_t id[3], alignment[3];
    bool packed; /* all three in NHWC without distances */
    bool plain;  /* cross-correlation, one group, nothing virtual, f32 sums, real types */
} dnn_convolution;

enum {
    DNN_KNOBS = 2,
    DNN_ENGINE_COUNT = 81
}; /* engines have the indices 0 .. DNN_ENGINE_COUNT - 1, with gaps */

typedef struct {
    cudnnBackendKnobType_t type;
    int64_t least, most, usual;
} dnn_knob;

typedef struct dnn_engine dnn_engine;

/* What a configuration does. */
typedef struct {
    const dnn_engine *engine;
    int64_t index;
    bool random; /* in what order it adds changes from run to run */
    dnn_arithmetic arithmetic;
    int64_t workspace; /* bytes */
} dnn_plan;

/* The convolution of a finalized operation (an operation descriptor). */
dnn_convolution dnn_read_convolution(const dnn_descriptor *operation);
/* "conv_fwd n=1 c=16 ...": for messages and counters. */
void dnn_print_convolution(const dnn_convolution *convolution, char *text, size_t size);

/* The device that a graph's handle or device properties (NULL: none) name; false if nothing does. */
bool dnn_read_device(const dnn_descriptor *graph, const dnn_descriptor *properties, dnn_device *device);

/* The engine of an index, or NULL. */
const dnn_engine *dnn_engine_at(int64_t index);
const dnn_knob *dnn_engine_knobs(const dnn_engine *engine, int *count);
int dnn_engine_numerical_notes(const dnn_engine *engine, cudnnBackendNumericalNote_t notes[4]);
int dnn_engine_behavior_notes(const dnn_engine *engine, cudnnBackendBehaviorNote_t notes[4]);

/* NULL if the engine has a plan; else why not. */
const char *dnn_engine_refusal(const dnn_engine *engine, const dnn_convolution *convolution,
                               const dnn_device *device);
/* What the engine does with these values of its knobs. */
dnn_plan dnn_engine_plan(const dnn_engine *engine, const dnn_convolution *convolution,
                         const int64_t knobs[DNN_KNOBS]);

/* The heuristics' list: engines and values of their knobs. Returns their number, at most `room`. */
typedef struct {
    const dnn_engine *engine;
    int64_t index;
    int64_t knobs[DNN_KNOBS];
} dnn_choice;
int dnn_heuristics(const dnn_convolution *convolution, const dnn_device *device, cudnnBackendHeurMode_t mode,
                   dnn_choice *choices, int room);

#endif
