/* Tests of the room of net.h. Loopback only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sshecho/net.h"

static struct net_address parse(const char *text, bool resolve)
{
    struct net_address address;
    char error[256] = "";
    if (net_parse(text, 2222, resolve, &address, error, sizeof error) != 0)
        fail_msg("%s: %s", text, error);
    return address;
}

static void addresses_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *printed;
    } cases[] = {
        {"127.0.0.1:22", "127.0.0.1:22"},
        {"127.0.0.1", "127.0.0.1:2222"},
        {"127.0.0.1:0", "127.0.0.1:0"},
        {":8022", "0.0.0.0:8022"},
        {"[::1]:65535", "[::1]:65535"},
        {"[::1]", "[::1]:2222"},
        {"::1", "[::1]:2222"},
        {"::", "[::]:2222"},
        {"[2001:DB8::0:5]:1", "[2001:db8::5]:1"},
        {"[fe80::1%lo]:22", "[fe80::1%lo]:22"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int resolve = 0; resolve < 2; resolve++) {
            char text[NET_ADDRESS_TEXT_MAX];
            struct net_address address = parse(cases[i].text, resolve != 0);
            assert_string_equal(net_print(&address, text, sizeof text), cases[i].printed);
        }
    }
}

static void names_are_resolved_when_asked(void **state)
{
    (void)state;
    struct net_address address = parse("localhost:22", true);
    assert_true(net_is_loopback(&address));
    assert_int_equal(net_port(&address), 22);
    char error[256] = "";
    assert_int_equal(net_parse("localhost:22", 1, false, &address, error, sizeof error), -1);
    assert_non_null(strstr(error, "localhost"));
}

static void bad_addresses_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",           "2222",           "1.2.3",        "1.2.3.4.5:2",
                                        "1.2.3.4:",   "1.2.3.4:65536",  "1.2.3.4:x",    "[::1",
                                        "[]:22",      "[::1]22",        "[::1]:",       "1.2.3.4:-1",
                                        "[zz::]:1",   "::1::2",         "1.2.3.4:+5",   "1.2.3.4: 5",
                                        "127.1:2222", "1.2.3.4:000022", "no such name", ":",
                                        "[1.2.3.4",   "[::1]:22:22"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct net_address address;
        char error[256] = "";
        if (net_parse(texts[i], 2222, false, &address, error, sizeof error) != -1)
            fail_msg("'%s' was accepted", texts[i]);
        assert_non_null(strstr(error, texts[i][0] == '\0' ? "''" : texts[i]));
    }
    char longest[400];
    char error[16];
    struct net_address address;
    (void)memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(net_parse(longest, 1, true, &address, error, sizeof error), -1);
    assert_true(strlen(error) < sizeof error);
}

static void loopback_is_recognized(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool loopback;
    } cases[] = {
        {"127.0.0.1", true},
        {"127.255.3.4", true},
        {"128.0.0.1", false},
        {"0.0.0.0", false},
        {"::1", true},
        {"::ffff:127.0.0.1", true},
        {"::ffff:10.0.0.1", false},
        {"::", false},
        {":22", false},
        {"::2", false},
        {"2001:db8::1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct net_address address = parse(cases[i].text, false);
        assert_int_equal(net_is_loopback(&address), cases[i].loopback);
    }
    struct net_address none;
    char text[NET_ADDRESS_TEXT_MAX];
    (void)memset(&none, 0, sizeof none);
    assert_false(net_is_loopback(&none));
    assert_int_equal(net_port(&none), 0);
    assert_string_equal(net_print(&none, text, sizeof text), "unknown");
}

static void check_flags(int fd)
{
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static int option_value(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &length), 0);
    return value;
}

static void wait_for(int fd, short events)
{
    struct pollfd entry = {.fd = fd, .events = events};
    assert_int_equal(poll(&entry, 1, 5000), 1);
}

static void talk_over(const char *listen_text, const char *local_text)
{
    struct net_address address = parse(listen_text, false);
    struct net_address local;
    int listener = net_listen(&address, 16);
    assert_true(listener >= 0);
    check_flags(listener);
    assert_int_equal(option_value(listener, SOL_SOCKET, SO_REUSEADDR), 1);
    assert_int_equal(net_local_address(listener, &address), 0);
    assert_int_not_equal(net_port(&address), 0);

    if (local_text)
        local = parse(local_text, false);
    int client = net_connect(&address, local_text ? &local : NULL);
    assert_true(client >= 0);
    check_flags(client);
    assert_int_equal(option_value(client, IPPROTO_TCP, TCP_NODELAY), 1);
    wait_for(client, POLLOUT);
    assert_int_equal(net_connect_error(client), 0);
    wait_for(listener, POLLIN);
    struct net_address peer = {.length = sizeof peer.storage};
    int server = accept(listener, (struct sockaddr *)&peer.storage, &peer.length);
    assert_true(server >= 0);
    if (local_text) {
        char text[NET_ADDRESS_TEXT_MAX];
        (void)net_print(&peer, text, sizeof text);
        assert_memory_equal(text, local_text, strlen(local_text) - 1); /* all but the port "0" */
    }
    assert_int_equal(write(client, "hi", 2), 2);
    wait_for(server, POLLIN);
    char bytes[2];
    assert_int_equal(read(server, bytes, 2), 2);
    (void)close(server);
    (void)close(client);
    (void)close(listener);
}

static bool kernel_is_old; /* it knows no IP_BIND_ADDRESS_NO_PORT */

