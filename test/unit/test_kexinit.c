/* The clear-text beginning of a stream, in pieces of any size; lists that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sshecho/kexinit.h"

static size_t put_text(uint8_t *out, const char *text)
{
    size_t length = strlen(text);
    out[0] = out[1] = 0;
    out[2] = (uint8_t)(length >> 8);
    out[3] = (uint8_t)length;
    memcpy(out + 4, text, length);
    return length + 4;
}

/* A version line and a KEXINIT whose lists are "list0" to "list9". */
static size_t make(uint8_t *out)
{
    static const char line[] = "SSH-2.0-test\r\n";
    size_t size = sizeof line - 1;
    memcpy(out, line, size);
    uint8_t *packet = out + size;
    memset(packet, 7, 22);
    packet[4] = 0;
    packet[5] = 20;
    size_t at = 22;
    for (int i = 0; i < 10; i++) {
        char text[] = "list0,other";
        text[4] = (char)('0' + i);
        at += put_text(packet + at, text);
    }
    at += 5;
    memset(packet, 0, 4);
    packet[2] = (uint8_t)((at - 4) >> 8);
    packet[3] = (uint8_t)(at - 4);
    return size + at;
}

static void test_any_pieces(void **state)
{
    (void)state;
    uint8_t stream[1024];
    size_t size = make(stream);
    for (size_t piece = 1; piece <= size; piece += 3) {
        struct kexinit kexinit = {0};
        struct kexinit_text list;
        for (size_t at = 0; at < size; at += piece) {
            assert_int_equal(kexinit.state, KEXINIT_MORE);
            (void)kexinit_feed(&kexinit, stream + at, size - at < piece ? size - at : piece);
        }
        assert_int_equal(kexinit.state, KEXINIT_COMPLETE);
        assert_int_equal(kexinit.line_bytes, 14);
        assert_true(kexinit_list(&kexinit, KEXINIT_CIPHER_SERVER, &list));
        assert_int_equal(list.length, 11);
        assert_memory_equal(list.start, "list3,other", 11);
        kexinit_end(&kexinit);
    }
}

static void test_something_else(void **state)
{
    (void)state;
    uint8_t stream[1024];
    size_t size = make(stream);
    struct kexinit kexinit = {0};
    stream[14 + 5] = 30;
    assert_int_equal(kexinit_feed(&kexinit, stream, size), KEXINIT_NONE);
    kexinit_end(&kexinit);
    kexinit = (struct kexinit){0};
    memset(stream, 'x', sizeof stream);
    assert_int_equal(kexinit_feed(&kexinit, stream, sizeof stream), KEXINIT_NONE);
    kexinit_end(&kexinit);
}

static void test_a_list_longer_than_its_message(void **state)
{
    (void)state;
    uint8_t stream[1024];
    size_t size = make(stream);
    struct kexinit kexinit = {0};
    struct kexinit_text list;
    memset(stream + 14 + 22, 0xff, 4);
    assert_int_equal(kexinit_feed(&kexinit, stream, size), KEXINIT_COMPLETE);
    assert_false(kexinit_list(&kexinit, KEXINIT_KEX, &list));
    assert_false(kexinit_list(&kexinit, KEXINIT_CIPHER_CLIENT, &list));
    kexinit_end(&kexinit);
}

static struct kexinit_text common(const char *wanted, const char *offered)
{
    return kexinit_first_common((struct kexinit_text){wanted, strlen(wanted)},
                                (struct kexinit_text){offered, strlen(offered)});
}

static void test_the_clients_order_decides(void **state)
{
    (void)state;
    struct kexinit_text name = common("a,bb,ccc", "ccc,bb");
    assert_int_equal(name.length, 2);
    assert_memory_equal(name.start, "bb", 2);
    assert_int_equal(common("a,b", "ab,c").length, 0);
    assert_int_equal(common("", "a").length, 0);
    assert_int_equal(common(",,", "a,,").length, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_pieces),
        cmocka_unit_test(test_something_else),
        cmocka_unit_test(test_a_list_longer_than_its_message),
        cmocka_unit_test(test_the_clients_order_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
