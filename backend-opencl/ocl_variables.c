/* The environment variables and limits of this backend, for the table of its module. ocl_environment.c reads
 * them. */
#include "ocl_variables.h"

#include "device/ocl_environment.h"

const p2p_variable ocl_variables[] = {
    {"POCL_CACHE_DIR", "a folder", "`pocl` in p2p's cache",
     "PoCL's folder of compiled kernels. Its files are verified only in the default folder. A folder that "
     "any user can write to is ignored with a warning. If p2p's cache is off or can't be used, it is "
     "PoCL's own folder, or else a temporary one.",
     false},
    {"P2P_OPENCL_TIMEOUT", "seconds, 0 or more", "120",
     "A device other than a CPU is lost if its work takes longer; 0 waits without limit. "
     "The option `--device-timeout` overrides it.",
     false},
    {"P2P_OPENCL_CONV", "`auto`, `direct`, `winograd`, `gpu`, `gpu_winograd`, `gemm`", "`auto`",
     "One family computes every convolution; what it does not support is refused.", true},
    {"P2P_OPENCL_VARIANT", "a variant's name, or `#` and its number", "by heuristic",
     "The family of `P2P_OPENCL_CONV` uses this variant for every shape that has it.", true},
    {"P2P_OPENCL_WINOGRAD", "`auto`, `off`, `always`", "`auto`",
     "`off` excludes Winograd's algorithm from every choice; `always` uses it for every suitable shape.",
     true},
    {"P2P_OPENCL_TREAT_AS", "`gpu`", "the device's type",
     "A CPU device chooses and runs kernels as a GPU does.", true},
    {"P2P_OPENCL_VECTOR_WIDTH", "1, 2, 4, 8, 16", "the driver's",
     "Tiles of CPU devices are chosen for vectors of this many floats.", true},
    {"P2P_OPENCL_BF16", "`auto`, `portable`, `off`", "`auto`",
     "`portable`: CPU devices compute in bf16 without assembly; `off`: no device supports bf16.", true},
    {"P2P_OPENCL_CACHE", "`auto`, `on`, `off`", "`auto`",
     "Whether compiled programs are stored; `auto`: if the driver does not store them itself.", true},
    {"P2P_OPENCL_FAIL", "names separated by commas", "none",
     "The self-tests of these families and tiles of convolutions fail.", true},
    {"P2P_OPENCL_LAUNCH_MS", "milliseconds, more than 0", "100",
     "On a device other than a CPU, a launch estimated to take longer is enqueued in pieces.", true},
};
const int ocl_variable_count = sizeof ocl_variables / sizeof ocl_variables[0];

const p2p_limit ocl_limits[] = {{"timeout", 0, 1e9, ocl_environment_limit_timeout}};
const int ocl_limit_count = sizeof ocl_limits / sizeof ocl_limits[0];
