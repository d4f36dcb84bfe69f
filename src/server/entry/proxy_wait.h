/*
 * proxy_wait.h - room: accepted sockets that wait for their PROXY header.
 *
 * A socket from one of the networks of `proxy-from` stays here until its header is there (handed up with the client's
 * address), turns out to be none, or is late. Reads not one byte more than the header: the rest is the client's. Owns
 * the waiting sockets and their watchers; knows nothing of connections.
 */
#ifndef SERVER_ENTRY_PROXY_WAIT_H
#define SERVER_ENTRY_PROXY_WAIT_H

#include <ev.h>

#include "server/config.h"
#include "server/entry/proxy_header.h"

/* How long a balancer may take to say whom it brings; on a sound network it takes one packet. */
#define PROXY_WAIT_S 2.0

struct proxy_waiting;

struct proxy_wait_owner {
    /* The header is read: the socket is the owner's from here on. */
    void (*arrived)(void *data, int fd, const struct net_address *client);
    /* No header, or too late: the socket is closed already. */
    void (*refused)(void *data, const struct net_address *peer);
};

struct proxy_wait {
    struct ev_loop *loop;
    const struct proxy_wait_owner *owner;
    void *data;
    struct net_range *networks;
    size_t network_count;
    struct proxy_waiting *first;
    size_t waiting_count;
};

/* Returns 0, or -1 when out of memory. */
int proxy_wait_init(struct proxy_wait *gate, struct ev_loop *loop, const struct config *config,
                    const struct proxy_wait_owner *owner, void *data);
void proxy_wait_destroy(struct proxy_wait *gate);

/* Whether sockets from here have to begin with a header. */
bool proxy_wait_guards(const struct proxy_wait *gate, const struct net_address *peer);
/* Takes the socket over; the owner hears of it before this returns, or later. */
void proxy_wait_enter(struct proxy_wait *gate, int fd, const struct net_address *peer);

#endif
