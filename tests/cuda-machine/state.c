/* The state of the machine as a whole: its lock, its settings from the environment, the calls and their
 * planted faults, violations of rules, and the verdict when the process ends. */
#define _GNU_SOURCE
#include "driver.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static _Thread_local const char *current_call = "";
static bool initialized;
static int refusals;
static char last_refusal[600];
driver_settings driver_setting;

/* ---- Settings ------------------------------------------------------------------------------------------ */

static _Noreturn void bad_setting(const char *name, const char *value) {
    fprintf(stderr, "cuda machine: %s=%s: not understood\n", name, value);
    _exit(MACHINE_EXIT);
}

static uint64_t read_number(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    if (!text || !*text) return otherwise;
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    static const char units[] = "KMGT";
    if (*end && strchr(units, *end)) value <<= 10 * (strchr(units, *end++) - units + 1);
    if (*end) bad_setting(name, text);
    return value;
}

/* "13.0", "12.4" or the branch of the driver: "R535", "580". */
static int read_version(void) {
    static const struct {
        int branch, version;
    } branches[] = {{470, 11040}, {525, 12000}, {530, 12010}, {535, 12020}, {545, 12030}, {550, 12040},
                    {555, 12050}, {560, 12060}, {565, 12070}, {570, 12080}, {575, 12090}, {580, 13000}};
    const char *text = getenv("P2P_MACHINE_DRIVER");
    if (!text || !*text) return 13000;
    int major = 0, minor = 0;
    if (sscanf(text, "%d.%d", &major, &minor) == 2 && major < 100) return major * 1000 + minor * 10;
    const int branch = atoi(text + (*text == 'R'));
    for (size_t i = 0; i < sizeof branches / sizeof *branches; i++)
        if (branches[i].branch == branch) return branches[i].version;
    bad_setting("P2P_MACHINE_DRIVER", text);
}

static void begin(void) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    const char *uninitialized = getenv("P2P_MACHINE_UNINITIALIZED"),
               *addresses = getenv("P2P_MACHINE_ADDRESSES");
    driver_setting.version = read_version();
    driver_setting.seed = read_number("P2P_MACHINE_SEED", 0);
    driver_setting.memory = read_number("P2P_MACHINE_MEMORY", 0);
    driver_setting.held = read_number("P2P_MACHINE_HELD", 0);
    driver_setting.patience = (int)read_number("P2P_MACHINE_PATIENCE", 20);
    driver_setting.uninitialized = uninitialized && strcmp(uninitialized, "refuse") == 0;
    driver_setting.reuses = addresses && strcmp(addresses, "reuse") == 0;
    driver_setting.counters = getenv("P2P_MACHINE_COUNTERS");
    driver_setting.devices = driver_read_cards();
}

void driver_lock(void) {
    pthread_once(&once, begin);
    pthread_mutex_lock(&lock);
}

void driver_unlock(void) {
    pthread_mutex_unlock(&lock);
}

void driver_pause(void) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 1000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_cond_timedwait(&change, &lock, &until);
}

void driver_wake(void) {
    pthread_cond_broadcast(&change);
}

uint64_t machine_draw(void) {
    static uint64_t state;
    driver_lock();
    uint64_t value = 0;
    if (driver_setting.seed) { /* splitmix64 */
        value = driver_setting.seed * 0x9e3779b97f4a7c15u + (state += 0x9e3779b97f4a7c15u);
        value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
        value = (value ^ value >> 27) * 0x94d049bb133111ebu;
        value ^= value >> 31;
    }
    driver_unlock();
    return value;
}

/* ---- Violations ---------------------------------------------------------------------------------------- */

static void refuse(const char *text) {
    driver_lock();
    refusals++;
    snprintf(last_refusal, sizeof last_refusal, "%s", text);
    fprintf(stderr, "cuda machine: REFUSED: %s\n", last_refusal);
    const char *path = getenv("P2P_MACHINE_LOG");
    FILE *file = path && *path ? fopen(path, "a") : NULL;
    if (file) {
        fprintf(file, "%s\n", last_refusal);
        fclose(file);
    }
    driver_unlock();
}

void machine_refuse(const char *format, ...) {
    char text[600];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    refuse(text);
}

CUresult driver_refuse(CUresult error, const char *format, ...) {
    char text[600];
    int used = snprintf(text, sizeof text, "%s: ", current_call);
    va_list list;
    va_start(list, format);
    vsnprintf(text + used, sizeof text - (size_t)used, format, list);
    va_end(list);
    refuse(text);
    return error;
}

int machine_refusals(void) {
    return refusals;
}

const char *machine_last_refusal(void) {
    return last_refusal;
}

