/* Running a plan: inputs, segments, collectives, outputs.
 *
 * A run writes the step block and the inputs, runs the segments on every replica, starts a collective when
 * every replica has come to it, orders segments after the collectives that they need, and reads the outputs.
 * Everything is enqueued: the host waits only until a slot of host memory is free. In the check mode steps
 * run one by one and their outputs are checked. In a profiled run each step is waited for and timed. Nothing
 * is allocated after plan_prepare_part.
 */
#include "session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Preparation -------------------------------------------------------------------------------------- */

/* Orders the replica's next commands after the first `needed` collectives of the run. */
static p2p_status order_after(const p2p_plan *plan, plan_part *part, int needed) {
    for (; part->ordered < needed; part->ordered++) {
        const int i = part->ordered * plan->session->replica_count + part->replica;
        P2P_TRY(p2p_device_order(part->device, plan->done[i]));
    }
    return P2P_OK;
}

/* After a failure: waits until no command and no collective accesses memory, and keeps the failure's message.
 */
static p2p_status settle_devices(p2p_plan *plan, p2p_status status) {
    p2p_failure failure;
    p2p_failure_take(&failure, status);
    for (int r = 0; r < plan->session->replica_count; r++) {
        (void)order_after(plan, &plan->parts[r], plan->started);
        (void)p2p_device_finish(plan->parts[r].device);
    }
    return p2p_failure_give(&failure);
}

/* The callback and clock of a profiled run; functions take NULL for an ordinary run. */
typedef struct {
    double (*clock)(void);
    p2p_operation_timed timed;
    void *context;
} run_profile;

static p2p_status report_timing(const run_profile *profile, const plan_part *part, int s, double begin,
                                double seconds) {
    const plan_step *step = &part->steps[s];
    p2p_operation_timing timing = {.op = &step->op,
                                   .kernel = step->query.kernel,
                                   .replica = part->replica,
                                   .position = s,
                                   .needed = part->segments[part->next_segment - 1].needed,
                                   .begin = begin,
                                   .end = begin + seconds};
    return profile->timed(profile->context, &timing);
}

static p2p_status run_step(const plan_part *part, int s, const run_profile *profile) {
    if (!profile) return p2p_operation_run(part->steps[s].operation);
    double begin, seconds;
    P2P_TRY(p2p_device_time_begin(part->device, profile->clock, &begin));
    P2P_TRY(p2p_operation_run(part->steps[s].operation));
    P2P_TRY(p2p_device_time_end(part->device, profile->clock, begin, &seconds));
    return report_timing(profile, part, s, begin, seconds);
}

static p2p_status run_steps(const plan_part *part, int segment, const run_profile *profile) {
    bool check = part->session->options.check;
    for (int s = part->segments[segment].begin; s < part->segments[segment].end; s++) {
        if (check) P2P_TRY(plan_check_before(part, s));
        P2P_TRY(run_step(part, s, profile));
        if (check) P2P_TRY(plan_check_after(part, s));
    }
    return P2P_OK;
}

static p2p_status record_segment(plan_part *part, int segment) {
    P2P_TRY(p2p_record_begin(part->device));
    p2p_status status = run_steps(part, segment, NULL);
    if (status == P2P_OK) return p2p_record_end(part->device, &part->recorded[segment]);
    p2p_failure failure;
    p2p_failure_take(&failure, status);
    (void)p2p_record_end(part->device, &part->recorded[segment]); /* ends recording */
    return p2p_failure_give(&failure);
}

/* Releases what was recorded of a part whose steps then run one by one. */
static void clear_recordings(plan_part *part) {
    for (int segment = 0; segment < part->segment_count; segment++)
        p2p_recorded_destroy(part->recorded[segment]);
    free(part->recorded);
    part->recorded = NULL;
    p2p_device_warn_slower(part->device, P2P_SLOWER_recording);
}

static p2p_status record_part(plan_part *part) {
    const p2p_session_options *options = &part->session->options;
    if (options->no_recording || options->check || !p2p_device_can_record(part->device)) return P2P_OK;
    part->recorded = calloc((size_t)part->segment_count, sizeof(p2p_recorded *));
    if (!part->recorded) return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for a recording");
    p2p_status status = P2P_OK;
    for (int segment = 0; segment < part->segment_count && status == P2P_OK; segment++)
        status = record_segment(part, segment);
    if (status != P2P_UNSUPPORTED) return status;
    clear_recordings(part);
    return P2P_OK;
}

