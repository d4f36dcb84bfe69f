/* Shares, ramps, shards, instants and message sizes; and the schedule that is made of them. */
#include "load/plan/plan.h"
#include "load/plan/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_shares_add_up(void **state)
{
    (void)state;
    for (uint64_t total = 0; total < 50; total++) {
        for (uint64_t parts = 1; parts < 12; parts++) {
            uint64_t sum = 0;
            for (uint64_t i = 0; i < parts; i++) {
                assert_int_equal(plan_share_start(total, parts, i), sum);
                uint64_t share = plan_share(total, parts, i);
                assert_true(share == total / parts || share == total / parts + 1);
                sum += share;
            }
            assert_int_equal(sum, total);
        }
    }
}

static void test_ramp_is_even_and_within(void **state)
{
    (void)state;
    assert_int_equal(plan_ramp_us(0, 4, 1000000), 0);
    assert_int_equal(plan_ramp_us(1, 4, 1000000), 250000);
    assert_int_equal(plan_ramp_us(3, 4, 1000000), 750000);
    assert_int_equal(plan_ramp_us(2, 3, 100), 66);
    assert_int_equal(plan_ramp_us(7, 10, 0), 0);
    assert_int_equal(plan_ramp_us(999999, 1000000, UINT64_C(86400000000)), INT64_C(86399913600));
}

static void test_shards(void **state)
{
    (void)state;
    struct plan_shard shard;
    char error[256];
    assert_int_equal(plan_parse_shard("1/4", NULL, &shard, error, sizeof error), 0);
    assert_int_equal(shard.index, 0);
    assert_int_equal(shard.count, 4);
    assert_int_equal(plan_parse_shard("4/4", NULL, &shard, error, sizeof error), 0);
    assert_int_equal(shard.index, 3);
    assert_int_equal(plan_parse_shard("/4", "0", &shard, error, sizeof error), 0);
    assert_int_equal(shard.index, 0);
    assert_int_equal(plan_parse_shard("/4", "3", &shard, error, sizeof error), 0);
    assert_int_equal(shard.index, 3);
    const char *const bad[] = {"",    "/",   "4",   "0/4",   "5/4",  "-1/4",
                               "1/0", "1/x", "x/4", "1/4/4", "1 /4", "9999999999/4"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(plan_parse_shard(bad[i], NULL, &shard, error, sizeof error), -1);
        assert_true(error[0] != '\0');
    }
    assert_int_equal(plan_parse_shard("/4", NULL, &shard, error, sizeof error), -1);
    assert_int_equal(plan_parse_shard("/4", "4", &shard, error, sizeof error), -1);
    assert_int_equal(plan_parse_shard("/4", "", &shard, error, sizeof error), -1);
}

static void test_instants(void **state)
{
    (void)state;
    int64_t us = 0;
    assert_true(plan_parse_instant("1970-01-01T00:00:01Z", &us));
    assert_int_equal(us, 1000000);
    assert_true(plan_parse_instant("2001-09-09T01:46:40.5Z", &us));
    assert_int_equal(us, INT64_C(1000000000500000));
    assert_true(plan_parse_instant("2001-09-09T01:46:40+00:00", &us));
    assert_int_equal(us, INT64_C(1000000000000000));
    assert_true(plan_parse_instant("1000000000.25", &us));
    assert_int_equal(us, INT64_C(1000000000250000));
    const char *const bad[] = {
        "",     "x",    "-5",  "0",  "2001-09-09", "2001-09-09T01:46:40", "2001-09-09T01:46:40+02:00",
        "1e99", "12 x", "nan", "inf"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(plan_parse_instant(bad[i], &us));
    }
}

static struct plan_size size_of(const char *text)
{
    struct plan_size size;
    char error[256];
    assert_int_equal(plan_parse_size(text, &size, error, sizeof error), 0);
    return size;
}

static double mean_of(const struct plan_size *size, uint32_t *least, uint32_t *most)
{
    double sum = 0.0;
    *least = UINT32_MAX;
    *most = 0;
    for (uint64_t n = 0; n < 20000; n++) {
        uint32_t value = plan_size_of(size, 42, n);
        assert_int_equal(value, plan_size_of(size, 42, n));
        sum += value;
        *least = value < *least ? value : *least;
        *most = value > *most ? value : *most;
    }
    return sum / 20000.0;
}

