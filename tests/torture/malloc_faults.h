/* What torture and the library malloc_faults.so share: a mapped file, named by the environment variable
 * P2P_MALLOC_FAULTS. The library is loaded before all others (LD_PRELOAD), so the allocations of the program
 * and of every library that it is linked to pass through it. They are counted over all threads, from main()
 * on.
 */
#ifndef TORTURE_MALLOC_FAULTS_H
#define TORTURE_MALLOC_FAULTS_H

#include <stdatomic.h>
#include <stdint.h>

enum { MALLOC_MOST_SITES = 1 << 18, MALLOC_SITE_BYTES = 256 };

typedef struct {
    uint64_t nth;   /* the allocation that fails, from 1; 0: none */
    uint32_t lasts; /* so do all later ones */
    uint32_t records;
    _Atomic uint64_t count; /* allocations so far */
    _Atomic uint32_t injected;
    char site[MALLOC_SITE_BYTES];      /* the first that failed: its size and caller */
    uint64_t sites[MALLOC_MOST_SITES]; /* with `records`: the return address of each allocation's caller */
} malloc_faults;

#endif
