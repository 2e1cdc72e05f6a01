/* Host access to networks' state: initial values, and reading and writing of single parameters.
 *
 * Conversion between plain host order and the device's layout is done in pieces of a parameter, so neither a
 * network nor a large filter is held twice. Initial values depend on seed, names and logical positions only.
 */
#include "session.h"

#include "p2p_philox.h"

#include <stdlib.h>
#include <string.h>

/* ---- Finding ------------------------------------------------------------------------------------------ */

typedef struct {
    int network;
    const p2p_param_info *info;
    p2p_tensor tensor;
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
    bool running = place->info->kind == P2P_PARAM_RUNNING;
    bool exists = running ? part == P2P_STATE_VALUE : part <= P2P_STATE_MOMENT2 && known->needed[part];
    if (!exists)
        return p2p_fail(P2P_INVALID, "parameter %s of network %s has no %s in this session",
                        place->info->name, p2p_network_name(network),
                        plan_space_text(plan_space_of(0, (plan_network_space)part)));
    place->tensor = session_param(session, place->network, param.id, part, &place->at);
    return P2P_OK;
}

static p2p_status check_host_type(p2p_type type) {
    if (type == P2P_TYPE_f32 || type == P2P_TYPE_f64) return P2P_OK;
    return p2p_fail(P2P_INVALID, "parameters are read and written as f32 or f64, not %s",
                    p2p_type_name(type));
}

/* ---- Pieces ------------------------------------------------------------------------------------------- */

/* Target size of a piece in bytes. A piece is a range of n that is contiguous in device memory and begins at
 * a multiple of the device's alignment. */
enum { PIECE = 1 << 20 };

typedef struct {
    p2p_tensor tensor; /* of the piece */
    plan_address at;
    int64_t first; /* logical element of the parameter */
    size_t bytes;
} param_piece;

/* The extent of n of a piece; all of n if n is not outermost or alignment prevents a division. */
static int64_t piece_step(const p2p_session *session, const p2p_tensor *tensor) {
    if (tensor->layout == P2P_LAYOUT_kcrs_t) return tensor->n;
    const int64_t unit = p2p_layout_is_filter(tensor->layout) && tensor->block > 1 ? tensor->block : 1;
    p2p_tensor rows = *tensor;
    rows.n = unit;
    const size_t bytes = p2p_tensor_bytes(&rows);
    if (bytes % session->cut.alignment != 0) return tensor->n;
    return bytes >= PIECE ? unit : unit * (int64_t)(PIECE / bytes);
}

/* The piece that begins at extent `n`. */
static param_piece piece_at(const p2p_session *session, const param_place *place, int64_t n) {
    const p2p_tensor *whole = &place->tensor;
    const int64_t step = piece_step(session, whole);
    param_piece piece = {.tensor = *whole, .at = place->at, .first = n * whole->c * whole->h * whole->w};
    piece.tensor.n = whole->n - n < step ? whole->n - n : step;
    piece.at.offset += (size_t)p2p_tensor_index(whole, n, 0, 0, 0) * p2p_type_bytes(whole->type);
    piece.bytes = p2p_tensor_bytes(&piece.tensor);
    return piece;
}

/* ---- Writing ------------------------------------------------------------------------------------------ */

/* Enqueues a write on every replica, and waits when all are under way. */
static p2p_status write_all(const p2p_session *session, plan_address at, const void *raw, size_t bytes) {
    p2p_status status = P2P_OK;
    for (int r = 0; r < session->replica_count && status == P2P_OK; r++)
        status = p2p_buffer_write(session->replicas[r].device, session_place(session, r, at), raw, bytes);
    if (status == P2P_OK) status = session_finish_all(session);
    if (status != P2P_OK) session_finish_devices(session); /* writes under way read `raw` */
    return status;
}

/* Writes the elements `host` of a piece to all replicas. */
static p2p_status write_piece(p2p_session *session, const param_piece *piece, p2p_type type, const void *host,
                              void *raw) {
    memset(raw, 0, piece->bytes); /* padding lanes are zero */
    p2p_tensor_pack(&piece->tensor, host, type, raw);
    return write_all(session, piece->at, raw, piece->bytes);
}

