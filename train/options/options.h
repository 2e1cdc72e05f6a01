/* The settings of every command, and the table of options that defines them.
 *
 * A row of the table has an option's name, type, range, commands and help, and whether it determines the
 * result of a training. Parsing (popt), --help, OUT/config.json and the check of a resumed training's options
 * use the same rows. The settings are interpreted elsewhere (setup.h, run/).
 */
#ifndef P2P_OPTIONS_H
#define P2P_OPTIONS_H

#include "p2p_status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The commands of an option, as bits. */
enum {
    COMMAND_TRAIN = 1,
    COMMAND_TRANSLATE = 2,
    COMMAND_PLAN = 4,
    COMMAND_SAMPLE_DATA = 8,
    COMMAND_DEVICES = 16,
    COMMAND_BENCH = 32,
    COMMAND_TEST = 64,
    COMMAND_TUNE = 128,
    COMMAND_DOCTOR = 256,
    COMMAND_PAIRS = 512,
    COMMAND_REPORT = 1024,
};

enum {
    SETTINGS_MAX_ROWS = 128, /* at least as many as the table has rows */
    /* The largest values of options that other code limits too. */
    SETTINGS_MAX_BATCH = 4096,   /* --batch */
    SETTINGS_MAX_SIDE = 4096,    /* --size */
    SETTINGS_MAX_FILTERS = 1024, /* --ngf, --ndf */
    SETTINGS_MAX_SHARES = 64,    /* --grad-accumulate */
    SETTINGS_MAX_DEVICES = 64,   /* --gpus */
    SETTINGS_MAX_PAIRS = 100000, /* --count */
    SETTINGS_MAX_COUNTS = 8      /* numbers in a list */
};
#define SETTINGS_MAX_PIXELS 268435456 /* --max-pixels; in digits, because its text is the default */

/* Whole numbers, in ascending order. */
typedef struct {
    int64_t of[SETTINGS_MAX_COUNTS];
    int count; /* 0 if not given */
} settings_counts;

/* Owns its texts. A text is NULL if it was not given and has no default. */
typedef struct {
    char *data, *out;
    char *backend, *device, *precision, *cache;
    char *model, *split, *format;
    char *norm_stats, *test_dropout, *scale;
    char *direction, *pairs, *resize, *on_bad_image;
    char *preset;
    char *generator, *d_net, *norm, *bottleneck_norm, *dropout_blocks, *d_order, *gan_mode, *init_upsampling;
    char *init_generator, *init_discriminator;
    char *lr_policy, *lr_scale;
    char *mode, *what, *trace, *sweep, *plot, *report;
    char *fit, *val, *test, *json_file;
    char *tune;
    int64_t batch, epochs, epochs_decay, epoch, steps, count;
    int64_t size, load_size, channels_in, channels_out, workers;
    int64_t ngf, ndf, d_layers;
    int64_t max_pixels, memory; /* memory: 0 if not given */
    int64_t save_every, keep_epochs, keep_samples, checkpoint_every;
    settings_counts gpu_counts; /* one, but for bench */
    int64_t gpus;               /* the last of them; 0 if not given */
    int64_t grad_accumulate, check_replicas;
    int64_t factor, holes, shortest;
    uint64_t seed;
    double norm_eps, norm_momentum, slope, dropout, init_stddev, init_scale;
    double lambda_l1, lr, beta1, beta2, adam_eps;
    double device_timeout; /* seconds; only if given */
    double smoothing, detail, fps;
    bool sync_norm, tensorboard;
    bool no_jitter, no_flip, no_shuffle, resume, allow_other_device, allow_other_data, allow_other_version,
        verify_data, force, keep_size, input_only, json, predict, deterministic, verbose;
    bool help;
    bool given[SETTINGS_MAX_ROWS]; /* whether row i of the table was on the command line */
    int ranks, local_rank;  /* of processes that train together (ranks/ranks.h), set by the command; 0: one */
    const char *program;    /* argv[0] of the program; borrowed */
    const char **arguments; /* arguments that are not options; NULL-terminated, owned by `context` */
    void *context;          /* of popt */
} settings;

/* Parse argv[1..] of `p2p COMMAND ...`; argv[0] is the command's name. P2P_USAGE, with the option's name in
 * the message, if the command line is wrong. Call settings_free() in any case. */
p2p_status settings_parse(settings *all, unsigned command, int argc, const char **argv);
void settings_free(settings *all);

/* The value of an option, named without dashes, as JSON. The caller releases it; NULL if memory runs out or
 * there is no such option. */
json_t *settings_value_to_json(const settings *all, const char *option);

/* Give an option, named without dashes, the value of this text, as if it were recorded: settings_given()
 * does not change. P2P_USAGE if it is not a value of the option. */
p2p_status settings_set(settings *all, const char *option, const char *value);

/* The name, without dashes, of option `number` of a command, from 0; NULL if it has fewer. */
const char *settings_option_name(unsigned command, int number);

/* Whether the option, named without dashes, was on the command line. */
bool settings_given(const settings *all, const char *option);

/* P2P_USAGE, with the argument in the message, if the command line has arguments beside options. */
p2p_status settings_no_arguments(const settings *all, const char *name);

/* Print the options of a command, for --help. */
void settings_print_options(unsigned command, FILE *stream);

/* Print the notes of a command, a paragraph, in lines that fit the terminal. */
void settings_print_notes(const char *text, FILE *stream);

/* Print the values of both presets as a Markdown table. */
void settings_print_presets(FILE *stream);

/* A hash of the table of options: other builds of p2p may have others. */
uint64_t settings_layout(void);

/* The recorded options of `p2p train` as a JSON object, whose names have underscores. The caller releases it.
 * NULL if memory runs out. */
json_t *settings_to_json(const settings *all);

/* The same of the BINDING options only: those that determine the result. */
json_t *settings_binding_to_json(const settings *all);

/* Complete the settings of a resumed training from `kept`, which `file` has recorded. An option that was not
 * given takes the recorded value. P2P_USAGE if a BINDING option was given with another value. If `kept` lacks
 * an option, an older version recorded it, and the option's default is taken. */
p2p_status settings_resume(settings *all, const json_t *kept, const char *file);

/* The command that resumes this training, quoted for a shell: the options that were given, without the
 * BINDING ones, which the checkpoint has. All its bytes are printable. The caller frees it; NULL if memory
 * runs out. */
char *settings_resume_command(const settings *all);

/* The command that begins a training with these recorded settings in the folder `out`, quoted for a shell:
 * the options whose values are not the defaults. Those that are not recorded, such as --device, are missing.
 * The caller frees it; NULL if memory runs out. */
char *settings_begin_command(const json_t *kept, const char *out);

#endif
