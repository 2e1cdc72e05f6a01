/* Whether a computation fits into memory, decided from its plans before anything is allocated, and what would
 * fit instead.
 *
 * Device memory is compared with what is free on the device, without what libraries will take of it; if it
 * does not report that, with all that it has. On devices whose buffers are host memory, buffers count as host
 * memory too. Host memory is compared with sys_memory_limits(). Processes that train together on one machine
 * need as much each (setup_sharing.h). The estimate covers buffers, the host's part of runs, what the program
 * itself holds (memory_need.host), the pictures that are read at once, and the driver with its compiler.
 */
#ifndef P2P_SETUP_MEMORY_H
#define P2P_SETUP_MEMORY_H

#include "setup.h"
#include "setup_plans.h"
#include "setup_sharing.h"

typedef struct {
    int64_t batch;         /* of a replica */
    int64_t width, height; /* of a picture */
} memory_shape;

/* Bytes. */
typedef struct {
    size_t device; /* buffers of a replica */
    size_t host; /* of all replicas' runs and of the program; not the driver's, and without pictures that are
                    read */
    size_t pictures; /* of the host, while as many pictures are read at once as will be */
    size_t picture;  /* while the largest one is read alone, as with a smaller --memory */
} memory_need;

/* What a hint may propose to change. */
typedef enum {
    MEMORY_PICTURES, /* --batch and the pictures */
    MEMORY_OPTIONS,  /* --batch and --size; pictures are square */
    MEMORY_FIXED,    /* nothing: a resumed training */
} memory_change;

typedef struct {
    const char *what; /* "this training": the subject of the message */
    const setup_devices *devices;
    const memory_sharing *sharing; /* NULL: this process is alone */
    memory_shape shape;
    memory_change change;
    bool joined;  /* the devices take part in collectives */
    int64_t unit; /* MEMORY_PICTURES: sides are multiples of it */
    /* Compute the need of any shape. Plans are made in a session of their own, which allocates nothing.
     * P2P_OUT_OF_MEMORY if a part is larger than the device allows in one piece. */
    p2p_status (*measure)(void *context, const memory_shape *shape, memory_need *need);
    void *context;
} memory_question;

/* What a computation needs and what is present, as a sentence; if it does not fit, also what would: the
 * largest batch, or a smaller size. */
typedef struct {
    bool fits;
    char text[640], proposal[256];
} memory_fit;

/* The search for what would fit makes about fifteen plans, of tens of milliseconds each. A failure is that of
 * `measure` for the question's own shape; P2P_OUT_OF_MEMORY of it means that the computation does not fit. */
p2p_status setup_memory_fit(const memory_question *question, memory_fit *fit);

/* Whether the proposal of a computation that does not fit is that nothing smaller does. */
bool setup_memory_hopeless(const memory_fit *fit);

/* P2P_OUT_OF_MEMORY, with the text as message and the proposal as hint, if the computation does not fit. */
p2p_status setup_memory_refuse(const memory_fit *fit);
/* Both. */
p2p_status setup_memory_check(const memory_question *question);

/* The same of all ranks, which call it together: P2P_OUT_OF_MEMORY in one, P2P_FAILED in the others. Sets
 * question->sharing for its time. */
p2p_status setup_memory_check_ranks(memory_question *question, ranks *r);

/* ---- Needs -------------------------------------------------------------------------------------------- */

/* A training or a translation of `all`, whose batch and size are replaced by a shape's. */
typedef struct {
    const settings *all;
    const setup_devices *devices;
    pair_format format;
    int64_t pairs;       /* of the data set; 0: as many as a batch of all replicas */
    const char *choices; /* imposed convolution choices; NULL: none */
    bool training;       /* else the generator alone; `pairs` is unused then */
    uint64_t pair_bytes; /* the most memory that loading a pair takes; 0: none is loaded */
} memory_subject;

/* The question of whether the settings' training or translation fits. */
memory_question setup_memory_question(memory_subject *subject);

/* Set the need of pictures of which `threads` are read at once. The largest one takes `bytes`. */
void setup_memory_pictures(uint64_t bytes, int threads, memory_need *need);

/* The need of a session's plans and of a batch of pictures for each replica that an evaluator holds. */
void setup_memory_evaluation(const p2p_session *session, pair_format format, const memory_shape *shape,
                             memory_need *need);
/* Choices as they are stored, never measured: for sessions that only plan. */
extern const setup_tuning setup_tuning_stored;

#endif
