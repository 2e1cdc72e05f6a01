/* What the environment chooses: cards, drivers, visible devices, planted faults; which images a card takes;
 * and the verdict when the process ends. Each case is a process of its own, because the machine reads its
 * settings once. */
#define _DEFAULT_SOURCE
#include "machine_test.h"

#include "../support/test_clock.h"

#include <elf.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void clear_settings(void) {
    static const char *const names[] = {"DEVICES",  "CARD", "DRIVER",        "MEMORY",   "SEED",      "FAIL",
                                        "COUNTERS", "LOG",  "UNINITIALIZED", "PATIENCE", "ADDRESSES", "SLOW"};
    char name[40];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(name, sizeof name, "P2P_MACHINE_%s", names[i]);
        unsetenv(name);
    }
    unsetenv("CUDA_VISIBLE_DEVICES");
}

/* Runs `body` in a process with the settings "NAME=VALUE"; returns its exit status. The text of stderr goes
 * to `text`. */
static int run_with(const char *const *settings, int (*body)(void), char *text, size_t size) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        clear_settings();
        for (; *settings; settings++) putenv((char *)(uintptr_t)*settings);
        exit(body());
    }
    close(ends[1]);
    size_t used = 0;
    for (ssize_t n; (n = read(ends[0], text + used, size - 1 - used)) > 0;) used += (size_t)n;
    text[used] = 0;
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#define SETTINGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_run(const char *const *settings, int (*body)(void), int status, const char *words) {
    char text[8192];
    const int got = run_with(settings, body, text, sizeof text);
    if (got != status || !strstr(text, words))
        fail_msg("status %d instead of %d, with \"%s\"", got, status, text);
}

/* ---- Cards --------------------------------------------------------------------------------------------- */

static int attribute(CUdevice_attribute which, int device) {
    int value = -1;
    cuDeviceGetAttribute(&value, which, device);
    return value;
}

static int list_devices(void) {
    int count = 0, version = 0;
    const CUresult result = cuInit(0);
    cuDriverGetVersion(&version);
    fprintf(stderr, "init %d driver %d\n", (int)result, version);
    if (result != CUDA_SUCCESS) return 0;
    cuDeviceGetCount(&count);
    for (int i = 0; i < count; i++) {
        char name[64], pci[16];
        size_t bytes;
        CUuuid uuid;
        cuDeviceGetName(name, sizeof name, i);
        cuDeviceGetPCIBusId(pci, sizeof pci, i);
        cuDeviceTotalMem(&bytes, i);
        cuDeviceGetUuid_v2(&uuid, i);
        CUcontext context;
        const CUresult retained = cuDevicePrimaryCtxRetain(&context, i);
        if (retained == CUDA_SUCCESS) cuDevicePrimaryCtxRelease(i);
        fprintf(stderr, "%d: %s sm_%d%d %zu MiB %s mode %d ecc %d uuid %02x retained %d\n", i, name,
                attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, i),
                attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, i), bytes >> 20, pci,
                attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_MODE, i), attribute(CU_DEVICE_ATTRIBUTE_ECC_ENABLED, i),
                (unsigned char)uuid.bytes[1], (int)retained);
    }
    fprintf(stderr, "%d devices\n", count);
    return 0;
}

/* Takes more and then all of 40 MiB. */
static int take_memory(void) {
    CUcontext context;
    CUdeviceptr more, all;
    size_t some = 0, total = 0;
    if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context)) return 1;
    cuMemGetInfo(&some, &total);
    const int refused = (int)cuMemAlloc(&more, 41 << 20), taken = (int)cuMemAlloc(&all, 40 << 20);
    fprintf(stderr, "%zu of %zu MiB are free, 41 MiB: %d, 40 MiB: %d\n", some >> 20, total >> 20, refused,
            taken);
    if (taken == 0) cuMemFree(all);
    cuCtxSetCurrent(NULL);
    return (int)cuDevicePrimaryCtxRelease(0);
}

