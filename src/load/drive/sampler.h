/*
 * sampler.h - room: the intervals of one thread.
 *
 * At the end of each interval it compares the thread's tally with what it was at the end of the one before, and hands
 * the difference to the main thread: nothing is done for an echo. Owned by its worker; the list of what was handed over
 * is pushed to without a lock here, and emptied by the main thread.
 */
#ifndef LOAD_DRIVE_SAMPLER_H
#define LOAD_DRIVE_SAMPLER_H

#include "load/tally/tally.h"
#include "load/timeline/timeline.h"

#include <ev.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct sample {
    struct sample *next; /* handed over before this one */
    uint64_t index;      /* of the interval, counted from the start of the measurement */
    bool last;           /* this thread hands over no more */
    struct interval counts;
};

struct sampler {
    _Atomic(struct sample *) handed; /* newest first */
    struct ev_loop *main_loop;
    ev_async *main_wake;
    struct ev_loop *loop;
    ev_timer timer;
    const struct tally *tally;
    int64_t length_ns; /* 0: no intervals are kept */
    int64_t from_ns, counted_to_ns;
    uint64_t echoes, bytes, handshakes, errors; /* at the end of the last interval */
    struct histogram *before;                   /* the same of the latencies; owned */
};

/* length_us 0: keeps nothing. 0, or -1 out of memory. */
int sampler_init(struct sampler *sampler, int64_t length_us, const struct tally *tally, struct ev_loop *loop,
                 struct ev_loop *main_loop, ev_async *main_wake);
void sampler_free(struct sampler *sampler);
/* In the thread: the measurement begins at from_ns (now, or some moments ago). */
void sampler_begin(struct sampler *sampler, int64_t from_ns);
/* In the thread, after everything else: hands over the rest. */
void sampler_end(struct sampler *sampler);

/* In the main thread: what was handed over since the last call, oldest first; the caller frees each with sample_free.
 */
struct sample *sampler_take(struct sampler *sampler);
void sample_free(struct sample *sample);

#endif
