/* The table of options, by subject. A row is all that an option needs: options*.c derive parsing, --help,
 * config.json and the check on --resume from it. */
#include "option_rows.h"

#define AT(field) offsetof(settings, field)

enum {
    TRAIN = COMMAND_TRAIN,
    TRANSLATE = COMMAND_TRANSLATE,
    TEST = COMMAND_TEST,
    USE = TRANSLATE | TEST, /* commands that run a trained model */
    PLAN = COMMAND_PLAN,
    SAMPLE = COMMAND_SAMPLE_DATA,
    BENCH = COMMAND_BENCH,
    TUNE = COMMAND_TUNE,
    DOCTOR = COMMAND_DOCTOR,
    PAIRS = COMMAND_PAIRS,
    REPORT = COMMAND_REPORT,
    RUN = TRAIN | USE | PLAN | BENCH | TUNE, /* commands that open a device */
    MODEL = TRAIN | PLAN | BENCH | TUNE      /* commands whose options describe a model */
};
#define MAX_COUNT      2147483647.0
#define LONGEST_LINE   100000 /* pixels of a drawn line */
#define TEXT(number)   #number
#define TEXT_OF(macro) TEXT(macro)
#define HEADING(text)                                                                                        \
    { .name = text, .kind = KIND_HEADING }