static void test_sizes(void **state)
{
    (void)state;
    uint32_t least;
    uint32_t most;
    struct plan_size size = size_of("32K");
    assert_int_equal(plan_size_of(&size, 1, 2), 32768);
    size = size_of("100-300");
    double mean = mean_of(&size, &least, &most);
    assert_int_equal(least, 100);
    assert_int_equal(most, 300);
    assert_true(mean > 198.0 && mean < 202.0);
    size = size_of("exp:500");
    mean = mean_of(&size, &least, &most);
    assert_true(least >= 1 && most <= 16 * 500);
    assert_true(mean > 485.0 && mean < 515.0);
    size = size_of("10:3,1000:1");
    mean = mean_of(&size, &least, &most);
    assert_int_equal(least, 10);
    assert_int_equal(most, 1000);
    assert_true(mean > 247.5 && mean < 267.5);
    char error[256];
    const char *const bad[] = {
        "", "0", "x", "10-", "-10", "300-100", "exp:", "exp:0", "10:0", "10:1,", "10,20", "17M", "1:1:1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(plan_parse_size(bad[i], &size, error, sizeof error), -1);
    }
}

/* ---- the schedule ---- */

static struct settings ping_settings(uint64_t connections, uint64_t channels, uint64_t rate)
{
    struct settings settings = {.connections_total = connections, .threads_in_all = 1, .shard = {.count = 1}};
    settings.options.mode = MODE_PING;
    settings.options.channels = channels;
    settings.rate = plan_rate_even(rate);
    settings.options.duration_us = 1000000;
    return settings;
}

/* However the connections are dealt out, each operation of the run is somebody's, once, at its own time. */
static void check_partition(const struct settings *settings, const struct schedule_part *parts, size_t count)
{
    unsigned char seen[1000] = {0};
    for (size_t p = 0; p < count; p++) {
        int64_t before_us = 0;
        struct schedule_operation operation;
        struct schedule schedule;
        schedule_init(&schedule, settings, parts[p]);
        for (; schedule_peek(&schedule, &operation) && operation.number < 1000; schedule_take(&schedule)) {
            assert_int_equal(operation.due_us, plan_rate_due_us(&settings->rate, operation.number, NULL));
            assert_true(operation.due_us >= before_us);
            assert_true(operation.client < parts[p].client_count || settings->options.mode == MODE_CONNECT);
            assert_true(operation.stream < settings->options.channels);
            before_us = operation.due_us;
            assert_int_equal(seen[operation.number]++, 0);
        }
    }
    for (size_t i = 0; i < sizeof seen; i++) {
        assert_int_equal(seen[i], 1);
    }
}

static void test_operations_are_dealt_out_once(void **state)
{
    (void)state;
    struct settings settings = ping_settings(7, 3, 777);
    settings.options.duration_us = 2000000;
    const struct schedule_part uneven[] = {
        {.worker = 0, .first_client = 0, .client_count = 3},
        {.worker = 1, .first_client = 3, .client_count = 2},
        {.worker = 2, .first_client = 5, .client_count = 2},
    };
    check_partition(&settings, uneven, 3);
    settings.options.mode = MODE_CONNECT;
    settings.threads_in_all = 3;
    check_partition(&settings, uneven, 3);
}

static unsigned measured_operations(const struct settings *settings, struct schedule_part part, uint64_t first)
{
    struct schedule schedule;
    struct schedule_operation operation;
    unsigned measured = 0;
    schedule_init(&schedule, settings, part);
    for (; schedule_peek(&schedule, &operation); schedule_take(&schedule)) {
        measured += operation.measured ? 1 : 0;
        assert_true(operation.measured == (operation.number >= first));
    }
    return measured;
}

static void test_what_is_measured(void **state)
{
    (void)state;
    struct settings settings = ping_settings(2, 1, 100);
    const struct schedule_part all = {.client_count = 2};
    settings.options.warmup_us = 500000;
    assert_int_equal(measured_operations(&settings, all, 50), 100);
    settings.options.count = 30;
    assert_int_equal(measured_operations(&settings, all, 50), 30);
}

