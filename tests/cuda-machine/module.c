/* Modules of kernels, their functions, and launches. */
#include "image.h"
#include "ptx.h"

#include <stdlib.h>
#include <string.h>

enum { SHARED_DEFAULT = 49152, REGISTERS_OF_BLOCK = 65536, CONSTANT_PARAMS = 4096 };

struct CUfunc_st {
    CUmodule module;
    const ptx_kernel *kernel;
    ptx_info info;
    int registers;       /* of a thread; 0: not known */
    int dynamic_allowed; /* bytes of dynamic shared memory */
    bool launched;       /* its code is on the device */
    CUfunction next;
};

struct CUmod_st {
    CUcontext context;
    int device;
    char *text;
    image_choice image;
    ptx_module *ptx;
    CUfunction functions;
    int pending; /* launches that have not run */
    CUmodule next;
};

static CUmodule modules;

static CUresult check_module(CUmodule handle, int device) {
    CUmodule module = modules;
    while (module && module != handle) module = module->next;
    if (!module) return driver_refuse(CUDA_ERROR_INVALID_HANDLE, "the module is not alive");
    if (module->device != device)
        return driver_refuse(CUDA_ERROR_INVALID_CONTEXT,
                             "the module is of device %d, the current context of %d", module->device, device);
    return CUDA_SUCCESS;
}

static CUresult check_function(CUfunction handle, int device) {
    for (CUmodule module = modules; module; module = module->next)
        for (CUfunction function = module->functions; function; function = function->next)
            if (function == handle) return check_module(module, device);
    return driver_refuse(CUDA_ERROR_INVALID_HANDLE, "the function is not alive");
}

int driver_live_modules(int device) {
    int count = 0;
    for (CUmodule module = modules; module; module = module->next) count += module->device == device;
    return count;
}

static void free_module(CUmodule module) {
    CUmodule *link = &modules;
    while (*link != module) link = &(*link)->next;
    *link = module->next;
    for (CUfunction function = module->functions, next; function; function = next) {
        next = function->next;
        free(function);
    }
    ptx_free(module->ptx);
    free(module->text);
    free(module);
}

void driver_release_modules(int device) {
    for (CUmodule module = modules, next; module; module = next) {
        next = module->next;
        if (module->device == device) free_module(module);
    }
}

/* ---- Loading ------------------------------------------------------------------------------------------- */

static CUresult load(CUmodule *module, const void *image, int device) {
    image_choice choice;
    char message[400];
    CUresult result = image_choose(image, device, &choice);
    if (result != CUDA_SUCCESS) return result;
    CUmodule made = calloc(1, sizeof *made);
    char *text = malloc(choice.ptx_bytes + 1);
    if (!made || !text) abort();
    memcpy(text, choice.ptx, choice.ptx_bytes);
    text[choice.ptx_bytes] = 0;
    ptx_module *ptx = ptx_load(text, device, message, sizeof message);
    if (!ptx) {
        free(text);
        free(made);
        return driver_refuse(CUDA_ERROR_INVALID_PTX, "%s", message);
    }
    *made = (struct CUmod_st){.context = driver_current(),
                              .device = device,
                              .text = text,
                              .image = choice,
                              .ptx = ptx,
                              .next = modules};
    modules = made;
    *module = made;
    return CUDA_SUCCESS;
}

/* The image must stay where it is while the module is loaded; the backend's are part of the program. */
CUresult CUDAAPI cuModuleLoadData(CUmodule *module, const void *image) {
    int device;
    CUresult result = driver_enter("cuModuleLoadData", DRIVER_WORKS, &device);
    if (result != CUDA_SUCCESS) return result;
    result = driver_check_no_capture();
    return driver_leave(result == CUDA_SUCCESS ? load(module, image, device) : result);
}

CUresult CUDAAPI cuModuleUnload(CUmodule module) {
    int device;
    CUresult result = driver_enter("cuModuleUnload", DRIVER_ENDS, &device);
    if (result != CUDA_SUCCESS) return result;
    result = check_module(module, device);
    if (result == CUDA_SUCCESS && module->pending)
        result = driver_refuse(CUDA_ERROR_ILLEGAL_STATE, "%d launches have not run", module->pending);
    if (result == CUDA_SUCCESS) free_module(module);
    return driver_leave(result);
}

