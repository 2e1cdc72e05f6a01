/* The table of tiles and the estimate of their cost; nothing is timed here. See ocl_gpu_tile.h. */
#include "ocl_gpu_tile.h"

#include <stdio.h>

enum {
    MOST_LOCAL = 32 << 10, /* bytes, which every GPU has */
    LIVELY_ITEMS = 256     /* work-items below which a compute unit mostly waits for memory */
};

/* Efficiencies: the share of multiply-adds among the instructions of a step, as compiled for NVIDIA
 * (ci/gpu-code), times i / (i + 2) for i flops per byte that a step reads, relative to the first tile. */
static const ocl_gpu_tile tiles[] = {
    {16, 16, 8, 8, 1.0},  /* 128 x 128 */
    {16, 16, 8, 4, 0.85}, /* 128 x 64 */
    {8, 16, 8, 8, 0.95},  /* 64 x 128 */
    {8, 16, 8, 4, 0.84},  /* 64 x 64 */
    {8, 8, 8, 4, 0.75},   /* 64 x 32 */
    {8, 16, 4, 4, 0.71},  /* 32 x 64 */
    {8, 8, 4, 4, 0.65},   /* 32 x 32 */
    {4, 16, 4, 4, 0.63},  /* 16 x 64 */
    {64, 1, 1, 8, 0.3},   /* 64 x 8: for few output channels */
    {64, 1, 1, 4, 0.16},  /* 64 x 4 */
    {4, 4, 4, 4, 0.3},    /* 16 x 16: for devices with small groups */
    {1, 1, 4, 16, 0.1},   /* 4 x 16: a group of one work-item */
};

enum { TILES = sizeof tiles / sizeof tiles[0] };

int ocl_gpu_tile_m(const ocl_gpu_tile *tile) {
    return tile->group_m * tile->item_m;
}

int ocl_gpu_tile_n(const ocl_gpu_tile *tile) {
    return tile->group_n * tile->item_n;
}

static int items_of(const ocl_gpu_tile *tile) {
    return tile->group_m * tile->group_n;
}

static size_t local_bytes(const ocl_gpu_tile *tile) {
    return (size_t)(OCL_GPU_DEPTH * (ocl_gpu_tile_m(tile) + ocl_gpu_tile_n(tile))) * sizeof(float);
}

size_t ocl_gpu_local_limit(const ocl_target *target) {
    return target->local_bytes < MOST_LOCAL ? target->local_bytes : MOST_LOCAL;
}

static bool fits(const ocl_target *target, const ocl_gpu_tile *tile) {
    return (size_t)items_of(tile) <= target->group_limit && local_bytes(tile) <= ocl_gpu_local_limit(target);
}

/* Registers of a work-item that hold values from one step to the next: sums, and for each vector of 4 that it
 * loads the vector, a pointer and (in the first factor) a position. */
static int registers_of(const ocl_gpu_tile *tile) {
    enum { OF_A = 4 + 2 + 2, OF_B = 4 + 2 };
    const int64_t a_vectors = (int64_t)ocl_gpu_tile_m(tile) * OCL_GPU_DEPTH / 4;
    const int64_t b_vectors = (int64_t)ocl_gpu_tile_n(tile) * OCL_GPU_DEPTH / 4;
    return tile->item_m * tile->item_n + OF_A * (int)p2p_divide_up(a_vectors, items_of(tile)) +
           OF_B * (int)p2p_divide_up(b_vectors, items_of(tile));
}

/* Whether compilers keep a tile's values in registers, so that it may be fast: they take up to half of them.
 * Above that Intel's compiler leaves arrays in memory, sums included (ci/gpu-code). */
static bool suits(const ocl_target *target, const ocl_gpu_product *product, const ocl_gpu_tile *tile) {
    const int registers = target->registers > 0 ? target->registers : OCL_USUAL_REGISTERS;
    const int beside = product->gradient ? target->gradient_registers : 0;
    return fits(target, tile) && 2 * (registers_of(tile) + beside) <= registers;
}

static bool fits_product(const ocl_target *target, const ocl_gpu_product *product, const ocl_gpu_tile *tile) {
    (void)product;
    return fits(target, tile);
}

