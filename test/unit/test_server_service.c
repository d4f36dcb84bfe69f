/* Tests of the rooms of service.h and misbehave.h: what words mean, and when bytes may pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/channel/service.h"
#include "sshecho/version.h"

static enum service_kind kind_of(const char *words, bool may_misbehave)
{
    struct service service;
    assert_int_equal(service_parse(words, may_misbehave, &service), 0);
    enum service_kind kind = service.kind;
    service_free(&service);
    return kind;
}

static void test_words(void **state)
{
    (void)state;
    assert_int_equal(kind_of(NULL, true), SERVICE_ECHO);
    assert_int_equal(kind_of("", true), SERVICE_ECHO);
    assert_int_equal(kind_of("cat", true), SERVICE_ECHO);
    assert_int_equal(kind_of("echo hello", true), SERVICE_ECHO);
    assert_int_equal(kind_of("discard", true), SERVICE_DISCARD);
    assert_int_equal(kind_of("  discard ", true), SERVICE_DISCARD);
    assert_int_equal(kind_of("discard more", true), SERVICE_ECHO);
    assert_int_equal(kind_of("discarded", true), SERVICE_ECHO);
    assert_int_equal(kind_of("chargen", true), SERVICE_CHARGEN);
    assert_int_equal(kind_of("chargen 10M", true), SERVICE_CHARGEN);
    assert_int_equal(kind_of("chargen ten", true), SERVICE_COMPLAIN);
    assert_int_equal(kind_of("stall fo=1s", true), SERVICE_COMPLAIN);
    assert_int_equal(kind_of("stall fo=1s", false), SERVICE_ECHO);
    assert_int_equal(kind_of("report", false), SERVICE_REPORT);
    assert_int_equal(kind_of("report text", false), SERVICE_REPORT);
    assert_int_equal(kind_of("report of what", false), SERVICE_ECHO);
    assert_int_equal(kind_of("terminal", false), SERVICE_TERMINAL);
    assert_int_equal(kind_of("terminals", false), SERVICE_ECHO);
}

static void test_chargen_amount(void **state)
{
    (void)state;
    struct service service;
    assert_int_equal(service_parse("chargen 1K", true, &service), 0);
    assert_int_equal(service.left_bytes, 1024);
    service_free(&service);
    assert_int_equal(service_parse("chargen", true, &service), 0);
    assert_true(service.left_bytes == UINT64_MAX);
    service_free(&service);
}

static void test_chargen_pattern(void **state)
{
    (void)state;
    const uint64_t line = 74;
    assert_memory_equal(service_chargen_at(0), " !\"#$%&'()", 10);
    assert_memory_equal(service_chargen_at(72), "\r\n!\"#", 5);
    assert_memory_equal(service_chargen_at(95 * line), service_chargen_at(0), LIBSSH_PACKET_BYTES);
    for (uint64_t position = 0; position < 95 * line; position += 997) { /* any place reads like the one before it */
        assert_memory_equal(service_chargen_at(position) + 100, service_chargen_at(position + 100),
                            LIBSSH_PACKET_BYTES - 100);
    }
}

static struct misbehaviour parsed(const char *words)
{
    struct misbehaviour wanted;
    char complaint[160] = "";
    assert_true(misbehave_understands(words));
    if (misbehave_parse(words, &wanted, complaint, sizeof complaint) != 0) {
        fail_msg("%s: %s", words, complaint);
    }
    return wanted;
}

static void test_misbehaviour_language(void **state)
{
    (void)state;
    char complaint[160];
    struct misbehaviour wanted = parsed("echo delay=20ms jitter=5ms rate=1M exit status=3 split size=7");
    assert_int_equal(wanted.delay_us, 20000);
    assert_int_equal(wanted.jitter_us, 5000);
    assert_int_equal(wanted.rate_bytes_per_s, 1024 * 1024);
    assert_int_equal(wanted.exit_status, 3);
    assert_int_equal(wanted.split_bytes, 7);
    assert_string_equal(parsed("exit signal=TERM").exit_signal, "TERM");
    assert_true(parsed("refuse").refuse);
    assert_true(parsed("stderr").to_stderr);
    assert_false(misbehave_understands("echo"));
    assert_false(misbehave_understands("echo hello"));
    assert_false(misbehave_understands("exit 3"));
    static const char *const wrong[] = {"echo delay=x",   "exit status=256", "exit signal=sigterm", "stall delay=1s",
                                        "rekey every=10", "drop nonsense",   "echo rate=",          "stderr after=1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        complaint[0] = '\0';
        assert_int_equal(misbehave_parse(wrong[i], &wanted, complaint, sizeof complaint), -1);
        assert_int_equal(complaint[strlen(complaint) - 1], '\n');
    }
}

