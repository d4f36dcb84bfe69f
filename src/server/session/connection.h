/*
 * connection.h - room: one client from accept to close.
 *
 * One struct holds everything that lives and dies together: pump (fd, watcher, session, event), deadlines, login,
 * channels, each a room of its own that knows what it has been given and no more. connection_create makes it, the set's
 * reaper destroys it, at any stage. Closing is a request: connection_close marks, stops and queues; freeing happens in
 * the loop, never inside a callback (connection_set.h). Not the worker's business: it speaks upwards through the
 * callbacks of its set.
 *
 * connection.c has its life; connection_events.c what libssh, login and channels tell it; connection_turns.c what the
 * pump does.
 */
#ifndef SERVER_SESSION_CONNECTION_H
#define SERVER_SESSION_CONNECTION_H

#include <ev.h>
#include <libssh/callbacks.h>
#include <libssh/server.h>

#include "server/channel/channel.h"
#include "server/config.h"
#include "server/figures/scoreboard.h"
#include "server/login/answers.h"
#include "server/login/credentials.h"
#include "server/login/login.h"
#include "server/login/password_check.h"
#include "server/login/postponed.h"
#include "server/report/record.h"
#include "server/report/report_file.h"
#include "server/session/deadline.h"
#include "server/session/disturb.h"
#include "server/session/phase.h"
#include "server/session/quiet_rekey.h"
#include "server/session/rekey.h"
#include "sshecho/clock.h"
#include "sshecho/kexinit.h"
#include "sshecho/net.h"
#include "sshecho/pump.h"
#include "sshecho/token_bucket.h"

/* All connections of a process, and what they share. Owned by the worker. */
struct connection_set {
    struct ev_loop *loop;
    const struct config *config;
    const struct credentials *credentials;
    struct scoreboard *board;
    struct counters *counters; /* this worker's page */
    unsigned slot;
    ssh_bind bind;
    struct password_checks password_checks; /* set up by the worker, whose process it belongs to */
    const char *host_keys;                  /* host key algorithms on offer */
    struct report_file reports;             /* the same */
    mono_time turn_at;                      /* when the loop began this turn; the worker sets it */
    struct connection *first;
    struct connection *first_doomed, *last_doomed; /* closed, to be destroyed in this order */
    ev_prepare reaper;
    struct pump_turns turns;
    ev_idle more_to_reap; /* has the loop turn again at once */
    bool draining;
    void (*closed)(void *data); /* after a connection has been destroyed: there is room, or nothing left */
    void *data;
};

struct connection {
    struct connection_set *set;
    struct connection *next, *previous, *next_doomed;
    struct pump pump;
    struct answers answers;
    struct login login;
    struct channels channels;
    struct ssh_server_callbacks_struct server_callbacks;
    struct ssh_callbacks_struct session_callbacks;
    struct deadline deadline;
    struct rekey rekey;
    struct quiet_rekey quiet_rekey;
    struct disturb disturb;
    struct postponed late_opens, late_replies;
    mono_time asked_alive_at; /* client-alive-interval: the last request, or the first turn; 0 before */
    struct record record;     /* for its report */
    struct net_address peer;
    uint64_t id, source;
    bool source_counted; /* the table of sources had room for it */
    enum phase phase, phase_before_close;
    enum close_reason reason;
    mono_time accepted_at;
    int64_t kex_us, login_us;             /* from accept; -1: not reached */
    uint64_t turn_in_mark, turn_out_mark; /* bytes through the socket when the turn began */
    uint64_t held_reported, pending_reported;
    struct token_bucket opens, requests;
    bool no_farewell;   /* a reset says nothing */
    bool left;          /* the client has ended TCP, or said so */
    const char *method; /* that logged in; static */
    char *user;
    char *client_version;
    struct kexinit kexinit; /* what the client began with, until it has been read */
    char *disagreement;     /* why there is nothing in common */
};

/* Takes over fd in any case. NULL when libssh or memory would not have it (fd is closed). */
struct connection *connection_create(struct connection_set *set, int fd, const struct net_address *peer);
/* Marks and queues; the first reason stays. */
void connection_close(struct connection *connection, enum close_reason reason);

/* Says farewell, closes and frees: only for the set that it belongs to, from the loop. */
void connection_destroy(struct connection *connection);

#endif
