/* See pairs_video.h. ffmpeg writes into a hidden folder of OUT, from which complete frames are renamed, the
 * first one last: if it exists, all do. */
#include "pairs_video.h"

#include "data/dataset_identity.h"
#include "host/folder_lock.h"
#include "host/sys.h"
#include "host/text.h"

#include <stdlib.h>
#include <string.h>

#define FRAME_SUFFIX "-%06zu.png"
enum { FRAME_SUFFIX_BYTES = 32 };

typedef struct {
    const settings *all;
    const char *video, *out;
    sys_lock *lock; /* of `out` */
    char *stem;     /* of the frames' names */
    char *hidden;   /* the name of the hidden folder, and its path */
    char *partial;
    sys_names names; /* of frames in it */
} extraction;

static p2p_status no_memory(void) {
    return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for the names of frames");
}

/* Join texts. The caller frees the result. */
static p2p_status concatenate(const char *a, const char *b, const char *c, char **text) {
    const size_t size = strlen(a) + strlen(b) + strlen(c) + 1;
    *text = malloc(size);
    if (!*text) return no_memory();
    snprintf(*text, size, "%s%s%s", a, b, c);
    return P2P_OK;
}

static p2p_status name_frames(extraction *run) {
    const char *slash = strrchr(run->video, '/'), *base = slash ? slash + 1 : run->video;
    const char *dot = strrchr(base, '.');
    run->stem = dot && dot > base ? strndup(base, (size_t)(dot - base)) : strdup(base);
    if (!run->stem) return no_memory();
    P2P_TRY(concatenate(".", run->stem, ".frames", &run->hidden));
    return sys_path_join(&run->partial, run->out, run->hidden);
}

static p2p_status frame_path(const extraction *run, size_t number, char **path) {
    char suffix[FRAME_SUFFIX_BYTES], *name;
    snprintf(suffix, sizeof suffix, FRAME_SUFFIX, number);
    P2P_TRY(concatenate(run->stem, suffix, "", &name));
    p2p_status status = sys_path_join(path, run->out, name);
    free(name);
    return status;
}

static p2p_status check_places(const extraction *run) {
    sys_path_kind kind;
    bool exists;
    char *first;
    P2P_TRY(sys_path_no_links(run->out, run->hidden)); /* its files are removed */
    P2P_TRY(sys_path_kind_of(run->video, &kind));
    if (kind != SYS_PATH_FILE) return p2p_fail(P2P_INPUT, "there is no file %s", run->video);
    P2P_TRY(frame_path(run, 1, &first));
    p2p_status status = sys_path_exists(first, &exists);
    if (status == P2P_OK && exists) {
        p2p_fail(P2P_USAGE, "%s exists already", first);
        status = p2p_hint(P2P_USAGE, "choose another folder, or remove these frames: nothing is overwritten");
    }
    free(first);
    return status;
}

/* ---- ffmpeg ------------------------------------------------------------------------------------------- */

/* A pattern for the muxer image2, in which % is written twice. */
static p2p_status pattern_of(const char *folder, char **pattern) {
    static const char start[] = "file:", end[] = "/%06d.png";
    char *to = *pattern = malloc(sizeof start + 2 * strlen(folder) + sizeof end);
    if (!to) return no_memory();
    to = stpcpy(to, start);
    for (const char *c = folder; *c; c++) {
        *to++ = *c;
        if (*c == '%') *to++ = *c;
    }
    stpcpy(to, end);
    return P2P_OK;
}

/* Each line has a label, so that a name with line ends begins no line. */
static void print_line(const char *line) {
    text_print_line("ffmpeg: ", line, stderr);
}

/* With "file:" a name is a name, and a playlist can't make ffmpeg read from the network. */
static p2p_status run_ffmpeg(const extraction *run, const char *source, const char *pattern) {
    char filter[48];
    int code = 0;
    snprintf(filter, sizeof filter, "fps=%.9g", run->all->fps);
    const char *const words[] = {
        "ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-protocol_whitelist",
        "file",   "-i",       source,         "-vf",       filter,  "-start_number",
        "1",      "-y",       "-f",           "image2",    pattern, NULL};
    p2p_status status = sys_program_run(words, print_line, &code);
    if (status == P2P_FAILED)
        return p2p_hint(status, "ffmpeg reads videos: install it (on Debian: apt-get install ffmpeg), or "
                                "extract the frames with another program");
    P2P_TRY(status);
    if (code == 0) return P2P_OK;
    p2p_fail(P2P_INPUT, "ffmpeg can't read %s (exit code %d)", run->video, code);
    return p2p_hint(P2P_INPUT, "its own message is above");
}

