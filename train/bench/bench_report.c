/* Tables and JSON objects of a bench. See bench_report.h. */
#include "bench_report.h"

#include "host/text.h"
#include "json_text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

/* ---- JSON --------------------------------------------------------------------------------------------- */

p2p_status bench_print_json(json_t *object) {
    const size_t flags = JSON_COMPACT | JSON_ENSURE_ASCII | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9);
    char *text;
    p2p_status status = json_text_make("the results as JSON", object, flags, &text);
    json_decref(object);
    P2P_TRY(status);
    printf("%s\n", text);
    free(text);
    return P2P_OK;
}

json_t *bench_append_json(json_t *array, json_t *item) {
    if (json_array_append_new(array, item) == 0) return array;
    json_decref(array);
    return NULL;
}

json_t *bench_join_json(json_t *object, json_t *more) {
    if (object && more && json_object_update(object, more) == 0) {
        json_decref(more);
        return object;
    }
    json_decref(object);
    json_decref(more);
    return NULL;
}

static json_t *device_to_json(const settings *all, const p2p_device *device) {
    return json_pack("{s:s, s:s, s:s, s:s}", "what", all->what, "version", P2P_VERSION, "device",
                     p2p_device_address(device), "device_name", p2p_device_name(device));
}

static json_t *bench_to_json(const bench *b) {
    const settings *all = b->all;
    json_t *object = device_to_json(all, b->devices.list[0]);
    object = json_text_add(object, "devices", b->devices.count > 1, json_integer(b->devices.count));
    return bench_join_json(object, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:i, s:f}", "precision",
                                             p2p_precision_name(b->devices.precision), "plan",
                                             b->training ? "train" : "translate", "batch",
                                             (json_int_t)all->batch, "size", (json_int_t)all->size, "ngf",
                                             (json_int_t)all->ngf, "ndf", (json_int_t)all->ndf, "depth",
                                             b->model->config.depth, "dropout", all->dropout));
}

const char *bench_peak_source(const bench_peaks *peaks) {
    return peaks->by_convolution ? "convolution" : "fma";
}

static json_t *peaks_to_json(const bench_peaks *peaks) {
    return json_pack("{s:f, s:f, s:s, s:f}", "peak_gflops", peaks->flops_per_s * 1e-9, "peak_fp32_gflops",
                     peaks->fp32_flops_per_s * 1e-9, "peak_source", bench_peak_source(peaks), "peak_gb_per_s",
                     peaks->bytes_per_s * 1e-9);
}

/* ---- Text --------------------------------------------------------------------------------------------- */

static void print_bench(const bench *b) {
    char addresses[256], together[64] = "";
    setup_devices_print(&b->devices, addresses, sizeof addresses);
    text_line(stdout, "%s on %s, %s", b->training ? "training" : "translation", addresses,
              p2p_device_name(b->devices.list[0]));
    if (bench_images(b) != b->all->batch)
        snprintf(together, sizeof together, ", %" PRId64 " images per step in all", bench_images(b));
    printf("%s, batch %" PRId64 "%s, %" PRId64 "x%" PRId64 " pixels, %" PRId64 " filters, %d levels\n",
           p2p_precision_name(b->devices.precision), b->all->batch, together, b->all->size, b->all->size,
           b->all->ngf, b->model->config.depth);
}

void bench_print_peaks(const bench_peaks *peaks) {
    printf("peak %.1f GFLOP/s", peaks->flops_per_s * 1e-9);
    if (peaks->math != P2P_MATH_stored)
        printf(" in %s, %.1f in fp32", p2p_math_name(peaks->math), peaks->fp32_flops_per_s * 1e-9);
    printf(" (%s), memory %.1f GB/s, measured in this run\n",
           peaks->by_convolution ? "the best convolution: the device has no kernel that only multiplies"
                                 : "multiply-adds alone",
           peaks->bytes_per_s * 1e-9);
}

/* ---- Steps -------------------------------------------------------------------------------------------- */

/* Peaks are those of one device. */
static double share_of_peak(const bench *b, const bench_peaks *peaks, double rate) {
    return bench_rate(rate, peaks->flops_per_s) / b->devices.count;
}

