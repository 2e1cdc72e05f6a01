/* Shared objects of p2p that are not backends. They are looked for where modules are (device/module_find.c),
 * and trusted under the same conditions.
 */
#ifndef P2P_OBJECT_H
#define P2P_OBJECT_H

#include "p2p_status.h"

/* Loads the first file of this name that is in a folder of modules, and sets *address to its symbol. Nothing
 * is ever unloaded. P2P_INPUT if there is none, with the folders in the message; P2P_FAILED, with the
 * linker's reason or the lack of the symbol, if it can't be used; the reason if
 * others can change it (device/module_trust.h). Another one is not taken in its place. */
p2p_status p2p_object_load(const char *file, const char *symbol, const void **address);

#endif
