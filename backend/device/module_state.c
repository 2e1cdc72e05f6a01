/* What is known of a backend without devices, as text for users. */
#include "device_internal.h"

const char *p2p_presence_words(p2p_presence presence) {
    static const char *const words[] = {
#define X(name, words) words,
        P2P_PRESENCE_LIST(X)
#undef X
    };
    return words[presence];
}

/* The place and the details are left out if they are unknown. */
static void explain_missing(const p2p_obstacle *obstacle, const char *details, char *reason, size_t size) {
    const bool driver = obstacle->kind == P2P_OBSTACLE_NO_DRIVER;
    snprintf(reason, size, "%s%s is %sinstalled%s%s%s%s", driver ? "no " : "", obstacle->what,
             driver ? "" : "not ", obstacle->looked[0] ? ", looked in " : "", obstacle->looked,
             details[0] ? ": " : "", details);
}

static void explain_old(const p2p_obstacle *obstacle, const char *details, char *reason, size_t size) {
    snprintf(reason, size, "%s %s is installed, %s or newer is needed%s%s", obstacle->what, obstacle->found,
             obstacle->needed, details[0] ? ": " : "", details);
}

/* The message and the hint of the failed call. */
static void take_details(char *details, size_t size) {
    snprintf(details, size, "%s%s%s", p2p_message(), p2p_message_hint()[0] ? "; " : "", p2p_message_hint());
}

static p2p_presence presence_of(const p2p_obstacle *obstacle, p2p_status status) {
    switch (obstacle->kind) {
    case P2P_OBSTACLE_NO_DRIVER:
        return P2P_PRESENCE_NO_DRIVER;
    case P2P_OBSTACLE_OLD_DRIVER:
        return P2P_PRESENCE_OLD_DRIVER;
    case P2P_OBSTACLE_NO_LIBRARY:
        return P2P_PRESENCE_NO_LIBRARY;
    case P2P_OBSTACLE_NO_DEVICE:
        return P2P_PRESENCE_NO_DEVICE;
    case P2P_OBSTACLE_OTHER:
        break;
    }
    return status == P2P_NO_DEVICE ? P2P_PRESENCE_NO_DEVICE : P2P_PRESENCE_FAILED;
}

/* A module may be damaged: its texts end within their arrays. */
static void end_texts(p2p_obstacle *obstacle) {
    obstacle->what[sizeof obstacle->what - 1] = '\0';
    obstacle->looked[sizeof obstacle->looked - 1] = '\0';
    obstacle->found[sizeof obstacle->found - 1] = '\0';
    obstacle->needed[sizeof obstacle->needed - 1] = '\0';
}

void p2p_module_count(const p2p_module_slot *slot, int *count, p2p_presence *presence, char *reason,
                      size_t size) {
    char details[P2P_PATH_BYTES] = "";
    p2p_obstacle obstacle = {0};
    *count = 0;
    p2p_fail(P2P_NO_DEVICE, "no reason given"); /* the message if the module sets none */
    const p2p_status status = P2P_CALL("device_count", slot->module->device_count(count, &obstacle));
    if (status == P2P_OK && *count > 0) return;
    *count = 0;
    end_texts(&obstacle);
    *presence = status == P2P_OK ? P2P_PRESENCE_NO_DEVICE : presence_of(&obstacle, status);
    if (status == P2P_OK)
        snprintf(details, sizeof details, "none was found");
    else
        take_details(details, sizeof details);
    switch (*presence) {
    case P2P_PRESENCE_NO_DRIVER:
    case P2P_PRESENCE_NO_LIBRARY:
        explain_missing(&obstacle, details, reason, size);
        return;
    case P2P_PRESENCE_OLD_DRIVER:
        explain_old(&obstacle, details, reason, size);
        return;
    default:
        snprintf(reason, size, "%s", details);
    }
}
