/* Opening NVIDIA's libraries, and their functions. See cuda_library.h. */
#include "cuda_library.h"

#include "cuda_cache.h"
#include "cuda_find.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Tables ---------------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    size_t offset; /* of the pointer in its table */
} symbol;

/* A function's name is that to which the header's macro expands. */
#define TEXT_OF(name) #name
#define TEXT(name)    TEXT_OF(name)
#define DRIVER(name)  {TEXT(name), offsetof(cuda_driver_table, name)},
#define DNN(name)     {TEXT(name), offsetof(cuda_dnn_table, name)},
#define BLAS(name)    {TEXT(name), offsetof(cuda_blas_table, name)},
#define NCCL(name)    {TEXT(name), offsetof(cuda_nccl_table, name)},
static const symbol driver_symbols[] = {CUDA_DRIVER_LIST(DRIVER){NULL, 0}};
static const symbol dnn_symbols[] = {CUDA_DNN_LIST(DNN){NULL, 0}};
static const symbol blas_symbols[] = {CUDA_BLAS_LIST(BLAS){NULL, 0}};
static const symbol nccl_symbols[] = {CUDA_NCCL_LIST(NCCL){NULL, 0}};

/* Sets every pointer of the table. Returns the name of the first function that the library lacks, or NULL. */
static const char *fill(const cuda_file *file, const symbol *symbols, void *table) {
    const char *missing = NULL;
    for (const symbol *at = symbols; at->name; at++) {
        void *function = dlsym(file->handle, at->name);
        if (!function && !missing) missing = at->name;
        memcpy((char *)table + at->offset, &function, sizeof function);
    }
    return missing;
}

/* Stores the address of a function in the pointer at `pointer`; NULL if there is no such library or function.
 */
static void find_function(void *handle, const char *name, void *pointer) {
    void *found = handle ? dlsym(handle, name) : NULL;
    memcpy(pointer, &found, sizeof found);
}

static bool has_all(void *handle, const symbol *symbols) {
    for (const symbol *at = symbols; at->name; at++)
        if (!dlsym(handle, at->name)) return false;
    return true;
}

/* ---- The libraries --------------------------------------------------------------------------------- */

typedef struct {
    const char *label;
    cuda_file file;
    int number;       /* the version as the library numbers it */
    char version[64]; /* in words */
    bool good;        /* complete and new enough: the table can be used */
    bool tried;       /* looked for */
} library;

static library driver = {.label = "NVIDIA driver"}, dnn = {.label = "cuDNN"}, blas = {.label = "cuBLAS"},
               blas_lt = {.label = "cuBLASLt"}, nvrtc = {.label = "NVRTC"}, nccl = {.label = "NCCL"};

int cuda_dnn_version(void) {
    return dnn.good ? dnn.number : 0;
}

/* Opens the library unless it is open already; false if it can't be opened. */
static bool is_open(library *one, const char *name, cuda_fits *fits) {
    one->tried = true;
    return one->file.handle || cuda_find(name, fits, &one->file);
}

/* Fills the obstacle for a library that is absent, or whose file can't be opened. */
static p2p_status fail_missing(const library *missing, p2p_obstacle_kind kind, const char *what,
                               p2p_obstacle *obstacle) {
    obstacle->kind = kind;
    snprintf(obstacle->what, sizeof obstacle->what, "%s", what);
    cuda_find_places(obstacle->looked, sizeof obstacle->looked);
    if (kind == P2P_OBSTACLE_NO_DRIVER) return cuda_host->fail(P2P_NO_DEVICE, "%s", missing->file.why);
    return cuda_host->fail(P2P_NO_DEVICE, "%s%sP2P_CUDA_LIBRARY_PATH=FOLDER:FOLDER names other folders",
                           missing->file.why, missing->file.why[0] ? "; " : "");
}

/* The same for a library that was opened and is incomplete or too old. `found` describes it. */
static p2p_status fail_unfit(const library *unfit, const char *needed, p2p_obstacle *obstacle,
                             const char *found) {
    obstacle->kind = P2P_OBSTACLE_NO_LIBRARY;
    snprintf(obstacle->what, sizeof obstacle->what, "%s", needed);
    cuda_host->fail(P2P_NO_DEVICE, "%s %s", unfit->file.path, found);
    return cuda_host->hint(P2P_NO_DEVICE,
                           "P2P_CUDA_LIBRARY_PATH=FOLDER:FOLDER names folders to look in first");
}

/* ---- The driver ------------------------------------------------------------------------------------ */

