/* Profiles of rates: what they say, when operation n of them is due, and what chance does to it. */
#include "load/plan/plan.h"
#include "load/plan/rate.h"

#include "load/plan/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)

static struct plan_rate parsed(const char *text)
{
    struct plan_rate rate;
    char error[480];
    assert_int_equal(plan_rate_parse(text, &rate, error, sizeof error), 0);
    return rate;
}

static int64_t due(const struct plan_rate *rate, uint64_t n)
{
    struct plan_rate_block block = {0};
    return plan_rate_due_us(rate, n, &block);
}

static int64_t due_at_rate(uint64_t n, uint64_t per_s)
{
    struct plan_rate rate = plan_rate_even(per_s);
    return due(&rate, n);
}

static void test_due_times_do_not_drift(void **state)
{
    (void)state;
    for (uint64_t n = 0; n < 5000; n++) {
        assert_int_equal(due_at_rate(n, 777), plan_due_us(n, 777));
    }
    assert_int_equal(due_at_rate(0, 3), 0);
    assert_int_equal(due_at_rate(1, 3), 333333);
    assert_int_equal(due_at_rate(2, 3), 666666);
    assert_int_equal(due_at_rate(3, 3), SECOND);
    assert_int_equal(due_at_rate(UINT64_C(3000000000), 3), 1000000000 * SECOND);
    assert_int_equal(due_at_rate(UINT64_C(1) << 40, UINT64_C(1) << 20), 1048576 * SECOND);
    /* Rates above one per microsecond: several in the same microsecond, none lost. */
    assert_int_equal(due_at_rate(4, 4000000), 1);
    assert_int_equal(due_at_rate(3, 4000000), 0);
}

/* Any text, at any time: the first that is due then is due, and the one before it is not. */
static void test_first_due_is_the_inverse(void **state)
{
    (void)state;
    static const char *const texts[] = {"1",
                                        "7",
                                        "9999",
                                        "1000000",
                                        "0..500 over 2s",
                                        "500..0 over 2s",
                                        "100 for 1s, spike 3333 for 100ms, 100 for 500ms, 0 for 300ms, 7",
                                        "3..3 over 1s, 3..1000 over 700ms"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct plan_rate rate = parsed(texts[i]);
        for (int poisson = 0; poisson < 2; poisson++) {
            rate.poisson = poisson == 1;
            rate.seed = i;
            for (int64_t us = -5; us < 3000000; us += 12347) {
                uint64_t n = plan_rate_first_due_at(&rate, us);
                assert_true(due(&rate, n) >= us);
                assert_true(n == 0 || due(&rate, n - 1) < us);
            }
        }
    }
}

static void test_profiles(void **state)
{
    (void)state;
    struct plan_rate rate = parsed("0..5000 over 30s, 5000 for 1m, spike 20000 for 5s");
    assert_int_equal(rate.count, 4);
    assert_int_equal(plan_rate_length_us(&rate), 95 * SECOND);
    assert_int_equal(plan_rate_plain(&rate), 0);
    /* A slope from nothing: half of it is due after the square root of a half. */
    assert_int_equal(plan_rate_first_due_at(&rate, 30 * SECOND), 75000);
    assert_int_equal(due(&rate, 75000), 30 * SECOND);
    assert_int_equal(due(&rate, 37500), 21213203);
    assert_int_equal(due(&rate, 75000 + 5000), 31 * SECOND);
    assert_int_equal(plan_rate_first_due_at(&rate, 90 * SECOND), 375000);
    assert_int_equal(plan_rate_first_due_at(&rate, 95 * SECOND), 475000);
    /* After a spike it is as before it. */
    assert_int_equal(plan_rate_first_due_at(&rate, 96 * SECOND), 480000);
    assert_int_equal(due(&rate, 480000), 96 * SECOND);
    rate = parsed("2k");
    assert_int_equal(plan_rate_plain(&rate), 2000);
    assert_true(rate.open);
    rate = parsed("off");
    assert_int_equal(rate.count, 0);
    rate = parsed("5..0 over 2s");
    assert_int_equal(plan_rate_total(&rate), 5);
    assert_true(due(&rate, 4) < 2 * SECOND);
    assert_true(due(&rate, 5) == INT64_MAX);
    rate = parsed("2 for 1s, 0 for 10s, 2");
    assert_int_equal(due(&rate, 1), SECOND / 2);
    assert_int_equal(due(&rate, 2), 11 * SECOND); /* a pause is a pause */
}

static void test_what_is_no_profile(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "x",
                                      "5,",
                                      ",5",
                                      "500, 20 for 5s",
                                      "spike 500 for 5s",
                                      "5 for 1s, spike 7 over 5s",
                                      "5..6 for 1s",
                                      "5 over 1s",
                                      "5..6",
                                      "5 for",
                                      "5 for 0s",
                                      "5 for 1s 2s",
                                      "-5",
                                      "200M",
                                      "0 for 5s",
                                      "0 for 5s, 0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct plan_rate rate;
        char error[480] = "";
        assert_int_equal(plan_rate_parse(bad[i], &rate, error, sizeof error), -1);
        assert_non_null(strchr(error, '"'));
    }
    char many[400] = "1 for 1s";
    for (int i = 0; i < PLAN_RATE_PARTS; i++) {
        strcat(many, ", 1 for 1s");
    }
    char error[480];
    struct plan_rate rate;
    assert_int_equal(plan_rate_parse(many, &rate, error, sizeof error), -1);
}

