/* Content, error classes, tallies, results as JSON and back, gates, merging and comparing: all without a server. */
#include "load/plan/content.h"
#include "load/result/fault.h"
#include "load/result/gate.h"
#include "load/result/result.h"
#include "load/result/verdict.h"
#include "load/tools/sets.h"
#include "load/tools/tools.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- content ---- */

static void test_content_agrees_with_itself_only(void **state)
{
    (void)state;
    content_prepare();
    static uint8_t copy[3 * 65536];
    const enum content_kind kinds[] = {CONTENT_BINARY, CONTENT_TEXT, CONTENT_CHARGEN};
    for (size_t k = 0; k < 3; k++) {
        for (size_t at = 0; at < sizeof copy; at += 65536) {
            memcpy(copy + at, content_at(kinds[k], 77, 123456 + at), 65536);
        }
        assert_int_equal(content_agreeing(kinds[k], 77, 123456, copy, sizeof copy), sizeof copy);
        for (size_t at = 0; at < sizeof copy; at += 13331) {
            copy[at] ^= 0x20;
            assert_int_equal(content_agreeing(kinds[k], 77, 123456, copy, sizeof copy), at);
            copy[at] ^= 0x20;
        }
    }
    memcpy(copy, content_at(CONTENT_BINARY, 5, 0), 65536);
    assert_true(content_agreeing(CONTENT_BINARY, 6, 0, copy, 64) < 64);
    for (uint64_t shift = 1; shift < 65521; shift *= 2) { /* any power of two lost or doubled shows at once */
        assert_true(content_agreeing(CONTENT_BINARY, 5, shift, copy, 64) < 64);
        assert_true(content_agreeing(CONTENT_TEXT, 5, shift, content_at(CONTENT_TEXT, 5, 0), 64) < 64);
    }
}

static void test_chargen_is_rfc_864(void **state)
{
    (void)state;
    content_prepare();
    const char *lines = (const char *)content_at(CONTENT_CHARGEN, 0, 0);
    assert_memory_equal(lines, " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n", 74);
    assert_memory_equal(lines + 74, "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh\r\n",
                        74);
    assert_memory_equal((const char *)content_at(CONTENT_CHARGEN, 9, UINT64_C(74) * 95), lines, 74);
}

