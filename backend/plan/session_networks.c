/* A session's networks: the address of each parameter, with the same offset in values, gradients and moments,
 * and derived filters, which are stored in a second layout.
 */
#include "session.h"

#include <stdlib.h>

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

static p2p_status lay_out_params(const p2p_session *session, plan_network *to) {
    for (int i = 0; i < to->param_count; i++) {
        const p2p_param_info *info = &to->network->params[i];
        plan_network_space space = info->kind == P2P_PARAM_RUNNING ? PLAN_SPACE_running : PLAN_SPACE_value;
        to->tensors[i] = store_param(session, info);
        P2P_TRY(p2p_tensor_validate(&to->tensors[i]));
        size_t bytes = p2p_tensor_bytes(&to->tensors[i]);
        P2P_TRY(plan_check_fits(&session->cut, bytes, info->name));
        to->offsets[i] = plan_fit(&session->cut, to->bytes[space], bytes);
        to->bytes[space] = plan_round_up(to->offsets[i] + bytes, session->cut.alignment);
    }
    for (int part = PLAN_SPACE_gradient; part <= PLAN_SPACE_moment2; part++)
        to->bytes[part] = to->bytes[PLAN_SPACE_value];
    return P2P_OK;
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

p2p_status session_derived(p2p_session *session, int network, int param, const p2p_tensor *tensor, int *id) {
    for (int i = 0; i < session->derived_count; i++) {
        const plan_derived *known = &session->derived[i];
        if (known->network == network && known->param == param && p2p_tensor_equal(&known->tensor, tensor)) {
            *id = i + 1;
            return P2P_OK;
        }
    }
    size_t bytes = p2p_tensor_bytes(tensor);
    P2P_TRY(plan_check_fits(&session->cut, bytes, session->networks[network].network->params[param].name));
    plan_derived *derived = ir_grow(session->derived, session->derived_count, &session->derived_capacity,
                                    sizeof *session->derived);
    if (!derived) return plan_no_memory("a session");
    session->derived = derived;
    size_t *end = &session->networks[network].bytes[PLAN_SPACE_derived];
    size_t offset = plan_fit(&session->cut, *end, bytes);
    derived[session->derived_count++] = (plan_derived){network, param, *tensor, offset};
    *end = offset + bytes;
    *id = session->derived_count;
    return P2P_OK;
}

void session_derived_copy(const p2p_session *session, int derived, p2p_op *op, plan_address at[2]) {
    const plan_derived *filter = &session->derived[derived];
    const plan_network *network = &session->networks[filter->network];
    *op = (p2p_op){.kind = P2P_KIND_copy};
    op->t[P2P_AT_copy_x] = network->tensors[filter->param];
    op->t[P2P_AT_copy_y] = filter->tensor;
    at[P2P_AT_copy_x] =
        (plan_address){plan_space_of(filter->network, PLAN_SPACE_value), network->offsets[filter->param]};
    at[P2P_AT_copy_y] = (plan_address){plan_space_of(filter->network, PLAN_SPACE_derived), filter->offset};
}
