/*
 * live.h - room: a small view of a run on the terminal (--live).
 *
 * A few lines on stderr, drawn over themselves: where the run is, its rate, its sessions, the latencies of the last
 * interval, errors by class, the generator itself. Owns its timer; nothing of the terminal but those lines is changed,
 * and they are gone when it stops.
 */
#ifndef LOAD_WATCH_LIVE_H
#define LOAD_WATCH_LIVE_H

#include "load/timeline/timeline.h"
#include "load/watch/watched.h"

#include <ev.h>

struct live {
    const struct watched *watched; /* NULL: there is no view */
    struct ev_loop *loop;
    ev_timer timer;
    struct watched_counts before; /* at the last drawing */
    mono_time drawn;
    double cpu_s;
    struct histogram *last; /* of the last interval; owned */
    bool has_interval;
    unsigned lines; /* on the screen */
};

/* 0, or -1 out of memory. */
int live_start(struct live *live, const struct watched *watched, struct ev_loop *loop);
/* An interval of the measurement is over. */
void live_interval(struct live *live, const struct interval *interval);
/* Takes the lines back. Also from a signal that ends the process at once: it only writes. */
void live_clear(struct live *live);
void live_stop(struct live *live);

#endif
