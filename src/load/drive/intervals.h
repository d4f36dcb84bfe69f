/*
 * intervals.h - room: the intervals of a run, in the main thread.
 *
 * Puts together what the samplers of the threads hand over. An interval is whole when each thread has handed it over or
 * has ended; then it is told to whoever listens and goes into the timeline. Owns both.
 */
#ifndef LOAD_DRIVE_INTERVALS_H
#define LOAD_DRIVE_INTERVALS_H

#include "load/drive/sampler.h"

struct intervals {
    struct sampler **samplers; /* [threads], owned array of what the workers own */
    uint64_t *handed_to;       /* [threads]: all before this index has been handed over */
    unsigned threads;
    struct interval *pending; /* from index `first` on */
    size_t pending_count, pending_capacity;
    uint64_t first;
    struct timeline timeline;
    /* Before it goes into the timeline: may add to it. */
    void (*on_whole)(struct interval *interval, uint64_t index, void *data);
    void *data;
};

/* 0, or -1 out of memory. */
int intervals_init(struct intervals *intervals, unsigned threads, int64_t length_us,
                   void (*on_whole)(struct interval *interval, uint64_t index, void *data), void *data);
void intervals_free(struct intervals *intervals);
/* Takes what the threads have handed over so far. */
void intervals_collect(struct intervals *intervals);

#endif
