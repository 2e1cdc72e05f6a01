/* The module: the entry point of the OpenCL backend, and its table of functions. */
#include "ocl_operation.h"
#include "ocl_variables.h"

#include "comm/ocl_comm.h"
#include "device/ocl_buffer.h"
#include "device/ocl_find.h"
#include "device/ocl_op.h"
#include "device/ocl_peak.h"
#include "device/ocl_queue.h"
#include "tune/ocl_tuning.h"

static p2p_status device_count(int *count, p2p_obstacle *obstacle) {
    ocl_found found[OCL_MOST_DEVICES];
    return ocl_devices_find(found, count, obstacle);
}

static p2p_status device_info(int index, p2p_device_info *info) {
    const ocl_environment environment = ocl_environment_read();
    ocl_found found;
    P2P_TRY(ocl_device_find(index, &found));
    ocl_device_describe(&found, &environment, info);
    return P2P_OK;
}

static void device_close(p2p_be_device *device) {
    ocl_tuning_close(device);
    ocl_device_close(device);
}

static p2p_status device_open(int index, p2p_be_device **device) {
    P2P_TRY(ocl_device_open(index, device));
    const p2p_status status = ocl_tuning_open(*device);
    if (status == P2P_OK) return P2P_OK;
    device_close(*device);
    *device = NULL;
    return status;
}

static const p2p_device_table table = {
    .close = device_close,
    .buffer_create = ocl_buffer_create,
    .buffer_destroy = ocl_buffer_destroy,
    .buffer_write = ocl_buffer_write,
    .buffer_read = ocl_buffer_read,
    .buffer_copy = ocl_buffer_copy,
    .op_query = ocl_op_query,
    .op_create = ocl_op_create,
    .op_run = ocl_op_run,
    .op_destroy = ocl_op_destroy,
    .op_choose = ocl_op_choose,
    .op_impose = ocl_op_impose,
    .op_list = ocl_op_list,
    .submit = ocl_queue_submit,
    .wait = ocl_queue_wait,
    .order = ocl_queue_order,
    .peak_create = ocl_peak_create,
};

const p2p_module *p2p_module_opencl(uint32_t abi, const p2p_host *host) {
    static p2p_module module;
    if (abi != P2P_BACKEND_ABI) return NULL;
    ocl_host = host;
    module = (p2p_module){.abi = P2P_BACKEND_ABI,
                          .name = "opencl",
                          .description = "any OpenCL 1.2 device: GPUs, and CPUs through PoCL",
                          .variables = ocl_variables,
                          .variable_count = ocl_variable_count,
                          .limits = ocl_limits,
                          .limit_count = ocl_limit_count,
                          .device_count = device_count,
                          .device_info = device_info,
                          .device_open = device_open,
                          .comm_open = ocl_comm_open,
                          .device = table,
                          .comm = {.close = ocl_comm_close,
                                   .query = ocl_comm_query,
                                   .all_reduce = ocl_comm_all_reduce,
                                   .broadcast = ocl_comm_broadcast,
                                   .waited = ocl_comm_waited,
                                   .repeats_devices = true}};
    return &module;
}
