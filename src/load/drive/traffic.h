/*
 * traffic.h - room: what each mode does with its sessions.
 *
 * Owns the clients of a thread, and decides by mode what is sent when, when a connection is closed and opened again,
 * and which operations count as what. Told by its owner when traffic begins and ends; tells it through events when a
 * first connection is settled and when something may have been the last operation. Knows no threads.
 */
#ifndef LOAD_DRIVE_TRAFFIC_H
#define LOAD_DRIVE_TRAFFIC_H

#include "load/connection/client.h"
#include "load/plan/schedule.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct traffic_events {
    void (*settled)(void *data); /* the first connection of a client has come up, or has failed */
    void (*enough)(void *data);  /* a measurement by count has all it wants */
};

struct traffic {
    struct client_shared shared;
    struct client *clients;
    uint64_t client_count;
    uint64_t first_client; /* number of clients[0] in the whole run */
    struct schedule schedule;
    ev_io due; /* timerfd: the next operation is due */
    int due_fd;
    ev_idle spin;        /* --spin: looks at next_due_ns whenever there is nothing else to do */
    int64_t next_due_ns; /* INT64_MAX: none is known */
    bool open;           /* an open loop */
    bool flows;          /* between traffic_begin and traffic_end */
    bool catches_up;     /* after traffic_end: connections that were due and found no slot are still begun */
    bool by_count;       /* the measured time ends by count, and has not yet */
    int64_t gate_ns;
    uint64_t remaining; /* closed loop with a count */
    uint64_t alive;     /* clients that are up, on their way, or will be started again */
    int64_t came_up_ns; /* when the last session came up */
    uint64_t look_from; /* the client whose deadlines were looked at last */
    const struct traffic_events *events;
    void *events_data;
};

/* `worker` counts over all processes of the shard. 0, or -1 with a sentence. The tally, the loop and the events must
 * outlive it. */
int traffic_init(struct traffic *traffic, const struct settings *settings, unsigned worker, struct ev_loop *loop,
                 struct tally *tally, const struct traffic_events *events, void *events_data, char *error,
                 size_t error_size);
void traffic_free(struct traffic *traffic);
/* In the thread of the loop, before anything else and after everything else. */
void traffic_start(struct traffic *traffic);
void traffic_stop(struct traffic *traffic);

/* The ramp: the first connection of client `index`. */
void traffic_connect(struct traffic *traffic, uint64_t index, int64_t due_ns);
/* These first connections are not tried at all. */
void traffic_skip(struct traffic *traffic, uint64_t clients);
/* The gate opened at gate_ns: traffic may flow. */
void traffic_begin(struct traffic *traffic, int64_t gate_ns);
/* Nothing new falls due from now on. What is left of the work counts as failed; when the user ended the run
 * (`stopped`), only what was due by then. What was due and waits, in a channel's queue or for a slot of connect mode,
 * is late and not lost: it may still be done. */
void traffic_end(struct traffic *traffic, bool stopped);
/* Whether connections that were due still wait for a slot. */
bool traffic_has_backlog(const struct traffic *traffic);
/* They are given up: unfinished, after a wait that the latencies hold. */
void traffic_give_up_backlog(struct traffic *traffic, int64_t now_ns);
/* Looks at deadlines; to be called every now and then. Where clients are many it is the turn of some of them: all of
 * them at once are milliseconds of cache misses, which whoever is due meanwhile would wait for. */
void traffic_look(struct traffic *traffic, int64_t now_ns);
/* Whether nobody is left, or will come, who could do anything. */
bool traffic_is_dead(const struct traffic *traffic, int64_t now_ns);

#endif
