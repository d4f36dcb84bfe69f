/*
 * disturb.h - room: what the test bench asks of a whole connection.
 *
 * A TCP reset, a key re-exchange, a turn of the pump at a given time. Fills in those functions of the channel host;
 * keeps c->wake.
 */
#ifndef SERVER_SESSION_DISTURB_H
#define SERVER_SESSION_DISTURB_H

#include "server/session/connection.h"

void disturb_init(struct connection *c);
void disturb_grant(struct channel_host *host);
/* A key exchange has ended. */
void disturb_after_rekey(struct connection *c);

#endif
