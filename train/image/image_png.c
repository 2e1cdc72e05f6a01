/* PNG through libpng's low-level interface. Every colour type and depth is decoded, and every image format is
 * encoded. Chunks that do not affect pixels (colour profiles, text, times) are ignored, even if damaged. Any
 * other damage and a missing end are errors.
 *
 * As in image_jpeg.c, everything that may fail runs below a function whose only purpose is setjmp. */
#include "image_codec.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    png_structp png;
    png_infop info;
    jmp_buf escape;
    const char *name;
    p2p_status status;
    /* decoding */
    const uint8_t *bytes;
    size_t size, left;
    image_facts *facts;
    image *result;     /* NULL: only the header is wanted */
    char *found_label; /* IMAGE_LABEL_BYTES; NULL: not wanted */
    /* encoding */
    const char *label; /* NULL: none */
    const image *picture;
    FILE *stream;
    bool lacks_memory; /* an allocation has failed */
} png_job;

_Noreturn static void stop(png_job *job, p2p_status status) {
    job->status = status;
    longjmp(job->escape, 1);
}

static p2p_status out_of_memory(const png_job *job) {
    return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the picture %s", job->name);
}

static void on_decoding_error(png_structp png, png_const_charp reason) {
    png_job *job = png_get_error_ptr(png);
    if (job->lacks_memory) stop(job, out_of_memory(job));
    stop(job, image_damaged(job->name, reason));
}

static void on_encoding_error(png_structp png, png_const_charp reason) {
    png_job *job = png_get_error_ptr(png);
    if (job->lacks_memory) stop(job, out_of_memory(job));
    stop(job, p2p_fail(P2P_IO, "can't write %s: %s", job->name, reason));
}

static void on_warning(png_structp png, png_const_charp reason) {
    (void)png;
    (void)reason;
}

/* Without memory libpng omits some chunks with a warning, the label among them. So a failure is noted, and
 * the job fails when libpng or the job ends. It must not end here: zlib calls this while it holds memory of
 * its own. */
static png_voidp allocate(png_structp png, png_alloc_size_t size) {
    png_job *job = png_get_mem_ptr(png);
    void *block = malloc(size);
    if (!block) job->lacks_memory = true;
    return block;
}

static void release(png_structp png, png_voidp block) {
    (void)png;
    free(block);
}

static void read_bytes(png_structp png, png_bytep destination, size_t count) {
    png_job *job = png_get_io_ptr(png);
    if (count > job->left) {
        job->facts->goes_on = true;
        png_error(png, "the file is truncated");
    }
    memcpy(destination, job->bytes, count);
    job->bytes += count;
    job->left -= count;
}

static bool is_little_endian(void) {
    const uint16_t one = 1;
    uint8_t first;
    memcpy(&first, &one, 1);
    return first == 1;
}

/* The format that set_transforms makes. The transparency of a palette or of one colour becomes alpha. */
static image_format format_of(const png_job *job) {
    int type = png_get_color_type(job->png, job->info);
    bool transparent = png_get_valid(job->png, job->info, PNG_INFO_tRNS) != 0;
    bool color = (type & PNG_COLOR_MASK_COLOR) != 0; /* set for palettes too */
    bool alpha = (type & PNG_COLOR_MASK_ALPHA) != 0 || transparent;
    bool deep = png_get_bit_depth(job->png, job->info) == 16;
    return (image_format){.channels = (color ? 3 : 1) + alpha, .bits = deep ? 16 : 8};
}

/* Returns the number of passes over the rows: more than one if they are interlaced. */
static int set_transforms(png_job *job) {
    png_set_palette_to_rgb(job->png);
    png_set_expand_gray_1_2_4_to_8(job->png);
    png_set_tRNS_to_alpha(job->png);
    if (is_little_endian()) png_set_swap(job->png); /* files are big-endian */
    const int passes = png_set_interlace_handling(job->png);
    png_read_update_info(job->png, job->info);
    if (png_get_rowbytes(job->png, job->info) != image_view_of(job->result).stride)
        png_error(job->png, "unusual pixel format");
    return passes;
}

/* Profiles and texts could take memory without limit: libpng allocates what a text's length claims before it
 * reads. They are skipped unread. If a label is wanted, texts are kept as unknown chunks, for which a limit
 * holds. */
static void skip_chunks(png_job *job) {
    static const png_byte names[] = "tEXt\0iCCP\0iTXt\0zTXt\0sPLT\0eXIf\0hIST\0pCAL\0sCAL";
    png_set_keep_unknown_chunks(job->png, PNG_HANDLE_CHUNK_NEVER, names, (int)(sizeof names / 5));
    if (!job->found_label) return;
    png_set_keep_unknown_chunks(job->png, PNG_HANDLE_CHUNK_ALWAYS, names, 1);
    png_set_chunk_malloc_max(job->png, 4096);
}

/* Deflate compresses at most 1032 bytes into one. The rows are those of the file, with a byte before each;
 * interlacing adds to them. libpng has three rows of the largest format, and the pixels are decoded in
 * place. */
static void find_facts(png_job *job, png_uint_32 width, png_uint_32 height) {
    const image_format format = format_of(job);
    const uint64_t file_row = (uint64_t)png_get_rowbytes(job->png, job->info) + 1;
    job->facts->header = (image_header){(int)width, (int)height, format.channels, format.bits};
    job->facts->least_bytes = file_row * height / 1040;
    job->facts->decode_bytes = image_pixels_bytes(&job->facts->header, format) +
                               (uint64_t)width * 3 * IMAGE_MAX_CHANNELS * 2 + IMAGE_DECODER_BYTES;
}