/* Of running statistics, which are one piece: keeps them for the replicas of all processes. */
static void keep_statistics(const p2p_session *session, const param_place *place, const void *raw) {
    if (place->info->kind != P2P_PARAM_RUNNING) return;
    for (int r = 0; r < session->world; r++)
        session_keep_running(session, place->network, r, place->at.offset, raw,
                             p2p_tensor_bytes(&place->tensor));
}

/* `raw` and `host` are buffers for the largest piece. */
static p2p_status write_pieces(p2p_session *session, const param_place *place, p2p_type type, void *raw,
                               void *host, p2p_give_elements give, void *context) {
    for (int64_t n = 0; n < place->tensor.n;) {
        const param_piece piece = piece_at(session, place, n);
        P2P_TRY(give(context, host, p2p_tensor_elements(&piece.tensor)));
        P2P_TRY(write_piece(session, &piece, type, host, raw));
        keep_statistics(session, place, raw);
        n += piece.tensor.n;
    }
    return P2P_OK;
}

p2p_status p2p_session_write_pieces(p2p_session *session, const p2p_network *network, p2p_param param,
                                    p2p_state_part part, p2p_type type, p2p_give_elements give,
                                    void *context) {
    param_place place;
    P2P_TRY(check_host_type(type));
    P2P_TRY(find_param(session, network, param, part, &place));
    if (part == P2P_STATE_VALUE)
        session->networks[place.network].stale = true;
    else
        session->touched = true;
    const param_piece largest = piece_at(session, &place, 0);
    void *raw = malloc(largest.bytes);
    void *host = malloc((size_t)p2p_tensor_elements(&largest.tensor) * p2p_type_bytes(type));
    p2p_status status = raw && host ? write_pieces(session, &place, type, raw, host, give, context)
                                    : plan_no_memory(place.info->name);
    free(raw);
    free(host);
    return status;
}

/* The source of the next elements. */
typedef struct {
    const unsigned char *next;
    size_t element;
} host_source;

static p2p_status give_from_host(void *context, void *values, int64_t count) {
    host_source *host = context;
    memcpy(values, host->next, (size_t)count * host->element);
    host->next += (size_t)count * host->element;
    return P2P_OK;
}

p2p_status p2p_session_write(p2p_session *session, const p2p_network *network, p2p_param param,
                             p2p_state_part part, p2p_type type, const void *host) {
    P2P_TRY(check_host_type(type));
    host_source source = {host, p2p_type_bytes(type)};
    return p2p_session_write_pieces(session, network, param, part, type, give_from_host, &source);
}

/* ---- Reading ------------------------------------------------------------------------------------------ */

static p2p_status read_raw(const p2p_session *session, int replica, plan_address at, void *raw,
                           size_t bytes) {
    p2p_device *device = session->replicas[replica].device;
    P2P_TRY(p2p_device_finish(device));
    P2P_TRY(p2p_buffer_read(device, session_place(session, replica, at), raw, bytes));
    return p2p_device_finish(device);
}

/* `raw` and `host` are buffers for the largest piece. */
static p2p_status read_pieces(const p2p_session *session, const param_place *place, p2p_type type, void *raw,
                              void *host, p2p_take_elements take, void *context) {
    for (int64_t n = 0; n < place->tensor.n;) {
        const param_piece piece = piece_at(session, place, n);
        P2P_TRY(read_raw(session, 0, piece.at, raw, piece.bytes));
        p2p_tensor_unpack(&piece.tensor, raw, host, type);
        P2P_TRY(take(context, host, p2p_tensor_elements(&piece.tensor)));
        n += piece.tensor.n;
    }
    return P2P_OK;
}

static void store(void *host, p2p_type type, int64_t i, double value) {
    if (type == P2P_TYPE_f64) {
        ((double *)host)[i] = value;
    } else {
        ((float *)host)[i] = (float)value;
    }
}

/* Reads those of a replica of any process. */
static p2p_status read_raw_statistics(const p2p_session *session, const param_place *place, int number,
                                      void *raw) {
    const size_t bytes = p2p_tensor_bytes(&place->tensor);
    const int local = number - session->rank0;
    if (local >= 0 && local < session->replica_count) return read_raw(session, local, place->at, raw, bytes);
    session_copy_running(session, place->network, number, place->at.offset, raw, bytes);
    return P2P_OK;
}

