/*
 * result_format.h - room: the names of what a result file holds.
 *
 * The tables by which result_write.c writes a result and result_read.c reads it, so that the two cannot disagree. No
 * state, no JSON.
 */
#ifndef LOAD_RESULT_RESULT_FORMAT_H
#define LOAD_RESULT_RESULT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "load/tally/tally.h"

/* In the order of enum tally_histogram and of enum tally_phase. */
extern const char *const result_histogram_names[HISTOGRAM_COUNT];
extern const char *const result_phase_names[TALLY_PHASES];

/* Counters of the summary: uint64_t in struct tally. A new one has to be optional, or older files cannot be read. */
struct result_counter {
    const char *name;
    size_t offset;
    bool optional; /* came later than the format: a file without it is read as 0 */
};
extern const struct result_counter result_counters[];
extern const size_t result_counter_count;

/* What was negotiated: char[size] in struct tally_negotiated. */
struct result_text {
    const char *name;
    size_t offset, size;
};
extern const struct result_text result_texts[];
extern const size_t result_text_count;

#endif
