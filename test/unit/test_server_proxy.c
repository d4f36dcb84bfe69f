/* Tests of the room of proxy_header.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "server/entry/proxy_header.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2(command, family, length) SIGNATURE command family length
#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1

static const char *source_of(const struct proxy_header *header)
{
    static char text[NET_ADDRESS_TEXT_MAX];
    return header->has_source ? net_print(&header->source, text, sizeof text) : "none";
}

static void assert_source(const uint8_t *data, size_t size, int length, const char *source)
{
    struct proxy_header header = {0};
    assert_int_equal(proxy_header_parse(data, size, &header), length);
    assert_string_equal(source_of(&header), source);
}

/* Every shorter piece asks for more, and what follows the header is left alone. */
static void assert_whole(const uint8_t *data, size_t size, const char *source)
{
    uint8_t longer[PROXY_HEADER_MAX];
    struct proxy_header header;
    for (size_t part = 0; part < size; part++) {
        assert_int_equal(proxy_header_parse(data, part, &header), PROXY_MORE);
    }
    assert_source(data, size, (int)size, source);
    memcpy(longer, data, size);
    memcpy(longer + size, "SSH-2.0-x\r\n", 11);
    assert_source(longer, size + 11, (int)size, source);
}

static void assert_bad(const uint8_t *data, size_t size)
{
    struct proxy_header header;
    assert_int_equal(proxy_header_parse(data, size, &header), PROXY_BAD);
}

