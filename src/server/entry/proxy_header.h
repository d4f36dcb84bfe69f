/*
 * proxy_header.h - room: the PROXY protocol, versions 1 and 2, as text and bytes.
 *
 * Reads the header that a balancer puts in front of a connection to say who the client really is. Pure: no sockets, no
 * memory of its own. proxy_wait.h is where sockets wait for their header.
 */
#ifndef SERVER_ENTRY_PROXY_HEADER_H
#define SERVER_ENTRY_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sshecho/net.h"

/* A version 1 line has at most 107 bytes; version 2 allows 65,551, of which balancers use a few hundred even with TLS
 * details in them. A longer header is refused. */
#define PROXY_HEADER_MAX 2048

enum proxy_result {
    PROXY_MORE = 0, /* all of it belongs to a header, and the header is not complete */
    PROXY_BAD = -1  /* no header, whatever may follow */
};

struct proxy_header {
    bool has_source; /* false for LOCAL and UNKNOWN (a balancer's own check): the socket's address stands */
    struct net_address source;
};

/* Returns the header's length (what follows it is the client's), PROXY_MORE or PROXY_BAD. Fills in *out for a length
 * only. */
int proxy_header_parse(const uint8_t *data, size_t size, struct proxy_header *out);

#endif
