/* `p2p devices`: a list of all devices, and the reasons why some cannot be used. */
#include "command.h"
#include "p2p.h"

#include <stdlib.h>
#include <string.h>

static const char *bf16_text(const p2p_device_entry *entry) {
    if (entry->no_bf16[0]) return "";
    return entry->stores_bf16 ? ", bf16 (activations are stored in bf16)"
                              : ", bf16 (convolutions multiply in bf16)";
}

static void print_entry(const p2p_device_entry *entry) {
    printf("%c %-14s %s", entry->is_default ? '*' : ' ', entry->address, entry->name);
    if (entry->unusable[0]) {
        printf("\n    can't be used: %s\n", entry->unusable);
        return;
    }
    printf("\n    %s", entry->driver[0] ? entry->driver : "no driver");
    if (entry->type[0]) printf(", %s", entry->type);
    if (entry->compute_units > 0) printf(", %d compute units", entry->compute_units);
    if (entry->memory_bytes > 0)
        printf(", %.1f GiB of memory, %.1f GiB in one piece", (double)entry->memory_bytes / (1 << 30),
               (double)entry->max_alloc_bytes / (1 << 30));
    printf("\n    precision fp32%s%s\n", entry->no_tf32[0] ? "" : ", tf32", bf16_text(entry));
    if (entry->no_bf16[0]) printf("    no bf16: %s\n", entry->no_bf16);
    if (entry->no_tf32[0]) printf("    no tf32: %s\n", entry->no_tf32);
}

p2p_status command_devices(settings *all) {
    P2P_TRY(settings_no_arguments(all, "devices"));
    p2p_device_entry *entries;
    int count;
    P2P_TRY(p2p_device_list(&entries, &count));
    for (int i = 0; i < count; i++) print_entry(&entries[i]);
    printf("\n* marks the device of --backend auto.\n");
    free(entries);
    return P2P_OK;
}
