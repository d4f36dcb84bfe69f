/*
 * link.h - room: what a process of a run and the one over it tell each other.
 *
 * A socket of whole messages. Upwards: how far this process is, a few times a second and whenever its sessions have
 * come up. Downwards, once: all are ready, go. When either end closes, the other stops. Owns its fd and its watchers.
 */
#ifndef LOAD_WATCH_LINK_H
#define LOAD_WATCH_LINK_H

#include "load/watch/watched.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct link_figures {
    struct watched_counts counts;
    uint64_t cpu_us;
    bool ready; /* every session of this process is up, or has failed */
};

struct link_go {
    int64_t gate_ns; /* of the monotonic clock, which all processes of a machine share */
    int64_t gate_us; /* the same instant, since 1970 */
};

struct link_events {
    void (*figures)(struct link_figures *out, void *data);
    void (*go)(struct link_go go, void *data);
    void (*lost)(void *data); /* the process over us has gone: nobody wants this run any more */
};

struct link {
    int fd;
    struct ev_loop *loop;
    ev_io told;
    ev_timer tell;
    const struct link_events *events;
    void *data;
};

/* Of the process below. The fd is owned from here on. */
void link_start(struct link *link, int fd, double every_s, struct ev_loop *loop, const struct link_events *events,
                void *data);
/* Tells the figures now. */
void link_tell(struct link *link);
void link_stop(struct link *link);

#endif
