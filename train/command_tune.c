/* `p2p tune`: measures, for one network configuration, the fastest algorithm of each convolution on a device,
 * and stores the choices for later starts on the device. */
#include "bench/bench_profile.h"
#include "command.h"
#include "host/sys.h"
#include "host/text.h"
#include "setup/setup.h"

/* The state of the progress line. */
typedef struct {
    double began; /* clock reading at the plan's first convolution; 0: none yet */
} tuning_progress;

static void show(void *context, int done, int total, const p2p_op *op, const p2p_choice *choice) {
    tuning_progress *shown = context;
    const bool live = sys_is_terminal(stderr);
    char name[128], left[32];
    (void)choice;
    if (shown->began == 0) shown->began = sys_clock();
    bench_operation_name(op, name, sizeof name);
    text_duration((sys_clock() - shown->began) / done * (total - done), left, sizeof left);
    fprintf(stderr, "%s%d of %d convolutions, %s left: %s%s", live ? "\r\033[K" : "", done, total,
            done > 1 ? left : "?", name, live ? "" : "\n");
    if (done == total) {
        shown->began = 0;
        if (live) fprintf(stderr, "\r\033[K");
    }
    fflush(stderr);
}

static p2p_status plan_graph(p2p_session *session, const char *name, p2p_graph *graph) {
    p2p_plan *plan;
    return p2p_session_plan(session, name, &graph, &plan);
}

/* Plan what a training runs: the step, if --mode is train, and the generator alone for validation. */
static p2p_status plan_all(const settings *all, const pix2pix *model, p2p_session *session,
                           p2p_graph *graphs[2]) {
    pix2pix_graph_options options = pix2pix_graph_options_for(model, all->batch);
    if (setup_mode_is_train(all)) {
        P2P_TRY(pix2pix_graph_train(model, &options, &graphs[0]));
        P2P_TRY(plan_graph(session, "training step", graphs[0]));
    }
    P2P_TRY(pix2pix_graph_evaluate(model, &options, false, &graphs[1]));
    return plan_graph(session, "translation", graphs[1]);
}

static void print_choice(const p2p_op *op, const p2p_choice *choice) {
    char name[128];
    bench_operation_name(op, name, sizeof name);
    printf("%-62s %-24s", name, choice->name[0] ? choice->name : "by heuristic");
    if (choice->seconds > 0)
        printf(" %9.3f %12.3f %7.2f\n", choice->seconds * 1e3, choice->default_seconds * 1e3,
               choice->default_seconds / choice->seconds);
    else
        printf(" %9s %12s %7s\n", "-", "-", "-");
}

static void print_table(const p2p_session *session) {
    const int count = p2p_session_choice_count(session);
    double chosen = 0, by_heuristic = 0;
    printf("%-62s %-24s %9s %12s %7s\n", "convolution", "chosen", "ms", "heuristic ms", "speedup");
    for (int i = 0; i < count; i++) {
        const p2p_op *op;
        const p2p_choice *choice;
        p2p_session_choice(session, i, &op, &choice);
        print_choice(op, choice);
        chosen += choice->seconds;
        by_heuristic += choice->default_seconds;
    }
    if (chosen > 0)
        printf("%-62s %-24s %9.3f %12.3f %7.2f\n", "each once", "", chosen * 1e3, by_heuristic * 1e3,
               by_heuristic / chosen);
}

static p2p_status tune(const settings *all, const pix2pix *model, const setup_devices *devices) {
    tuning_progress shown = {0};
    const setup_tuning tuning = {
        .automatic = P2P_TUNE_ANEW, .on = P2P_TUNE_ANEW, .progress = show, .context = &shown};
    p2p_session *session = NULL;
    p2p_graph *graphs[2] = {NULL, NULL};
    p2p_status status = setup_session_create(all, devices, &tuning, &session);
    if (status == P2P_OK) status = plan_all(all, model, session, graphs);
    if (status == P2P_OK && p2p_session_choice_count(session) == 0)
        fprintf(stderr, "%s has one algorithm for every convolution: there is nothing to tune\n",
                p2p_device_address(devices->list[0]));
    else if (status == P2P_OK)
        print_table(session);
    p2p_session_destroy(session);
    p2p_graph_destroy(graphs[0]);
    p2p_graph_destroy(graphs[1]);
    return status;
}

p2p_status command_tune(settings *all) {
    P2P_TRY(setup_devices_one(all));
    return setup_with_model(all, "tune", tune);
}
