/* A session's networks: the address of each parameter in every part of the state, the buckets in which
 * gradients are reduced, and derived filters, which are stored a second time in another type or layout.
 */
#include "session.h"

#include <stdlib.h>

/* Large enough for the latency of a reduction not to matter, small enough for several buckets per network. */
enum { BUCKET_BYTES = 16 << 20 };

static p2p_tensor store_param(const p2p_session *session, const p2p_param_info *info) {
    const int64_t *shape = info->shape;
    p2p_storage storage = info->kind == P2P_PARAM_FILTER ? session->filter : session->vector;
    p2p_tensor tensor = info->kind == P2P_PARAM_FILTER
                            ? p2p_tensor_filter(storage.type, shape[0], shape[1], shape[2], shape[3])
                        : info->kind == P2P_PARAM_VECTOR ? p2p_tensor_vector(storage.type, shape[0])
                                                         : p2p_tensor_stats(storage.type, 1, 2, shape[1]);
    tensor.layout = storage.layout;
    tensor.block = storage.block;
    return tensor;
}

/* The number of elements of bf16, the narrowest type, that take the memory of one element of a filter.
 * Offsets of parameters are multiples of this many alignments, so they are aligned in a mirror and in narrow
 * gradients. */
static size_t narrowing(const p2p_session *session) {
    return p2p_type_bytes(session->filter.type) / p2p_type_bytes(P2P_TYPE_bf16);
}

/* The offset, in memory of type `narrow`, of what is at `offset` among filters. */
static size_t narrowed(const p2p_session *session, size_t offset, p2p_type narrow) {
    return offset / p2p_type_bytes(session->filter.type) * p2p_type_bytes(narrow);
}

static p2p_status place_param(const p2p_session *session, plan_network *to, int i) {
    const p2p_param_info *info = &to->network->params[i];
    const plan_network_space space = info->kind == P2P_PARAM_RUNNING ? PLAN_SPACE_running : PLAN_SPACE_value;
    to->tensors[i] = store_param(session, info);
    P2P_TRY(p2p_tensor_validate(&to->tensors[i]));
    const size_t bytes = p2p_tensor_bytes(&to->tensors[i]);
    P2P_TRY(plan_check_fits(&session->cut, bytes, info->name));
    plan_cut cut = session->cut;
    cut.alignment *= narrowing(session);
    to->offsets[i] = plan_fit(&cut, to->bytes[space], bytes);
    to->bytes[space] = plan_round_up(to->offsets[i] + bytes, cut.alignment);
    return P2P_OK;
}

/* Places the parameters of one kind. */
static p2p_status place_kind(const p2p_session *session, plan_network *to, p2p_param_kind kind) {
    for (int i = 0; i < to->param_count; i++)
        if (to->network->params[i].kind == kind) P2P_TRY(place_param(session, to, i));
    return P2P_OK;
}

/* Where the buckets begin in which gradients are reduced: from the last parameter on, each has at least the
 * session's size, so that the layers whose gradients are complete first are reduced first. The bucket at
 * the beginning of the arena has what remains, with all vectors. */
static p2p_status cut_buckets(const p2p_session *session, plan_network *to) {
    const size_t least = session->options.bucket_bytes ? session->options.bucket_bytes : BUCKET_BYTES;
    size_t end = to->bytes[PLAN_SPACE_value];
    to->buckets = calloc((size_t)to->param_count + 1, sizeof *to->buckets);
    if (!to->buckets) return plan_no_memory("a session");
    for (int i = to->param_count - 1; i >= 0 && !session->options.no_buckets; i--) {
        if (to->network->params[i].kind != P2P_PARAM_FILTER) continue;
        const size_t begin = to->offsets[i];
        if (end - begin < least || begin < to->filters + least) continue;
        to->buckets[to->bucket_count++] = begin;
        end = begin;
    }
    to->buckets[to->bucket_count++] = 0;
    return P2P_OK;
}