static void test_cards(void **state) {
    (void)state;
    assert_run(SETTINGS("P2P_MACHINE_CARD=v100"), list_devices, 0,
               "0: Tesla V100-SXM2-32GB sm_70 32494 MiB 0000:07:00.0 mode 0 ecc 1");
    assert_run(SETTINGS("P2P_MACHINE_CARD=a100,h200:exclusive:busy,rtx5090:noecc", "P2P_MACHINE_DEVICES=4"),
               list_devices, 0, "1: NVIDIA H200 sm_90 143156 MiB 0000:17:00.0 mode 3 ecc 1");
    assert_run(SETTINGS("P2P_MACHINE_CARD=a100,h200:exclusive:busy,rtx5090:noecc", "P2P_MACHINE_DEVICES=4"),
               list_devices, 0,
               "retained 46\n2: NVIDIA GeForce RTX 5090 sm_120 32109 MiB 0000:27:00.0 mode 0 ecc 0");
    assert_run(SETTINGS("P2P_MACHINE_CARD=h200:prohibited"), list_devices, 0,
               "mode 2 ecc 1 uuid be retained 46");
    assert_run(SETTINGS("P2P_MACHINE_CARD=h200:mig"), list_devices, 0, "NVIDIA H200 MIG 1g sm_90 17894 MiB");
    assert_run(SETTINGS("P2P_MACHINE_MEMORY=3G"), list_devices, 0, "3072 MiB");
    assert_run(SETTINGS("P2P_MACHINE_MEMORY=64M", "P2P_MACHINE_HELD=24M"), take_memory, 0,
               "40 of 64 MiB are free, 41 MiB: 2, 40 MiB: 0");
    assert_run(SETTINGS("P2P_MACHINE_MEMORY=64M", "P2P_MACHINE_HELD=1G"), take_memory, 0,
               "0 of 64 MiB are free");
    assert_run(SETTINGS("P2P_MACHINE_CARD=gtx"), list_devices, MACHINE_EXIT,
               "P2P_MACHINE_CARD=gtx: not understood");
    assert_run(SETTINGS("P2P_MACHINE_DEVICES=0"), list_devices, 0, "init 100");
}

static void test_drivers(void **state) {
    (void)state;
    assert_run(SETTINGS("P2P_MACHINE_DRIVER=R535"), list_devices, 0, "init 0 driver 12020");
    assert_run(SETTINGS("P2P_MACHINE_DRIVER=12.9"), list_devices, 0, "driver 12090");
    assert_run(SETTINGS("P2P_MACHINE_DRIVER=R1"), list_devices, MACHINE_EXIT, "not understood");
}

static void test_visible_devices(void **state) {
    (void)state;
    assert_run(SETTINGS("P2P_MACHINE_DEVICES=4", "CUDA_VISIBLE_DEVICES=2,0"), list_devices, 0,
               "0000:07:00.0 mode 0 ecc 1 uuid be retained 0\n2 devices");
    assert_run(SETTINGS("P2P_MACHINE_DEVICES=4", "CUDA_VISIBLE_DEVICES=2,9,1"), list_devices, 0, "1 devices");
    assert_run(SETTINGS("P2P_MACHINE_DEVICES=4", "CUDA_VISIBLE_DEVICES="), list_devices, 0, "init 100");
    assert_run(SETTINGS("P2P_MACHINE_DEVICES=4", "CUDA_VISIBLE_DEVICES=GPU-a8ccf"), list_devices, 0,
               "0000:17:00.0 mode 0 ecc 1 uuid cc retained 0\n1 devices");
}

/* ---- Images -------------------------------------------------------------------------------------------- */

static CUresult load_image(const void *image) {
    CUcontext context;
    CUmodule module;
    cuInit(0);
    cuDevicePrimaryCtxRetain(&context, 0);
    cuCtxSetCurrent(context);
    const CUresult result = cuModuleLoadData(&module, image);
    if (result == CUDA_SUCCESS) cuModuleUnload(module);
    cuDevicePrimaryCtxRelease(0);
    return result;
}

