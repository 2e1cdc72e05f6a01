/* cuDNN's double, libcudnn.so.9: the graph API for single convolutions, as the backend calls it, and stricter
 * than the real library. It does not model cuDNN's speed.
 *
 * The convolutions are computed by commands of the stream (dnn_compute.c), with engines that differ in the
 * order of their sums, in what tensor cores round, in workspace, and in what the heuristics' lists have
 * (dnn_engine.c). Without a driver it plans, as the real library does.
 *
 * P2P_MACHINE_CUDNN is a list, separated by commas: wrong:ENGINE leaves out a filter tap, refuse:ENGINE fails
 * when it is executed, version:9.8.0 is the version it reports, cuda:12.9 that of the CUDA that it
 * was built with. An engine is a number, or `all`.
 */
#include "machine_link.h"

#include "dnn_check.h"
#include "dnn_handle.h"
#include "dnn_setting.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- Statuses ------------------------------------------------------------------------------------------ */

#define NAMED(status)                                                                                        \
    { status, #status }
static const struct {
    cudnnStatus_t status;
    const char *name;
} statuses[] = {
    NAMED(CUDNN_STATUS_SUCCESS),
    NAMED(CUDNN_STATUS_NOT_INITIALIZED),
    NAMED(CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH),
    NAMED(CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED),
    NAMED(CUDNN_STATUS_BAD_PARAM),
    NAMED(CUDNN_STATUS_BAD_PARAM_NULL_POINTER),
    NAMED(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER),
    NAMED(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED),
    NAMED(CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT),
    NAMED(CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH),
    NAMED(CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES),
    NAMED(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE),
    NAMED(CUDNN_STATUS_NOT_SUPPORTED),
    NAMED(CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH),
    NAMED(CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDA_DRIVER),
    NAMED(CUDNN_STATUS_INTERNAL_ERROR),
    NAMED(CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED),
    NAMED(CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED),
    NAMED(CUDNN_STATUS_EXECUTION_FAILED),
    NAMED(CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER),
    NAMED(CUDNN_STATUS_EXECUTION_FAILED_CUBLAS),
};
#undef NAMED
enum { STATUSES = sizeof statuses / sizeof *statuses };

/* A planted failure of the call (P2P_MACHINE_FAIL); begins the call. `lost`: what the call returns if the
 * driver fails. */
static cudnnStatus_t begin(const char *call, bool uses_device, cudnnStatus_t lost) {
    const char *failure = NULL;
    dnn_begin(call);
    if (machine_load()) failure = machine.should_fail(call, uses_device);
    if (!failure) return CUDNN_STATUS_SUCCESS;
    for (int i = 0; i < STATUSES; i++)
        if (strcmp(statuses[i].name, failure) == 0)
            return MACHINE_NOTED(statuses[i].status, "planted failure");
    if (machine_is_drivers(failure)) return MACHINE_NOTED(lost, "planted failure %s", failure);
    return MACHINE_NOTED(CUDNN_STATUS_INTERNAL_ERROR, "planted failure %s", failure);
}

MACHINE_EXPORT const char *cudnnGetErrorString(cudnnStatus_t status) {
    for (int i = 0; i < STATUSES; i++)
        if (statuses[i].status == status) return statuses[i].name;
    return "CUDNN_STATUS_UNKNOWN";
}

MACHINE_EXPORT void cudnnGetLastErrorString(char *message, size_t size) {
    if (message && size > 0) snprintf(message, size, "%s", machine_last_note());
}

MACHINE_EXPORT size_t cudnnGetVersion(void) {
    return dnn_version();
}

MACHINE_EXPORT size_t cudnnGetCudartVersion(void) {
    return dnn_cuda_version();
}

/* ---- Descriptors --------------------------------------------------------------------------------------- */

#define BEGIN_AS(call, uses_device, lost)                                                                    \
    cudnnStatus_t status = begin(call, uses_device, lost);                                                   \
    if (status != CUDNN_STATUS_SUCCESS) return status;                                                       \
    pthread_mutex_lock(&lock)
#define BEGIN(call, uses_device) BEGIN_AS(call, uses_device, CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER)
#define END                                                                                                  \
    pthread_mutex_unlock(&lock);                                                                             \
    return status

MACHINE_EXPORT cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                                          cudnnBackendDescriptor_t *descriptor) {
    BEGIN("cudnnBackendCreateDescriptor", false);
    const bool exists =
        dnn_type_name(type) && (type != CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR || dnn_version() >= 90800);
    dnn_descriptor *made = descriptor && exists ? dnn_new(type) : NULL;
    if (made) {
        dnn_register(made);
        *descriptor = made;
    } else if (!descriptor) {
        status = MACHINE_MISUSE(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "no place for the descriptor");
    } else {
        status = MACHINE_NOTED(CUDNN_STATUS_NOT_SUPPORTED, "descriptors of type %d", (int)type);
    }
    END;
}

