#include "load/tools/bootstrap.h"

#include "load/plan/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DRAWS 4000

/* Student's t, two-sided, for 1, 2, ... degrees of freedom; beyond the table the normal value is close enough. */
static const double student_95[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                                    2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                                    2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
static const double student_99[] = {63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169,
                                    3.106,  3.055, 3.012, 2.977, 2.947, 2.921, 2.898, 2.878, 2.861, 2.845,
                                    2.831,  2.819, 2.807, 2.797, 2.787, 2.779, 2.771, 2.763, 2.756, 2.750};
#define STUDENT (sizeof student_95 / sizeof student_95[0])

/* The share of draws to leave out at each end. Plain percentiles of the draws are too narrow for few runs; with this
 * share they are as wide as Student's interval would be for a mean. */
static double tail_of(size_t runs, const double *student, double normal)
{
    size_t freedom = runs - 1;
    double t = freedom <= STUDENT ? student[freedom - 1] : normal;
    return 0.5 * erfc(t * sqrt((double)runs / (double)freedom) / sqrt(2.0));
}

/* A set of runs ready to be drawn from: histograms as a table of their filled slots. */
struct pool {
    size_t runs;
    const double *values;
    size_t slots;
    uint32_t *slot; /* [slots], rising */
    uint64_t *upto; /* [slots][runs]: values of the run in this slot and those below, so that a draw is a search */
    double percentile;
};

static void pool_free(struct pool *pool)
{
    free(pool->slot);
    free(pool->upto);
}

static bool pool_fill(struct pool *pool, const struct bootstrap_side *side, double percentile)
{
    *pool = (struct pool){.runs = side->runs, .values = side->values, .percentile = percentile};
    if (side->values != NULL) {
        return true;
    }
    bool *filled = calloc(HISTOGRAM_SLOTS, sizeof *filled);
    for (size_t run = 0; filled != NULL && run < side->runs; run++) {
        for (uint32_t i = 0; i < HISTOGRAM_SLOTS; i++) {
            pool->slots += side->histograms[run]->counts[i] > 0 && !filled[i] ? 1 : 0;
            filled[i] = filled[i] || side->histograms[run]->counts[i] > 0;
        }
    }
    pool->slot = calloc(pool->slots + 1, sizeof *pool->slot);
    pool->upto = calloc(pool->slots * side->runs + 1, sizeof *pool->upto);
    bool good = filled != NULL && pool->slot != NULL && pool->upto != NULL;
    for (uint32_t i = 0, at = 0; good && i < HISTOGRAM_SLOTS; i++) {
        if (filled[i]) {
            pool->slot[at] = i;
            for (size_t run = 0; run < side->runs; run++) {
                uint64_t below = at == 0 ? 0 : pool->upto[(at - 1) * side->runs + run];
                pool->upto[at * side->runs + run] = below + side->histograms[run]->counts[i];
            }
            at++;
        }
    }
    free(filled);
    return good;
}

static uint64_t drawn_upto(const struct pool *pool, const uint32_t *times, size_t slot)
{
    uint64_t sum = 0;
    for (size_t run = 0; run < pool->runs; run++) {
        sum += pool->upto[slot * pool->runs + run] * times[run];
    }
    return sum;
}

/* The figure of a draw: how often each run is in it. NaN when there is none. */
static double figure_of(const struct pool *pool, const uint32_t *times)
{
    if (pool->values != NULL) {
        double sum = 0.0;
        uint32_t drawn = 0;
        for (size_t run = 0; run < pool->runs; run++) {
            sum += pool->values[run] * (double)times[run];
            drawn += times[run];
        }
        return drawn == 0 ? NAN : sum / (double)drawn;
    }
    uint64_t total = pool->slots == 0 ? 0 : drawn_upto(pool, times, pool->slots - 1);
    if (total == 0) {
        return NAN;
    }
    double exact = pool->percentile / 100.0 * (double)total;
    uint64_t rank = (uint64_t)ceil(exact - exact * 1e-13);
    size_t low = 0;
    size_t high = pool->slots - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (drawn_upto(pool, times, middle) >= rank) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return ((double)histogram_slot_low(pool->slot[low]) + (double)histogram_slot_high(pool->slot[low])) / 2.0;
}

static void draw(uint32_t *times, size_t runs, uint64_t seed, uint64_t *drawn)
{
    memset(times, 0, runs * sizeof *times);
    for (size_t i = 0; i < runs; i++) {
        times[plan_mix(seed ^ plan_mix((*drawn)++)) % runs]++;
    }
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

static double once_each(const struct pool *pool, uint32_t *times)
{
    for (size_t i = 0; i < pool->runs; i++) {
        times[i] = 1;
    }
    return figure_of(pool, times);
}

/* b is NULL for a side by itself. */
static struct bootstrap_interval interval_of(const struct pool *a, const struct pool *b, bool paired, uint64_t seed)
{
    static uint32_t times_a[BOOTSTRAP_RUNS_MAX];
    static uint32_t times_b[BOOTSTRAP_RUNS_MAX];
    static double drawn[DRAWS];
    struct bootstrap_interval out = {
        .estimate = once_each(a, times_a), .low = NAN, .high = NAN, .low_99 = NAN, .high_99 = NAN};
    size_t fewest = a->runs;
    if (b != NULL) {
        out.estimate = once_each(b, times_b) / out.estimate;
        fewest = b->runs < fewest ? b->runs : fewest;
    }
    if (!isfinite(out.estimate) || fewest < BOOTSTRAP_RUNS_MIN) {
        return out;
    }
    uint64_t counter = 0;
    size_t count = 0;
    for (int i = 0; i < DRAWS; i++) {
        draw(times_a, a->runs, seed, &counter);
        double value = figure_of(a, times_a);
        if (b != NULL) {
            if (!paired) {
                draw(times_b, b->runs, seed, &counter);
            }
            value = figure_of(b, paired ? times_a : times_b) / value;
        }
        if (isfinite(value)) {
            drawn[count++] = value;
        }
    }
    if (count < DRAWS) {
        return out; /* some draws had nothing in them: what there is does not carry an interval */
    }
    qsort(drawn, count, sizeof drawn[0], by_value);
    size_t left_out = (size_t)(tail_of(fewest, student_95, 1.960) * (double)count);
    out.low = drawn[left_out];
    out.high = drawn[count - 1 - left_out];
    left_out = (size_t)(tail_of(fewest, student_99, 2.576) * (double)count);
    out.low_99 = drawn[left_out];
    out.high_99 = drawn[count - 1 - left_out];
    return out;
}

struct bootstrap_interval bootstrap_ratio(const struct bootstrap_side *a, const struct bootstrap_side *b,
                                          double percentile, bool paired, uint64_t seed)
{
    struct pool pool_a;
    struct pool pool_b;
    struct bootstrap_interval out = {NAN, NAN, NAN, NAN, NAN};
    bool good = pool_fill(&pool_a, a, percentile);
    good = pool_fill(&pool_b, b, percentile) && good;
    if (good && a->runs > 0 && b->runs > 0 && a->runs <= BOOTSTRAP_RUNS_MAX && b->runs <= BOOTSTRAP_RUNS_MAX) {
        out = interval_of(&pool_a, &pool_b, paired && a->runs == b->runs, seed);
    }
    pool_free(&pool_a);
    pool_free(&pool_b);
    return out;
}

struct bootstrap_interval bootstrap_figure(const struct bootstrap_side *side, double percentile, uint64_t seed)
{
    struct pool pool;
    struct bootstrap_interval out = {NAN, NAN, NAN, NAN, NAN};
    if (pool_fill(&pool, side, percentile) && side->runs > 0 && side->runs <= BOOTSTRAP_RUNS_MAX) {
        out = interval_of(&pool, NULL, false, seed);
    }
    pool_free(&pool);
    return out;
}

enum verdict bootstrap_verdict(const struct bootstrap_interval *ratio, double tolerance, bool less_is_better)
{
    if (isnan(ratio->low) || isnan(ratio->high)) {
        return VERDICT_UNKNOWN;
    }
    if (ratio->low > 1.0 + tolerance && ratio->low_99 > 1.0) {
        return less_is_better ? VERDICT_WORSE : VERDICT_BETTER;
    }
    if (ratio->high < 1.0 - tolerance && ratio->high_99 < 1.0) {
        return less_is_better ? VERDICT_BETTER : VERDICT_WORSE;
    }
    return ratio->low >= 1.0 - tolerance && ratio->high <= 1.0 + tolerance ? VERDICT_SAME : VERDICT_UNKNOWN;
}

const char *bootstrap_verdict_name(enum verdict verdict)
{
    static const char *const names[] = {"same", "better", "worse", "cannot tell"};
    return names[verdict];
}
