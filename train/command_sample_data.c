/* `p2p sample-data`: a generated data set. The implementation is in sample/. */
#include "command.h"
#include "host/text.h"
#include "sample/sample_data.h"

#include <stdlib.h>

_Static_assert((int)SETTINGS_MAX_PAIRS == (int)SAMPLE_DATA_MAX_COUNT &&
                   (int)SETTINGS_MAX_SIDE == (int)SAMPLE_DATA_MAX_SIZE,
               "the options allow what can be drawn");

p2p_status command_sample_data(settings *all) {
    if (!all->arguments || !all->arguments[0]) {
        p2p_fail(P2P_USAGE, "no folder to draw into is given");
        return p2p_hint(P2P_USAGE, "p2p sample-data toys");
    }
    const char *dir = all->arguments[0];
    if (all->arguments[1]) return p2p_fail(P2P_USAGE, "'%s': one folder is enough", all->arguments[1]);
    P2P_TRY(sample_data_draw(dir, all->count, (int)all->size, all->seed));
    text_line(stdout, "%s", dir);
    text_line(stderr, "%s/train has %lld pair%s of %lldx%lld; val and test have some, too", dir,
              (long long)all->count, all->count == 1 ? "" : "s", (long long)all->size, (long long)all->size);
    char *word = text_shell_word(dir);
    if (word)
        text_line(stderr, "next: p2p train --data %s --out run --size %lld", word, (long long)all->size);
    free(word);
    return P2P_OK;
}
