/* `p2p translate`: images through a trained generator.
 *
 * The model file says everything about the network. Images keep their size, so each size gets a session of
 * its own; images of one size that follow each other share it.
 */
#include "command.h"
#include "evaluate.h"
#include "model_file.h"
#include "sys.h"

#include <stdlib.h>
#include <string.h>

/* What is needed to run images of one size. */
typedef struct {
    const settings *all;
    safetensors_file *file;
    pix2pix *model;
    p2p_device *device;
    p2p_graph *graph;
    p2p_session *session;
    p2p_plan *plan;
    int width, height; /* of the session; 0: none yet */
} translator;

static void close_session(translator *t) {
    p2p_session_destroy(t->session);
    p2p_graph_destroy(t->graph);
    t->session = NULL;
    t->graph = NULL;
    t->width = t->height = 0;
}

static void translator_close(translator *t) {
    close_session(t);
    p2p_device_close(t->device);
    pix2pix_destroy(t->model);
    safetensors_close(t->file);
}

static p2p_status open_session(translator *t, int width, int height) {
    if (t->width == width && t->height == height) return P2P_OK;
    close_session(t);
    pix2pix_graph_options options = pix2pix_graph_options_for(t->model, 1);
    options.width = width;
    options.height = height;
    P2P_TRY(pix2pix_graph_evaluate(t->model, &options, false, &t->graph));
    P2P_TRY(command_create_session(t->all, t->device, &t->session));
    P2P_TRY(p2p_session_plan(t->session, "translation", &t->graph, &t->plan));
    P2P_TRY(p2p_session_allocate(t->session, NULL, NULL));
    P2P_TRY(model_file_read(t->session, t->file, t->model->generator.network));
    t->width = width;
    t->height = height;
    return P2P_OK;
}

static p2p_status run_image(translator *t, const image *picture, const char *out) {
    P2P_TRY(open_session(t, picture->width, picture->height));
    const evaluator e = {.plan = t->plan,
                         .batch = 1,
                         .width = t->width,
                         .height = t->height,
                         .format = {.input = IMAGE_RGB8, .target = IMAGE_RGB8}};
    image result = {0};
    P2P_TRY(evaluate_pictures(&e, 1, picture, &result));
    p2p_status status = image_save(out, &result);
    image_free(&result);
    return status;
}

static p2p_status translate_file(translator *t, const char *path, const char *out) {
    image picture = {0};
    P2P_TRY(image_load(path, &picture));
    p2p_status status = image_reformat(&picture, IMAGE_RGB8);
    if (status == P2P_OK) status = pix2pix_sides_check(t->model->config.depth, picture.height, picture.width);
    if (status == P2P_INPUT) status = p2p_fail(P2P_INPUT, "%s: %s", path, p2p_message());
    if (status == P2P_OK) status = run_image(t, &picture, out);
    image_free(&picture);
    if (status == P2P_OK) printf("%s\n", out);
    return status;
}

/* "folder/name.png" for a picture "any/where/name.jpg". */
static p2p_status name_in_folder(const char *folder, const char *path, char **out) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
    size_t stem = dot && dot > base ? (size_t)(dot - base) : strlen(base);
    char *name = malloc(stem + sizeof ".png");
    if (!name) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for a name in %s", folder);
    memcpy(name, base, stem);
    memcpy(name + stem, ".png", sizeof ".png");
    p2p_status status = sys_path_join(out, folder, name);
    free(name);
    return status;
}

static bool same_output(char **outs, int count, const char *out) {
    for (int i = 0; i < count; i++) {
        if (strcmp(outs[i], out) == 0) return true;
    }
    return false;
}

/* Where each image goes: --out itself for one image that isn't to go into a folder, else a folder. */
static p2p_status name_outputs(const settings *all, int count, char **outs) {
    const char *out = all->out;
    if (count == 1 && image_suffix_known(out) && sys_path_kind_of(out) != SYS_PATH_FOLDER)
        return sys_path_join(&outs[0], "", out);
    if (sys_path_kind_of(out) == SYS_PATH_FILE || (count > 1 && image_suffix_known(out)))
        return p2p_fail(P2P_USAGE, "--out %s: for %d images it must be a folder", out, count);
    for (int i = 0; i < count; i++) {
        char *name;
        P2P_TRY(name_in_folder(out, all->arguments[i], &name));
        bool twice = same_output(outs, i, name);
        outs[i] = name;
        if (twice)
            return p2p_fail(P2P_USAGE, "%s: another image would be written to %s too", all->arguments[i],
                            name);
    }
    return sys_folder_make(out);
}

static p2p_status translate_all(const settings *all, int count, char **outs) {
    translator t = {.all = all};
    model_file_info info;
    p2p_status status = name_outputs(all, count, outs);
    if (status == P2P_OK) status = model_file_open(all->model, &t.file, &t.model, &info);
    if (status == P2P_OK) status = command_open_device(all, &t.device);
    for (int i = 0; status == P2P_OK && i < count; i++)
        status = translate_file(&t, all->arguments[i], outs[i]);
    translator_close(&t);
    return status;
}

p2p_status command_translate(settings *all) {
    if (!all->model) return p2p_fail(P2P_USAGE, "--model is missing: a trained generator.safetensors");
    if (!all->out) return p2p_fail(P2P_USAGE, "--out is missing: where the result goes");
    int count = 0;
    while (all->arguments && all->arguments[count]) count++;
    if (count == 0) return p2p_fail(P2P_USAGE, "no image is given");
    char **outs = calloc((size_t)count, sizeof *outs);
    if (!outs) return p2p_fail(P2P_OUT_OF_MEMORY, "no memory for %d names", count);
    p2p_status status = translate_all(all, count, outs);
    for (int i = 0; i < count; i++) free(outs[i]);
    free(outs);
    return status;
}
