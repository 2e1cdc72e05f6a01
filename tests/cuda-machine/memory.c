/* Memory. Device addresses lie in a range that is reserved without access, so that host code which
 * dereferences one crashes. The bytes are in a second range at a constant distance. Addresses are not used
 * twice unless P2P_MACHINE_ADDRESSES=reuse: an access to freed memory is always noticed. Each allocation
 * begins 512 bytes after a page boundary, so that no more than 512-byte alignment can be relied on, and
 * starts as bytes 0xFF, which are NaN. */
#define _GNU_SOURCE
#include "driver.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const size_t RANGE = (size_t)1 << 40, PAGE = 4096, OFFSET = 512;

typedef struct {
    unsigned char *addresses, *bytes; /* the two ranges; NULL: not yet reserved */
    size_t next;                      /* offset of the next allocation */
    size_t used;
} device_memory;
static device_memory memories[DRIVER_DEVICES];

static struct {
    driver_allocation *list; /* sorted by begin */
    size_t count, capacity;
} table;

/* ---- The table ----------------------------------------------------------------------------------------- */

/* The number of allocations that begin at or before the address. */
static size_t table_position(CUdeviceptr address) {
    size_t low = 0, high = table.count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (table.list[middle].begin <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

driver_allocation *driver_find(CUdeviceptr address) {
    const size_t position = table_position(address);
    if (position == 0) return NULL;
    driver_allocation *found = &table.list[position - 1];
    return address - found->begin < found->bytes ? found : NULL;
}

static void table_add(driver_allocation allocation) {
    if (table.count == table.capacity) {
        table.capacity = table.capacity ? 2 * table.capacity : 256;
        table.list = realloc(table.list, table.capacity * sizeof *table.list);
        if (!table.list) abort();
    }
    const size_t position = table_position(allocation.begin);
    memmove(&table.list[position + 1], &table.list[position], (table.count - position) * sizeof *table.list);
    table.list[position] = allocation;
    table.count++;
}

static void table_remove(driver_allocation *allocation) {
    const size_t position = (size_t)(allocation - table.list);
    table.count--;
    memmove(&table.list[position], &table.list[position + 1], (table.count - position) * sizeof *table.list);
}

int driver_live_allocations(int device, size_t *bytes) {
    int count = 0;
    *bytes = 0;
    for (size_t i = 0; i < table.count; i++) {
        if (!table.list[i].alive || table.list[i].device != device) continue;
        count++;
        *bytes += table.list[i].bytes;
    }
    return count;
}

bool machine_find(CUdeviceptr address, machine_allocation *found) {
    driver_lock();
    const driver_allocation *allocation = driver_find(address);
    const bool alive = allocation && allocation->alive;
    if (alive) *found = (machine_allocation){allocation->begin, allocation->bytes, allocation->device};
    driver_unlock();
    return alive;
}

void *machine_memory(CUdeviceptr address) {
    driver_lock();
    const driver_allocation *allocation = driver_find(address);
    void *host = allocation && allocation->alive ? allocation->host + (address - allocation->begin) : NULL;
    driver_unlock();
    return host;
}

CUresult driver_check_range(int device, const char *what, CUdeviceptr begin, size_t bytes) {
    if (bytes == 0) return CUDA_SUCCESS;
    const driver_allocation *found = driver_find(begin);
    if (!found)
        return driver_refuse(CUDA_ERROR_INVALID_VALUE,
                             "%s: 0x%llx is not in memory of a device nor in pinned memory", what,
                             (unsigned long long)begin);
    if (!found->alive)
        return driver_refuse(CUDA_ERROR_INVALID_VALUE,
                             "%s: 0x%llx is in memory of %zu bytes that has been freed", what,
                             (unsigned long long)begin, found->bytes);
    if (found->device >= 0 && found->device != device)
        return driver_refuse(CUDA_ERROR_INVALID_VALUE, "%s: 0x%llx is memory of device %d, used on device %d",
                             what, (unsigned long long)begin, found->device, device);
    if (bytes > found->bytes - (begin - found->begin))
        return driver_refuse(CUDA_ERROR_INVALID_VALUE, "%s: %zu bytes at offset %zu of an allocation of %zu",
                             what, bytes, (size_t)(begin - found->begin), found->bytes);
    return CUDA_SUCCESS;
}

void driver_mark_written(CUdeviceptr begin, size_t bytes) {
    const driver_allocation *found = driver_setting.uninitialized ? driver_find(begin) : NULL;
    if (!found || !found->written) return;
    const size_t first = (begin - found->begin) / 4, end = (begin - found->begin + bytes + 3) / 4;
    for (size_t i = first; i < end; i++) found->written[i / 8] |= (unsigned char)(1 << i % 8);
}

/* ---- Memory of devices --------------------------------------------------------------------------------- */

static void *reserve(void) {
    void *range = mmap(NULL, RANGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return range == MAP_FAILED ? NULL : range;
}

static size_t whole_pages(size_t bytes) {
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

/* Freed memory of the device that takes as many pages; NULL: there is none, or it is not used again. */
static driver_allocation *find_freed(int device, size_t size) {
    for (size_t i = table.count; driver_setting.reuses && i-- > 0;) {
        driver_allocation *freed = &table.list[i];
        if (!freed->alive && freed->device == device && whole_pages(OFFSET + freed->bytes) == size)
            return freed;
    }
    return NULL;
}

bool driver_take_memory(int device, size_t bytes, CUdeviceptr *address) {
    device_memory *memory = &memories[device];
    if (!memory->addresses && !(memory->addresses = reserve())) return false;
    if (!memory->bytes && !(memory->bytes = reserve())) return false;
    const size_t size = whole_pages(OFFSET + bytes);
    driver_allocation *freed = find_freed(device, size);
    const size_t at = freed ? (size_t)(freed->host - OFFSET - memory->bytes) : memory->next;
    if (size > RANGE - at) return false;
    unsigned char *pages = memory->bytes + at;
    if (mprotect(pages, size, PROT_READ | PROT_WRITE) != 0) return false;
    memset(pages + OFFSET, 0xff, bytes);
    *address = (CUdeviceptr)(uintptr_t)(memory->addresses + at + OFFSET);
    driver_allocation allocation = {
        .begin = *address, .bytes = bytes, .device = device, .alive = true, .host = pages + OFFSET};
    if (driver_setting.uninitialized) allocation.written = calloc(1, bytes / 32 + 2);
    if (freed)
        *freed = allocation;
    else
        table_add(allocation);
    if (!freed) memory->next += size + PAGE; /* a page without access follows */
    memory->used += bytes;
    return true;
}

static void give_memory_back(driver_allocation *allocation) {
    unsigned char *pages = allocation->host - OFFSET;
    const size_t size = whole_pages(OFFSET + allocation->bytes);
    madvise(pages, size, MADV_DONTNEED);
    mprotect(pages, size, PROT_NONE);
    memories[allocation->device].used -= allocation->bytes;
    allocation->alive = false;
    free(allocation->written);
    allocation->written = NULL;
}

void driver_give_memory_back(CUdeviceptr address) {
    driver_allocation *found = driver_find(address);
    if (found && found->alive) give_memory_back(found);
}

void driver_release_memory(int device) {
    for (size_t i = 0; i < table.count; i++)
        if (table.list[i].alive && table.list[i].device == device) give_memory_back(&table.list[i]);
}

/* What a context takes for itself: figures of real drivers are 300 to 600 MB. */
static size_t context_bytes(int device) {
    const size_t all = driver_memory_bytes(device), own = (size_t)480 << 20;
    return all > 4 * own ? own : 0;
}

static size_t free_bytes(int device) {
    const size_t taken = context_bytes(device) + memories[device].used + driver_setting.held;
    const size_t all = driver_memory_bytes(device);
    return taken < all ? all - taken : 0;
}

CUresult CUDAAPI cuMemGetInfo(size_t *available, size_t *total) {
    int device;
    CUresult result = driver_enter("cuMemGetInfo_v2", DRIVER_WORKS, &device);
    if (result != CUDA_SUCCESS) return result;
    *total = driver_memory_bytes(device);
    *available = free_bytes(device);
    return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuMemAlloc(CUdeviceptr *address, size_t bytes) {
    int device;
    CUresult result = driver_enter("cuMemAlloc_v2", DRIVER_WORKS, &device);
    if (result != CUDA_SUCCESS) return result;
    if ((result = driver_check_no_capture()) != CUDA_SUCCESS) return driver_leave(result);
    if (bytes == 0) return driver_leave(driver_refuse(CUDA_ERROR_INVALID_VALUE, "0 bytes"));
    if (bytes > free_bytes(device) || !driver_take_memory(device, bytes, address))
        result = CUDA_ERROR_OUT_OF_MEMORY;
    return driver_leave(result);
}

/* Checks that the address begins a live allocation (device -1: pinned memory) that no pending command uses.
 */
static CUresult check_free(int device, CUdeviceptr address, driver_allocation **found) {
    *found = driver_find(address);
    if (!*found || (*found)->begin != address)
        return driver_refuse(CUDA_ERROR_INVALID_VALUE, "0x%llx does not begin an allocation",
                             (unsigned long long)address);
    if (!(*found)->alive)
        return driver_refuse(CUDA_ERROR_INVALID_VALUE, "0x%llx has been freed before",
                             (unsigned long long)address);
    if ((*found)->device != device)
        return driver_refuse(CUDA_ERROR_INVALID_VALUE,
                             "the memory is of device %d, not %d (-1: pinned memory)", (*found)->device,
                             device);
    const char *use = driver_pending_use(*found);
    if (use) return driver_refuse(CUDA_ERROR_ILLEGAL_STATE, "%s has not run and uses the memory", use);
    return CUDA_SUCCESS;
}

CUresult CUDAAPI cuMemFree(CUdeviceptr address) {
    int device;
    CUresult result = driver_enter("cuMemFree_v2", DRIVER_ENDS, &device);
    if (result != CUDA_SUCCESS) return result;
    if ((result = driver_check_no_capture()) != CUDA_SUCCESS) return driver_leave(result);
    driver_allocation *found;
    result = check_free(device, address, &found);
    if (result == CUDA_SUCCESS) give_memory_back(found);
    return driver_leave(result);
}

CUresult CUDAAPI cuMemGetAddressRange(CUdeviceptr *begin, size_t *bytes, CUdeviceptr address) {
    CUresult result = driver_enter("cuMemGetAddressRange_v2", DRIVER_WORKS, NULL);
    if (result != CUDA_SUCCESS) return result;
    const driver_allocation *found = driver_find(address);
    if (!found || !found->alive)
        return driver_leave(driver_refuse(CUDA_ERROR_NOT_FOUND, "no allocation has the address"));
    if (begin) *begin = found->begin;
    if (bytes) *bytes = found->bytes;
    return driver_leave(CUDA_SUCCESS);
}

/* ---- Pinned memory ------------------------------------------------------------------------------------- */

static CUresult take_pinned(void **memory, size_t bytes) {
    if (bytes == 0) return driver_refuse(CUDA_ERROR_INVALID_VALUE, "0 bytes");
    void *pages = aligned_alloc(PAGE, whole_pages(bytes));
    if (!pages) return CUDA_ERROR_OUT_OF_MEMORY;
    memset(pages, 0xff, bytes);
    table_add((driver_allocation){
        .begin = (CUdeviceptr)(uintptr_t)pages, .bytes = bytes, .device = -1, .alive = true, .host = pages});
    *memory = pages;
    return CUDA_SUCCESS;
}

CUresult CUDAAPI cuMemHostAlloc(void **memory, size_t bytes, unsigned flags) {
    CUresult result = driver_enter("cuMemHostAlloc", DRIVER_WORKS, NULL);
    if (result != CUDA_SUCCESS) return result;
    if ((result = driver_check_no_capture()) != CUDA_SUCCESS) return driver_leave(result);
    if (flags & ~7u) return driver_leave(driver_refuse(CUDA_ERROR_INVALID_VALUE, "flags %u", flags));
    return driver_leave(take_pinned(memory, bytes));
}

CUresult CUDAAPI cuMemAllocHost(void **memory, size_t bytes) {
    CUresult result = driver_enter("cuMemAllocHost_v2", DRIVER_WORKS, NULL);
    if (result != CUDA_SUCCESS) return result;
    if ((result = driver_check_no_capture()) != CUDA_SUCCESS) return driver_leave(result);
    return driver_leave(take_pinned(memory, bytes));
}

CUresult CUDAAPI cuMemFreeHost(void *memory) {
    CUresult result = driver_enter("cuMemFreeHost", DRIVER_ENDS, NULL);
    if (result != CUDA_SUCCESS) return result;
    if ((result = driver_check_no_capture()) != CUDA_SUCCESS) return driver_leave(result);
    driver_allocation *found;
    result = check_free(-1, (CUdeviceptr)(uintptr_t)memory, &found);
    if (result == CUDA_SUCCESS) {
        table_remove(found);
        free(memory);
    }
    return driver_leave(result);
}

CUresult CUDAAPI cuMemHostGetDevicePointer(CUdeviceptr *address, void *memory, unsigned flags) {
    CUresult result = driver_enter("cuMemHostGetDevicePointer_v2", DRIVER_WORKS, NULL);
    if (result != CUDA_SUCCESS) return result;
    const driver_allocation *found = driver_find((CUdeviceptr)(uintptr_t)memory);
    if (flags || !found || found->device >= 0)
        return driver_leave(
            driver_refuse(CUDA_ERROR_INVALID_VALUE, "%p is not pinned memory, or flags %u", memory, flags));
    *address = (CUdeviceptr)(uintptr_t)memory;
    return driver_leave(CUDA_SUCCESS);
}
