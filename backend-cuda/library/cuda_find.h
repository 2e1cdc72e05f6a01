/* Where NVIDIA's libraries are looked for, and how a file of one is opened.
 *
 * In this order: the folders of P2P_CUDA_LIBRARY_PATH; where the linker looks; the folder of this module; the
 * active environments of conda and Python (CONDA_PREFIX, VIRTUAL_ENV); NVIDIA's, Debian's and Ubuntu's
 * folders; the packages of the user's and the system's Pythons (site-packages/nvidia/X/lib). With
 * P2P_CUDA_LIBRARY_ONLY the first of these is the only one. Variables are ignored in programs with raised
 * privileges. In the folders of P2P_CUDA_LIBRARY_PATH, CONDA_PREFIX, VIRTUAL_ENV and HOME, and in that of the
 * module, a file that any user can replace (check_private_path of p2p_host) is not opened, with a warning.
 * Those of LD_LIBRARY_PATH are not checked. Nothing that is used is ever closed: libraries unload after the
 * program's end in an order of the linker, and one that is unloaded before its users can hang the process.
 */
#ifndef CUDA_FIND_H
#define CUDA_FIND_H

#include <stdbool.h>
#include <stddef.h>

enum { CUDA_PATH_BYTES = 4096 };

typedef struct {
    void *handle;               /* for dlsym; NULL: not opened */
    char path[CUDA_PATH_BYTES]; /* its file */
    char why[512];              /* not opened: why the file that exists is not used; "": no file was found */
} cuda_file;

/* Whether a library that was loaded on trial is what the backend needs. `tried` is for dlsym. */
typedef bool cuda_fits(void *tried);

/* Opens `name`, for example "libcudnn.so.9", from the first place that has it; if places have different
 * files, from the first whose file is fit, or else from the first. If there is only one file, it is not
 * tested. False if there is none that can be opened. `fits`: NULL if any file is fit. */
bool cuda_find(const char *name, cuda_fits *fits, cuda_file *file);

/* The places in words, for messages. */
void cuda_find_places(char *text, size_t size);

#endif
