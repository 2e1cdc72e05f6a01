/* The convolutions of cudnn_calls. See cudnn_requests.h. */
#include "cudnn_requests.h"

#include <stddef.h>

static void pack_strides(int64_t stride[4], const int64_t dim[4]) {
    stride[1] = 1;
    stride[3] = dim[1];
    stride[2] = dim[1] * dim[3];
    stride[0] = dim[1] * dim[3] * dim[2];
}

static void pack_all(request *r) {
    pack_strides(r->x.stride, r->x.dim);
    pack_strides(r->w.stride, r->w.dim);
    pack_strides(r->y.stride, r->y.dim);
}

request cudnn_right_request(int kind, cudnnDataType_t type) {
    request r = {.kind = kind,
                 .x = {.type = type, .dim = {2, 16, 8, 8}, .id = 'x', .alignment = 16},
                 .w = {.type = type, .dim = {32, 16, 4, 4}, .id = 'w', .alignment = 16},
                 .y = {.type = type, .dim = {2, 32, 4, 4}, .id = 'y', .alignment = 16},
                 .compute = CUDNN_DATA_FLOAT,
                 .mode = CUDNN_CROSS_CORRELATION,
                 .dims = 2,
                 .stride = {2, 2},
                 .before = {1, 1},
                 .after = {1, 1},
                 .dilation = {1, 1},
                 .alpha = 1,
                 .scale_type = CUDNN_TYPE_FLOAT,
                 .capability = 90,
                 .engine = -1};
    pack_all(&r);
    return r;
}

static void set_types(request *r, cudnnDataType_t x, cudnnDataType_t w, cudnnDataType_t y) {
    r->x.type = x;
    r->w.type = w;
    r->y.type = y;
}

static void set_channels(request *r, int64_t c, int64_t k) {
    r->x.dim[1] = r->w.dim[1] = c;
    r->w.dim[0] = r->y.dim[1] = k;
    pack_all(r);
}

static void set_planar(int64_t stride[4], const int64_t dim[4]) {
    stride[3] = 1;
    stride[2] = dim[3];
    stride[1] = dim[2] * dim[3];
    stride[0] = dim[1] * stride[1];
}

/* Types of the tensors and of the sums. */
static const char *change_types(request *r, int number) {
    const cudnnDataType_t f32 = CUDNN_DATA_FLOAT, bf16 = CUDNN_DATA_BFLOAT16, f16 = CUDNN_DATA_HALF,
                          f64 = CUDNN_DATA_DOUBLE;
    switch (number) {
    case 0:
        return "f32";
    case 1:
        set_types(r, bf16, bf16, bf16);
        return "bf16";
    case 2:
        set_types(r, f16, f16, f16);
        return "f16";
    case 3:
        set_types(r, f64, f64, f64);
        return "f64";
    case 4:
        set_types(r, bf16, bf16, f32);
        return "bf16, y f32";
    case 5:
        set_types(r, bf16, f32, bf16);
        return "bf16, w f32";
    case 6:
        set_types(r, f32, bf16, bf16);
        return "bf16, x f32";
    case 7:
        set_types(r, f32, bf16, f32);
        return "f32, w bf16";
    case 8:
        set_types(r, bf16, f32, f32);
        return "f32, x bf16";
    case 9:
        r->compute = f64;
        return "f32, computed in f64";
    case 10:
        r->compute = bf16;
        return "f32, computed in bf16";
    case 11:
        set_types(r, bf16, bf16, bf16);
        r->compute = bf16;
        return "bf16, computed in bf16";
    default:
        return NULL;
    }
}

/* Extents that fit the others no longer, or still do. */
static const char *change_extents(request *r, int number) {
    switch (number) {
    case 12:
        r->x.dim[1]++;
        pack_all(r);
        return "x has one channel more";
    case 13:
        r->w.dim[1]++;
        pack_all(r);
        return "w has one channel more";
    case 14:
        r->y.dim[1]++;
        pack_all(r);
        return "y has one channel more";
    case 15:
        r->w.dim[0]++;
        pack_all(r);
        return "w has one output more";
    case 16:
        r->x.dim[0]++;
        pack_all(r);
        return "x has one image more";
    case 17:
        r->y.dim[0]++;
        pack_all(r);
        return "y has one image more";
    case 18:
        r->y.dim[2]++;
        pack_all(r);
        return "y has one row more";
    case 19:
        r->y.dim[3]--;
        pack_all(r);
        return "y has one column less";
    case 20:
        r->x.dim[2]++;
        pack_all(r);
        return "x has one row more, which no filter reaches";
    case 21:
        r->x.dim[2] += 2;
        pack_all(r);
        return "x has two rows more";
    default:
        return NULL;
    }
}