p2p_status plan_prepare_part(plan_part *part) {
    part->given = calloc((size_t)part->input_count + 1, sizeof *part->given);
    if (!part->given) return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for a plan");
    P2P_TRY(p2p_host_memory_alloc(part->device, part->output_bytes, &part->results));
    if (part->local_batch == 0) P2P_TRY(p2p_host_memory_alloc(part->device, PLAN_ZEROS, &part->zeros));
    for (int s = 0; s < PLAN_SLOTS; s++) {
        plan_slot *slot = &part->slots[s];
        P2P_TRY(p2p_host_memory_alloc(part->device, part->input_bytes, &slot->inputs));
        P2P_TRY(p2p_host_memory_alloc(part->device, part->output_bytes, &slot->outputs));
        P2P_TRY(p2p_host_memory_alloc(part->device, part->step_bytes, &slot->step));
    }
    return record_part(part);
}

p2p_status plan_prepare_runs(p2p_plan *plan) {
    size_t replicas = (size_t)plan->session->replica_count;
    const size_t collectives = (size_t)plan->parts[0].collective_count + 1;
    plan->places = calloc(replicas, sizeof *plan->places);
    plan->after = calloc(replicas, sizeof *plan->after);
    plan->done = calloc(replicas * collectives, sizeof *plan->done);
    if (!plan->places || !plan->after || !plan->done)
        return p2p_fail(P2P_OUT_OF_MEMORY, "no host memory for a plan");
    return P2P_OK;
}

void plan_release_runs(p2p_plan *plan) {
    for (int r = 0; r < plan->session->replica_count; r++) {
        plan_part *part = &plan->parts[r];
        for (int s = 0; s < PLAN_SLOTS; s++) {
            p2p_host_memory_free(part->device, &part->slots[s].inputs);
            p2p_host_memory_free(part->device, &part->slots[s].outputs);
            p2p_host_memory_free(part->device, &part->slots[s].step);
        }
        p2p_host_memory_free(part->device, &part->results);
        p2p_host_memory_free(part->device, &part->zeros);
        free(part->given);
        part->given = NULL;
    }
    free(plan->places);
    free(plan->after);
    free(plan->done);
}

/* ---- Inputs ------------------------------------------------------------------------------------------- */

static int slot_of(uint64_t run) {
    return (int)(run % PLAN_SLOTS);
}

static p2p_status wait_for_slot(plan_part *part, int slot) {
    P2P_TRY(p2p_device_wait(part->device, part->slots[slot].ticket));
    part->slots[slot].ticket = 0;
    return P2P_OK;
}

static const plan_port *find_port(const plan_port *ports, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (strcmp(ports[i].name, name) == 0) return &ports[i];
    return NULL;
}

static p2p_status check_replica(const p2p_plan *plan, int replica) {
    if (replica >= 0 && replica < plan->session->replica_count && plan->parts[replica].given) return P2P_OK;
    return p2p_fail(P2P_INVALID, "plan %s has no replica %d, or no memory yet", plan->name, replica);
}

static p2p_status no_input(const p2p_plan *plan, const char *name) {
    return p2p_fail(P2P_INVALID, "plan %s has no input %s", plan->name, name);
}

/* Sets *input to the number of an input of parts[replica], which is in one part of the batch. */
static p2p_status find_input(const p2p_plan *plan, int replica, const char *name, int *input) {
    P2P_TRY(check_replica(plan, replica));
    const plan_part *part = &plan->parts[replica];
    const plan_port *port = find_port(part->inputs, part->input_count, name);
    if (!port) return no_input(plan, name);
    *input = (int)(port - part->inputs);
    if (!find_port(port + 1, part->input_count - *input - 1, name)) return P2P_OK;
    return p2p_fail(P2P_INVALID, "plan %s: input %s is of several parts of the batch: name memory for it",
                    plan->name, name);
}

p2p_status p2p_plan_input(p2p_plan *plan, int replica, const char *name, void **place) {
    int input = 0, slot = slot_of(plan->runs);
    *place = NULL;
    P2P_TRY(find_input(plan, replica, name, &input));
    plan_part *part = &plan->parts[replica];
    P2P_TRY(wait_for_slot(part, slot));
    part->given[input] = NULL;
    *place = (unsigned char *)part->slots[slot].inputs.bytes + part->inputs[input].host_offset;
    return P2P_OK;
}

p2p_status p2p_plan_input_from(p2p_plan *plan, int replica, const char *name, const void *memory) {
    P2P_TRY(check_replica(plan, replica));
    const plan_part *part = &plan->parts[replica];
    if (!memory) return p2p_fail(P2P_INVALID, "plan %s: no memory for input %s", plan->name, name);
    if (!find_port(part->inputs, part->input_count, name)) return no_input(plan, name);
    for (int i = 0; i < part->input_count; i++) {
        const plan_port *port = &part->inputs[i];
        if (strcmp(port->name, name) != 0) continue;
        const size_t image = port->host_bytes / (size_t)part->values[port->value].tensor.n;
        part->given[i] = (const unsigned char *)memory + (size_t)port->first * image;
    }
    return P2P_OK;
}

