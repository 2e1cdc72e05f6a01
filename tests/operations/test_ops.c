/* The operation runner: every kind of operation on one device, compared with the reference.
 *
 *   test_ops [--backend opencl:0|reference] [--storage NAME] [--mode test|refusals|support|perf]
 *            [--filter KIND] [--precision fp32|tf32|bf16] [--case "DESCRIPTOR"] [--seed N] [--random N]
 * [--long]
 *            [--sparse] [--fewer] [--one-pass] [--tiny] [--macs N] [--apart] [--family NAME] [--verbose]
 *
 * Before anything runs, the device is queried for the whole fixed table, and its refusals are compared with
 * golden/refusals.txt (op_refusal.h).
 *
 *   --mode refusals   does nothing else; with P2P_UPDATE_GOLDEN=1 it writes the device's section of that file
 *   --family NAME     compares with another family's section, for test doubles
 *   --storage NAME    stores tensors otherwise than the device requests. With the reference, which supports
 *                     every layout, this tests the layouts and the runner itself
 *   --random N        draws N cases of each kind after the table
 *   --precision bf16  stores activations in bf16, or computes convolutions in bf16, as the device supports
 *   --precision tf32  computes convolutions in tf32
 *   --long            runs the networks' layers at full size
 *   --sparse          runs every third shape of convolutions, for families that compile a kernel for each
 *   --fewer           runs fewer convolutions
 *   --one-pass        leaves out convolutions of so many positions that backends divide them into passes
 *   --tiny            is --fewer without the cases above 300,000 multiply-adds, or --macs N, for simulators
 *   --apart           gives each operand a buffer that ends with it, for simulators that report reads outside
 *                     of buffers
 *
 * Exits with 1 if a case failed, a refusal is not permitted, the device is missing, or no case of a kind ran;
 * with 2 on wrong usage.
 */
#include "check/op_compare.h"
#include "op_suite.h"
#include "support/null_backend.h"
#include "support/picky_backend.h"
#include "support/refusing_backend.h"
#include "support/test_files.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *backend, *storage, *mode, *filter, *descriptor, *family;
    p2p_precision precision;
    uint64_t seed;
    int random;
    uint64_t macs; /* limit of a case with --tiny */
    bool full_size, sparse, fewer, one_pass, tiny, apart, verbose;
} options;

/* ---- Options ------------------------------------------------------------------------------------------ */

static int usage(const char *problem, const char *what) {
    fprintf(stderr,
            "test_ops: %s %s\n"
            "usage: test_ops [--backend ADDRESS] [--storage nchwc16|nhwc8|plain] "
            "[--mode test|refusals|support|perf]\n"
            "                [--precision fp32|tf32|bf16] [--filter KIND] [--case DESCRIPTOR] [--seed N] "
            "[--random N]\n"
            "                [--long] [--sparse] [--fewer] [--one-pass] [--tiny] [--macs N] [--apart] "
            "[--family NAME] [--verbose]\n",
            problem, what);
    return 2;
}

static bool parse_number(const char *text, uint64_t *value) {
    char *end = NULL;
    *value = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0';
}

