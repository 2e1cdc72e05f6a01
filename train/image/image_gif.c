/* A decoder of GIF's first frame, through giflib. The picture has the size of the file's logical screen.
 * Pixels that the frame does not cover, and transparent ones, have alpha 0.
 *
 * The frame is read row by row. DGifSlurp would decode every frame into memory before the sizes can be
 * checked. */
#include "image_codec.h"

#include <gif_lib.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    GifFileType *gif;
    const uint8_t *bytes;
    size_t left;
    const char *name;
    int transparent; /* index of the transparent colour, or NO_TRANSPARENT_COLOR */
    image_palette palette;
    image_format format;
    image_facts *facts;
} gif_job;

static int read_bytes(GifFileType *gif, GifByteType *to, int count) {
    gif_job *job = gif->UserData;
    size_t given = count < 0 ? 0 : (size_t)count < job->left ? (size_t)count : job->left;
    memcpy(to, job->bytes, given);
    job->bytes += given;
    job->left -= given;
    return (int)given;
}

static p2p_status gif_failure(const gif_job *job, int error) {
    if (error == D_GIF_ERR_NOT_ENOUGH_MEM)
        return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for decoding %s", job->name);
    const bool ended = error == D_GIF_ERR_READ_FAILED || error == D_GIF_ERR_EOF_TOO_SOON;
    job->facts->goes_on = ended;
    const char *reason = ended ? NULL : GifErrorString(error);
    return image_damaged(job->name, reason != NULL ? reason : "the file is truncated");
}