/* Padding, strides, dilation, mode and layouts. */
static const char *change_convolution(request *r, int number) {
    switch (number) {
    case 22:
        r->before[0] = 0;
        return "less padding above";
    case 23:
        r->before[0] = 2;
        r->after[0] = 0;
        return "padding 2 above, 0 below";
    case 24:
        r->before[0] = -1;
        return "negative padding";
    case 25:
        r->stride[0] = 0;
        return "stride 0";
    case 26:
        r->stride[0] = -2;
        return "negative stride";
    case 27:
        r->dilation[0] = 0;
        return "dilation 0";
    case 28:
        r->dilation[0] = r->dilation[1] = 2;
        return "dilation 2, extents for 1";
    case 29:
        r->mode = CUDNN_CONVOLUTION;
        return "true convolution";
    case 30:
        r->dims = 3;
        return "three spatial dimensions";
    case 31:
        r->dims = 0;
        return "no spatial dimension";
    case 32:
        set_planar(r->x.stride, r->x.dim);
        return "x in NCHW";
    case 33:
        set_planar(r->w.stride, r->w.dim);
        return "w in KCRS";
    case 34:
        set_planar(r->y.stride, r->y.dim);
        return "y in NCHW";
    case 35:
        set_planar(r->x.stride, r->x.dim);
        set_planar(r->w.stride, r->w.dim);
        set_planar(r->y.stride, r->y.dim);
        return "all in NCHW";
    default:
        return NULL;
    }
}

/* Distances, and numbers of images. */
static const char *change_distances(request *r, int number) {
    switch (number) {
    case 36:
        r->x.stride[3] += 8;
        r->x.stride[2] = r->x.stride[3] * 8;
        r->x.stride[0] = r->x.stride[2] * 8;
        return "x with distance between pixels";
    case 37:
        r->y.stride[3] += 8;
        r->y.stride[2] = r->y.stride[3] * 4;
        r->y.stride[0] = r->y.stride[2] * 4;
        return "y with distance between pixels";
    case 38:
        r->w.stride[3] += 8;
        r->w.stride[2] = r->w.stride[3] * 4;
        r->w.stride[0] = r->w.stride[2] * 4;
        return "w with distance between taps";
    case 39:
        r->x.stride[0] += 16;
        return "x with distance between images";
    case 40:
        r->x.stride[2] -= 16;
        return "x's rows overlap";
    case 41:
        r->x.stride[1] = 0;
        return "x's channel stride is 0";
    case 42:
        r->x.stride[0] = -r->x.stride[0];
        return "x's image stride is negative";
    case 43:
        r->x.dim[0] = r->y.dim[0] = 0;
        return "no images";
    case 44:
        r->x.dim[0] = r->y.dim[0] = -2;
        return "a negative number of images";
    default:
        return NULL;
    }
}

/* Alignments. */
static const char *change_alignments(request *r, int number) {
    const cudnnDataType_t bf16 = CUDNN_DATA_BFLOAT16;
    switch (number) {
    case 45:
        r->x.alignment = 0;
        return "alignment 0";
    case 46:
        r->x.alignment = -16;
        return "alignment -16";
    case 47:
        r->x.alignment = 3;
        return "alignment 3";
    case 48:
        r->x.alignment = 1;
        return "alignment 1";
    case 49:
        r->x.alignment = r->w.alignment = r->y.alignment = 4;
        return "alignment 4 of all";
    case 50:
        set_types(r, bf16, bf16, bf16);
        r->x.alignment = r->w.alignment = r->y.alignment = 2;
        return "bf16, alignment 2 of all";
    case 51:
        r->x.alignment = 256;
        return "alignment 256";
    default:
        return NULL;
    }
}

/* Identifiers, scaling, the graph and the engine. */
static const char *change_rest(request *r, int number) {
    const cudnnDataType_t bf16 = CUDNN_DATA_BFLOAT16;
    switch (number) {
    case 52:
        r->x.id = r->w.id;
        return "x and w have one id";
    case 53:
        r->y.id = r->x.id;
        return "x and y have one id";
    case 54:
        r->x.id = 0;
        return "id 0";
    case 55:
        r->x.id = -5;
        return "id -5";
    case 56:
        r->x.is_virtual = true;
        return "x is virtual";
    case 57:
        r->y.is_virtual = true;
        return "y is virtual";
    case 58:
        r->w.by_value = true;
        return "w by value";
    case 59:
        r->alpha = 0.5;
        return "alpha 0.5";
    case 60:
        r->beta = 1;
        return "beta 1";
    case 61:
        r->beta = 0.5;
        return "beta 0.5";
    case 62:
        r->scale_type = CUDNN_TYPE_DOUBLE;
        return "alpha and beta are doubles";
    case 63:
        set_types(r, bf16, bf16, bf16);
        r->beta = 1;
        return "bf16, beta 1";
    case 64:
        r->graph_of_two = true;
        return "one operation twice in a graph";
    case 65:
        r->engine = 100000;
        return "engine 100000";
    case 66:
        r->engine = -3;
        return "engine -3";
    default:
        return NULL;
    }
}

