/* `p2p devices`: a list of all devices, and the reasons why some cannot be used. */
#include "command.h"
#include "host/text.h"
#include "p2p.h"

#include <stdlib.h>
#include <string.h>

static const char *bf16_text(const p2p_device_entry *entry) {
    if (entry->no_bf16[0]) return "";
    return entry->stores_bf16 ? ", bf16 (activations are stored in bf16)"
                              : ", bf16 (convolutions multiply in bf16)";
}

/* Names and reasons come from drivers. */
static void print_entry(const p2p_device_entry *entry) {
    text_line(stdout, "%c %-14s %s", entry->is_default ? '*' : ' ', entry->address, entry->name);
    if (entry->details[0]) text_line(stdout, "    %s", entry->details);
    if (entry->unusable[0]) {
        text_line(stdout, "    %s: %s", p2p_presence_words(entry->presence), entry->unusable);
        return;
    }
    char units[64] = "", memory[96] = "";
    if (entry->compute_units > 0) snprintf(units, sizeof units, ", %d compute units", entry->compute_units);
    if (entry->memory_bytes > 0)
        snprintf(memory, sizeof memory, ", %.1f GiB of memory, %.1f GiB in one piece",
                 (double)entry->memory_bytes / (1 << 30), (double)entry->max_alloc_bytes / (1 << 30));
    text_line(stdout, "    %s%s%s%s%s", entry->driver[0] ? entry->driver : "no driver",
              entry->type[0] ? ", " : "", entry->type, units, memory);
    text_line(stdout, "    precision fp32%s%s", entry->no_tf32[0] ? "" : ", tf32", bf16_text(entry));
    if (entry->no_bf16[0]) text_line(stdout, "    no bf16: %s", entry->no_bf16);
    if (entry->no_tf32[0]) text_line(stdout, "    no tf32: %s", entry->no_tf32);
}

p2p_status command_devices(settings *all) {
    P2P_TRY(settings_no_arguments(all, "devices"));
    p2p_device_entry *entries;
    int count;
    P2P_TRY(p2p_device_list(NULL, &entries, &count));
    for (int i = 0; i < count; i++) print_entry(&entries[i]);
    printf("\n* marks the device of --backend auto.\n");
    free(entries);
    return P2P_OK;
}