static p2p_status read_statistics(const p2p_session *session, const param_place *place, int replica,
                                  void *raw, double *values) {
    P2P_TRY(read_raw_statistics(session, place, replica, raw));
    p2p_tensor_unpack(&place->tensor, raw, values, P2P_TYPE_f64);
    return P2P_OK;
}

/* Running statistics: each replica's are of its own images; the network's are their mean. It is the first
 * one's plus the mean difference from it, which is exact if all are equal. */
static p2p_status read_mean(const p2p_session *session, const param_place *place, void *raw, double *first,
                            double *one, p2p_type type, void *host) {
    const int64_t count = p2p_tensor_elements(&place->tensor);
    double *difference = calloc((size_t)count, sizeof *difference);
    if (!difference) return plan_no_memory(place->info->name);
    p2p_status status = read_statistics(session, place, 0, raw, first);
    for (int r = 1; r < session->world && status == P2P_OK; r++) {
        status = read_statistics(session, place, r, raw, one);
        for (int64_t i = 0; status == P2P_OK && i < count; i++) difference[i] += one[i] - first[i];
    }
    for (int64_t i = 0; status == P2P_OK && i < count; i++)
        store(host, type, i, first[i] + difference[i] / session->world);
    free(difference);
    return status;
}

static p2p_status read_running(const p2p_session *session, const param_place *place, p2p_type type, void *raw,
                               void *host, p2p_take_elements take, void *context) {
    const int64_t count = p2p_tensor_elements(&place->tensor);
    double *sums = malloc(2 * (size_t)count * sizeof *sums);
    if (!sums) return plan_no_memory(place->info->name);
    p2p_status status = read_mean(session, place, raw, sums, sums + count, type, host);
    free(sums);
    return status == P2P_OK ? take(context, host, count) : status;
}

p2p_status p2p_session_read_pieces(p2p_session *session, const p2p_network *network, p2p_param param,
                                   p2p_state_part part, p2p_type type, p2p_take_elements take,
                                   void *context) {
    param_place place;
    P2P_TRY(check_host_type(type));
    P2P_TRY(find_param(session, network, param, part, &place));
    const bool running = place.info->kind == P2P_PARAM_RUNNING; /* small, so read whole */
    const p2p_tensor largest = running ? place.tensor : piece_at(session, &place, 0).tensor;
    void *raw = malloc(p2p_tensor_bytes(&largest));
    void *host = malloc((size_t)p2p_tensor_elements(&largest) * p2p_type_bytes(type));
    p2p_status status = !raw || !host ? plan_no_memory(place.info->name)
                        : running     ? read_running(session, &place, type, raw, host, take, context)
                                      : read_pieces(session, &place, type, raw, host, take, context);
    free(raw);
    free(host);
    return status;
}

/* The destination of the next elements. */
typedef struct {
    unsigned char *next;
    size_t element;
} host_elements;

static p2p_status take_into_host(void *context, const void *values, int64_t count) {
    host_elements *host = context;
    memcpy(host->next, values, (size_t)count * host->element);
    host->next += (size_t)count * host->element;
    return P2P_OK;
}

p2p_status p2p_session_read(p2p_session *session, const p2p_network *network, p2p_param param,
                            p2p_state_part part, p2p_type type, void *host) {
    P2P_TRY(check_host_type(type));
    host_elements elements = {host, p2p_type_bytes(type)};
    return p2p_session_read_pieces(session, network, param, part, type, take_into_host, &elements);
}

/* ---- Running statistics of one replica ---------------------------------------------------------------- */

static p2p_status find_running(const p2p_session *session, const p2p_network *network, p2p_param param,
                               int replica, p2p_type type, param_place *place) {
    P2P_TRY(check_host_type(type));
    P2P_TRY(find_param(session, network, param, P2P_STATE_VALUE, place));
    if (replica < 0 || replica >= session->world)
        return p2p_fail(P2P_INVALID, "the session has no replica %d", replica);
    if (place->info->kind == P2P_PARAM_RUNNING) return P2P_OK;
    return p2p_fail(P2P_INVALID, "parameter %s is not one of running statistics", place->info->name);
}

