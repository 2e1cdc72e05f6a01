/* Tiles in local memory: the shapes that kernels/gpu_tile.clh is compiled for, and which of them a
 * matrix product gets. Shared by the planners of the families for GPUs. No bit of a result depends on the
 * tile.
 */
#ifndef OCL_GPU_TILE_H
#define OCL_GPU_TILE_H

#include "plan/ocl_plan.h"

/* Work-items of a group and results of each, along rows (m) and columns (n) of the tile; `efficiency` is the
 * share of a full device's multiplications that it leaves, by count of what else a step needs. */
typedef struct {
    int group_m, group_n, item_m, item_n;
    double efficiency;
} ocl_gpu_tile;

/* `batches` products of rows x columns results. */
typedef struct {
    int64_t rows, columns, batches;
} ocl_gpu_product;

enum { OCL_GPU_DEPTH = 16 /* of a step of a sum */ };

int ocl_gpu_tile_m(const ocl_gpu_tile *tile);
int ocl_gpu_tile_n(const ocl_gpu_tile *tile);

/* Local memory that kernels may use: what the device has, and at most what every GPU has. */
size_t ocl_gpu_local_limit(const ocl_target *target);

/* The tile that takes the least time on the device; NULL where it has room for none. */
const ocl_gpu_tile *ocl_gpu_tile_cheapest(const ocl_target *target, const ocl_gpu_product *product);

/* The tile of a name, "64x64"; NULL for other texts and where the device has no room for it. */
const ocl_gpu_tile *ocl_gpu_tile_named(const ocl_target *target, const char *name);

/* Names of the tiles that the device has room for and that compute at most twice the results there are, the
 * largest first, up to `most`. Returns how many. */
int ocl_gpu_tile_names(const ocl_target *target, const ocl_gpu_product *product, int most,
                       ocl_variant_name *names);

/* Results of a product counted in whole tiles, divided by the tile's efficiency, for the tile that makes it
 * least: the time on a full device of any size that takes all tiles. Follows from the shape alone. */
double ocl_gpu_product_cost(const ocl_gpu_product *product);

/* The options and the grid of a launch of a kernel with gpu_tile.clh among its sources: one group for
 * each tile, (tile of rows, tile of columns, batch). */
void ocl_gpu_tile_launch(const ocl_target *target, ocl_launch *launch, const ocl_gpu_tile *tile,
                         const ocl_gpu_product *product);

#endif
