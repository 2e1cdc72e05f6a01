/* The graph builder. Each public call checks its arguments, infers the shape of its result and appends
 * unfused nodes to the intermediate form. Every node is validated when it is added, so an invalid graph fails
 * at the call that causes it. Fusion, layouts and memory are in plan/, gradients in grad.c.
 */
#include "ir.h"
#include "p2p_philox.h"

#include <stdlib.h>
#include <string.h>

/* Maps samples from 0 to the largest value of their type to [-1, 1]. */
static double sample_scale(p2p_type type) {
    return type == P2P_TYPE_u8 ? 1 / 127.5 : 1 / 32767.5;
}

static const double SAMPLE_OFFSET = -1;

/* ---- Graphs ------------------------------------------------------------------------------------------- */

p2p_graph *p2p_graph_create(int64_t local_batch, int64_t global_batch, int world) {
    p2p_graph *graph = calloc(1, sizeof *graph);
    if (!graph || !(graph->values = ir_grow(NULL, 0, &graph->value_capacity, sizeof *graph->values))) {
        free(graph);
        p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a graph");
        return NULL;
    }
    graph->values[0] = (ir_value){.n = 0}; /* id 0 means none */
    graph->value_count = 1;
    graph->local_batch = local_batch;
    graph->global_batch = global_batch;
    graph->images = local_batch > 0 ? local_batch : 1;
    graph->world = world;
    if (local_batch < (world > 1 ? 0 : 1) || global_batch < 1 || global_batch < local_batch || world < 1)
        ir_fail(graph, P2P_INVALID, "a graph of %lld images of %lld on %d replicas is invalid",
                (long long)local_batch, (long long)global_batch, world);
    return graph;
}

void p2p_graph_destroy(p2p_graph *graph) {
    if (!graph) return;
    free(graph->values);
    free(graph->nodes);
    free(graph->outputs);
    free(graph->state_slots);
    free(graph);
}

p2p_status p2p_graph_status(const p2p_graph *graph) {
    if (!graph) return p2p_fail(P2P_INVALID, "no graph given");
    if (graph->status == P2P_OK) return P2P_OK;
    return p2p_fail(graph->status, "%s", graph->message);
}

void p2p_graph_images_apart(p2p_graph *graph) {
    graph->images_apart = true;
}

/* The step block of a part that was begun before; 0: there is none. */
static int find_step_value(const p2p_graph *graph) {
    for (int i = 1; i < graph->value_count; i++)
        if (graph->values[i].origin == IR_STEP && graph->values[i].first == graph->first) return i;
    return 0;
}

void p2p_graph_part(p2p_graph *graph, int64_t first, int64_t count) {
    if (first < 0 || count < 1 || first > graph->local_batch - count) {
        ir_fail(graph, P2P_INVALID, "there is no part of %lld images from %lld on in a batch of %lld",
                (long long)count, (long long)first, (long long)graph->local_batch);
        return;
    }
    graph->images = count;
    graph->first = first;
    graph->step_value = find_step_value(graph);
}

void p2p_value_shape(const p2p_graph *graph, p2p_value value, int64_t shape[4]) {
    memset(shape, 0, 4 * sizeof *shape);
    if (value.id < 1 || value.id >= graph->value_count) return;
    const ir_value *v = &graph->values[value.id];
    shape[0] = v->n, shape[1] = v->c, shape[2] = v->h, shape[3] = v->w;
}

/* ---- Common parts of all builders --------------------------------------------------------------------- */

/* Begins a layer, which `of` and `name` identify in messages. Returns false if the graph has failed. */
static bool begin(p2p_graph *graph, const char *what, const char *of, const char *name) {
    if (graph->status != P2P_OK) return false;
    graph->layer_count++;
    snprintf(graph->label, sizeof graph->label, "layer %d, %s%s%.60s%s%.160s", graph->layer_count, what,
             *of || *name ? " " : "", of, *of ? "." : "", name);
    return true;
}

/* Begins a layer named after a parameter. */
static bool begin_param(p2p_graph *graph, const char *what, const p2p_network *network, p2p_param param) {
    const p2p_param_info *info = network ? p2p_network_param(network, param) : NULL;
    return begin(graph, what, network ? network->name : "", info ? info->name : "");
}