static int load_sm90(void) {
    return (int)load_image(
        ".version 8.8\n.target sm_90\n.address_size 64\n.visible .entry k()\n{\nret;\n}\n");
}

enum { CODE_BYTES = 256, REGISTERS = 200 };

typedef struct {
    uint32_t magic;
    uint16_t version, header;
    uint64_t bytes;
    struct {
        uint16_t kind, version;
        uint32_t header;
        uint64_t bytes;
        uint32_t compressed, options;
        uint16_t minor, major;
        uint32_t architecture, rest[8];
        unsigned char content[CODE_BYTES];
    } entries[2];
} fatbin;

/* Machine code without instructions: its one section has the number of registers of the kernel k. */
static void write_code(unsigned char abi, unsigned char *content) {
    static const char names[] = "\0.text.k";
    const Elf64_Ehdr header = {.e_ident[EI_ABIVERSION] = abi,
                               .e_shoff = sizeof header,
                               .e_shentsize = sizeof(Elf64_Shdr),
                               .e_shnum = 2};
    const Elf64_Shdr sections[2] = {{.sh_offset = sizeof header + sizeof sections, .sh_size = sizeof names},
                                    {.sh_name = 1, .sh_info = (unsigned)REGISTERS << 24}};
    _Static_assert(sizeof header + sizeof sections + sizeof names <= CODE_BYTES, "too long");
    memcpy(content, &header, sizeof header);
    memcpy(content + sizeof header, sections, sizeof sections);
    memcpy(content + sizeof header + sizeof sections, names, sizeof names);
}

/* A fatbin of machine code for 8.0 by CUDA `abi`, and PTX 8.0 for 9.0, which may be marked as compressed. */
static fatbin make_fatbin(unsigned char abi, bool compressed, bool with_ptx, size_t cut) {
    static const char ptx[] =
        ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k()\n{\nret;\n}\n";
    fatbin image = {.magic = 0xba55ed50, .version = 1, .header = 16, .bytes = sizeof image.entries};
    for (int i = 0; i < 2; i++) {
        image.entries[i].kind = (uint16_t)(2 - i);
        image.entries[i].version = 257;
        image.entries[i].header = 64;
        image.entries[i].bytes = CODE_BYTES;
        image.entries[i].architecture = i ? 90 : 80;
    }
    write_code(abi, image.entries[0].content);
    image.entries[1].major = 8;
    image.entries[1].compressed = compressed ? 100 : 0;
    memcpy(image.entries[1].content, ptx, sizeof ptx);
    if (!with_ptx) image.bytes = sizeof image.entries[0];
    image.entries[0].bytes += cut;
    return image;
}

static CUresult load_fatbin(unsigned char abi, bool compressed, bool with_ptx, size_t cut) {
    const fatbin image = make_fatbin(abi, compressed, with_ptx, cut);
    return load_image(&image);
}

/* A block of 320 threads has registers enough, one of 352 has not. */
static int launch_wide(void) {
    const fatbin image = make_fatbin(7, false, true, 0);
    CUcontext context;
    CUmodule module;
    CUfunction function;
    CUstream stream;
    cuInit(0);
    cuDevicePrimaryCtxRetain(&context, 0);
    cuCtxSetCurrent(context);
    cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
    cuModuleLoadData(&module, &image);
    cuModuleGetFunction(&function, module, "k");
    const CUresult narrow = cuLaunchKernel(function, 1, 1, 1, 320, 1, 1, 0, stream, NULL, NULL);
    const CUresult wide = cuLaunchKernel(function, 1, 1, 1, 352, 1, 1, 0, stream, NULL, NULL);
    fprintf(stderr, "narrow %d wide %d\n", (int)narrow, (int)wide);
    cuStreamSynchronize(stream);
    cuModuleUnload(module);
    cuStreamDestroy(stream);
    cuDevicePrimaryCtxRelease(0);
    return 0;
}

static int load_twelve(void) {
    return (int)load_fatbin(7, false, true, 0);
}

static int load_thirteen(void) {
    return (int)load_fatbin(8, false, true, 0);
}