/* The keyword of the text chunk that holds a label. */
static char label_key[] = "p2p_run";

/* A text chunk is the keyword, a zero and the text. */
static void find_label(png_job *job) {
    png_unknown_chunkp chunks;
    const int count = png_get_unknown_chunks(job->png, job->info, &chunks);
    for (int i = 0; i < count; i++) {
        const char *content = (const char *)chunks[i].data;
        if (chunks[i].size < sizeof label_key || memcmp(content, label_key, sizeof label_key) != 0) continue;
        snprintf(job->found_label, IMAGE_LABEL_BYTES, "%.*s", (int)(chunks[i].size - sizeof label_key),
                 content + sizeof label_key);
    }
}

static void set_label(png_job *job) {
    char text[IMAGE_LABEL_BYTES];
    snprintf(text, sizeof text, "%s", job->label);
    const png_text chunk = {.compression = PNG_TEXT_COMPRESSION_NONE, .key = label_key, .text = text};
    png_set_text(job->png, job->info, &chunk, 1); /* copies the text */
}

static void decode(png_job *job) {
    /* No limits of libpng's own: image_check_size has a better message. */
    png_set_user_limits(job->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    skip_chunks(job);
    png_set_read_fn(job->png, job, read_bytes);
    png_read_info(job->png, job->info);
    if (job->found_label) find_label(job);
    png_uint_32 width = png_get_image_width(job->png, job->info);
    png_uint_32 height = png_get_image_height(job->png, job->info);
    p2p_status status = image_check_size(width, height, job->name);
    if (status != P2P_OK) stop(job, status);
    find_facts(job, width, height);
    if (job->result == NULL) return;

    status = image_allocate(job->facts, job->size, job->name, job->result);
    if (status != P2P_OK) stop(job, status);
    const int passes = set_transforms(job);
    const size_t stride = image_view_of(job->result).stride;
    for (int pass = 0; pass < passes; pass++)
        for (size_t y = 0; y < height; y++)
            png_read_row(job->png, (png_bytep)job->result->pixels + y * stride, NULL);
    png_read_end(job->png, NULL);
}

static p2p_status decode_guarded(png_job *job) {
    if (setjmp(job->escape) != 0) return job->status;
    job->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, job, on_decoding_error, on_warning, job,
                                        allocate, release);
    if (job->png != NULL) job->info = png_create_info_struct(job->png);
    if (job->info == NULL) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for decoding %s", job->name);
    decode(job);
    return job->lacks_memory ? out_of_memory(job) : P2P_OK;
}

static uint32_t big(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The first chunk has the size, at a fixed place; libpng shows it when it has read all chunks before the
 * pixels. */
static p2p_status check_first_size(const uint8_t *bytes, size_t size, const char *name) {
    enum { KIND = 12, WIDTH = 16, HEIGHT = 20, END = 24 };
    if (size < END || memcmp(bytes + KIND, "IHDR", 4) != 0) return P2P_OK;
    return image_check_size(big(bytes + WIDTH), big(bytes + HEIGHT), name);
}

p2p_status image_png_decode(const uint8_t *bytes, size_t size, const char *name, image_facts *facts,
                            image *result) {
    png_job job = {
        .name = name, .bytes = bytes, .size = size, .left = size, .facts = facts, .result = result};
    P2P_TRY(check_first_size(bytes, size, name));
    p2p_status status = decode_guarded(&job);
    png_destroy_read_struct(&job.png, &job.info, NULL);
    return status;
}

p2p_status image_png_label(const uint8_t *bytes, size_t size, const char *name,
                           char label[IMAGE_LABEL_BYTES]) {
    image_facts facts = {0};
    label[0] = '\0';
    png_job job = {
        .name = name, .bytes = bytes, .size = size, .left = size, .facts = &facts, .found_label = label};
    p2p_status status = decode_guarded(&job);
    png_destroy_read_struct(&job.png, &job.info, NULL);
    return status;
}

static void encode(png_job *job) {
    static const int types[IMAGE_MAX_CHANNELS] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA,
                                                  PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
    const image *picture = job->picture;
    png_init_io(job->png, job->stream);
    png_set_user_limits(job->png, IMAGE_MAX_SIDE, IMAGE_MAX_SIDE);
    png_set_IHDR(job->png, job->info, (png_uint_32)picture->width, (png_uint_32)picture->height,
                 picture->bits, types[picture->channels - 1], PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (job->label) set_label(job);
    png_write_info(job->png, job->info);
    if (is_little_endian()) png_set_swap(job->png); /* no effect on 8 bits */
    size_t stride = image_view_of(picture).stride;
    for (size_t y = 0; y < (size_t)picture->height; y++)
        png_write_row(job->png, (png_const_bytep)picture->pixels + y * stride);
    png_write_end(job->png, job->info);
}

static p2p_status encode_guarded(png_job *job) {
    if (setjmp(job->escape) != 0) return job->status;
    job->png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, job, on_encoding_error, on_warning, job,
                                         allocate, release);
    if (job->png != NULL) job->info = png_create_info_struct(job->png);
    if (job->info == NULL) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for encoding %s", job->name);
    encode(job);
    return job->lacks_memory ? out_of_memory(job) : P2P_OK;
}

p2p_status image_png_encode_labelled(const image *picture, const char *label, FILE *stream,
                                     const char *name) {
    png_job job = {.name = name, .picture = picture, .stream = stream, .label = label};
    p2p_status status = encode_guarded(&job);
    png_destroy_write_struct(&job.png, &job.info);
    return status;
}

p2p_status image_png_encode(const image *picture, FILE *stream, const char *name) {
    return image_png_encode_labelled(picture, NULL, stream, name);
}