static p2p_status extract(const extraction *run) {
    char *source = NULL, *pattern = NULL;
    p2p_status status = concatenate("file:", run->video, "", &source);
    if (status == P2P_OK) status = pattern_of(run->partial, &pattern);
    if (status == P2P_OK) status = run_ffmpeg(run, source, pattern);
    free(source);
    free(pattern);
    return status;
}

/* ---- Frames ------------------------------------------------------------------------------------------- */

static bool is_any(const char *relative) {
    (void)relative;
    return true;
}

static p2p_status remove_partial(const extraction *run) {
    bool exists;
    sys_names names = {0};
    P2P_TRY(sys_path_is_folder(run->partial, &exists));
    if (!exists) return P2P_OK;
    p2p_status status = sys_folder_walk(&names, run->partial, is_any);
    for (size_t i = 0; i < names.count && status == P2P_OK; i++) {
        char *path;
        status = sys_path_join(&path, run->partial, names.names[i]);
        if (status != P2P_OK) break;
        status = sys_file_remove(path);
        free(path);
    }
    sys_names_free(&names);
    return status == P2P_OK ? sys_folder_remove(run->partial) : status;
}

/* A frame that an interrupted run has moved exists with the same bytes. */
static p2p_status check_same(const char *from, const char *to) {
    char mine[DATASET_HASH_BYTES], other[DATASET_HASH_BYTES];
    P2P_TRY(dataset_hash_file(from, mine));
    P2P_TRY(dataset_hash_file(to, other));
    if (strcmp(mine, other) == 0) return P2P_OK;
    p2p_fail(P2P_USAGE, "%s exists already, and is another picture", to);
    return p2p_hint(P2P_USAGE, "choose another folder: nothing is overwritten");
}

static p2p_status move_to(const char *from, const char *to) {
    bool exists;
    P2P_TRY(sys_path_exists(to, &exists));
    return exists ? check_same(from, to) : sys_file_rename(from, to);
}

static p2p_status move_frame(const extraction *run, size_t index) {
    char *from, *to;
    P2P_TRY(sys_path_join(&from, run->partial, run->names.names[index]));
    p2p_status status = frame_path(run, index + 1, &to);
    if (status == P2P_OK) {
        status = move_to(from, to);
        free(to);
    }
    free(from);
    return status;
}

static p2p_status move_frames(extraction *run) {
    P2P_TRY(sys_folder_walk(&run->names, run->partial, is_any));
    if (run->names.count == 0) return p2p_fail(P2P_INPUT, "ffmpeg found no frames in %s", run->video);
    for (size_t i = run->names.count; i > 0; i--) P2P_TRY(move_frame(run, i - 1));
    text_line(stderr, "made %zu frame%s in %s", run->names.count, run->names.count == 1 ? "" : "s", run->out);
    return P2P_OK;
}

static p2p_status run_all(extraction *run) {
    P2P_TRY(name_frames(run));
    P2P_TRY(check_places(run));
    P2P_TRY(folder_lock_take(&run->lock, run->out));
    P2P_TRY(check_places(run)); /* again: another command may have written there since the first check */
    P2P_TRY(remove_partial(run));
    P2P_TRY(sys_folder_make(run->partial));
    sys_stop_listen("frame");
    p2p_status status = extract(run);
    if (status == P2P_OK) status = move_frames(run);
    p2p_failure failure;
    p2p_failure_take(&failure, status);
    p2p_status removed = remove_partial(run);
    return status == P2P_OK ? removed : p2p_failure_give(&failure);
}

p2p_status pairs_video(const settings *all, const char *video, const char *out) {
    extraction run = {.all = all, .video = video, .out = out};
    p2p_status status = run_all(&run);
    sys_lock_release(run.lock);
    sys_names_free(&run.names);
    free(run.hidden);
    free(run.partial);
    free(run.stem);
    return status;
}
