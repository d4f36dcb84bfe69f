/*
 * accept.h - room: from the listening sockets to a connection.
 *
 * Accepts a bounded number per turn, leaves connections to workers that hold fewer, rests while there is no room, lets
 * whoever comes through a balancer say its PROXY header first, asks admission, and makes a connection of what is left.
 * Owns the watchers of the listening sockets, admission and the sockets that wait for their header; borrows the
 * listening sockets and the set of connections.
 */
#ifndef SERVER_ENTRY_ACCEPT_H
#define SERVER_ENTRY_ACCEPT_H

#include <ev.h>

#include "server/config.h"
#include "server/entry/admission.h"
#include "server/entry/listener.h"
#include "server/entry/proxy_wait.h"
#include "server/figures/scoreboard.h"
#include "server/session/connection.h"

struct acceptor {
    struct ev_loop *loop;
    const struct config *config;
    const struct listeners *listeners;
    struct scoreboard *board;
    unsigned slot;
    unsigned siblings; /* workers of this generation, itself included */
    struct connection_set *set;
    struct admission admission;
    struct proxy_wait gate;
    ev_io watchers[LISTENERS_MAX];
    ev_timer again;
    ev_timer last_call; /* from acceptor_end until every listening socket is closed */
    size_t open_count;  /* listening sockets of ours that are not closed yet */
    bool is_closed[LISTENERS_MAX];
    bool accepting, ending;
    bool is_behind; /* holds so much less than another that each connection wakes it (wake_one.h) */
    bool paused_for_room;
    mono_time pause_logged_at;
    uint64_t pauses_unlogged;
    void (*settled)(void *data); /* one that waited, or a listening socket, is none of ours any more */
    void *data;
};

struct acceptor_setup {
    const struct config *config;
    const struct listeners *listeners;
    struct scoreboard *board;
    unsigned slot, siblings;
    uint64_t fd_limit;
    void (*settled)(void *data);
    void *data;
};

/* Returns 0, or -1 without memory. Accepts nothing before acceptor_start. */
int acceptor_init(struct acceptor *acceptor, struct ev_loop *loop, struct connection_set *set,
                  const struct acceptor_setup *setup);
void acceptor_start(struct acceptor *acceptor);
/* For good: closes this process's copies of the listening sockets; at once where others go on listening, else (see
 * listeners_retire) when nobody waits in the queue any more. Who waits for a header may still become a connection. */
void acceptor_end(struct acceptor *acceptor);
/* Whether nobody waits for its PROXY header, or to be accepted. */
bool acceptor_is_empty(const struct acceptor *acceptor);
/* Gives up whoever still waits; safe at any time after acceptor_init, also twice. */
void acceptor_destroy(struct acceptor *acceptor);
/* A connection has ended: if accepting rested for lack of room, it goes on. */
void acceptor_has_room(struct acceptor *acceptor);
/* A few times a second: summaries in the log. */
void acceptor_tick(struct acceptor *acceptor, mono_time now);

#endif
