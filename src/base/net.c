#include "sshecho/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define HOST_MAX 256 /* a DNS name has at most 253 characters */

struct host_port {
    char host[HOST_MAX]; /* empty: every address */
    uint16_t port;
};

bool net_parse_port(const char *text, uint16_t *out)
{
    size_t length = strlen(text);
    if (length == 0 || length > 5 || strspn(text, "0123456789") != length) {
        return false;
    }
    unsigned long port = strtoul(text, NULL, 10);
    if (port > UINT16_MAX) {
        return false;
    }
    *out = (uint16_t)port;
    return true;
}

/* Splits text at the colon before the port; an IPv6 address with a port stands in brackets. */
static int split(const char *text, uint16_t default_port, struct host_port *out, char *error, size_t error_size)
{
    const char *host = text;
    size_t host_length;
    const char *rest; /* "" or ":PORT" */
    if (text[0] == '[') {
        const char *close = strchr(text, ']');
        if (close == NULL || close == text + 1) {
            (void)snprintf(error, error_size, "'%.64s' lacks an address in brackets, write [ADDR]:PORT", text);
            return -1;
        }
        host = text + 1;
        host_length = (size_t)(close - host);
        rest = close + 1;
    } else {
        const char *first = strchr(text, ':');
        bool bare_v6 = first != NULL && strchr(first + 1, ':') != NULL;
        rest = first != NULL && !bare_v6 ? first : text + strlen(text);
        host_length = (size_t)(rest - text);
    }
    if (host_length >= sizeof out->host || (host_length == 0 && *rest == '\0')) {
        (void)snprintf(error, error_size, "'%.64s' is not an address, write ADDR:PORT", text);
        return -1;
    }
    (void)memcpy(out->host, host, host_length);
    out->host[host_length] = '\0';
    out->port = default_port;
    if (*rest != '\0' && (*rest != ':' || !net_parse_port(rest + 1, &out->port))) {
        (void)snprintf(error, error_size, "'%.64s' has no valid port, write ADDR:PORT with a port of 0 to 65535", text);
        return -1;
    }
    return 0;
}

void net_set_v4(struct net_address *out, const void *address, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    (void)memcpy(&v4.sin_addr, address, sizeof v4.sin_addr);
    (void)memset(out, 0, sizeof *out);
    (void)memcpy(&out->storage, &v4, sizeof v4);
    out->length = sizeof v4;
}

void net_set_v6(struct net_address *out, const void *address, uint16_t port)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    (void)memcpy(&v6.sin6_addr, address, sizeof v6.sin6_addr);
    (void)memset(out, 0, sizeof *out);
    (void)memcpy(&out->storage, &v6, sizeof v6);
    out->length = sizeof v6;
}

static int look_up(const char *text, const struct host_port *where, bool resolve, struct net_address *out, char *error,
                   size_t error_size)
{
    char port[8];
    (void)snprintf(port, sizeof port, "%u", where->port);
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | (resolve ? 0 : AI_NUMERICHOST),
    };
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(where->host, port, &hints, &found);
    if (rc != 0 || found == NULL || found->ai_addrlen > sizeof out->storage) {
        const char *why = rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc);
        if (resolve) {
            (void)snprintf(error, error_size, "cannot resolve '%.64s': %s", where->host, why);
        } else {
            (void)snprintf(error, error_size, "'%.64s' is not a numeric address, write ADDR:PORT", text);
        }
        if (found != NULL) {
            freeaddrinfo(found);
        }
        return -1;
    }
    (void)memset(out, 0, sizeof *out);
    (void)memcpy(&out->storage, found->ai_addr, found->ai_addrlen);
    out->length = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