/* Vectors are first, then filters. */
static p2p_status lay_out_params(const p2p_session *session, plan_network *to) {
    P2P_TRY(place_kind(session, to, P2P_PARAM_VECTOR));
    P2P_TRY(place_kind(session, to, P2P_PARAM_RUNNING));
    to->filters = to->bytes[PLAN_SPACE_value];
    P2P_TRY(place_kind(session, to, P2P_PARAM_FILTER));
    to->gradient = session->filter.type;
    for (int part = PLAN_SPACE_gradient; part <= PLAN_SPACE_moment2; part++)
        to->bytes[part] = to->bytes[PLAN_SPACE_value];
    return cut_buckets(session, to);
}

p2p_status session_network(p2p_session *session, p2p_network *network, int *index) {
    for (*index = 0; *index < session->network_count; ++*index)
        if (session->networks[*index].network == network) return P2P_OK;
    P2P_TRY(p2p_network_status(network));
    plan_network *networks = ir_grow(session->networks, session->network_count, &session->network_capacity,
                                     sizeof *session->networks);
    if (!networks) return plan_no_memory("a session");
    session->networks = networks;
    plan_network *added = &networks[session->network_count];
    size_t count = (size_t)network->param_count + 1;
    *added = (plan_network){.network = network, .param_count = network->param_count, .stale = true};
    added->tensors = calloc(count, sizeof *added->tensors);
    added->offsets = calloc(count, sizeof *added->offsets);
    session->network_count++; /* p2p_session_destroy frees it after a failure, too */
    if (!added->tensors || !added->offsets) return plan_no_memory("a session");
    added->needed[P2P_STATE_VALUE] = true;
    return lay_out_params(session, added);
}

p2p_status session_find_network(const p2p_session *session, const p2p_network *network, int *index) {
    for (*index = 0; *index < session->network_count; ++*index)
        if (session->networks[*index].network == network) return P2P_OK;
    return p2p_fail(P2P_INVALID, "no plan of the session uses network %s", p2p_network_name(network));
}

/* ---- Addresses ---------------------------------------------------------------------------------------- */

/* The address of the filters' or vectors' memory at `offset` in a part. */
static plan_address part_address(const p2p_session *session, int network, size_t offset,
                                 p2p_state_part part) {
    const plan_network *known = &session->networks[network];
    size_t at = offset;
    if (part == P2P_STATE_GRADIENT && known->gradient != session->filter.type)
        at = offset >= known->filters ? narrowed(session, offset, known->gradient)
                                      : offset + known->vector_gradients;
    return (plan_address){plan_space_of(network, (plan_network_space)part), at};
}

static plan_address mirror_address(const p2p_session *session, int network, size_t offset) {
    return (plan_address){plan_space_of(network, PLAN_SPACE_mirror),
                          narrowed(session, offset, session->networks[network].mirror)};
}

p2p_tensor session_param(const p2p_session *session, int network, int param, p2p_state_part part,
                         plan_address *at) {
    const plan_network *known = &session->networks[network];
    p2p_tensor tensor = known->tensors[param];
    if (known->network->params[param].kind == P2P_PARAM_RUNNING) {
        *at = (plan_address){plan_space_of(network, PLAN_SPACE_running), known->offsets[param]};
        return tensor;
    }
    *at = part_address(session, network, known->offsets[param], part);
    if (part == P2P_STATE_GRADIENT && known->network->params[param].kind == P2P_PARAM_FILTER)
        tensor.type = known->gradient;
    return tensor;
}

bool session_next_stretch(const p2p_session *session, int network, size_t limit, plan_stretch *stretch) {
    const plan_network *known = &session->networks[network];
    const size_t chunk = session->cut.chunk_bytes, begin = stretch->offset + stretch->bytes;
    size_t end = (begin / chunk + 1) * chunk;
    if (begin >= limit) return false;
    if (end > limit) end = limit;
    const bool divided = known->gradient != session->filter.type || known->mirrored;
    if (divided && begin < known->filters && known->filters < end) end = known->filters;
    *stretch =
        (plan_stretch){begin, end - begin, (int64_t)((end - begin) / p2p_type_bytes(session->filter.type))};
    return true;
}

