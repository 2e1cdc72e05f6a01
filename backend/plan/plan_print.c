/* Prints a plan as text, for users and for tests that compare it.
 *
 * All numbers are functions of the plan, so equal plans have equal texts. Nothing is measured.
 */
#include "session.h"

#include <inttypes.h>
#include <string.h>

static double megabytes(size_t bytes) {
    return (double)bytes / 1e6;
}

static p2p_status check_stream(FILE *stream) {
    if (!ferror(stream)) return P2P_OK;
    return p2p_fail(P2P_IO, "the plan could not be printed");
}

/* Whether the step's algorithm was chosen by a measurement; otherwise the heuristic chose it. */
static bool was_measured(const plan_part *part, const plan_step *step) {
    if (!p2p_op_is_convolution(&step->op)) return false;
    const session_choice *known = session_find_choice(part->session, part->replica, &step->op);
    return known && known->choice.seconds > 0;
}

static p2p_status print_steps(const p2p_plan *plan, FILE *stream) {
    const plan_part *part = &plan->parts[0];
    for (int s = 0; s < part->step_count; s++) {
        const plan_step *step = &part->steps[s];
        char text[P2P_OP_TEXT];
        p2p_op_print(&step->op, text, sizeof text);
        fprintf(stream, "%4d %s\n       [layer %d, %s%s, %.3f MFLOP, %.3f MB]\n", s, text, step->layer,
                step->query.kernel, was_measured(part, step) ? " as measured" : "",
                p2p_op_flops(&step->op) / 1e6, p2p_op_bytes(&step->op) / 1e6);
    }
    return check_stream(stream);
}

/* The number of copies that renew derived filters; their operands are not values of the graph. */
static int count_renewals(const plan_part *part) {
    int count = 0;
    for (int s = 0; s < part->step_count; s++)
        count += part->steps[s].op.kind == P2P_KIND_copy && !part->steps[s].value[P2P_AT_copy_x];
    return count;
}

static void print_kinds(const plan_part *part, FILE *stream) {
    int launches = 0, collectives = 0, counts[P2P_KIND_COUNT] = {0};
    double flops = 0, bytes = 0;
    for (int s = 0; s < part->step_count; s++) {
        const plan_step *step = &part->steps[s];
        counts[step->op.kind]++;
        collectives += step->collective;
        launches += !step->collective;
        flops += p2p_op_flops(&step->op);
        bytes += p2p_op_bytes(&step->op);
    }
    fprintf(stream, "operations: %d launches, %d collectives, %.3f GFLOP, %.3f GB moved at least\n", launches,
            collectives, flops / 1e9, bytes / 1e9);
    for (int kind = 0; kind < P2P_KIND_COUNT; kind++) {
        if (!counts[kind]) continue;
        fprintf(stream, "  %4d %s", counts[kind], p2p_kind_name((p2p_kind)kind));
        if (kind == P2P_KIND_copy)
            fprintf(stream, " (%d of them renew derived filters)", count_renewals(part));
        fprintf(stream, "\n");
    }
}

static void print_fusions(const plan_part *part, FILE *stream) {
    static const char *const texts[] = {
#define X(name, text) text,
        PLAN_FUSION_LIST(X)
#undef X
    };
    fprintf(stream, "joined:\n");
    for (int i = 0; i < PLAN_FUSION_COUNT; i++)
        if (part->fused[i]) fprintf(stream, "  %4d %s\n", part->fused[i], texts[i]);
}

/* Reductions of one kind: of parts of a network's arena, or of values of a layer. */
static void print_reductions_of(const plan_part *part, const char *what, bool of_arena, FILE *stream) {
    size_t bytes = 0, most = 0;
    int count = 0, direct = 0;
    for (int s = 0; s < part->step_count; s++) {
        const plan_step *step = &part->steps[s];
        if (!step->collective || (part->values[step->value[0]].origin == IR_ARENA) != of_arena) continue;
        const size_t size = p2p_tensor_bytes(&step->op.t[0]);
        count++;
        bool own;
        (void)session_foresee(part->session, &step->op, &own);
        direct += own;
        bytes += size;
        if (size > most) most = size;
    }
    if (count == 0) return;
    fprintf(stream, "  %-16s %10.3f MB in %d reductions, %.3f MB at most, %s\n", what, megabytes(bytes),
            count, megabytes(most),
            direct == count ? "by the backend's communicator"
            : direct == 0   ? "through host memory"
                            : "some through host memory");
}

static void print_reductions(const plan_part *part, FILE *stream) {
    if (part->collective_count == 0) return;
    fprintf(stream, "reductions of a step over %d replicas:\n", part->session->replica_count);
    print_reductions_of(part, "gradients", true, stream);
    print_reductions_of(part, "statistics", false, stream);
}

static void print_memory(const p2p_plan *plan, FILE *stream) {
    const plan_part *part = &plan->parts[0];
    p2p_session_memory use;
    p2p_session_memory_use(plan->session, &use);
    fprintf(stream, "memory of this plan per replica:\n");
    fprintf(stream, "  activations      %10.3f MB (%.3f MB are live at once, %.3f MB without sharing)\n",
            megabytes(part->arena_bytes), megabytes(part->live_bytes), megabytes(part->unshared_bytes));
    fprintf(stream, "  scratch          %10.3f MB at most, within the activations' memory\n",
            megabytes(part->scratch_bytes));
    fprintf(stream, "  inputs           %10.3f MB\n", megabytes(part->io_bytes));
    fprintf(stream, "memory of the session per replica:\n");
    fprintf(stream, "  parameters       %10.3f MB\n", megabytes(use.parameters));
    fprintf(stream, "  gradients        %10.3f MB\n", megabytes(use.gradients));
    fprintf(stream, "  Adam's moments   %10.3f MB\n", megabytes(use.moments));
    fprintf(stream, "  derived filters  %10.3f MB\n", megabytes(use.derived));
    fprintf(stream, "  activations      %10.3f MB\n", megabytes(use.activations));
    fprintf(stream, "  inputs           %10.3f MB\n", megabytes(use.inputs_outputs));
    fprintf(stream, "  total            %10.3f MB\n", megabytes(use.total));
}

p2p_status plan_print_summary(const p2p_plan *plan, FILE *stream) {
    const plan_part *part = &plan->parts[0];
    fprintf(stream, "plan %s: batch %" PRId64 " of %" PRId64 ", %d segment%s\n", plan->name,
            part->local_batch, plan->global_batch, part->segment_count, part->segment_count == 1 ? "" : "s");
    print_kinds(part, stream);
    print_fusions(part, stream);
    print_reductions(part, stream);
    print_memory(plan, stream);
    return check_stream(stream);
}

p2p_status p2p_plan_print(const p2p_plan *plan, FILE *stream) {
    P2P_TRY(print_steps(plan, stream));
    return plan_print_summary(plan, stream);
}
