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
/* 0 to 65535 in decimal digits alone. */
bool net_parse_port(const char *text, uint16_t *out);
/* `address` is 4 or 16 bytes in network order, the port a number. */
void net_set_v4(struct net_address *out, const void *address, uint16_t port);
void net_set_v6(struct net_address *out, const void *address, uint16_t port);
bool net_same_address(const struct net_address *a, const struct net_address *b);
bool net_is_loopback(const struct net_address *address);
uint16_t net_port(const struct net_address *address);

/* A listening TCP socket (SO_REUSEADDR, IPV6_V6ONLY for v6), backlog as given. Returns the fd, or -1 with errno. */
int net_listen(const struct net_address *address, int backlog);
/* Starts a non-blocking connect, from `local` if not NULL (SO_REUSEADDR, IP_BIND_ADDRESS_NO_PORT where the kernel knows
 * it). Returns the fd (connecting or connected: wait for writability, then net_connect_error), or -1 with errno.
 * TCP_NODELAY is set. */
int net_connect(const struct net_address *address, const struct net_address *local);
int net_connect_error(int fd); /* 0, or the errno of the finished connect */
int net_local_address(int fd, struct net_address *out);

/* "10.0.0.0/8", "2001:db8::/32", "192.0.2.7". */
struct net_range {
    int family;
    uint8_t bytes[16];
    unsigned prefix_bits;
};
bool net_range_parse(const char *text, struct net_range *out);
/* An IPv4 client of an IPv6 socket (::ffff:a.b.c.d) counts as IPv4. */
bool net_range_contains(const struct net_range *range, const struct net_address *address);

/* Addresses to connect from: single ones ("192.0.2.7", a host name) and ranges ("127.0.0.0/24": all but the network
 * itself and its broadcast address). Zeroed when empty. */
struct net_sources {
    struct net_source *entries; /* owned, [count] */
    size_t count;
    uint64_t addresses; /* in all entries */
};
/* 0, or -1 with a sentence. */
int net_sources_add(struct net_sources *sources, const char *text, char *error, size_t error_size);
/* The address whose turn it is with connection `number`; false: there are none. */
bool net_sources_at(const struct net_sources *sources, uint64_t number, struct net_address *out);
void net_sources_free(struct net_sources *sources);

/* IPv4 address, or the /64 of an IPv6 one, as a non-zero number: what a limit per source counts by. */
uint64_t net_source_key(const struct net_address *peer);

/* Raises RLIMIT_NOFILE to its hard value; returns the limit now in force. */
uint64_t net_raise_fd_limit(void);

#endif