p2p_tensor session_stretch_part(const p2p_session *session, int network, const plan_stretch *stretch,
                                p2p_state_part part, plan_address *at) {
    const plan_network *known = &session->networks[network];
    *at = part_address(session, network, stretch->offset, part);
    const bool narrow = part == P2P_STATE_GRADIENT && stretch->offset >= known->filters;
    return p2p_tensor_flat(narrow ? known->gradient : session->filter.type, stretch->elements);
}

p2p_tensor session_stretch_mirror(const p2p_session *session, int network, const plan_stretch *stretch,
                                  plan_address *at) {
    *at = mirror_address(session, network, stretch->offset);
    return p2p_tensor_flat(session->networks[network].mirror, stretch->elements);
}

/* ---- Gradients ---------------------------------------------------------------------------------------- */

/* Whether a node of the graph writes gradients of the network's filters, and whether one adds to them. */
static void find_writers(const p2p_graph *graph, const p2p_network *network, bool *writes, bool *adds) {
    for (int i = 0; i < graph->node_count; i++) {
        const ir_node *node = &graph->nodes[i];
        const int dw = P2P_AT_conv_bwd_filter_dw;
        if (node->op.kind != P2P_KIND_conv_bwd_filter) continue;
        const ir_value *value = &graph->values[ir_value_resolve(graph, node->value[dw])];
        if (value->origin != IR_STATE || value->network != network) continue;
        *writes = true;
        *adds = *adds || p2p_op_accumulates(&node->op, dw);
    }
}

/* Where the gradients of vectors begin, behind those of filters. If there are several chunks, they begin one,
 * so that they are cut at the same vectors as the parameters. */
static size_t place_vector_gradients(const p2p_session *session, const plan_network *known) {
    const size_t end = narrowed(session, known->bytes[PLAN_SPACE_value], known->gradient);
    const size_t chunk = session->cut.chunk_bytes;
    return plan_round_up(end, end + known->filters > chunk ? chunk : session->cut.alignment);
}

static p2p_status decide_gradient(p2p_session *session, plan_network *known, const p2p_graph *graph) {
    bool writes = false, adds = false;
    find_writers(graph, known->network, &writes, &adds);
    if (!writes) return P2P_OK;
    const p2p_type type = adds ? session->filter.type : session->gradient;
    if (known->has_gradient && known->gradient == type) return P2P_OK;
    if (known->has_gradient && adds)
        return p2p_fail(P2P_INVALID,
                        "network %s: a plan adds to gradients that an earlier plan stores in %s; it must be "
                        "planned first",
                        p2p_network_name(known->network), p2p_type_name(known->gradient));
    if (known->has_gradient) return P2P_OK; /* wide enough for a plan that writes once */
    known->has_gradient = true;
    known->gradient = type;
    if (type == session->filter.type) return P2P_OK;
    known->vector_gradients = place_vector_gradients(session, known);
    known->bytes[PLAN_SPACE_gradient] = known->vector_gradients + known->filters;
    return P2P_OK;
}

p2p_status session_gradients(p2p_session *session, const p2p_graph *graph) {
    for (int id = 1; id < graph->value_count; id++) {
        const ir_value *value = &graph->values[id];
        int network;
        if (value->origin != IR_STATE || value->part != P2P_STATE_GRADIENT) continue;
        P2P_TRY(session_network(session, value->network, &network));
        P2P_TRY(decide_gradient(session, &session->networks[network], graph));
    }
    return P2P_OK;
}

/* ---- Derived filters ---------------------------------------------------------------------------------- */

/* Whether the tensor is the parameter in another type only, and the network's mirror has this type or none
 * yet. */
static bool fits_mirror(const p2p_session *session, int network, int param, const p2p_tensor *tensor) {
    const plan_network *known = &session->networks[network];
    p2p_tensor stored = known->tensors[param];
    const p2p_type type = tensor->type;
    if (p2p_type_bytes(type) > p2p_type_bytes(stored.type)) return false;
    stored.type = type;
    return p2p_tensor_equal(&stored, tensor) && (!known->mirrored || known->mirror == type);
}