static void clear_given(const p2p_plan *plan) {
    for (int r = 0; r < plan->session->replica_count; r++) {
        const plan_part *part = &plan->parts[r];
        for (int i = 0; part->given && i < part->input_count; i++) part->given[i] = NULL;
    }
}

static void fill_step_block(const plan_part *part, const plan_step_block *of, const p2p_step *step,
                            p2p_step_block *block) {
    const p2p_plan *plan = part->plan;
    double t = (double)step->step + 1;
    *block = (p2p_step_block){
        .seed_lo = (uint32_t)step->seed, .seed_hi = (uint32_t)(step->seed >> 32), .step = step->step};
    block->lr_corrected_f64 = step->learning_rate / (1 - pow(plan->beta1, t));
    block->root_v_correction_f64 = 1 / sqrt(1 - pow(plan->beta2, t));
    block->lr_corrected = (float)block->lr_corrected_f64;
    block->root_v_correction = (float)block->root_v_correction_f64;
    for (int64_t i = 0; i < of->images; i++) {
        int64_t sample = part->first_sample + of->first + i;
        const bool exists = part->local_batch > 0; /* else it is the image of a part without images */
        block->sample[i] = exists && step->samples ? step->samples[sample] : (uint32_t)sample;
    }
}

static void fill_step_blocks(const plan_part *part, const p2p_step *step, const plan_slot *slot) {
    for (int i = 0; i < part->step_block_count; i++) {
        const plan_step_block *of = &part->step_blocks[i];
        fill_step_block(part, of, step, (void *)((unsigned char *)slot->step.bytes + of->offset));
    }
}

static p2p_status write_step_blocks(const plan_part *part, const plan_slot *slot) {
    for (int i = 0; i < part->step_block_count; i++) {
        const plan_step_block *of = &part->step_blocks[i];
        const plan_value *value = &part->values[of->value];
        P2P_TRY(p2p_buffer_write(part->device, session_place(part->session, part->replica, value->at),
                                 (unsigned char *)slot->step.bytes + of->offset,
                                 p2p_tensor_bytes(&value->tensor)));
    }
    return P2P_OK;
}

static p2p_status write_inputs(const plan_part *part, const plan_slot *slot) {
    unsigned char *inputs = slot->inputs.bytes;
    for (int i = 0; i < part->input_count; i++) {
        const plan_port *port = &part->inputs[i];
        const plan_value *value = &part->values[port->value];
        const void *plain = part->given[i] ? part->given[i] : inputs + port->host_offset, *raw = plain;
        if (port->host_offset != port->raw_offset) {
            raw = inputs + port->raw_offset;
            p2p_tensor_pack(&value->tensor, plain, port->type, inputs + port->raw_offset);
        }
        p2p_place place = session_place(part->session, part->replica, value->at);
        P2P_TRY(p2p_buffer_write(part->device, place, raw, port->raw_bytes));
    }
    return write_step_blocks(part, slot);
}

/* Renews derived filters whose parameters the host has written. */
static p2p_status refresh_derived(p2p_session *session) {
    for (int i = 0; i < session->refresh_count; i++) {
        if (!session->networks[session->refreshes[i].network].stale) continue;
        for (int r = 0; r < session->replica_count; r++)
            P2P_TRY(p2p_operation_run(session->replicas[r].refresh[i]));
    }
    for (int i = 0; i < session->network_count; i++) session->networks[i].stale = false;
    return P2P_OK;
}

/* ---- The run ------------------------------------------------------------------------------------------ */

/* The step of the collective at which the replica stands. */
static int collective_of(const plan_part *part) {
    return part->segments[part->next_segment - 1].collective;
}

/* Overwrites the operand of the collective with zeros, in the order of the device's commands. */
static p2p_status contribute_nothing(const plan_part *part, p2p_place place) {
    const size_t bytes = p2p_tensor_bytes(&part->steps[collective_of(part)].op.t[0]);
    for (size_t done = 0; done < bytes; done += PLAN_ZEROS) {
        const size_t left = bytes - done;
        const p2p_place piece = {place.buffer, place.offset + done};
        P2P_TRY(
            p2p_buffer_write(part->device, piece, part->zeros.bytes, left < PLAN_ZEROS ? left : PLAN_ZEROS));
    }
    return P2P_OK;
}

