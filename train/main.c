/* The p2p program: selects a command, prints its error with a hint, and maps its status to an exit code.
 *
 * Exit codes: 0 success, 1 failure, 2 wrong usage, 3 unusable input, 4 no such device, 5 device lost; 128 + N
 * in a shell if signal N stopped a command, whose results so far are complete files.
 */
#include "command.h"
#include "host/sys.h"
#include "host/sys_socket.h"
#include "host/text.h"
#include "p2p.h"
#include "p2p_printable.h"
#include "ranks/ranks.h"
#include "setup/setup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const command commands[] = {
    {"train", COMMAND_TRAIN, "train a model on a folder of image pairs",
     "p2p train --data DIR --out DIR [OPTIONS]",
     "  p2p train --data shoes --out run1 --direction BtoA\n"
     "  p2p train --data shoes --out run1 --epochs 400 --resume\n"
     "  p2p train --data maps --out small --size 128 --ngf 32 --batch 4 --backend opencl\n"
     "  p2p train --data maps --out shared --gpus 4 --batch 16\n",
     NULL, command_train, command_train_is_shared},
    {"translate", COMMAND_TRANSLATE, "translate pictures with a trained model",
     "p2p translate --model PATH -o OUT [OPTIONS] PICTURE_OR_FOLDER...",
     "  p2p translate --model run1/generator.safetensors -o shoe.png outline.png\n"
     "  p2p translate --model run1 --epoch 20 -o results --format jpg --batch 8 outlines\n"
     "  p2p translate --model run1 --keep-size -o outlines/drawn outlines\n"
     "  p2p translate --model G.safetensors --scale 0.5 -o shoe.png outline.png\n",
     "Pictures can have any size. A model draws at the scale of its training: if 512 x 512 pixels became "
     "256 x 256 there, a picture of 800 x 600 is drawn as 400 x 300. --keep-size enlarges the result "
     "again, --scale chooses another scale. If the training's pictures had several sizes, each picture is "
     "resized to the training's --size, as p2p test does; models that record no scale draw pictures as "
     "they are. The scale is printed. Folders keep their structure. A folder for the results may lie "
     "inside that of the pictures: later commands leave it out. Models: those of p2p train, and state "
     "dictionaries of the published PyTorch code (unet_256, unet_128) saved as safetensors.",
     command_translate, NULL},
    {"test", COMMAND_TEST, "measure a model on a folder of image pairs",
     "p2p test --model PATH --data DIR --out DIR [OPTIONS]",
     "  p2p test --model run1 --data shoes --out results\n"
     "  p2p test --model run1 --epoch 20 --data shoes --split test --count 100 --batch 8 --out results20\n",
     "Writes OUT/input, OUT/generated and OUT/target (pictures under equal names and of equal size), "
     "OUT/grid.png (the first ten pairs: input, generated, target), OUT/metrics.json (L1, PSNR and SSIM of "
     "each pair and their means) and OUT/index.html, which shows the pairs by their error in a browser. "
     "Prints the means. Other pictures in these folders are refused. One command at a time writes into "
     "OUT.",
     command_test, NULL},
    {"report", COMMAND_REPORT, "show the course of trainings as a page for a browser",
     "p2p report [OPTIONS] RUN...",
     "  p2p report run1\n"
     "  p2p report run1 run2 run3 -o compared.html\n",
     "Writes RUN/report.html anew, as p2p train does after an epoch, or compares several trainings in "
     "FILE: curves of the losses and of the validation, and a slider over the pictures of the epochs. The "
     "page is one file that needs no network. Its pictures stay in RUN/samples; FILE has links to them.",
     command_report, NULL},
    {"devices", COMMAND_DEVICES, "list every backend and device, and why one can't be used",
     "p2p devices [OPTIONS]", "  p2p devices\n", NULL, command_devices, NULL},
    {"plan", COMMAND_PLAN, "show the operations, fusions and memory of a training step", "p2p plan [OPTIONS]",
     "  p2p plan --batch 4\n"
     "  p2p plan --size 128 --ngf 32 --device reference:0\n",
     NULL, command_plan, NULL},
    {"sample-data", COMMAND_SAMPLE_DATA, "draw a small data set to try things out",
     "p2p sample-data DIR [OPTIONS]", "  p2p sample-data toys --count 40 --size 128\n",
     "The same command completes a set that was interrupted. A folder with other files is refused.",
     command_sample_data, NULL},
    {"pairs", COMMAND_PAIRS, "make pairs of pictures, split them, and check them",
     "p2p pairs combine A B OUT [OPTIONS]\n"
     "       p2p pairs split DIR [OPTIONS]\n"
     "       p2p pairs resize|edges|grey|lowres|blank FOLDER OUT [OPTIONS]\n"
     "       p2p pairs video FILE OUT [OPTIONS]\n"
     "       p2p pairs check DIR [OPTIONS]",
     "  p2p pairs combine outlines photos shoes --size 256\n"
     "  p2p pairs split shoes --val 10% --test 10%\n"
     "  p2p pairs edges photos shoes --size 256 --detail 0.3\n"
     "  p2p pairs edges photos outlines --size 256 --input-only\n"
     "  p2p pairs grey photos colour --format jpg\n"
     "  p2p pairs lowres photos sharp --factor 4\n"
     "  p2p pairs blank photos mended --holes 3\n"
     "  p2p pairs resize pairs small --size 128 --pairs side-by-side\n"
     "  p2p pairs video walk.mp4 frames --fps 2\n"
     "  p2p pairs check shoes --json shoes.json\n",
     "combine puts equally named pictures of two folders side by side, A on the left. edges, grey, lowres "
     "and blank draw A from each photograph, which is B: its lines, its brightness, a coarse copy, a copy "
     "with grey rectangles. split moves the pictures of DIR into its folders train, val and test by a hash "
     "of their names, so pictures that are added later move no other one. check looks for what spoils a "
     "training, prints a table, and exits with 3 if it finds anything. Names are kept, and nothing is "
     "overwritten. The same command continues where it was interrupted: OUT/pairs.json records how a "
     "folder was made. No result depends on --workers. train/PAIRS.md has the details.",
     command_pairs, NULL},
    {"bench", COMMAND_BENCH, "measure a device", "p2p bench [OPTIONS]",
     "  p2p bench --batch 4\n"
     "  p2p bench --what ops --steps 5\n"
     "  p2p bench --what translate --json --trace step.json\n"
     "  p2p bench --sweep size --plot sizes.svg\n",
     "Work is counted as direct convolution, whatever algorithm runs. The ceilings are measured in the "
     "same run. The peak is the rate of a kernel that only multiplies and adds; if the device has none, "
     "the best rate of a fixed set of 4x4 convolutions. The memory rate is the best of a copy within the "
     "device and of the operations of one large layer. The time to the first step starts with the command; "
     "run it twice to measure it with the driver's kernel cache filled. Started by mpirun, it measures "
     "steps of the devices of all processes together: train/MACHINES.md.",
     command_bench, command_bench_is_shared},
    {"tune", COMMAND_TUNE, "measure a device's algorithms for each convolution, and keep the fastest",
     "p2p tune [OPTIONS]",
     "  p2p tune\n"
     "  p2p tune --batch 4 --precision bf16 --device opencl:1\n"
     "  p2p tune --mode translate --size 512\n",
     "Each candidate is checked before it is timed. The choices are kept in the folder of --cache, and "
     "later trainings on this device use them. On OpenCL GPUs a training measures by itself what is not "
     "kept yet, on CUDA with --tune on. Results may differ in their last bits from those without tuning. A "
     "resumed training uses the choices of its checkpoint.",
     command_tune, NULL},
    {"doctor", COMMAND_DOCTOR, "examine whether this machine and its devices are fit for training",
     "p2p doctor [OPTIONS]",
     "  p2p doctor\n"
     "  p2p doctor --device opencl:0,opencl:1 --report doctor.txt\n"
     "  p2p doctor --precision bf16\n",
     "Each device computes every kind of operation and every algorithm of convolutions on small shapes, "
     "and a training of three steps; all results are compared with the reference's. Transfers and the peak "
     "are measured. Without --precision this is done in each precision that the device has. It takes at "
     "most three minutes on a card. The exit code is 0 only if everything that a training needs works. The "
     "file of --report shows the home folder as ~, and no names of pictures or of this machine.",
     command_doctor, NULL},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static const command *command_named(const char *name) {
    for (int i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    }
    return NULL;
}