/* The driver's release, for example "580.65.06", from the kernel module's own description; "" if unknown. */
static void read_release(char *text, size_t size) {
    char line[512] = "";
    text[0] = '\0';
    FILE *file = fopen("/proc/driver/nvidia/version", "r");
    if (!file) return;
    if (!fgets(line, sizeof line, file)) line[0] = '\0';
    fclose(file);
    char *rest = NULL;
    for (char *word = strtok_r(line, " \t\n", &rest); word; word = strtok_r(NULL, " \t\n", &rest))
        if (isdigit((unsigned char)word[0]) && strchr(word, '.') &&
            strspn(word, "0123456789.") == strlen(word)) {
            snprintf(text, size, "%s", word);
            return;
        }
}

/* The first driver release of a generation of CUDA. */
static const char *release_of(int cuda) {
    return cuda / 1000 == 12 ? "R525, " : cuda / 1000 == 13 ? "R580, " : "";
}

static void print_cuda(int number, char *text, size_t size) {
    snprintf(text, size, "CUDA %d.%d", number / 1000, number % 1000 / 10);
}

static p2p_status fail_old_driver(p2p_obstacle *obstacle, int needed, const char *reason) {
    char cuda[32];
    print_cuda(needed, cuda, sizeof cuda);
    obstacle->kind = P2P_OBSTACLE_OLD_DRIVER;
    snprintf(obstacle->what, sizeof obstacle->what, "NVIDIA driver");
    snprintf(obstacle->found, sizeof obstacle->found, "%s", driver.version);
    snprintf(obstacle->needed, sizeof obstacle->needed, "%s%s", release_of(needed), cuda);
    return cuda_host->fail(P2P_NO_DEVICE, "%s", reason);
}

/* The toolkit has a library with the driver's name, for linking. */
static p2p_status fail_stub(p2p_obstacle *obstacle) {
    obstacle->kind = P2P_OBSTACLE_NO_DRIVER;
    snprintf(obstacle->what, sizeof obstacle->what, "NVIDIA driver");
    return cuda_host->fail(P2P_NO_DEVICE, "%s is the toolkit's file for linking", driver.file.path);
}

static p2p_status open_driver(p2p_obstacle *obstacle) {
    char cuda[32], release[64];
    if (!is_open(&driver, "libcuda.so.1", NULL))
        return fail_missing(&driver, P2P_OBSTACLE_NO_DRIVER, "NVIDIA driver (libcuda.so.1)", obstacle);
    const char *missing = fill(&driver.file, driver_symbols, &cuda_driver);
    if (cuda_driver.cuDriverGetVersion &&
        cuda_driver.cuDriverGetVersion(&driver.number) == CUDA_ERROR_STUB_LIBRARY)
        return fail_stub(obstacle);
    print_cuda(driver.number, cuda, sizeof cuda);
    read_release(release, sizeof release);
    snprintf(driver.version, sizeof driver.version, "%s%s%s", release, release[0] ? ", " : "", cuda);
    if (driver.number < CUDA_DRIVER_NEEDED) return fail_old_driver(obstacle, CUDA_DRIVER_NEEDED, "");
    if (missing) return cuda_host->fail(P2P_FAILED, "%s lacks the function %s", driver.file.path, missing);
    driver.good = true;
    return P2P_OK;
}

/* What users can do about a code of cuInit; NULL: nothing is known. */
static const char *advice(CUresult code) {
    switch (code) {
    case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
        return "the driver was updated while its old kernel module is loaded: restart the machine";
    case CUDA_ERROR_UNKNOWN:
        return "the kernel module may be missing or damaged: `nvidia-smi` says more, and `sudo "
               "nvidia-modprobe -u` "
               "or a restart often helps";
    case CUDA_ERROR_OPERATING_SYSTEM:
    case CUDA_ERROR_NOT_PERMITTED:
        return "the files /dev/nvidia* must be there and accessible; a container needs `--gpus all`";
    case CUDA_ERROR_SYSTEM_NOT_READY:
        return "on machines with NVSwitch, NVIDIA's Fabric Manager must run, in the version of the driver: "
               "`systemctl status nvidia-fabricmanager`";
    case CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE:
        return "NVIDIA's compatibility package (cuda-compat) is for data center GPUs only: remove it";
    default:
        return cuda_error_of_mps(code);
    }
}

static p2p_status fail_init(CUresult code, p2p_obstacle *obstacle) {
    if (code == CUDA_ERROR_NO_DEVICE) {
        const char *visible = getenv("CUDA_VISIBLE_DEVICES");
        obstacle->kind = P2P_OBSTACLE_NO_DEVICE;
        if (visible)
            return cuda_host->fail(
                P2P_NO_DEVICE,
                "the driver lists no device; CUDA_VISIBLE_DEVICES is '%s', which hides all others", visible);
        cuda_host->fail(P2P_NO_DEVICE, "the driver lists no device");
        return cuda_host->hint(
            P2P_NO_DEVICE,
            "in a container, `--gpus all` makes devices visible; a card that MIG divides has "
            "none before an instance is made: `nvidia-smi -L` lists them, and `nvidia-smi -mig "
            "0`, as root, ends MIG");
    }
    const p2p_status status = cuda_host->fail(P2P_FAILED, "cuInit failed with %s (%d): %s",
                                              cuda_error_name(code), (int)code, cuda_error_text(code));
    return advice(code) ? cuda_host->hint(status, "%s", advice(code)) : status;
}

