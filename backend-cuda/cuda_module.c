/* The module: the entry point of the CUDA backend, and its table of functions. */
#include "cuda_operation.h"
#include "cuda_variables.h"

#include "comm/cuda_comm.h"
#include "device/cuda_list.h"
#include "device/cuda_memory.h"
#include "device/cuda_op.h"
#include "device/cuda_peak.h"
#include "device/cuda_ticket.h"
#include "device/cuda_time.h"
#include "device/cuda_transfer.h"
#include "tune/cuda_choose.h"

#include "p2p_module.h"

static p2p_status device_count(int *count, p2p_obstacle *obstacle) {
    cuda_list list;
    const p2p_status status = cuda_devices_find(&list, obstacle);
    if (status == P2P_OK && cuda_host->logging()) (void)cuda_nccl_load(); /* else a communicator does */
    cuda_library_log();
    if (status == P2P_OK) *count = list.count;
    return status;
}

static p2p_status device_info(int index, p2p_device_info *info) {
    CUdevice device;
    P2P_TRY(cuda_device_find(index, &device));
    cuda_device_describe(device, info);
    return P2P_OK;
}

static const p2p_device_table table = {
    .close = cuda_device_close,
    .buffer_create = cuda_buffer_create,
    .buffer_destroy = cuda_buffer_destroy,
    .buffer_write = cuda_buffer_write,
    .buffer_read = cuda_buffer_read,
    .buffer_copy = cuda_buffer_copy,
    .memory_left = cuda_memory_left,
    .host_alloc = cuda_host_alloc,
    .host_free = cuda_host_free,
    .op_query = cuda_op_query,
    .op_create = cuda_op_create,
    .op_run = cuda_op_run,
    .op_destroy = cuda_op_destroy,
    .op_choose = cuda_op_choose,
    .op_impose = cuda_op_impose,
    .op_list = cuda_op_list,
    .submit = cuda_submit,
    .wait = cuda_wait,
    .order = cuda_order,
    .time_begin = cuda_time_begin,
    .time_end = cuda_time_end,
    .peak_create = cuda_peak_create,
};

static const p2p_comm_table comm_table = {
    .close = cuda_comm_close,
    .query = cuda_comm_query,
    .all_reduce = cuda_comm_all_reduce,
    .broadcast = cuda_comm_broadcast,
    .waited = cuda_comm_waited,
};

static const p2p_module *enter(uint32_t abi, const p2p_host *host) {
    static p2p_module module;
    if (abi != P2P_BACKEND_ABI) return NULL;
    cuda_host = host;
    module = (p2p_module){.abi = P2P_BACKEND_ABI,
                          .name = "cuda",
                          .description = "NVIDIA GPUs, through cuDNN, cuBLAS and NCCL",
                          .variables = cuda_variables,
                          .variable_count = cuda_variable_count,
                          .limits = cuda_limits,
                          .limit_count = cuda_limit_count,
                          .device_count = device_count,
                          .device_info = device_info,
                          .device_open = cuda_device_open,
                          .comm_open = cuda_comm_open,
                          .device = table,
                          .comm = comm_table};
    return &module;
}

P2P_MODULE_EXPORT(enter);
