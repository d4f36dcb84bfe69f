/*
 * progress.h - room: what a person sees while a run goes on.
 *
 * Lines at an interval on stdout (stderr while the JSON goes to stdout), or one line on a terminal, from the live
 * counters. Owns its timer and the figures of the last interval; reads the workers' counters only.
 */
#ifndef LOAD_DRIVE_PROGRESS_H
#define LOAD_DRIVE_PROGRESS_H

#include "load/drive/worker.h"
#include "load/settings.h"

#include <ev.h>
#include <stdio.h>

struct progress {
    const struct settings *settings;
    const struct load_worker *workers;
    const struct load_control *control;
    struct ev_loop *loop;
    ev_timer timer;
    mono_time started, last;
    uint64_t echoes, bytes, errors, handshakes, latency_sum_us; /* as last seen */
    FILE *out;
    bool on_terminal; /* one line on stderr, over and over */
    bool active;
};

void progress_start(struct progress *progress, const struct settings *settings, const struct load_control *control,
                    const struct load_worker *workers, struct ev_loop *loop);
void progress_stop(struct progress *progress);

#endif
