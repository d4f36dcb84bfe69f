/*
 * client.h - room: the life of one connection.
 *
 * From connect(2) over the handshake to the close, again and again in the same slot. Owns the fd until the pump has it,
 * the session through its pump, its handshake and its channels; gives each failure its class. Reports upwards through
 * the events that its owner gave it, and knows nothing of modes or threads. All calls from the thread of its loop; none
 * from inside an event but client_start and client_close in `ended`.
 */
#ifndef LOAD_CONNECTION_CLIENT_H
#define LOAD_CONNECTION_CLIENT_H

#include "load/connection/handshake.h"
#include "load/connection/login.h"
#include "load/connection/stream.h"
#include "load/settings.h"
#include "load/tally/fault.h"
#include "load/tally/tally.h"
#include "sshecho/kexinit.h"
#include "sshecho/pump.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct client;

struct client_events {
    /* The session is usable: every channel stands and has echoed its greeting (stream in one direction: stands). */
    void (*up)(struct client *client, void *data);
    /* In a pump turn of a session that is up: queue and send what is wanted. True as stream_send. */
    bool (*turned)(struct client *client, void *data);
    /* The connection has ended and everything of it is freed, channels detached; the slot can be started again.
     * FAULT_NONE after a client_close that the peer answered. Called from the loop, never nested. */
    void (*ended)(struct client *client, enum fault fault, void *data);
};

/* What the clients of a thread share. */
struct client_shared {
    const struct settings *settings;
    struct ev_loop *loop;
    struct tally *tally;
    struct stream_shared streams;
    struct login_material login;
    struct handshake_shared handshake;
    const struct client_events *events;
    void *events_data;
    struct client *reap; /* ended connections, freed by `reaper` before the loop waits again */
    ev_prepare reaper;
};

enum client_state {
    CLIENT_IDLE,
    CLIENT_TCP,
    CLIENT_HANDSHAKE,
    CLIENT_UP,
    CLIENT_CLOSING,
    CLIENT_ENDING /* on the reap list */
};

struct client {
    struct client_shared *shared;
    struct pump pump;
    ev_io connecting;
    enum client_state state;
    int fd;              /* while connecting; -1 otherwise */
    uint32_t generation; /* connections made in this slot */
    uint64_t number;     /* among all connections of the whole run */

    int64_t due_ns;      /* when the connection was due, for the latency of connect mode */
    int64_t started_ns;  /* connect(2) */
    int64_t deadline_ns; /* of the present phase; INT64_MAX when there is none */
    int64_t up_ns;       /* when it came up */

    struct handshake handshake;
    struct kexinit offer;   /* the server's first, while keys are exchanged */
    struct stream *streams; /* [settings->options.channels] */

    enum fault fault; /* how it ended, while CLIENT_ENDING */
    bool was_up;
    bool keep_unsent; /* the owner will reconnect: unsent messages stay due */
    bool counted;     /* the owner's mark: this connection is a measured operation */
    int64_t free_ns;  /* the owner's: since when the slot waits for work */
    ev_timer restart; /* the owner's: runs while the slot waits for being started again; stopped with the client */
    struct client *reap_next;
};

void client_shared_start(struct client_shared *shared);
void client_shared_stop(struct client_shared *shared);

/* 0, or -1 out of memory. */
int client_init(struct client *client, struct client_shared *shared, uint64_t number);
/* Ends whatever is going on at once, without an event, and frees. Safe at any stage, and twice. */
void client_destroy(struct client *client);

/* Starts a connection in an idle slot. Failures come through `ended`. */
void client_start(struct client *client, int64_t due_ns);
/* Closes politely: EOF and CLOSE on every channel, the peer's CLOSE awaited, then a disconnect. */
void client_close(struct client *client);
/* Ends it with a fault found by the owner. */
void client_fail(struct client *client, enum fault fault, const char *what);
/* Looks at the deadlines; to be called every now and then. */
void client_check_deadlines(struct client *client, int64_t now_ns);

/* Sends what has been queued on one channel, from outside a turn. */
void client_send(struct client *client, struct stream *stream);
/* Has `turned` called now, from outside a turn, if the session is up. */
void client_kick(struct client *client);

static inline bool client_is_up(const struct client *client)
{
    return client->state == CLIENT_UP;
}

#endif
