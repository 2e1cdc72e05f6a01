/* Images: fatbins, as nvcc writes them with --no-compress, and PTX as text. */
#include "image.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t FATBIN_MAGIC = 0xba55ed50;
enum { KIND_PTX = 1, KIND_ELF = 2, ABI_OF_CUDA_13 = 8 };

typedef struct {
    uint32_t magic;
    uint16_t version, header_bytes;
    uint64_t bytes;
} fatbin_header;

typedef struct {
    uint16_t kind, version;
    uint32_t header_bytes;
    uint64_t bytes;
    uint32_t compressed_bytes, options;
    uint16_t minor, major; /* of PTX's version */
    uint32_t architecture; /* 90: compute capability 9.0 */
} fatbin_entry;

/* The version of PTX that a driver supports: 8.0 came with CUDA 12.0. */
static int known_ptx(int driver) {
    static const struct {
        int driver, ptx;
    } known[] = {{13010, 91}, {13000, 90}, {12090, 88}, {12080, 87}, {12070, 86}, {12050, 85}, {12040, 84},
                 {12030, 83}, {12020, 82}, {12010, 81}, {12000, 80}, {11080, 78}, {0, 74}};
    size_t i = 0;
    while (driver < known[i].driver) i++;
    return known[i].ptx;
}

/* Machine code runs on its generation's card and the later ones of that generation. Code of CUDA 12 needs a
 * driver of 12, whichever; that of 13 one of 13. */
static bool takes_cubin(const fatbin_entry *entry, const unsigned char *code, const machine_card *card) {
    const int major = (int)entry->architecture / 10, minor = (int)entry->architecture % 10;
    const int needs = entry->bytes > EI_ABIVERSION && code[EI_ABIVERSION] >= ABI_OF_CUDA_13 ? 13000 : 12000;
    return major == card->major && minor <= card->minor && driver_setting.version >= needs;
}

static bool takes_ptx(int architecture, int version, const machine_card *card) {
    return architecture <= card->major * 10 + card->minor && version <= known_ptx(driver_setting.version);
}

typedef struct {
    bool cubin, ptx; /* usable by the card */
    bool newer_ptx;  /* usable but for the driver's age */
    bool compressed;
} findings;

static CUresult judge(const findings *found, const image_choice *choice) {
    if (!found->cubin && !found->ptx && !found->compressed)
        return found->newer_ptx ? CUDA_ERROR_UNSUPPORTED_PTX_VERSION : CUDA_ERROR_NO_BINARY_FOR_GPU;
    if (found->compressed)
        return driver_refuse(CUDA_ERROR_INVALID_IMAGE,
                             "the image is compressed: build it with --no-compress");
    if (!choice->ptx)
        return driver_refuse(CUDA_ERROR_INVALID_IMAGE, "the machine executes PTX, and the image has none");
    return CUDA_SUCCESS;
}

static void look_at(const fatbin_entry *entry, const unsigned char *code, const machine_card *card,
                    findings *found, image_choice *choice) {
    const int ptx_version = entry->major * 10 + entry->minor;
    if (entry->compressed_bytes) {
        found->compressed = true;
    } else if (entry->kind == KIND_ELF && takes_cubin(entry, code, card)) {
        found->cubin = true;
        choice->cubin = code;
        choice->cubin_bytes = (size_t)entry->bytes;
    } else if (entry->kind == KIND_PTX) {
        const bool is_for_card = (int)entry->architecture <= card->major * 10 + card->minor;
        found->ptx |= takes_ptx((int)entry->architecture, ptx_version, card);
        found->newer_ptx |= is_for_card && ptx_version > known_ptx(driver_setting.version);
        choice->ptx = (const char *)code;
        choice->ptx_bytes = strnlen((const char *)code, (size_t)entry->bytes);
    }
}

static CUresult choose_in_fatbin(const unsigned char *image, const machine_card *card, image_choice *choice) {
    fatbin_header header;
    findings found = {0};
    memcpy(&header, image, sizeof header);
    size_t at = header.header_bytes;
    const size_t end = at + (size_t)header.bytes;
    while (at + sizeof(fatbin_entry) <= end) {
        fatbin_entry entry;
        memcpy(&entry, image + at, sizeof entry);
        if (entry.header_bytes < sizeof entry || entry.header_bytes > end - at ||
            entry.bytes > end - at - entry.header_bytes)
            return driver_refuse(CUDA_ERROR_INVALID_IMAGE, "the image is damaged at byte %zu", at);
        look_at(&entry, image + at + entry.header_bytes, card, &found, choice);
        at += entry.header_bytes + (size_t)entry.bytes;
    }
    return judge(&found, choice);
}

/* The number after a word at the start of a line of PTX, such as ".version 8.8", in tenths; -1: none. */
static int number_after(const char *text, const char *word) {
    const char *at = strstr(text, word);
    if (!at) return -1;
    at += strlen(word);
    while (*at == ' ' || *at == '\t') at++;
    if (strncmp(at, "sm_", 3) == 0) return atoi(at + 3);
    char *end;
    const long major = strtol(at, &end, 10);
    return (int)major * 10 + (*end == '.' ? atoi(end + 1) : 0);
}

static CUresult choose_text(const char *text, const machine_card *card, image_choice *choice) {
    const int version = number_after(text, ".version"), architecture = number_after(text, ".target");
    if (version < 0 || architecture < 0)
        return driver_refuse(CUDA_ERROR_INVALID_IMAGE, "neither a fatbin nor PTX");
    choice->ptx = text;
    choice->ptx_bytes = strlen(text);
    const findings found = {.ptx = takes_ptx(architecture, version, card),
                            .newer_ptx = version > known_ptx(driver_setting.version)};
    return judge(&found, choice);
}

CUresult image_choose(const void *image, int device, image_choice *choice) {
    machine_card card;
    uint32_t magic;
    *choice = (image_choice){0};
    machine_device_card(device, &card);
    memcpy(&magic, image, sizeof magic);
    if (magic == FATBIN_MAGIC) return choose_in_fatbin(image, &card, choice);
    if (memcmp(image, ELFMAG, SELFMAG) == 0)
        return driver_refuse(CUDA_ERROR_INVALID_IMAGE,
                             "the machine executes PTX, and the image is machine code alone");
    return choose_text(image, &card, choice);
}

/* ---- Machine code -------------------------------------------------------------------------------------- */

/* The upper byte of the link of the section ".text.KERNEL" is the number of registers. */
int image_registers(const image_choice *choice, const char *kernel) {
    Elf64_Ehdr header;
    if (!choice->cubin || choice->cubin_bytes < sizeof header) return 0;
    memcpy(&header, choice->cubin, sizeof header);
    const size_t end = choice->cubin_bytes;
    if (header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shoff > end ||
        (end - header.e_shoff) / sizeof(Elf64_Shdr) < header.e_shnum || header.e_shstrndx >= header.e_shnum)
        return 0;
    Elf64_Shdr names, section;
    memcpy(&names, choice->cubin + header.e_shoff + header.e_shstrndx * sizeof names, sizeof names);
    for (unsigned i = 0; i < header.e_shnum; i++) {
        memcpy(&section, choice->cubin + header.e_shoff + i * sizeof section, sizeof section);
        const uint64_t name = names.sh_offset + section.sh_name;
        if (section.sh_name >= names.sh_size || name >= end) continue;
        const char *text = (const char *)choice->cubin + name;
        if (strnlen(text, end - name) == end - name) continue;
        if (strncmp(text, ".text.", 6) == 0 && strcmp(text + 6, kernel) == 0)
            return (int)(section.sh_info >> 24);
    }
    return 0;
}
