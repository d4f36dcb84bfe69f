/*
 * admission.h - room: who gets a connection at all.
 *
 * Decides, before any SSH work is paid for, whether an accepted socket becomes a connection; counts each refusal by
 * reason and logs refusals as a line when they begin and a summary while they last. Owns the random early drop's dice
 * and the token bucket of handshakes. Reads the scoreboard, so that limits hold across workers.
 */
#ifndef SERVER_ENTRY_ADMISSION_H
#define SERVER_ENTRY_ADMISSION_H

#include "server/config.h"
#include "server/figures/scoreboard.h"
#include "sshecho/clock.h"
#include "sshecho/net.h"
#include "sshecho/token_bucket.h"

#define ADMITTED (-1)

struct admission {
    const struct config *config;
    struct scoreboard *board;
    unsigned slot;
    uint64_t max_here; /* connections this process has fds for */
    struct token_bucket handshakes;
    unsigned short dice[3];
    uint64_t refused_unlogged[REFUSE_REASON_COUNT];
    mono_time last_summary;
    bool refusing;
};

/* Connections that a process with this limit of file descriptors has room for. */
uint64_t admission_room(uint64_t fd_limit);

void admission_init(struct admission *admission, const struct config *config, struct scoreboard *board, unsigned slot,
                    uint64_t fd_limit);

/* Whether this process has room (fds, handshake tokens) to call accept at all; if not, connections wait in the kernel's
 * queue. */
bool admission_may_accept(struct admission *admission, mono_time now);
/* A connection has been accepted: it costs a handshake. */
void admission_accepted(struct admission *admission, mono_time now);
/* ADMITTED, or the enum refuse_reason for which the socket is to be closed. Counts and logs a refusal. */
int admission_check(struct admission *admission, const struct net_address *peer, mono_time now);
/* A refusal decided elsewhere. */
void admission_refuse(struct admission *admission, enum refuse_reason reason, const struct net_address *peer,
                      mono_time now);
/* Called about once a second: the summary. */
void admission_tick(struct admission *admission, mono_time now);

#endif
