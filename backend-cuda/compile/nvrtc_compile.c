/* A compiler of kernels for toolkits without nvcc: NVRTC makes PTX, ptxas (called by compile_kernel.cmake)
 * makes machine code of it, nvFatbin packs both. It runs while the program is built and is not part of it.
 *
 *   nvrtc_compile ptx SOURCE OUTPUT OPTION...      the options of NVRTC
 *   nvrtc_compile pack OUTPUT ARCH=FILE...         ARCH: sm_90 for machine code, compute_90 for PTX
 */
#include <nvFatbin.h>
#include <nvrtc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what, const char *why) {
    fprintf(stderr, "nvrtc_compile: %s: %s\n", what, why);
    exit(1);
}

static void check_compiler(const char *what, nvrtcResult result) {
    if (result != NVRTC_SUCCESS) fail(what, nvrtcGetErrorString(result));
}

static void check_packer(const char *what, nvFatbinResult result) {
    if (result != NVFATBIN_SUCCESS) fail(what, nvFatbinGetErrorString(result));
}

static void *allocate(size_t bytes) {
    void *memory = malloc(bytes);
    if (!memory) fail("malloc", "no memory");
    return memory;
}

/* The file with a final 0, which *size includes. The caller frees it. */
static char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path, "can't be read");
    fseek(file, 0, SEEK_END);
    const long length = ftell(file);
    rewind(file);
    if (length < 0) fail(path, "can't be read");
    char *text = allocate((size_t)length + 1);
    if (fread(text, 1, (size_t)length, file) != (size_t)length) fail(path, "can't be read");
    text[length] = '\0';
    fclose(file);
    *size = (size_t)length + 1;
    return text;
}

static void write_file(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    if (!file) fail(path, "can't be written");
    const size_t written = fwrite(bytes, 1, size, file);
    if (fclose(file) != 0 || written != size) fail(path, "can't be written");
}

static void print_log(nvrtcProgram program) {
    size_t size = 0;
    check_compiler("nvrtcGetProgramLogSize", nvrtcGetProgramLogSize(program, &size));
    char *log = allocate(size + 1);
    check_compiler("nvrtcGetProgramLog", nvrtcGetProgramLog(program, log));
    if (size > 1) fputs(log, stderr);
    free(log);
}

static void compile(const char *source, const char *output, int count, char **options) {
    size_t size = 0;
    char *text = read_file(source, &size);
    nvrtcProgram program;
    check_compiler(source, nvrtcCreateProgram(&program, text, source, 0, NULL, NULL));
    const nvrtcResult result = nvrtcCompileProgram(program, count, (const char *const *)options);
    print_log(program);
    check_compiler(source, result);
    check_compiler(source, nvrtcGetPTXSize(program, &size));
    char *ptx = allocate(size);
    check_compiler(source, nvrtcGetPTX(program, ptx));
    write_file(output, ptx, size - 1);
    free(ptx);
    free(text);
    nvrtcDestroyProgram(&program);
}

/* nvFatbin copies what it is given. */
static void add(nvFatbinHandle pack, const char *item) {
    const char *equals = strchr(item, '='), *underscore = strchr(item, '_');
    char number[8];
    if (!equals || !underscore || underscore > equals || equals - underscore > (int)sizeof number)
        fail(item, "it is not ARCH=FILE");
    snprintf(number, sizeof number, "%.*s", (int)(equals - underscore - 1), underscore + 1);
    size_t size = 0;
    char *bytes = read_file(equals + 1, &size);
    if (strncmp(item, "sm_", 3) == 0)
        check_packer(item, nvFatbinAddCubin(pack, bytes, size - 1, number, NULL));
    else
        check_packer(item, nvFatbinAddPTX(pack, bytes, size, number, NULL, NULL));
    free(bytes);
}

static void pack(const char *output, int count, char **items) {
    static const char *options[] = {"-64", "-cuda", "-host=linux", "-compress=false"};
    nvFatbinHandle handle;
    check_packer(output, nvFatbinCreate(&handle, options, sizeof options / sizeof options[0]));
    for (int i = 0; i < count; i++) add(handle, items[i]);
    size_t size = 0;
    check_packer(output, nvFatbinSize(handle, &size));
    void *bytes = allocate(size);
    check_packer(output, nvFatbinGet(handle, bytes));
    write_file(output, bytes, size);
    free(bytes);
    nvFatbinDestroy(&handle);
}

int main(int count, char **arguments) {
    if (count >= 4 && strcmp(arguments[1], "ptx") == 0)
        compile(arguments[2], arguments[3], count - 4, arguments + 4);
    else if (count >= 4 && strcmp(arguments[1], "pack") == 0)
        pack(arguments[2], count - 3, arguments + 3);
    else
        fail("usage", "nvrtc_compile ptx SOURCE OUTPUT OPTION... | pack OUTPUT ARCH=FILE...");
    return 0;
}