CUresult CUDAAPI cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
    int device;
    CUresult result = driver_enter("cuModuleGetFunction", DRIVER_WORKS, &device);
    if (result != CUDA_SUCCESS) return result;
    if ((result = check_module(module, device)) != CUDA_SUCCESS) return driver_leave(result);
    CUfunction found = module->functions;
    while (found && strcmp(found->info.name, name) != 0) found = found->next;
    const ptx_kernel *kernel = found ? found->kernel : ptx_find(module->ptx, name);
    if (!kernel) return driver_leave(CUDA_ERROR_NOT_FOUND);
    if (!found) {
        if (!(found = calloc(1, sizeof *found))) abort();
        *found = (struct CUfunc_st){
            .module = module, .kernel = kernel, .info = ptx_kernel_info(kernel), .next = module->functions};
        found->registers = image_registers(&module->image, name);
        found->dynamic_allowed = SHARED_DEFAULT - (int)found->info.static_shared;
        module->functions = found;
    }
    *function = found;
    return driver_leave(CUDA_SUCCESS);
}

/* ---- Attributes ---------------------------------------------------------------------------------------- */

/* Registers are given to warps in units of 256. */
static int most_threads(const struct CUfunc_st *function) {
    int most = function->info.max_threads ? (int)function->info.max_threads : 1024;
    if (function->registers) {
        const int warp = (function->registers * 32 + 255) / 256 * 256,
                  threads = REGISTERS_OF_BLOCK / warp * 32;
        if (threads < most) most = threads;
    }
    return most < 1024 ? most : 1024;
}

CUresult CUDAAPI cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function) {
    int device;
    CUresult result = driver_enter("cuFuncGetAttribute", DRIVER_WORKS, &device);
    if (result != CUDA_SUCCESS) return result;
    if ((result = check_function(function, device)) != CUDA_SUCCESS) return driver_leave(result);
    switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        *value = most_threads(function);
        break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
        *value = (int)function->info.static_shared;
        break;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
        *value = (int)function->info.local_bytes;
        break;
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
        *value = 0;
        break;
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
        *value = function->registers;
        break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        *value = function->dynamic_allowed;
        break;
    default:
        result = driver_refuse(CUDA_ERROR_INVALID_VALUE, "the machine has no attribute %d", (int)attribute);
    }
    return driver_leave(result);
}

CUresult CUDAAPI cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
    int device;
    CUresult result = driver_enter("cuFuncSetAttribute", DRIVER_WORKS, &device);
    if (result != CUDA_SUCCESS) return result;
    if ((result = check_function(function, device)) != CUDA_SUCCESS) return driver_leave(result);
    if (attribute == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT && value >= -1 && value <= 100)
        return driver_leave(CUDA_SUCCESS);
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)
        return driver_leave(
            driver_refuse(CUDA_ERROR_INVALID_VALUE, "attribute %d, value %d", (int)attribute, value));
    const int most = driver_get_device(device)->shared_per_block - (int)function->info.static_shared;
    if (value < 0 || value > most)
        return driver_leave(driver_refuse(CUDA_ERROR_INVALID_VALUE,
                                          "%d bytes of dynamic shared memory; the card has %d", value, most));
    function->dynamic_allowed = value;
    return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction function, int threads,
                                                             size_t shared) {
    int device;
    CUresult result = driver_enter("cuOccupancyMaxActiveBlocksPerMultiprocessor", DRIVER_WORKS, &device);
    if (result != CUDA_SUCCESS) return result;
    if ((result = check_function(function, device)) != CUDA_SUCCESS) return driver_leave(result);
    if (threads < 1) return driver_leave(driver_refuse(CUDA_ERROR_INVALID_VALUE, "%d threads", threads));
    const int warps = (threads + 31) / 32, registers = (function->registers * 32 + 255) / 256 * 256 * warps;
    const int bytes = (int)(shared + function->info.static_shared) + 1024;
    int most = 64 / warps;
    if (registers && REGISTERS_OF_BLOCK / registers < most) most = REGISTERS_OF_BLOCK / registers;
    if (driver_get_device(device)->shared_per_multiprocessor / bytes < most)
        most = driver_get_device(device)->shared_per_multiprocessor / bytes;
    *blocks = most;
    return driver_leave(CUDA_SUCCESS);
}