static const struct {
    const char *name, *summary;
    void (*print)(FILE *stream);
} topics[] = {
    {"presets", "the options' values in the two published trainings", settings_print_presets},
    {"environment", "the environment variables that p2p reads", p2p_environment_print},
};

enum { TOPIC_COUNT = sizeof topics / sizeof topics[0] };

static void print_overview(FILE *stream) {
    fprintf(stream,
            "p2p %s: trains and runs pix2pix (paired image-to-image translation) on any device\n\n"
            "usage: p2p COMMAND [OPTIONS]\n\n",
            P2P_VERSION);
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-12s %s\n", commands[i].name, commands[i].summary);
    fprintf(stream, "\np2p help COMMAND, or p2p COMMAND --help, shows its options and examples.\n"
                    "p2p help TOPIC shows one of these:\n\n");
    for (int i = 0; i < TOPIC_COUNT; i++) fprintf(stream, "  %-12s %s\n", topics[i].name, topics[i].summary);
    fprintf(stream, "\np2p --version shows the version.\n");
}

static void print_help(const command *chosen, FILE *stream) {
    fprintf(stream, "p2p %s: %s\n\nusage: %s\n\nExamples:\n%s\n", chosen->name, chosen->summary,
            chosen->usage, chosen->examples);
    settings_print_options(chosen->bit, stream);
    if (!chosen->notes) return;
    fputc('\n', stream);
    settings_print_notes(chosen->notes, stream);
}

