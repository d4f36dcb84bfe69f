/*
 * net.h - room: addresses and sockets, without policy.
 *
 * Parses and prints socket addresses, opens listening and connecting sockets, raises the fd limit. Owns nothing: each
 * fd belongs to the caller. Knows neither libssh nor libev. All sockets are O_NONBLOCK | O_CLOEXEC.
 */
#ifndef SSHECHO_NET_H
#define SSHECHO_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define NET_ADDRESS_TEXT_MAX 64 /* "[IPv6%scope]:port" and its NUL */

struct net_address {
    struct sockaddr_storage storage;
    socklen_t length;
};

/* "ADDR:PORT", "[V6]:PORT", ":PORT" (every address, one socket per family is the caller's affair), "ADDR"; host names
 * are resolved when `resolve`. default_port is used where no port is given. Returns 0, or -1 with a sentence in error.
 */
int net_parse(const char *text, uint16_t default_port, bool resolve, struct net_address *out, char *error,
              size_t error_size);
/* "127.0.0.1:2222", "[::1]:2222"; returns buffer. */
const char *net_print(const struct net_address *address, char *buffer, size_t buffer_size);
bool net_is_loopback(const struct net_address *address);
uint16_t net_port(const struct net_address *address);

/* A listening TCP socket (SO_REUSEADDR, IPV6_V6ONLY for v6), backlog as given. Returns the fd, or -1 with errno. */
int net_listen(const struct net_address *address, int backlog);
/* Starts a non-blocking connect, from `local` if not NULL (SO_REUSEADDR, IP_BIND_ADDRESS_NO_PORT). Returns the fd
 * (connecting or connected: wait for writability, then net_connect_error), or -1 with errno. TCP_NODELAY is set. */
int net_connect(const struct net_address *address, const struct net_address *local);
int net_connect_error(int fd); /* 0, or the errno of the finished connect */
int net_local_address(int fd, struct net_address *out);

/* Raises RLIMIT_NOFILE to its hard value; returns the limit now in force. */
uint64_t net_raise_fd_limit(void);

#endif
