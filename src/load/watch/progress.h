/*
 * progress.h - room: what a person sees while a run goes on.
 *
 * Lines at an interval on stdout (stderr while the JSON goes to stdout), or one line on a terminal, or lines for
 * another machine. Before and after the measurement a line comes from the live counters, in it from the intervals where
 * somebody tells them, so that lines and files say the same. Owns its timer and the figures of the last line; reads
 * live counters only.
 */
#ifndef LOAD_WATCH_PROGRESS_H
#define LOAD_WATCH_PROGRESS_H

#include "load/timeline/timeline.h"
#include "load/watch/watched.h"

#include <ev.h>
#include <stdio.h>

/* What a line says; counts are those of its `seconds`, but for errors, which are all so far. */
struct progress_line {
    double at_s, seconds;
    bool load;         /* the sessions stand, or have failed */
    const char *whose; /* "", or words about who is in it */
    uint64_t sessions, handshakes, echoes, bytes, errors;
    double mean_us;            /* of the echoes; negative: none came */
    const struct histogram *h; /* of the measured ones; NULL: not known */
};

struct progress {
    const struct watched *watched;
    struct ev_loop *loop;
    ev_timer timer;
    mono_time last;
    struct watched_counts before; /* as last seen */
    struct histogram *scratch;    /* owned */
    FILE *out;
    bool on_terminal; /* one line on stderr, over and over */
    bool tells;       /* lines for another machine (told.h) */
    bool active;
};

void progress_start(struct progress *progress, const struct watched *watched, struct ev_loop *loop);
/* An interval of the measurement is over. */
void progress_interval(struct progress *progress, const struct interval *interval, uint64_t index);
/* How often there is a line. */
double progress_every_s(const struct settings *settings);
void progress_stop(struct progress *progress);

/* One line; on a terminal in the place of the last. */
void progress_print(FILE *out, bool on_terminal, const struct progress_line *line);
/* After the last. */
void progress_print_end(FILE *out, bool on_terminal);

#endif
