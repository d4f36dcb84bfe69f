/*
 * farewell.h - room: the last words about and to a client.
 *
 * The CLOSE line of the log, and SSH_MSG_DISCONNECT with its reason.
 */
#ifndef SERVER_SESSION_FAREWELL_H
#define SERVER_SESSION_FAREWELL_H

#include "server/session/connection.h"

/* Before anything of the connection is taken apart. */
void farewell_log(struct connection *c);
/* After its channels are gone. Says nothing to a client that has disconnected by itself, or is gone. */
void farewell_say(struct connection *c);

#endif
