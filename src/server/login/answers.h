/*
 * answers.h - room: no request goes without an answer.
 *
 * libssh drops a request that it cannot use (a key of a type that it does not know, a signature by an algorithm that is
 * not allowed, a field missing) and tells nobody: the client would wait for the login timeout. But it frees what it has
 * read of it, by a function of its public interface: this room serves that symbol (symbol interposition, as transport.h
 * does) and refuses, before it is freed, a request that no callback of ours has heard of.
 *
 * What it drops before it knows what it was (a message that ends early) it tells only its log: libssh_log.h hears of
 * it, and the connection ends with a message.
 *
 * In the same way a login request outlives the callback that was told of it, where its answer takes time (login.h).
 *
 * Owns struct answers, a part of the connection. Knows the pump that is driven, not whose it is: whether an answer is
 * due is asked upwards. Where libssh does not come here (a static libssh, -Bsymbolic) it has no effect; the first login
 * says so in the log.
 */
#ifndef SERVER_LOGIN_ANSWERS_H
#define SERVER_LOGIN_ANSWERS_H

#include <libssh/libssh.h>
#include <libssh/server.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/figures/counters.h"
#include "sshecho/pump.h"

struct answers {
    struct pump *pump;
    uint64_t connection_id; /* for the log */
    /* Whether a request that nobody has heard of is due a refusal now; it has been counted then. */
    bool (*refused)(void *data, ssh_message message);
    void (*close)(void *data, enum close_reason reason); /* end the connection (later: it only marks) */
    void *data;

    ssh_message kept;       /* not to be freed as its callback returns */
    uint64_t settled_error; /* digest of the session's error when it has been answered */
    unsigned unreadable;    /* requests that libssh could not use */
    bool heard;             /* a callback of ours knows the request that libssh is working on */
};

/* Before the first connection: where the answers of a pump's session are kept. */
void answers_listen(struct answers *(*of)(struct pump *pump));
/* Whether libssh has come here since the program began. */
bool answers_reached(void);

/* In a callback of libssh: the request that it is working on is known, and needs no answer of this room's. */
void answers_heard(struct answers *answers);
/* The same, and the message is not freed as its callback returns: the caller does, or has it freed by libssh's own
 * function, with answers_heard before it. */
void answers_keep(struct answers *answers, ssh_message message);

/* Whether the session's error is no more than libssh's opinion of a request that has been answered. */
bool answers_settled(const struct answers *answers);

#endif
