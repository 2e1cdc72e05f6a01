/* See plan_space.h. */
#include "plan_space.h"

int plan_space_of(int network, plan_network_space which) {
    return PLAN_SESSION_SPACES + network * PLAN_NETWORK_SPACES + (int)which;
}

const char *plan_space_text(int space) {
    static const char *const session_texts[] = {
#define X(name, text) text,
#define Y(name, text)
        PLAN_SPACE_LIST(X, Y)
#undef X
#undef Y
    };
    static const char *const network_texts[] = {
#define X(name, text)
#define Y(name, text) text,
        PLAN_SPACE_LIST(X, Y)
#undef X
#undef Y
    };
    if (space < PLAN_SESSION_SPACES) return session_texts[space];
    return network_texts[(space - PLAN_SESSION_SPACES) % PLAN_NETWORK_SPACES];
}

size_t plan_round_up(size_t bytes, size_t alignment) {
    return (bytes + alignment - 1) / alignment * alignment;
}

size_t plan_fit(const plan_cut *cut, size_t from, size_t bytes) {
    size_t offset = plan_round_up(from, cut->alignment), chunk = cut->chunk_bytes;
    bool straddles = bytes > 0 && offset / chunk != (offset + bytes - 1) / chunk;
    return straddles ? plan_round_up(offset, chunk) : offset;
}

p2p_status plan_check_fits(const plan_cut *cut, size_t bytes, const char *what) {
    if (bytes <= cut->chunk_bytes) return P2P_OK;
    return p2p_fail(P2P_OUT_OF_MEMORY,
                    "%s needs %.1f MB in one piece; the largest piece that the device allows has %.1f MB",
                    what, (double)bytes / 1e6, (double)cut->chunk_bytes / 1e6);
}
