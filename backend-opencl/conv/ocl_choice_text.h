/* Choices as text, the form in which they are kept between runs. One text per device, of a line per
 * convolution:
 *
 *   way TAB seconds TAB seconds of arithmetic's way TAB descriptor
 *
 * A line is used when its descriptor is the requested one, letter by letter, its numbers are positive and
 * finite and its way has a name that parses; anything else in the text is skipped. So a damaged text costs
 * time, but gives no wrong result.
 */
#ifndef OCL_CHOICE_TEXT_H
#define OCL_CHOICE_TEXT_H

#include "ocl_choice.h"

/* The choice on the first line with that descriptor. False where there is no such line, or the line is
 * damaged. Whether the way can be had is not checked. */
bool ocl_choice_text_find(const char *text, const char *descriptor, ocl_choice *choice);

/* The text without the first line about the descriptor, and with a new line at its end. The caller frees it.
 * NULL when memory fails. */
char *ocl_choice_text_replace(const char *text, const char *descriptor, const ocl_choice *choice);

#endif