p2p_status cuda_driver_load(p2p_obstacle *obstacle) {
    if (!driver.good) {
        P2P_TRY(open_driver(obstacle));
        cuda_cache_check();
    }
    const CUresult code = cuda_driver.cuInit(0);
    return code == CUDA_SUCCESS ? P2P_OK : fail_init(code, obstacle);
}

/* ---- cuDNN and cuBLAS ------------------------------------------------------------------------------ */

static const char dnn_needed[] = "cuDNN 9.8 or newer (libcudnn.so.9)";

/* Opens a library that another library will open by its name, because the other one may search other folders.
 * A failure is ignored: if the library is needed, the other one reports that it is missing. */
static void open_early(library *one, const char *stem, int cuda_major) {
    char name[64];
    snprintf(name, sizeof name, "%s.so.%d", stem, cuda_major);
    one->good = is_open(one, name, NULL);
}

static void open_blas_lt(int cuda_major) {
    size_t (*get)(void); /* as cublasLt.h declares it */
    open_early(&blas_lt, "libcublasLt", cuda_major);
    find_function(blas_lt.file.handle, "cublasLtGetVersion", &get);
    if (!get) return;
    const int number = (int)get();
    snprintf(blas_lt.version, sizeof blas_lt.version, "%d.%d.%d", number / 10000, number % 10000 / 100,
             number % 100);
}

/* cuDNN compiles kernels with it. */
static void open_nvrtc(int cuda_major) {
    int (*get)(int *major, int *minor); /* as nvrtc.h declares it */
    int major, minor;
    open_early(&nvrtc, "libnvrtc", cuda_major);
    find_function(nvrtc.file.handle, "nvrtcVersion", &get);
    if (get && get(&major, &minor) == 0) snprintf(nvrtc.version, sizeof nvrtc.version, "%d.%d", major, minor);
}

/* The toolkit that cuDNN was built for must not be newer than the driver. */
static bool fits_driver(int cuda) {
    return cuda / 1000 <= driver.number / 1000;
}

static p2p_status check_dnn_driver(p2p_obstacle *obstacle) {
    const int cuda = (int)cuda_dnn.cudnnGetCudartVersion();
    char reason[CUDA_PATH_BYTES + 128];
    if (fits_driver(cuda)) return P2P_OK;
    snprintf(reason, sizeof reason,
             "%s is cuDNN for CUDA %d; P2P_CUDA_LIBRARY_PATH can name the folder of one for CUDA %d",
             dnn.file.path, cuda / 1000, driver.number / 1000);
    return fail_old_driver(obstacle, cuda / 1000 * 1000, reason);
}

/* cuda_fits. */
static bool dnn_fits(void *tried) {
    size_t (*version)(void), (*cuda)(void); /* as cudnn.h declares them */
    find_function(tried, "cudnnGetVersion", &version);
    find_function(tried, "cudnnGetCudartVersion", &cuda);
    return has_all(tried, dnn_symbols) && version() >= CUDA_DNN_NEEDED && fits_driver((int)cuda());
}

static p2p_status open_dnn(p2p_obstacle *obstacle) {
    char found[256];
    if (!is_open(&dnn, "libcudnn.so.9", dnn_fits))
        return fail_missing(&dnn, P2P_OBSTACLE_NO_LIBRARY, dnn_needed, obstacle);
    const char *missing = fill(&dnn.file, dnn_symbols, &cuda_dnn);
    if (cuda_dnn.cudnnGetVersion) dnn.number = (int)cuda_dnn.cudnnGetVersion();
    snprintf(dnn.version, sizeof dnn.version, "%d.%d.%d", dnn.number / 10000, dnn.number % 10000 / 100,
             dnn.number % 100);
    snprintf(found, sizeof found, "is cuDNN %s", dnn.version);
    if (dnn.number < CUDA_DNN_NEEDED) return fail_unfit(&dnn, dnn_needed, obstacle, found);
    if (cuda_dnn.cudnnGetCudartVersion) P2P_TRY(check_dnn_driver(obstacle));
    if (missing) {
        snprintf(found, sizeof found, "is cuDNN %s without the function %s", dnn.version, missing);
        return fail_unfit(&dnn, dnn_needed, obstacle, found);
    }
    dnn.good = true;
    return P2P_OK;
}