static const char *text_of(const char *name) {
    return name ? name : "";
}

static bool check_input(p2p_graph *graph, const char *operand, p2p_value value) {
    if (graph->status != P2P_OK) return false;
    if (value.id < 1 || value.id >= graph->value_count) {
        ir_fail(graph, P2P_INVALID, "%s is not a value of this graph (id %d)", operand, value.id);
        return false;
    }
    if (graph->values[value.id].role == IR_ACTIVATION) return true;
    ir_fail(graph, P2P_INVALID, "%s is a loss, not an activation", operand);
    return false;
}

/* The value of a parameter; 0 after a failure, which is recorded. */
static int param_value(p2p_graph *graph, p2p_network *network, p2p_param param, p2p_param_kind kind) {
    static const char *const kinds[] = {"filter", "vector", "pair of running statistics"};
    if (graph->status != P2P_OK) return 0;
    if (p2p_network_status(network) != P2P_OK) {
        ir_fail(graph, P2P_INVALID, "%s", p2p_message());
        return 0;
    }
    const p2p_param_info *info = p2p_network_param(network, param);
    if (!info) {
        ir_fail(graph, P2P_INVALID, "network '%s' has no parameter number %d for a %s", network->name,
                param.id, kinds[kind]);
        return 0;
    }
    if (info->kind != kind) {
        ir_fail(graph, P2P_INVALID, "parameter '%s' of network '%s' is a %s, and a %s is needed", info->name,
                network->name, kinds[info->kind], kinds[kind]);
        return 0;
    }
    return ir_state_value(graph, network, param.id, P2P_STATE_VALUE);
}

/* A local activation. */
static int activation(p2p_graph *graph, int64_t n, int64_t c, int64_t h, int64_t w) {
    return ir_value_add(
        graph, &(ir_value){.role = IR_ACTIVATION, .origin = IR_LOCAL, .n = n, .c = c, .h = h, .w = w});
}

/* The result of a builder: the value, or none if the graph has failed. */
static p2p_value result(const p2p_graph *graph, int value) {
    return graph->status == P2P_OK ? (p2p_value){value} : P2P_NONE;
}

static void name_value(p2p_graph *graph, int value, const char *name) {
    if (graph->status == P2P_OK)
        snprintf(graph->values[value].name, sizeof graph->values[value].name, "%s", name);
}

/* ---- Inputs and outputs ------------------------------------------------------------------------------- */

static bool name_fits(p2p_graph *graph, const char *name) {
    if (name && *name && strlen(name) < sizeof graph->values->name) return true;
    ir_fail(graph, P2P_INVALID, "a name must have 1 to %zu characters", sizeof graph->values->name - 1);
    return false;
}

static bool check_real_type(p2p_graph *graph, p2p_type type) {
    if (type == P2P_TYPE_f32 || type == P2P_TYPE_f64) return true;
    ir_fail(graph, P2P_INVALID, "its type must be f32 or f64");
    return false;
}

static int add_input(p2p_graph *graph, const char *name, ir_role role, p2p_type type, int64_t c, int64_t h,
                     int64_t w) {
    if (!name_fits(graph, name)) return 0;
    for (int i = 1; i < graph->value_count; i++)
        if (graph->values[i].origin == IR_INPUT && graph->values[i].first == graph->first &&
            strcmp(graph->values[i].name, name) == 0) {
            ir_fail(graph, P2P_INVALID, "there is already an input of this name");
            return 0;
        }
    int input = ir_value_add(graph, &(ir_value){.role = role,
                                                .origin = IR_INPUT,
                                                .n = graph->images,
                                                .c = c,
                                                .h = h,
                                                .w = w,
                                                .type = type,
                                                .first = graph->first});
    name_value(graph, input, name);
    return input;
}