/* What is left is the same number whether it is computed or walked, from wherever and up to whenever. */
static void check_abandon(const struct settings *settings, const struct schedule_part *parts, size_t count)
{
    static const uint64_t taken[] = {0, 1, 7, 49, 50, 51, 200, 5000};
    static const int64_t until_us[] = {-1, 0, 1, 499999, 500000, 777777, 1499999, 1500000, INT64_MAX};
    for (size_t p = 0; p < count; p++) {
        for (size_t t = 0; t < sizeof taken / sizeof taken[0]; t++) {
            for (size_t u = 0; u < sizeof until_us / sizeof until_us[0]; u++) {
                struct schedule walked;
                struct schedule_operation operation;
                uint64_t left = 0;
                schedule_init(&walked, settings, parts[p]);
                while (walked.taken < taken[t] && schedule_peek(&walked, &operation)) {
                    schedule_take(&walked);
                }
                struct schedule summed = walked;
                for (; schedule_peek(&walked, &operation) && operation.due_us < until_us[u]; schedule_take(&walked)) {
                    left += operation.measured ? 1 : 0;
                }
                assert_int_equal(schedule_abandon(&summed, until_us[u]), left);
                assert_int_equal(summed.taken, walked.taken);
            }
        }
    }
}

static void test_what_is_left_is_computed(void **state)
{
    (void)state;
    const struct schedule_part parts[] = {
        {.worker = 0, .first_client = 0, .client_count = 3},
        {.worker = 1, .first_client = 3, .client_count = 2},
        {.worker = 2, .first_client = 5, .client_count = 2},
    };
    struct settings settings = ping_settings(7, 3, 777);
    settings.options.warmup_us = 500000;
    check_abandon(&settings, parts, 3);
    settings.options.mode = MODE_CONNECT;
    settings.threads_in_all = 3;
    check_abandon(&settings, parts, 3);
    settings.options.count = 100;
    check_abandon(&settings, parts, 3);
    settings.shard = (struct plan_shard){.index = 1, .count = 4};
    check_abandon(&settings, parts, 3);
    /* A day at 20,000 a second, and nobody has to count to it. */
    settings = ping_settings(7, 3, 20000);
    settings.options.duration_us = UINT64_C(86400000000);
    struct schedule schedule;
    schedule_init(&schedule, &settings, (struct schedule_part){.client_count = 7});
    assert_int_equal(schedule_abandon(&schedule, INT64_MAX), 20000 * 86400);
    assert_int_equal(schedule_abandon(&schedule, INT64_MAX), 0);
}

static void test_hold_pings_an_even_sample(void **state)
{
    (void)state;
    struct settings settings = {.connections_total = 100};
    settings.options.mode = MODE_HOLD;
    settings.options.channels = 1;
    settings.options.sample = 10;
    settings.options.sample_interval_us = 1000000;
    settings.options.duration_us = 3000000;
    const struct schedule_part halves[] = {{.first_client = 0, .client_count = 45},
                                           {.first_client = 45, .client_count = 55}};
    unsigned pings[100] = {0};
    for (size_t p = 0; p < 2; p++) {
        struct schedule schedule;
        struct schedule_operation operation;
        schedule_init(&schedule, &settings, halves[p]);
        for (; schedule_peek(&schedule, &operation); schedule_take(&schedule)) {
            assert_true(operation.measured && operation.due_us < 3000000);
            assert_true(operation.client < halves[p].client_count);
            pings[halves[p].first_client + operation.client]++;
        }
    }
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(pings[i], i % 10 == 0 ? 3 : 0);
    }
    /* A worker without anybody of the sample has nothing to do. */
    const struct schedule_part none = {.first_client = 1, .client_count = 9};
    struct schedule schedule;
    struct schedule_operation operation;
    schedule_init(&schedule, &settings, none);
    assert_false(schedule_peek(&schedule, &operation));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares_add_up),
        cmocka_unit_test(test_ramp_is_even_and_within),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_instants),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_operations_are_dealt_out_once),
        cmocka_unit_test(test_what_is_measured),
        cmocka_unit_test(test_what_is_left_is_computed),
        cmocka_unit_test(test_hold_pings_an_even_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
