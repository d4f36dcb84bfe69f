/* Tests of the room of histogram.h, against exact quantiles of the same data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>

#include "sshecho/histogram.h"

#define SAMPLES 20000

static const double percentiles[] = {0.1, 1, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100};
#define N_PERCENTILES (sizeof percentiles / sizeof percentiles[0])

static int setup(void **state)
{
    *state = malloc(2 * sizeof(struct histogram));
    if (!*state)
        return -1;
    histogram_reset(*state);
    histogram_reset((struct histogram *)*state + 1);
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* The smallest of the sorted values that `percentile` of them do not exceed; in integers, percentile has 2 decimals. */
static int64_t exact_percentile(const int64_t *sorted, size_t count, double percentile)
{
    uint64_t hundredths = (uint64_t)llround(percentile * 100);
    uint64_t rank = ((uint64_t)count * hundredths + 9999) / 10000;
    return sorted[rank > 0 ? rank - 1 : 0];
}

static void check_against_exact(struct histogram *h, int64_t *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i];
    double mean = sum / (double)count;
    double squares = 0;
    for (size_t i = 0; i < count; i++)
        squares += ((double)values[i] - mean) * ((double)values[i] - mean);
    qsort(values, count, sizeof *values, compare);
    for (size_t i = 0; i < N_PERCENTILES; i++) {
        int64_t exact = exact_percentile(values, count, percentiles[i]);
        int64_t found = histogram_percentile(h, percentiles[i]);
        if (found < exact || (double)(found - exact) > (double)exact / 1024.0)
            fail_msg("p%g is %lld, exactly %lld", percentiles[i], (long long)found, (long long)exact);
    }
    assert_int_equal(h->total, count);
    assert_int_equal(h->min, values[0]);
    assert_int_equal(h->max, values[count - 1]);
    assert_int_equal(histogram_percentile(h, 0), values[0]);
    assert_int_equal(histogram_percentile(h, 100), values[count - 1]);
    assert_true(fabs(histogram_mean(h) - mean) <= mean * 1e-9);
    double stddev = sqrt(squares / (double)count);
    assert_true(fabs(histogram_stddev(h) - stddev) <= stddev * 1e-6 + 1e-6);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 11;
}

enum shape { SHAPE_UNIFORM, SHAPE_LONG_TAIL, SHAPE_TWO_PEAKS };

static int64_t draw(enum shape shape, uint64_t *random)
{
    double unit = (double)next_random(random) / (double)(UINT64_C(1) << 53);
    if (shape == SHAPE_UNIFORM)
        return 1 + (int64_t)(unit * 1e6);
    if (shape == SHAPE_LONG_TAIL)
        return 1 + (int64_t)(100.0 / pow(1.0 - unit, 1.2)) % HISTOGRAM_MAX_VALUE;
    return unit < 0.97 ? 50 + (int64_t)(next_random(random) % 20) : 2000000 + (int64_t)(next_random(random) % 5000);
}

static void percentiles_match_exact_ones(void **state)
{
    struct histogram *h = *state;
    static int64_t values[SAMPLES];
    for (enum shape shape = SHAPE_UNIFORM; shape <= SHAPE_TWO_PEAKS; shape++) {
        uint64_t random = 42;
        histogram_reset(h);
        for (size_t i = 0; i < SAMPLES; i++) {
            values[i] = draw(shape, &random);
            histogram_record(h, values[i]);
        }
        check_against_exact(h, values, SAMPLES);
    }
}

static void small_counts_are_exact(void **state)
{
    struct histogram *h = *state;
    for (int64_t value = 1; value <= 1000; value++)
        histogram_record(h, value);
    assert_int_equal(histogram_percentile(h, 50), 500);
    assert_int_equal(histogram_percentile(h, 90), 900);
    assert_int_equal(histogram_percentile(h, 99), 990);
    assert_int_equal(histogram_percentile(h, 99.9), 999);
    assert_int_equal(histogram_percentile(h, 100), 1000);
    assert_int_equal(histogram_percentile(h, 150), 1000);
    assert_int_equal(histogram_percentile(h, -5), 1);
    assert_int_equal(histogram_percentile(h, NAN), 1);
    assert_true(fabs(histogram_mean(h) - 500.5) < 1e-9);
}

static void an_empty_one_says_zero(void **state)
{
    struct histogram *h = *state;
    assert_int_equal(histogram_percentile(h, 99), 0);
    assert_true(histogram_mean(h) == 0 && histogram_stddev(h) == 0);
    histogram_record_many(h, 5, 0);
    assert_int_equal(h->total, 0);
    assert_int_equal(h->min, 0);
}