p2p_value p2p_input_image(p2p_graph *graph, const char *name, p2p_type type, int64_t c, int64_t h,
                          int64_t w) {
    if (!begin(graph, "input", "", text_of(name))) return P2P_NONE;
    int pixels = add_input(graph, name, IR_IMAGE, type, c, h, w);
    int y = activation(graph, graph->images, c, h, w);
    ir_node *node = ir_node_add(graph, P2P_KIND_prepare);
    if (!node) return P2P_NONE;
    node->value[P2P_AT_prepare_x] = pixels;
    node->value[P2P_AT_prepare_y] = y;
    node->op.alpha = sample_scale(type);
    node->op.offset = SAMPLE_OFFSET;
    ir_node_check(graph, node);
    return result(graph, y);
}

p2p_value p2p_input(p2p_graph *graph, const char *name, p2p_type type, int64_t c, int64_t h, int64_t w) {
    if (!begin(graph, "input", "", text_of(name)) || !check_real_type(graph, type)) return P2P_NONE;
    return result(graph, add_input(graph, name, IR_ACTIVATION, type, c, h, w));
}

static void add_output(p2p_graph *graph, const char *name, int value, p2p_type type, bool loss) {
    if (graph->status != P2P_OK || !name_fits(graph, name)) return;
    for (int i = 0; i < graph->output_count; i++) {
        const ir_output *other = &graph->outputs[i];
        const bool same_loss = loss && other->loss && other->first != graph->first;
        if (strcmp(other->name, name) == 0 && !same_loss) {
            ir_fail(graph, P2P_INVALID, "there is already an output of this name");
            return;
        }
    }
    void *outputs =
        ir_grow(graph->outputs, graph->output_count, &graph->output_capacity, sizeof *graph->outputs);
    if (!outputs) {
        ir_fail(graph, P2P_OUT_OF_MEMORY, "no memory for an output");
        return;
    }
    graph->outputs = outputs;
    ir_output *output = &graph->outputs[graph->output_count++];
    *output = (ir_output){.value = value, .type = type, .loss = loss, .first = graph->first};
    memcpy(output->name, name, strlen(name) + 1);
}

void p2p_output(p2p_graph *graph, const char *name, p2p_value value, p2p_type type) {
    if (!begin(graph, "output", "", text_of(name)) || !check_input(graph, "value", value)) return;
    if (check_real_type(graph, type)) add_output(graph, name, value.id, type, false);
}

/* ---- Convolutions ------------------------------------------------------------------------------------- */

/* Keeps extents * stride + 2 pad far inside int64_t. */
enum { MAX_CONV_NUMBER = 1 << 15 };

static bool check_geometry(p2p_graph *graph, int stride, int pad) {
    if (graph->status != P2P_OK) return false;
    if (stride >= 1 && stride <= MAX_CONV_NUMBER && pad >= 0 && pad <= MAX_CONV_NUMBER) return true;
    ir_fail(graph, P2P_INVALID, "stride %d, padding %d: 1 to %d and 0 to %d are possible", stride, pad,
            MAX_CONV_NUMBER, MAX_CONV_NUMBER);
    return false;
}

/* Sets values to those of w and bias (0: no bias). Returns false after a failure. */
static bool conv_params(p2p_graph *graph, p2p_network *network, p2p_param w, p2p_param bias, int values[2]) {
    values[0] = param_value(graph, network, w, P2P_PARAM_FILTER);
    values[1] = bias.id == -1 ? 0 : param_value(graph, network, bias, P2P_PARAM_VECTOR);
    return graph->status == P2P_OK;
}

static void set_geometry(const p2p_graph *graph, p2p_op *op, int64_t images, int stride, int pad) {
    op->images = graph->images_apart && images > 1 ? 1 : 0; /* for one image, 1 and 0 (all) are equivalent */
    op->stride = stride;
    op->pad_top = op->pad_left = op->pad_bottom = op->pad_right = pad;
}

/* y += bias, broadcast. */
static void add_bias(p2p_graph *graph, int bias, int y) {
    ir_node *node = bias && graph->status == P2P_OK ? ir_node_add(graph, P2P_KIND_axpby) : NULL;
    if (!node) return;
    node->value[P2P_AT_axpby_x] = bias;
    node->value[P2P_AT_axpby_y] = y;
    node->op.accumulate = 1u << P2P_AT_axpby_y;
    node->op.alpha = 1;
    ir_node_check(graph, node);
}