/* clang-format off */
const option_row option_rows[] = {
    HEADING("Files"),
    {"data", 0, KIND_TEXT, AT(data), TRAIN | TEST, KEPT, 0, 0, NULL, "DIR",
     "folder with train/ and optionally val/ and test/: pairs side by side, or in trainA/ and trainB/"},
    {"out", 'o', KIND_TEXT, AT(out), TRAIN | USE | REPORT, NOT_KEPT, 0, 0, NULL, "PATH",
     "folder for the results; in translate of one picture, and in report, a file"},
    {"model", 'm', KIND_TEXT, AT(model), USE, NOT_KEPT, 0, 0, NULL, "PATH",
     "a trained generator.safetensors, or the folder of a training, whose newest generator is used"},
    {"epoch", 0, KIND_COUNT, AT(epoch), USE, NOT_KEPT, 1, MAX_COUNT, NULL, "N",
     "use the generator of this epoch, if --model is the folder of a training"},
    {"split", 0, KIND_TEXT, AT(split), TEST, NOT_KEPT, 0, 0, "val", "NAME", "the folder of --data: train, val, test"},
    {"format", 0, KIND_CHOICE, AT(format), TRANSLATE | PAIRS, NOT_KEPT, 0, 0, "png", "png|jpg",
     "format of pictures written into a folder"},
    {"force", 0, KIND_FLAG, AT(force), USE, NOT_KEPT, 0, 0, NULL, NULL, "overwrite results that exist; test: also remove pictures of an earlier test"},
    {"init-generator", 0, KIND_TEXT, AT(init_generator), TRAIN, BINDING, 0, 0, NULL, "PATH",
     "start from these weights: a safetensors file, or the folder of a training, whose newest generator is used"},
    {"init-discriminator", 0, KIND_TEXT, AT(init_discriminator), TRAIN, BINDING, 0, 0, NULL, "PATH",
     "start from these weights: a safetensors file, or the folder of a training"},
    {"resume", 0, KIND_FLAG, AT(resume), TRAIN, NOT_KEPT, 0, 0, NULL, NULL,
     "continue from the newest intact checkpoint in --out, bit for bit"},
    {"allow-other-device", 0, KIND_FLAG, AT(allow_other_device), TRAIN, NOT_KEPT, 0, 0, NULL, NULL,
     "with --resume: continue on another device, with another driver, or in another --precision, than before"},
    {"allow-other-data", 0, KIND_FLAG, AT(allow_other_data), TRAIN, NOT_KEPT, 0, 0, NULL, NULL,
     "with --resume: continue with pairs whose contents have changed; number and names of the training pairs must be as before"},
    {"allow-other-version", 0, KIND_FLAG, AT(allow_other_version), TRAIN, NOT_KEPT, 0, 0, NULL, NULL,
     "with --resume: continue a training that another version of p2p began"},
    {"verify-data", 0, KIND_FLAG, AT(verify_data), TRAIN, NOT_KEPT, 0, 0, NULL, NULL,
     "record a hash of all bytes of the pairs; with --resume compare it, not only sizes and samples"},

    HEADING("Data"),
    {"direction", 0, KIND_CHOICE, AT(direction), TRAIN | TEST, BINDING, 0, 0, "AtoB", "AtoB|BtoA",
     "which half is the input: A is the left one"},
    {"pairs", 0, KIND_CHOICE, AT(pairs), TRAIN | TEST | PAIRS, KEPT, 0, 0, "auto", "auto|side-by-side|two-folders",
     "auto: by the folders, and pictures that look like single ones are refused; otherwise pictures of any shape"},
    {"size", 's', KIND_COUNT, AT(size), MODEL | SAMPLE | TEST | PAIRS, BINDING, 4, SETTINGS_MAX_SIDE, "256", "N",
     "side of the square images of the networks"},
    {"load-size", 0, KIND_COUNT, AT(load_size), TRAIN, BINDING, 4, 8192, NULL, "N",
     "side to resize to before the random crop to --size (default 286 for 256, in proportion)"},
    {"workers", 0, KIND_COUNT, AT(workers), TRAIN | PAIRS, NOT_KEPT, 1, 64, NULL, "N",
     "threads that load pictures ahead (default: half of the processors, at most 8; pairs: all); changes no result"},
    {"on-bad-image", 0, KIND_CHOICE, AT(on_bad_image), TRAIN | USE | PAIRS, KEPT, 0, 0, "stop", "stop|skip",
     "at an unusable pair or picture: stop with its name, or leave it out and report the number left out"},
    {"max-pixels", 0, KIND_COUNT, AT(max_pixels), TRAIN | USE | PAIRS, NOT_KEPT, 1, SETTINGS_MAX_PIXELS, TEXT_OF(SETTINGS_MAX_PIXELS), "N",
     "the largest picture that is read, in pixels; larger ones are unusable"},
    {"memory", 0, KIND_BYTES, AT(memory), TRAIN | USE | PAIRS, NOT_KEPT, 1048576, 9e15, NULL, "SIZE",
     "memory for the pictures that are read at once, such as 500M or 4G (default: half of what is free); those that "
     "need more are unusable, the others wait for each other"},
    {"resize", 0, KIND_CHOICE, AT(resize), TRAIN | USE | PAIRS, BINDING, 0, 0, "bicubic", "bicubic|nearest",
     "method; test, translate: default from the model; bicubic as in Pillow, or the nearest pixel as in TensorFlow"},
    {"no-jitter", 0, KIND_FLAG, AT(no_jitter), TRAIN, BINDING, 0, 0, NULL, NULL,
     "resize to --size directly, no random crop"},
    {"no-flip", 0, KIND_FLAG, AT(no_flip), TRAIN, BINDING, 0, 0, NULL, NULL, "no random mirroring"},
    {"no-shuffle", 0, KIND_FLAG, AT(no_shuffle), TRAIN, BINDING, 0, 0, NULL, NULL,
     "take pairs in byte order of their names"},

    {"channels-in", 0, KIND_COUNT, AT(channels_in), MODEL, BINDING, 1, 4, "3", "N",
     "channels of the input: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha; pictures are converted"},
    {"channels-out", 0, KIND_COUNT, AT(channels_out), MODEL, BINDING, 1, 4, "3", "N",
     "channels of the target and of the generated picture, likewise"},

    HEADING("Networks"),
    {"preset", 0, KIND_CHOICE, AT(preset), MODEL, BINDING, 0, 0, "pytorch", "pytorch|tensorflow",
     "the published training whose defaults are used; p2p help presets shows them"},
    {"generator", 0, KIND_TEXT, AT(generator), MODEL, BINDING, 0, 0, "auto", "NAME",
     "unet_256, unet_128, or the U-Net's number of levels; auto: as many as --size allows, at most 8"},
    {"ngf", 0, KIND_COUNT, AT(ngf), MODEL, BINDING, 1, SETTINGS_MAX_FILTERS, "64", "N",
     "filters of the generator's first layer"},
    {"ndf", 0, KIND_COUNT, AT(ndf), MODEL, BINDING, 1, SETTINGS_MAX_FILTERS, "64", "N",
     "filters of the discriminator's first layer"},
    {"d-net", 0, KIND_CHOICE, AT(d_net), MODEL, BINDING, 0, 0, "patch", "patch|pixel",
     "the discriminator judges overlapping patches, or each pixel by itself"},
    {"d-layers", 0, KIND_COUNT, AT(d_layers), MODEL, BINDING, 1, 6, "3", "N",
     "convolutions of stride 2 in --d-net patch: 1 judges patches of 16x16 pixels, 3 of 70x70"},
    {"norm", 0, KIND_CHOICE, AT(norm), MODEL, BINDING, 0, 0, "batch", "batch|instance|none",
     "normalisation between convolutions: over the batch, or over each image by itself"},
    {"bottleneck-norm", 0, KIND_CHOICE, AT(bottleneck_norm), MODEL, BINDING, 0, 0, "off", "on|off",
     "normalise the generator's innermost feature map too"},
    {"norm-eps", 0, KIND_REAL, AT(norm_eps), MODEL, BINDING, 1e-30, 0.99, "1e-5", "X",
     "added to a variance before its root is taken"},
    {"norm-momentum", 0, KIND_REAL, AT(norm_momentum), MODEL, BINDING, 0, 0.999999, "0.1", "X",
     "share of a step's statistics in the running ones"},
    {"slope", 0, KIND_REAL, AT(slope), MODEL, BINDING, 0, 0.99, "0.2", "X",
     "slope of LeakyReLU for negative inputs"},
    {"dropout", 0, KIND_REAL, AT(dropout), MODEL, BINDING, 0, 0.95, "0.5", "P",
     "probability of dropping in the decoder; 0 is off"},
    {"dropout-blocks", 0, KIND_CHOICE, AT(dropout_blocks), MODEL, BINDING, 0, 0, "middle", "middle|innermost",
     "blocks with dropout: those inside the fourth except the innermost, or the three innermost"},
    {"init-stddev", 0, KIND_REAL, AT(init_stddev), MODEL, BINDING, 0, 10, "0.02", "X",
     "standard deviation of the initial filters, which have mean 0"},
    {"init-upsampling", 0, KIND_CHOICE, AT(init_upsampling), MODEL, BINDING, 0, 0, "random", "random|resize",
     "resize: the decoder's filters start as enlarging to the nearest pixel and a random 3x3 filter, which leaves less of a checkerboard; random: as published"},
    {"init-scale", 0, KIND_REAL, AT(init_scale), MODEL, BINDING, 0, 10, "0.02", "X",
     "standard deviation of the initial scales of --norm batch, which have mean 1"},

    HEADING("Training"),
    {"batch", 'b', KIND_COUNT, AT(batch), MODEL | USE, BINDING, 1, SETTINGS_MAX_BATCH, "1", "N",
     "pairs per step and device"},
    {"grad-accumulate", 0, KIND_COUNT, AT(grad_accumulate), TRAIN | PLAN | BENCH, BINDING, 1, SETTINGS_MAX_SHARES, "1", "N",
     "each device computes N batches one after the other before an update, which is that of N times as many devices"},
    {"sync-norm", 0, KIND_FLAG, AT(sync_norm), TRAIN | PLAN | BENCH, BINDING, 0, 0, NULL, NULL,
     "batch normalisation over the images of all devices, so that several devices compute what one with the whole batch "
     "does; otherwise over each device's own, as published"},
    {"epochs", 'e', KIND_COUNT, AT(epochs), TRAIN, KEPT, 1, MAX_COUNT, NULL, "N",
     "passes over the data in total (default 200 without --steps); with --lr-policy linear only those at the full rate "
     "(default 100)"},
    {"epochs-decay", 0, KIND_COUNT, AT(epochs_decay), TRAIN, KEPT, 1, MAX_COUNT, "100", "N",
     "with --lr-policy linear: passes that follow --epochs while the rate falls towards zero"},
    {"steps", 0, KIND_COUNT, AT(steps), TRAIN | BENCH, KEPT, 1, MAX_COUNT, NULL, "N",
     "total number of steps, limited by --epochs if both are given"},
    {"lr", 0, KIND_REAL, AT(lr), TRAIN, BINDING, 1e-300, 1e300, "0.0002", "X", "Adam's learning rate"},
    {"lr-policy", 0, KIND_CHOICE, AT(lr_policy), TRAIN, KEPT, 0, 0, "constant", "constant|linear",
     "constant, or falling linearly over --epochs-decay"},
    {"lr-scale", 0, KIND_CHOICE, AT(lr_scale), TRAIN, BINDING, 0, 0, "none", "none|linear|sqrt",
     "multiply --lr by the number of devices and of --grad-accumulate, or by the root of it"},
    {"d-order", 0, KIND_CHOICE, AT(d_order), MODEL, BINDING, 0, 0, "first", "first|simultaneous",
     "the generator learns against the updated discriminator, or both against the old one"},
    {"gan-mode", 0, KIND_CHOICE, AT(gan_mode), MODEL, BINDING, 0, 0, "bce", "bce|lsgan",
     "the GAN loss: cross-entropy of the logits, or their squared distance from the label"},
    {"lambda-l1", 0, KIND_REAL, AT(lambda_l1), MODEL, BINDING, 0, 1e6, "100", "X", "weight of the L1 loss"},
    {"beta1", 0, KIND_REAL, AT(beta1), MODEL, BINDING, 0, 0.999999, "0.5", "X",
     "Adam's decay of the mean gradient"},
    {"beta2", 0, KIND_REAL, AT(beta2), MODEL, BINDING, 0, 0.999999, "0.999", "X",
     "Adam's decay of the mean squared gradient"},
    {"adam-eps", 0, KIND_REAL, AT(adam_eps), MODEL, BINDING, 0, 0.99, "1e-8", "X",
     "added to the root of the mean squared gradient"},
    {"seed", 0, KIND_SEED, AT(seed), TRAIN | SAMPLE | PAIRS, BINDING, 0, 0, "1", "N",
     "determines every random number; the same seed gives the same bits on the same device, after p2p tune or --tune on, "
     "and on GPUs through OpenCL, with --deterministic only"},

    HEADING("Using a model"),
    {"norm-stats", 0, KIND_CHOICE, AT(norm_stats), USE, NOT_KEPT, 0, 0, "image", "image|running",
     "normalise by each picture's own statistics, as the paper does, or by those of the training"},
    {"test-dropout", 0, KIND_CHOICE, AT(test_dropout), USE, NOT_KEPT, 0, 0, "on", "on|off",
     "dropout as in training and in the paper, with a mask that depends on the picture only; or none"},

    {"scale", 0, KIND_TEXT, AT(scale), TRANSLATE, NOT_KEPT, 0, 0, "auto", "auto|native|X",
     "multiply the pictures' sides before use: by X; native: by 1; auto: as in the model's training, or to its --size "
     "if its pictures had several sizes"},
    {"keep-size", 0, KIND_FLAG, AT(keep_size), TRANSLATE, NOT_KEPT, 0, 0, NULL, NULL,
     "resize each result to the size of its picture"},

    HEADING("Saving"),
    {"save-every", 0, KIND_COUNT, AT(save_every), TRAIN, KEPT, 1, MAX_COUNT, "1", "N",
     "keep the generator of every Nth epoch in OUT/epochs"},
    {"keep-epochs", 0, KIND_COUNT, AT(keep_epochs), TRAIN, KEPT, 0, MAX_COUNT, "10", "K",
     "keep the newest K of them; 0: all"},
    {"keep-samples", 0, KIND_COUNT, AT(keep_samples), TRAIN, KEPT, 0, MAX_COUNT, "200", "K",
     "keep up to K pictures in OUT/samples, evenly over the epochs, beside the first and the newest one; 0: all"},
    {"checkpoint-every", 0, KIND_COUNT, AT(checkpoint_every), TRAIN, KEPT, 1, MAX_COUNT, NULL, "N",
     "steps between checkpoints (default: every 5 minutes, and at the end)"},
    {"tensorboard", 0, KIND_FLAG, AT(tensorboard), TRAIN, KEPT, 0, 0, NULL, NULL,
     "also write event files for TensorBoard into OUT/tensorboard: scalars, pictures and settings"},
    {"check-replicas", 0, KIND_COUNT, AT(check_replicas), TRAIN, KEPT, 0, MAX_COUNT, "1000", "N",
     "every N steps, and before weights are saved, compare the checksums of those on all devices, before a checkpoint "
     "of Adam's moments, too, and stop if one differs; 0: never"},

    HEADING("Device"),
    {"backend", 0, KIND_TEXT, AT(backend), RUN | DOCTOR, NOT_KEPT, 0, 0, "auto", "NAME",
     "one of the backends that p2p devices lists, such as opencl; auto selects the best device and prints its name"},
    {"device", 0, KIND_TEXT, AT(device), RUN | DOCTOR, NOT_KEPT, 0, 0, NULL, "BACKEND:N,...",
     "one of the devices that p2p devices lists, e.g. opencl:0, or several, separated by commas, which share each step; "
     "one may be named more than once; tune: one (default of doctor: every one that can be used, without the reference)"},
    {"gpus", 0, KIND_COUNTS, AT(gpu_counts), TRAIN | USE | PLAN | BENCH, NOT_KEPT, 1, SETTINGS_MAX_DEVICES, NULL, "N",
     "the first N devices of the best one's backend and type, GPUs of one name and memory, CPUs too where there is nothing "
     "else; bench: also a list such as 1,2,4, measured one after the other, of --device if it is given"},
    {"precision", 0, KIND_CHOICE, AT(precision), RUN | DOCTOR, BINDING, 0, 0, "auto", "auto|fp32|tf32|bf16",
     "auto: tf32 if all devices are cards with tensor cores for it, else fp32 (doctor: each that a device has); tf32: tensor "
     "cores round factors of convolutions to 11 bits; bf16: GPUs store activations in bfloat16, CPUs multiply in it in "
     "convolutions; everything else is float32"},

    {"tune", 0, KIND_CHOICE, AT(tune), RUN & ~TUNE, NOT_KEPT, 0, 0, "auto", "auto|on|off",
     "choice of convolution algorithms: off by heuristic; on by kept measurements, measuring what is missing; auto by "
     "kept measurements only, but in train and bench on GPUs through OpenCL as on"},
    {"deterministic", 0, KIND_FLAG, AT(deterministic), RUN & ~TUNE, NOT_KEPT, 0, 0, NULL, NULL,
     "ignore all measurements: the same bits on every start, whatever was measured before"},

    {"cache", 0, KIND_TEXT, AT(cache), RUN | DOCTOR, NOT_KEPT, 0, 0, NULL, "DIR",
     "folder for compiled programs and results of tuning; off: use none (default: P2P_CACHE_DIR, else "
     "~/.cache/p2p)"},
    {"device-timeout", 0, KIND_REAL, AT(device_timeout), RUN | DOCTOR, NOT_KEPT, 0, 1e9, NULL, "SECONDS",
     "a device other than a CPU is lost if its work takes longer; 0: no limit (default: the backend's variable, see p2p help environment)"},

    HEADING("Measuring"),
    {"mode", 0, KIND_CHOICE, AT(mode), PLAN | BENCH | TUNE, NOT_KEPT, 0, 0, "train", "train|translate",
     "the plan to show"},
    {"what", 0, KIND_CHOICE, AT(what), BENCH, NOT_KEPT, 0, 0, "train", "train|translate|ops|transfers",
     "measure whole steps, a plan's operations one by one, or memory transfers"},
    {"json", 0, KIND_FLAG, AT(json), BENCH, NOT_KEPT, 0, 0, NULL, NULL, "one JSON object instead of a table"},
    {"sweep", 0, KIND_CHOICE, AT(sweep), BENCH, NOT_KEPT, 0, 0, NULL, "batch|size|filters|all",
     "measure time per image and memory along one axis, or along each in turn"},
    {"predict", 0, KIND_FLAG, AT(predict), BENCH, NOT_KEPT, 0, 0, NULL, NULL,
     "predict the efficiency on 1 to 1024 such devices, on several links, at batch 1, 16 and 64, or --batch"},
    {"plot", 0, KIND_TEXT, AT(plot), BENCH, NOT_KEPT, 0, 0, NULL, "FILE",
     "also draw --sweep, a list of --gpus, or --predict as an SVG picture"},
    {"trace", 0, KIND_TEXT, AT(trace), BENCH, NOT_KEPT, 0, 0, NULL, "FILE",
     "also write a timeline of one step's operations, for chrome://tracing and Perfetto"},

    {"report", 0, KIND_TEXT, AT(report), DOCTOR, NOT_KEPT, 0, 0, NULL, "FILE",
     "also write everything that was seen into this text file, to send to the authors of p2p"},

    HEADING("Making pairs"),
    {"fit", 0, KIND_CHOICE, AT(fit), PAIRS, NOT_KEPT, 0, 0, "crop", "crop|pad|stretch",
     "how --size makes squares: of the middle; of the whole picture, mirrored beyond its border; or by changing its shape"},
    {"val", 0, KIND_TEXT, AT(val), PAIRS, NOT_KEPT, 0, 0, "10%", "P%", "split: the share of the pictures for val/"},
    {"test", 0, KIND_TEXT, AT(test), PAIRS, NOT_KEPT, 0, 0, "10%", "P%", "split: the share of the pictures for test/"},
    {"input-only", 0, KIND_FLAG, AT(input_only), PAIRS, NOT_KEPT, 0, 0, NULL, NULL,
     "edges, grey, lowres, blank: write A alone, to be translated, instead of the pair of A and the photograph"},
    {"smoothing", 0, KIND_REAL, AT(smoothing), PAIRS, NOT_KEPT, 0.5, 16, "2", "X",
     "edges: standard deviation of the Gaussian, in pixels; more draws fewer lines"},
    {"detail", 0, KIND_REAL, AT(detail), PAIRS, NOT_KEPT, 0, 1, "0.2", "X",
     "edges: the share of the steepest places with which lines begin; more draws more lines"},
    {"shortest", 0, KIND_COUNT, AT(shortest), PAIRS, NOT_KEPT, 0, LONGEST_LINE, "10", "N",
     "edges: lines of fewer pixels are left out"},
    {"factor", 0, KIND_COUNT, AT(factor), PAIRS, NOT_KEPT, 2, 64, "4", "N",
     "lowres: A has one of N x N pixels, and is enlarged again"},
    {"holes", 0, KIND_COUNT, AT(holes), PAIRS, NOT_KEPT, 1, 1000, "1", "N", "blank: grey rectangles in A"},
    {"fps", 0, KIND_REAL, AT(fps), PAIRS, NOT_KEPT, 0.001, 1000, "1", "X", "video: frames per second to keep"},
    {"json", 0, KIND_TEXT, AT(json_file), PAIRS, NOT_KEPT, 0, 0, NULL, "FILE", "check: also write the table as JSON"},

    HEADING("Other"),
    {"count", 'n', KIND_COUNT, AT(count), SAMPLE | TEST, NOT_KEPT, 1, SETTINGS_MAX_PAIRS, "40", "N",
     "pairs in train/"},
    {"verbose", 'v', KIND_FLAG, AT(verbose), RUN | COMMAND_DEVICES | DOCTOR, NOT_KEPT, 0, 0, NULL, NULL,
     "log the decisions of the planner and the device"},
    {"help", 'h', KIND_FLAG, AT(help), ~0u, NOT_KEPT, 0, 0, NULL, NULL, "show this text"},
};
/* clang-format on */

