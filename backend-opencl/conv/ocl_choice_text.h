/* Choices as text, the format in which they are stored between runs. One text per device, one line per
 * convolution:
 *
 *   way TAB seconds TAB seconds of the default way TAB descriptor
 *
 * A line is used if its descriptor is identical to the requested one, its numbers are positive and finite,
 * and its way parses; all other text is skipped. So a damaged text costs time, but gives no wrong result.
 */
#ifndef OCL_CHOICE_TEXT_H
#define OCL_CHOICE_TEXT_H

#include "ocl_choice.h"

/* Reads the choice on the first line with that descriptor. Returns false if there is no such line or it is
 * damaged. Does not check whether the device supports the way. */
bool ocl_choice_text_find(const char *text, const char *descriptor, ocl_choice *choice);

/* Returns the text without any line of the descriptor, damaged ones included, and with a new line at its end.
 * The caller frees it. NULL if memory is exhausted. */
char *ocl_choice_text_replace(const char *text, const char *descriptor, const ocl_choice *choice);

#endif
