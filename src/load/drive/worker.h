/*
 * worker.h - room: one thread of load.
 *
 * Owns its loop, its clients, its tally and its timers, and shares with the main thread only the read-only settings,
 * the few atomics of `struct load_control`, and the live counters. Carries its clients through the phases: ramp,
 * warm-up, measurement, drain. Decides, by mode, what is due when.
 */
#ifndef LOAD_DRIVE_WORKER_H
#define LOAD_DRIVE_WORKER_H

#include "load/drive/client.h"
#include "load/plan/schedule.h"
#include "load/result/tally.h"
#include "load/settings.h"

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Between the main thread and its workers. */
struct load_control {
    _Atomic int64_t gate_ns; /* main: when traffic starts; 0 while sessions are still being set up */
    _Atomic bool stop;       /* main: end the measurement now */
    _Atomic unsigned ready;  /* workers: whose sessions are up, or have failed */
    _Atomic unsigned done;   /* workers: that have finished */
    struct ev_loop *loop;    /* of the main thread */
    ev_async changed;        /* to it, after ready or done went up */
};

enum worker_phase { WORKER_RAMP, WORKER_READY, WORKER_WARMUP, WORKER_MEASURE, WORKER_DRAIN, WORKER_DONE };

struct load_worker {
    const struct settings *settings;
    struct load_control *control;
    unsigned index;
    pthread_t thread;
    struct ev_loop *loop;
    ev_async wake; /* from the main thread: look at the control */
    ev_timer tick; /* deadlines, restarts */
    ev_timer phase_timer;
    ev_io schedule; /* timerfd: the next operation is due */
    int schedule_fd;
    enum worker_phase phase;

    struct client_shared shared;
    struct tally tally;
    struct client *clients;
    uint64_t client_count;
    uint64_t first_client; /* number of clients[0] in the whole run */

    int64_t ramp_from_ns;
    uint64_t ramp_next; /* clients started so far */
    uint64_t connecting, settled, alive;
    int64_t progress_ns; /* last time that a session came up */

    uint64_t next_operation; /* open loop: operations of this worker that have been looked at */
    uint64_t remaining;      /* closed loop with a count */
    int64_t drain_until_ns;
    double cpu_from_s;
    char error[256]; /* why it could not start */
};

/* The part of the schedule that is this worker's. */
static inline struct schedule_part load_worker_part(const struct load_worker *worker)
{
    return (struct schedule_part){
        .worker = worker->index, .first_client = worker->first_client, .client_count = worker->client_count};
}

/* 0, or -1 with worker->error. */
int load_worker_start(struct load_worker *worker, const struct settings *settings, struct load_control *control,
                      unsigned index);
/* From the main thread, after a change of the control. */
void load_worker_wake(struct load_worker *worker);
/* Waits for its end; afterwards its tally may be read. */
void load_worker_join(struct load_worker *worker);
void load_worker_free(struct load_worker *worker);

#endif