static int load_compressed(void) {
    return (int)load_fatbin(7, true, true, 0);
}

static int load_without_ptx(void) {
    return (int)load_fatbin(7, false, false, 0);
}

static int load_cut(void) {
    return (int)load_fatbin(7, false, true, 1000000);
}

static int load_nonsense(void) {
    return (int)load_image("what is this");
}

static int load_unknown(void) {
    return (int)load_image(
        ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k()\n{\n.reg .b32 %r<4>;\n"
        "frobnicate.b32 %r0, %r1;\n}\n");
}

static void test_images(void **state) {
    (void)state;
    assert_run(SETTINGS("P2P_MACHINE_CARD=h200"), load_sm90, 0, "");
    assert_run(SETTINGS("P2P_MACHINE_CARD=b200"), load_sm90, 0, "");
    assert_run(SETTINGS("P2P_MACHINE_CARD=a100"), load_sm90, CUDA_ERROR_NO_BINARY_FOR_GPU, "");
    assert_run(SETTINGS("P2P_MACHINE_DRIVER=12.8"), load_sm90, CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "");
    assert_run(SETTINGS("P2P_MACHINE_CARD=a100"), load_twelve, 0, "");
    assert_run(SETTINGS("P2P_MACHINE_CARD=a10"), load_twelve, 0, "");
    assert_run(SETTINGS("P2P_MACHINE_CARD=v100"), load_twelve, CUDA_ERROR_NO_BINARY_FOR_GPU, "");
    assert_run(SETTINGS("P2P_MACHINE_CARD=h200"), load_twelve, 0, "");
    assert_run(SETTINGS("P2P_MACHINE_CARD=a100", "P2P_MACHINE_DRIVER=R525"), load_twelve, 0, "");
    assert_run(SETTINGS("P2P_MACHINE_CARD=a100", "P2P_MACHINE_DRIVER=R570"), load_thirteen,
               CUDA_ERROR_NO_BINARY_FOR_GPU, "");
    assert_run(SETTINGS("P2P_MACHINE_CARD=a100"), load_thirteen, 0, "");
    assert_run(SETTINGS("P2P_MACHINE_CARD=a100"), load_compressed, MACHINE_EXIT,
               "build it with --no-compress");
    assert_run(SETTINGS("P2P_MACHINE_CARD=a100"), load_without_ptx, MACHINE_EXIT,
               "executes PTX, and the image has none");
    assert_run(SETTINGS("P2P_MACHINE_CARD=a100"), load_cut, MACHINE_EXIT, "the image is damaged at byte 16");
    assert_run(SETTINGS("P2P_MACHINE_CARD=a100"), launch_wide, MACHINE_EXIT, "narrow 0 wide 701");
    assert_run(SETTINGS("P2P_MACHINE_CARD=a100"), launch_wide, MACHINE_EXIT,
               "k: 352 threads of 200 registers");
    assert_run(SETTINGS("P2P_MACHINE_CARD=a100"), load_nonsense, MACHINE_EXIT, "neither a fatbin nor PTX");
    assert_run(SETTINGS("P2P_MACHINE_CARD=h200"), load_unknown, MACHINE_EXIT,
               "PTX line 7: frobnicate.b32 is not known");
}

/* ---- Planted faults and the verdict -------------------------------------------------------------------- */

static int begin(CUstream *stream) {
    CUcontext context;
    if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context)) return 1;
    return cuStreamCreate(stream, CU_STREAM_NON_BLOCKING) ? 1 : 0;
}

static int allocate_thrice(void) {
    CUstream stream;
    if (begin(&stream)) return 1;
    for (int i = 0; i < 3; i++) {
        CUdeviceptr memory;
        const CUresult result = cuMemAlloc(&memory, 100);
        const char *name = "?";
        cuGetErrorName(result, &name);
        fprintf(stderr, "allocation %d: %s\n", i, name);
        if (result == CUDA_SUCCESS) cuMemFree(memory);
    }
    const CUresult result = cuStreamSynchronize(stream);
    cuStreamDestroy(stream);
    cuDevicePrimaryCtxRelease(0);
    return (int)result & 127;
}