static void test_text_holds_nothing_that_a_shell_acts_on(void **state)
{
    (void)state;
    content_prepare();
    const uint8_t *text = content_at(CONTENT_TEXT, 0, 0);
    for (size_t i = 0; i < CONTENT_RUN_MAX; i++) {
        assert_non_null(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.", text[i]));
        assert_int_not_equal(text[i], 0);
    }
}

/* ---- faults ---- */

static void test_fault_classes(void **state)
{
    (void)state;
    for (int i = 0; i < FAULT_COUNT; i++) {
        assert_int_equal(fault_from_name(fault_name((enum fault)i)), i);
    }
    assert_int_equal(fault_from_name("bogus"), FAULT_NONE);
    assert_int_equal(fault_from_errno(ECONNREFUSED), FAULT_REFUSED);
    assert_int_equal(fault_from_errno(EMFILE), FAULT_LOCAL_LIMIT);
    assert_int_equal(fault_from_errno(EADDRNOTAVAIL), FAULT_LOCAL_LIMIT);
    assert_int_equal(fault_from_errno(EHOSTUNREACH), FAULT_UNREACHABLE);
    assert_int_equal(fault_from_session(PHASE_BANNER, "Socket error: disconnected", false, false), FAULT_CLOSED);
    assert_int_equal(fault_from_session(PHASE_BANNER, "Socket error: disconnected", false, true), FAULT_NOT_SSH);
    assert_int_equal(fault_from_session(PHASE_KEX, "kex error : no match for method", true, true), FAULT_KEY_EXCHANGE);
    assert_int_equal(fault_from_session(PHASE_TRAFFIC, "HMAC error", true, true), FAULT_PROTOCOL);
    assert_int_equal(fault_from_session(PHASE_TRAFFIC, "Received SSH_MSG_DISCONNECT: 2:bye", true, true), FAULT_CLOSED);
    assert_int_equal(fault_from_session(PHASE_AUTH, "Access denied for 'none'.", true, true), FAULT_AUTHENTICATION);
}

static void test_fault_log_keeps_the_first(void **state)
{
    (void)state;
    struct fault_log log = {0};
    struct fault_log other = {0};
    fault_note(&log, FAULT_CLOSED, 2, "one\x1b[31m\n");
    fault_note(&log, FAULT_CLOSED, 1, "two");
    fault_note(&log, FAULT_NONE, 1, "nothing");
    assert_int_equal(log.counts[FAULT_CLOSED], 3);
    assert_string_equal(log.first[FAULT_CLOSED], "one?[31m?");
    fault_note(&other, FAULT_REFUSED, 5, "three");
    fault_note(&other, FAULT_CLOSED, 5, "four");
    fault_merge(&log, &other);
    assert_int_equal(fault_total(&log), 13);
    assert_string_equal(log.first[FAULT_REFUSED], "three");
    assert_string_equal(log.first[FAULT_CLOSED], "one?[31m?");
}

/* ---- results ---- */

static void fill(struct result *result, uint64_t shard, int64_t first_us, int64_t last_us)
{
    assert_int_equal(result_init(result), 0);
    (void)snprintf(result->mode, sizeof result->mode, "ping");
    result->shard_index = shard;
    result->shard_count = 2;
    result->threads = 1;
    result->seconds = 10.0;
    result->started_at_us = 1000000000000000 + (int64_t)shard;
    result->about = json_pack("{s:{s:i, s:i, s:s}}", "options", "connections", 10, "threads", 1, "shard", "x");
    struct tally *tally = &result->tally;
    for (int64_t us = first_us; us <= last_us; us++) {
        histogram_record(tally_histogram(tally, HISTOGRAM_LATENCY), us);
        tally->started++;
        tally->ok++;
        tally->echoes++;
        tally->bytes += 64;
    }
    tally_second_at(tally, 3500000)->echoes = 7;
    fault_note(&tally->faults, FAULT_REFUSED, shard, "no");
}

static void test_json_and_back(void **state)
{
    (void)state;
    struct result result;
    struct result copy;
    char error[256];
    fill(&result, 1, 1, 5000);
    (void)snprintf(result.label, sizeof result.label, "a \"label\"");
    result.start_skew_us = -17;
    json_t *document = result_to_json(&result);
    assert_non_null(document);
    assert_int_equal(result_from_json(&copy, document, error, sizeof error), 0);
    json_t *again = result_to_json(&copy);
    assert_true(json_equal(document, again));
    assert_int_equal(copy.tally.seconds[3].echoes, 7);
    assert_int_equal(copy.start_skew_us, -17);
    assert_string_equal(copy.label, "a \"label\"");
    json_decref(again);
    json_decref(document);
    result_free(&copy);
    result_free(&result);
}

static void test_damaged_json_is_refused(void **state)
{
    (void)state;
    struct result result;
    fill(&result, 1, 1, 100);
    const char *const keys[] = {"schema", "mode",    "loop",   "started_at", "threads",    "shard",
                                "phases", "summary", "errors", "generator",  "negotiated", "histograms"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct result copy;
        char error[256] = "";
        json_t *document = result_to_json(&result);
        (void)json_object_set_new(document, keys[i], json_integer(-3));
        int rc = result_from_json(&copy, document, error, sizeof error);
        if (rc == 0) {
            fail_msg("%s was not missed", keys[i]);
        }
        assert_true(error[0] != '\0');
        result_free(&copy);
        json_decref(document);
    }
    struct result copy;
    char error[256] = "";
    json_t *document = result_to_json(&result);
    json_t *latency = json_object_get(json_object_get(document, "histograms"), "latency_us");
    (void)json_object_set_new(latency, "total", json_integer(101));
    assert_int_equal(result_from_json(&copy, document, error, sizeof error), -1);
    assert_non_null(strstr(error, "add up"));
    result_free(&copy);
    json_decref(document);
    result_free(&result);
}

static void test_empty_result_has_no_figures(void **state)
{
    (void)state;
    struct result result;
    assert_int_equal(result_init(&result), 0);
    json_t *document = result_to_json(&result);
    assert_true(json_is_null(json_object_get(json_object_get(document, "latency_us"), "p99")));
    assert_true(result_is_bad(&result));
    char *text = json_dumps(document, 0);
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    free(text);
    json_decref(document);
    result_free(&result);
}

static void collect(const char *sentence, void *data)
{
    char *all = data;
    (void)strncat(all, sentence, 2000 - strlen(all));
}

static void test_remarks(void **state)
{
    (void)state;
    struct result result;
    char said[2048] = "";
    fill(&result, 1, 1, 1000);
    verdict_remarks(&result, collect, said);
    assert_string_equal(said, "");
    assert_false(verdict_is_client_bound(&result));

    result.tally.busiest_thread_cpu = 0.95;
    verdict_remarks(&result, collect, said);
    assert_non_null(strstr(said, "client-bound: a generator thread used 95 %"));
    assert_true(verdict_is_client_bound(&result));
    result.tally.busiest_thread_cpu = 0.2;

    for (int i = 0; i < 100; i++) { /* p99 of the slip 2 ms, of the latency 1 ms */
        histogram_record(tally_histogram(&result.tally, HISTOGRAM_SLIP), 2000);
    }
    assert_false(verdict_is_client_bound(&result));
    result.open_loop = true;
    assert_true(verdict_is_client_bound(&result));
    histogram_record_many(tally_histogram(&result.tally, HISTOGRAM_LATENCY), 1000000, 1000);
    assert_false(verdict_is_client_bound(&result)); /* beside a latency of 1 s it does not matter */

    (void)snprintf(result.mode, sizeof result.mode, "stream");
    result.tally.bytes = 10000000; /* 1 MB/s */
    result.tally.stops_at_window = 10;
    result.tally.window_limit_bytes_per_s = 1.2e6;
    assert_true(result_is_window_limited(&result));
    result.tally.window_limit_bytes_per_s = 1e9;
    assert_false(result_is_window_limited(&result));

    result.tally.failed++;
    said[0] = '\0';
    verdict_remarks(&result, collect, said);
    assert_non_null(strstr(said, "inconsistent"));
    assert_true(result_is_bad(&result));
    result_free(&result);
}

static bool crossed(const char *text, const struct result *result)
{
    struct gate gate;
    char error[512];
    double actual;
    assert_int_equal(gate_parse(text, &gate, error, sizeof error), 0);
    return gate_is_crossed(&gate, result, &actual);
}

/* ---- verdicts ---- */

/* `seconds` at 100 a second; the latency of each in us is base + growth_per_s * its due time, and those due in the last
 * stall_s wait for its end. */
static bool sustained(double seconds, double base_us, double growth_per_s, double stall_s, struct result *result)
{
    assert_int_equal(result_init(result), 0);
    result->open_loop = result->tally.rated = true;
    result->seconds = seconds;
    const struct plan_rate rate = plan_rate_even(100);
    for (int i = 0; i < (int)(seconds * 100.0); i++) {
        double due_s = (double)i / 100.0;
        double latency_us = base_us + growth_per_s * due_s * 1e6 + (i % 7) * 20.0;
        if (due_s > seconds - stall_s) {
            latency_us += (seconds - due_s) * 1e6;
        }
        result->tally.started++;
        result->tally.ok++;
        tally_note_trend(&result->tally, &rate, (int64_t)(due_s * 1e6), 0, (int64_t)latency_us);
    }
    bool verdict = verdict_offered(result).sustained;
    assert_true(verdict == verdict_is_sustained(result));
    return verdict;
}

static void test_whether_a_load_was_sustained(void **state)
{
    (void)state;
    struct result result;
    static const double seconds[] = {1.0, 10.0, 600.0};
    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
        assert_true(sustained(seconds[i], 100.0, 0.0, 0.0, &result));
        result_free(&result);
        assert_true(sustained(seconds[i], 800000.0, 0.0, 0.0, &result)); /* far away */
        result_free(&result);
        assert_true(sustained(seconds[i], 100.0, 0.0, seconds[i] / 10.0, &result)); /* one stall, even at the end */
        result_free(&result);
        assert_false(sustained(seconds[i], 100.0, 0.05, 0.0, &result)); /* 5 % too much */
        double slope = verdict_offered(&result).latency_slope;
        assert_true(slope > 0.0499 && slope < 0.0501);
        result.tally.rated = false; /* a closed loop */
        assert_true(verdict_is_sustained(&result));
        result_free(&result);
    }
    assert_true(sustained(10.0, 100.0, 0.0, 0.0, &result));
    result.tally.ok -= 10; /* of 1000 */
    result.tally.failed += 10;
    assert_true(verdict_is_sustained(&result));
    result.tally.ok--;
    result.tally.timed_out++;
    assert_false(verdict_is_sustained(&result));
    assert_true(crossed("sustained < 1", &result));
    result_free(&result);
}