/* Returns 0, or the exit code. */
static int parse(int argc, char **argv, options *chosen) {
    *chosen =
        (options){.backend = "reference", .mode = "test", .seed = 1, .random = 20, .macs = OP_TINY_MACS};
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        bool *flag = strcmp(name, "--long") == 0       ? &chosen->full_size
                     : strcmp(name, "--sparse") == 0   ? &chosen->sparse
                     : strcmp(name, "--fewer") == 0    ? &chosen->fewer
                     : strcmp(name, "--one-pass") == 0 ? &chosen->one_pass
                     : strcmp(name, "--tiny") == 0     ? &chosen->tiny
                     : strcmp(name, "--apart") == 0    ? &chosen->apart
                     : strcmp(name, "--verbose") == 0  ? &chosen->verbose
                                                       : NULL;
        if (flag) {
            *flag = true;
            continue;
        }
        uint64_t number = 0;
        const char *value = i + 1 < argc ? argv[++i] : NULL;
        if (!value) return usage("nothing follows", name);
        if (strcmp(name, "--backend") == 0) {
            chosen->backend = value;
        } else if (strcmp(name, "--storage") == 0) {
            chosen->storage = value;
        } else if (strcmp(name, "--mode") == 0) {
            chosen->mode = value;
        } else if (strcmp(name, "--precision") == 0 && p2p_precision_parse(value, &chosen->precision)) {
            continue;
        } else if (strcmp(name, "--family") == 0) {
            chosen->family = value;
        } else if (strcmp(name, "--filter") == 0) {
            chosen->filter = value;
        } else if (strcmp(name, "--case") == 0) {
            chosen->descriptor = value;
        } else if (strcmp(name, "--seed") == 0 && parse_number(value, &number)) {
            chosen->seed = number;
        } else if (strcmp(name, "--random") == 0 && parse_number(value, &number) && number < 1000000) {
            chosen->random = (int)number;
        } else if (strcmp(name, "--macs") == 0 && parse_number(value, &number) && number < 1000000000) {
            chosen->macs = number;
        } else {
            return usage("invalid option or value:", name);
        }
    }
    return 0;
}

/* ---- Storages ----------------------------------------------------------------------------------------- */

static bool choose_storages(const char *name, p2p_precision precision, const p2p_device_info *info,
                            op_storages *storages) {
    const p2p_storage plain = {P2P_TYPE_f32, P2P_LAYOUT_plain, 0};
    *storages = op_storages_of(info, precision);
    if (!name) return true;
    *storages = (op_storages){plain, plain, plain, P2P_TYPE_f32, 1};
    if (strcmp(name, "plain") == 0) return true;
    if (strcmp(name, "nchwc16") == 0) {
        storages->activation = (p2p_storage){P2P_TYPE_f32, P2P_LAYOUT_nchwc, 16};
        storages->filter = (p2p_storage){P2P_TYPE_f32, P2P_LAYOUT_ckrs, 16};
        storages->channel_alignment = 16;
        return true;
    }
    storages->activation = (p2p_storage){P2P_TYPE_bf16, P2P_LAYOUT_nhwc, 8};
    storages->filter = (p2p_storage){P2P_TYPE_f32, P2P_LAYOUT_krsc, 8};
    storages->gradient = P2P_TYPE_bf16;
    storages->channel_alignment = 8;
    return strcmp(name, "nhwc8") == 0;
}

/* ---- Families of devices ------------------------------------------------------------------------------ */