p2p_status p2p_session_read_running(p2p_session *session, const p2p_network *network, p2p_param param,
                                    int replica, p2p_type type, void *host) {
    param_place place;
    P2P_TRY(find_running(session, network, param, replica, type, &place));
    void *raw = malloc(p2p_tensor_bytes(&place.tensor));
    if (!raw) return plan_no_memory(place.info->name);
    const p2p_status status = read_raw_statistics(session, &place, replica, raw);
    if (status == P2P_OK) p2p_tensor_unpack(&place.tensor, raw, host, type);
    free(raw);
    return status;
}

static p2p_status write_statistics(p2p_session *session, int replica, plan_address at, const void *raw,
                                   size_t bytes) {
    p2p_device *device = session->replicas[replica].device;
    p2p_status status = p2p_buffer_write(device, session_place(session, replica, at), raw, bytes);
    if (status == P2P_OK) status = p2p_device_finish(device);
    if (status != P2P_OK) session_finish_devices(session); /* a write under way reads `raw` */
    return status;
}

p2p_status p2p_session_write_running(p2p_session *session, const p2p_network *network, p2p_param param,
                                     int replica, p2p_type type, const void *host) {
    param_place place;
    P2P_TRY(find_running(session, network, param, replica, type, &place));
    const size_t bytes = p2p_tensor_bytes(&place.tensor);
    void *raw = calloc(1, bytes);
    if (!raw) return plan_no_memory(place.info->name);
    p2p_tensor_pack(&place.tensor, host, type, raw);
    session_keep_running(session, place.network, replica, place.at.offset, raw, bytes);
    const int local = replica - session->rank0;
    const bool is_here = local >= 0 && local < session->replica_count;
    const p2p_status status = is_here ? write_statistics(session, local, place.at, raw, bytes) : P2P_OK;
    free(raw);
    return status;
}

/* ---- Initial values ----------------------------------------------------------------------------------- */

/* The state of drawing a parameter: element e is mean + stddev * normal number e of the stream
 * "network/parameter"; those of resizing filters are draw_resizing_filter()'s. Elements from `first` on are
 * written to `host`. `first` is even, because pieces begin at multiples of 64 bytes. */
typedef struct {
    const p2p_session *session;
    const p2p_param_info *info;
    p2p_draw stream;
    int64_t first, count;
    double *host;
} drawing;

/* Elements of a job: a few tenths of a millisecond. */
enum { DRAWN_AT_ONCE = 1 << 14 };

