/* A tool, run by hand: how well the lines of p2p pairs edges match those of published pairs.
 *
 *     compare_edges left|right SMOOTHING DETAIL SHORTEST FOLDER...
 *
 * The folders hold pairs side by side, whose photograph is the left or the right picture. Prints precision,
 * recall and F1 at a tolerance of 2 pixels for each pair, and their means.
 */
#include "edge_score.h"
#include "host/sys.h"
#include "pairs/edges.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOLERANCE = 2 };

typedef struct {
    bool photo_is_left;
    edges_options options;
    edge_score sums;
    int pairs;
} comparison;

static int fail(void) {
    fprintf(stderr, "compare_edges: %s\n", p2p_message());
    return 1;
}

static p2p_status compare(comparison *all, const char *path) {
    image pair, lines;
    P2P_TRY(image_load(path, &pair));
    const int width = pair.width / 2;
    const image_view both = image_view_of(&pair);
    const image_view sides[2] = {image_view_crop(both, 0, 0, width, pair.height),
                                 image_view_crop(both, width, 0, width, pair.height)};
    p2p_status status = edges_draw(sides[!all->photo_is_left], &all->options, &lines);
    if (status == P2P_OK) {
        const edge_score score = edge_score_of(image_view_of(&lines), sides[all->photo_is_left], TOLERANCE);
        printf("%s: precision %.3f, recall %.3f, F1 %.3f\n", path, score.precision, score.recall, score.f1);
        all->sums.precision += score.precision;
        all->sums.recall += score.recall;
        all->sums.f1 += score.f1;
        all->pairs++;
        image_free(&lines);
    }
    image_free(&pair);
    return status;
}

static p2p_status compare_folder(comparison *all, const char *folder) {
    sys_names names;
    P2P_TRY(sys_folder_walk(&names, folder, image_is_listed));
    p2p_status status = P2P_OK;
    for (size_t i = 0; i < names.count && status == P2P_OK; i++) {
        char *path;
        status = sys_path_join(&path, folder, names.names[i]);
        if (status == P2P_OK) status = compare(all, path);
        free(path);
    }
    sys_names_free(&names);
    return status;
}

int main(int argc, char **argv) {
    if (argc < 6 || (strcmp(argv[1], "left") != 0 && strcmp(argv[1], "right") != 0)) {
        fprintf(stderr, "usage: compare_edges left|right SMOOTHING DETAIL SHORTEST FOLDER...\n");
        return 2;
    }
    comparison all = {.photo_is_left = strcmp(argv[1], "left") == 0,
                      .options = {atof(argv[2]), atof(argv[3]), atoi(argv[4])}};
    for (int i = 5; i < argc; i++)
        if (compare_folder(&all, argv[i]) != P2P_OK) return fail();
    if (all.pairs > 0)
        printf("mean of %d pairs: precision %.3f, recall %.3f, F1 %.3f\n", all.pairs,
               all.sums.precision / all.pairs, all.sums.recall / all.pairs, all.sums.f1 / all.pairs);
    return 0;
}
