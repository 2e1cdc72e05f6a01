/* index.html of `p2p test`: the pairs sorted by their error, and a loupe that compares inputs, generated
 * pictures and targets. */
#ifndef P2P_TEST_PAGE_H
#define P2P_TEST_PAGE_H

#include "page.h"

/* A pair for the page: its name, any bytes; the path of its pictures below the folders "input",
 * "generated" and "target"; and `numbers`, an object with l1, psnr and ssim, of which a reference is kept.
 * NULL if memory runs out. */
json_t *test_page_pair(const char *name, const char *file, json_t *numbers);

/* Write the page. `summary` is metrics.json without `images`; `pairs` is an array of test_page_pair. Keeps
 * references to neither. */
p2p_status test_page_write(const char *path, json_t *summary, json_t *pairs);

#endif
