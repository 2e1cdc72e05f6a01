/* Networks: lists of named parameters with their shapes and initial distributions.
 *
 * A network holds no parameter values: these are in a session's arenas. The first failed declaration is
 * recorded and reported by p2p_network_status, by graphs that use a parameter, and by sessions.
 */
#include "ir.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

p2p_network *p2p_network_create(const char *name) {
    p2p_network *network = calloc(1, sizeof *network);
    if (!network) {
        p2p_fail(P2P_OUT_OF_MEMORY, "no memory for network '%s'", name ? name : "");
        return NULL;
    }
    if (!name || !*name || strlen(name) >= sizeof network->name) {
        network->status = P2P_INVALID;
        snprintf(network->message, sizeof network->message,
                 "a network's name must have 1 to %zu characters: '%s'", sizeof network->name - 1,
                 name ? name : "");
        return network;
    }
    memcpy(network->name, name, strlen(name) + 1);
    return network;
}

void p2p_network_destroy(p2p_network *network) {
    if (!network) return;
    free(network->params);
    free(network);
}

const char *p2p_network_name(const p2p_network *network) {
    return network->name;
}

p2p_status p2p_network_status(const p2p_network *network) {
    if (!network) return p2p_fail(P2P_INVALID, "no network given");
    if (network->status == P2P_OK) return P2P_OK;
    return p2p_fail(network->status, "%s", network->message);
}

int p2p_network_param_count(const p2p_network *network) {
    return network->param_count;
}

const p2p_param_info *p2p_network_param(const p2p_network *network, p2p_param param) {
    return param.id >= 0 && param.id < network->param_count ? &network->params[param.id] : NULL;
}

int64_t p2p_param_elements(const p2p_param_info *info) {
    return info->shape[0] * info->shape[1] * info->shape[2] * info->shape[3];
}

static p2p_param refuse(p2p_network *network, p2p_status code, const char *param, const char *why) {
    network->status = code;
    snprintf(network->message, sizeof network->message, "network '%s', parameter '%.160s': %s", network->name,
             param ? param : "", why);
    p2p_fail(code, "%s", network->message);
    return (p2p_param){-1};
}

static bool is_taken(const p2p_network *network, const char *name) {
    for (int i = 0; i < network->param_count; i++)
        if (strcmp(network->params[i].name, name) == 0) return true;
    return false;
}

static p2p_param declare(p2p_network *network, const char *name, p2p_param_info info) {
    if (!network || network->status != P2P_OK) return (p2p_param){-1};
    if (!name || !*name || strlen(name) >= sizeof info.name)
        return refuse(network, P2P_INVALID, name, "its name must have 1 to 159 characters");
    if (is_taken(network, name)) return refuse(network, P2P_INVALID, name, "this name is already taken");
    p2p_tensor tensor =
        p2p_tensor_filter(P2P_TYPE_f64, info.shape[0], info.shape[1], info.shape[2], info.shape[3]);
    if (p2p_tensor_validate(&tensor) != P2P_OK) return refuse(network, P2P_INVALID, name, p2p_message());
    if (!isfinite(info.mean) || !isfinite(info.stddev) || info.stddev < 0)
        return refuse(network, P2P_INVALID, name,
                      "mean and deviation of the initial values must be finite, the deviation not negative");
    void *params = ir_grow(network->params, network->param_count, &network->param_capacity, sizeof info);
    if (!params) return refuse(network, P2P_OUT_OF_MEMORY, name, "no memory");
    network->params = params;
    memcpy(info.name, name, strlen(name) + 1);
    network->params[network->param_count] = info;
    return (p2p_param){network->param_count++};
}

p2p_param p2p_network_filter(p2p_network *network, const char *name, int64_t k, int64_t c, int64_t r,
                             int64_t s, double mean, double stddev) {
    return declare(
        network, name,
        (p2p_param_info){.kind = P2P_PARAM_FILTER, .shape = {k, c, r, s}, .mean = mean, .stddev = stddev});
}

p2p_param p2p_network_filter_resizing(p2p_network *network, const char *name, int64_t k, int64_t c,
                                      double stddev) {
    return declare(network, name,
                   (p2p_param_info){
                       .kind = P2P_PARAM_FILTER, .shape = {k, c, 4, 4}, .stddev = stddev, .resizing = true});
}

p2p_param p2p_network_vector(p2p_network *network, const char *name, int64_t c, double mean, double stddev) {
    return declare(
        network, name,
        (p2p_param_info){.kind = P2P_PARAM_VECTOR, .shape = {c, 1, 1, 1}, .mean = mean, .stddev = stddev});
}

p2p_param p2p_network_running(p2p_network *network, const char *name, int64_t c) {
    return declare(network, name, (p2p_param_info){.kind = P2P_PARAM_RUNNING, .shape = {2, c, 1, 1}});
}