static enum misbehave_verdict ask(struct misbehaviour *misbehaviour, int64_t at_us, uint64_t want, uint64_t *allowed,
                                  int64_t *wait_us)
{
    return misbehave_limit(misbehaviour, (mono_time){.ns = at_us * NS_PER_US}, want, allowed, wait_us);
}

static void test_delay(void **state)
{
    (void)state;
    uint64_t allowed;
    int64_t wait_us;
    struct misbehaviour wanted = parsed("echo delay=10ms");
    misbehave_arrived(&wanted, 100, (mono_time){.ns = 0});
    misbehave_arrived(&wanted, 50, (mono_time){.ns = 4000 * NS_PER_US});
    assert_int_equal(ask(&wanted, 9000, 150, &allowed, &wait_us), MISBEHAVE_WAIT);
    assert_in_range(wait_us, 1000, 1002);
    assert_int_equal(ask(&wanted, 10001, 150, &allowed, &wait_us), MISBEHAVE_GO);
    assert_int_equal(allowed, 100); /* the second arrival is not due yet */
    misbehave_passed(&wanted, 100);
    assert_int_equal(ask(&wanted, 10001, 50, &allowed, &wait_us), MISBEHAVE_WAIT);
    assert_int_equal(ask(&wanted, 14001, 50, &allowed, &wait_us), MISBEHAVE_GO);
    assert_int_equal(allowed, 50);
}

static void test_more_arrivals_than_marks(void **state)
{
    (void)state;
    uint64_t allowed;
    int64_t wait_us;
    struct misbehaviour wanted = parsed("echo delay=10ms");
    for (int64_t i = 0; i < 10 * MISBEHAVE_MARKS; i++) {
        misbehave_arrived(&wanted, 1, (mono_time){.ns = i * NS_PER_US});
    }
    uint64_t passed = 0;
    for (int64_t at_us = 0; passed < 10 * MISBEHAVE_MARKS; at_us += 100) {
        assert_true(at_us < 100000);
        if (ask(&wanted, at_us, 10 * MISBEHAVE_MARKS - passed, &allowed, &wait_us) == MISBEHAVE_GO) {
            assert_true(at_us >= 10000);
            misbehave_passed(&wanted, allowed);
            passed += allowed;
        }
    }
    assert_int_equal(passed, 10 * MISBEHAVE_MARKS);
}

static void test_stall_and_ends(void **state)
{
    (void)state;
    uint64_t allowed;
    int64_t wait_us;
    struct misbehaviour wanted = parsed("stall after=100 for=1s drop after=150");
    assert_int_equal(ask(&wanted, 0, 1000, &allowed, &wait_us), MISBEHAVE_GO);
    assert_int_equal(allowed, 100);
    misbehave_passed(&wanted, 100);
    assert_int_equal(ask(&wanted, 0, 900, &allowed, &wait_us), MISBEHAVE_WAIT);
    assert_in_range(wait_us, 999999, 1000001);
    assert_int_equal(ask(&wanted, 1000001, 900, &allowed, &wait_us), MISBEHAVE_GO);
    assert_int_equal(allowed, 50);
    misbehave_passed(&wanted, 50);
    assert_int_equal(ask(&wanted, 1000001, 850, &allowed, &wait_us), MISBEHAVE_DROP);

    wanted = parsed("reset after=10");
    misbehave_passed(&wanted, 10);
    assert_int_equal(ask(&wanted, 0, 1, &allowed, &wait_us), MISBEHAVE_RESET);
    wanted = parsed("exit after=10 status=1");
    misbehave_passed(&wanted, 10);
    assert_int_equal(ask(&wanted, 0, 1, &allowed, &wait_us), MISBEHAVE_EXIT);
}

static void test_rate(void **state)
{
    (void)state;
    uint64_t allowed;
    int64_t wait_us;
    struct misbehaviour wanted = parsed("echo rate=100K");
    wanted.tokens_at = (mono_time){.ns = 0};
    wanted.tokens = 0;
    uint64_t passed = 0;
    for (int64_t at_us = 0; at_us <= 2 * US_PER_S; at_us += 500) {
        if (ask(&wanted, at_us, 1000000, &allowed, &wait_us) == MISBEHAVE_GO) {
            misbehave_passed(&wanted, allowed);
            passed += allowed;
        } else {
            assert_true(wait_us > 0);
        }
    }
    assert_in_range(passed, 2 * 102400 - 2048, 2 * 102400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),           cmocka_unit_test(test_chargen_amount),
        cmocka_unit_test(test_chargen_pattern), cmocka_unit_test(test_misbehaviour_language),
        cmocka_unit_test(test_delay),           cmocka_unit_test(test_more_arrivals_than_marks),
        cmocka_unit_test(test_stall_and_ends),  cmocka_unit_test(test_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
