/* What finalizing a descriptor of cuDNN's double checks and makes, and the attributes that are computed. */
#ifndef DNN_CHECK_H
#define DNN_CHECK_H

#include "dnn_engine.h"

/* cudnnBackendFinalize of a live descriptor. */
cudnnStatus_t dnn_finalize(dnn_descriptor *descriptor);

/* cudnnBackendGetAttribute of a live descriptor: stored and computed ones. */
cudnnStatus_t dnn_get(dnn_descriptor *descriptor, cudnnBackendAttributeName_t name,
                      cudnnBackendAttributeType_t type, int64_t room, int64_t *counted, void *values);

/* The plan of a finalized plan descriptor, its convolution and its device. */
dnn_plan dnn_read_plan(const dnn_descriptor *descriptor, dnn_convolution *convolution, dnn_device *device);

#endif
