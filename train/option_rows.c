/* The one table of options, by what they are about. A row is all that an option needs: parsing, --help,
 * config.json and the check on --resume read it from here (options.c). */
#include "option_rows.h"

#define AT(field) offsetof(settings, field)

enum {
    TRAIN = COMMAND_TRAIN,
    TRANSLATE = COMMAND_TRANSLATE,
    PLAN = COMMAND_PLAN,
    SAMPLE = COMMAND_SAMPLE_DATA,
    BENCH = COMMAND_BENCH,
    RUN = TRAIN | TRANSLATE | PLAN | BENCH, /* whatever opens a device */
    MODEL = TRAIN | PLAN | BENCH            /* whatever describes a model by options */
};
#define MAX_COUNT 2147483647.0
#define HEADING(text)                                                                                        \
    { .name = text, .kind = KIND_HEADING }

/* clang-format off */
const option_row option_rows[] = {
    HEADING("Files"),
    {"data", 0, KIND_TEXT, AT(data), TRAIN, KEPT, 0, 0, NULL, "DIR",
     "folder with train/ and, where present, val/ and test/: pairs side by side, JPEG or PNG"},
    {"out", 'o', KIND_TEXT, AT(out), TRAIN | TRANSLATE, NOT_KEPT, 0, 0, NULL, "PATH",
     "where results go; for translate a file for one image, a folder for several"},
    {"model", 'm', KIND_TEXT, AT(model), TRANSLATE, NOT_KEPT, 0, 0, NULL, "FILE",
     "a trained generator.safetensors"},
    {"init-generator", 0, KIND_TEXT, AT(init_generator), TRAIN, KEPT, 0, 0, NULL, "FILE",
     "start from these weights (safetensors)"},
    {"init-discriminator", 0, KIND_TEXT, AT(init_discriminator), TRAIN, KEPT, 0, 0, NULL, "FILE",
     "start from these weights (safetensors)"},
    {"resume", 0, KIND_FLAG, AT(resume), TRAIN, NOT_KEPT, 0, 0, NULL, NULL,
     "go on from the newest checkpoint in --out, bit for bit"},

    HEADING("Data"),
    {"direction", 0, KIND_CHOICE, AT(direction), TRAIN, BINDING, 0, 0, "AtoB", "AtoB|BtoA",
     "which half is the input: A is the left one"},
    {"size", 's', KIND_COUNT, AT(size), MODEL | SAMPLE, BINDING, 4, 4096, "256", "N",
     "side of the square images that the networks see"},
    {"load-size", 0, KIND_COUNT, AT(load_size), TRAIN, BINDING, 4, 8192, NULL, "N",
     "side to resize to before the random crop to --size (default 286 for 256, in proportion)"},
    {"no-jitter", 0, KIND_FLAG, AT(no_jitter), TRAIN, BINDING, 0, 0, NULL, NULL,
     "resize to --size directly, no random crop"},
    {"no-flip", 0, KIND_FLAG, AT(no_flip), TRAIN, BINDING, 0, 0, NULL, NULL, "no random mirroring"},
    {"no-shuffle", 0, KIND_FLAG, AT(no_shuffle), TRAIN, BINDING, 0, 0, NULL, NULL,
     "take pairs in byte order of their names"},

    HEADING("Networks"),
    {"generator", 0, KIND_TEXT, AT(generator), MODEL, BINDING, 0, 0, "auto", "NAME",
     "unet_256, unet_128, or the U-Net's number of levels; auto: as many as --size allows, at most 8"},
    {"ngf", 0, KIND_COUNT, AT(ngf), MODEL, BINDING, 1, 1024, "64", "N",
     "filters of the generator's first layer"},
    {"ndf", 0, KIND_COUNT, AT(ndf), MODEL, BINDING, 1, 1024, "64", "N",
     "filters of the discriminator's first layer"},
    {"dropout", 0, KIND_REAL, AT(dropout), MODEL, BINDING, 0, 0.95, "0.5", "P",
     "probability of dropping in the decoder; 0 is off"},

    HEADING("Training"),
    {"batch", 'b', KIND_COUNT, AT(batch), MODEL, BINDING, 1, 4096, "1", "N", "pairs per step"},
    {"epochs", 'e', KIND_COUNT, AT(epochs), TRAIN, KEPT, 1, MAX_COUNT, NULL, "N",
     "passes over the data, in total (default 200 without --steps); with --lr-policy linear those at the full rate "
     "(default 100)"},
    {"epochs-decay", 0, KIND_COUNT, AT(epochs_decay), TRAIN, KEPT, 1, MAX_COUNT, "100", "N",
     "with --lr-policy linear: passes that follow --epochs while the rate falls towards zero"},
    {"steps", 0, KIND_COUNT, AT(steps), TRAIN | BENCH, KEPT, 1, MAX_COUNT, NULL, "N",
     "train: in total; with --epochs the smaller counts; bench: to measure (default 10, in --sweep 3)"},
    {"lr", 0, KIND_REAL, AT(lr), TRAIN, BINDING, 1e-300, 1e300, "0.0002", "X", "Adam's learning rate"},
    {"lr-policy", 0, KIND_CHOICE, AT(lr_policy), TRAIN, KEPT, 0, 0, "constant", "constant|linear",
     "constant, or falling linearly over --epochs-decay"},
    {"lr-scale", 0, KIND_CHOICE, AT(lr_scale), TRAIN, BINDING, 0, 0, "none", "none|linear",
     "linear: multiply --lr by the number of devices"},
    {"lambda-l1", 0, KIND_REAL, AT(lambda_l1), MODEL, BINDING, 0, 1e6, "100", "X", "weight of the L1 loss"},
    {"seed", 0, KIND_SEED, AT(seed), TRAIN | SAMPLE, BINDING, 0, 0, "1", "N",
     "determines every random number; the same seed gives the same bits on the same device"},

    HEADING("Saving"),
    {"save-every", 0, KIND_COUNT, AT(save_every), TRAIN, KEPT, 1, MAX_COUNT, "1", "N",
     "keep the generator of every Nth epoch in OUT/epochs"},
    {"keep-epochs", 0, KIND_COUNT, AT(keep_epochs), TRAIN, KEPT, 0, MAX_COUNT, "10", "K",
     "keep the newest K of them; 0: all"},
    {"checkpoint-every", 0, KIND_COUNT, AT(checkpoint_every), TRAIN, KEPT, 1, MAX_COUNT, NULL, "N",
     "steps between checkpoints (default: every 5 minutes, and at the end)"},

    HEADING("Device"),
    {"backend", 0, KIND_CHOICE, AT(backend), RUN, NOT_KEPT, 0, 0, "auto",
     "auto|opencl|reference", "auto takes the best device present and says which"},
    {"device", 0, KIND_TEXT, AT(device), RUN, NOT_KEPT, 0, 0, NULL, "BACKEND:N",
     "one device, as p2p devices lists them, e.g. opencl:0"},

    HEADING("Measuring"),
    {"mode", 0, KIND_CHOICE, AT(mode), PLAN | BENCH, NOT_KEPT, 0, 0, "train", "train|translate",
     "which plan to show; of bench: whose operations"},
    {"what", 0, KIND_CHOICE, AT(what), BENCH, NOT_KEPT, 0, 0, "train", "train|translate|ops|transfers",
     "measure whole steps, a plan's operations one by one, or memory transfers"},
    {"json", 0, KIND_FLAG, AT(json), BENCH, NOT_KEPT, 0, 0, NULL, NULL, "one JSON object instead of a table"},
    {"sweep", 0, KIND_CHOICE, AT(sweep), BENCH, NOT_KEPT, 0, 0, NULL, "batch|size|filters|all",
     "measure how cost grows along one axis after the other: time per image and memory"},
    {"plot", 0, KIND_TEXT, AT(plot), BENCH, NOT_KEPT, 0, 0, NULL, "FILE",
     "also draw --sweep as an SVG picture"},
    {"trace", 0, KIND_TEXT, AT(trace), BENCH, NOT_KEPT, 0, 0, NULL, "FILE",
     "also write a timeline of one step's operations, for chrome://tracing and Perfetto"},

    HEADING("Other"),
    {"count", 'n', KIND_COUNT, AT(count), SAMPLE, NOT_KEPT, 1, 100000, "40", "N", "pairs in train/"},
    {"verbose", 'v', KIND_FLAG, AT(verbose), RUN | COMMAND_DEVICES, NOT_KEPT, 0, 0, NULL, NULL,
     "log what the planner and the device decide"},
    {"help", 'h', KIND_FLAG, AT(help), ~0u, NOT_KEPT, 0, 0, NULL, NULL, "show this text"},
};
/* clang-format on */

_Static_assert(sizeof option_rows / sizeof option_rows[0] <= SETTINGS_MAX_ROWS,
               "settings.given has a place for each");
const int option_row_count = sizeof option_rows / sizeof option_rows[0];
