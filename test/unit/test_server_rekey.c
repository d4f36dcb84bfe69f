/* Tests of the room of rekey.h: whose a key re-exchange is, and how many a client may cause. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/session/rekey.h"

#define S(seconds) ((uint64_t)(seconds)*1000000U)
#define MIB ((uint64_t)1024 * 1024)

static struct rekey exchanges(uint64_t limit_bytes, uint64_t interval_us, uint64_t rate, mono_time *now)
{
    struct config config = {.rekey_bytes = limit_bytes, .rekey_interval_us = interval_us, .client_rekey_rate = rate};
    struct rekey rekey;
    rekey_init(&rekey, &config, mono_now());
    *now = mono_now();
    rekey_first_keys(&rekey, 1000, 1000, *now);
    return rekey;
}

static void test_rate_is_per_minute(void **state)
{
    (void)state;
    mono_time now;
    struct rekey rekey = exchanges(512 * MIB, 0, 3, &now);
    for (int i = 0; i < 3; i++) {
        assert_true(rekey_done(&rekey, 2000, 2000, now));
    }
    now = mono_add_us(now, 10 * US_PER_S);
    assert_false(rekey_done(&rekey, 2000, 2000, now));
    now = mono_add_us(now, 15 * US_PER_S);
    assert_true(rekey_done(&rekey, 2000, 2000, now)); /* one each 20 s */
    assert_int_equal(rekey.count, 5);
}

static void test_ours_are_not_the_clients(void **state)
{
    (void)state;
    mono_time now;
    uint64_t out = 1000;
    struct rekey rekey = exchanges(MIB, 0, 1, &now);
    for (int i = 0; i < 100; i++) {
        out += MIB;
        assert_true(rekey_done(&rekey, 1000, out, now));
    }
    rekey = exchanges(MIB, S(60), 1, &now);
    for (int i = 0; i < 100; i++) {
        now = mono_add_us(now, 60 * US_PER_S);
        assert_true(rekey_done(&rekey, 1000, 1000, now));
    }
    rekey = exchanges(0, 0, 1, &now); /* off: the cipher's own limit */
    rekey_every(&rekey, 65536);
    for (int i = 0; i < 100; i++) {
        out += 65536;
        assert_true(rekey_done(&rekey, 1000, out, now));
    }
}

static void test_clients_are(void **state)
{
    (void)state;
    mono_time now;
    struct rekey rekey = exchanges(MIB, S(60), 1, &now);
    assert_true(rekey_done(&rekey, MIB / 2, MIB / 2, now));
    assert_false(rekey_done(&rekey, MIB, MIB, now));
}

/* What waited for the exchange is sent under the new keys before the client's NEWKEYS has come: libssh counts it there.
 */
static void test_bytes_sent_during_one_count_under_the_next_keys(void **state)
{
    (void)state;
    mono_time now;
    struct rekey rekey = exchanges(MIB, 0, 1, &now);
    uint64_t out = 1000 + MIB;
    for (int i = 0; i < 100; i++) {
        rekey_begins(&rekey, 1000, out, now);
        assert_true(rekey_done(&rekey, 1000, out + MIB / 2, now));
        assert_true(rekey.ours);
        assert_int_equal(rekey.bytes_out, MIB);
        out += MIB;
    }
    /* and they do not make one of the client's ours */
    rekey_begins(&rekey, 1000, out - MIB / 2, now);
    assert_true(rekey_done(&rekey, 1000, out + MIB, now));
    assert_false(rekey.ours);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_is_per_minute),
        cmocka_unit_test(test_ours_are_not_the_clients),
        cmocka_unit_test(test_clients_are),
        cmocka_unit_test(test_bytes_sent_during_one_count_under_the_next_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
