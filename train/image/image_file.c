/* Pictures in files. See image.h. The content selects the decoder, the suffix the encoder. The formats are in
 * image_jpeg.c, image_png.c, image_bmp.c and image_gif.c. */
#include "image.h"

#include "host/file_suffix.h"
#include "host/memory_stream.h"
#include "host/sys.h"
#include "image_codec.h"
#include "image_limits.h"
#include "p2p_file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    MAX_FILE_BYTES = 1 << 30,
    PROBE_BYTES = 16384,          /* includes the header, unless a large profile or preview precedes it */
    MOST_HEADER_BYTES = 64 << 20, /* of a header with these */
};

typedef struct {
    const char *kind, *start;
    size_t start_bytes;
    image_decoder *decode;
} file_kind;

/* NULL if the file is none of these. */
static const file_kind *kind_of(const uint8_t *bytes, size_t size) {
    static const file_kind kinds[] = {{"PNG", "\x89PNG\r\n\x1a\n", 8, image_png_decode},
                                      {"JPEG", "\xff\xd8\xff", 3, image_jpeg_decode},
                                      {"BMP", "BM", 2, image_bmp_decode},
                                      {"GIF", "GIF8", 4, image_gif_decode}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (size >= kinds[i].start_bytes && memcmp(bytes, kinds[i].start, kinds[i].start_bytes) == 0)
            return &kinds[i];
    return NULL;
}

/* `result` is NULL if only the header is wanted. */
static p2p_status decode_any(const uint8_t *bytes, size_t size, const char *name, image_facts *facts,
                             image *result) {
    if (result != NULL) *result = (image){0};
    *facts = (image_facts){.orientation = IMAGE_UPRIGHT};
    if (size == 0) return p2p_fail(P2P_INPUT, "%s is empty", name);
    const file_kind *kind = kind_of(bytes, size);
    if (kind == NULL) {
        p2p_fail(P2P_INPUT, "%s is neither a JPEG, PNG, BMP nor GIF picture", name);
        return p2p_hint(P2P_INPUT,
                        "the content determines the format, not the suffix: convert it to PNG, or remove it");
    }
    p2p_status status = kind->decode(bytes, size, name, facts, result);
    facts->kind = kind->kind;
    facts->file_bytes = size;
    if (status != P2P_OK && result != NULL) image_free(result);
    return status;
}

p2p_status image_decode(const uint8_t *bytes, size_t size, const char *name, image *result) {
    image_facts facts;
    return decode_any(bytes, size, name, &facts, result);
}

p2p_status image_probe_bytes(const uint8_t *bytes, size_t size, const char *name, image_header *header) {
    image_facts facts;
    P2P_TRY(decode_any(bytes, size, name, &facts, NULL));
    *header = facts.header;
    return P2P_OK;
}

p2p_status image_load_inspected(const char *path, const image_facts *facts, image *result) {
    *result = (image){0};
    uint8_t *bytes;
    size_t size;
    image_facts now;
    P2P_TRY(sys_file_read(path, facts->file_bytes, &bytes, &size, NULL));
    p2p_status status = decode_any(bytes, size, path, &now, NULL);
    const bool other_size = now.header.width != facts->header.width ||
                            now.header.height != facts->header.height ||
                            now.orientation != facts->orientation;
    if (status == P2P_OK && (other_size || now.decode_bytes > facts->decode_bytes))
        status = p2p_fail(P2P_INPUT, "%s has changed while it was read", path);
    if (status == P2P_OK) status = decode_any(bytes, size, path, &now, result);
    free(bytes);
    return status;
}

/* Read the header from at most `limit` bytes. *total is the size of the file. */
static p2p_status inspect_beginning(const char *path, size_t limit, image_facts *facts, uint64_t *total) {
    uint8_t *bytes;
    size_t size;
    P2P_TRY(sys_file_read(path, limit, &bytes, &size, total));
    p2p_status status = decode_any(bytes, size, path, facts, NULL);
    facts->file_bytes = *total;
    free(bytes);
    return status;
}

/* The header continues after PROBE_BYTES, because of a profile or a preview. Of any other failure more bytes
 * would change nothing. */
static p2p_status inspect_more(const char *path, image_facts *facts, uint64_t total) {
    p2p_status status = P2P_INPUT;
    size_t limit = PROBE_BYTES;
    while (status == P2P_INPUT && facts->goes_on && limit < total && limit < MOST_HEADER_BYTES) {
        limit *= 16;
        const uint64_t taken = limit < total ? limit : total;
        P2P_TRY(image_memory_take(taken, path));
        status = inspect_beginning(path, limit, facts, &total);
        image_memory_give(taken);
    }
    if (status == P2P_INPUT && facts->goes_on && limit < total)
        return p2p_fail(P2P_INPUT, "%s: its header does not end within %d MiB", path,
                        MOST_HEADER_BYTES >> 20);
    return status;
}

p2p_status image_inspect(const char *path, image_facts *facts) {
    uint64_t total = 0;
    *facts = (image_facts){0};
    p2p_status status = inspect_beginning(path, PROBE_BYTES, facts, &total);
    if (status == P2P_INPUT && total > PROBE_BYTES) status = inspect_more(path, facts, total);
    P2P_TRY(status);
    if (total > MAX_FILE_BYTES)
        return p2p_fail(P2P_INPUT, "%s has %llu bytes; at most %d are accepted", path,
                        (unsigned long long)total, MAX_FILE_BYTES);
    return image_check_complete(facts, total, path);
}

p2p_status image_load(const char *path, image *result) {
    image_facts facts;
    *result = (image){0};
    P2P_TRY(image_inspect(path, &facts));
    P2P_TRY(image_memory_check(facts.file_bytes + facts.decode_bytes, path));
    return image_load_inspected(path, &facts, result);
}

typedef p2p_status (*image_encoder)(const image *picture, FILE *stream, const char *name);

static image_encoder encoder_for(const char *path) {
    const char *dot = file_suffix_of(path);
    if (strcasecmp(dot, ".png") == 0) return image_png_encode;
    return strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 ? image_jpeg_encode : NULL;
}

static bool is_readable(const char *path) {
    const char *dot = file_suffix_of(path);
    return encoder_for(path) != NULL || strcasecmp(dot, ".bmp") == 0 || strcasecmp(dot, ".gif") == 0;
}

/* Whether it lies in a folder of one of these names, which end with NULL, in any case. */
static bool is_inside(const char *relative, const char *const *names) {
    for (const char *at = relative, *slash; (slash = strchr(at, '/')) != NULL; at = slash + 1)
        for (const char *const *name = names; *name != NULL; name++)
            if (strlen(*name) == (size_t)(slash - at) && strncasecmp(at, *name, (size_t)(slash - at)) == 0)
                return true;
    return false;
}

/* Whether it lies in a folder that a NAS or an archiver has made. */
static bool is_not_of_the_user(const char *relative) {
    static const char *const names[] = {"@eaDir",   "#recycle",     "@Recycle", "@Recently-Snapshot",
                                        "__MACOSX", "$RECYCLE.BIN", NULL};
    return is_inside(relative, names);
}

static bool is_among_thumbnails(const char *relative) {
    static const char *const names[] = {"thumbnails", "thumbnail", "thumbs", "thumb", NULL};
    return is_inside(relative, names);
}

bool image_is_thumbnail(const char *relative) {
    return is_readable(relative) && !is_not_of_the_user(relative) && is_among_thumbnails(relative);
}

bool image_is_listed(const char *relative) {
    return is_readable(relative) && !is_not_of_the_user(relative) && !is_among_thumbnails(relative);
}

bool image_is_unread(const char *relative) {
    static const char *const suffixes[] = {
        ".heic", ".heif", ".webp", ".tif", ".tiff", ".avif", ".jxl", ".jp2", ".jfif", ".ppm", ".pgm",
        ".pnm",  ".tga",  ".psd",  ".exr", ".dng",  ".cr2",  ".cr3", ".nef", ".arw",  ".raf", ".orf"};
    const char *dot = file_suffix_of(relative);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (strcasecmp(dot, suffixes[i]) == 0)
            return !is_not_of_the_user(relative) && !is_among_thumbnails(relative);
    return false;
}

bool image_suffix_known(const char *path) {
    return encoder_for(path) != NULL;
}

p2p_status image_save_check(const char *path, image_format format) {
    image_encoder encode = encoder_for(path);
    if (encode == NULL)
        return p2p_fail(P2P_USAGE, "a picture's name must end in " IMAGE_SUFFIXES_WRITTEN ": %s does not",
                        path);
    bool plain = format.channels == 1 || format.channels == 3;
    if (encode == image_png_encode || (plain && format.bits == 8)) return P2P_OK;
    p2p_fail(P2P_USAGE, "%s: a JPEG can't hold %s", path, plain ? "16 bits per channel" : "an alpha channel");
    return p2p_hint(P2P_USAGE, "end the name in .png");
}

typedef p2p_status atomic_commit(p2p_atomic_file *file);

static p2p_status save(const char *path, const image *picture, atomic_commit *commit) {
    P2P_TRY(image_save_check(path, image_format_of(picture)));
    p2p_atomic_file file;
    P2P_TRY(p2p_atomic_open(&file, path));
    p2p_status status = encoder_for(path)(picture, file.stream, path);
    if (status == P2P_OK) return commit(&file);
    p2p_atomic_abandon(&file);
    return status;
}

p2p_status image_save(const char *path, const image *picture) {
    return save(path, picture, p2p_atomic_commit);
}

p2p_status image_save_new(const char *path, const image *picture) {
    return save(path, picture, p2p_atomic_commit_new);
}

static p2p_status has_bytes(const char *path, const memory_stream *encoded, bool *same) {
    uint8_t *bytes;
    size_t size;
    uint64_t total;
    P2P_TRY(sys_file_read(path, encoded->size, &bytes, &size, &total));
    *same = total == encoded->size && size == total && memcmp(bytes, encoded->bytes, size) == 0;
    free(bytes);
    return P2P_OK;
}

p2p_status image_is_saved(const char *path, const image *picture, bool *same) {
    memory_stream encoded;
    *same = false;
    P2P_TRY(image_save_check(path, image_format_of(picture)));
    memory_stream_open(&encoded);
    if (!encoded.stream) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory to compare %s", path);
    p2p_status status = encoder_for(path)(picture, encoded.stream, path);
    const bool whole = memory_stream_finish(&encoded);
    if (status == P2P_OK && !whole) status = p2p_fail(P2P_OUT_OF_MEMORY, "no memory to compare %s", path);
    if (status == P2P_OK) status = has_bytes(path, &encoded, same);
    free(encoded.bytes);
    return status;
}

/* ---- Labels ------------------------------------------------------------------------------------------- */

p2p_status image_save_labelled(const char *path, const image *picture, const char *label) {
    if (encoder_for(path) != image_png_encode)
        return p2p_fail(P2P_USAGE, "a labelled picture's name must end in .png: %s does not", path);
    p2p_atomic_file file;
    P2P_TRY(p2p_atomic_open(&file, path));
    p2p_status status = image_png_encode_labelled(picture, label, file.stream, path);
    if (status == P2P_OK) return p2p_atomic_commit(&file);
    p2p_atomic_abandon(&file);
    return status;
}

p2p_status image_label(const char *path, char label[IMAGE_LABEL_BYTES]) {
    uint8_t *bytes;
    size_t size;
    label[0] = '\0';
    P2P_TRY(sys_file_read(path, PROBE_BYTES, &bytes, &size, NULL));
    p2p_status status = image_png_label(bytes, size, path, label);
    free(bytes);
    return status;
}
