/* What two sets of runs say: intervals, verdicts, and how often chance alone would be called a change. */
#include "load/tools/bootstrap.h"

#include "load/plan/plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define RUNS 10
#define SEEDS 100

static double uniform(uint64_t *state)
{
    *state = plan_mix(*state);
    return ((double)(*state >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(uint64_t *state)
{
    double radius = sqrt(-2.0 * log(uniform(state)));
    return radius * cos(2.0 * M_PI * uniform(state));
}

/* A run of a server whose latency is exponential, on a machine whose speed differs from run to run by `noise`. */
static void simulate(struct histogram *h, double *rate, double speed, double noise, uint64_t *state)
{
    double mean_us = 500.0 * speed * exp(noise * normal(state));
    histogram_reset(h);
    for (int i = 0; i < 2000; i++) {
        histogram_record(h, (int64_t)(100.0 - mean_us * log(uniform(state))));
    }
    *rate = 1e6 / mean_us;
}

struct side {
    struct histogram histograms[RUNS];
    const struct histogram *pointers[RUNS];
    double rates[RUNS];
};

static void simulate_side(struct side *side, double speed, double noise, uint64_t *state)
{
    for (size_t i = 0; i < RUNS; i++) {
        simulate(&side->histograms[i], &side->rates[i], speed, noise, state);
        side->pointers[i] = &side->histograms[i];
    }
}

enum { SAME = 1U << VERDICT_SAME, BETTER = 1U << VERDICT_BETTER, WORSE = 1U << VERDICT_WORSE };

static const double percentiles[] = {50.0, 90.0, 99.0};

/* Of SEEDS comparisons, those with at least one figure of a verdict in `wanted`. */
static unsigned count_verdicts(double speed, double noise, double tolerance, bool paired, unsigned wanted)
{
    static struct side a;
    static struct side b;
    unsigned found = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t state = plan_mix(seed);
        bool any = false;
        simulate_side(&a, 1.0, noise, &state);
        simulate_side(&b, speed, noise, &state);
        struct bootstrap_side left = {.runs = RUNS, .histograms = a.pointers};
        struct bootstrap_side right = {.runs = RUNS, .histograms = b.pointers};
        for (size_t i = 0; i < sizeof percentiles / sizeof percentiles[0]; i++) {
            struct bootstrap_interval ratio = bootstrap_ratio(&left, &right, percentiles[i], paired, seed);
            any = any || (wanted & 1U << bootstrap_verdict(&ratio, tolerance, true)) != 0;
        }
        left.values = a.rates;
        right.values = b.rates;
        struct bootstrap_interval ratio = bootstrap_ratio(&left, &right, 0.0, paired, seed);
        any = any || (wanted & 1U << bootstrap_verdict(&ratio, tolerance, false)) != 0;
        found += any ? 1 : 0;
    }
    return found;
}

static void test_the_same_server_twice_is_seldom_called_a_change(void **state)
{
    (void)state;
    const double noises[] = {0.05, 0.30};
    for (size_t i = 0; i < sizeof noises / sizeof noises[0]; i++) {
        for (int paired = 0; paired < 2; paired++) {
            unsigned wrong = count_verdicts(1.0, noises[i], 0.02, paired == 1, WORSE | BETTER);
            print_message("noise %.0f %%, %s: %u of %d called a change\n", noises[i] * 100.0,
                          paired ? "paired" : "apart", wrong, SEEDS);
            assert_true(wrong <= 5);
        }
    }
}

static void test_a_change_of_a_tenth_is_told_and_no_change_is_the_same(void **state)
{
    (void)state;
    assert_true(count_verdicts(1.10, 0.02, 0.02, false, WORSE) >= 95);
    assert_true(count_verdicts(1.0 / 1.10, 0.02, 0.02, false, BETTER) >= 95);
    assert_true(count_verdicts(1.0, 0.02, 0.05, false, SAME) >= 95);
    assert_int_equal(count_verdicts(1.10, 0.02, 0.20, false, WORSE), 0);
}

static void test_few_runs_cannot_tell(void **state)
{
    (void)state;
    const double a[] = {100.0, 101.0, 99.0, 100.0};
    const double b[] = {300.0, 301.0, 299.0, 300.0};
    for (size_t runs = 1; runs <= 4; runs++) {
        struct bootstrap_side left = {.runs = runs, .values = a};
        struct bootstrap_side right = {.runs = runs, .values = b};
        struct bootstrap_interval ratio = bootstrap_ratio(&left, &right, 0.0, false, 1);
        assert_true(ratio.estimate > 2.9 && ratio.estimate < 3.1);
        assert_int_equal(bootstrap_verdict(&ratio, 0.05, true),
                         runs < BOOTSTRAP_RUNS_MIN ? VERDICT_UNKNOWN : VERDICT_WORSE);
    }
}

static void test_pairs_see_through_a_machine_that_changes(void **state)
{
    (void)state;
    double a[RUNS];
    double b[RUNS];
    for (size_t i = 0; i < RUNS; i++) { /* the machine is three times as fast at the end; B costs a tenth more */
        a[i] = 100.0 * (1.0 + 0.22 * (double)i);
        b[i] = a[i] * (i % 2 == 0 ? 1.09 : 1.11);
    }
    struct bootstrap_side left = {.runs = RUNS, .values = a};
    struct bootstrap_side right = {.runs = RUNS, .values = b};
    struct bootstrap_interval ratio = bootstrap_ratio(&left, &right, 0.0, false, 1);
    assert_int_equal(bootstrap_verdict(&ratio, 0.05, true), VERDICT_UNKNOWN);
    ratio = bootstrap_ratio(&left, &right, 0.0, true, 1);
    assert_int_equal(bootstrap_verdict(&ratio, 0.05, true), VERDICT_WORSE);
}

static void test_percentiles_are_pooled_not_averaged(void **state)
{
    (void)state;
    static struct histogram runs[4];
    const struct histogram *pointers[4] = {&runs[0], &runs[1], &runs[2], &runs[3]};
    for (size_t i = 0; i < 4; i++) {
        histogram_record_many(&runs[i], 100, 900);
    }
    histogram_record_many(&runs[3], 1000,
                          2); /* p99 of the pool is 100; the mean of the four p99 would be no value at all */
    struct bootstrap_side side = {.runs = 4, .histograms = pointers};
    assert_true(bootstrap_figure(&side, 99.0, 1).estimate == 100.0);
    histogram_record_many(&runs[3], 1000, 398);
    assert_true(bootstrap_figure(&side, 99.0, 1).estimate == 1000.0);
    assert_true(bootstrap_figure(&side, 85.0, 1).estimate == 100.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_server_twice_is_seldom_called_a_change),
        cmocka_unit_test(test_a_change_of_a_tenth_is_told_and_no_change_is_the_same),
        cmocka_unit_test(test_few_runs_cannot_tell),
        cmocka_unit_test(test_pairs_see_through_a_machine_that_changes),
        cmocka_unit_test(test_percentiles_are_pooled_not_averaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
