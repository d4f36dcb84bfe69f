/* Error classes, and results as JSON and back: without a server. */
#include "load/result/result.h"
#include "load/result/verdict.h"
#include "load/tally/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "load_results.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault_classes),
        cmocka_unit_test(test_fault_log_keeps_the_first),
        cmocka_unit_test(test_json_and_back),
        cmocka_unit_test(test_damaged_json_is_refused),
        cmocka_unit_test(test_empty_result_has_no_figures),
        cmocka_unit_test(test_remarks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