/* A month at the highest rates, up and down: the sums are what arithmetic says, to the last operation. */
static void test_a_month_is_exact(void **state)
{
    (void)state;
    struct plan_rate rate = parsed("0..100M over 720h, 100M..0 over 720h, 1");
    const int64_t month_us = 720 * INT64_C(3600) * SECOND;
    const uint64_t half = UINT64_C(50000000) * 720 * 3600;
    assert_int_equal(plan_rate_first_due_at(&rate, month_us), half);
    assert_int_equal(plan_rate_first_due_at(&rate, 2 * month_us), 2 * half);
    assert_int_equal(due(&rate, 2 * half + 7), 2 * month_us + 7 * SECOND);
    for (uint64_t n = half - 3; n < half + 3; n++) {
        assert_true(due(&rate, n) <= due(&rate, n + 1));
    }
}

/* Chance keeps the rate, and scatters as chance does: as many in an interval, in variance, as in the mean. */
static void test_poisson(void **state)
{
    (void)state;
    struct plan_rate rate = plan_rate_even(1000);
    struct plan_rate_block block = {0};
    unsigned counts[10000] = {0};
    int64_t before = 0;
    uint64_t alone = 0;
    rate.poisson = true;
    rate.seed = 7;
    for (uint64_t n = 0; n < 99840; n++) { /* whole blocks */
        int64_t at = plan_rate_due_us(&rate, n, &block);
        assert_true(at >= before && at == due(&rate, n));
        alone += at - before > 1000 ? 1 : 0;
        counts[at / 10000]++;
        before = at;
    }
    assert_true(before < 99840000 && before > 99700000);
    double variance = 0.0;
    for (size_t i = 0; i < 9984; i++) {
        variance += (counts[i] - 10.0) * (counts[i] - 10.0) / 9984.0;
    }
    assert_true(variance > 9.0 && variance < 10.5); /* even arrivals: 0 */
    assert_true(alone > 36000 && alone < 37500);    /* 1/e of the gaps are longer than their mean */
    rate.seed = 8;
    assert_true(due(&rate, 12345) != before);
    struct plan_rate other = rate;
    other.seed = 9;
    assert_true(due(&rate, 12345) != due(&other, 12345));
}

/* However the work is dealt out to shards and threads, every operation is somebody's once, when the whole says. */
static void test_shards_share_a_profile(void **state)
{
    (void)state;
    for (int poisson = 0; poisson < 2; poisson++) {
        unsigned char seen[1280] = {0};
        struct settings settings = {.connections_total = 6, .threads_in_all = 2, .shard = {.count = 3}};
        settings.options.channels = 1;
        settings.options.mode = MODE_PING;
        settings.options.duration_us = 2000000;
        settings.options.warmup_us = 500000;
        settings.rate = parsed("0..500 over 1s, spike 2000 for 250ms, 400");
        settings.rate.poisson = poisson == 1;
        for (uint32_t worker = 0; worker < 6; worker++) {
            struct schedule schedule;
            struct schedule_operation operation;
            settings.shard.index = worker / 2;
            schedule_init(&schedule, &settings,
                          (struct schedule_part){.worker = worker % 2, .first_client = worker, .client_count = 1});
            for (; schedule_peek(&schedule, &operation); schedule_take(&schedule)) {
                assert_int_equal(operation.due_us, due(&settings.rate, operation.number));
                assert_true(operation.number < 1280 && operation.due_us < 2500000);
                assert_true(operation.measured == (operation.due_us >= 500000));
                assert_int_equal(seen[operation.number]++, 0);
            }
        }
        unsigned all = 0;
        for (size_t i = 0; i < sizeof seen; i++) {
            all += seen[i];
        }
        assert_in_range(all, poisson == 0 ? 1250 : 1200, poisson == 0 ? 1250 : 1280); /* chance, at the end */
    }
}

static void test_slices(void **state)
{
    (void)state;
    struct plan_rate rate = parsed("0..500 over 4s, 9 for 1s");
    const struct {
        int64_t us;
        unsigned slice, part;
    } rows[] = {{-1, 0, 0},         {0, 0, 0},          {999999, 0, 0}, {SECOND, 1, 0}, {4 * SECOND - 1, 3, 0},
                {4 * SECOND, 4, 1}, {99 * SECOND, 5, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(plan_rate_slice_at(&rate, rows[i].us), rows[i].slice);
        assert_int_equal(plan_rate_part_of(&rate, rows[i].slice), rows[i].part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_due_times_do_not_drift),
        cmocka_unit_test(test_first_due_is_the_inverse),
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_what_is_no_profile),
        cmocka_unit_test(test_a_month_is_exact),
        cmocka_unit_test(test_poisson),
        cmocka_unit_test(test_shards_share_a_profile),
        cmocka_unit_test(test_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
