/* A library for LD_PRELOAD that makes allocations fail. See malloc_faults.h. For glibc, whose own allocator
 * has second names; sanitized programs have an allocator of their own and do not use it. */
#define _GNU_SOURCE
#include "malloc_faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef P2P_MALLOC_WRAPPED
#define REAL(name)   __real_##name
#define FAULTY(name) __wrap_##name
#else
#define REAL(name)   __libc_##name
#define FAULTY(name) name
#endif

void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t count, size_t size);
void *REAL(realloc)(void *old, size_t size);

static malloc_faults *shared; /* NULL before main() */

/* ---- The caller's name, without an allocation --------------------------------------------------------- */

static char *add_text(char *at, const char *end, const char *text) {
    while (*text && at < end) *at++ = *text++;
    return at;
}

static char *add_number(char *at, const char *end, uint64_t value, unsigned base) {
    char digits[32];
    int length = 0;
    do {
        digits[length++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value > 0);
    while (length > 0 && at < end) *at++ = digits[--length];
    return at;
}

static void describe_site(size_t size, void *caller) {
    char *at = shared->site, *end = at + MALLOC_SITE_BYTES - 1;
    Dl_info found;
    at = add_number(at, end, size, 10);
    at = add_text(at, end, " bytes for ");
    if (dladdr(caller, &found) && found.dli_fname) {
        const char *slash = strrchr(found.dli_fname, '/');
        at = add_text(at, end, slash ? slash + 1 : found.dli_fname);
        at = add_text(at, end, "+0x");
        at = add_number(at, end, (uint64_t)((char *)caller - (char *)found.dli_fbase), 16);
        if (found.dli_sname) {
            at = add_text(at, end, " ");
            at = add_text(at, end, found.dli_sname);
        }
    }
    *at = '\0';
}

/* ---- Allocations -------------------------------------------------------------------------------------- */

/* Whether this allocation fails. */
static bool fails(size_t size, void *caller) {
    if (!shared) return false;
    const uint64_t number = atomic_fetch_add(&shared->count, 1) + 1;
    if (shared->records && number <= MALLOC_MOST_SITES)
        shared->sites[number - 1] = (uint64_t)(uintptr_t)caller;
    if (shared->nth == 0 || number < shared->nth || (number > shared->nth && !shared->lasts)) return false;
    if (atomic_exchange(&shared->injected, 1) == 0) describe_site(size, caller);
    errno = ENOMEM;
    return true;
}

void *FAULTY(malloc)(size_t size);
void *FAULTY(calloc)(size_t count, size_t size);
void *FAULTY(realloc)(void *old, size_t size);

void *FAULTY(malloc)(size_t size) {
    return fails(size, __builtin_return_address(0)) ? NULL : REAL(malloc)(size);
}

void *FAULTY(calloc)(size_t count, size_t size) {
    return fails(count * size, __builtin_return_address(0)) ? NULL : REAL(calloc)(count, size);
}

void *FAULTY(realloc)(void *old, size_t size) {
    return fails(size, __builtin_return_address(0)) ? NULL : REAL(realloc)(old, size);
}

static void begin(void) {
    const char *name = getenv("P2P_MALLOC_FAULTS");
    const int file = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) shared = mapped;
}

#ifdef P2P_MALLOC_WRAPPED

char *__wrap_strdup(const char *text);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);

char *__wrap_strdup(const char *text) {
    const size_t size = strlen(text) + 1;
    char *copy = fails(size, __builtin_return_address(0)) ? NULL : __real_malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return fails(size, __builtin_return_address(0)) ? NULL : __real_aligned_alloc(alignment, size);
}

/* The program's own allocations begin in main(). */
__attribute__((constructor)) static void begin_early(void) {
    begin();
}

#else

void *__libc_memalign(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size);
int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv,
                      int (*init)(int, char **, char **), void (*fini)(void), void (*rtld_fini)(void),
                      void *stack_end);

void *memalign(size_t alignment, size_t size) {
    return fails(size, __builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return fails(size, __builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
    if (fails(size, __builtin_return_address(0))) return ENOMEM;
    *result = __libc_memalign(alignment, size);
    return *result ? 0 : ENOMEM;
}

static int (*program_main)(int, char **, char **);

static int counted_main(int argc, char **argv, char **environment) {
    begin();
    return program_main(argc, argv, environment);
}

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv,
                      int (*init)(int, char **, char **), void (*fini)(void), void (*rtld_fini)(void),
                      void *stack_end) {
    __typeof__(&__libc_start_main) next;
    *(void **)&next = dlsym(RTLD_NEXT, "__libc_start_main");
    program_main = main;
    return next(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}

#endif