static plan_address place_derived(p2p_session *session, int network, int param, const p2p_tensor *tensor,
                                  bool mirrored) {
    plan_network *known = &session->networks[network];
    if (!mirrored) {
        size_t *end = &known->bytes[PLAN_SPACE_derived];
        const size_t offset = plan_fit(&session->cut, *end, p2p_tensor_bytes(tensor));
        *end = offset + p2p_tensor_bytes(tensor);
        return (plan_address){plan_space_of(network, PLAN_SPACE_derived), offset};
    }
    known->mirrored = true;
    known->mirror = tensor->type;
    known->bytes[PLAN_SPACE_mirror] = narrowed(session, known->bytes[PLAN_SPACE_value], tensor->type);
    return mirror_address(session, network, known->offsets[param]);
}

p2p_status session_derived(p2p_session *session, int network, int param, const p2p_tensor *tensor, int *id) {
    for (int i = 0; i < session->derived_count; i++) {
        const plan_derived *known = &session->derived[i];
        if (known->network == network && known->param == param && p2p_tensor_equal(&known->tensor, tensor)) {
            *id = i + 1;
            return P2P_OK;
        }
    }
    P2P_TRY(plan_check_fits(&session->cut, p2p_tensor_bytes(tensor),
                            session->networks[network].network->params[param].name));
    plan_derived *derived = ir_grow(session->derived, session->derived_count, &session->derived_capacity,
                                    sizeof *session->derived);
    if (!derived) return plan_no_memory("a session");
    session->derived = derived;
    const bool mirrored = fits_mirror(session, network, param, tensor);
    derived[session->derived_count++] = (plan_derived){
        network, param, *tensor, place_derived(session, network, param, tensor, mirrored), mirrored};
    *id = session->derived_count;
    return P2P_OK;
}

/* ---- Renewal of derived filters ----------------------------------------------------------------------- */

static session_refresh refresh_filter(const p2p_session *session, const plan_derived *filter) {
    session_refresh refresh = {.network = filter->network, .op = {.kind = P2P_KIND_copy}};
    refresh.op.t[P2P_AT_copy_x] =
        session_param(session, filter->network, filter->param, P2P_STATE_VALUE, &refresh.at[P2P_AT_copy_x]);
    refresh.op.t[P2P_AT_copy_y] = filter->tensor;
    refresh.at[P2P_AT_copy_y] = filter->at;
    return refresh;
}

/* session_next_stretch for the filters alone, if they have a mirror. */
static bool next_mirror(const p2p_session *session, int network, plan_stretch *stretch) {
    const plan_network *known = &session->networks[network];
    if (!known->mirrored) return false;
    if (stretch->offset < known->filters) *stretch = (plan_stretch){.offset = known->filters};
    return session_next_stretch(session, network, known->bytes[PLAN_SPACE_value], stretch);
}

static session_refresh refresh_mirror(const p2p_session *session, int network, const plan_stretch *stretch) {
    session_refresh refresh = {.network = network, .mirror = true, .op = {.kind = P2P_KIND_copy}};
    refresh.op.t[P2P_AT_copy_x] =
        session_stretch_part(session, network, stretch, P2P_STATE_VALUE, &refresh.at[P2P_AT_copy_x]);
    refresh.op.t[P2P_AT_copy_y] =
        session_stretch_mirror(session, network, stretch, &refresh.at[P2P_AT_copy_y]);
    return refresh;
}

static p2p_status add_refresh(p2p_session *session, session_refresh refresh) {
    session_refresh *refreshes = ir_grow(session->refreshes, session->refresh_count,
                                         &session->refresh_capacity, sizeof *session->refreshes);
    if (!refreshes) return plan_no_memory("a session");
    session->refreshes = refreshes;
    refreshes[session->refresh_count++] = refresh;
    return P2P_OK;
}

p2p_status session_list_refreshes(p2p_session *session) {
    session->refresh_count = 0;
    for (int network = 0; network < session->network_count; network++)
        for (plan_stretch stretch = {0}; next_mirror(session, network, &stretch);)
            P2P_TRY(add_refresh(session, refresh_mirror(session, network, &stretch)));
    for (int i = 0; i < session->derived_count; i++)
        if (!session->derived[i].mirrored)
            P2P_TRY(add_refresh(session, refresh_filter(session, &session->derived[i])));
    return P2P_OK;
}
