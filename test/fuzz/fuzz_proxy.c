/* Fuzzes proxy_header.h: any bytes. What is accepted must be accepted for the same reason however it arrives. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/entry/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_header(const uint8_t *data, size_t size)
{
    struct proxy_header whole = {0}, part = {0};
    int length = proxy_header_parse(data, size, &whole);
    if (length < PROXY_BAD || (length > 0 && (size_t)length > size) || length > PROXY_HEADER_MAX) {
        abort();
    }
    if (length == PROXY_MORE && size >= PROXY_HEADER_MAX) {
        abort(); /* it would wait for ever */
    }
    for (size_t i = 0; length > 0 && i < (size_t)length; i++) {
        if (proxy_header_parse(data, i, &part) != PROXY_MORE) {
            abort(); /* decided differently on less */
        }
    }
    if (length > 0 &&
        (proxy_header_parse(data, (size_t)length, &part) != length || part.has_source != whole.has_source)) {
        abort();
    }
}

static void check_network(const uint8_t *data, size_t size)
{
    struct net_range network;
    char *text = malloc(size + 1);
    if (text == NULL) {
        return;
    }
    if (size > 0) {
        (void)memcpy(text, data, size);
    }
    text[size] = '\0';
    if (net_range_parse(text, &network)) {
        struct net_address address = {.length = sizeof(struct sockaddr_in6)};
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address.storage;
        struct sockaddr_in *v4 = (struct sockaddr_in *)&address.storage;
        address.storage.ss_family = (sa_family_t)network.family;
        if (network.family == AF_INET6) {
            (void)memcpy(&v6->sin6_addr, network.bytes, sizeof v6->sin6_addr);
        } else {
            (void)memcpy(&v4->sin_addr, network.bytes, sizeof v4->sin_addr);
        }
        bool mapped = network.family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
        if (!mapped && !net_range_contains(&network, &address)) {
            abort(); /* a network holds its own first address */
        }
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t start[13] = "\r\n\r\n\0\r\nQUIT\n\x21";
    uint8_t *binary = malloc(sizeof start + size);
    check_header(data, size);
    check_network(data, size);
    if (binary != NULL) { /* save the fuzzer the search for the signature */
        (void)memcpy(binary, start, sizeof start);
        if (size > 0) {
            (void)memcpy(binary + sizeof start, data, size);
        }
        check_header(binary, sizeof start + size);
        free(binary);
    }
    return 0;
}