static void one_value_is_every_percentile(void **state)
{
    struct histogram *h = *state;
    histogram_record_many(h, 1234567, 10); /* not the edge of its bucket: the maximum narrows it down */
    for (size_t i = 0; i < N_PERCENTILES; i++)
        assert_int_equal(histogram_percentile(h, percentiles[i]), 1234567);
    assert_true(histogram_stddev(h) < 1e-3);
}

static void values_outside_the_range_are_kept(void **state)
{
    struct histogram *h = *state;
    histogram_record(h, 0);
    histogram_record(h, -7);
    assert_int_equal(h->counts[1], 2);
    assert_int_equal(h->min, 1);
    histogram_record_many(h, HISTOGRAM_MAX_VALUE + 1, 2);
    histogram_record(h, INT64_MAX / 4);
    assert_int_equal(h->above_range, 3);
    assert_int_equal(h->total, 5);
    assert_int_equal(h->counts[histogram_slot_of(HISTOGRAM_MAX_VALUE)], 3);
    assert_int_equal(histogram_percentile(h, 40), 1);
    assert_int_equal(histogram_percentile(h, 60), INT64_MAX / 4);
}

static void merging_equals_recording_in_one(void **state)
{
    struct histogram *parts = *state;
    static int64_t values[SAMPLES];
    uint64_t random = 7;
    struct histogram *whole = malloc(sizeof *whole);
    assert_non_null(whole);
    histogram_reset(whole);
    for (size_t i = 0; i < SAMPLES; i++) {
        values[i] = draw(SHAPE_LONG_TAIL, &random);
        histogram_record(&parts[i % 3 == 0 ? 1 : 0], values[i]);
        histogram_record(whole, values[i]);
    }
    histogram_record(&parts[1], HISTOGRAM_MAX_VALUE * 2);
    histogram_record(whole, HISTOGRAM_MAX_VALUE * 2);
    histogram_merge(&parts[0], &parts[1]);
    assert_int_equal(parts[0].total, whole->total);
    assert_int_equal(parts[0].above_range, whole->above_range);
    assert_int_equal(parts[0].min, whole->min);
    assert_int_equal(parts[0].max, whole->max);
    assert_memory_equal(parts[0].counts, whole->counts, sizeof whole->counts);
    assert_true(fabs(histogram_mean(&parts[0]) - histogram_mean(whole)) <= histogram_mean(whole) * 1e-12);

    histogram_reset(&parts[1]); /* empty into full and full into empty change nothing */
    histogram_merge(&parts[0], &parts[1]);
    assert_int_equal(parts[0].min, whole->min);
    histogram_merge(&parts[1], whole);
    assert_memory_equal(&parts[1], whole, sizeof *whole);
    free(whole);
}

static void slots_cover_the_range_without_gaps(void **state)
{
    (void)state;
    int64_t expected = 0;
    for (uint32_t slot = 0; slot < HISTOGRAM_SLOTS; slot++) {
        int64_t low = histogram_slot_low(slot);
        int64_t high = histogram_slot_high(slot);
        assert_int_equal(low, expected);
        assert_true(high >= low);
        assert_true((double)(high - low) <= (double)low / 1024.0); /* three significant digits */
        if (low >= 1 && high <= HISTOGRAM_MAX_VALUE) {
            assert_int_equal(histogram_slot_of(low), slot);
            assert_int_equal(histogram_slot_of(high), slot);
            assert_int_equal(histogram_slot_of(low + (high - low) / 2), slot);
        }
        expected = high + 1;
    }
    assert_true(expected > HISTOGRAM_MAX_VALUE);
    assert_int_equal(histogram_slot_of(INT64_MAX), histogram_slot_of(HISTOGRAM_MAX_VALUE));
    assert_int_equal(histogram_slot_of(0), 1);
    assert_int_equal(histogram_slot_low(UINT32_MAX), histogram_slot_low(HISTOGRAM_SLOTS - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(percentiles_match_exact_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(small_counts_are_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_one_says_zero, setup, teardown),
        cmocka_unit_test_setup_teardown(one_value_is_every_percentile, setup, teardown),
        cmocka_unit_test_setup_teardown(values_outside_the_range_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(merging_equals_recording_in_one, setup, teardown),
        cmocka_unit_test(slots_cover_the_range_without_gaps),
    };
    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
