/* Names of OpenCL and CLBlast codes, and the status of each. See ocl_error.h. */
#include "ocl_error.h"

#include <stddef.h>

const p2p_host *ocl_host;

/* Codes of OpenCL 1.2 and of CLBlast 1.5, which adds lower ones. */
#define CODES(X)                                                                                             \
    X(-1, CL_DEVICE_NOT_FOUND)                                                                               \
    X(-2, CL_DEVICE_NOT_AVAILABLE)                                                                           \
    X(-3, CL_COMPILER_NOT_AVAILABLE)                                                                         \
    X(-4, CL_MEM_OBJECT_ALLOCATION_FAILURE)                                                                  \
    X(-5, CL_OUT_OF_RESOURCES)                                                                               \
    X(-6, CL_OUT_OF_HOST_MEMORY)                                                                             \
    X(-7, CL_PROFILING_INFO_NOT_AVAILABLE)                                                                   \
    X(-8, CL_MEM_COPY_OVERLAP)                                                                               \
    X(-9, CL_IMAGE_FORMAT_MISMATCH)                                                                          \
    X(-10, CL_IMAGE_FORMAT_NOT_SUPPORTED)                                                                    \
    X(-11, CL_BUILD_PROGRAM_FAILURE)                                                                         \
    X(-12, CL_MAP_FAILURE)                                                                                   \
    X(-13, CL_MISALIGNED_SUB_BUFFER_OFFSET)                                                                  \
    X(-14, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST)                                                     \
    X(-15, CL_COMPILE_PROGRAM_FAILURE)                                                                       \
    X(-16, CL_LINKER_NOT_AVAILABLE)                                                                          \
    X(-17, CL_LINK_PROGRAM_FAILURE)                                                                          \
    X(-18, CL_DEVICE_PARTITION_FAILED)                                                                       \
    X(-19, CL_KERNEL_ARG_INFO_NOT_AVAILABLE)                                                                 \
    X(-30, CL_INVALID_VALUE)                                                                                 \
    X(-31, CL_INVALID_DEVICE_TYPE)                                                                           \
    X(-32, CL_INVALID_PLATFORM)                                                                              \
    X(-33, CL_INVALID_DEVICE)                                                                                \
    X(-34, CL_INVALID_CONTEXT)                                                                               \
    X(-35, CL_INVALID_QUEUE_PROPERTIES)                                                                      \
    X(-36, CL_INVALID_COMMAND_QUEUE)                                                                         \
    X(-37, CL_INVALID_HOST_PTR)                                                                              \
    X(-38, CL_INVALID_MEM_OBJECT)                                                                            \
    X(-39, CL_INVALID_IMAGE_FORMAT_DESCRIPTOR)                                                               \
    X(-40, CL_INVALID_IMAGE_SIZE)                                                                            \
    X(-41, CL_INVALID_SAMPLER)                                                                               \
    X(-42, CL_INVALID_BINARY)                                                                                \
    X(-43, CL_INVALID_BUILD_OPTIONS)                                                                         \
    X(-44, CL_INVALID_PROGRAM)                                                                               \
    X(-45, CL_INVALID_PROGRAM_EXECUTABLE)                                                                    \
    X(-46, CL_INVALID_KERNEL_NAME)                                                                           \
    X(-47, CL_INVALID_KERNEL_DEFINITION)                                                                     \
    X(-48, CL_INVALID_KERNEL)                                                                                \
    X(-49, CL_INVALID_ARG_INDEX)                                                                             \
    X(-50, CL_INVALID_ARG_VALUE)                                                                             \
    X(-51, CL_INVALID_ARG_SIZE)                                                                              \
    X(-52, CL_INVALID_KERNEL_ARGS)                                                                           \
    X(-53, CL_INVALID_WORK_DIMENSION)                                                                        \
    X(-54, CL_INVALID_WORK_GROUP_SIZE)                                                                       \
    X(-55, CL_INVALID_WORK_ITEM_SIZE)                                                                        \
    X(-56, CL_INVALID_GLOBAL_OFFSET)                                                                         \
    X(-57, CL_INVALID_EVENT_WAIT_LIST)                                                                       \
    X(-58, CL_INVALID_EVENT)                                                                                 \
    X(-59, CL_INVALID_OPERATION)                                                                             \
    X(-60, CL_INVALID_GL_OBJECT)                                                                             \
    X(-61, CL_INVALID_BUFFER_SIZE)                                                                           \
    X(-62, CL_INVALID_MIP_LEVEL)                                                                             \
    X(-63, CL_INVALID_GLOBAL_WORK_SIZE)                                                                      \
    X(-64, CL_INVALID_PROPERTY)                                                                              \
    X(-1001, CL_PLATFORM_NOT_FOUND_KHR)                                                                      \
    X(-1009, CLBlastInsufficientMemoryC)                                                                     \
    X(-1010, CLBlastInsufficientMemoryB)                                                                     \
    X(-1011, CLBlastInsufficientMemoryA)                                                                     \
    X(-1014, CLBlastInvalidLeadDimC)                                                                         \
    X(-1015, CLBlastInvalidLeadDimB)                                                                         \
    X(-1016, CLBlastInvalidLeadDimA)                                                                         \
    X(-1017, CLBlastInvalidDimension)                                                                        \
    X(-1020, CLBlastInvalidMatrixC)                                                                          \
    X(-1021, CLBlastInvalidMatrixB)                                                                          \
    X(-1022, CLBlastInvalidMatrixA)                                                                          \
    X(-1024, CLBlastNotImplemented)                                                                          \
    X(-2039, CLBlastUnexpectedError)                                                                         \
    X(-2040, CLBlastUnknownError)                                                                            \
    X(-2041, CLBlastDatabaseError)                                                                           \
    X(-2046, CLBlastInvalidLocalMemUsage)                                                                    \
    X(-2050, CLBlastInsufficientMemoryTemp)                                                                  \
    X(-9999, NVIDIA_ILLEGAL_BUFFER_ACCESS)