/* Returns what waiting returns: filling itself succeeds, because the commands run later. */
static int fill_twice(void) {
    CUstream stream;
    CUdeviceptr memory;
    if (begin(&stream) || cuMemAlloc(&memory, 100)) return 1;
    for (int i = 0; i < 2; i++)
        if (cuMemsetD8Async(memory, 0, 100, stream)) return 1;
    const CUresult result = cuStreamSynchronize(stream);
    cuMemFree(memory);
    cuStreamDestroy(stream);
    cuDevicePrimaryCtxRelease(0);
    return (int)result & 127;
}

static int failed(const char *call, CUresult result) {
    if (result != CUDA_SUCCESS) fprintf(stderr, "%s failed with %d\n", call, (int)result);
    return result != CUDA_SUCCESS;
}

/* Six calls that use a device, the fifth one of a library, and one that uses none; returns how many fail. */
static int use_two_devices(void) {
    int failures = 0;
    size_t some;
    if (cuInit(0)) return 100;
    for (int i = 0; i < 2; i++) {
        CUcontext context;
        if (cuDevicePrimaryCtxRetain(&context, i)) return 100;
        if (failed("cuCtxSetCurrent", cuCtxSetCurrent(context))) return 1;
        failures += failed("cuMemGetInfo", cuMemGetInfo(&some, &some));
    }
    if (failures) return failures;
    failures += machine_should_fail("descriptorCall", false) != NULL;
    failures += machine_should_fail("libraryCall", true) != NULL;
    failures += failed("cuMemGetInfo", cuMemGetInfo(&some, &some));
    for (int i = 0; i < 2; i++) cuDevicePrimaryCtxRelease(i);
    return failures;
}

