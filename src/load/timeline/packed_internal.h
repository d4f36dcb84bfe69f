/*
 * packed_internal.h - inside the room of packed.h: what packed_text.c asks of packed.c.
 */
#ifndef LOAD_TIMELINE_PACKED_INTERNAL_H
#define LOAD_TIMELINE_PACKED_INTERNAL_H

#include "load/timeline/packed.h"

#include <stdbool.h>

/* Fills all but the bytes from them; false if they are not such as packed.c writes or HdrHistogram may. */
bool packed_check(struct packed *packed);

#endif