static void print_speed(const bench *b, const bench_speed *speed, double flops, const bench_peaks *peaks) {
    double images = (double)bench_images(b), rate = bench_rate(flops, speed->step_s.median);
    print_bench(b);
    bench_print_peaks(peaks);
    printf("%-22s %10.3f   (%.3f to %.3f over %d steps)\n", "images per second",
           images / speed->step_s.median, images / speed->step_s.greatest, images / speed->step_s.least,
           speed->steps);
    printf("%-22s %10.3f ms\n", "a step", speed->step_s.median * 1e3);
    printf("%-22s %10.3f s\n", "until the first step", speed->first_step_s);
    printf("%-22s %10.3f GFLOP of direct convolution in a step\n", "work", flops * 1e-9);
    printf("%-22s %10.1f GFLOP/s, %.0f %% of the peak\n", "rate", rate * 1e-9,
           100 * share_of_peak(b, peaks, rate));
    printf("%-22s %10.1f MB\n", b->devices.count > 1 ? "memory on each device" : "memory on the device",
           (double)speed->memory.total * 1e-6);
    printf("%-22s %10.1f MB at most\n", "memory of the process", (double)speed->host_peak_bytes * 1e-6);
}

p2p_status bench_report_speed(const bench *b, const bench_speed *speed, double convolution_flops,
                              const bench_peaks *peaks) {
    if (!b->all->json) {
        print_speed(b, speed, convolution_flops, peaks);
        return P2P_OK;
    }
    double images = (double)bench_images(b), rate = bench_rate(convolution_flops, speed->step_s.median);
    json_t *results = json_pack(
        "{s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I}", "steps", speed->steps,
        "images_per_s", images / speed->step_s.median, "images_per_s_min", images / speed->step_s.greatest,
        "images_per_s_max", images / speed->step_s.least, "step_s", speed->step_s.median, "step_s_min",
        speed->step_s.least, "step_s_max", speed->step_s.greatest, "first_step_s", speed->first_step_s,
        "convolution_gflop", convolution_flops * 1e-9, "gflops", rate * 1e-9, "share_of_peak",
        share_of_peak(b, peaks, rate), "device_memory_bytes", (json_int_t)speed->memory.total,
        "host_peak_bytes", (json_int_t)speed->host_peak_bytes);
    return bench_print_json(
        bench_join_json(bench_join_json(bench_to_json(b), peaks_to_json(peaks)), results));
}

/* ---- Operations --------------------------------------------------------------------------------------- */

/* The ceiling that limits an operation: of all ceilings, the one that alone would make it take longest.
 * `share` is the fraction of the ceiling that the operation reaches. */
typedef struct {
    const char *name;
    double share;
} binding_ceiling;

static binding_ceiling ceiling_of(const bench_group *group, const bench_peaks *peaks) {
    bool narrow = group->op->math != P2P_MATH_stored;
    double compute = bench_rate(group->flops, narrow ? peaks->flops_per_s : peaks->fp32_flops_per_s);
    double memory = bench_rate(group->bytes, peaks->bytes_per_s);
    return compute > memory ? (binding_ceiling){"compute", bench_rate(compute, group->seconds)}
                            : (binding_ceiling){"memory", bench_rate(memory, group->seconds)};
}

static double sum_seconds(const bench_group *groups, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) sum += groups[i].seconds;
    return sum;
}

static void print_groups(const bench_group *groups, int count, const bench_peaks *peaks) {
    double sum = sum_seconds(groups, count), flops = 0, bytes = 0;
    int operations = 0;
    printf("%9s %5s %5s %9s %9s %8s %7s %-7s %4s  %-28s %s\n", "ms", "%", "count", "MFLOP", "MB", "GFLOP/s",
           "GB/s", "bound", "%", "kernel", "operation");
    for (int i = 0; i < count; i++) {
        const bench_group *g = &groups[i];
        binding_ceiling bound = ceiling_of(g, peaks);
        char name[192];
        bench_operation_name(g->op, name, sizeof name);
        printf("%9.3f %5.1f %5d %9.2f %9.2f %8.1f %7.1f %-7s %4.0f  %-28s %s\n", g->seconds * 1e3,
               100 * bench_rate(g->seconds, sum), g->count, g->flops * 1e-6, g->bytes * 1e-6,
               bench_rate(g->flops, g->seconds) * 1e-9, bench_rate(g->bytes, g->seconds) * 1e-9, bound.name,
               100 * bound.share, g->kernel, name);
        operations += g->count;
        flops += g->flops;
        bytes += g->bytes;
    }
    printf("%9.3f %5.1f %5d %9.2f %9.2f %8.1f %7.1f  in all\n", sum * 1e3, 100.0, operations, flops * 1e-6,
           bytes * 1e-6, bench_rate(flops, sum) * 1e-9, bench_rate(bytes, sum) * 1e-9);
}

