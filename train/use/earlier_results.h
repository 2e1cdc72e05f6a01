/* Pictures that an earlier `p2p test` has left in the folders of a new one. Programs that compare these
 * folders count every picture in them, so none may stay that is not of the new test.
 */
#ifndef P2P_EARLIER_RESULTS_H
#define P2P_EARLIER_RESULTS_H

#include "host/sys.h"
#include "result_files.h"

#include <stdint.h>

typedef struct {
    const char *const *folders; /* of the new test's pictures; they need not exist */
    size_t folder_count;
    const char *metrics; /* the file TEST_METRICS, which records the pictures of the earlier test */
    const result_file *files;
    size_t count; /* of the new test's results */
} earlier_question;

/* List the paths of pictures in the folders that are no results of the new test. P2P_USAGE, with a path in
 * the message, if there are any, unless `force` is set and the earlier test has recorded all of them: no
 * other picture is to be removed. Fails as sys_folder_walk. The caller frees the list, which is empty after a
 * failure. */
p2p_status earlier_results_find(const earlier_question *question, bool force, sys_names *paths);

#endif