/* A spike that piles up a second of work, which is worked off long before the end. */
static void test_a_profile_is_judged_in_parts(void **state)
{
    (void)state;
    struct result result;
    struct plan_rate rate;
    char error[480];
    const char *text = "100 for 10s, spike 500 for 2s, 100 for 28s";
    assert_int_equal(plan_rate_parse(text, &rate, error, sizeof error), 0);
    for (int piles_up = 0; piles_up < 2; piles_up++) {
        assert_int_equal(result_init(&result), 0);
        result.open_loop = result.tally.rated = true;
        result.seconds = 39.0;
        result.tally.slice_count = rate.slices;
        result.about = json_pack("{s:{s:s}}", "options", "rate", text);
        uint64_t end = plan_rate_first_due_at(&rate, 40000000);
        for (uint64_t n = plan_rate_first_due_at(&rate, 1000000); n < end; n++) {
            int64_t due_us = plan_rate_due_us(&rate, n, NULL);
            double due_s = (double)due_us / 1e6;
            double wait_s = due_s < 10.0 || due_s > 13.0 ? 0.0 : due_s < 12.0 ? (due_s - 10.0) / 2.0 : 13.0 - due_s;
            result.tally.started++;
            result.tally.ok++;
            tally_note_trend(&result.tally, &rate, due_us - 1000000, 1000000,
                             (int64_t)(n % 7) * 20 + (piles_up ? (int64_t)(wait_s * 1e6) : 0));
        }
        assert_true(verdict_offered(&result).sustained == (piles_up == 0));
        assert_int_equal(verdict_offered(&result).slice, piles_up == 0 ? -1 : 1);
        char said[2048] = "";
        verdict_remarks(&result, collect, said);
        assert_true((strstr(said, "in \"spike 500 for 2s\"") != NULL) == (piles_up == 1));
        result_free(&result);
    }
}