static void version_1_lines(void **state)
{
    (void)state;
    assert_whole(BYTES("PROXY TCP4 192.0.2.7 198.51.100.1 56324 22\r\n"), "192.0.2.7:56324");
    assert_whole(BYTES("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n"), "[2001:db8::1]:65535");
    assert_whole(BYTES("PROXY UNKNOWN\r\n"), "none");
    assert_whole(BYTES("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"), "none");
    /* the longest there is: 107 bytes */
    assert_whole(
        BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe 65535 "
              "65535\r\n"),
        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

static void version_1_refused(void **state)
{
    (void)state;
    assert_bad(BYTES("SSH-2.0-OpenSSH_9.2\r\n"));
    assert_bad(BYTES("proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n"));
    assert_bad(BYTES("PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n"));
    assert_bad(BYTES("PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n"));
    assert_bad(BYTES("PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n"));
    assert_bad(BYTES("PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n"));
    assert_bad(BYTES("PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n"));
    assert_bad(BYTES("PROXY TCP4 192.0.2.7 198.51.100.1 -1 2\r\n"));
    assert_bad(BYTES("PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n"));
    assert_bad(BYTES("PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n"));
    assert_bad(BYTES("PROXY TCP4 2001:db8::1 ::1 1 2\r\n"));
    assert_bad(BYTES("PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n"));
    assert_bad(BYTES("PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n"));
    assert_bad(BYTES("PROXY UNKNOWNS\r\n"));
    assert_bad(BYTES("PROXY TCP4 192.0.2.7\0 198.51.100.1 1 2\r\n"));
    assert_bad(BYTES("PROXY \r\n"));
    assert_bad(BYTES("PROXY \n"));
}

static void version_1_too_long(void **state)
{
    (void)state;
    uint8_t line[200] = "PROXY UNKNOWN ";
    memset(line + 14, 'x', sizeof line - 14);
    struct proxy_header header;
    assert_int_equal(proxy_header_parse(line, 106, &header), PROXY_MORE);
    assert_bad(line, 107);
    assert_bad(line, sizeof line);
}

static void version_2_headers(void **state)
{
    (void)state;
    assert_whole(BYTES(V2("\x21", "\x11", "\0\x0c") "\xc0\0\2\7\xc6\x33\x64\1\xdc\4\0\x16"), "192.0.2.7:56324");
    assert_whole(BYTES(V2("\x21", "\x21", "\0\x24") "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
                                                    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\xff\xff\0\x16"),
                 "[2001:db8::1]:65535");
    /* with what HAProxy adds: a unique id (type 5) and an empty one (4) */
    assert_whole(BYTES(V2("\x21", "\x11", "\0\x15") "\xc0\0\2\7\xc6\x33\x64\1\xdc\4\0\x16"
                                                    "\5\0\3abc\4\0\0"),
                 "192.0.2.7:56324");
    assert_whole(BYTES(V2("\x20", "\0", "\0\0")), "none");
    assert_whole(BYTES(V2("\x20", "\x11", "\0\x0c") "\xc0\0\2\7\xc6\x33\x64\1\xdc\4\0\x16"), "none");
    assert_whole(BYTES(V2("\x20", "\0", "\0\2") "zz"), "none"); /* LOCAL: the body is skipped, whatever it is */
    assert_whole(BYTES(V2("\x21", "\0", "\0\0")), "none");
}

static void version_2_unix(void **state)
{
    (void)state;
    uint8_t header[16 + 216] = V2("\x21", "\x31", "\0\xd8");
    assert_whole(header, sizeof header, "none");
}

static void version_2_refused(void **state)
{
    (void)state;
    assert_bad(BYTES(V2("\x11", "\x11", "\0\x0c") "\xc0\0\2\7\xc6\x33\x64\1\xdc\4\0\x16")); /* version 1 in binary */
    assert_bad(BYTES(V2("\x22", "\x11", "\0\x0c") "\xc0\0\2\7\xc6\x33\x64\1\xdc\4\0\x16")); /* command 2 */
    assert_bad(BYTES(V2("\x21", "\x12", "\0\x0c") "\xc0\0\2\7\xc6\x33\x64\1\xdc\4\0\x16")); /* datagrams */
    assert_bad(BYTES(V2("\x21", "\x41", "\0\x0c") "\xc0\0\2\7\xc6\x33\x64\1\xdc\4\0\x16")); /* family 4 */
    assert_bad(BYTES(V2("\x21", "\x11", "\0\x0b") "\xc0\0\2\7\xc6\x33\x64\1\xdc\4\0"));     /* addresses cut off */
    assert_bad(BYTES(V2("\x21", "\x21", "\0\x0c") "\xc0\0\2\7\xc6\x33\x64\1\xdc\4\0\x16")); /* IPv4's in IPv6's place */
    assert_bad(BYTES(V2("\x21", "\x11", "\0\x10") "\xc0\0\2\7\xc6\x33\x64\1\xdc\4\0\x16"
                                                  "\5\0\2z")); /* TLV longer than what is left */
    assert_bad(BYTES(V2("\x21", "\x11", "\0\x0e") "\xc0\0\2\7\xc6\x33\x64\1\xdc\4\0\x16\5\0"));
    assert_bad(BYTES(V2("\x21", "\x11", "\xff\xff")));       /* longer than we read */
    assert_bad(BYTES("\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c")); /* signature off by one byte */
}

static struct net_address address_of(const char *text)
{
    struct net_address address;
    char error[160];
    assert_int_equal(net_parse(text, 1, false, &address, error, sizeof error), 0);
    return address;
}

static bool contains(const char *network, const char *address)
{
    struct net_range parsed;
    struct net_address parsed_address = address_of(address);
    assert_true(net_range_parse(network, &parsed));
    return net_range_contains(&parsed, &parsed_address);
}

static void networks_contain_addresses(void **state)
{
    (void)state;
    assert_true(contains("10.0.0.0/8", "10.255.1.2:1"));
    assert_false(contains("10.0.0.0/8", "11.0.0.0:1"));
    assert_true(contains("192.0.2.7", "192.0.2.7:1"));
    assert_false(contains("192.0.2.7", "192.0.2.6:1"));
    assert_true(contains("192.0.2.128/25", "192.0.2.129:1"));
    assert_false(contains("192.0.2.128/25", "192.0.2.127:1"));
    assert_true(contains("0.0.0.0/0", "203.0.113.1:1"));
    assert_false(contains("0.0.0.0/0", "[2001:db8::1]:1"));
    assert_true(contains("2001:db8::/33", "[2001:db8:7fff::1]:1"));
    assert_false(contains("2001:db8::/33", "[2001:db8:8000::1]:1"));
    assert_true(contains("10.0.0.0/8", "[::ffff:10.1.2.3]:1"));
    assert_false(contains("::/0", "[::ffff:10.1.2.3]:1"));
}

static void networks_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "10.0.0.0/",
                                      "10.0.0.0/33",
                                      "10.0.0.0/-1",
                                      "10.0.0.0/8 ",
                                      "10/8",
                                      "::/129",
                                      "localhost",
                                      "10.0.0.0/8/8",
                                      "10.0.0.0/0x8",
                                      "[::1]",
                                      "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc/1"};
    struct net_range network;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (net_range_parse(bad[i], &network)) {
            fail_msg("\"%s\" was taken for a network", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1_lines),
        cmocka_unit_test(version_1_refused),
        cmocka_unit_test(version_1_too_long),
        cmocka_unit_test(version_2_headers),
        cmocka_unit_test(version_2_unix),
        cmocka_unit_test(version_2_refused),
        cmocka_unit_test(networks_contain_addresses),
        cmocka_unit_test(networks_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