p2p_value p2p_conv(p2p_graph *graph, p2p_value x, p2p_network *network, p2p_param w, p2p_param bias,
                   int stride, int pad) {
    int params[2];
    if (!begin_param(graph, "conv", network, w) || !check_input(graph, "x", x)) return P2P_NONE;
    if (!check_geometry(graph, stride, pad) || !conv_params(graph, network, w, bias, params)) return P2P_NONE;
    ir_value in = graph->values[x.id], filter = graph->values[params[0]];
    int64_t reach_h = in.h + 2 * pad - filter.h, reach_w = in.w + 2 * pad - filter.w;
    if (reach_h < 0 || reach_w < 0) {
        ir_fail(graph, P2P_INVALID, "a filter of %lldx%lld does not fit into %lldx%lld padded by %d",
                (long long)filter.h, (long long)filter.w, (long long)in.h, (long long)in.w, pad);
        return P2P_NONE;
    }
    int y = activation(graph, in.n, filter.n, reach_h / stride + 1, reach_w / stride + 1);
    ir_node *node = ir_node_add(graph, P2P_KIND_conv_fwd);
    if (!node) return P2P_NONE;
    node->value[P2P_AT_conv_fwd_x] = x.id;
    node->value[P2P_AT_conv_fwd_w] = params[0];
    node->value[P2P_AT_conv_fwd_y] = y;
    set_geometry(graph, &node->op, in.n, stride, pad);
    if (ir_node_check(graph, node)) add_bias(graph, params[1], y);
    return result(graph, y);
}

p2p_value p2p_conv_transposed(p2p_graph *graph, p2p_value x, p2p_network *network, p2p_param w,
                              p2p_param bias, int stride, int pad) {
    int params[2];
    if (!begin_param(graph, "conv_transposed", network, w) || !check_input(graph, "x", x)) return P2P_NONE;
    if (!check_geometry(graph, stride, pad) || !conv_params(graph, network, w, bias, params)) return P2P_NONE;
    ir_value in = graph->values[x.id], filter = graph->values[params[0]];
    int64_t h = (in.h - 1) * stride - 2 * pad + filter.h, width = (in.w - 1) * stride - 2 * pad + filter.w;
    if (h < 1 || width < 1) {
        ir_fail(graph, P2P_INVALID, "a padding of %d leaves nothing of the output", pad);
        return P2P_NONE;
    }
    int y = activation(graph, in.n, filter.c, h, width);
    ir_node *node = ir_node_add(graph, P2P_KIND_conv_bwd_data);
    if (!node) return P2P_NONE;
    node->value[P2P_AT_conv_bwd_data_dy] = x.id;
    node->value[P2P_AT_conv_bwd_data_w] = params[0];
    node->value[P2P_AT_conv_bwd_data_dx] = y;
    set_geometry(graph, &node->op, in.n, stride, pad);
    if (ir_node_check(graph, node)) add_bias(graph, params[1], y);
    return result(graph, y);
}

/* ---- Normalisation ------------------------------------------------------------------------------------ */

static bool check_norm_options(p2p_graph *graph, const p2p_norm_options *o, p2p_param running) {
    const char *wrong = NULL;
    if (!o)
        wrong = "no options given";
    else if (o->over != P2P_STATS_BATCH && o->over != P2P_STATS_IMAGE && o->over != P2P_STATS_RUNNING)
        wrong = "statistics are over the batch, an image, or running";
    else if (o->sync && o->over != P2P_STATS_BATCH)
        wrong = "only statistics over the batch can be reduced over replicas";
    else if (o->update_running && o->over == P2P_STATS_RUNNING)
        wrong = "running statistics can't be read and updated at once";
    else if ((o->update_running || o->over == P2P_STATS_RUNNING) && running.id < 0)
        wrong = "the running statistics are missing";
    if (wrong) ir_fail(graph, P2P_INVALID, "%s", wrong);
    return wrong == NULL;
}

