/* Data sets that tests expect to be refused. Include it after cmocka. */
#ifndef DATA_REFUSED_H
#define DATA_REFUSED_H

#include "data/dataset.h"
#include "support/test_expect.h"

/* A split is refused with this code, and with parts of the message and of the hint. */
static inline void assert_data_refused(const char *dir, const char *split, const dataset_options *options,
                                       p2p_status code, const char *part, const char *hint) {
    dataset *data;
    assert_int_equal(dataset_open(&data, dir, split, options), code);
    assert_null(data);
    MESSAGE_HAS(part);
    HINT_HAS(hint);
}

#endif
