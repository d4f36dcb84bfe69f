#include "server/entry/proxy_header.h"

#include <arpa/inet.h>
#include <string.h>

#define V1_LINE_MAX 107 /* with CR and LF, for two IPv6 addresses */
#define V1_START "PROXY "
#define V2_FIXED_BYTES 16

static const uint8_t v2_signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

enum { V2_LOCAL = 0, V2_PROXY = 1 };
enum { V2_UNSPECIFIED = 0, V2_INET = 1, V2_INET6 = 2, V2_UNIX = 3 };
enum { V2_STREAM = 1 };
enum { V2_INET_BYTES = 12, V2_INET6_BYTES = 36, V2_UNIX_BYTES = 216 };

/* ---- version 1: one line of text --------------------------------------------------------------------------------- */

/* Without a leading zero, as the protocol writes ports. */
static bool parse_port(const char *text, uint16_t *port)
{
    return (text[0] != '0' || text[1] == '\0') && net_parse_port(text, port);
}

static bool parse_tcp(int family, const char *source, const char *destination, const char *source_port,
                      const char *destination_port, struct net_address *out)
{
    uint8_t from[sizeof(struct in6_addr)], to[sizeof(struct in6_addr)];
    uint16_t from_port, to_port;
    if (inet_pton(family, source, from) != 1 || inet_pton(family, destination, to) != 1 ||
        !parse_port(source_port, &from_port) || !parse_port(destination_port, &to_port)) {
        return false;
    }
    if (family == AF_INET) {
        net_set_v4(out, from, from_port);
    } else {
        net_set_v6(out, from, from_port);
    }
    return true;
}

/* `line` is what stands between "PROXY " and CR LF; words are parted by one space each. */
static bool parse_line(char *line, struct proxy_header *out)
{
    char *words[5];
    unsigned count = 0;
    char *rest = line;
    if (strncmp(line, "UNKNOWN", 7) == 0 && (line[7] == '\0' || line[7] == ' ')) {
        out->has_source = false;
        return true;
    }
    for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
        if (count == 5) {
            return false;
        }
        words[count++] = word;
    }
    if (count != 5) {
        return false;
    }
    int family = strcmp(words[0], "TCP4") == 0 ? AF_INET : strcmp(words[0], "TCP6") == 0 ? AF_INET6 : AF_UNSPEC;
    out->has_source = true;
    return family != AF_UNSPEC && parse_tcp(family, words[1], words[2], words[3], words[4], &out->source);
}

static int parse_v1(const uint8_t *data, size_t size, struct proxy_header *out)
{
    const size_t start = sizeof V1_START - 1;
    size_t look = size < V1_LINE_MAX ? size : V1_LINE_MAX;
    const uint8_t *end = memchr(data, '\n', look);
    char line[V1_LINE_MAX + 1];
    if (end == NULL) {
        return size < V1_LINE_MAX ? PROXY_MORE : PROXY_BAD;
    }
    size_t length = (size_t)(end - data) + 1;
    if (length < start + 2 || data[length - 2] != '\r' || memchr(data, '\0', length) != NULL) {
        return PROXY_BAD;
    }
    memcpy(line, data + start, length - start - 2);
    line[length - start - 2] = '\0';
    return parse_line(line, out) ? (int)length : PROXY_BAD;
}

/* ---- version 2: binary ------------------------------------------------------------------------------------------- */

static unsigned read_u16(const uint8_t *data)
{
    return (unsigned)data[0] << 8 | data[1];
}

/* Type, length, value, until exactly the end. We need none of them, but a header that lies about its own shape is not
 * to be believed about the client. */
static bool are_tlvs_whole(const uint8_t *data, size_t size)
{
    while (size > 0) {
        if (size < 3 || size - 3 < read_u16(data + 1)) {
            return false;
        }
        size_t step = 3 + (size_t)read_u16(data + 1);
        data += step;
        size -= step;
    }
    return true;
}

static bool parse_addresses(unsigned family, const uint8_t *body, size_t size, struct proxy_header *out)
{
    static const size_t lengths[] = {
        [V2_UNSPECIFIED] = 0, [V2_INET] = V2_INET_BYTES, [V2_INET6] = V2_INET6_BYTES, [V2_UNIX] = V2_UNIX_BYTES};
    if (family > V2_UNIX || size < lengths[family] || !are_tlvs_whole(body + lengths[family], size - lengths[family])) {
        return false;
    }
    out->has_source = family == V2_INET || family == V2_INET6;
    if (family == V2_INET) {
        net_set_v4(&out->source, body, (uint16_t)read_u16(body + 8));
    } else if (family == V2_INET6) {
        net_set_v6(&out->source, body, (uint16_t)read_u16(body + 32));
    }
    return true;
}

static int parse_v2(const uint8_t *data, size_t size, struct proxy_header *out)
{
    if (size < V2_FIXED_BYTES) {
        return PROXY_MORE;
    }
    unsigned version = data[12] >> 4, command = data[12] & 15U, family = data[13] >> 4, transport = data[13] & 15U;
    size_t length = V2_FIXED_BYTES + read_u16(data + 14);
    if (version != 2 || command > V2_PROXY || length > PROXY_HEADER_MAX) {
        return PROXY_BAD;
    }
    if (size < length) {
        return PROXY_MORE;
    }
    out->has_source = false;
    if (command == V2_LOCAL) {
        return (int)length; /* whatever stands in it is to be skipped */
    }
    if (transport != V2_STREAM && family != V2_UNSPECIFIED) {
        return PROXY_BAD;
    }
    return parse_addresses(family, data + V2_FIXED_BYTES, length - V2_FIXED_BYTES, out) ? (int)length : PROXY_BAD;
}

static bool begins_like(const uint8_t *data, size_t size, const void *start, size_t start_size)
{
    return memcmp(data, start, size < start_size ? size : start_size) == 0;
}

int proxy_header_parse(const uint8_t *data, size_t size, struct proxy_header *out)
{
    if (size == 0) {
        return PROXY_MORE;
    }
    if (begins_like(data, size, v2_signature, sizeof v2_signature)) {
        return parse_v2(data, size, out);
    }
    if (begins_like(data, size, V1_START, sizeof V1_START - 1)) {
        return parse_v1(data, size, out);
    }
    return PROXY_BAD;
}
