/* Tiles in local memory: the shapes for which kernels/conv/gpu_tile.clh is compiled, and the choice of one
 * for a matrix product. Shared by the planners of the families for GPUs. No bit of a result depends on the
 * tile.
 */
#ifndef OCL_GPU_TILE_H
#define OCL_GPU_TILE_H

#include "plan/ocl_plan.h"

/* Work-items of a group and results of each, along rows (m) and columns (n) of the tile. `efficiency`: the
 * estimated share of the device's multiply-add rate that the tile reaches. */
typedef struct {
    int group_m, group_n, item_m, item_n;
    double efficiency;
} ocl_gpu_tile;

/* `batches` products of rows x columns results. */
typedef struct {
    int64_t rows, columns, batches;
    bool gradient; /* by kernels/conv/conv_gpu_filter.cl, which needs more registers (ocl_target) */
} ocl_gpu_product;

enum { OCL_GPU_DEPTH = 16 /* of a step of a sum */ };

int ocl_gpu_tile_m(const ocl_gpu_tile *tile);
int ocl_gpu_tile_n(const ocl_gpu_tile *tile);

/* Bytes of local memory that kernels may use: the device's, but at most 32 KiB, which every GPU has. */
size_t ocl_gpu_local_limit(const ocl_target *target);

/* The tile with the least estimated time among those that fit the device and its registers, or, if none does,
 * the device; NULL if none fits. */
const ocl_gpu_tile *ocl_gpu_tile_cheapest(const ocl_target *target, const ocl_gpu_product *product);

/* The tile of a name, "64x64"; NULL for other texts and if it does not fit the device. Registers are not
 * considered: a tile that is given by name is accepted. */
const ocl_gpu_tile *ocl_gpu_tile_named(const ocl_target *target, const char *name);

/* Names of the tiles that fit the device and its registers and compute at most twice the needed results,
 * largest first, up to `most`. Returns their number. */
int ocl_gpu_tile_names(const ocl_target *target, const ocl_gpu_product *product, int most,
                       ocl_variant_name *names);

/* The least, over all tiles, of the product's results in whole tiles divided by the tile's efficiency: the
 * relative time on a fully occupied device that fits all tiles. Depends on the shape alone. */
double ocl_gpu_product_cost(const ocl_gpu_product *product);

/* Sets the options and the grid of a launch of a kernel with gpu_tile.clh among its sources: one group per
 * tile, (tile of rows, tile of columns, batch). */
void ocl_gpu_tile_launch(const ocl_target *target, ocl_launch *launch, const ocl_gpu_tile *tile,
                         const ocl_gpu_product *product);

#endif