/* Small channel counts and maps. */
static const char *change_channels(request *r, int number) {
    const cudnnDataType_t bf16 = CUDNN_DATA_BFLOAT16;
    switch (number) {
    case 67:
        set_channels(r, 3, 32);
        return "f32, 3 channels";
    case 68:
        set_channels(r, 16, 1);
        return "f32, 1 output";
    case 69:
        set_channels(r, 6, 5);
        set_types(r, bf16, bf16, bf16);
        return "bf16, 6 channels to 5";
    case 70:
        set_channels(r, 4, 4);
        set_types(r, bf16, bf16, bf16);
        return "bf16, 4 channels to 4";
    case 71:
        set_channels(r, 8, 8);
        return "f32, 8 channels to 8";
    case 72:
        set_channels(r, 8, 8);
        set_types(r, bf16, bf16, bf16);
        return "bf16, 8 channels to 8";
    case 73:
        r->x.dim[2] = r->x.dim[3] = 2;
        r->y.dim[2] = r->y.dim[3] = 1;
        pack_all(r);
        return "f32, 2x2 to 1x1";
    case 74:
        r->x.dim[2] = r->x.dim[3] = 2;
        r->y.dim[2] = r->y.dim[3] = 1;
        pack_all(r);
        set_types(r, bf16, bf16, bf16);
        return "bf16, 2x2 to 1x1";
    default:
        return NULL;
    }
}

/* Other filters and strides. */
static const char *change_filter(request *r, int number) {
    const cudnnDataType_t bf16 = CUDNN_DATA_BFLOAT16;
    switch (number) {
    case 75:
        r->stride[0] = r->stride[1] = 1;
        r->y.dim[2] = r->y.dim[3] = 7;
        pack_all(r);
        return "f32, stride 1";
    case 76:
        r->stride[0] = r->stride[1] = 1;
        r->y.dim[2] = r->y.dim[3] = 7;
        pack_all(r);
        set_types(r, bf16, bf16, bf16);
        return "bf16, stride 1";
    case 77:
        r->w.dim[2] = r->w.dim[3] = 1;
        r->before[0] = r->before[1] = r->after[0] = r->after[1] = 0;
        pack_all(r);
        return "f32, 1x1, stride 2";
    case 78:
        r->w.dim[2] = r->w.dim[3] = 1;
        r->before[0] = r->before[1] = r->after[0] = r->after[1] = 0;
        r->stride[0] = r->stride[1] = 1;
        r->y.dim[2] = r->y.dim[3] = 8;
        pack_all(r);
        return "f32, 1x1";
    case 79:
        r->w.dim[2] = r->w.dim[3] = 3;
        r->stride[0] = r->stride[1] = 1;
        r->y.dim[2] = r->y.dim[3] = 8;
        pack_all(r);
        return "f32, 3x3, stride 1";
    case 80:
        r->w.dim[2] = r->w.dim[3] = 3;
        r->stride[0] = r->stride[1] = 1;
        r->y.dim[2] = r->y.dim[3] = 8;
        pack_all(r);
        set_types(r, bf16, bf16, bf16);
        return "bf16, 3x3, stride 1";
    case 81:
        r->w.dim[2] = 5;
        r->w.dim[3] = 3;
        r->stride[1] = 1;
        r->before[0] = r->after[0] = 2;
        r->y.dim[3] = 8;
        pack_all(r);
        return "f32, 5x3, strides 2 and 1";
    case 82:
        r->dilation[0] = r->dilation[1] = 2;
        r->before[0] = r->before[1] = r->after[0] = r->after[1] = 3;
        pack_all(r);
        return "f32, dilation 2";
    default:
        return NULL;
    }
}

/* Padding, groups, and what plans and packs are given. */
static const char *change_plans(request *r, int number) {
    switch (number) {
    case 83:
        r->before[0] = r->before[1] = 2;
        r->after[0] = r->after[1] = 1;
        return "f32, padding 2 before, 1 behind";
    case 84:
        r->before[0] = r->before[1] = 5;
        r->after[0] = r->after[1] = 5;
        r->y.dim[2] = r->y.dim[3] = 8;
        pack_all(r);
        return "f32, padding wider than the filter";
    case 85:
        r->x.dim[1] = r->w.dim[1] * 2;
        pack_all(r);
        return "two groups";
    case 86:
        r->y.dim[2] = r->y.dim[3] = 0;
        pack_all(r);
        return "y has no pixels";
    case 87:
        r->alpha = 0;
        return "alpha 0";
    case 88:
        r->version = 91800;
        return "a device described by another version";
    case 89:
        r->knob_added = 1000;
        return "a knob's value out of range";
    case 90:
        r->knob_added = -1000;
        return "a knob's value below its range";
    case 91:
        r->knob_twice = true;
        return "a knob twice";
    case 92:
        r->knob_of_others = true;
        return "a knob that the engine lacks";
    case 93:
        r->same_ids_in_pack = true;
        return "one id twice in a variant pack";
    case 94:
        r->null_in_pack = true;
        return "a null pointer in a variant pack";
    case 95:
        r->destroyed_early = true;
        return "descriptors destroyed after they were given to an operation";
    default:
        return NULL;
    }
}

const char *cudnn_change_request(request *r, int number) {
    static const char *(*const groups[])(request *, int) = {
        change_types, change_extents,  change_convolution, change_distances, change_alignments,
        change_rest,  change_channels, change_filter,      change_plans};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        const char *what = groups[i](r, number);
        if (what) return what;
    }
    return NULL;
}
