/* Loading modules and finding kernels. See cuda_program.h. */
#include "cuda_program.h"

#include "cuda_kernels.h"

#include <stdlib.h>
#include <string.h>

/* A loaded image; the list belongs to a device. */
struct cuda_programs {
    cuda_programs *next;
    const cuda_kernel_image *image;
    CUmodule module;
};

static const cuda_kernel_image *image_named(const char *name) {
    const cuda_kernel_image *image = cuda_kernel_images;
    while (image->name && strcmp(image->name, name) != 0) image++;
    return image->name ? image : NULL;
}

static p2p_status fail_load(p2p_be_device *device, const char *name, CUresult code) {
    const int capability = device->target.capability;
    if (code == CUDA_ERROR_NO_BINARY_FOR_GPU || code == CUDA_ERROR_UNSUPPORTED_PTX_VERSION) {
        cuda_host->fail(
            P2P_UNSUPPORTED,
            "%s: the driver can't load the kernels of %s.cu for compute capability %d.%d: %s (%d)",
            device->queue.name, name, capability / 10, capability % 10, cuda_error_name(code), (int)code);
        return cuda_host->hint(
            P2P_UNSUPPORTED, "a newer driver may; or build p2p on this machine, with this device's toolkit");
    }
    return cuda_check(&device->queue, code, "cuModuleLoadData");
}

static p2p_status load(p2p_be_device *device, const char *name, cuda_programs **loaded) {
    const cuda_kernel_image *image = image_named(name);
    if (!image) return cuda_host->fail(P2P_FAILED, "%s: there is no kernels/%s.cu", device->queue.name, name);
    cuda_programs *program = calloc(1, sizeof *program);
    if (!program) return cuda_host->fail(P2P_OUT_OF_MEMORY, "no host memory for a module's record");
    const CUresult code = cuda_driver.cuModuleLoadData(&program->module, image->bytes);
    if (code != CUDA_SUCCESS) {
        free(program);
        return fail_load(device, name, code);
    }
    program->image = image;
    program->next = device->programs;
    device->programs = *loaded = program;
    return P2P_OK;
}

static p2p_status find(p2p_be_device *device, const char *name, cuda_programs **found) {
    for (*found = device->programs; *found; *found = (*found)->next)
        if (strcmp((*found)->image->name, name) == 0) return P2P_OK;
    return load(device, name, found);
}

p2p_status cuda_program_kernel(p2p_be_device *device, const cuda_launch *launch, CUfunction *kernel) {
    cuda_programs *program;
    int threads = 0;
    const unsigned wanted = launch->block[0] * launch->block[1] * launch->block[2];
    P2P_TRY(find(device, launch->source, &program));
    P2P_TRY(cuda_check(&device->queue,
                       cuda_driver.cuModuleGetFunction(kernel, program->module, launch->kernel),
                       launch->kernel));
    if (launch->shared_bytes > device->target.shared_bytes)
        CUDA_TRY(&device->queue, cuFuncSetAttribute, *kernel, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                 (int)launch->shared_bytes);
    CUDA_TRY(&device->queue, cuFuncGetAttribute, &threads, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, *kernel);
    if ((unsigned)threads >= wanted) return P2P_OK;
    return cuda_host->fail(P2P_FAILED, "%s: kernel %s runs in blocks of at most %d threads here, not %u",
                           device->queue.name, launch->kernel, threads, wanted);
}

void cuda_programs_close(p2p_be_device *device) {
    while (device->programs) {
        cuda_programs *program = device->programs;
        device->programs = program->next;
        CUDA_RELEASE(&device->queue, cuModuleUnload, program->module);
        free(program);
    }
}
