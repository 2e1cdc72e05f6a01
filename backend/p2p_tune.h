/* Choice of convolution algorithms by measurement: what backends share. A backend lists its candidates and
 * makes them; this library checks their results, times them, and keeps the winners in the host's cache. It
 * links p2p_op, and calls the device through the backend's own table. */
#ifndef P2P_TUNE_H
#define P2P_TUNE_H

#include "p2p_backend.h"

/* A device as this library uses it. */
typedef struct {
    const p2p_host *host;
    /* The functions of buffers, op_run, op_destroy, submit and wait; those of time if it has them. */
    const p2p_device_table *table;
    p2p_be_device *device;
    const p2p_device_info *info;
} p2p_tune_device;

/* ---- Checks ------------------------------------------------------------------------------------------- */

/* Checks of a plain convolution's results on a device: operands, expected values in double precision, and
 * comparisons.
 *
 * If all elements together take at most 2^19 multiplications, every one is compared with the expected value.
 * For larger shapes some elements are, which detects errors common to all candidates; and up to 2^20
 * elements, in pieces that are spread evenly, are compared with the result of the first correct candidate,
 * which detects an error of a single one. Results of at most so many elements are compared as a whole. */

/* The operands: the input, the filter and the output, or their gradients. */
enum { P2P_TUNE_X, P2P_TUNE_W, P2P_TUNE_Y, P2P_TUNE_ROLES };

typedef struct {
    int at[P2P_TUNE_ROLES]; /* positions in op->t[] */
    int result;             /* the role that is computed; the others are given */
} p2p_tune_roles;

p2p_tune_roles p2p_tune_roles_of(p2p_kind kind);

typedef struct {
    p2p_tune_device device;
    const p2p_op *op;
    p2p_tune_roles roles;
    p2p_be_buffer *buffer[P2P_TUNE_ROLES];
    p2p_be_buffer *gathered; /* the elements that are read, one after the other; NULL if all are read */
    float *accepted;         /* elements of the first correct candidate's result; NULL before there is one */
    bool complete;           /* the samples are all elements */
    int64_t samples;
    double *truth; /* expected value of each sample */
    double tolerance;
} p2p_tune_check;

/* Opens a check of `op`, which must outlive it, and fills the given operands with small whole numbers.
 * Returns P2P_UNSUPPORTED for integer operands. The caller calls p2p_tune_check_close() in any case. */
p2p_status p2p_tune_check_open(p2p_tune_check *check, const p2p_tune_device *device, const p2p_op *op);
void p2p_tune_check_close(p2p_tune_check *check);

/* Fills the result with NaN, so that elements that are not written are detected. */
p2p_status p2p_tune_check_prepare(p2p_tune_check *check);

/* Checks the computed result and sets `right`. If it is wrong, `why` describes the error. */
enum { P2P_TUNE_WHY = 160 };
p2p_status p2p_tune_check_result(p2p_tune_check *check, bool *right, char why[P2P_TUNE_WHY]);

/* The memory of the operands, as op_create takes it. */
void p2p_tune_check_bind(const p2p_tune_check *check, p2p_binding bindings[P2P_MAX_OPERANDS]);

/* Runs a created operation on the operands and checks its result. */
p2p_status p2p_tune_check_try(p2p_tune_check *check, p2p_be_op *op, bool *right, char why[P2P_TUNE_WHY]);

/* ---- Measurement -------------------------------------------------------------------------------------- */

/* How candidates are made, by their names. All but `fault` are set. */
typedef struct {
    void *context;
    p2p_status (*scratch)(void *context, const p2p_op *op, const char *name, size_t *bytes);
    p2p_status (*create)(void *context, const p2p_op *op, const char *name, const p2p_binding *bindings,
                         p2p_binding scratch, p2p_be_op **created);
    /* Why a candidate counts as wrong even if it is right, for tests; NULL if it does not. */
    const char *(*fault)(void *context, const char *name);
    /* Writes the seconds of `runs` consecutive runs on an idle device. */
    p2p_status (*time)(void *context, const char *name, p2p_be_op *op, int runs, double *seconds);
} p2p_tune_maker;

/* Times an operation by the device's own clock if it has one, else by `clock`, for p2p_tune_maker.time. */
p2p_status p2p_tune_time(const p2p_tune_device *device, double (*clock)(void), p2p_be_op *op, int runs,
                         double *seconds);

/* Finds the fastest of `count` candidates that computes `op`, a p2p_op_plain_convolution, correctly. The
 * first is the default; its name may be "". It is kept unless another one is faster by a few per cent, so
 * that noise changes nothing. Wrong candidates give a warning. *choice is all zero if nothing was measured.
 * P2P_UNSUPPORTED if no candidate is right or `op` has a storage that cannot be checked; P2P_OUT_OF_MEMORY if
 * the candidates do not fit. */
p2p_status p2p_tune_fastest(const p2p_tune_device *device, const p2p_op *op, char (*names)[P2P_CHOICE_NAME],
                            int count, const p2p_tune_maker *maker, p2p_choice *choice);

/* ---- Kept choices ------------------------------------------------------------------------------------- */

/* Choices as text, the format in which they are stored between runs: one text per device, one line per
 * convolution:
 *
 *   name TAB seconds TAB seconds of the default TAB descriptor
 *
 * A line is used if its descriptor is identical to the requested one, its numbers are positive and finite,
 * and its name has only characters of names; all other text is skipped. So a damaged text costs time, but
 * gives no wrong result. */

/* Reads the choice on the first line with that descriptor. Returns false if there is no such line or it is
 * damaged. Does not check whether the device has an algorithm of the name. */
bool p2p_tune_text_find(const char *text, const char *descriptor, p2p_choice *choice);

/* Returns the text without any line of the descriptor, damaged ones included, and with a new line at its end.
 * The caller frees it. NULL if memory is exhausted. */
char *p2p_tune_text_replace(const char *text, const char *descriptor, const p2p_choice *choice);

/* Reads the text that the host's cache has under the key; "" if there is none. The caller frees it. NULL if
 * memory is exhausted. */
char *p2p_tune_kept_read(const p2p_host *host, const p2p_key_part *key, int parts);
/* Adds a choice to that text in the cache, and preserves those that other processes have stored meanwhile.
 * Returns the new text, which the caller frees; NULL, with the cache unchanged, if memory is exhausted. */
char *p2p_tune_kept_put(const p2p_host *host, const p2p_key_part *key, int parts, const char *descriptor,
                        const p2p_choice *choice);

#endif