MACHINE_EXPORT cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
    BEGIN("cudnnBackendDestroyDescriptor", false);
    dnn_descriptor *found = dnn_live(descriptor);
    if (found)
        dnn_unregister(found);
    else
        status = CUDNN_STATUS_BAD_PARAM;
    END;
}

MACHINE_EXPORT cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                                      cudnnBackendAttributeName_t name,
                                                      cudnnBackendAttributeType_t type, int64_t count,
                                                      const void *values) {
    BEGIN("cudnnBackendSetAttribute", false);
    dnn_descriptor *found = dnn_live(descriptor);
    status = found ? dnn_set(found, name, type, count, values) : CUDNN_STATUS_BAD_PARAM;
    END;
}

MACHINE_EXPORT cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor,
                                                      cudnnBackendAttributeName_t name,
                                                      cudnnBackendAttributeType_t type, int64_t room,
                                                      int64_t *counted, void *values) {
    BEGIN("cudnnBackendGetAttribute", false);
    dnn_descriptor *found = dnn_live(descriptor);
    status = found ? dnn_get(found, name, type, room, counted, values) : CUDNN_STATUS_BAD_PARAM;
    END;
}

/* Plans load code onto the device. */
static bool needs_lost_device(const dnn_descriptor *descriptor) {
    if (descriptor->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR || !machine_load()) return false;
    const int device = machine.current_device();
    return device >= 0 && machine.device_error(device) != CUDA_SUCCESS;
}

/* What the driver fails at is a fault of cuDNN's own here: its status does not name the driver. */
MACHINE_EXPORT cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
    BEGIN_AS("cudnnBackendFinalize", true, CUDNN_STATUS_INTERNAL_ERROR);
    dnn_descriptor *found = dnn_live(descriptor);
    if (found && needs_lost_device(found))
        status = MACHINE_NOTED(CUDNN_STATUS_INTERNAL_ERROR, "the plan can't be made");
    else
        status = found ? dnn_finalize(found) : CUDNN_STATUS_BAD_PARAM;
    END;
}

MACHINE_EXPORT cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                                 cudnnBackendDescriptor_t pack) {
    cudnnStatus_t entered = begin("cudnnBackendExecute", true, CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER);
    if (entered == CUDNN_STATUS_SUCCESS) entered = dnn_enter(handle);
    if (entered != CUDNN_STATUS_SUCCESS) return entered;
    pthread_mutex_lock(&lock);
    const dnn_descriptor *found_plan = dnn_live(plan), *found_pack = found_plan ? dnn_live(pack) : NULL;
    const cudnnStatus_t status =
        found_pack ? dnn_execute(handle, found_plan, found_pack) : CUDNN_STATUS_BAD_PARAM;
    pthread_mutex_unlock(&lock);
    dnn_leave(handle);
    return status;
}

/* ---- Handles ------------------------------------------------------------------------------------------- */

MACHINE_EXPORT cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
    BEGIN("cudnnCreate", true);
    status = dnn_create_handle(handle);
    END;
}

MACHINE_EXPORT cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
    BEGIN("cudnnDestroy", true);
    status = dnn_destroy_handle(handle);
    END;
}

MACHINE_EXPORT cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
    BEGIN("cudnnSetStream", true);
    status = dnn_set_stream(handle, (CUstream)stream);
    END;
}
