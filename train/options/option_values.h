/* The values of options in `settings`: from text, to text and JSON. Private to options*.c. */
#ifndef P2P_OPTION_VALUES_H
#define P2P_OPTION_VALUES_H

#include "option_rows.h"

/* ---- option_values.c ---------------------------------------------------------------------------------- */

/* The option's field. */
void *option_field(const settings *all, const option_row *row);
/* The first row of this name; NULL if there is none. */
const option_row *option_named(const char *name);
/* Give an option the value of a text. P2P_USAGE, with the option's name, if it is not one. */
p2p_status option_set(const settings *all, const option_row *row, const char *value);

/* ---- options_json.c ----------------------------------------------------------------------------------- */

/* The option's name in JSON: "load-size" -> "load_size". */
enum { OPTION_JSON_NAME_BYTES = 64 };
void option_json_name(const option_row *row, char name[OPTION_JSON_NAME_BYTES]);
/* The option's value. The caller releases it; NULL if memory runs out. */
json_t *option_to_json(const settings *all, const option_row *row);
/* The value if it is set to the text; NULL: not set. */
json_t *option_json_of_text(const option_row *row, const char *text);
/* A recorded value as text for the command line; "" if it is null or false. The caller frees it. NULL if
 * memory runs out. */
char *option_text_of_json(const json_t *value);
/* The option's present value, likewise. */
char *option_text(const settings *all, const option_row *row);

#endif
