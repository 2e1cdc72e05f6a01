/* The settings of every command, and the one table of options that fills them.
 *
 * A row of the table says an option's name, type, range, commands, help and whether it determines the result
 * of a training. From the same rows come parsing (popt), --help, OUT/config.json, and the check that a
 * resumed training isn't asked for something else. What the settings mean is not decided here.
 */
#ifndef P2P_OPTIONS_H
#define P2P_OPTIONS_H

#include "p2p_status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Which commands an option belongs to. */
enum {
    COMMAND_TRAIN = 1,
    COMMAND_TRANSLATE = 2,
    COMMAND_PLAN = 4,
    COMMAND_SAMPLE_DATA = 8,
    COMMAND_DEVICES = 16,
    COMMAND_BENCH = 32,
    COMMAND_TEST = 64,
    COMMAND_TUNE = 128,
};

enum {
    SETTINGS_MAX_ROWS = 128,  /* at least as many as the table has rows */
    SETTINGS_MAX_BATCH = 4096 /* the largest --batch */
};

/* Texts are owned; NULL where not given and without a default. */
typedef struct {
    char *data, *out;
    char *backend, *device, *precision;
    char *model, *split, *format;
    char *norm_stats, *test_dropout;
    char *direction, *resize, *on_bad_image;
    char *preset;
    char *generator, *d_net, *norm, *bottleneck_norm, *dropout_blocks, *d_order, *gan_mode;
    char *init_generator, *init_discriminator;
    char *lr_policy, *lr_scale;
    char *mode, *what, *trace, *sweep, *plot;
    char *tune;
    int64_t batch, epochs, epochs_decay, epoch, steps, count;
    int64_t size, load_size, channels_in, channels_out, workers;
    int64_t ngf, ndf, d_layers;
    int64_t save_every, keep_epochs, checkpoint_every;
    uint64_t seed;
    double norm_eps, norm_momentum, slope, dropout, init_stddev, init_scale;
    double lambda_l1, lr, beta1, beta2, adam_eps;
    bool no_jitter, no_flip, no_shuffle, resume, force, json, deterministic, verbose;
    bool help;
    bool given[SETTINGS_MAX_ROWS]; /* row i of the table was on the command line */
    const char *program;           /* how the program was called */
    const char **arguments;        /* what stands after the options; NULL-terminated, owned by `context` */
    void *context;
} settings;

/* Parse argv[1..] of `p2p COMMAND ...` (argv[0] is the command's name). P2P_USAGE names the option at fault.
 * Call settings_free() in any case. */
p2p_status settings_parse(settings *all, unsigned command, int argc, const char **argv);
void settings_free(settings *all);

/* Whether the option (without dashes) was on the command line. */
bool settings_given(const settings *all, const char *option);

/* A command that takes no arguments beside options refuses them by name. */
p2p_status settings_no_arguments(const settings *all, const char *name);

/* The option list of a command's --help. */
void settings_print_options(unsigned command, FILE *stream);

/* What each preset sets each option to that it has a word about, as a Markdown table. */
void settings_print_presets(FILE *stream);

/* Every option of `p2p train` that is worth keeping, as a JSON object; names with underscores. */
json_t *settings_to_json(const settings *all);

/* Complete a resumed training's settings from those kept with its checkpoint: an option that was not given
 * takes the kept value; one that was given, differs, and determines the result is refused by name. Settings
 * that lack an option were kept by a program that hadn't it yet and did what its default says. */
p2p_status settings_resume(settings *all, const json_t *kept, const char *file);

/* The command that goes on with this training, as a shell takes it: what was given, but for what only a
 * checkpoint can say. Cut off where `size` is too small. */
void settings_resume_command(const settings *all, char *text, size_t size);

#endif
