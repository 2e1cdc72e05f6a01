/* Sums in the orders of rings and trees. See nccl_sum.h. */
#include "nccl_sum.h"

#include "../../support/float_bits.h"

#include <stdint.h>

size_t nccl_type_bytes(ncclDataType_t type) {
    switch (type) {
    case ncclInt8:
    case ncclUint8:
        return 1;
    case ncclFloat16:
    case ncclBfloat16:
        return 2;
    case ncclInt32:
    case ncclUint32:
    case ncclFloat32:
        return 4;
    case ncclInt64:
    case ncclUint64:
    case ncclFloat64:
        return 8;
    default:
        return 0;
    }
}

bool nccl_type_adds(ncclDataType_t type) {
    return type == ncclFloat32 || type == ncclFloat64 || type == ncclBfloat16;
}

static double load(ncclDataType_t type, const void *from, size_t at) {
    if (type == ncclFloat64) return ((const double *)from)[at];
    if (type == ncclFloat32) return ((const float *)from)[at];
    return float_of_bf16(((const uint16_t *)from)[at]);
}

/* Sums of bf16 are made in f32, as on a device. */
static double round_to(ncclDataType_t type, double value) {
    if (type == ncclFloat64) return value;
    float narrow = (float)value;
    if (type == ncclBfloat16 && narrow == narrow) {
        const uint32_t bits = bits_of_float(narrow);
        narrow = float_of_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
    }
    return narrow;
}

static void store(ncclDataType_t type, void *to, size_t at, double value) {
    const float narrow = (float)value;
    const uint32_t bits = bits_of_float(narrow);
    if (type == ncclFloat64)
        ((double *)to)[at] = value;
    else if (type == ncclFloat32)
        ((float *)to)[at] = narrow;
    else
        ((uint16_t *)to)[at] = (uint16_t)(bits >> 16);
}

static double sum_tree(ncclDataType_t type, int first, int ranks, const void *const *from, size_t at) {
    if (ranks == 1) return load(type, from[first], at);
    const int half = ranks / 2;
    return round_to(type, sum_tree(type, first, half, from, at) +
                              sum_tree(type, first + half, ranks - half, from, at));
}

static double sum_from(ncclDataType_t type, int first, int step, int ranks, const void *const *from,
                       size_t at) {
    double sum = load(type, from[first], at);
    for (int i = 1; i < ranks; i++)
        sum = round_to(type, sum + load(type, from[(first + step * i + ranks * ranks) % ranks], at));
    return sum;
}

void nccl_sum(nccl_order order, ncclDataType_t type, size_t count, int ranks, const void *const *from,
              void *to) {
    const size_t part = (count + (size_t)ranks - 1) / (size_t)ranks;
    for (size_t i = 0; i < count; i++) {
        double sum;
        if (order == NCCL_ORDER_TREE)
            sum = sum_tree(type, 0, ranks, from, i);
        else if (order == NCCL_ORDER_REVERSED)
            sum = sum_from(type, ranks - 1, -1, ranks, from, i);
        else if (order == NCCL_ORDER_SWITCH)
            sum = sum_from(type, 0, 1, ranks, from, i);
        else
            sum = sum_from(type, (int)(i / part + 1) % ranks, 1, ranks, from, i);
        store(type, to, i, sum);
    }
}
