/* `p2p sample-data`: a generated data set. The implementation is in sample/. */
#include "command.h"
#include "sample/sample_data.h"

p2p_status command_sample_data(settings *all) {
    if (!all->arguments || !all->arguments[0]) {
        p2p_fail(P2P_USAGE, "no folder to draw into is given");
        return p2p_hint(P2P_USAGE, "p2p sample-data toys");
    }
    const char *dir = all->arguments[0];
    if (all->arguments[1]) return p2p_fail(P2P_USAGE, "'%s': one folder is enough", all->arguments[1]);
    P2P_TRY(sample_data_draw(dir, all->count, (int)all->size, all->seed));
    printf("%s\n", dir);
    fprintf(stderr, "drew %lld pairs of %lldx%lld into %s/train, and some for val and test\n",
            (long long)all->count, (long long)all->size, (long long)all->size, dir);
    fprintf(stderr, "next: p2p train --data %s --out run --size %lld\n", dir, (long long)all->size);
    return P2P_OK;
}
