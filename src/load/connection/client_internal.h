/*
 * client_internal.h - inside the room of client.h: what its files know of one another.
 *
 * client.c brings a connection up and keeps it going; client_end.c ends it. An end is a request: it queues, and the
 * reaper frees before the loop waits again, never inside a callback of libssh.
 */
#ifndef LOAD_CONNECTION_CLIENT_INTERNAL_H
#define LOAD_CONNECTION_CLIENT_INTERNAL_H

#include "load/connection/client.h"

static inline uint64_t client_channels(const struct client *client)
{
    return client->shared->settings->options.channels;
}

/* How far it has come, in the words of fault.h. */
enum fault_phase client_phase(const struct client *client);
/* Queues it for the reaper; FAULT_NONE where that is how it should end. */
void client_end(struct client *client, enum fault fault);
/* client_fail by what the session says of itself. */
void client_fail_by_session(struct client *client);
/* Frees what the connection has, without an event. */
void client_release(struct client *client, enum fault fault);
/* The reaper of client_shared. */
void client_reap(struct ev_loop *loop, ev_prepare *prepare, int revents);

#endif
