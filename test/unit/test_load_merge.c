/* Shards become one result; sets of runs are compared. All without a server. */
#include "load/tools/sets.h"
#include "load/tools/tools.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "load_results.h"

static void test_merge_adds_counts_not_percentiles(void **state)
{
    (void)state;
    struct result a;
    struct result b;
    char reason[256];
    fill(&a, 1, 1, 900);
    fill(&b, 2, 100001, 100100); /* a tenth as many, a hundred times as slow */
    assert_true(merge_matches(&a, &b, reason, sizeof reason));
    assert_int_equal(merge_add(&a, &b), 0);
    const struct histogram *h = tally_histogram(&a.tally, HISTOGRAM_LATENCY);
    assert_int_equal(h->total, 1000);
    assert_int_equal(histogram_percentile(h, 90.0), 900);
    assert_true(histogram_percentile(h, 91.0) >= 100000);
    assert_int_equal(a.tally.started, 1000);
    assert_int_equal(a.tally.seconds[3].echoes, 14);
    assert_int_equal(result_errors(&a), 3);
    assert_true(result_echoes_per_s(&a) > 99.9 && result_echoes_per_s(&a) < 100.1);
    assert_int_equal(a.shards_merged, 2);
    assert_true(result_adds_up(&a));
    result_free(&a);
    result_free(&b);
}

static void test_merge_aligns_by_the_real_start(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) { /* whichever is merged into the other */
        struct result a;
        struct result b;
        char reason[256];
        fill(&a, 1, 1, 1000);
        fill(&b, 2, 1, 1000);
        a.seconds = b.seconds = 100.0;
        b.started_at_us = a.started_at_us + 2100000;
        struct result *into = first == 0 ? &a : &b;
        struct result *next = first == 0 ? &b : &a;
        assert_true(merge_matches(into, next, reason, sizeof reason));
        assert_int_equal(merge_add(into, next), 0);
        assert_int_equal(into->tally.seconds[3].echoes, 7); /* each had 7 in its own second 3 */
        assert_int_equal(into->tally.seconds[5].echoes, 7);
        assert_true(into->seconds > 102.0 && into->seconds < 102.2);
        assert_int_equal(into->started_at_us, 1000000000000001);
        result_free(&a);
        result_free(&b);
    }
}

static void test_merge_refuses_runs_that_are_no_shards(void **state)
{
    (void)state;
    struct result a;
    struct result b;
    char reason[256];
    fill(&a, 1, 1, 10);
    fill(&b, 2, 1, 10);
    a.shard_count = b.shard_count = 1;
    assert_false(merge_matches(&a, &b, reason, sizeof reason));
    assert_non_null(strstr(reason, "neither is a shard"));
    a.shard_count = b.shard_count = 2;
    a.seconds = b.seconds = 30.0;
    b.started_at_us += 1600000; /* a twentieth of the run is 1.5 s */
    assert_false(merge_matches(&a, &b, reason, sizeof reason));
    assert_non_null(strstr(reason, "--start-at"));
    result_free(&a);
    result_free(&b);
}

static void test_merge_refuses_what_does_not_match(void **state)
{
    (void)state;
    struct result a;
    struct result b;
    char reason[256];
    fill(&a, 1, 1, 10);
    fill(&b, 2, 1, 10);
    (void)snprintf(b.mode, sizeof b.mode, "hold");
    assert_false(merge_matches(&a, &b, reason, sizeof reason));
    assert_non_null(strstr(reason, "hold"));
    (void)snprintf(b.mode, sizeof b.mode, "ping");
    b.shard_count = 3;
    assert_false(merge_matches(&a, &b, reason, sizeof reason));
    b.shard_count = 2;
    json_t *options = json_object_get(b.about, "options");
    (void)json_object_set_new(options, "threads", json_integer(5)); /* how a part ran is its own affair */
    assert_true(merge_matches(&a, &b, reason, sizeof reason));
    (void)json_object_set_new(options, "connections", json_integer(11));
    assert_false(merge_matches(&a, &b, reason, sizeof reason));
    assert_non_null(strstr(reason, "connections is 11, not 10"));
    (void)json_object_set_new(options, "connections", json_integer(10));
    b.started_at_us += 20000000;
    assert_false(merge_matches(&a, &b, reason, sizeof reason));
    assert_non_null(strstr(reason, "20.0 s apart"));
    result_free(&a);
    result_free(&b);
}

#define SET 5

/* SET runs of A and of B with these longest latencies; returns how many figures are worse at this tolerance. */
static unsigned worse_figures(int64_t last_a, int64_t last_b, double tolerance, uint64_t faults_of_b)
{
    struct result a[SET];
    struct result b[SET];
    FILE *out = tmpfile();
    assert_non_null(out);
    for (size_t i = 0; i < SET; i++) {
        fill(&a[i], 0, 1, last_a + (int64_t)i);
        fill(&b[i], 0, 1, last_b + (int64_t)i);
        fault_note(&b[i].tally.faults, FAULT_CLOSED, faults_of_b, "x");
    }
    struct sets_rules rules = {.tolerance = tolerance, .seed = 1};
    unsigned worse = sets_compare(&(struct run_set){a, SET}, &(struct run_set){b, SET}, &rules, out, NULL);
    for (size_t i = 0; i < SET; i++) {
        result_free(&a[i]);
        result_free(&b[i]);
    }
    (void)fclose(out);
    return worse;
}

static void test_compare_finds_regressions(void **state)
{
    (void)state;
    assert_int_equal(worse_figures(1000, 1000, 0.0, 0), 0);
    assert_int_equal(worse_figures(1000, 1150, 0.20, 0), 0);
    assert_int_equal(worse_figures(1000, 1150, 0.10, 0), 3); /* p50, p90 and p99; there are more echoes */
    assert_int_equal(worse_figures(1150, 1000, 0.10, 0), 2); /* the other way round: echoes/s and MB/s */
    assert_int_equal(worse_figures(1000, 1000, 0.10, 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge_adds_counts_not_percentiles),
        cmocka_unit_test(test_merge_aligns_by_the_real_start),
        cmocka_unit_test(test_merge_refuses_runs_that_are_no_shards),
        cmocka_unit_test(test_merge_refuses_what_does_not_match),
        cmocka_unit_test(test_compare_finds_regressions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