/* In libc's place. */
int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    if (kernel_is_old && level == IPPROTO_IP && name == IP_BIND_ADDRESS_NO_PORT) {
        errno = ENOPROTOOPT;
        return -1;
    }
    return (int)syscall(SYS_setsockopt, fd, level, name, value, length);
}

static void a_connection_where_the_kernel_is_old(void **state)
{
    (void)state;
    kernel_is_old = true;
    talk_over("127.0.0.1:0", "127.0.0.9:0");
    kernel_is_old = false;
}

static void a_connection_over_ipv4(void **state)
{
    (void)state;
    talk_over("127.0.0.1:0", NULL);
    talk_over("127.0.0.1:0", "127.0.0.7:0");
}

static void a_connection_over_ipv6(void **state)
{
    (void)state;
    struct net_address address = parse("[::1]:0", false);
    int probe = net_listen(&address, 1);
    if (probe < 0) {
        assert_true(errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT);
        skip(); /* no IPv6 on this machine */
    }
    assert_int_equal(option_value(probe, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    (void)close(probe);
    talk_over("[::1]:0", NULL);
    talk_over("[::1]:0", "[::1]:0");
}

static void failures_are_told(void **state)
{
    (void)state;
    struct net_address address = parse("127.0.0.1:0", false);
    int listener = net_listen(&address, 1);
    assert_true(listener >= 0);
    assert_int_equal(net_local_address(listener, &address), 0);
    assert_int_equal(net_listen(&address, 1), -1);
    assert_int_equal(errno, EADDRINUSE);
    (void)close(listener);

    int client = net_connect(&address, NULL); /* nobody listens any more */
    if (client >= 0) {
        wait_for(client, POLLOUT);
        assert_int_equal(net_connect_error(client), ECONNREFUSED);
        (void)close(client);
    } else {
        assert_int_equal(errno, ECONNREFUSED);
    }
    struct net_address foreign = parse("192.0.2.1:0", false); /* RFC 5737: nobody has it */
    assert_int_equal(net_listen(&foreign, 1), -1);
    assert_int_equal(errno, EADDRNOTAVAIL);
    assert_int_equal(net_connect(&address, &foreign), -1);
    assert_int_equal(errno, EADDRNOTAVAIL);
    assert_int_equal(net_connect_error(-1), EBADF);
}

static void the_fd_limit_is_raised(void **state)
{
    (void)state;
    struct rlimit before;
    struct rlimit after;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit low = {.rlim_cur = 32, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(net_raise_fd_limit(), before.rlim_max);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_int_equal(after.rlim_cur, before.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void assert_source(const struct net_sources *sources, uint64_t number, const char *expected)
{
    struct net_address address;
    char text[NET_ADDRESS_TEXT_MAX];
    assert_true(net_sources_at(sources, number, &address));
    assert_string_equal(net_print(&address, text, sizeof text), expected);
}

static void sources_take_turns(void **state)
{
    (void)state;
    struct net_sources sources = {0};
    struct net_address address;
    char error[256];
    assert_false(net_sources_at(&sources, 0, &address));
    assert_int_equal(net_sources_add(&sources, "127.0.0.77/23", error, sizeof error), 0);
    assert_int_equal(sources.addresses, 510);
    assert_source(&sources, 0, "127.0.0.1:0");
    assert_source(&sources, 255, "127.0.1.0:0"); /* a carry */
    assert_source(&sources, 509, "127.0.1.254:0");
    assert_source(&sources, 510, "127.0.0.1:0");
    assert_int_equal(net_sources_add(&sources, "127.1.0.7", error, sizeof error), 0);
    assert_int_equal(net_sources_add(&sources, "127.2.0.8/31", error, sizeof error), 0);
    assert_int_equal(net_sources_add(&sources, "127.3.0.9/32", error, sizeof error), 0);
    assert_source(&sources, 510, "127.1.0.7:0");
    assert_source(&sources, 511, "127.2.0.8:0");
    assert_source(&sources, 512, "127.2.0.9:0");
    assert_source(&sources, 513, "127.3.0.9:0");
    assert_source(&sources, 514, "127.0.0.1:0");
    net_sources_free(&sources);
    assert_int_equal(net_sources_add(&sources, "2001:db8:0:ff::ffff/112", error, sizeof error), 0);
    assert_int_equal(sources.addresses, 65535);
    assert_source(&sources, 0, "[2001:db8:0:ff::1]:0");
    assert_source(&sources, 65534, "[2001:db8:0:ff::ffff]:0");
    net_sources_free(&sources);
    assert_int_equal(net_sources_add(&sources, "2001:db8::/32", error, sizeof error), 0);
    assert_int_equal(sources.addresses, UINT32_MAX);
    assert_source(&sources, 65536, "[2001:db8::1:1]:0");
    const char *bad[] = {"127.0.0.0/33", "127.0.0/24", "localhost/8", "127.0.0.1/", "/8", "::/129"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(net_sources_add(&sources, bad[i], error, sizeof error), -1);
        assert_non_null(strstr(error, "is not a range"));
    }
    assert_int_equal(sources.count, 1);
    net_sources_free(&sources);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read),        cmocka_unit_test(names_are_resolved_when_asked),
        cmocka_unit_test(bad_addresses_are_refused), cmocka_unit_test(loopback_is_recognized),
        cmocka_unit_test(a_connection_over_ipv4),    cmocka_unit_test(a_connection_over_ipv6),
        cmocka_unit_test(failures_are_told),         cmocka_unit_test(the_fd_limit_is_raised),
        cmocka_unit_test(sources_take_turns),        cmocka_unit_test(a_connection_where_the_kernel_is_old),
    };
    return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