/* ---- Launches ------------------------------------------------------------------------------------------ */

typedef struct {
    CUfunction function;
    unsigned grid[3], block[3];
    size_t dynamic_shared;
    unsigned char params[];
} launch_data;

bool driver_kernel_uses(const driver_command *command, const driver_allocation *allocation) {
    const launch_data *launch = command->data;
    const size_t bytes = launch->function->info.param_bytes;
    for (size_t at = 0; at + sizeof(CUdeviceptr) <= bytes; at += sizeof(CUdeviceptr)) {
        CUdeviceptr value;
        memcpy(&value, launch->params + at, sizeof value);
        if (value - allocation->begin < allocation->bytes) return true;
    }
    return false;
}

enum { NANOSECONDS_PER_INSTRUCTION = 20 };

static void count_launch(const char *name, const ptx_counters *counters) {
    machine_count(name, "launches", 1);
    machine_count(name, "warp_instructions", counters->warp_instructions);
    machine_count(name, "lane_instructions", counters->lane_instructions);
    machine_count(name, "divergent_branches", counters->divergent_branches);
    machine_count(name, "barriers", counters->barriers);
    machine_count(name, "global_requests", counters->global_requests);
    machine_count(name, "global_sectors", counters->global_sectors);
    machine_count(name, "global_bytes", counters->global_bytes);
    machine_count(name, "block_sectors", counters->block_sectors);
    machine_count(name, "distinct_sectors", counters->distinct_sectors);
    machine_count(name, "distinct_read_bytes", counters->distinct_read_bytes);
    machine_count(name, "distinct_written_bytes", counters->distinct_written_bytes);
    machine_count(name, "shared_requests", counters->shared_requests);
    machine_count(name, "shared_conflicts", counters->shared_conflicts);
    machine_count(name, "local_bytes", counters->local_bytes);
}

/* Runs a launch when its turn comes. Returns its time on the machine's clock: the bytes that it moves at 1
 * TB/s, and its instructions as if one warp ran at a time, which keeps measurements of long kernels short. */
static uint64_t run_launch(driver_command *command, driver_footprint *footprint) {
    const launch_data *data = command->data;
    CUfunction function = data->function;
    ptx_launch launch = {.dynamic_shared = data->dynamic_shared,
                         .params = data->params,
                         .device = command->stream->device,
                         .seed = driver_setting.seed ? machine_draw() | 1 : 0};
    memcpy(launch.grid, data->grid, sizeof launch.grid);
    memcpy(launch.block, data->block, sizeof launch.block);
    function->module->pending--;
    const bool done = ptx_run(function->kernel, &launch);
    *footprint = launch.footprint;
    count_launch(function->info.name, &launch.counters);
    if (!done) {
        machine_refuse("cuLaunchKernel: %s", launch.message);
        machine_lose_device(command->stream->device, launch.error, launch.message);
    }
    return launch.counters.distinct_sectors * 32 / 1000 +
           launch.counters.warp_instructions * NANOSECONDS_PER_INSTRUCTION;
}

static void drop_launch(void *data) {
    ((launch_data *)data)->function->module->pending--;
}

static CUresult check_sizes(const struct CUfunc_st *function, const unsigned *grid, const unsigned *block) {
    static const unsigned most_grid[3] = {2147483647, 65535, 65535}, most_block[3] = {1024, 1024, 64};
    for (int i = 0; i < 3; i++)
        if (grid[i] < 1 || grid[i] > most_grid[i] || block[i] < 1 || block[i] > most_block[i])
            return driver_refuse(
                CUDA_ERROR_INVALID_VALUE, "%s: a grid of %u x %u x %u blocks of %u x %u x %u threads",
                function->info.name, grid[0], grid[1], grid[2], block[0], block[1], block[2]);
    const unsigned threads = block[0] * block[1] * block[2];
    if (threads > 1024 || (function->info.max_threads && threads > function->info.max_threads))
        return driver_refuse(CUDA_ERROR_INVALID_VALUE, "%s: %u threads per block; its launch bounds are %u",
                             function->info.name, threads,
                             function->info.max_threads ? function->info.max_threads : 1024);
    if (threads > (unsigned)most_threads(function))
        return driver_refuse(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "%s: %u threads of %d registers",
                             function->info.name, threads, function->registers);
    return CUDA_SUCCESS;
}

