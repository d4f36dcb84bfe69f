/* Inside the room of net.h: ranges of addresses, and sources: who a peer is counted as, where we connect from. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sshecho/net.h"

bool net_range_parse(const char *text, struct net_range *out)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t length = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (length >= sizeof address) {
        return false;
    }
    memcpy(address, text, length);
    address[length] = '\0';
    *out = (struct net_range){.family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET};
    unsigned bits = out->family == AF_INET6 ? 128 : 32;
    if (inet_pton(out->family, address, out->bytes) != 1) {
        return false;
    }
    out->prefix_bits = bits;
    if (slash != NULL) {
        size_t digits = strlen(slash + 1);
        if (digits == 0 || digits > 3 || strspn(slash + 1, "0123456789") != digits) {
            return false;
        }
        out->prefix_bits = (unsigned)strtoul(slash + 1, NULL, 10);
    }
    return out->prefix_bits <= bits;
}

bool net_range_contains(const struct net_range *range, const struct net_address *address)
{
    const uint8_t *bytes = NULL;
    int family = address->storage.ss_family;
    if (family == AF_INET) {
        bytes = (const uint8_t *)&((const struct sockaddr_in *)&address->storage)->sin_addr;
    } else if (family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)&address->storage)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(v6);
        family = mapped ? AF_INET : AF_INET6;
        bytes = v6->s6_addr + (mapped ? 12 : 0);
    }
    if (bytes == NULL || family != range->family) {
        return false;
    }
    unsigned whole = range->prefix_bits / 8, rest = range->prefix_bits % 8;
    return memcmp(bytes, range->bytes, whole) == 0 &&
           (rest == 0 || (unsigned)(bytes[whole] ^ range->bytes[whole]) >> (8 - rest) == 0);
}

uint64_t net_source_key(const struct net_address *peer)
{
    if (peer->storage.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&peer->storage;
        return UINT64_C(1) << 63 | ntohl(v4->sin_addr.s_addr);
    }
    if (peer->storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&peer->storage;
        const uint8_t *bytes = v6->sin6_addr.s6_addr;
        uint64_t key = 0;
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
            return UINT64_C(1) << 63 | (uint64_t)bytes[12] << 24 | (uint64_t)bytes[13] << 16 |
                   (uint64_t)bytes[14] << 8 | bytes[15];
        }
        for (unsigned i = 0; i < 8; i++) {
            key = key << 8 | bytes[i];
        }
        return key != 0 ? key & ~(UINT64_C(1) << 63) : 1; /* ::1 and its like */
    }
    return 1;
}

/* Of a wider range the first so many: more connections than that nobody has. */
#define RANGE_BITS_MOST 32U

struct net_source {
    struct net_address first;
    uint64_t count;
};

/* The address so many after it; within a range, so that no carry leaves the last eight bytes. */
static void advance(struct net_address *address, uint64_t by)
{
    if (address->storage.ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, &address->storage, sizeof v4);
        v4.sin_addr.s_addr = htonl(ntohl(v4.sin_addr.s_addr) + (uint32_t)by);
        memcpy(&address->storage, &v4, sizeof v4);
        return;
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, &address->storage, sizeof v6);
    for (size_t i = sizeof v6.sin6_addr.s6_addr; i > 0 && by > 0; i--) {
        by += v6.sin6_addr.s6_addr[i - 1];
        v6.sin6_addr.s6_addr[i - 1] = (uint8_t)by;
        by >>= 8;
    }
    memcpy(&address->storage, &v6, sizeof v6);
}

static bool from_range(const char *text, struct net_source *out)
{
    struct net_range range;
    if (!net_range_parse(text, &range)) {
        return false;
    }
    unsigned bits = (range.family == AF_INET6 ? 128 : 32) - range.prefix_bits;
    for (unsigned i = 0; i < bits; i++) { /* whatever stands behind the prefix */
        unsigned at = (range.family == AF_INET6 ? 127 : 31) - i;
        range.bytes[at / 8] &= (uint8_t) ~(0x80U >> at % 8);
    }
    if (range.family == AF_INET6) {
        net_set_v6(&out->first, range.bytes, 0);
    } else {
        net_set_v4(&out->first, range.bytes, 0);
    }
    out->count = UINT64_C(1) << (bits < RANGE_BITS_MOST ? bits : RANGE_BITS_MOST);
    if (bits > 1) { /* the network itself, and its broadcast address, are nobody's */
        advance(&out->first, 1);
        out->count -= range.family == AF_INET6 ? 1 : 2;
    }
    return true;
}

int net_sources_add(struct net_sources *sources, const char *text, char *error, size_t error_size)
{
    struct net_source source = {.count = 1};
    if (strchr(text, '/') != NULL) {
        if (!from_range(text, &source)) {
            (void)snprintf(error, error_size, "'%.64s' is not a range, write ADDR/BITS such as 127.0.0.0/24", text);
            return -1;
        }
    } else if (net_parse(text, 0, true, &source.first, error, error_size) != 0) {
        return -1;
    }
    struct net_source *larger = realloc(sources->entries, (sources->count + 1) * sizeof *larger);
    if (larger == NULL) {
        (void)snprintf(error, error_size, "out of memory");
        return -1;
    }
    larger[sources->count++] = source;
    sources->entries = larger;
    sources->addresses += source.count;
    return 0;
}

bool net_sources_at(const struct net_sources *sources, uint64_t number, struct net_address *out)
{
    if (sources->addresses == 0) {
        return false;
    }
    uint64_t index = number % sources->addresses;
    const struct net_source *source = sources->entries;
    while (index >= source->count) {
        index -= source->count;
        source++;
    }
    *out = source->first;
    advance(out, index);
    return true;
}

void net_sources_free(struct net_sources *sources)
{
    free(sources->entries);
    *sources = (struct net_sources){0};
}