_Static_assert(sizeof option_rows / sizeof option_rows[0] <= SETTINGS_MAX_ROWS,
               "settings.given has a place for each");
const int option_row_count = sizeof option_rows / sizeof option_rows[0];

const fallback_exception fallback_exceptions[] = {{"size", TEST | PAIRS}, {"resize", USE}, {"count", TEST}};
const int fallback_exception_count = sizeof fallback_exceptions / sizeof fallback_exceptions[0];

const help_exception help_exceptions[] = {
    {"pairs", PAIRS,
     "resize: side-by-side resizes each half; check: as in p2p train, where side-by-side takes pictures of "
     "any shape"},
    {"direction", TEST,
     "which half is the input (A is the left one), for models whose file does not record it"},
    {"size", TEST, "side of the square images of the networks (default: the model's)"},
    {"size", PAIRS, "side to which pictures are first resized; without it they keep their size"},
    {"batch", USE, "pictures computed at once on each device, which changes no result"},
    {"steps", BENCH, "steps to measure (default 10, with --sweep 3)"},
    {"backend", DOCTOR,
     "examine the devices of one of the backends that p2p devices lists; auto: of all but the reference, "
     "each card once"},
    {"mode", BENCH, "whose operations to measure"},
    {"mode", TUNE, "whose convolutions to tune"},
    {"count", TEST, "take the first N pairs only, not all"},
    {"seed", SAMPLE, "determines every picture: the same seed gives the same bits"},
    {"seed", PAIRS, "blank: determines, with each picture's name, where its holes are"},
};
const int help_exception_count = sizeof help_exceptions / sizeof help_exceptions[0];