static void test_lost_at_a_call(void **state) {
    (void)state;
    static const struct {
        int failures; /* of later calls, too, where nothing has said that the device is lost */
        const char *setting, *words;
    } cases[] = {{1, "device:1:", "device 0 is lost: planted by P2P_MACHINE_FAIL in cuCtxSetCurrent"},
                 {1, "device:2:", "device 0 is lost: planted by P2P_MACHINE_FAIL in cuMemGetInfo_v2"},
                 {1, "device:3:", "device 1 is lost: planted by P2P_MACHINE_FAIL in cuCtxSetCurrent"},
                 {1, "device:4:", "device 1 is lost: planted by P2P_MACHINE_FAIL in cuMemGetInfo_v2"},
                 {2, "device:5:", "device 1 is lost: planted by P2P_MACHINE_FAIL in libraryCall"},
                 {1, "device:6:", "device 1 is lost: planted by P2P_MACHINE_FAIL in cuMemGetInfo_v2"},
                 {0, "device:7:", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char setting[80];
        snprintf(setting, sizeof setting, "P2P_MACHINE_FAIL=%sCUDA_ERROR_LAUNCH_FAILED", cases[i].setting);
        assert_run(SETTINGS("P2P_MACHINE_DEVICES=2", setting), use_two_devices, cases[i].failures,
                   cases[i].words);
    }
}

static void test_planted_faults(void **state) {
    (void)state;
    assert_run(
        SETTINGS("P2P_MACHINE_FAIL=cuMemAlloc_v2:2:CUDA_ERROR_OUT_OF_MEMORY"), allocate_thrice, 0,
        "allocation 0: CUDA_SUCCESS\nallocation 1: CUDA_ERROR_OUT_OF_MEMORY\nallocation 2: CUDA_SUCCESS");
    assert_run(SETTINGS("P2P_MACHINE_FAIL=cuMemAlloc_v2:2+:CUDA_ERROR_OUT_OF_MEMORY"), allocate_thrice, 0,
               "allocation 0: CUDA_SUCCESS\nallocation 1: CUDA_ERROR_OUT_OF_MEMORY\nallocation 2: "
               "CUDA_ERROR_OUT_OF_MEMORY");
    assert_run(SETTINGS("P2P_MACHINE_FAIL=cuInit:9:CUDA_ERROR_UNKNOWN,*:1:CUDA_ERROR_NO_DEVICE"),
               allocate_thrice, 1, "");
    assert_run(SETTINGS("P2P_MACHINE_FAIL=cuStreamSynchronize:1:CUDA_ERROR_ECC_UNCORRECTABLE"),
               allocate_thrice, CUDA_ERROR_ECC_UNCORRECTABLE & 127,
               "device 0 is lost: planted by P2P_MACHINE_FAIL");
    assert_run(SETTINGS("P2P_MACHINE_FAIL=cuMemAlloc_v2:1:CUDA_ERROR_LAUNCH_FAILED"), allocate_thrice,
               MACHINE_EXIT, "cuMemAlloc_v2: device 0 was lost before");
    assert_run(SETTINGS("P2P_MACHINE_FAIL=command:2:CUDA_ERROR_LAUNCH_FAILED"), fill_twice,
               CUDA_ERROR_LAUNCH_FAILED & 127, "device 0 is lost: planted by P2P_MACHINE_FAIL");
    assert_run(SETTINGS("P2P_MACHINE_FAIL=command:3:CUDA_ERROR_LAUNCH_FAILED"), fill_twice, 0, "");
    assert_run(SETTINGS("P2P_MACHINE_FAIL=*:99:CUDA_ERROR_LAUNCH_FAILED"), fill_twice, 0, "");
    assert_run(SETTINGS("P2P_MACHINE_FAIL=cuInit"), allocate_thrice, MACHINE_EXIT,
               "P2P_MACHINE_FAIL=cuInit: not understood");
}

/* The second and the third allocation sleep for half a second each. */
static int allocate_slowly(void) {
    const double begin = test_clock();
    const int result = allocate_thrice();
    return test_clock() - begin >= 1 ? result : 1;
}

/* The commands of another stream run. */
static int fill_two_streams(void) {
    CUstream stream, other;
    CUdeviceptr memory;
    if (begin(&stream) || cuStreamCreate(&other, CU_STREAM_NON_BLOCKING) || cuMemAlloc(&memory, 200))
        return 1;
    for (int i = 0; i < 2; i++)
        if (cuMemsetD8Async(memory, 0, 100, stream)) return 1;
    if (cuMemsetD8Async(memory + 100, 0, 100, other) || cuStreamSynchronize(other)) return 1;
    fprintf(stderr, "%s\n", cuStreamQuery(stream) == CUDA_ERROR_NOT_READY ? "hangs" : "has ended");
    _exit(0);
}

static void test_hanging_streams(void **state) {
    (void)state;
    assert_run(SETTINGS("P2P_MACHINE_FAIL=command:1:hang"), fill_two_streams, 0, "hangs");
    assert_run(SETTINGS("P2P_MACHINE_FAIL=command:2:hang"), fill_two_streams, 0, "has ended");
}

static void test_slow_calls(void **state) {
    (void)state;
    assert_run(SETTINGS("P2P_MACHINE_SLOW=cuMemAlloc_v2:2+:0.5"), allocate_slowly, 0,
               "allocation 2: CUDA_SUCCESS");
    assert_run(SETTINGS("P2P_MACHINE_SLOW=cuMemAlloc_v2:1:long"), allocate_thrice, MACHINE_EXIT,
               "P2P_MACHINE_SLOW=long: not understood");
}

static int forget_all(void) {
    CUstream stream;
    CUdeviceptr memory;
    void *pinned;
    if (begin(&stream) || cuMemAlloc(&memory, 100) || cuMemHostAlloc(&pinned, 10, 0)) return 1;
    return 0;
}

static int ignore_refusal(void) {
    CUdeviceptr memory;
    cuInit(0);
    cuMemAlloc(&memory, 100);
    return 0;
}

static int before_init(void) {
    int count;
    cuDeviceGetCount(&count);
    return 0;
}

static int release_with_memory(void) {
    CUstream stream;
    CUdeviceptr memory;
    if (begin(&stream) || cuMemAlloc(&memory, 100)) return 1;
    cuDevicePrimaryCtxRelease(0);
    return 0;
}

static void test_verdict(void **state) {
    (void)state;
    assert_run(
        SETTINGS("P2P_MACHINE_SEED=0"), forget_all, MACHINE_EXIT,
        "device 0 has its context, retained 1 times, 1 allocations (100 bytes), 1 streams and 0 modules");
    assert_run(SETTINGS("P2P_MACHINE_SEED=0"), forget_all, MACHINE_EXIT,
               "1 pinned allocations (10 bytes) are alive");
    assert_run(SETTINGS("P2P_MACHINE_SEED=0"), ignore_refusal, MACHINE_EXIT,
               "cuMemAlloc_v2: no context is current on this thread");
    assert_run(SETTINGS("P2P_MACHINE_SEED=0"), before_init, MACHINE_EXIT,
               "cuDeviceGetCount: cuInit was not called");
    assert_run(
        SETTINGS("P2P_MACHINE_SEED=0"), release_with_memory, MACHINE_EXIT,
        "the context of device 0 ends with 1 allocations (100 bytes), 1 streams, 0 events and 0 modules");
}

/* ---- Orders, uninitialised memory, counters ------------------------------------------------------------ */

static void note(void *data) {
    fprintf(stderr, "%c", *(char *)data);
}

/* Two streams of three commands: any merge of abc and xyz is permitted. */
static int run_six(void) {
    CUstream one, two;
    if (begin(&one) || cuStreamCreate(&two, CU_STREAM_NON_BLOCKING)) return 1;
    for (int i = 0; i < 3; i++) {
        if (machine_enqueue(one, "one", NULL, 0, note, &"abc"[i], 1)) return 1;
        if (machine_enqueue(two, "two", NULL, 0, note, &"xyz"[i], 1)) return 1;
    }
    cuStreamSynchronize(one);
    cuStreamSynchronize(two);
    cuStreamDestroy(one);
    cuStreamDestroy(two);
    cuDevicePrimaryCtxRelease(0);
    return 0;
}

static bool is_merge(const char *text) {
    int a = 0, x = 0;
    for (; *text; text++) {
        if (a < 3 && *text == "abc"[a])
            a++;
        else if (x < 3 && *text == "xyz"[x])
            x++;
        else
            return false;
    }
    return a == 3 && x == 3;
}

static void test_orders(void **state) {
    (void)state;
    char text[8][100], again[100];
    int different = 0;
    for (int seed = 0; seed < 8; seed++) {
        char setting[40];
        snprintf(setting, sizeof setting, "P2P_MACHINE_SEED=%d", seed);
        assert_int_equal(run_with(SETTINGS(setting), run_six, text[seed], sizeof text[seed]), 0);
        assert_int_equal(run_with(SETTINGS(setting), run_six, again, sizeof again), 0);
        assert_string_equal(text[seed], again);
        assert_true(is_merge(text[seed]));
        different += strcmp(text[seed], text[0]) != 0;
    }
    assert_string_equal(text[0], "axbycz");
    assert_in_range(different, 3, 7);
}

static int read_unwritten(void) {
    CUstream stream;
    CUmodule module;
    CUfunction function;
    CUdeviceptr memory;
    if (begin(&stream) || cuMemAlloc(&memory, 256)) return 1;
    if (cuModuleLoadData(
            &module, ".version 8.0\n.target sm_70\n.address_size 64\n.visible .entry k(.param .u64 p)\n{\n"
                     ".reg .b32 %r<4>;\n.reg .b64 %x<4>;\nmov.u32 %r0, %tid.x;\nld.param.u64 %x0, [p];\n"
                     "mul.wide.u32 %x1, %r0, 4;\nadd.s64 %x0, %x0, %x1;\nld.global.u32 %r1, [%x0];\n"
                     "st.global.u32 [%x0+128], %r1;\nret;\n}\n"))
        return 1;
    if (cuModuleGetFunction(&function, module, "k")) return 1;
    void *params[] = {&memory};
    const bool whole = getenv("TEST_WHOLE") != NULL;
    if (cuMemsetD8Async(memory, 0, whole ? 128 : 124, stream)) return 1;
    if (cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, stream, params, NULL)) return 1;
    if (cuStreamSynchronize(stream) || cuModuleUnload(module) || cuMemFree(memory) || cuStreamDestroy(stream))
        return 1;
    return (int)cuDevicePrimaryCtxRelease(0);
}