/* Starts the next collective, at which all replicas stand. */
static p2p_status start_collective(p2p_plan *plan) {
    const p2p_session *session = plan->session;
    for (int r = 0; r < session->replica_count; r++) {
        const plan_part *part = &plan->parts[r];
        plan->places[r] = session_place(session, r, part->steps[collective_of(part)].at[0]);
        if (part->local_batch == 0) P2P_TRY(contribute_nothing(part, plan->places[r]));
        P2P_TRY(p2p_device_submit(part->device, &plan->after[r]));
    }
    const plan_part *first = &plan->parts[0];
    const p2p_op *op = &first->steps[collective_of(first)].op;
    p2p_ticket *done = plan->done + plan->started * session->replica_count;
    P2P_TRY(p2p_comm_run(session->comm, op, plan->places, plan->after, done));
    plan->started++;
    return P2P_OK;
}

static p2p_status check_collective(p2p_plan *plan) {
    for (int r = 0; r < plan->session->replica_count; r++) {
        plan_part *part = &plan->parts[r];
        P2P_TRY(order_after(plan, part, plan->started));
        P2P_TRY(plan_check_after(part, collective_of(part)));
    }
    return P2P_OK;
}

/* Times the collective. It is reported as replica 0's, although all replicas take part. */
static p2p_status run_collective(p2p_plan *plan, const run_profile *profile) {
    const plan_part *first = &plan->parts[0];
    const double begin = profile ? profile->clock() : 0;
    P2P_TRY(start_collective(plan));
    if (plan->session->options.check) P2P_TRY(check_collective(plan));
    if (!profile) return P2P_OK;
    for (int r = 0; r < plan->session->replica_count; r++)
        P2P_TRY(order_after(plan, &plan->parts[r], plan->started));
    P2P_TRY(session_finish_all(plan->session));
    return report_timing(profile, first, collective_of(first), begin, profile->clock() - begin);
}

/* Runs a replica's segments up to the next collective, or to the end. */
static p2p_status run_to_collective(const p2p_plan *plan, plan_part *part, const run_profile *profile) {
    while (part->next_segment < part->segment_count) {
        const int number = part->next_segment++;
        const plan_segment *segment = &part->segments[number];
        P2P_TRY(order_after(plan, part, segment->needed));
        P2P_TRY(part->recorded && !profile ? p2p_recorded_run(part->recorded[number])
                                           : run_steps(part, number, profile));
        if (segment->collective >= 0) break;
    }
    return P2P_OK;
}

/* Runs all segments and collectives. Afterwards the devices' commands are ordered after all collectives. */
static p2p_status run_segments(p2p_plan *plan, const run_profile *profile) {
    const int replicas = plan->session->replica_count, collectives = plan->parts[0].collective_count;
    plan->started = 0;
    for (int r = 0; r < replicas; r++) plan->parts[r].next_segment = plan->parts[r].ordered = 0;
    for (int i = 0; i <= collectives; i++) {
        for (int r = 0; r < replicas; r++) P2P_TRY(run_to_collective(plan, &plan->parts[r], profile));
        if (i < collectives) P2P_TRY(run_collective(plan, profile));
    }
    for (int r = 0; r < replicas; r++) P2P_TRY(order_after(plan, &plan->parts[r], plan->started));
    return P2P_OK;
}

static p2p_status read_outputs(const plan_part *part, const plan_slot *slot) {
    for (int i = 0; i < part->output_count; i++) {
        const plan_port *port = &part->outputs[i];
        plan_address at = plan_value_address(part, port->value);
        P2P_TRY(p2p_buffer_read(part->device, session_place(part->session, part->replica, at),
                                (unsigned char *)slot->outputs.bytes + port->raw_offset, port->raw_bytes));
    }
    return P2P_OK;
}

static p2p_status run_plan(p2p_plan *plan, const p2p_step *step, const run_profile *profile) {
    int slot = slot_of(plan->runs), replicas = plan->session->replica_count;
    P2P_TRY(refresh_derived(plan->session));
    for (int r = 0; r < replicas; r++) {
        plan_part *part = &plan->parts[r];
        fill_step_blocks(part, step, &part->slots[slot]);
        P2P_TRY(write_inputs(part, &part->slots[slot]));
    }
    if (profile)
        P2P_TRY(session_finish_all(plan->session)); /* exclude the inputs from the first operation's time */
    P2P_TRY(run_segments(plan, profile));
    for (int r = 0; r < replicas; r++) {
        plan_part *part = &plan->parts[r];
        P2P_TRY(read_outputs(part, &part->slots[slot]));
        P2P_TRY(p2p_device_submit(part->device, &part->slots[slot].ticket));
    }
    return P2P_OK;
}