static void test_what_binds_the_generator(void **state)
{
    (void)state;
    struct result result;
    assert_int_equal(result_init(&result), 0);
    struct tally_pressure *p = &result.tally.pressure;
    *p = (struct tally_pressure){
        .windows = 100, .busy_windows = 1, .run_delay = 0.09, .throttled = 0.009, .steal = 0.04};
    assert_int_equal(verdict_client_bound(&result, NULL, NULL), 0);
    p->busy_windows = 2;
    assert_int_equal(verdict_client_bound(&result, NULL, NULL), 1);
    p->run_delay = 0.11;
    p->throttled = 0.011;
    p->steal = 0.06;
    char said[2048] = "";
    assert_int_equal(verdict_client_bound(&result, collect, said), 4);
    assert_non_null(strstr(said, "waited for a CPU for 11 %"));
    assert_non_null(strstr(said, "quota"));
    assert_non_null(strstr(said, "hypervisor"));
    result_free(&result);
}

/* ---- gates ---- */

static void test_gates(void **state)
{
    (void)state;
    struct result result;
    fill(&result, 1, 1, 1000); /* p99 990 us, 100 echoes/s, one error */
    assert_true(crossed("p99 > 900us", &result));
    assert_false(crossed("p99 > 5ms", &result));
    assert_true(crossed("p99>=0.99ms", &result));
    assert_true(crossed("  errors   >0 ", &result));
    assert_true(crossed("errors == 1", &result));
    assert_false(crossed("errors != 1", &result));
    assert_true(crossed("rate < 1k", &result));
    assert_false(crossed("rate < 99.5", &result));
    assert_true(crossed("rate <= 100", &result));
    assert_true(crossed("mean < 501us", &result));
    assert_true(crossed("max >= 1ms", &result));
    assert_true(crossed("p75 > 749us", &result));
    assert_false(crossed("p75 > 751us", &result));
    assert_true(crossed("p99.99 >= 1ms", &result));
    assert_true(crossed("slip-p12.5 > 1h", &result));
    assert_true(crossed("handshake-p99 > 1h", &result)); /* nothing was measured: that is no pass */
    struct gate gate;
    char error[512];
    const char *const bad[] = {"",        "p99",        "p99 >",          "> 5",        "p101 > 5ms",
                               "p99 5ms", "p99 => 5ms", "p99 > 5 apples", "errors > x", "rate < -5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(gate_parse(bad[i], &gate, error, sizeof error), -1);
    }
    result_free(&result);
}

/* ---- merge and compare ---- */

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
        cmocka_unit_test(test_content_agrees_with_itself_only),
        cmocka_unit_test(test_chargen_is_rfc_864),
        cmocka_unit_test(test_text_holds_nothing_that_a_shell_acts_on),
        cmocka_unit_test(test_fault_classes),
        cmocka_unit_test(test_fault_log_keeps_the_first),
        cmocka_unit_test(test_json_and_back),
        cmocka_unit_test(test_damaged_json_is_refused),
        cmocka_unit_test(test_empty_result_has_no_figures),
        cmocka_unit_test(test_remarks),
        cmocka_unit_test(test_whether_a_load_was_sustained),
        cmocka_unit_test(test_a_profile_is_judged_in_parts),
        cmocka_unit_test(test_what_binds_the_generator),
        cmocka_unit_test(test_gates),
        cmocka_unit_test(test_merge_adds_counts_not_percentiles),
        cmocka_unit_test(test_merge_aligns_by_the_real_start),
        cmocka_unit_test(test_merge_refuses_runs_that_are_no_shards),
        cmocka_unit_test(test_merge_refuses_what_does_not_match),
        cmocka_unit_test(test_compare_finds_regressions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
