/* Handles of cuDNN's double, and the execution of plans. */
#ifndef DNN_HANDLE_H
#define DNN_HANDLE_H

#include "dnn_engine.h"

/* Attributes of the double's own, which finalizing device properties computes. */
#define DNN_DEVICE_CAPABILITY      ((cudnnBackendAttributeName_t)90001)
#define DNN_DEVICE_MULTIPROCESSORS ((cudnnBackendAttributeName_t)90002)

/* The device of a live handle; false, after a refusal, for any other pointer. */
bool dnn_handle_device(const void *handle, dnn_device *device);

/* cudnnCreate, cudnnDestroy, cudnnSetStream. Called with the library's lock held, as is dnn_execute. */
cudnnStatus_t dnn_create_handle(cudnnHandle_t *handle);
cudnnStatus_t dnn_destroy_handle(cudnnHandle_t handle);
cudnnStatus_t dnn_set_stream(cudnnHandle_t handle, CUstream stream);

/* Checks and enqueues. Between dnn_enter and dnn_leave, which need no lock, the handle is the calling
 * thread's: a second thread that enters is refused. */
cudnnStatus_t dnn_enter(cudnnHandle_t handle);
void dnn_leave(cudnnHandle_t handle);
cudnnStatus_t dnn_execute(cudnnHandle_t handle, const dnn_descriptor *plan, const dnn_descriptor *pack);

#endif