static json_t *group_to_json(const bench_group *g, const bench_peaks *peaks) {
    binding_ceiling bound = ceiling_of(g, peaks);
    char text[P2P_OP_TEXT];
    p2p_op_print(g->op, text, sizeof text);
    return json_pack(
        "{s:s, s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:s, s:f}", "kind", p2p_kind_name(g->op->kind), "op",
        text, "kernel", g->kernel, "count", g->count, "seconds", g->seconds, "mflop", g->flops * 1e-6, "mb",
        g->bytes * 1e-6, "gflops", bench_rate(g->flops, g->seconds) * 1e-9, "gb_per_s",
        bench_rate(g->bytes, g->seconds) * 1e-9, "bound", bound.name, "share_of_bound", bound.share);
}

static json_t *groups_to_json(const bench_group *groups, int count, const bench_peaks *peaks) {
    json_t *list = json_array();
    for (int i = 0; list && i < count; i++) {
        if (json_array_append_new(list, group_to_json(&groups[i], peaks)) == 0) continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

p2p_status bench_report_operations(const bench *b, const bench_profile *profile, const bench_peaks *peaks) {
    bench_group *groups;
    int count;
    P2P_TRY(bench_profile_group(profile, &groups, &count));
    p2p_status status = P2P_OK;
    if (b->all->json) {
        json_t *results =
            json_pack("{s:i, s:f, s:o}", "steps", profile->repeats, "sum_s", sum_seconds(groups, count),
                      "operations", groups_to_json(groups, count, peaks));
        status = bench_print_json(
            bench_join_json(bench_join_json(bench_to_json(b), peaks_to_json(peaks)), results));
    } else {
        print_bench(b);
        bench_print_peaks(peaks);
        printf("each operation alone, from its submission to its end; median of %d\n\n", profile->repeats);
        print_groups(groups, count, peaks);
    }
    free(groups);
    return status;
}

/* ---- Transfers ---------------------------------------------------------------------------------------- */

/* Rates from times, in GB/s. The longest time gives the least rate. */
static bench_range rates(const bench_range *seconds, double bytes) {
    return (bench_range){.median = bench_rate(bytes, seconds->median) * 1e-9,
                         .least = bench_rate(bytes, seconds->greatest) * 1e-9,
                         .greatest = bench_rate(bytes, seconds->least) * 1e-9};
}

static void print_rates(const char *what, const bench_range *rate) {
    printf("%-22s %10.2f GB/s   (%.2f to %.2f)\n", what, rate->median, rate->least, rate->greatest);
}

p2p_status bench_report_transfers(const settings *all, const p2p_device *device,
                                  const bench_transfers *transfers) {
    double bytes = BENCH_TRANSFER_BYTES;
    bench_range write = rates(&transfers->write_s, bytes), read = rates(&transfers->read_s, bytes);
    bench_range copy = rates(&transfers->copy_s, 2 * bytes), kernel = rates(&transfers->kernel_s, 2 * bytes);
    if (all->json)
        return bench_print_json(bench_join_json(
            device_to_json(all, device),
            json_pack("{s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "steps",
                      transfers->count, "bytes", BENCH_TRANSFER_BYTES, "to_device_gb_per_s", write.median,
                      "to_device_gb_per_s_min", write.least, "to_device_gb_per_s_max", write.greatest,
                      "to_host_gb_per_s", read.median, "to_host_gb_per_s_min", read.least,
                      "to_host_gb_per_s_max", read.greatest, "copy_gb_per_s", copy.median,
                      "copy_gb_per_s_min", copy.least, "copy_gb_per_s_max", copy.greatest,
                      "copy_kernel_gb_per_s", kernel.median, "copy_kernel_gb_per_s_min", kernel.least,
                      "copy_kernel_gb_per_s_max", kernel.greatest)));
    text_line(stdout, "transfers of %d MB on %s, %s; %d of each", BENCH_TRANSFER_BYTES >> 20,
              p2p_device_address(device), p2p_device_name(device), transfers->count);
    print_rates("host to device", &write);
    print_rates("device to host", &read);
    printf("within the device, read and written:\n");
    print_rates("the driver's copy", &copy);
    print_rates("a copy kernel", &kernel);
    return P2P_OK;
}