static p2p_status start_run(p2p_plan *plan, const p2p_step *step, const run_profile *profile) {
    p2p_session *session = plan->session;
    if (!session->allocated || session->broken)
        return p2p_fail(P2P_INVALID, "plan %s can't run: its session has no memory", plan->name);
    session->touched = true;
    for (int r = 0; r < session->replica_count; r++)
        P2P_TRY(wait_for_slot(&plan->parts[r], slot_of(plan->runs)));
    if (plan->runs - plan->retired == PLAN_SLOTS) plan->retired++;
    p2p_status status = run_plan(plan, step, profile);
    if (status != P2P_OK) return settle_devices(plan, status);
    plan->runs++;
    return P2P_OK;
}

static p2p_status begin_run(p2p_plan *plan, const p2p_step *step, const run_profile *profile) {
    const p2p_status status = start_run(plan, step, profile);
    clear_given(plan);
    return status;
}

p2p_status p2p_plan_run(p2p_plan *plan, const p2p_step *step) {
    return begin_run(plan, step, NULL);
}

p2p_status p2p_plan_profile(p2p_plan *plan, const p2p_step *step, double (*clock)(void),
                            p2p_operation_timed timed, void *context) {
    if (plan->retired != plan->runs)
        return p2p_fail(P2P_INVALID, "plan %s can't be profiled: a run is in flight", plan->name);
    run_profile profile = {clock, timed, context};
    return begin_run(plan, step, &profile);
}

/* ---- Outputs ------------------------------------------------------------------------------------------ */

p2p_status p2p_plan_wait(p2p_plan *plan) {
    if (plan->retired == plan->runs)
        return p2p_fail(P2P_INVALID, "plan %s: there is no run to wait for", plan->name);
    int slot = slot_of(plan->retired);
    for (int r = 0; r < plan->session->replica_count; r++) P2P_TRY(wait_for_slot(&plan->parts[r], slot));
    /* Exchange buffers, so that the run's outputs stay valid while another run uses the slot. */
    for (int r = 0; r < plan->session->replica_count; r++) {
        plan_part *part = &plan->parts[r];
        const p2p_host_memory outputs = part->slots[slot].outputs;
        part->slots[slot].outputs = part->results;
        part->results = outputs;
    }
    plan->retired++;
    plan->has_results = true;
    return P2P_OK;
}

static p2p_status find_output(const p2p_plan *plan, int replica, const char *name, const plan_port **port) {
    if (!plan->has_results)
        return p2p_fail(P2P_INVALID, "plan %s: no run has been waited for yet", plan->name);
    if (replica < 0 || replica >= plan->session->replica_count)
        return p2p_fail(P2P_INVALID, "plan %s has no replica %d", plan->name, replica);
    const plan_part *part = &plan->parts[replica];
    *port = find_port(part->outputs, part->output_count, name);
    if (*port) return P2P_OK;
    return p2p_fail(P2P_INVALID, "plan %s has no output %s", plan->name, name);
}

/* The sum of the replica's losses of this name, one for each part of its batch. */
static p2p_status add_losses(const p2p_plan *plan, int replica, const char *name, double *sum) {
    const plan_part *part = &plan->parts[replica];
    for (int i = 0; i < part->output_count; i++) {
        const plan_port *port = &part->outputs[i];
        double share = 0;
        if (strcmp(port->name, name) != 0) continue;
        if (!port->loss) return p2p_fail(P2P_INVALID, "plan %s: output %s is not a loss", plan->name, name);
        p2p_tensor_unpack(&part->values[port->value].tensor,
                          (const unsigned char *)part->results.bytes + port->raw_offset, &share,
                          P2P_TYPE_f64);
        *sum += share;
    }
    return P2P_OK;
}

p2p_status p2p_plan_loss(p2p_plan *plan, const char *name, double *value) {
    *value = 0;
    for (int r = 0; r < plan->session->replica_count; r++) {
        const plan_port *port = NULL;
        P2P_TRY(find_output(plan, r, name, &port));
        if (plan->parts[r].local_batch > 0) P2P_TRY(add_losses(plan, r, name, value));
    }
    return P2P_OK;
}

p2p_status p2p_plan_output(p2p_plan *plan, int replica, const char *name, void *host) {
    const plan_port *port = NULL;
    P2P_TRY(find_output(plan, replica, name, &port));
    const plan_part *part = &plan->parts[replica];
    p2p_tensor_unpack(&part->values[port->value].tensor,
                      (const unsigned char *)part->results.bytes + port->raw_offset, host, port->type);
    return P2P_OK;
}
