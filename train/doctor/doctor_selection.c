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

/* The length of "PCI address 0000:3B:00.0" at the start of the details; 0 if there is none. */
static size_t place_length(const p2p_device_entry *entry) {
    static const char begin[] = "PCI address ";
    return strncmp(entry->details, begin, sizeof begin - 1) == 0 ? strcspn(entry->details, ",") : 0;
}

/* By their places if both have one, else by their names. */
static bool may_be_same(const p2p_device_entry *a, const p2p_device_entry *b) {
    const size_t length = place_length(a);
    if (length == 0 || place_length(b) == 0) return strcmp(a->name, b->name) == 0;
    return length == place_length(b) && memcmp(a->details, b->details, length) == 0;
}

const p2p_device_entry *doctor_same_card(const p2p_device_entry *entries, int index) {
    const p2p_device_entry *entry = &entries[index];
    for (int i = 0; i < index && is_usable_gpu(entry); i++)
        if (is_usable_gpu(&entries[i]) && may_be_same(&entries[i], entry) &&
            !doctor_same_backend(entries[i].address, entry->address))
            return &entries[i];
    return NULL;
}
