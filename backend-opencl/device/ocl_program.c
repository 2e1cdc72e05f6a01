/* Building of programs, and the device's cache of them in memory, keyed by file names and options: a
 * training builds each program once. ocl_program_cache.c stores programs on disk.
 */
#include "ocl_program.h"

#include "ocl_error.h"
#include "ocl_pocl.h"
#include "ocl_program_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Denormals are flushed, because Adam's second moment and norms of constant channels contain many of them,
 * and they take hundreds of cycles on CPUs. -cl-fast-relaxed-math is not used, because it removes checks
 * for NaN. */
static const char common_options[] = "-cl-std=CL1.2 -cl-mad-enable -cl-denorms-are-zero -cl-no-signed-zeros";

enum { KEY_BYTES = OCL_LAUNCH_OPTIONS + 256, LOG_BYTES = 1200 };

struct ocl_program {
    char key[KEY_BYTES]; /* file names and options */
    cl_program program;
    ocl_program *next;
};

static const ocl_source *find_source(const char *name) {
    for (int i = 0; i < ocl_source_count; i++)
        if (strcmp(ocl_sources[i].name, name) == 0) return &ocl_sources[i];
    return NULL;
}

static void print_key(const ocl_launch *launch, char *key, size_t size) {
    size_t length = 0;
    for (int i = 0; i < OCL_LAUNCH_SOURCES && launch->source[i]; i++)
        length += (size_t)snprintf(key + length, size - length, "%s%s", i ? " + " : "", launch->source[i]);
    snprintf(key + length, size - length, " %s", launch->options);
}

/* Writes a build log to the verbose log, line by line. Then joins its lines, because a message has one. */
static void log_and_join(const p2p_be_device *device, const char *key, char *build_log) {
    for (char *line = build_log, *end; *line; line = end) {
        end = line + strcspn(line, "\n");
        ocl_host->log("%s: build log of %s: %.*s", device->info.name, key, (int)(end - line), line);
        if (*end) *end++ = ' ';
    }
}

/* The message has the end of the log, the most useful part of a long one. */
static p2p_status fail_build(p2p_be_device *device, cl_program program, const char *key, cl_int code) {
    size_t size = 0;
    char *log = NULL;
    clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
    if (size > 0) log = calloc(size + 1, 1);
    if (log) clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, size, log, NULL);
    if (log) log_and_join(device, key, log);
    size_t length = log ? strlen(log) : 0;
    p2p_status status = ocl_host->fail(P2P_FAILED, "%s: kernel file %s does not build: %s (%d): %s",
                                       device->info.name, key, ocl_error_name(code), code,
                                       log ? log + (length > LOG_BYTES ? length - LOG_BYTES : 0) : "no log");
    free(log);
    return ocl_pocl_hint(device->info.driver, status);
}

/* The texts of a program, each preceded by a #line directive, so that compilers name its file in messages. */
typedef struct {
    char line[OCL_LAUNCH_SOURCES][64];
    const char *text[2 * OCL_LAUNCH_SOURCES];
    size_t size[2 * OCL_LAUNCH_SOURCES];
    cl_uint count;
} program_text;

static p2p_status collect(const ocl_launch *launch, program_text *program) {
    program->count = 0;
    for (int i = 0; i < OCL_LAUNCH_SOURCES && launch->source[i]; i++) {
        const ocl_source *source = find_source(launch->source[i]);
        if (!source) return ocl_host->fail(P2P_FAILED, "there is no kernel file %s", launch->source[i]);
        snprintf(program->line[i], sizeof program->line[i], "#line 1 \"%s\"\n", source->name);
        program->text[program->count] = program->line[i];
        program->size[program->count++] = strlen(program->line[i]);
        program->text[program->count] = (const char *)source->bytes;
        program->size[program->count++] = source->size;
    }
    return P2P_OK;
}

static p2p_status build(p2p_be_device *device, const ocl_program_source *source, const char *key,
                        cl_program *built) {
    cl_int code = CL_SUCCESS;
    cl_program program = clCreateProgramWithSource(device->context, source->count,
                                                   (const char **)source->text, source->size, &code);
    P2P_TRY(ocl_check(device, code, "clCreateProgramWithSource"));
    code = clBuildProgram(program, 1, &device->id, source->options, NULL, NULL);
    if (ocl_pocl_is_driver(device->info.driver)) ocl_pocl_watch();
    device->unrecorded = OCL_RECORDS;
    if (code != CL_SUCCESS) {
        p2p_status status = fail_build(device, program, key, code);
        clReleaseProgram(program);
        return status;
    }
    *built = program;
    return P2P_OK;
}

static p2p_status compile(p2p_be_device *device, const ocl_launch *launch, const char *key,
                          cl_program *built) {
    program_text source;
    P2P_TRY(collect(launch, &source));
    char options[sizeof common_options + OCL_LAUNCH_OPTIONS + 1];
    snprintf(options, sizeof options, "%s %s", common_options, launch->options);
    const ocl_program_source whole = {options, source.text, source.size, source.count};
    *built = ocl_program_cache_get(device, &whole);
    if (*built) {
        ocl_host->log("%s: found %s", device->info.name, key);
        return P2P_OK;
    }
    P2P_TRY(build(device, &whole, key, built));
    ocl_host->log("%s: built %s", device->info.name, key);
    ocl_program_cache_put(device, &whole, *built);
    return P2P_OK;
}

static p2p_status find_program(p2p_be_device *device, const ocl_launch *launch, cl_program *program) {
    char key[KEY_BYTES];
    print_key(launch, key, sizeof key);
    for (ocl_program *p = device->programs; p; p = p->next)
        if (strcmp(p->key, key) == 0) {
            *program = p->program;
            return P2P_OK;
        }
    P2P_TRY(compile(device, launch, key, program));
    ocl_program *entry = calloc(1, sizeof *entry);
    if (!entry) {
        clReleaseProgram(*program);
        return ocl_host->fail(P2P_OUT_OF_MEMORY, "no host memory for a program's record");
    }
    memcpy(entry->key, key, sizeof key);
    entry->program = *program;
    entry->next = device->programs;
    device->programs = entry;
    return P2P_OK;
}

p2p_status ocl_kernel_create(p2p_be_device *device, const ocl_launch *launch, cl_kernel *kernel) {
    cl_program program = NULL;
    P2P_TRY(find_program(device, launch, &program));
    cl_int code = CL_SUCCESS;
    *kernel = clCreateKernel(program, launch->kernel, &code);
    p2p_status status = ocl_check(device, code, launch->kernel);
    return status == P2P_OK ? status : ocl_pocl_hint(device->info.driver, status);
}

void ocl_programs_release(p2p_be_device *device) {
    while (device->programs) {
        ocl_program *p = device->programs;
        device->programs = p->next;
        clReleaseProgram(p->program);
        free(p);
    }
}
