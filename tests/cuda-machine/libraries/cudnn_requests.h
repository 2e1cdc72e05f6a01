/* Convolutions that cudnn_calls requests: right ones, wrong ones, and some that no engine supports. */
#ifndef CUDNN_REQUESTS_H
#define CUDNN_REQUESTS_H

#include <cudnn.h>
#include <stdbool.h>
#include <stdint.h>

/* A convolution to plan. */
typedef struct {
    int kind; /* 0 forward, 1 data gradient, 2 filter gradient */
    struct {
        cudnnDataType_t type;
        int64_t dim[4], stride[4], id, alignment;
        bool is_virtual, by_value;
    } x, w, y;
    cudnnDataType_t compute;
    cudnnConvolutionMode_t mode;
    int64_t dims, stride[2], before[2], after[2], dilation[2];
    double alpha, beta;
    cudnnBackendAttributeType_t scale_type;
    int capability;
    int64_t engine; /* -1: the first of the heuristics' */
    bool graph_of_two;
    size_t version;     /* of the description of the device; 0: the library's */
    int64_t knob_added; /* to the first knob's value */
    bool knob_twice, knob_of_others, same_ids_in_pack, null_in_pack, destroyed_early, other_graph;
} request;

/* kind 0 to 2; 2 images of 16 channels, 8x8 pixels, and 32 filters of 4x4, stride 2. */
request cudnn_right_request(int kind, cudnnDataType_t type);

/* Changes a right request of f32; returns what was changed, or NULL after the last number. */
const char *cudnn_change_request(request *r, int number);

#endif
