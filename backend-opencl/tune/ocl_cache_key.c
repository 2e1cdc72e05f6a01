/* The key of stored data about a device's convolutions. See ocl_cache_key.h. */
#include "ocl_cache_key.h"

#include "device/ocl_program.h"
#include "device/ocl_program_cache.h"

#include <stdio.h>
#include <stdlib.h>

ocl_cache_key *ocl_cache_key_make(const p2p_be_device *device, const char *format, const char *about) {
    enum { FIXED = 6 };
    const ocl_target *target = &device->target;
    ocl_cache_key *key = malloc(sizeof *key + (FIXED + (size_t)ocl_source_count) * sizeof key->part[0]);
    if (!key) return NULL;
    snprintf(key->target, sizeof key->target, "%d %d %d %zu %zu", target->cpu, target->vector_width,
             (int)target->family, target->device_group_limit, target->local_bytes);
    const char *const fixed[FIXED] = {
        format, about, device->info.name, device->info.driver, device->platform_version, key->target};
    for (key->count = 0; key->count < FIXED; key->count++)
        key->part[key->count] = ocl_key_text(fixed[key->count]);
    for (int i = 0; i < ocl_source_count; i++)
        key->part[key->count++] = (p2p_key_part){ocl_sources[i].bytes, ocl_sources[i].size};
    return key;
}
