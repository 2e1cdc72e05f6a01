/* A backend in any state: the variable P2P_TEST_MODULE names the state. If it has devices, one computes as
 * the reference does, and the opening of the other fails in shared code. */
#include "p2p_module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char variable_name[] = "P2P_TEST_MODULE";

static const p2p_variable variables[] = {
    {variable_name, "a state", "devices", "The state of the test backend.", true}};

static const p2p_host *host;
static const p2p_module *reference;

static const struct {
    const char *name;
    p2p_status status;
    p2p_obstacle obstacle;
    const char *details;
} states[] = {
    {"no_driver",
     P2P_NO_DEVICE,
     {P2P_OBSTACLE_NO_DRIVER, "TEST driver", "/usr/lib, /opt/test", "", ""},
     "code 35"},
    {"old_driver", P2P_NO_DEVICE, {P2P_OBSTACLE_OLD_DRIVER, "TEST driver", "", "450.80", "525"}, "code 36"},
    {"no_library",
     P2P_NO_DEVICE,
     {P2P_OBSTACLE_NO_LIBRARY, "libtest.so.9", "/usr/lib, /opt/test", "", ""},
     "code 37"},
    {"no_device", P2P_NO_DEVICE, {.kind = P2P_OBSTACLE_NO_DEVICE}, "the driver lists no device: code 38"},
    {"other", P2P_NO_DEVICE, {.kind = P2P_OBSTACLE_OTHER}, "every device is asleep"},
    {"failed", P2P_FAILED, {.kind = P2P_OBSTACLE_OTHER}, "the driver crashed"},
    {"silent", P2P_FAILED, {.kind = P2P_OBSTACLE_OTHER}, NULL},
    {"empty", P2P_OK, {.kind = P2P_OBSTACLE_OTHER}, NULL},
};

static p2p_status device_count(int *count, p2p_obstacle *obstacle) {
    const char *state = getenv(variable_name);
    for (size_t i = 0; state && i < sizeof states / sizeof states[0]; i++) {
        if (strcmp(states[i].name, state) != 0) continue;
        *obstacle = states[i].obstacle;
        if (states[i].details) host->fail(states[i].status, "%s", states[i].details);
        return states[i].status;
    }
    *count = 2;
    return P2P_OK;
}

static p2p_status device_info(int index, p2p_device_info *info) {
    P2P_TRY(reference->device_info(0, info));
    info->type = P2P_DEVICE_GPU;
    snprintf(info->name, sizeof info->name, "test device %d", index);
    return P2P_OK;
}

static p2p_status device_open(int index, p2p_be_device **device) {
    host->log("test: opens a device");
    if (index == 0) return reference->device_open(0, device);
    p2p_op op = {.kind = P2P_KIND_act_fwd, .act = P2P_ACT_relu};
    op.t[P2P_AT_act_fwd_x] = p2p_tensor_flat(P2P_TYPE_f32, 3);
    op.t[P2P_AT_act_fwd_y] = p2p_tensor_flat(P2P_TYPE_f32, 4);
    const p2p_status status = p2p_op_validate(&op);
    p2p_failure failure;
    p2p_failure_take(&failure, p2p_hint(status, "the hint of test:%d", index));
    host->fail(P2P_FAILED, "cleaning up failed too");
    return p2p_failure_give(&failure);
}

static void set_timeout(double seconds) {
    host->log("test: the limit is %g seconds", seconds);
}

static const p2p_limit limits[] = {{"timeout", 0, 1000, set_timeout}};

static const p2p_module *enter(uint32_t abi, const p2p_host *services) {
    static p2p_module module;
    host = services;
    reference = p2p_module_reference(abi, services);
    if (!reference) return NULL;
    module = *reference;
    module.name = "test";
    module.description = "a backend in any state";
    module.variables = variables;
    module.variable_count = sizeof variables / sizeof variables[0];
    module.limits = limits;
    module.limit_count = sizeof limits / sizeof limits[0];
    module.device_count = device_count;
    module.device_info = device_info;
    module.device_open = device_open;
    return &module;
}

P2P_MODULE_EXPORT(enter);
