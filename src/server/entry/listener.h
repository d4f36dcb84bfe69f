/*
 * listener.h - room: the listening sockets.
 *
 * Opened (or taken over from the service manager) by the master, inherited by every worker, so that no connection
 * waiting in an accept queue is lost with a worker. Owns the fds. A reload keeps the sockets whose addresses stay.
 *
 * A socket that nobody will listen on any more is retired before it is closed: the kernel refuses new connections to
 * it, so that whoever closes last can empty the queue first. Closing it at once would reset clients that have been told
 * they are connected.
 */
#ifndef SERVER_ENTRY_LISTENER_H
#define SERVER_ENTRY_LISTENER_H

#include "server/config.h"
#include "sshecho/net.h"

#define LISTENERS_MAX 64

struct listener {
    int fd;
    struct net_address asked, bound; /* port 0 becomes a real one in `bound` */
    bool handed;                     /* by the service manager: kept whatever the configuration says */
};

struct listeners {
    struct listener items[LISTENERS_MAX];
    size_t count;
};

/* Opens what the configuration asks for; of sockets in `keep` (may be NULL) that fit it makes descriptors of its own,
 * so that either can be closed alone. Returns 0, or -1 with *error naming address and cause. */
int listeners_open(struct listeners *listeners, const struct config *config, const struct listeners *keep,
                   struct option_error *error);
void listeners_close(struct listeners *listeners);

/* Retires those that are not in `keep` (NULL: all) and not the service manager's, for all processes that have them. */
void listeners_retire(const struct listeners *listeners, const struct listeners *keep);
/* Whether some process has retired it. */
bool listener_is_retired(const struct listener *listener);

/* The bound addresses, one a line, by rename. Returns 0, or -1 with *error. */
int listeners_write_port_file(const struct listeners *listeners, const char *path, struct option_error *error);
/* Whether that could work, before anything is started. path may be NULL. */
int listeners_try_port_file(const char *path, struct option_error *error);
void listeners_log(const struct listeners *listeners);

#endif