static p2p_status unknown_command(const char *name) {
    p2p_fail(P2P_USAGE, "'%s' is not a command of p2p", name);
    return p2p_hint(P2P_USAGE, "p2p help lists the commands");
}

static p2p_status unknown_topic(const char *name) {
    char text[256] = "";
    for (int i = 0; i < TOPIC_COUNT; i++) p2p_list_append(text, sizeof text, topics[i].name);
    p2p_fail(P2P_USAGE, "'%s' is neither a command of p2p nor a topic of p2p help", name);
    return p2p_hint(P2P_USAGE, "the topics are %s; p2p help lists the commands", text);
}

static p2p_status help(int argc, const char **argv) {
    if (argc < 2) {
        print_overview(stdout);
        return P2P_OK;
    }
    if (argc > 2) {
        p2p_fail(P2P_USAGE, "'%s': p2p help takes one command or topic", argv[2]);
        return p2p_hint(P2P_USAGE, "p2p help lists them");
    }
    for (int i = 0; i < TOPIC_COUNT; i++)
        if (strcmp(argv[1], topics[i].name) == 0) {
            topics[i].print(stdout);
            return P2P_OK;
        }
    const command *chosen = command_named(argv[1]);
    if (!chosen) return unknown_topic(argv[1]);
    print_help(chosen, stdout);
    return P2P_OK;
}

/* Runs a command whose work processes do not divide in the first of those that mpirun or srun has started:
 * several would write the same files. The others end. */
static p2p_status run_alone(const command *chosen, settings *all) {
    int size, rank;
    P2P_TRY(ranks_look(&size, &rank));
    if (rank > 0) return P2P_OK;
    if (size > 1)
        fprintf(stderr,
                "p2p %s runs in the first of %d processes alone, and the others end: it does not divide its "
                "work; P2P_MPI=off runs it in each\n",
                chosen->name, size);
    return chosen->run(all);
}