int net_parse(const char *text, uint16_t default_port, bool resolve, struct net_address *out, char *error,
              size_t error_size)
{
    struct host_port where;
    if (split(text, default_port, &where, error, error_size) != 0) {
        return -1;
    }
    struct in_addr v4 = {.s_addr = htonl(INADDR_ANY)};
    if (where.host[0] == '\0' || inet_pton(AF_INET, where.host, &v4) == 1) {
        net_set_v4(out, &v4, where.port);
        return 0;
    }
    /* The resolver would take "2222" as the address 0.0.8.174; whoever writes that means a port. */
    if (strspn(where.host, "0123456789.") == strlen(where.host)) {
        (void)snprintf(error, error_size, "'%.64s' is not an address, write ADDR:PORT or :PORT", text);
        return -1;
    }
    return look_up(text, &where, resolve, out, error, error_size);
}

const char *net_print(const struct net_address *address, char *buffer, size_t buffer_size)
{
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (getnameinfo((const struct sockaddr *)&address->storage, address->length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        (void)snprintf(buffer, buffer_size, "unknown");
    } else {
        (void)snprintf(buffer, buffer_size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
    }
    return buffer;
}

bool net_same_address(const struct net_address *a, const struct net_address *b)
{
    return a->length == b->length && memcmp(&a->storage, &b->storage, a->length) == 0;
}

bool net_is_loopback(const struct net_address *address)
{
    if (address->storage.ss_family == AF_INET) {
        struct sockaddr_in v4;
        (void)memcpy(&v4, &address->storage, sizeof v4);
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    if (address->storage.ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        (void)memcpy(&v6, &address->storage, sizeof v6);
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            return v6.sin6_addr.s6_addr[12] == 127;
        }
        return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    }
    return false;
}

uint16_t net_port(const struct net_address *address)
{
    if (address->storage.ss_family == AF_INET) {
        struct sockaddr_in v4;
        (void)memcpy(&v4, &address->storage, sizeof v4);
        return ntohs(v4.sin_port);
    }
    if (address->storage.ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        (void)memcpy(&v6, &address->storage, sizeof v6);
        return ntohs(v6.sin6_port);
    }
    return 0;
}

static int open_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
}

static int set_flag(int fd, int level, int name)
{
    const int on = 1;
    return setsockopt(fd, level, name, &on, sizeof on);
}

static int close_keeping_errno(int fd)
{
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return -1;
}

int net_listen(const struct net_address *address, int backlog)
{
    int fd = open_socket(address->storage.ss_family);
    if (fd < 0) {
        return -1;
    }
    if (set_flag(fd, SOL_SOCKET, SO_REUSEADDR) != 0 ||
        (address->storage.ss_family == AF_INET6 && set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 0) ||
        bind(fd, (const struct sockaddr *)&address->storage, address->length) != 0 || listen(fd, backlog) != 0) {
        return close_keeping_errno(fd);
    }
    return fd;
}

int net_connect(const struct net_address *address, const struct net_address *local)
{
    int fd = open_socket(address->storage.ss_family);
    if (fd < 0) {
        return -1;
    }
    if (set_flag(fd, IPPROTO_TCP, TCP_NODELAY) != 0) {
        return close_keeping_errno(fd);
    }
    if (local != NULL) {
        /* Without BIND_ADDRESS_NO_PORT bind reserves a port for this address alone, whatever the destination: what an
           emulated kernel that does not know it has to do. */
        if (set_flag(fd, SOL_SOCKET, SO_REUSEADDR) != 0 ||
            (set_flag(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) != 0 && errno != ENOPROTOOPT) ||
            bind(fd, (const struct sockaddr *)&local->storage, local->length) != 0) {
            return close_keeping_errno(fd);
        }
    }
    if (connect(fd, (const struct sockaddr *)&address->storage, address->length) != 0 && errno != EINPROGRESS &&
        errno != EINTR) {
        return close_keeping_errno(fd);
    }
    return fd;
}

int net_connect_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
        return errno;
    }
    return error;
}

int net_local_address(int fd, struct net_address *out)
{
    (void)memset(out, 0, sizeof *out);
    out->length = sizeof out->storage;
    return getsockname(fd, (struct sockaddr *)&out->storage, &out->length);
}

uint64_t net_raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    struct rlimit wanted = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) {
        return wanted.rlim_cur;
    }
    return limit.rlim_cur;
}
