/* What decides the results of a training beside its options: the program, the device, the chosen algorithms,
 * the contents of the pairs and of initial weights. Recorded when a training starts, and compared when it is
 * resumed. The run's identity is a hash of it and of the options, so equal trainings have equal identities
 * and equal files, and the files of different ones can be distinguished.
 */
#ifndef P2P_ORIGIN_H
#define P2P_ORIGIN_H

#include "data/dataset_identity.h"
#include "model_file.h"
#include "options/options.h"

enum { ORIGIN_TEXT_BYTES = 512 };
#define ORIGIN_JOINT " + " /* between different texts of several devices */

typedef struct {
    char version[32]; /* of p2p; "": an older version that recorded none of these */
    char device[ORIGIN_TEXT_BYTES],
        driver[ORIGIN_TEXT_BYTES]; /* of several devices: joined by ORIGIN_JOINT */
    int devices;                   /* that shared each step */
    char arrangement[17]; /* which of several kinds of devices is where (origin_arrange); "": one kind */
    bool measured;        /* an algorithm was chosen by a measurement, not by the heuristic */
    char initial_generator[DATASET_HASH_BYTES],
        initial_discriminator[DATASET_HASH_BYTES]; /* of files; "": none */
    dataset_identity training, validation;         /* validation.pairs is 0 without validation pairs */
} training_origin;

bool origin_is_recorded(const training_origin *origin);

/* The object "origin" of checkpoints and config.json. NULL if memory runs out. */
json_t *origin_to_json(const training_origin *origin);
/* P2P_INPUT, with `path` in the message, if a value is missing. */
p2p_status origin_from_json(const json_t *object, training_origin *origin, const char *path);

/* Compare what `file` has recorded with what is found now. A difference is refused, or reported on stderr if
 * an option allows it: --allow-other-version, --allow-other-data, --allow-other-device. */
p2p_status origin_check_version(const training_origin *kept, const settings *all, const char *file);
p2p_status origin_check_data(const training_origin *kept, const training_origin *now, const settings *all,
                             const char *file);
p2p_status origin_check_device(const training_origin *kept, const training_origin *now, const settings *all,
                               const char *file);

/* A number for a device's name and driver. */
uint64_t origin_kind(const char *device, const char *driver);
/* Record the kinds of all devices, in the order in which sums are formed. */
void origin_arrange(training_origin *origin, const uint64_t *kinds, int count);

/* Report on stderr that another number of devices than before, or devices of several kinds in another order,
 * continue the training. */
void origin_note_devices(const training_origin *kept, const training_origin *now);

/* P2P_INPUT if the files of initial weights have changed. */
p2p_status origin_check_initial(const training_origin *kept, const training_origin *now, const char *file);

/* The run's identity. `choices` is the text of the convolutions' algorithms. */
p2p_status origin_identify(const training_origin *origin, const settings *all, const char *choices,
                           char run[MODEL_FILE_RUN_BYTES]);

#endif