static p2p_status run_chosen(const command *chosen, settings *all) {
    P2P_TRY(setup_process(all));
    return chosen->is_shared && chosen->is_shared(all) ? chosen->run(all) : run_alone(chosen, all);
}

static p2p_status run_command(const command *chosen, const char *program, int argc, const char **argv) {
    settings all;
    p2p_status status = settings_parse(&all, chosen->bit, argc, argv);
    if (status == P2P_OK && all.help)
        print_help(chosen, stdout);
    else if (status == P2P_OK) {
        if (all.verbose) p2p_log_to(stderr);
        all.program = program;
        status = run_chosen(chosen, &all);
    }
    settings_free(&all);
    return status;
}

static p2p_status dispatch(int argc, const char **argv) {
    if (argc < 2) {
        print_overview(stderr);
        return p2p_fail(P2P_USAGE, "no command given");
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0) {
        printf("p2p %s\n", P2P_VERSION);
        return P2P_OK;
    }
    if (strcmp(name, "help") == 0) return help(argc - 1, argv + 1);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) return help(1, argv);
    const command *chosen = command_named(name);
    return chosen ? run_command(chosen, argv[0], argc - 1, argv + 1) : unknown_command(name);
}

enum { HOST_BYTES = 64 };
static const double FAILURE_DELAY = 2; /* seconds that the first process has to print a failure of all */

/* Seconds that the program waits at its end for readers of messages, and of the output of commands that print
 * through sys_output_start. */
static double reader_timeout = 5;

/* After the first time limit without a reader no other output is waited for. */
static void wait_for_readers(void) {
    if (!sys_messages_wait(reader_timeout)) reader_timeout = 0;
}

/* Closes stdout. P2P_IO if anything printed there is lost, unless the command failed for another reason. Lost
 * messages on stderr are not a failure. */
static p2p_status close_output(p2p_status status) {
    wait_for_readers(); /* both may go to one place */
    errno = 0;
    bool complete = fflush(stdout) == 0 && !ferror(stdout);
    const int lost = sys_output_wait(reader_timeout);
    complete = fclose(stdout) == 0 && complete && lost == 0;
    if (lost != 0) errno = lost;
    if (complete || status != P2P_OK) return status;
    p2p_fail(P2P_IO, "not everything could be written to standard output%s%s", errno ? ": " : "",
             errno ? strerror(errno) : "");
    return p2p_hint(P2P_IO, "files were written as usual; what is lost was only printed");
}

/* Print the failure, and with it the rank if mpirun has started this process as another than the first. If
 * the first fails too, the launcher ends this process meanwhile, and the message is printed once. */
static void print_failure(p2p_status status) {
    char start[32 + HOST_BYTES] = "p2p: ", host[HOST_BYTES];
    int size, rank;
    p2p_failure failure;
    p2p_failure_take(&failure, status);
    if (status != P2P_STOPPED && ranks_look(&size, &rank) == P2P_OK && rank > 0) {
        sys_host_name(host, sizeof host);
        snprintf(start, sizeof start, "p2p: rank %d on %s: ", rank, host);
        sys_sleep(FAILURE_DELAY);
    }
    text_print_line(start, failure.message, stderr);
    if (failure.hint[0]) text_print_line("hint: ", failure.hint, stderr);
    p2p_failure_give(&failure);
}

int main(int argc, char **argv) {
    sys_descriptors_reserve();
    sys_signals_prepare();
    sys_memory_return_freed();
    sys_output_prepare();
    sys_messages_start();
    p2p_warnings_to(stderr);
    p2p_status status = close_output(dispatch(argc, (const char **)argv));
    if (status == P2P_OK) return 0;
    print_failure(status);
    wait_for_readers();
    if (status == P2P_STOPPED) return sys_stop_end();
    if (status == P2P_DEVICE_LOST) { /* the driver's exit handlers may wait for the device forever */
        fflush(NULL);
        _Exit(p2p_status_exit_code(status));
    }
    return p2p_status_exit_code(status);
}
