/* What is in an image of kernels, and what a card's driver would take of it. */
#ifndef IMAGE_H
#define IMAGE_H

#include "driver.h"

typedef struct {
    const char *ptx; /* what the machine executes; not terminated */
    size_t ptx_bytes;
    const unsigned char *cubin; /* what the card would execute; NULL: it would compile the PTX */
    size_t cubin_bytes;
} image_choice;

/* Chooses for a device of the current driver's version: machine code of the card's generation and not of a
 * later card, that the driver is new enough for, else PTX that is for this card or an older one and not newer
 * than the driver. Refuses images that are damaged, compressed, or without PTX for the machine. */
CUresult image_choose(const void *image, int device, image_choice *choice);

/* The registers of a thread of a kernel, from machine code; 0: not known. */
int image_registers(const image_choice *choice, const char *kernel);

#endif