static CUresult check_shared(const struct CUfunc_st *function, unsigned dynamic) {
    if (function->dynamic_allowed >= 0 && dynamic <= (unsigned)function->dynamic_allowed) return CUDA_SUCCESS;
    return driver_refuse(CUDA_ERROR_INVALID_VALUE,
                         "%s: %u bytes of dynamic and %zu of static shared memory; %d dynamic are allowed",
                         function->info.name, dynamic, function->info.static_shared,
                         function->dynamic_allowed);
}

/* The first launch of a kernel loads its code, unless all code is loaded at once (CUDA_MODULE_LOADING). */
static CUresult check_captured(const struct CUfunc_st *function, CUstream stream) {
    if (!stream->captured || function->launched) return CUDA_SUCCESS;
    return driver_refuse(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                         "%s is launched for the first time inside a capture", function->info.name);
}

static CUresult copy_params(const struct CUfunc_st *function, void **params, unsigned char *to) {
    for (int i = 0; i < function->info.param_count; i++) {
        size_t offset, bytes;
        if (!params || !params[i])
            return driver_refuse(CUDA_ERROR_INVALID_VALUE, "%s: parameter %d is missing", function->info.name,
                                 i);
        ptx_param(function->kernel, i, &offset, &bytes);
        memcpy(to + offset, params[i], bytes);
    }
    return CUDA_SUCCESS;
}

static CUresult launch(CUfunction function, const unsigned *grid, const unsigned *block, unsigned dynamic,
                       CUstream stream, void **params) {
    const size_t bytes = function->info.param_bytes;
    if (bytes > CONSTANT_PARAMS)
        return driver_refuse(CUDA_ERROR_INVALID_VALUE, "%s: %zu bytes of parameters", function->info.name,
                             bytes);
    launch_data *data = calloc(1, sizeof *data + bytes + 1);
    if (!data) abort();
    data->function = function;
    data->dynamic_shared = dynamic;
    memcpy(data->grid, grid, sizeof data->grid);
    memcpy(data->block, block, sizeof data->block);
    CUresult result = copy_params(function, params, data->params);
    if (result != CUDA_SUCCESS) {
        free(data);
        return result;
    }
    char what[120];
    snprintf(what, sizeof what, "kernel %s", function->info.name);
    driver_command *command = driver_new_command(stream, DRIVER_RUN, what);
    command->launch = run_launch;
    command->drop = drop_launch;
    command->data = data;
    function->module->pending++;
    driver_give(command);
    return CUDA_SUCCESS;
}

CUresult CUDAAPI cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                unsigned block_x, unsigned block_y, unsigned block_z, unsigned dynamic,
                                CUstream stream, void **params, void **extra) {
    int device;
    const unsigned grid[3] = {grid_x, grid_y, grid_z}, block[3] = {block_x, block_y, block_z};
    CUresult result = driver_enter("cuLaunchKernel", DRIVER_WORKS, &device);
    if (result != CUDA_SUCCESS) return result;
    result = check_function(function, device);
    if (result == CUDA_SUCCESS) result = driver_check_stream(stream);
    if (result == CUDA_SUCCESS && extra) result = driver_refuse(CUDA_ERROR_INVALID_VALUE, "extra parameters");
    if (result == CUDA_SUCCESS) result = check_sizes(function, grid, block);
    if (result == CUDA_SUCCESS) result = check_shared(function, dynamic);
    if (result == CUDA_SUCCESS) result = check_captured(function, stream);
    if (result == CUDA_SUCCESS) result = launch(function, grid, block, dynamic, stream, params);
    if (result == CUDA_SUCCESS) function->launched = true;
    return driver_leave(result);
}
