/*
 * connection_set.h - room: all connections of a worker.
 *
 * Destroys those that have been closed, a bounded time of it in each turn: should tens of thousands end at once, the
 * loop still turns. Drains and ends them all when the worker's time has come. The struct stands in connection.h, since
 * each connection knows what it shares with the others.
 */
#ifndef SERVER_SESSION_CONNECTION_SET_H
#define SERVER_SESSION_CONNECTION_SET_H

#include "server/session/connection.h"

int connection_set_init(struct connection_set *set, struct ev_loop *loop, const struct config *config,
                        const struct credentials *credentials, ssh_bind bind, struct scoreboard *board, unsigned slot);

/* From now on a connection whose last channel has ended is closed, at once where that has happened already. One that
 * has not opened a channel yet (it came just before) may still do so. */
void connection_set_drain(struct connection_set *set);
/* Queues all that is left. */
void connection_set_close_all(struct connection_set *set, enum close_reason reason);
/* Destroys everything now; after the loop has ended. */
void connection_set_destroy(struct connection_set *set);

#endif
