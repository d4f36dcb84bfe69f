/*
 * told.h - room: progress as a line of text for another machine (--tell), written there and read here.
 *
 * Says what happened in one interval, its latencies as HdrHistogram writes them. Pure.
 */
#ifndef LOAD_WATCH_TOLD_H
#define LOAD_WATCH_TOLD_H

#include "load/timeline/timeline.h"

#define TOLD_BEGIN "sshload-progress "

struct told {
    int64_t index;            /* of the interval; below 0: before the measurement, as far as that is known */
    bool load;                /* the sessions stood, or had failed */
    uint64_t errors;          /* since the run began */
    uint64_t latency_sum_us;  /* of its echoes */
    struct interval interval; /* owned; without `latency`: not known */
};

void told_write(const struct told *told, FILE *out);
/* Of a line that begins with TOLD_BEGIN, without its end. 0, and `out` is to be freed (interval_free); or -1: is none.
 */
int told_read(const char *line, struct told *out);

#endif
