/*
 * timeline.h - room: what happened when.
 *
 * A run in intervals of one length, counted from the start of the measurement: what was done in each, its latencies as
 * a packed histogram, and what the server's side was seen to use. Intervals add up without loss: those of threads and
 * shards beside one another, those of a long run one after the other (a timeline that grows beyond TIMELINE_ROWS_MAX
 * doubles its length). Owns what it holds: timeline_free.
 */
#ifndef LOAD_TIMELINE_TIMELINE_H
#define LOAD_TIMELINE_TIMELINE_H

#include "load/timeline/packed.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A day of seconds fits, and more. */
#define TIMELINE_ROWS_MAX 100000U
#define TIMELINE_LENGTH_US_DEFAULT INT64_C(1000000)

struct interval {
    int64_t covered_us; /* how long was really counted; 0: nobody was there */
    uint64_t echoes, bytes, handshakes, errors;
    uint64_t sessions;      /* up at its end */
    struct packed *latency; /* us, of measured operations that were settled in it; owned; NULL: none */
    double server_cpu_s;    /* used in it by the server; negative: not known */
    double server_bytes;    /* its memory at the end; negative: not known */
};

struct timeline {
    int64_t length_us; /* of an interval; 0: there is no timeline */
    struct interval *rows;
    size_t count, capacity;
};

enum interval_sum {
    INTERVALS_BESIDE, /* of two parts of a run, at the same time */
    INTERVALS_IN_TURN /* of the same part, `from` the later */
};

#define INTERVAL_EMPTY ((struct interval){.server_cpu_s = -1.0, .server_bytes = -1.0})

/* 0, or -1 out of memory. */
int interval_add(struct interval *into, const struct interval *from, enum interval_sum how);
void interval_free(struct interval *interval);
/* Its latencies, unpacked; `into` is overwritten. */
void interval_unpack(const struct interval *interval, struct histogram *into);

void timeline_free(struct timeline *timeline);
/* The interval that `us` after the start of the measurement falls into; NULL: out of memory, or no timeline. */
struct interval *timeline_at(struct timeline *timeline, int64_t us);
/* Makes one interval of each `times`. 0, or -1 out of memory (nothing is changed then). */
int timeline_coarsen(struct timeline *timeline, size_t times);
/* A copy of at most `rows` intervals; the caller frees it. 0, or -1 out of memory. */
int timeline_thin(const struct timeline *timeline, size_t rows, struct timeline *out);
/* Whether two timelines have a length in common. */
bool timeline_fits(const struct timeline *a, const struct timeline *b);
/* Adds `from`, which began `later_us` after `into` (less than 0: before), beside it; both may be coarsened. If one has
 * no timeline the sum has none. 0, or -1 out of memory. */
int timeline_merge(struct timeline *into, struct timeline *from, int64_t later_us);

/* NULL: there is no timeline, or no memory. */
json_t *timeline_to_json(const struct timeline *timeline);
/* 0, or -1 with a sentence. */
int timeline_from_json(struct timeline *timeline, json_t *document, char *error, size_t error_size);

/* HdrHistogram's log format 1.2, one line an interval. Times are microseconds, the third column is in milliseconds. */
void timeline_write_hdr_log(const struct timeline *timeline, int64_t started_at_us, const char *program, FILE *out);
/* One row an interval, a line of names above them. */
void timeline_write_csv(const struct timeline *timeline, FILE *out);

#endif