/* Adds the statistics of x, reduced over replicas if `reduce`. Returns their value; 0 after a failure. */
static int add_stats(p2p_graph *graph, int x, int64_t images, bool reduce) {
    ir_value in = graph->values[x];
    int stats = ir_value_add(graph, &(ir_value){.role = IR_VECTOR,
                                                .origin = IR_LOCAL,
                                                .n = images ? in.n / images : 1,
                                                .c = 3,
                                                .h = 1,
                                                .w = in.c});
    ir_node *node = ir_node_add(graph, P2P_KIND_norm_stats);
    if (!node) return 0;
    node->value[P2P_AT_norm_stats_x] = x;
    node->value[P2P_AT_norm_stats_stats] = stats;
    node->op.images = images;
    if (!ir_node_check(graph, node) || !reduce) return stats;
    if (!(node = ir_node_add(graph, P2P_KIND_all_reduce))) return 0;
    node->value[P2P_AT_all_reduce_y] = stats;
    node->op.reduction = P2P_REDUCE_MOMENTS;
    ir_node_check(graph, node);
    return stats;
}

p2p_value p2p_norm(p2p_graph *graph, p2p_value x, p2p_network *network, p2p_param scale, p2p_param shift,
                   p2p_param running, const p2p_norm_options *options) {
    if (!begin_param(graph, "norm", network, scale) || !check_input(graph, "x", x)) return P2P_NONE;
    if (!check_norm_options(graph, options, running)) return P2P_NONE;
    bool use_running = options->over == P2P_STATS_RUNNING;
    const bool reduce = options->sync && graph->world > 1;
    const bool update = options->update_running && (graph->local_batch > 0 || reduce);
    bool affine = scale.id >= 0 || shift.id >= 0;
    int scale_value = affine ? param_value(graph, network, scale, P2P_PARAM_VECTOR) : 0;
    int shift_value = affine ? param_value(graph, network, shift, P2P_PARAM_VECTOR) : 0;
    int running_value = 0, stats = 0;
    if (use_running || update) running_value = param_value(graph, network, running, P2P_PARAM_RUNNING);
    int64_t images = options->over == P2P_STATS_IMAGE ? 1 : 0;
    if (graph->status == P2P_OK && !use_running) stats = add_stats(graph, x.id, images, reduce);
    int y = ir_value_like(graph, x.id);
    ir_node *node = ir_node_add(graph, P2P_KIND_norm_apply);
    if (!node) return P2P_NONE;
    node->value[P2P_AT_norm_apply_x] = x.id;
    node->value[P2P_AT_norm_apply_stats] = stats;
    node->value[P2P_AT_norm_apply_scale] = scale_value;
    node->value[P2P_AT_norm_apply_shift] = shift_value;
    node->value[P2P_AT_norm_apply_running] = running_value;
    node->value[P2P_AT_norm_apply_y] = y;
    node->op.images = images;
    node->op.eps = options->eps;
    node->op.use_running = use_running;
    if (update) node->op.momentum = options->momentum;
    ir_node_check(graph, node);
    return result(graph, y);
}

/* ---- Pointwise layers, ranges ------------------------------------------------------------------------- */

p2p_value p2p_activation(p2p_graph *graph, p2p_value x, p2p_act act, double slope) {
    if (!begin(graph, "activation", "", "") || !check_input(graph, "x", x)) return P2P_NONE;
    if (act == P2P_ACT_none) return x;
    int y = ir_value_like(graph, x.id);
    ir_node *node = ir_node_add(graph, P2P_KIND_act_fwd);
    if (!node) return P2P_NONE;
    node->value[P2P_AT_act_fwd_x] = x.id;
    node->value[P2P_AT_act_fwd_y] = y;
    node->op.act = act;
    node->op.slope = slope;
    ir_node_check(graph, node);
    return result(graph, y);
}

p2p_value p2p_dropout(p2p_graph *graph, p2p_value x, double p, const char *layer) {
    if (!begin(graph, "dropout", "", text_of(layer)) || !check_input(graph, "x", x)) return P2P_NONE;
    if (!name_fits(graph, layer)) return P2P_NONE;
    if (p == 0) return x;
    int step = ir_step_value(graph);
    int y = ir_value_like(graph, x.id);
    name_value(graph, y, layer);
    ir_node *node = ir_node_add(graph, P2P_KIND_dropout);
    if (!node) return P2P_NONE;
    node->value[P2P_AT_dropout_x] = x.id;
    node->value[P2P_AT_dropout_step] = step;
    node->value[P2P_AT_dropout_y] = y;
    node->op.dropout = p;
    node->op.layer = p2p_name_hash(layer);
    ir_node_check(graph, node);
    return result(graph, y);
}

