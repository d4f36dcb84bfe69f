/*
 * result_add.h - room: two parts of one run in one result.
 *
 * Adds figures to figures, histogram by histogram; that the two belong together is the caller's to know, and what
 * `about` says of them the caller's to write.
 */
#ifndef LOAD_RESULT_RESULT_ADD_H
#define LOAD_RESULT_RESULT_ADD_H

#include "load/result/result.h"

/* Adds `next`, whose series are moved to where they began by the clock. 0, or -1 out of memory. */
int result_add(struct result *into, struct result *next);

#endif
