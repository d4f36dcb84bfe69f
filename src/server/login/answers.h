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
 * Knows login and connection. Where libssh does not come here (a static libssh, -Bsymbolic) it has no effect;
 * the first login says so in the log.
 */
#ifndef SERVER_LOGIN_ANSWERS_H
#define SERVER_LOGIN_ANSWERS_H

#include "server/session/connection.h"

/* Before the first connection. */
void answers_begin(void);
/* Whether libssh has come here since the program began. */
bool answers_reached(void);

/* Whether the session's error is no more than libssh's opinion of a request that has been answered. */
bool answers_settled(const struct connection *c);

#endif