/* --out of translate has a check of its own, use/translate_list.c. */
const written_row written_rows[] = {
    {"out", TRAIN | TEST, NULL}, {"out", REPORT, ".html .htm"}, {"plot", BENCH, ".svg"},
    {"trace", BENCH, ".json"},   {"json", PAIRS, ".json"},      {"report", DOCTOR, ".txt .log .text"},
};
const int written_row_count = sizeof written_rows / sizeof written_rows[0];

/* Every option whose value the published trainings define. */
const preset_row preset_rows[] = {
    {"size", "256", NULL},
    {"load-size", NULL, "286 for 256"},
    {"resize", "nearest", NULL},
    {"channels-in", "3", NULL},
    {"channels-out", "3", NULL},
    {"generator", "auto", NULL},
    {"ngf", "64", NULL},
    {"ndf", "64", NULL},
    {"d-net", "patch", NULL},
    {"d-layers", "3", NULL},
    {"norm", "batch", NULL},
    {"bottleneck-norm", "on", NULL},
    {"norm-eps", "1e-3", NULL},
    {"norm-momentum", "0.01", NULL},
    {"slope", "0.2", NULL},
    {"dropout", "0.5", NULL},
    {"dropout-blocks", "innermost", NULL},
    {"init-stddev", "0.02", NULL},
    {"init-scale", "0", NULL},
    {"batch", "64", NULL},
    {"epochs", NULL, "200"},
    {"lr", "0.0002", NULL},
    {"lr-policy", "constant", NULL},
    {"lr-scale", "linear", NULL},
    {"d-order", "simultaneous", NULL},
    {"gan-mode", "bce", NULL},
    {"lambda-l1", "100", NULL},
    {"beta1", "0.5", NULL},
    {"beta2", "0.999", NULL},
    {"adam-eps", "1e-7", NULL},
};
const int preset_row_count = sizeof preset_rows / sizeof preset_rows[0];
