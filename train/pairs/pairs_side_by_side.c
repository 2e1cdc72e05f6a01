/* See pairs_side_by_side.h. */
#include "pairs_side_by_side.h"

#include "data/dataset.h"
#include "pairs_record.h"

/* Whether the split can be opened. *data is NULL if not, or if there is none. */
static p2p_status try_split(const char *dir, const char *split, const dataset_options *options,
                            dataset **data, bool *opens) {
    bool has;
    *data = NULL;
    P2P_TRY(dataset_has_split(dir, split, &has));
    *opens = true;
    if (!has) return P2P_OK;
    p2p_status status = dataset_open(data, dir, split, options);
    *opens = status == P2P_OK;
    return status == P2P_INPUT || status == P2P_UNREADABLE ? P2P_OK : status;
}

/* Whether `p2p train` would open the folder's splits. */
static p2p_status try_folder(const char *dir, dataset_pairing pairing, bool *opens) {
    dataset *train, *val = NULL;
    dataset_options options = {.pairing = pairing, .side = 1};
    P2P_TRY(try_split(dir, "train", &options, &train, opens));
    options.training = train;
    p2p_status status = *opens ? try_split(dir, "val", &options, &val, opens) : P2P_OK;
    dataset_close(val);
    dataset_close(train);
    return status;
}

p2p_status pairs_need_side_by_side(const char *dir, bool *needed) {
    bool opens;
    *needed = false;
    P2P_TRY(pairs_record_shows_pairs(dir, needed));
    if (!*needed) return P2P_OK;
    P2P_TRY(try_folder(dir, DATASET_PAIRS_AUTO, &opens));
    *needed = !opens;
    if (!opens) P2P_TRY(try_folder(dir, DATASET_PAIRS_SIDE_BY_SIDE, needed));
    return P2P_OK;
}
