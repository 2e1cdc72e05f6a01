/* What this machine is, for a report: its system, processor, memory and graphics cards, and the libraries of
 * this process. Everything is read from Linux's text files; what is absent or not understood is "" or 0.
 */
#ifndef P2P_SYS_MACHINE_H
#define P2P_SYS_MACHINE_H

#include "p2p_status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct {
    char system[192];    /* "Debian GNU/Linux 12 (bookworm)" */
    char kernel[192];    /* "Linux 6.1.0-18-amd64 x86_64" */
    char processor[192]; /* its model */
    uint64_t memory_bytes;
} sys_machine;

/* Opens root + path for reading; NULL if that fails. */
FILE *sys_open_below(const char *root, const char *path);

void sys_machine_describe(sys_machine *machine);
/* The same with the files of /proc and /etc below `root`, for tests. */
void sys_machine_describe_in(const char *root, sys_machine *machine);

/* A graphics card or another accelerator on the PCI bus. */
typedef struct {
    unsigned vendor, device; /* PCI numbers, such as 0x1002 for AMD */
    char driver[64];         /* of the kernel; "" if none has taken the card */
} sys_card;

/* Fills at most `capacity` cards and returns their number. */
int sys_cards_find(sys_card *cards, int capacity);
int sys_cards_find_in(const char *root, sys_card *cards, int capacity);

/* Calls visit(context, path, usable) for each file through which drivers reach cards, such as
 * /dev/dri/renderD128; usable: this user may read and write it. */
void sys_card_files_visit(void (*visit)(void *context, const char *path, bool usable), void *context);

/* Calls visit(context, text) for each variable of the environment, as "NAME=value", in byte order. */
p2p_status sys_environment_visit(void (*visit)(void *context, const char *text), void *context);

/* Calls visit(context, path) once for each shared library that is loaded now. */
p2p_status sys_libraries_visit(void (*visit)(void *context, const char *path), void *context);

#endif