static const struct {
    cl_int code;
    const char *name;
} codes[] = {
#define X(code, name) {code, #name},
    CODES(X)
#undef X
};

const char *ocl_error_name(cl_int code) {
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].code == code) return codes[i].name;
    return "an unknown OpenCL error";
}

/* After these codes a context is unusable; some drivers hang in the next call. */
static bool means_lost(cl_int code) {
    return code == CL_OUT_OF_RESOURCES || code == CL_DEVICE_NOT_AVAILABLE ||
           code == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST || code == CL_INVALID_COMMAND_QUEUE ||
           code == -9999;
}

p2p_status ocl_check(p2p_be_device *device, cl_int code, const char *what) {
    if (code == CL_SUCCESS) return P2P_OK;
    const char *name = device ? device->info.name : "OpenCL";
    if (code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_HOST_MEMORY)
        return ocl_host->fail(P2P_OUT_OF_MEMORY, "%s: %s failed with %s (%d)", name, what,
                              ocl_error_name(code), code);
    if (device && means_lost(code)) {
        device->lost = true;
        return ocl_host->fail(P2P_DEVICE_LOST, "%s: the device was lost: %s failed with %s (%d)", name, what,
                              ocl_error_name(code), code);
    }
    return ocl_host->fail(P2P_FAILED, "%s: %s failed with %s (%d)", name, what, ocl_error_name(code), code);
}

p2p_status ocl_check_alive(const p2p_be_device *device) {
    if (device->lost)
        return ocl_host->fail(P2P_DEVICE_LOST, "%s: the device was lost by an earlier command",
                              device->info.name);
    if (!atomic_load(&device->collective_failed)) return P2P_OK;
    return ocl_host->fail(P2P_DEVICE_LOST, "%s: a reduction over all devices failed: %s", device->info.name,
                          device->collective_failure);
}