/* Adds a copy of x into the channels of `whole` from c0 on. */
static void copy_into_range(p2p_graph *graph, int x, int whole, int64_t c0) {
    if (graph->status != P2P_OK) return;
    ir_value range = graph->values[x];
    range = (ir_value){.role = IR_ACTIVATION,
                       .origin = IR_RANGE,
                       .n = range.n,
                       .c = range.c,
                       .h = range.h,
                       .w = range.w,
                       .parent = whole,
                       .c0 = c0};
    int y = ir_value_add(graph, &range);
    ir_node *node = ir_node_add(graph, P2P_KIND_copy);
    if (!node) return;
    node->value[P2P_AT_copy_x] = x;
    node->value[P2P_AT_copy_y] = y;
    ir_node_check(graph, node);
}

p2p_value p2p_concat(p2p_graph *graph, p2p_value a, p2p_value b) {
    if (!begin(graph, "concat", "", "") || !check_input(graph, "a", a) || !check_input(graph, "b", b))
        return P2P_NONE;
    ir_value x = graph->values[a.id], z = graph->values[b.id];
    if (x.n != z.n || x.h != z.h || x.w != z.w) {
        ir_fail(graph, P2P_INVALID,
                "%lldx%lldx%lldx%lld and %lldx%lldx%lldx%lld differ in more than channels", (long long)x.n,
                (long long)x.c, (long long)x.h, (long long)x.w, (long long)z.n, (long long)z.c,
                (long long)z.h, (long long)z.w);
        return P2P_NONE;
    }
    int y = activation(graph, x.n, x.c + z.c, x.h, x.w);
    copy_into_range(graph, a.id, y, 0);
    copy_into_range(graph, b.id, y, x.c);
    return result(graph, y);
}

p2p_value p2p_detach(p2p_graph *graph, p2p_value x) {
    if (!begin(graph, "detach", "", "") || !check_input(graph, "x", x)) return P2P_NONE;
    ir_value alias = graph->values[ir_value_resolve(graph, x.id)];
    alias.alias_of = ir_value_resolve(graph, x.id);
    alias.detached = true;
    return result(graph, ir_value_add(graph, &alias));
}

/* ---- Losses ------------------------------------------------------------------------------------------- */

/* Adds the scalar and the node of a loss over x. NULL after a failure. The caller sets the operands and
 * validates the node. */
static ir_node *add_loss(p2p_graph *graph, p2p_kind kind, int x, double weight, const char *name, int *loss) {
    ir_value in = graph->values[x];
    *loss = ir_value_add(graph,
                         &(ir_value){.role = IR_VECTOR, .origin = IR_LOCAL, .n = 1, .c = 1, .h = 1, .w = 1});
    add_output(graph, name, *loss, P2P_TYPE_f64, true);
    name_value(graph, *loss, text_of(name));
    ir_node *node = ir_node_add(graph, kind);
    if (!node) return NULL;
    const double elements = (double)in.c * (double)in.h * (double)in.w * (double)graph->global_batch;
    node->op.loss_scale = graph->local_batch > 0 ? 1 / elements : 0;
    node->op.grad_scale = weight * node->op.loss_scale;
    return node;
}

/* A loss of x with respect to a constant label. loss_bce and loss_mse have the same operands. */
static p2p_value label_loss(p2p_graph *graph, p2p_kind kind, p2p_value x, int target, double weight,
                            const char *name) {
    _Static_assert((int)P2P_AT_loss_bce_x == (int)P2P_AT_loss_mse_x &&
                       (int)P2P_AT_loss_bce_loss == (int)P2P_AT_loss_mse_loss,
                   "operands agree");
    int loss = 0;
    ir_node *node = add_loss(graph, kind, x.id, weight, name, &loss);
    if (!node) return P2P_NONE;
    node->value[P2P_AT_loss_bce_x] = x.id;
    node->value[P2P_AT_loss_bce_loss] = loss;
    node->op.target = target;
    ir_node_check(graph, node);
    return result(graph, loss);
}

