/* JPEG through libjpeg-turbo's classic interface, with its default (accurate) transform and upsampling, as
 * Pillow uses it. A warning that concerns pixels, such as a premature end, is an error.
 *
 * libjpeg reports errors through a callback that must not return. Therefore everything that may fail runs
 * below a function whose only purpose is setjmp. All state is in a structure outside of it, so that no
 * variable is indeterminate after the jump. */
#include "exif.h"
#include "image_codec.h"

#include <jpeglib.h> /* needs stdio.h and stddef.h first */

#include <jerror.h>
#include <setjmp.h>

enum {
    QUALITY = 95,
    MAX_SCANS = 500 /* progressive files with thousands of scans exist only to waste time */
};

typedef struct {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    const uint8_t *bytes;
    size_t size;
    const char *name;
    image_facts *facts;
    image *result; /* NULL: only the header is wanted */
    p2p_status status;
} jpeg_decoding;

_Noreturn static void stop_decoding(jpeg_decoding *job, p2p_status status) {
    job->status = status;
    longjmp(job->escape, 1);
}

static void on_decoding_error(j_common_ptr info) {
    jpeg_decoding *job = info->client_data;
    char reason[JMSG_LENGTH_MAX];
    info->err->format_message(info, reason);
    if (info->err->msg_code == JERR_OUT_OF_MEMORY)
        stop_decoding(job, p2p_fail(P2P_OUT_OF_MEMORY, "no memory for decoding %s", job->name));
    if (info->err->msg_code == JERR_IMAGE_TOO_BIG) {
        p2p_status status = image_check_size(job->info.image_width, job->info.image_height, job->name);
        if (status != P2P_OK) stop_decoding(job, status);
    }
    stop_decoding(job, image_damaged(job->name, reason));
}

/* The bytes end. If they show the size, it is checked now, not after more were read. */
static void header_goes_on(jpeg_decoding *job) {
    job->facts->goes_on = true;
    if (job->info.image_width == 0 && job->info.image_height == 0) return;
    const p2p_status status = image_check_size(job->info.image_width, job->info.image_height, job->name);
    job->facts->goes_on = status == P2P_OK;
    if (status != P2P_OK) stop_decoding(job, status);
}

/* Level -1 is a warning, other levels are traces. Three warnings do not affect the pixels. */
static void on_decoding_message(j_common_ptr info, int level) {
    int code = info->err->msg_code;
    if (level < 0 && code == JWRN_JPEG_EOF) header_goes_on(info->client_data);
    bool harmless = code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR;
    if (level < 0 && !harmless) on_decoding_error(info);
}

static void on_decoding_progress(j_common_ptr info) {
    jpeg_decoding *job = info->client_data;
    if (job->info.input_scan_number > MAX_SCANS)
        stop_decoding(job, p2p_fail(P2P_INPUT, "%s has more than %d scans; refused", job->name, MAX_SCANS));
}

static void check_color_space(jpeg_decoding *job) {
    J_COLOR_SPACE space = job->info.jpeg_color_space;
    if (space == JCS_GRAYSCALE || space == JCS_RGB || space == JCS_YCbCr) return;
    bool inks = space == JCS_CMYK || space == JCS_YCCK;
    p2p_status status =
        inks ? p2p_fail(P2P_INPUT, "%s is a CMYK JPEG (four inks); only RGB and grey are accepted", job->name)
             : p2p_fail(P2P_INPUT, "%s is a JPEG of %d components in no known colour space", job->name,
                        job->info.num_components);
    stop_decoding(job, p2p_hint(status, "convert it to RGB first"));
}

/* A progressive file, or one with a scan per component, is decoded from the coefficients of the whole
 * picture: blocks of 64, of 2 bytes each, rounded up to whole units of all components. */
static uint64_t coefficient_bytes(j_decompress_ptr info) {
    uint64_t blocks = 0;
    if (!jpeg_has_multiple_scans(info)) return 0;
    for (int i = 0; i < info->num_components; i++) {
        const jpeg_component_info *part = &info->comp_info[i];
        blocks += ((uint64_t)part->width_in_blocks + (unsigned)part->h_samp_factor) *
                  ((uint64_t)part->height_in_blocks + (unsigned)part->v_samp_factor);
    }
    return blocks * DCTSIZE2 * sizeof(JCOEF);
}

/* libjpeg has some dozens of rows for upsampling. No bound of compression is known: a scan may leave out any
 * number of blocks. */
static void find_facts(jpeg_decoding *job, bool grey) {
    enum { ROWS = 64 };
    j_decompress_ptr info = &job->info;
    const image_format format = {grey ? 1 : 3, 8};
    job->facts->header =
        (image_header){(int)info->image_width, (int)info->image_height, format.channels, format.bits};
    job->facts->decode_bytes = image_pixels_bytes(&job->facts->header, format) + coefficient_bytes(info) +
                               (uint64_t)info->image_width * 3 * ROWS + IMAGE_DECODER_BYTES;
}