/* Read an extension before the first frame. The graphics control extension has the transparent colour. */
static p2p_status read_extension(gif_job *job) {
    int code;
    GifByteType *block; /* its length, then its bytes */
    GraphicsControlBlock control;
    if (DGifGetExtension(job->gif, &code, &block) == GIF_ERROR) return gif_failure(job, job->gif->Error);
    if (block != NULL && code == GRAPHICS_EXT_FUNC_CODE &&
        DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
        job->transparent = control.TransparentColor;
    while (block != NULL)
        if (DGifGetExtensionNext(job->gif, &block) == GIF_ERROR) return gif_failure(job, job->gif->Error);
    return P2P_OK;
}

static p2p_status find_frame(gif_job *job) {
    for (;;) {
        GifRecordType type;
        if (DGifGetRecordType(job->gif, &type) == GIF_ERROR) return gif_failure(job, job->gif->Error);
        if (type == TERMINATE_RECORD_TYPE) return image_damaged(job->name, "a GIF without a picture");
        if (type == EXTENSION_RECORD_TYPE) P2P_TRY(read_extension(job));
        if (type == IMAGE_DESC_RECORD_TYPE) break;
    }
    if (DGifGetImageDesc(job->gif) == GIF_ERROR) return gif_failure(job, job->gif->Error);
    const GifImageDesc *frame = &job->gif->Image;
    if (frame->Width < 1 || frame->Height < 1 || frame->Left < 0 || frame->Top < 0 ||
        frame->Width > job->gif->SWidth - frame->Left || frame->Height > job->gif->SHeight - frame->Top)
        return image_damaged(job->name, "its first frame lies outside of the picture");
    return P2P_OK;
}

static p2p_status read_palette(gif_job *job) {
    const ColorMapObject *map = job->gif->Image.ColorMap ? job->gif->Image.ColorMap : job->gif->SColorMap;
    if (map == NULL) return image_damaged(job->name, "a GIF without a palette");
    job->palette = (image_palette){.count = map->ColorCount < 256 ? map->ColorCount : 256};
    for (int i = 0; i < job->palette.count; i++) {
        const GifColorType *color = &map->Colors[i];
        memcpy(job->palette.colors[i], (uint8_t[]){color->Red, color->Green, color->Blue}, 3);
    }
    return P2P_OK;
}

static bool covers_all(const GifFileType *gif) {
    return gif->Image.Width == gif->SWidth && gif->Image.Height == gif->SHeight;
}

/* Everything before the pixels. */
static p2p_status read_header(gif_job *job) {
    GifFileType *gif = job->gif;
    P2P_TRY(image_check_size((uint64_t)gif->SWidth, (uint64_t)gif->SHeight, job->name));
    P2P_TRY(find_frame(job));
    P2P_TRY(read_palette(job));
    bool alpha = job->transparent != NO_TRANSPARENT_COLOR || !covers_all(gif);
    job->format =
        (image_format){.channels = (image_palette_is_grey(&job->palette) ? 1 : 3) + alpha, .bits = 8};
    return P2P_OK;
}

/* The frame's row that is the file's row `number`. An interlaced file has the rows 8k first, then 8k + 4,
 * then 4k + 2, then 2k + 1. */
static int row_of(const GifImageDesc *frame, int number) {
    static const int first[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
    if (!frame->Interlace) return number;
    for (int pass = 0;; pass++) {
        int rows = (frame->Height - first[pass] + step[pass] - 1) / step[pass];
        if (frame->Height <= first[pass]) rows = 0;
        if (number < rows || pass == 3) return first[pass] + number * step[pass];
        number -= rows;
    }
}

static p2p_status put_row(const gif_job *job, const GifPixelType *indices, uint8_t *to) {
    const int channels = job->format.channels, colors = channels < 3 ? 1 : 3;
    for (int x = 0; x < job->gif->Image.Width; x++, to += channels) {
        if (indices[x] >= job->palette.count)
            return image_damaged(job->name, "a pixel's colour isn't in the palette");
        memcpy(to, job->palette.colors[indices[x]], (size_t)colors);
        if (colors < channels) to[colors] = indices[x] == job->transparent ? 0 : 255;
    }
    return P2P_OK;
}

static p2p_status read_rows(const gif_job *job, image *result) {
    GifFileType *gif = job->gif;
    GifPixelType indices[UINT16_MAX];
    const image_view all = image_view_of(result);
    for (int number = 0; number < gif->Image.Height; number++) {
        if (DGifGetLine(gif, indices, gif->Image.Width) == GIF_ERROR) return gif_failure(job, gif->Error);
        size_t y = (size_t)(gif->Image.Top + row_of(&gif->Image, number));
        size_t x = (size_t)gif->Image.Left;
        P2P_TRY(put_row(job, indices,
                        (uint8_t *)result->pixels + y * all.stride + x * image_pixel_bytes(job->format)));
    }
    GifRecordType next; /* a complete file has at least a terminator here */
    return DGifGetRecordType(gif, &next) == GIF_ERROR ? gif_failure(job, gif->Error) : P2P_OK;
}

/* A code of 12 bits stands for at most 4095 pixels. */
static void find_facts(const gif_job *job, image_facts *facts) {
    const GifFileType *gif = job->gif;
    facts->header = (image_header){gif->SWidth, gif->SHeight, job->format.channels, job->format.bits};
    facts->least_bytes = (uint64_t)gif->Image.Width * (uint64_t)gif->Image.Height * 12 / 8 / 4095;
    facts->decode_bytes = image_pixels_bytes(&facts->header, job->format) + IMAGE_DECODER_BYTES;
}

static p2p_status decode(gif_job *job, size_t size, image_facts *facts, image *result) {
    P2P_TRY(read_header(job));
    find_facts(job, facts);
    if (result == NULL) return P2P_OK;
    P2P_TRY(image_allocate(facts, size, job->name, result));
    if (!covers_all(job->gif)) memset(result->pixels, 0, image_bytes(result));
    return read_rows(job, result);
}

p2p_status image_gif_decode(const uint8_t *bytes, size_t size, const char *name, image_facts *facts,
                            image *result) {
    gif_job job = {
        .bytes = bytes, .left = size, .name = name, .facts = facts, .transparent = NO_TRANSPARENT_COLOR};
    int error = 0;
    job.gif = DGifOpen(&job, read_bytes, &error);
    if (job.gif == NULL) return gif_failure(&job, error);
    p2p_status status = decode(&job, size, facts, result);
    DGifCloseFile(job.gif, &error);
    return status;
}
