/* Verdicts on a run: sustained or not, what bound the generator; and gates. */
#include "load/plan/rate.h"
#include "load/result/gate.h"
#include "load/result/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "load_results.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whether_a_load_was_sustained),
        cmocka_unit_test(test_a_profile_is_judged_in_parts),
        cmocka_unit_test(test_what_binds_the_generator),
        cmocka_unit_test(test_gates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
