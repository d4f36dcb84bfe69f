/*
 * deadline.h - room: the deadlines of a connection.
 *
 * One timer a connection, armed for whatever ends first: version line, key exchange, login, idleness, lack of progress,
 * a whole session. Reads the connection's marks and asks connection_close; keeps nothing of its own but c->timer.
 */
#ifndef SERVER_SESSION_DEADLINE_H
#define SERVER_SESSION_DEADLINE_H

#include "server/session/connection.h"

void deadline_init(struct connection *c);
/* At each change of phase, and when something begins to wait. */
void deadline_arm(struct connection *c);
/* Called after each turn: an idle session has no timer, one whose output waits gets it. */
void deadline_after_turn(struct connection *c);

#endif
