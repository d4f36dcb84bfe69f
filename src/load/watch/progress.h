/*
 * progress.h - room: what a person sees while a run goes on.
 *
 * Lines at an interval on stdout (stderr while the JSON goes to stdout), or one line on a terminal. Before and after
 * the measurement a line comes from the live counters, in it from the intervals where somebody tells them, so that
 * lines and files say the same. Owns its timer and the figures of the last line; reads live counters only.
 */
#ifndef LOAD_WATCH_PROGRESS_H
#define LOAD_WATCH_PROGRESS_H

#include "load/timeline/timeline.h"
#include "load/watch/watched.h"

#include <ev.h>
#include <stdio.h>

struct progress {
    const struct watched *watched;
    struct ev_loop *loop;
    ev_timer timer;
    mono_time last;
    struct watched_counts before; /* as last seen */
    struct histogram *scratch;    /* owned */
    FILE *out;
    bool on_terminal; /* one line on stderr, over and over */
    bool active;
};

void progress_start(struct progress *progress, const struct watched *watched, struct ev_loop *loop);
/* An interval of the measurement is over. */
void progress_interval(struct progress *progress, const struct interval *interval, uint64_t index);
/* How often there is a line. */
double progress_every_s(const struct settings *settings);
void progress_stop(struct progress *progress);

#endif
