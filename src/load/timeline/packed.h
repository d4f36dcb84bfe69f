/*
 * packed.h - room: a histogram at rest.
 *
 * The counts of a histogram in the form in which HdrHistogram writes them (its V2 payload: ZigZag LEB128, runs of empty
 * buckets in one number), some hundred bytes instead of 190 KiB. Adding up packed histograms loses nothing. As text it
 * is what an HdrHistogram log holds: compressed by zlib, in base64. Pure; the owner frees with free().
 */
#ifndef LOAD_TIMELINE_PACKED_H
#define LOAD_TIMELINE_PACKED_H

#include "sshecho/histogram.h"

#include <stddef.h>
#include <stdint.h>

struct packed {
    uint64_t total;
    int64_t min, max; /* exact where that was known, else the edge of the bucket */
    double sum;
    size_t length;
    uint8_t bytes[]; /* [length] */
};

/* NULL: out of memory. */
struct packed *packed_make(const struct histogram *histogram);
/* What came in since `before`, which becomes equal to `now`. NULL: out of memory, and `before` is as it was. */
struct packed *packed_difference(const struct histogram *now, struct histogram *before);
/* Adds it to `into`. */
void packed_unpack(const struct packed *packed, struct histogram *into);
/* Either may be NULL, which is an empty one. NULL: out of memory. */
struct packed *packed_sum(const struct packed *a, const struct packed *b);

/* As HdrHistogram's V2 compressed encoding in base64. NULL: out of memory. */
char *packed_to_text(const struct packed *packed);
/* NULL: is no such text, or holds what no histogram of ours can. `max` and `sum` come from the buckets. */
struct packed *packed_from_text(const char *text);

#endif