static p2p_draw parameter_stream(const p2p_network *network, const p2p_param_info *info, uint64_t seed) {
    char name[sizeof network->name + sizeof info->name + 1];
    snprintf(name, sizeof name, "%s/%s", network->name, info->name);
    return (p2p_draw){.seed = seed, .stream = p2p_name_hash(name)};
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* The elements of a filter of p2p_network_filter_resizing(), for stddev 1. Filter f takes the normal numbers
 * from 10 f on; the last of these ten is not used. */
static void draw_resizing_filter(const p2p_draw *stream, uint64_t filter, double element[16]) {
    static const double deviation = 1.5; /* of the sums: 1, 2, 2 and 1 numbers meet in each direction */
    double normal[10];
    p2p_draw_normals(stream, filter * 5, 5, normal);
    memset(element, 0, 16 * sizeof *element);
    for (int i = 0; i < 9; i++)
        for (int copy = 0; copy < 4; copy++)
            element[4 * (i / 3 + copy / 2) + i % 3 + copy % 2] += normal[i] / deviation;
}

/* Elements from `first` to before `end` of the piece, which may begin and end within a filter. */
static void draw_resizing(const drawing *d, int64_t first, int64_t end) {
    while (first < end) {
        double element[16];
        const uint64_t place = (uint64_t)(d->first + first);
        draw_resizing_filter(&d->stream, place / 16, element);
        for (uint64_t at = place % 16; at < 16 && first < end; at++)
            d->host[first++] = d->info->stddev * element[at];
    }
}

static void draw_some(void *context, int index) {
    const drawing *d = context;
    const int64_t first = (int64_t)index * DRAWN_AT_ONCE, end = smaller(first + DRAWN_AT_ONCE, d->count);
    if (d->info->resizing) {
        draw_resizing(d, first, end);
        return;
    }
    double normal[2 * P2P_DRAW_PAIRS] = {0};
    for (int64_t e = first; e < end; e += 2 * P2P_DRAW_PAIRS) {
        const int count = (int)smaller(2 * P2P_DRAW_PAIRS, end - e);
        p2p_draw_normals(&d->stream, (uint64_t)(d->first + e) / 2, (count + 1) / 2, normal);
        for (int i = 0; i < count; i++) d->host[e + i] = d->info->mean + d->info->stddev * normal[i];
    }
}

static p2p_status draw(void *context, void *values, int64_t count) {
    drawing *d = context;
    const int jobs = (int)((count + DRAWN_AT_ONCE - 1) / DRAWN_AT_ONCE);
    d->host = values;
    d->count = count;
    if (d->session->options.parallel)
        d->session->options.parallel(draw_some, d, jobs);
    else
        for (int i = 0; i < jobs; i++) draw_some(d, i);
    d->first += count;
    return P2P_OK;
}

/* Means are 0, variances 1. A parameter of running statistics is one piece: means, then variances. */
static p2p_status give_zeros_and_ones(void *context, void *values, int64_t count) {
    (void)context;
    for (int64_t i = 0; i < count; i++) ((double *)values)[i] = i < count / 2 ? 0 : 1;
    return P2P_OK;
}

static p2p_status initialise_param(p2p_session *session, const p2p_network *network, int id, uint64_t seed) {
    const p2p_param_info *info = &network->params[id];
    drawing d = {.session = session, .info = info, .stream = parameter_stream(network, info, seed)};
    p2p_give_elements give = info->kind == P2P_PARAM_RUNNING ? give_zeros_and_ones : draw;
    return p2p_session_write_pieces(session, network, (p2p_param){id}, P2P_STATE_VALUE, P2P_TYPE_f64, give,
                                    &d);
}

/* Enqueues writes of zeros to a whole space, padding included, `piece` bytes at a time. */
static p2p_status clear_space(const p2p_session *session, int replica, int space, const void *zeros,
                              size_t piece) {
    p2p_device *device = session->replicas[replica].device;
    size_t bytes = session_space_bytes(session, space);
    for (size_t offset = 0; offset < bytes;) {
        size_t to_cut = session->cut.chunk_bytes - offset % session->cut.chunk_bytes, length = bytes - offset;
        if (length > to_cut) length = to_cut;
        if (length > piece) length = piece;
        P2P_TRY(p2p_buffer_write(device, session_place(session, replica, (plan_address){space, offset}),
                                 zeros, length));
        offset += length;
    }
    return P2P_OK;
}

static p2p_status clear_parts(const p2p_session *session, int network, const void *zeros, size_t piece) {
    for (int r = 0; r < session->replica_count; r++)
        for (int part = PLAN_SPACE_gradient; part <= PLAN_SPACE_moment2; part++)
            P2P_TRY(clear_space(session, r, plan_space_of(network, (plan_network_space)part), zeros, piece));
    return session_finish_all(session);
}

p2p_status p2p_session_initialise(p2p_session *session, const p2p_network *network, uint64_t seed) {
    int index = 0;
    P2P_TRY(session_find_network(session, network, &index));
    for (int id = 0; id < session->networks[index].param_count; id++)
        P2P_TRY(initialise_param(session, network, id, seed));
    if (!session->touched) return P2P_OK;
    size_t piece = plan_round_up(PIECE, session->cut.alignment);
    void *zeros = calloc(1, piece);
    if (!zeros) return plan_no_memory(p2p_network_name(network));
    p2p_status status = clear_parts(session, index, zeros, piece);
    if (status != P2P_OK) session_finish_devices(session); /* writes under way read `zeros` */
    free(zeros);
    return status;
}

p2p_type p2p_session_state_type(const p2p_session *session) {
    return p2p_device_describe(session->replicas[0].device)->filter.type == P2P_TYPE_f64 ? P2P_TYPE_f64
                                                                                         : P2P_TYPE_f32;
}