static void decode(jpeg_decoding *job) {
    j_decompress_ptr info = &job->info;
    jpeg_create_decompress(info);
    info->progress = &job->progress;
    jpeg_mem_src(info, job->bytes, (unsigned long)job->size);
    jpeg_read_header(info, TRUE);
    p2p_status status = image_check_size(info->image_width, info->image_height, job->name);
    if (status != P2P_OK) stop_decoding(job, status);
    check_color_space(job);
    bool grey = info->jpeg_color_space == JCS_GRAYSCALE;
    find_facts(job, grey);
    if (job->result == NULL) return;

    status = image_allocate(job->facts, job->size, job->name, job->result);
    if (status != P2P_OK) stop_decoding(job, status);
    info->out_color_space = grey ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(info);
    size_t row_bytes = image_view_of(job->result).stride;
    while (info->output_scanline < info->output_height) {
        JSAMPROW row = (JSAMPROW)job->result->pixels + info->output_scanline * row_bytes;
        jpeg_read_scanlines(info, &row, 1);
    }
    jpeg_finish_decompress(info); /* reports a missing end */
}

/* A turned picture is a second one in memory, beside what libjpeg had, which free() need not have returned to
 * the system. */
static void turn_facts(image_facts *facts, const uint8_t *bytes, size_t size) {
    const image_header found = facts->header;
    facts->orientation = exif_orientation(bytes, size);
    if (facts->orientation == IMAGE_UPRIGHT) return;
    facts->decode_bytes += image_pixels_bytes(&found, (image_format){found.channels, found.bits});
    if (!exif_exchanges_sides(facts->orientation)) return;
    facts->header.width = found.height;
    facts->header.height = found.width;
}

static p2p_status decode_guarded(jpeg_decoding *job) {
    if (setjmp(job->escape) != 0) return job->status;
    decode(job);
    return P2P_OK;
}

p2p_status image_jpeg_decode(const uint8_t *bytes, size_t size, const char *name, image_facts *facts,
                             image *result) {
    jpeg_decoding job = {.bytes = bytes, .size = size, .name = name, .facts = facts, .result = result};
    job.info.err = jpeg_std_error(&job.errors);
    job.info.client_data = &job;
    job.errors.error_exit = on_decoding_error;
    job.errors.emit_message = on_decoding_message;
    job.progress.progress_monitor = on_decoding_progress;
    p2p_status status = decode_guarded(&job);
    jpeg_destroy_decompress(&job.info);
    P2P_TRY(status);
    turn_facts(facts, bytes, size);
    return result && facts->orientation != IMAGE_UPRIGHT ? exif_turn(result, facts->orientation) : P2P_OK;
}

typedef struct {
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    jmp_buf escape;
    const image *picture;
    FILE *stream;
    const char *name;
    p2p_status status;
} jpeg_encoding;

static void on_encoding_error(j_common_ptr info) {
    jpeg_encoding *job = info->client_data;
    char reason[JMSG_LENGTH_MAX];
    info->err->format_message(info, reason);
    job->status = p2p_fail(P2P_IO, "can't write %s: %s", job->name, reason);
    longjmp(job->escape, 1);
}

static void on_encoding_message(j_common_ptr info, int level) {
    (void)info; /* the encoder has traces only */
    (void)level;
}

static void encode(jpeg_encoding *job) {
    j_compress_ptr info = &job->info;
    jpeg_create_compress(info);
    jpeg_stdio_dest(info, job->stream);
    info->image_width = (JDIMENSION)job->picture->width;
    info->image_height = (JDIMENSION)job->picture->height;
    info->input_components = job->picture->channels;
    info->in_color_space = job->picture->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(info);
    jpeg_set_quality(info, QUALITY, TRUE);
    info->comp_info[0].h_samp_factor = 1; /* no chroma subsampling */
    info->comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(info, TRUE);
    size_t row_bytes = image_view_of(job->picture).stride;
    while (info->next_scanline < info->image_height) {
        JSAMPROW row = (JSAMPROW)job->picture->pixels + info->next_scanline * row_bytes;
        jpeg_write_scanlines(info, &row, 1);
    }
    jpeg_finish_compress(info);
}

static p2p_status encode_guarded(jpeg_encoding *job) {
    if (setjmp(job->escape) != 0) return job->status;
    encode(job);
    return P2P_OK;
}

p2p_status image_jpeg_encode(const image *picture, FILE *stream, const char *name) {
    jpeg_encoding job = {.picture = picture, .stream = stream, .name = name};
    job.info.err = jpeg_std_error(&job.errors);
    job.info.client_data = &job;
    job.errors.error_exit = on_encoding_error;
    job.errors.emit_message = on_encoding_message;
    p2p_status status = encode_guarded(&job);
    jpeg_destroy_compress(&job.info);
    return status;
}