void machine_forgive(void) {
    driver_lock();
    refusals = 0;
    last_refusal[0] = 0;
    driver_unlock();
}

/* Objects left at the process's end are leaks, unless the device was lost: then the process may end at once.
 */
static void report_leaks(void) {
    for (int device = 0; device < driver_setting.devices; device++) {
        const CUcontext context = driver_context(device);
        if (!context->alive || context->error != CUDA_SUCCESS) continue;
        size_t bytes;
        const int allocations = driver_live_allocations(device, &bytes);
        machine_refuse(
            "the process ends: device %d has its context, retained %d times, %d allocations (%zu bytes), "
            "%d streams and %d modules",
            device, context->retained, allocations, bytes, driver_live_streams(device),
            driver_live_modules(device));
    }
    size_t bytes;
    const int pinned = driver_live_allocations(-1, &bytes);
    if (pinned)
        machine_refuse("the process ends: %d pinned allocations (%zu bytes) are alive", pinned, bytes);
}

/* The library stays loaded until the end (-z nodelete), so this runs after the program's own handlers. */
__attribute__((destructor)) static void end(void) {
    bool lost = false;
    for (int device = 0; initialized && device < driver_setting.devices; device++)
        lost |= driver_context(device)->error != CUDA_SUCCESS;
    if (initialized && !lost) report_leaks();
    if (initialized) driver_write_counters();
    if (refusals == 0) return;
    fflush(NULL);
    fprintf(stderr, "cuda machine: %d violations of rules; exit status %d\n", refusals, MACHINE_EXIT);
    _exit(MACHINE_EXIT);
}

/* ---- Planted faults ------------------------------------------------------------------------------------ */

/* In place of a call's name: a command that a device executes, and a call of any name that uses a device. */
#define COMMAND "command"
#define DEVICE  "device"
/* In place of a command's error: its stream runs no other one. */
#define HANG "hang"
enum { FAULTS = 16 };
typedef struct {
    char call[64], what[64]; /* an error, or seconds */
    long at, count;
    bool on; /* and every later one */
} fault;

/* Those of a variable. */
typedef struct {
    const char *variable;
    bool read;
    fault fault[FAULTS];
    int count;
} fault_list;

static void read_faults(fault_list *list) {
    const char *text = getenv(list->variable);
    list->read = true;
    while (text && *text) {
        fault *f = &list->fault[list->count];
        char number[24] = "";
        int used = 0;
        if (list->count == FAULTS ||
            sscanf(text, "%63[^:,]:%23[0-9+]:%63[^:,]%n", f->call, number, f->what, &used) != 3)
            bad_setting(list->variable, text);
        f->at = strtol(number, NULL, 10);
        f->on = strchr(number, '+') != NULL;
        list->count++;
        text += used;
        if (*text == ',') text++;
    }
}

static bool fault_is_of(const fault *f, const char *call, bool uses_device) {
    if (strcmp(f->call, call) == 0) return true;
    if (strcmp(call, COMMAND) == 0) return false;
    return strcmp(f->call, "*") == 0 || (uses_device && strcmp(f->call, DEVICE) == 0);
}

/* Counts a call; what is planted in it, or NULL. */
static const char *find_planted(fault_list *list, const char *call, bool uses_device) {
    const char *found = NULL;
    if (!list->read) read_faults(list);
    for (int i = 0; i < list->count; i++) {
        fault *f = &list->fault[i];
        if (!fault_is_of(f, call, uses_device)) continue;
        f->count++;
        if (f->count == f->at || (f->on && f->count > f->at)) found = f->what;
    }
    return found;
}

/* Of P2P_MACHINE_SLOW: the call takes so many seconds longer. */
static void delay(const char *call, bool uses_device) {
    static fault_list delays = {.variable = "P2P_MACHINE_SLOW"};
    const char *text = find_planted(&delays, call, uses_device);
    if (!text) return;
    char *end;
    const double seconds = strtod(text, &end);
    if (*end || !(seconds >= 0 && seconds <= 3600)) bad_setting(delays.variable, text);
    const time_t whole = (time_t)seconds;
    nanosleep(&(struct timespec){whole, (long)(1e9 * (seconds - (double)whole))}, NULL);
}

/* Counts a call; the error that is planted in it, or NULL. */
static const char *find_fault(const char *call, bool uses_device) {
    static fault_list faults = {.variable = "P2P_MACHINE_FAIL"};
    delay(call, uses_device);
    if (uses_device) machine_count("calls", call, 1);
    return find_planted(&faults, call, uses_device);
}

