/* What is said when client and server have no algorithm in common. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "load/connection/disagreement.h"

static void libssh_is_put_into_words(void **state)
{
    (void)state;
    char text[512];
    assert_true(
        disagreement_explain("kex error : no match for method mac algo client->server: server [hmac-sha1], client "
                             "[hmac-sha2-256,hmac-sha2-512]",
                             text, sizeof text));
    assert_string_equal(text, "nothing in common for mac algo client->server: the server offers hmac-sha1, we "
                              "hmac-sha2-256,hmac-sha2-512; see --macs");
    assert_false(disagreement_explain("Socket error: disconnected", text, sizeof text));
    assert_false(disagreement_explain("no match for method kex algos: server [a", text, sizeof text));
}

static void long_offers_leave_room_for_the_option(void **state)
{
    (void)state;
    char offer[2001], said[4200], text[512];
    memset(offer, 'a', 2000);
    offer[2000] = '\0';
    (void)snprintf(said, sizeof said, "no match for method kex algos: server [%s], client [%s]", offer, offer);
    assert_true(disagreement_explain(said, text, sizeof text));
    assert_non_null(strstr(text, "...; see --kex"));
}

/* A version line and a KEXINIT whose lists are a, b, c, ... */
static void feed(struct kexinit *kexinit, const char *lists[10])
{
    uint8_t packet[600] = {0};
    size_t at = 5;
    packet[at] = 20;
    at += 17;
    for (int i = 0; i < 10; i++) {
        size_t n = strlen(lists[i]);
        packet[at + 3] = (uint8_t)n;
        memcpy(packet + at + 4, lists[i], n);
        at += 4 + n;
    }
    at += 5;
    size_t padding = 8 - at % 8 + 8;
    packet[4] = (uint8_t)padding;
    at += padding;
    packet[2] = (uint8_t)((at - 4) >> 8);
    packet[3] = (uint8_t)(at - 4);
    static const char line[] = "SSH-2.0-test\r\n";
    (void)kexinit_feed(kexinit, (const uint8_t *)line, sizeof line - 1);
    assert_int_equal(kexinit_feed(kexinit, packet, at), KEXINIT_COMPLETE);
}

static void what_libssh_forgot_is_found(void **state)
{
    (void)state;
    const char *lists[10] = {"kex1", "key1", "aes1", "aes2", "mac1", "mac1", "none", "none", "", ""};
    struct kexinit server = {0};
    char text[512];
    const struct disagreement_ours agreed = {.ciphers = "aes2,aes1", .macs = "mac1", .compression = "none"};
    const struct disagreement_ours other = {.ciphers = "aes1"};
    assert_false(disagreement_find(&server, &other, text, sizeof text)); /* nothing has come */
    feed(&server, lists);
    assert_false(disagreement_find(&server, &agreed, text, sizeof text));
    assert_true(disagreement_find(&server, &other, text, sizeof text));
    assert_string_equal(
        text, "nothing in common for encryption server->client: the server offers aes2, we aes1; see --ciphers");
    kexinit_end(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libssh_is_put_into_words),
        cmocka_unit_test(long_offers_leave_room_for_the_option),
        cmocka_unit_test(what_libssh_forgot_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
