/* Sums over images and positions on devices other than CPUs: bias gradients, losses, and the second stage
 * of both, by work-groups as described in quads.clh. Small sums take one launch, whose groups handle all
 * images. */

#define ADD(a, b) all[a] += all[b]

/* Each work-group sums a chunk of positions of `images` images. With db_flags it sums everything and writes
 * db. */
KERNEL void bias_part(SUMMED, VIEWED(const STORED, dy), const int images, const int chunk, const int chunks,
                      MEMORY(float, partial), MEMORY(float, db), const int db_flags) {
    __local float4 all[SUM_ITEMS];
    const uint first = (uint)GROUP_INDEX(0) * chunk, end = min(first + chunk, (uint)positions);
    EACH_LEAF(v, items) {
        const int numbers = LEAF_NUMBERS(v);
        float4 sum = 0.0f;
        for (ulong image = IMAGE * images; image < (IMAGE + 1) * images; image++) {
            __global const STORED *from = LEAF_START(dy, image, v);
            for (uint p = first + LEAF_POSITION(v); p < end; p += PACE)
                sum += load_quad(from + (ulong)p * 16, numbers);
        }
        all[v] = sum;
    }
    TREE(1 << shift, ADD)
    EACH_LEAF(v, 1 << shift) {
        if (db_flags)
            add_plain(all[v], db + db_start + BLOCK * 16 + 4 * v, LEAF_NUMBERS(v), db_flags & HAS_ACCUMULATE);
        else
            vstore4(all[v], v, PARTIAL_AT(IMAGE * chunks + GROUP_INDEX(0), 1));
    }
}

/* One work-group per block of channels: `rows` (1 or 2) sums of each of `groups` groups of images to
 * sums[group][row][channel], and the totals over all groups of row 0 to total0 and of row 1 to total1, each
 * if given. A group of images has `count` partial results. */