static void test_uninitialized(void **state) {
    (void)state;
    assert_run(SETTINGS("P2P_MACHINE_SEED=0"), read_unwritten, 0, "");
    assert_run(SETTINGS("P2P_MACHINE_UNINITIALIZED=refuse"), read_unwritten, MACHINE_EXIT,
               "byte 124 of an allocation of 256 is read, and nothing has written it, in kernel k");
    assert_run(SETTINGS("P2P_MACHINE_UNINITIALIZED=refuse", "TEST_WHOLE=1"), read_unwritten, 0, "");
}

/* The second of two allocations of about one size; the first has been freed. */
static int allocate_again(void) {
    CUstream stream;
    CUdeviceptr memory[2];
    unsigned char *host;
    if (begin(&stream) || cuMemHostAlloc((void **)&host, 500, 0)) return 1;
    for (int i = 0; i < 2; i++) {
        if (cuMemAlloc(&memory[i], i ? 500 : 512)) return 1;
        if (cuMemcpyDtoHAsync(host, memory[i], 500, stream) || cuMemsetD8Async(memory[i], 0, 500, stream))
            return 1;
        if (cuStreamSynchronize(stream) || cuMemFree(memory[i])) return 1;
        if (host[0] != 0xff || host[499] != 0xff) return 1;
    }
    fprintf(stderr, memory[0] == memory[1] ? "the same address" : "two addresses");
    if (cuMemFreeHost(host) || cuStreamDestroy(stream)) return 1;
    return (int)cuDevicePrimaryCtxRelease(0);
}

