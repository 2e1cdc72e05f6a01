/* Compiled programs stored between runs.
 *
 * The key of a program contains everything that its machine code depends on: source, options, device,
 * driver and platform. The host's cache returns only intact entries; this matters, because drivers may
 * abort on a damaged program (PoCL 3.1 does). A program that the driver refuses is built from source. No
 * function here fails.
 */
#include "ocl_program_cache.h"

#include "ocl_error.h"
#include "ocl_pocl.h"

#include <stdlib.h>
#include <string.h>

/* Part of the key; incremented when the format of the entries changes. */
static const char format[] = "p2p program 1";

static const char kind[] = "program";

/* ---- Policy ---------------------------------------------------------------------------------------- */

/* Drivers that store programs on disk themselves. Reading binaries is also harmful with both: PoCL compiles
 * every kernel once more, in a general form that is never run; NVIDIA's binaries are an intermediate text
 * whose translation dominates the time. */
static bool driver_keeps_programs(const char *platform) {
    return strcmp(platform, ocl_pocl_platform) == 0 || strncmp(platform, "NVIDIA", 6) == 0;
}

void ocl_program_cache_choose(p2p_be_device *device, cl_platform_id platform) {
    char name[64] = "";
    clGetPlatformInfo(platform, CL_PLATFORM_VERSION, sizeof device->platform_version - 1,
                      device->platform_version, NULL);
    device->keeps_programs = device->environment.cache == OCL_CACHE_ON;
    if (device->environment.cache == OCL_CACHE_AUTO)
        device->keeps_programs =
            clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name, name, NULL) == CL_SUCCESS &&
            !driver_keeps_programs(name);
}

/* ---- Keys ------------------------------------------------------------------------------------------ */

enum { FIXED_PARTS = 5, TEXT_LIMIT = 2 * OCL_LAUNCH_SOURCES };

p2p_key_part ocl_key_text(const char *text) {
    return (p2p_key_part){text, strlen(text)};
}

/* Returns the number of parts. info.driver contains the versions of device and driver. */
static int compose_key(const p2p_be_device *device, const ocl_program_source *source,
                       p2p_key_part key[FIXED_PARTS + TEXT_LIMIT]) {
    int count = 0;
    key[count++] = ocl_key_text(format);
    key[count++] = ocl_key_text(device->info.name);
    key[count++] = ocl_key_text(device->info.driver);
    key[count++] = ocl_key_text(device->platform_version);
    key[count++] = ocl_key_text(source->options);
    for (cl_uint i = 0; i < source->count; i++)
        key[count++] = (p2p_key_part){source->text[i], source->size[i]};
    return count;
}

/* ---- Finding --------------------------------------------------------------------------------------- */

/* Returns NULL if the driver refuses the binary. */
static cl_program build_binary(p2p_be_device *device, const char *options, const void *binary, size_t size) {
    const unsigned char *bytes = binary;
    cl_int status = CL_SUCCESS, code = CL_SUCCESS;
    cl_program program =
        clCreateProgramWithBinary(device->context, 1, &device->id, &size, &bytes, &status, &code);
    if (code == CL_SUCCESS) code = status;
    if (code == CL_SUCCESS) code = clBuildProgram(program, 1, &device->id, options, NULL, NULL);
    if (code == CL_SUCCESS) return program;
    ocl_host->log("%s: a kept program is refused: %s (%d)", device->info.name, ocl_error_name(code), code);
    if (program) clReleaseProgram(program);
    return NULL;
}

cl_program ocl_program_cache_get(p2p_be_device *device, const ocl_program_source *source) {
    p2p_key_part key[FIXED_PARTS + TEXT_LIMIT];
    void *binary = NULL;
    size_t size = 0;
    if (!device->keeps_programs) return NULL;
    const int parts = compose_key(device, source, key);
    if (!ocl_host->cache_get(kind, key, parts, &binary, &size)) return NULL;
    cl_program program = size > 0 ? build_binary(device, source->options, binary, size) : NULL;
    free(binary);
    return program;
}

/* ---- Keeping --------------------------------------------------------------------------------------- */

void ocl_program_cache_put(p2p_be_device *device, const ocl_program_source *source, cl_program program) {
    p2p_key_part key[FIXED_PARTS + TEXT_LIMIT];
    size_t size = 0;
    if (!device->keeps_programs) return;
    cl_int code = clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL);
    unsigned char *binary = code == CL_SUCCESS && size > 0 ? malloc(size) : NULL;
    if (binary) code = clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL);
    if (binary && code == CL_SUCCESS)
        ocl_host->cache_put(kind, key, compose_key(device, source, key), binary, size);
    else
        ocl_host->log("%s: a program can't be kept: %s (%d)", device->info.name, ocl_error_name(code), code);
    free(binary);
}
