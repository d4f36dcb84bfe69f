/* Inside the room of net.h: ranges of addresses, and sources. */
#include <arpa/inet.h>
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