static void test_addresses(void **state) {
    (void)state;
    assert_run(SETTINGS("P2P_MACHINE_SEED=0"), allocate_again, 0, "two addresses");
    assert_run(SETTINGS("P2P_MACHINE_ADDRESSES=reuse"), allocate_again, 0, "the same address");
}

static void test_counters_file(void **state) {
    (void)state;
    char path[] = "machine_counters_XXXXXX", setting[80], text[1000] = "";
    const int made = mkstemp(path);
    assert_true(made >= 0);
    close(made);
    snprintf(setting, sizeof setting, "P2P_MACHINE_COUNTERS=%s", path);
    assert_run(SETTINGS(setting), read_unwritten, 0, "");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    unlink(path);
    assert_string_equal(
        text, "calls cuCtxSetCurrent=1 cuLaunchKernel=1 cuMemAlloc_v2=1 cuMemFree_v2=1 cuMemsetD8Async=1 "
              "cuModuleGetFunction=1 cuModuleLoadData=1 cuModuleUnload=1 cuStreamCreate=1 "
              "cuStreamDestroy_v2=1 cuStreamSynchronize=1\ncommands run=2\ncontexts retained=1\n"
              "k block_sectors=8 distinct_read_bytes=128 distinct_sectors=8 distinct_written_bytes=128 "
              "global_bytes=256 "
              "global_requests=2 global_sectors=8 lane_instructions=224 launches=1 "
              "warp_instructions=7\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cards),           cmocka_unit_test(test_drivers),
        cmocka_unit_test(test_visible_devices), cmocka_unit_test(test_images),
        cmocka_unit_test(test_planted_faults),  cmocka_unit_test(test_slow_calls),
        cmocka_unit_test(test_hanging_streams), cmocka_unit_test(test_verdict),
        cmocka_unit_test(test_orders),          cmocka_unit_test(test_uninitialized),
        cmocka_unit_test(test_counters_file),   cmocka_unit_test(test_lost_at_a_call),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