KERNEL void combine_sums(SUMMED, MEMORY(const float, partial), const int rows, const int count, const int groups,
                         MEMORY(float, sums), const int sums_flags, MEMORY(float, total0), const int total0_flags,
                         MEMORY(float, total1), const int total1_flags) {
    __local float4 all[SUM_ITEMS], totals[4];
    for (int row = 0; row < rows; row++) {
        EACH_LEAF(v, 1 << shift) totals[v] = 0.0f;
        for (int g = 0; g < groups; g++) {
            EACH_LEAF(v, items) {
                float4 sum = 0.0f;
                for (uint i = LEAF_POSITION(v); i < (uint)count; i += PACE)
                    sum += vload4(LEAF_QUAD(v), PARTIAL_AT((ulong)g * count + i, rows) + 16 * row);
                all[v] = sum;
            }
            TREE(1 << shift, ADD)
            EACH_LEAF(v, 1 << shift) {
                if (sums_flags)
                    store_plain(all[v], sums + sums_start + (ulong)(g * rows + row) * channels + BLOCK * 16 + 4 * v,
                                LEAF_NUMBERS(v));
                totals[v] += all[v];
            }
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        EACH_LEAF(v, 1 << shift) {
            if (row == 0 && total0_flags)
                add_plain(totals[v], total0 + total0_start + BLOCK * 16 + 4 * v, LEAF_NUMBERS(v),
                          total0_flags & HAS_ACCUMULATE);
            if (row == 1 && total1_flags)
                add_plain(totals[v], total1 + total1_start + BLOCK * 16 + 4 * v, LEAF_NUMBERS(v),
                          total1_flags & HAS_ACCUMULATE);
        }
    }
}

/* ---- Losses ---------------------------------------------------------------------------------------- */

/* Each work-group sums a chunk of positions of `blocks` blocks of `images` images. With `whole` it sums
 * everything and writes the loss, otherwise a partial sum: one float per [image][chunk][block]. */
#define LOSS                                                                                                 \
    const int images, const int blocks, const int chunk, const int chunks, const int whole,                  \
        MEMORY(float, partial), MEMORY(float, loss), const int accumulate, const float loss_scale,           \
        VIEWED(STORED, dx), const int dx_flags, const float grad_scale

/* Applies a long function to the elements of a vector, one at a time. */
#define ONE_BY_ONE(four, function)                                                                           \
    _Pragma("unroll 1") for (int i_ = 0; i_ < 4; i_++) four = (float4)(four.yzw, function(four.x))

static inline float bce_value1(float x) { /* the loss for target 0; for target 1 subtract x */
    return max(x, 0.0f) + log1p(exp(-fabs(x)));
}

static inline float sigmoid1(float x) {
    return 1.0f / (1.0f + exp(-x));
}

/* Defines a loss kernel: its additional arguments, and the computation of `value` and `slope` from x at
 * offset `at`. */
#define LOSS_KERNEL(name, ARGUMENTS, VALUES)                                                                 \
    KERNEL void name(SUMMED, VIEWED(const STORED, x), ARGUMENTS, LOSS) {                                     \
        __local float all[SUM_ITEMS];                                                                        \
        const uint first = (uint)GROUP_INDEX(0) * chunk, end = min(first + chunk, (uint)positions);          \
        EACH_LEAF(v, items) {                                                                                \
            float4 sum = 0.0f;                                                                               \
            for (ulong image = IMAGE * images; image < (IMAGE + 1) * images; image++)                        \
                for (ulong block = BLOCK * blocks; block < (BLOCK + 1) * blocks; block++) {                  \
                    const int numbers = numbers_left(channels, block * 16 + 4 * LEAF_QUAD(v));               \
                    const ulong plane = block * positions * 16 + 4 * LEAF_QUAD(v);                           \
                    for (uint p = first + LEAF_POSITION(v); p < end; p += PACE) {                            \
                        const ulong at = plane + (ulong)p * 16;                                              \
                        float4 value, slope;                                                                 \
                        VALUES                                                                               \
                        sum += select((float4)(0.0f), value, is_number(numbers));                            \
                        if (dx_flags && numbers > 0)                                                         \
                            put_quad(grad_scale *slope, dx + dx_start + dx_at + image * dx_image + at,       \
                                     numbers, dx_flags &HAS_ACCUMULATE);                                     \
                    }                                                                                        \
                }                                                                                            \
            all[v] = (sum.x + sum.y) + (sum.z + sum.w);                                                      \
        }                                                                                                    \
        TREE(1, ADD)                                                                                         \
        if (get_local_id(0) == 0) {                                                                          \
            __global float *to = whole ? loss + loss_start : PARTIAL_NUMBER;                                 \
            const float total = whole ? loss_scale * all[0] : all[0];                                        \
            *to = whole && accumulate ? *to + total : total;                                                 \
        }                                                                                                    \
    }
#define PARTIAL_NUMBER (partial + partial_start + (IMAGE * chunks + GROUP_INDEX(0)) * SUM_BLOCKS + BLOCK)
#define QUAD_OF(name) load_quad(name + name##_start + name##_at + image * name##_image + at, numbers)

/* max(x, 0) - x target + log(1 + exp(-|x|)), and sigmoid(x) - target: sigmoid(x) - 1 = -sigmoid(-x) is
 * accurate where sigmoid(x) is near 1. */
LOSS_KERNEL(bce_part, const int target, {
    const float4 one = QUAD_OF(x);
    value = one;
    ONE_BY_ONE(value, bce_value1);
    slope = target ? -one : one;
    ONE_BY_ONE(slope, sigmoid1);
    value -= target ? one : (float4)(0.0f);
    slope = target ? -slope : slope;
})

/* (x - target)^2, and 2 (x - target). */
LOSS_KERNEL(mse_part, const int target, {
    const float4 d = QUAD_OF(x) - (float)target;
    value = d * d;
    slope = 2.0f * d;
})

/* |x - target|, and sign(x - target). */
LOSS_KERNEL(l1_part, VIEWED(const STORED, target), {
    const float4 d = QUAD_OF(x) - QUAD_OF(target);
    value = fabs(d);
    slope = select(select((float4)(0.0f), (float4)(1.0f), d > 0.0f), (float4)(-1.0f), d < 0.0f);
})

/* loss (+)= loss_scale * the sum of `count` floats. One work-group. */
KERNEL void loss_total(const int items, MEMORY(const float, partial), const ulong count, MEMORY(float, loss),
                       const int accumulate, const float loss_scale) {
    __local float all[SUM_ITEMS];
    EACH_LEAF(v, items) {
        float sum = 0.0f;
        for (ulong i = v; i < count; i += items) sum += partial[partial_start + i];
        all[v] = sum;
    }
    TREE(1, ADD)
    if (get_local_id(0) == 0) {
        const float total = loss_scale * all[0];
        loss[loss_start] = accumulate ? loss[loss_start] + total : total;
    }
}
