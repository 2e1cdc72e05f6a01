/* The host's access to networks' state: initial values, reading and writing one parameter at a time.
 *
 * Everything converts between plain host order and the device's layout per parameter, so there is never a
 * second copy of a whole network. Initial values depend on seed, names and logical positions only.
 */
#include "philox.h"
#include "plan.h"

#include <stdlib.h>
#include <string.h>

static p2p_status no_memory(const char *name) {
    return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for parameter %s", name);
}

/* ---- Finding ------------------------------------------------------------------------------------------ */

typedef struct {
    int network;
    const p2p_param_info *info;
    const p2p_tensor *tensor;
    plan_address at;
} param_place;

static p2p_status find_param(const p2p_session *session, const p2p_network *network, p2p_param param,
                             p2p_state_part part, param_place *place) {
    if (!session->allocated || session->broken)
        return p2p_fail(P2P_INVALID, "network %s: the session has no memory", p2p_network_name(network));
    P2P_TRY(session_find_network(session, network, &place->network));
    const plan_network *known = &session->networks[place->network];
    if (param.id < 0 || param.id >= known->param_count)
        return p2p_fail(P2P_INVALID, "network %s has no parameter %d", p2p_network_name(network), param.id);
    place->info = &known->network->params[param.id];
    place->tensor = &known->tensors[param.id];
    bool running = place->info->kind == P2P_PARAM_RUNNING;
    bool exists = running ? part == P2P_STATE_VALUE : part <= P2P_STATE_MOMENT2 && known->needed[part];
    if (!exists)
        return p2p_fail(P2P_INVALID, "parameter %s of network %s has no %s in this session",
                        place->info->name, p2p_network_name(network),
                        plan_space_text(plan_space_of(0, (plan_network_space)part)));
    plan_network_space space = running ? PLAN_SPACE_running : (plan_network_space)part;
    place->at = (plan_address){plan_space_of(place->network, space), known->offsets[param.id]};
    return P2P_OK;
}

static p2p_status check_host_type(p2p_type type) {
    if (type == P2P_TYPE_f32 || type == P2P_TYPE_f64) return P2P_OK;
    return p2p_fail(P2P_INVALID, "parameters are read and written as f32 or f64, not %s",
                    p2p_type_name(type));
}

/* ---- Writing ------------------------------------------------------------------------------------------ */

static p2p_status write_everywhere(p2p_session *session, const param_place *place, const void *raw) {
    size_t bytes = p2p_tensor_bytes(place->tensor);
    for (int r = 0; r < session->replica_count; r++) {
        p2p_device *device = session->replicas[r].device;
        P2P_TRY(p2p_buffer_write(device, session_place(session, r, place->at), raw, bytes));
        P2P_TRY(p2p_device_finish(device));
    }
    return P2P_OK;
}

p2p_status p2p_session_write(p2p_session *session, const p2p_network *network, p2p_param param,
                             p2p_state_part part, p2p_type type, const void *host) {
    param_place place;
    P2P_TRY(check_host_type(type));
    P2P_TRY(find_param(session, network, param, part, &place));
    void *raw = calloc(1, p2p_tensor_bytes(place.tensor)); /* zero: padding lanes must be */
    if (!raw) return no_memory(place.info->name);
    p2p_tensor_pack(place.tensor, host, type, raw);
    if (part == P2P_STATE_VALUE) session->networks[place.network].stale = true;
    p2p_status status = write_everywhere(session, &place, raw);
    free(raw);
    return status;
}

/* ---- Reading ------------------------------------------------------------------------------------------ */

static p2p_status read_raw(const p2p_session *session, int replica, const param_place *place, void *raw) {
    p2p_device *device = session->replicas[replica].device;
    P2P_TRY(p2p_device_finish(device));
    P2P_TRY(p2p_buffer_read(device, session_place(session, replica, place->at), raw,
                            p2p_tensor_bytes(place->tensor)));
    return p2p_device_finish(device);
}

static void store(void *host, p2p_type type, int64_t i, double value) {
    if (type == P2P_TYPE_f64) {
        ((double *)host)[i] = value;
    } else {
        ((float *)host)[i] = (float)value;
    }
}

/* Running statistics: each replica has seen its own images; the network's are the mean. */
static p2p_status read_mean(const p2p_session *session, const param_place *place, void *raw, double *one,
                            double *sum, p2p_type type, void *host) {
    int64_t count = p2p_tensor_elements(place->tensor);
    for (int64_t i = 0; i < count; i++) sum[i] = 0;
    for (int r = 0; r < session->replica_count; r++) {
        P2P_TRY(read_raw(session, r, place, raw));
        p2p_tensor_unpack(place->tensor, raw, one, P2P_TYPE_f64);
        for (int64_t i = 0; i < count; i++) sum[i] += one[i];
    }
    for (int64_t i = 0; i < count; i++) store(host, type, i, sum[i] / session->replica_count);
    return P2P_OK;
}