p2p_value p2p_loss_bce(p2p_graph *graph, p2p_value logits, int target, double weight, const char *name) {
    if (!begin(graph, "loss_bce", "", text_of(name)) || !check_input(graph, "logits", logits))
        return P2P_NONE;
    return label_loss(graph, P2P_KIND_loss_bce, logits, target, weight, name);
}

p2p_value p2p_loss_mse(p2p_graph *graph, p2p_value x, int target, double weight, const char *name) {
    if (!begin(graph, "loss_mse", "", text_of(name)) || !check_input(graph, "x", x)) return P2P_NONE;
    return label_loss(graph, P2P_KIND_loss_mse, x, target, weight, name);
}

p2p_value p2p_loss_l1(p2p_graph *graph, p2p_value x, p2p_value target, double weight, const char *name) {
    if (!begin(graph, "loss_l1", "", text_of(name)) || !check_input(graph, "x", x)) return P2P_NONE;
    int loss = 0;
    if (!check_input(graph, "target", target)) return P2P_NONE;
    ir_node *node = add_loss(graph, P2P_KIND_loss_l1, x.id, weight, name, &loss);
    if (!node) return P2P_NONE;
    node->value[P2P_AT_loss_l1_x] = x.id;
    node->value[P2P_AT_loss_l1_target] = target.id;
    node->value[P2P_AT_loss_l1_loss] = loss;
    ir_node_check(graph, node);
    return result(graph, loss);
}

/* ---- Updates ------------------------------------------------------------------------------------------ */

static bool check_network(p2p_graph *graph, p2p_network *network) {
    if (p2p_network_status(network) == P2P_OK) return true;
    ir_fail(graph, P2P_INVALID, "%s", p2p_message());
    return false;
}

void p2p_all_reduce_gradients(p2p_graph *graph, p2p_network *network) {
    if (!begin(graph, "all_reduce of", "", network ? network->name : "")) return;
    if (!check_network(graph, network) || graph->world == 1) return;
    int gradient = ir_arena_value(graph, network, P2P_STATE_GRADIENT);
    ir_node *node = ir_node_add(graph, P2P_KIND_all_reduce);
    if (!node) return;
    node->value[P2P_AT_all_reduce_y] = gradient;
    node->op.reduction = P2P_REDUCE_SUM;
    ir_node_check(graph, node);
}

static bool check_betas(p2p_graph *graph, double beta1, double beta2) {
    for (int i = 0; i < graph->node_count; i++) {
        const p2p_op *op = &graph->nodes[i].op;
        if (op->kind != P2P_KIND_adam || (op->beta1 == beta1 && op->beta2 == beta2)) continue;
        ir_fail(graph, P2P_INVALID, "beta %g, %g: an earlier update of this graph has %g, %g", beta1, beta2,
                op->beta1, op->beta2);
        return false;
    }
    return true;
}

void p2p_adam(p2p_graph *graph, p2p_network *network, double beta1, double beta2, double eps) {
    if (!begin(graph, "adam of", "", network ? network->name : "")) return;
    if (!check_network(graph, network) || !check_betas(graph, beta1, beta2)) return;
    static const struct {
        int operand;
        p2p_state_part part;
    } arenas[] = {{P2P_AT_adam_p, P2P_STATE_VALUE},
                  {P2P_AT_adam_g, P2P_STATE_GRADIENT},
                  {P2P_AT_adam_m, P2P_STATE_MOMENT1},
                  {P2P_AT_adam_v, P2P_STATE_MOMENT2}};
    int step = ir_step_value(graph);
    ir_node *node = ir_node_add(graph, P2P_KIND_adam);
    if (!node) return;
    for (int i = 0; i < 4; i++)
        node->value[arenas[i].operand] = ir_arena_value(graph, network, arenas[i].part);
    node->value[P2P_AT_adam_step] = step;
    node->op.beta1 = beta1;
    node->op.beta2 = beta2;
    node->op.eps = eps;
    ir_node_check(graph, node);
}