static void read_blas_version(void) {
    int part[3] = {0};
    for (int i = 0; i < 3; i++)
        if (!cuda_blas.cublasGetProperty ||
            cuda_blas.cublasGetProperty((libraryPropertyType)i, &part[i]) != CUBLAS_STATUS_SUCCESS)
            part[i] = 0;
    blas.number = part[0];
    snprintf(blas.version, sizeof blas.version, "%d.%d.%d", part[0], part[1], part[2]);
}

/* cuBLAS of the major version of CUDA that cuDNN was built for: both use cuBLASLt. */
static p2p_status open_blas(p2p_obstacle *obstacle) {
    const int cuda = (int)cuda_dnn.cudnnGetCudartVersion() / 1000;
    char name[32], needed[160], found[256];
    snprintf(name, sizeof name, "libcublas.so.%d", cuda);
    snprintf(needed, sizeof needed, "cuBLAS %d (%s), as cuDNN %s needs it,", cuda, name, dnn.version);
    open_blas_lt(cuda);
    if (!is_open(&blas, name, NULL)) return fail_missing(&blas, P2P_OBSTACLE_NO_LIBRARY, needed, obstacle);
    const char *missing = fill(&blas.file, blas_symbols, &cuda_blas);
    read_blas_version();
    if (missing || blas.number != cuda) {
        snprintf(found, sizeof found, "is cuBLAS %s%s%s", blas.version,
                 missing ? " without the function " : "", missing ? missing : "");
        return fail_unfit(&blas, needed, obstacle, found);
    }
    blas.good = true;
    return P2P_OK;
}

p2p_status cuda_libraries_load(p2p_obstacle *obstacle) {
    if (!dnn.good) P2P_TRY(open_dnn(obstacle));
    if (!blas.good) P2P_TRY(open_blas(obstacle));
    if (!nvrtc.tried) open_nvrtc((int)cuda_dnn.cudnnGetCudartVersion() / 1000);
    return P2P_OK;
}

/* ---- NCCL ------------------------------------------------------------------------------------------ */

/* cuda_fits. */
static bool nccl_fits(void *tried) {
    ncclResult_t (*version)(int *number); /* as nccl.h declares it */
    int number = 0;
    find_function(tried, "ncclGetVersion", &version);
    return has_all(tried, nccl_symbols) && version(&number) == ncclSuccess && number >= CUDA_NCCL_NEEDED;
}

p2p_status cuda_nccl_load(void) {
    char places[1024];
    if (nccl.good) return P2P_OK;
    if (!is_open(&nccl, "libnccl.so.2", nccl_fits)) {
        cuda_find_places(places, sizeof places);
        return cuda_host->fail(P2P_UNSUPPORTED, "NCCL (libnccl.so.2) is not installed, looked in %s%s%s",
                               places, nccl.file.why[0] ? ": " : "", nccl.file.why);
    }
    const char *missing = fill(&nccl.file, nccl_symbols, &cuda_nccl);
    if (!cuda_nccl.ncclGetVersion || cuda_nccl.ncclGetVersion(&nccl.number) != ncclSuccess) nccl.number = 0;
    snprintf(nccl.version, sizeof nccl.version, "%d.%d.%d", nccl.number / 10000, nccl.number % 10000 / 100,
             nccl.number % 100);
    if (nccl.number < CUDA_NCCL_NEEDED)
        return cuda_host->fail(P2P_UNSUPPORTED, "%s is NCCL %s, 2.19 or newer is needed", nccl.file.path,
                               nccl.version);
    if (missing)
        return cuda_host->fail(P2P_UNSUPPORTED, "%s is NCCL %s without the function %s", nccl.file.path,
                               nccl.version, missing);
    nccl.good = true;
    return P2P_OK;
}

/* ---- What is loaded -------------------------------------------------------------------------------- */

void cuda_library_versions(char *text, size_t size) {
    char cuda[32];
    print_cuda(driver.number, cuda, sizeof cuda);
    snprintf(text, size, "%s%s%s%s%s", cuda, dnn.good ? ", cuDNN " : "", dnn.good ? dnn.version : "",
             blas.good ? ", cuBLAS " : "", blas.good ? blas.version : "");
}

/* Prints nothing for a library that was not looked for. */
static void log_library(const library *one) {
    if (!one->tried) return;
    if (one->file.handle)
        cuda_host->log("cuda: %s %s: %s%s", one->label, one->version, one->file.path,
                       one->good ? "" : ": can't be used");
    else if (one->file.why[0])
        cuda_host->log("cuda: %s: can't be opened: %s", one->label, one->file.why);
    else
        cuda_host->log("cuda: %s: not found", one->label);
}

void cuda_library_log(void) {
    log_library(&driver);
    log_library(&dnn);
    log_library(&blas);
    log_library(&blas_lt);
    log_library(&nvrtc);
    log_library(&nccl);
}