/* Errors after which a context is unusable, by CUDA's documentation. */
static bool is_sticky(CUresult error) {
    switch ((int)error) {
    case DRIVER_ERROR_CONTAINED:
    case DRIVER_ERROR_TENSOR_MEMORY_LEAK:
    case DRIVER_ERROR_MPS_CLIENT_TERMINATED:
    case CUDA_ERROR_MPS_RPC_FAILURE:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_LAUNCH_FAILED:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_EXTERNAL_DEVICE:
        return true;
    default:
        return false;
    }
}

static CUresult error_of(const char *name) {
    const CUresult error = driver_error_of_name(name);
    if (error == CUDA_SUCCESS) bad_setting("P2P_MACHINE_FAIL", name);
    return error;
}

static CUresult planted_error(const char *call, bool uses_device) {
    const char *name = find_fault(call, uses_device);
    return name ? error_of(name) : CUDA_SUCCESS;
}

static void lose(int device, CUresult error, const char *call) {
    char why[200];
    snprintf(why, sizeof why, "planted by P2P_MACHINE_FAIL in %s", call);
    machine_lose_device(device, error, why);
}

void driver_plant_command(CUstream stream) {
    machine_count("commands", "run", 1);
    const char *name = find_fault(COMMAND, false);
    if (name && strcmp(name, HANG) == 0) {
        stream->hangs = true;
        return;
    }
    const CUresult error = name ? error_of(name) : CUDA_SUCCESS;
    if (is_sticky(error)) lose(stream->device, error, COMMAND);
}

CUresult driver_plant(const char *call, bool uses_device) {
    const CUcontext context = driver_current();
    const CUresult error = planted_error(call, uses_device && context);
    if (is_sticky(error) && context) {
        lose(context->device, error, call);
        context->reported = true;
    }
    return error;
}

const char *machine_should_fail(const char *call, bool uses_device) {
    driver_lock();
    const CUcontext context = driver_current();
    const char *name = find_fault(call, uses_device && context);
    const CUresult error = name ? driver_error_of_name(name) : CUDA_SUCCESS;
    if (is_sticky(error) && context) lose(context->device, error, call);
    driver_unlock();
    return name;
}

/* ---- Calls --------------------------------------------------------------------------------------------- */

static CUresult check_context(driver_need need, int *device) {
    const CUcontext context = driver_current();
    if (!context) {
        machine_refuse("%s: no context is current on this thread", current_call);
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    if (device) *device = context->device;
    if (context->error == CUDA_SUCCESS) return CUDA_SUCCESS;
    if (need != DRIVER_ENDS && context->reported)
        machine_refuse("%s: device %d was lost before (%s)", current_call, context->device, context->why);
    context->reported = true;
    return context->error;
}

CUresult driver_enter(const char *call, driver_need need, int *device) {
    driver_lock();
    current_call = call;
    CUresult result = CUDA_SUCCESS;
    if (need != DRIVER_ALWAYS && !initialized) {
        machine_refuse("%s: cuInit was not called", call);
        result = CUDA_ERROR_NOT_INITIALIZED;
    }
    if (result == CUDA_SUCCESS && need >= DRIVER_WORKS) result = check_context(need, device);
    if (result == CUDA_SUCCESS && need != DRIVER_GIVES && need != DRIVER_SELECTS)
        result = driver_plant(call, need >= DRIVER_WORKS);
    if (result != CUDA_SUCCESS) driver_unlock();
    return result;
}

CUresult driver_leave(CUresult result) {
    driver_unlock();
    return result;
}

const char *driver_call(void) {
    return current_call;
}

/* NVIDIA's driver opens its cache of compiled kernels when it is initialised. */
static void open_cache(void) {
    char path[4096];
    const char *folder = getenv("CUDA_CACHE_PATH"), *off = getenv("CUDA_CACHE_DISABLE");
    if (!folder || (off && strcmp(off, "1") == 0)) return;
    snprintf(path, sizeof path, "%s/index", folder);
    FILE *index = fopen(path, "we");
    if (index) fclose(index);
}

CUresult CUDAAPI cuInit(unsigned flags) {
    CUresult result = driver_enter("cuInit", DRIVER_ALWAYS, NULL);
    if (result != CUDA_SUCCESS) return result;
    if (flags) return driver_leave(driver_refuse(CUDA_ERROR_INVALID_VALUE, "flags %u", flags));
    if (driver_setting.devices == 0) return driver_leave(CUDA_ERROR_NO_DEVICE);
    if (!initialized) open_cache();
    initialized = true;
    return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuDriverGetVersion(int *version) {
    CUresult result = driver_enter("cuDriverGetVersion", DRIVER_ALWAYS, NULL);
    if (result != CUDA_SUCCESS) return result;
    *version = driver_setting.version;
    return driver_leave(CUDA_SUCCESS);
}