static p2p_status read_running(const p2p_session *session, const param_place *place, void *raw, p2p_type type,
                               void *host) {
    size_t count = (size_t)p2p_tensor_elements(place->tensor);
    double *sums = malloc(2 * count * sizeof *sums);
    if (!sums) return no_memory(place->info->name);
    p2p_status status = read_mean(session, place, raw, sums, sums + count, type, host);
    free(sums);
    return status;
}

p2p_status p2p_session_read(p2p_session *session, const p2p_network *network, p2p_param param,
                            p2p_state_part part, p2p_type type, void *host) {
    param_place place;
    P2P_TRY(check_host_type(type));
    P2P_TRY(find_param(session, network, param, part, &place));
    void *raw = malloc(p2p_tensor_bytes(place.tensor));
    if (!raw) return no_memory(place.info->name);
    p2p_status status = P2P_OK;
    if (place.info->kind == P2P_PARAM_RUNNING) {
        status = read_running(session, &place, raw, type, host);
    } else {
        status = read_raw(session, 0, &place, raw);
        if (status == P2P_OK) p2p_tensor_unpack(place.tensor, raw, host, type);
    }
    free(raw);
    return status;
}

/* ---- Initial values ----------------------------------------------------------------------------------- */

/* Element e of the parameter is mean + stddev * normal number e of the stream "network/parameter". */
static void draw(const p2p_network *network, const p2p_param_info *info, uint64_t seed, double *host) {
    char name[sizeof network->name + sizeof info->name + 1];
    snprintf(name, sizeof name, "%s/%s", network->name, info->name);
    const p2p_draw stream = {.seed = seed, .stream = p2p_name_hash(name)};
    int64_t count = p2p_param_elements(info);
    for (int64_t e = 0; e < count; e += 2) {
        double pair[2] = {0, 0};
        if (info->stddev != 0) p2p_draw_normal_pair(&stream, (uint64_t)e / 2, pair);
        host[e] = info->mean + info->stddev * pair[0];
        if (e + 1 < count) host[e + 1] = info->mean + info->stddev * pair[1];
    }
}

static p2p_status initialise_param(p2p_session *session, const p2p_network *network, int id, uint64_t seed) {
    const p2p_param_info *info = &network->params[id];
    int64_t count = p2p_param_elements(info);
    double *host = malloc((size_t)count * sizeof *host);
    if (!host) return no_memory(info->name);
    if (info->kind == P2P_PARAM_RUNNING) {
        for (int64_t i = 0; i < count; i++) host[i] = i < count / 2 ? 0 : 1;
    } else {
        draw(network, info, seed, host);
    }
    p2p_status status =
        p2p_session_write(session, network, (p2p_param){id}, P2P_STATE_VALUE, P2P_TYPE_f64, host);
    free(host);
    return status;
}

/* Whole chunks, padding included, in pieces of `zeros`. */
static p2p_status clear_space(const p2p_session *session, int replica, int space, const void *zeros,
                              size_t piece) {
    p2p_device *device = session->replicas[replica].device;
    size_t bytes = session_space_bytes(session, space);
    for (size_t offset = 0; offset < bytes;) {
        size_t to_cut = session->chunk_bytes - offset % session->chunk_bytes, length = bytes - offset;
        if (length > to_cut) length = to_cut;
        if (length > piece) length = piece;
        P2P_TRY(p2p_buffer_write(device, session_place(session, replica, (plan_address){space, offset}),
                                 zeros, length));
        offset += length;
    }
    return p2p_device_finish(device);
}

static p2p_status clear_parts(const p2p_session *session, int network, const void *zeros, size_t piece) {
    for (int r = 0; r < session->replica_count; r++)
        for (int part = PLAN_SPACE_gradient; part <= PLAN_SPACE_moment2; part++)
            P2P_TRY(clear_space(session, r, plan_space_of(network, (plan_network_space)part), zeros, piece));
    return P2P_OK;
}

p2p_status p2p_session_initialise(p2p_session *session, const p2p_network *network, uint64_t seed) {
    enum { PIECE = 1 << 20 };
    int index = 0;
    P2P_TRY(session_find_network(session, network, &index));
    for (int id = 0; id < session->networks[index].param_count; id++)
        P2P_TRY(initialise_param(session, network, id, seed));
    size_t piece = plan_round_up(PIECE, session->alignment);
    void *zeros = calloc(1, piece);
    if (!zeros) return no_memory(p2p_network_name(network));
    p2p_status status = clear_parts(session, index, zeros, piece);
    free(zeros);
    return status;
}

p2p_type p2p_session_state_type(const p2p_session *session) {
    return p2p_device_describe(session->replicas[0].device)->filter.type == P2P_TYPE_f64 ? P2P_TYPE_f64
                                                                                         : P2P_TYPE_f32;
}
