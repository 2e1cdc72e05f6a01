/* See file_suffix.h. */
#include "file_suffix.h"

#include "sys.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

const char *file_suffix_of(const char *path) {
    const char *base = sys_base_name(path), *dot = strrchr(base, '.');
    return dot && dot > base && dot[1] ? dot : "";
}

/* Whether the suffix is in the list, whose suffixes are separated by spaces. */
static bool is_in(const char *suffix, const char *suffixes) {
    const size_t length = strlen(suffix);
    for (const char *at = suffixes; *at;) {
        const size_t size = strcspn(at, " ");
        if (size == length && strncasecmp(at, suffix, length) == 0) return true;
        at += size + (at[size] == ' ');
    }
    return false;
}

p2p_status file_suffix_check(const char *what, const char *path, const char *suffixes) {
    const char *suffix = file_suffix_of(path);
    if (!suffix[0] || is_in(suffix, suffixes)) return P2P_OK;
    p2p_fail(P2P_USAGE, "%s %s: no %s file is written there", what, path, suffix);
    return p2p_hint(P2P_USAGE, "these can be written: %s", suffixes);
}

p2p_status file_suffix_check_folder(const char *what, const char *path) {
    static const char files[] = ".png .jpg .jpeg .bmp .gif .svg .html .htm .json .jsonl .csv .txt .log .pdf "
                                ".safetensors .pth .mp4 .zip .tar .gz";
    sys_path_kind kind;
    if (!is_in(file_suffix_of(path), files)) return P2P_OK;
    P2P_TRY(sys_path_kind_of(path, &kind));
    if (kind != SYS_PATH_ABSENT) return P2P_OK; /* the command reports what exists */
    p2p_fail(P2P_USAGE, "%s %s: a folder is written, not a %s file", what, path, file_suffix_of(path));
    return p2p_hint(P2P_USAGE, "name a folder; %s/ makes one of this name", path);
}
