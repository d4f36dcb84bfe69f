/*
 * worker.h - room: one thread of load.
 *
 * Owns its loop, its traffic, its tally and its timers, and shares with the main thread only the read-only settings,
 * the few atomics of `struct load_control`, and the live counters. Carries its traffic through the phases: ramp,
 * warm-up, measurement, roll call, drain.
 */
#ifndef LOAD_DRIVE_WORKER_H
#define LOAD_DRIVE_WORKER_H

#include "load/drive/roll_call.h"
#include "load/drive/sampler.h"
#include "load/drive/slots.h"
#include "load/drive/traffic.h"
#include "load/settings.h"
#include "load/tally/tally.h"
#include "load/watch/pressure.h"

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
    ev_async sampled;        /* to it, after a sampler handed something over */
    struct slots slots;      /* handshakes of the ramp */
};

enum worker_phase {
    WORKER_RAMP,
    WORKER_READY,
    WORKER_WARMUP,
    WORKER_MEASURE,
    WORKER_ROLL_CALL, /* hold mode only */
    WORKER_DRAIN,
    WORKER_DONE
};

struct load_worker {
    const struct settings *settings;
    struct load_control *control;
    unsigned index;
    pthread_t thread;
    struct ev_loop *loop;
    ev_async wake; /* from the main thread: look at the control */
    ev_timer tick; /* deadlines, restarts */
    ev_timer phase_timer;
    enum worker_phase phase;

    struct tally tally;
    struct traffic traffic;
    struct roll_call roll_call;

    int64_t ramp_from_ns;
    uint64_t ramp_next, settled; /* clients started so far, and of them those that came up or failed */

    int64_t drain_until_ns;
    struct pressure pressure;
    struct sampler sampler;
    char error[256]; /* why it could not start */
};

/* Makes all of it but the thread: from here on others may look at its tally. 0, or -1 with worker->error; to be freed
 * in either case. */
int load_worker_init(struct load_worker *worker, const struct settings *settings, struct load_control *control,
                     unsigned index);
/* 0, or -1 with worker->error. */
int load_worker_start(struct load_worker *worker);
/* From the main thread, after a change of the control. */
void load_worker_wake(struct load_worker *worker);
/* Waits for its end; afterwards its tally may be read. */
void load_worker_join(struct load_worker *worker);
void load_worker_free(struct load_worker *worker);

#endif