static int64_t groups_of(const ocl_gpu_product *p, const ocl_gpu_tile *tile) {
    return p2p_divide_up(p->rows, ocl_gpu_tile_m(tile)) * p2p_divide_up(p->columns, ocl_gpu_tile_n(tile)) *
           p->batches;
}

static double work_of(int64_t groups, const ocl_gpu_tile *tile) {
    return (double)groups * ocl_gpu_tile_m(tile) * ocl_gpu_tile_n(tile) / tile->efficiency;
}

/* Time of a launch: the groups of the most loaded compute unit, with a penalty if it has few work-items. */
static double launch_cost(const ocl_target *target, const ocl_gpu_product *p, const ocl_gpu_tile *tile) {
    const int64_t groups = p2p_divide_up(groups_of(p, tile), target->compute_units);
    const double items = (double)groups * items_of(tile);
    return work_of(groups, tile) * (items < LIVELY_ITEMS ? LIVELY_ITEMS / items : 1);
}

typedef bool tile_condition(const ocl_target *target, const ocl_gpu_product *product,
                            const ocl_gpu_tile *tile);

static const ocl_gpu_tile *cheapest(const ocl_target *target, const ocl_gpu_product *product,
                                    tile_condition *holds) {
    const ocl_gpu_tile *best = NULL;
    double least = 0;
    for (int i = 0; i < TILES; i++) {
        if (!holds(target, product, &tiles[i])) continue;
        const double cost = launch_cost(target, product, &tiles[i]);
        if (best && cost >= least) continue;
        best = &tiles[i];
        least = cost;
    }
    return best;
}

const ocl_gpu_tile *ocl_gpu_tile_cheapest(const ocl_target *target, const ocl_gpu_product *product) {
    const ocl_gpu_tile *tile = cheapest(target, product, suits);
    return tile ? tile : cheapest(target, product, fits_product); /* a device of very small groups */
}

const ocl_gpu_tile *ocl_gpu_tile_named(const ocl_target *target, const char *name) {
    int64_t size[2];
    for (int i = 0; i < TILES && ocl_variant_numbers(name, size, 2); i++)
        if (ocl_gpu_tile_m(&tiles[i]) == size[0] && ocl_gpu_tile_n(&tiles[i]) == size[1] &&
            fits(target, &tiles[i]))
            return &tiles[i];
    return NULL;
}

int ocl_gpu_tile_names(const ocl_target *target, const ocl_gpu_product *product, int most,
                       ocl_variant_name *names) {
    const int64_t results = product->rows * product->columns * product->batches;
    int count = 0;
    for (int i = 0; i < TILES && count < most; i++) {
        const int m = ocl_gpu_tile_m(&tiles[i]), n = ocl_gpu_tile_n(&tiles[i]);
        if (!suits(target, product, &tiles[i]) || groups_of(product, &tiles[i]) * m * n > 2 * results)
            continue;
        snprintf(names[count++], sizeof names[0], "%dx%d", m, n);
    }
    return count;
}

double ocl_gpu_product_cost(const ocl_gpu_product *product) {
    double least = 0;
    for (int i = 0; i < TILES; i++) {
        const double cost = work_of(groups_of(product, &tiles[i]), &tiles[i]);
        if (least == 0 || cost < least) least = cost;
    }
    return least;
}

void ocl_gpu_tile_launch(const ocl_target *target, ocl_launch *launch, const ocl_gpu_tile *tile,
                         const ocl_gpu_product *product) {
    ocl_launch_option(launch, "GROUP_M=%d", tile->group_m);
    ocl_launch_option(launch, "GROUP_N=%d", tile->group_n);
    ocl_launch_option(launch, "ITEM_M=%d", tile->item_m);
    ocl_launch_option(launch, "ITEM_N=%d", tile->item_n);
    ocl_launch_option(launch, "BUFFERS=%d", 2 * local_bytes(tile) <= ocl_gpu_local_limit(target) ? 2 : 1);
    launch->local[0] = (size_t)items_of(tile);
    launch->local[1] = launch->local[2] = 1;
    launch->global[0] = (size_t)p2p_divide_up(product->rows, ocl_gpu_tile_m(tile)) * launch->local[0];
    launch->global[1] = (size_t)p2p_divide_up(product->columns, ocl_gpu_tile_n(tile));
    launch->global[2] = (size_t)product->batches;
}