static const char *environment(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

static bool is_opencl(const char *backend) {
    return strncmp(backend, "opencl", 6) == 0;
}

/* The backend's own rule. */
static bool acts_as_cpu(const char *backend, const p2p_device_info *info) {
    const bool as_gpu = is_opencl(backend) && (strcmp(environment("P2P_OPENCL_TREAT_AS"), "gpu") == 0 ||
                                               strncmp(environment("P2P_OPENCL_CONV"), "gpu", 3) == 0);
    return info->type == P2P_DEVICE_CPU && !as_gpu;
}

/* Prints the family, such as "opencl cpu". Devices of a family refuse the same. Each test double is a family.
 */
static void print_family(const options *chosen, const p2p_device_info *info, char *text, size_t size) {
    static const char *const doubles[] = {"null", "picky", "refusing"};
    const size_t length = strcspn(chosen->backend, ":");
    if (chosen->family) {
        snprintf(text, size, "%s", chosen->family);
        return;
    }
    for (int i = 0; i < 3; i++) {
        if (strncmp(chosen->backend, doubles[i], length) != 0) continue;
        snprintf(text, size, "%s", chosen->backend);
        return;
    }
    snprintf(text, size, "%.*s %s", (int)length, chosen->backend,
             acts_as_cpu(chosen->backend, info) ? "cpu" : "gpu");
}

/* Sets the section of the list: the family, and the settings on which refusals depend. */
static void name_section(op_suite *suite, const options *chosen, const p2p_device_info *info) {
    char family[64];
    const char *conv = is_opencl(chosen->backend) ? environment("P2P_OPENCL_CONV") : "";
    suite->one_family = conv[0] && strcmp(conv, "auto") != 0;
    print_family(chosen, info, family, sizeof family);
    snprintf(suite->section, sizeof suite->section, "%s %s%s%s%s%s", family,
             p2p_precision_name(chosen->precision), suite->one_family ? " conv=" : "",
             suite->one_family ? conv : "", chosen->storage ? " storage=" : "",
             chosen->storage ? chosen->storage : "");
}

/* ---- Modes -------------------------------------------------------------------------------------------- */

static void visit_all(op_suite *suite, const options *chosen) {
    const op_tier tier = {.full_size = chosen->full_size,
                          .sparse = chosen->sparse,
                          .fewer = chosen->fewer || chosen->tiny,
                          .one_pass = chosen->one_pass,
                          .macs = chosen->tiny ? (double)chosen->macs : 0,
                          .channel_alignment = suite->storages.channel_alignment};
    suite->most_flops = 2 * tier.macs;
    op_cases_table(&tier, op_suite_case, suite);
    op_rng rng = {chosen->seed};
    for (int kind = 0; kind < P2P_KIND_all_reduce; kind++) {
        for (int i = 0; i < chosen->random; i++) {
            op_case item = op_case_random((p2p_kind)kind, &rng, &tier);
            op_suite_case(suite, &item);
        }
    }
    op_suite_collectives(suite, chosen->backend);
}

/* Parses --case. Prints a message and returns false if it is not a descriptor. */
static bool parse_case(const char *text, p2p_op *op) {
    if (p2p_op_parse(text, op) == P2P_OK && p2p_op_validate(op) == P2P_OK) return true;
    fprintf(stderr, "test_ops: %s\n", p2p_message());
    return false;
}

static int run_refusals(op_suite *suite) {
    const bool listed = op_suite_refusals(suite, strcmp(environment("P2P_UPDATE_GOLDEN"), "1") == 0);
    return op_suite_refusals_report(suite) && listed ? 0 : 1;
}

static int run_tests(op_suite *suite, const options *chosen) {
    const bool judges = strcmp(chosen->mode, "test") == 0;
    const bool listed = !judges || chosen->descriptor || op_suite_refusals(suite, false);
    if (chosen->descriptor) {
        p2p_op op;
        if (!parse_case(chosen->descriptor, &op)) return 2;
        suite->only_kind = (int)op.kind;
        op_suite_descriptor(suite, &op);
    } else {
        visit_all(suite, chosen);
    }
    if (strcmp(chosen->mode, "support") == 0) {
        op_suite_matrix(suite);
        return 0;
    }
    return op_suite_report(suite) && listed ? 0 : 1;
}

typedef struct {
    op_suite *suite;
    int result;
} perf_walk;

static void time_descriptor(op_suite *suite, const p2p_op *op, int *result) {
    p2p_status status = op_perf(&suite->device, op, suite->seed);
    if (status == P2P_OK) return;
    char text[P2P_OP_TEXT];
    p2p_op_print(op, text, sizeof text);
    printf("%s: %s: %s\n", status == P2P_UNSUPPORTED ? "skipped" : "FAIL", text, p2p_message());
    if (status != P2P_UNSUPPORTED) *result = 1;
}

/* Times a case as the planner runs it, with the filter that op_query requests. */
static void time_case(void *context, const op_case *item) {
    perf_walk *walk = context;
    p2p_op op = op_suite_stamp(walk->suite, item);
    p2p_query answer;
    if (walk->suite->only_kind >= 0 && (int)op.kind != walk->suite->only_kind) return;
    if (p2p_operation_query(walk->suite->device.device, &op, &answer) == P2P_OK)
        op = op_with_requested_filter(&op, &answer);
    time_descriptor(walk->suite, &op, &walk->result);
}

/* Times the networks' layers, or one descriptor as it is. */
static int run_perf(op_suite *suite, const options *chosen) {
    perf_walk walk = {suite, 0};
    if (chosen->descriptor) {
        p2p_op op;
        if (!parse_case(chosen->descriptor, &op)) return 2;
        time_descriptor(suite, &op, &walk.result);
        return walk.result;
    }
    const op_tier tier = {.full_size = chosen->full_size,
                          .channel_alignment = suite->storages.channel_alignment};
    op_cases_layers(&tier, time_case, &walk);
    return walk.result;
}

static int run(const options *chosen, op_suite *suite) {
    if (op_bench_open(chosen->backend, &suite->device) != P2P_OK ||
        op_bench_open("reference:0", &suite->reference) != P2P_OK) {
        fprintf(stderr, "test_ops: %s\n", p2p_message());
        return 1;
    }
    suite->device.apart = chosen->apart;
    const p2p_device_info *info = p2p_device_describe(suite->device.device);
    if (!choose_storages(chosen->storage, chosen->precision, info, &suite->storages)) {
        return usage("there is no storage", chosen->storage);
    }
    /* Activations that are in bf16 by --storage are multiplied as stored. */
    const bool named_bf16 = suite->storages.activation.type != info->activation.type;
    const bool stored = chosen->precision == P2P_PRECISION_bf16 && named_bf16;
    suite->math = stored ? P2P_MATH_stored : op_math_of(info, chosen->precision);
    suite->own_storage = !chosen->storage && strcmp(chosen->mode, "support") != 0;
    suite->list = test_golden("refusals.txt");
    name_section(suite, chosen, info);
    if (strcmp(chosen->mode, "refusals") == 0) return run_refusals(suite);
    return strcmp(chosen->mode, "perf") == 0 ? run_perf(suite, chosen) : run_tests(suite, chosen);
}

/* Prints the command line up to --case, with the environment variables that affect it. */
static void print_repro(const options *chosen, char *text, size_t size) {
    static const char *const switches[] = {"P2P_OPENCL_CONV",     "P2P_OPENCL_VECTOR_WIDTH",
                                           "P2P_OPENCL_BF16",     "P2P_OPENCL_VARIANT",
                                           "P2P_OPENCL_TREAT_AS", "P2P_OPENCL_WINOGRAD"};
    size_t used = 0;
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++) {
        const char *value = getenv(switches[i]);
        if (value && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s=%s ", switches[i], value);
    }
    if (used < size) snprintf(text + used, size - used, "test_ops --backend %s", chosen->backend);
}

static bool is_mode(const char *mode) {
    static const char *const modes[] = {"test", "refusals", "support", "perf"};
    for (int i = 0; i < 4; i++)
        if (strcmp(modes[i], mode) == 0) return true;
    return false;
}

int main(int argc, char **argv) {
    options chosen;
    int result = parse(argc, argv, &chosen);
    if (result != 0) return result;
    if (!is_mode(chosen.mode)) return usage("there is no mode", chosen.mode);
    if (p2p_module_register(null_module) != P2P_OK || p2p_module_register(picky_module) != P2P_OK ||
        p2p_module_register(refusing_module) != P2P_OK)
        return 1;
    char repro[256];
    print_repro(&chosen, repro, sizeof repro);
    op_suite *suite = calloc(1, sizeof *suite);
    if (!suite) return 1;
    suite->repro = repro;
    suite->seed = chosen.seed;
    suite->only_kind = chosen.filter ? op_kind_named(chosen.filter) : -1;
    if (chosen.filter && suite->only_kind < 0) {
        free(suite);
        return usage("there is no kind", chosen.filter);
    }
    if (chosen.verbose) p2p_log_to(stderr);
    result = run(&chosen, suite);
    op_bench_close(&suite->device);
    op_bench_close(&suite->reference);
    free(suite);
    return result;
}
