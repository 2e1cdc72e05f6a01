/* See doctor_selection.h. */
#include "doctor_selection.h"

#include <string.h>

/* The length of the backend's name in an address. */
static size_t backend_length(const char *address) {
    return strcspn(address, ":");
}

bool doctor_same_backend(const char *a, const char *b) {
    const size_t length = backend_length(a);
    return length == backend_length(b) && memcmp(a, b, length) == 0;
}

bool doctor_is_of(const char *address, const char *backend) {
    if (strcmp(backend, "auto") == 0) return !doctor_same_backend(address, "reference");
    return doctor_same_backend(address, backend);
}

static bool is_usable_gpu(const p2p_device_entry *entry) {
    return entry->presence == P2P_PRESENCE_USABLE && strcmp(entry->type, "GPU") == 0;
}

const p2p_device_entry *doctor_same_card(const p2p_device_entry *entries, int index) {
    const p2p_device_entry *entry = &entries[index];
    for (int i = 0; i < index && is_usable_gpu(entry); i++)
        if (is_usable_gpu(&entries[i]) && strcmp(entries[i].name, entry->name) == 0 &&
            !doctor_same_backend(entries[i].address, entry->address))
            return &entries[i];
    return NULL;
}
