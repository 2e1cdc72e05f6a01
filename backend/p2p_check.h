/* Checks of devices against the reference, for users: what `p2p doctor` reports.
 *
 * The operations of a training run once each on small odd shapes, and every result is compared with the
 * reference backend's, within the bounds with which the tests compare. Rates are measured by
 * p2p_device_time_transfers and p2p_device_time_peak (p2p.h).
 */
#ifndef P2P_CHECK_H
#define P2P_CHECK_H

#include "p2p.h"

typedef enum {
    P2P_CHECK_PASSED,
    P2P_CHECK_REFUSED,   /* an optional form that the device lacks; p2p then computes it another way */
    P2P_CHECK_AS_STORED, /* the device does not multiply this shape in the precision's math, but as stored:
                            the next result */
    P2P_CHECK_LEFT_OUT,  /* not begun, because the time for algorithms was over */
    P2P_CHECK_FAILED     /* wrong, refused although every training needs it, or not to be prepared or run */
} p2p_check_outcome;

/* One operation in one form, by one algorithm. Texts are valid during the call of `visit`. */
typedef struct {
    p2p_kind kind;
    const char *form; /* its optional parts, such as "bias act"; "" for an unfused operation */
    const char
        *algorithm;     /* of a convolution, by the name that was imposed; "" for the device's own choice */
    const char *kernel; /* the device's name for what ran; "" if nothing did */
    const char *descriptor; /* the operation as text, to repeat it */
    const char *reason;     /* why it failed, was refused or left out; "" if it passed */
    p2p_check_outcome outcome;
    double used;    /* the largest error, as a share of its bound */
    double seconds; /* to prepare, run and compare it; mostly compilation */
} p2p_check_result;

typedef struct {
    p2p_precision precision;
    double (*clock)(void);   /* seconds, monotonic */
    double algorithms_until; /* clock reading after which no further algorithm is begun; 0: no limit */
    /* Called before each check: check `done` of about `total` is next. May be NULL. */
    void (*progress)(void *context, int done, int total);
    void (*visit)(void *context, const p2p_check_result *result);
    void *context;
} p2p_check_options;

/* Checks every kind of operation and the usual fused forms with the device's own choice of algorithms, then
 * each algorithm of convolutions that the device lists, once per kind. The device must support the precision.
 * Returns P2P_OK whatever the outcomes; P2P_DEVICE_LOST, after a call of `visit` for the operation that was
 * lost; another status if the checks as a whole can't be made. */
p2p_status p2p_device_check(p2p_device *device, const p2p_check_options *options);

/* Sums small integers over the devices, as a training sums gradients, and compares the sums, which are exact,
 * with the host's. *direct: the devices' own communicator did it; otherwise the numbers passed through the
 * memory of the host. P2P_FAILED with the first wrong sum as message. `count` is at least 2. */
p2p_status p2p_devices_check_reduction(p2p_device *const *devices, int count, bool *direct);

/* The folder of the cache (p2p_cache_folder_set), and its entries. */
typedef struct {
    char folder[4096];              /* "" if the cache is off or nothing names a folder */
    char problem[1024];             /* why the folder can't be used or written; "" if it can */
    bool exists;                    /* false: it will be made when the first entry is written */
    long entries, damaged, foreign; /* foreign: another user owns it or can write to it, so it is not used */
    uint64_t bytes;                 /* of the entries */
    char first_bad[1024];           /* the first damaged or foreign entry, with the reason; "": none */
} p2p_cache_state;

/* Reads every entry. Changes nothing but for a file that is written and removed at once. */
p2p_status p2p_cache_examine(p2p_cache_state *state);

#endif
