/* The environment variables and limits of this backend, for the table of its module.
 * device/cuda_environment.c and library/cuda_find.c read P2P_CUDA_*. */
#include "cuda_variables.h"

#include "device/cuda_environment.h"

const p2p_variable cuda_variables[] = {
    {"P2P_CUDA_LIBRARY_PATH", "absolute paths of folders, separated by colons", "none",
     "NVIDIA's libraries are looked for there first. Files that any user can replace are not used. "
     "Ignored in programs with raised privileges.",
     false},
    {"P2P_CUDA_TIMEOUT", "seconds, 0 or more", "120",
     "A device is lost if its work takes longer; 0 waits without limit. "
     "The option `--device-timeout` overrides it.",
     false},
    {"CONDA_PREFIX", "a folder", "none",
     "NVIDIA's libraries are looked for in this environment of conda, too.", false},
    {"VIRTUAL_ENV", "a folder", "none",
     "NVIDIA's libraries are looked for in this environment of Python, too.", false},
    {"CUDA_CACHE_PATH", "a folder", "`~/.nv/ComputeCache`",
     "NVIDIA's driver keeps compiled kernels there. One that any user can write to is not used.", false},
    {"CUDA_CACHE_DISABLE", "1", "none", "NVIDIA's driver keeps no compiled kernels.", false},
    {"CUDA_VISIBLE_DEVICES", "numbers or UUIDs, separated by commas", "all devices",
     "NVIDIA's driver lists these devices only, in this order.", false},
    {"CUDA_DEVICE_ORDER", "`PCI_BUS_ID`, `FASTEST_FIRST`", "by PCI address",
     "The order in which NVIDIA's driver lists devices.", false},
    {"NCCL_COMM_ID", "HOST:PORT", "none",
     "Where the replicas of several processes meet: a free port of the first process's machine.", false},
    {"NCCL_ALGO", "NCCL's names of algorithms", "`^NVLS,NVLSTree`; `Ring` with `--deterministic`",
     "The algorithms of collectives. Sums by NVLS differ in bits from run to run.", false},
    {"NCCL_NVLS_ENABLE", "0, 1, 2", "0, unless `NCCL_ALGO` is set", "0: NCCL takes no memory for NVLS.",
     false},
    {"P2P_CUDA_LIBRARY_ONLY", "1", "none", "NVIDIA's libraries are looked for in P2P_CUDA_LIBRARY_PATH only.",
     true},
};
const int cuda_variable_count = sizeof cuda_variables / sizeof cuda_variables[0];

const p2p_limit cuda_limits[] = {{"timeout", 0, 1e9, cuda_environment_limit_timeout},
                                 {"deterministic", 0, 1, cuda_environment_limit_deterministic}};
const int cuda_limit_count = sizeof cuda_limits / sizeof cuda_limits[0];
