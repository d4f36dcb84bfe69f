#include "sshecho/histogram.h"

#include <math.h>
#include <string.h>

/* Tier 0 counts 0..2047 one by one; each further tier covers the next power of two with HALF slots of double width. */

static uint32_t slot_in_range(uint32_t slot)
{
    return slot < HISTOGRAM_SLOTS ? slot : HISTOGRAM_SLOTS - 1;
}

static unsigned tier_of_slot(uint32_t slot)
{
    return slot < HISTOGRAM_SUB_COUNT ? 0 : slot / HISTOGRAM_SUB_HALF - 1;
}

uint32_t histogram_slot_of(int64_t value)
{
    if (value < 1) {
        value = 1;
    }
    if (value > HISTOGRAM_MAX_VALUE) {
        value = HISTOGRAM_MAX_VALUE;
    }
    uint64_t bits = (uint64_t)value | (HISTOGRAM_SUB_COUNT - 1);
    unsigned tier = 64U - (unsigned)__builtin_clzll(bits) - HISTOGRAM_SUB_BITS;
    return (uint32_t)((uint64_t)tier * HISTOGRAM_SUB_HALF + ((uint64_t)value >> tier));
}

int64_t histogram_slot_low(uint32_t slot)
{
    slot = slot_in_range(slot);
    unsigned tier = tier_of_slot(slot);
    return (int64_t)((uint64_t)(slot - tier * HISTOGRAM_SUB_HALF) << tier);
}

int64_t histogram_slot_high(uint32_t slot)
{
    slot = slot_in_range(slot);
    return histogram_slot_low(slot) + (INT64_C(1) << tier_of_slot(slot)) - 1;
}

void histogram_reset(struct histogram *h)
{
    (void)memset(h, 0, sizeof *h);
}

void histogram_record_many(struct histogram *h, int64_t value, uint64_t times)
{
    if (times == 0) {
        return;
    }
    if (value < 1) {
        value = 1;
    }
    h->counts[histogram_slot_of(value)] += times;
    if (value > HISTOGRAM_MAX_VALUE) {
        h->above_range += times;
    }
    if (h->total == 0 || value < h->min) {
        h->min = value;
    }
    if (value > h->max) {
        h->max = value;
    }
    h->total += times;
    double exact = (double)value;
    h->sum += exact * (double)times;
    h->sum_squares += exact * exact * (double)times;
}

void histogram_record(struct histogram *h, int64_t value)
{
    histogram_record_many(h, value, 1);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    if (from->total == 0) {
        return;
    }
    if (into->total == 0 || from->min < into->min) {
        into->min = from->min;
    }
    if (from->max > into->max) {
        into->max = from->max;
    }
    into->total += from->total;
    into->above_range += from->above_range;
    into->sum += from->sum;
    into->sum_squares += from->sum_squares;
    for (uint32_t slot = 0; slot < HISTOGRAM_SLOTS; slot++) {
        into->counts[slot] += from->counts[slot];
    }
}

/* How many of the values, in rising order, make up the percentile: at least one, at most all. */
static uint64_t rank_of(const struct histogram *h, double percentile)
{
    double exact = percentile / 100.0 * (double)h->total;
    /* 99.9 is not a binary number: without the allowance 99.9 % of 1000 would become value 1000, not 999. */
    double rank = ceil(exact - exact * 1e-13);
    if (!(rank >= 1)) {
        return 1;
    }
    return rank < (double)h->total ? (uint64_t)rank : h->total;
}

int64_t histogram_percentile(const struct histogram *h, double percentile)
{
    if (h->total == 0) {
        return 0;
    }
    if (!(percentile > 0)) {
        return h->min;
    }
    uint64_t rank = rank_of(h, percentile);
    if (rank == h->total || rank > h->total - h->above_range) {
        return h->max; /* exact, and the only thing known about values above the range */
    }
    uint64_t seen = 0;
    for (uint32_t slot = 0; slot < HISTOGRAM_SLOTS; slot++) {
        seen += h->counts[slot];
        if (seen >= rank) {
            int64_t high = histogram_slot_high(slot);
            return high < h->max ? high : h->max;
        }
    }
    return h->max;
}

double histogram_mean(const struct histogram *h)
{
    return h->total == 0 ? 0 : h->sum / (double)h->total;
}

double histogram_stddev(const struct histogram *h)
{
    if (h->total == 0) {
        return 0;
    }
    double mean = histogram_mean(h);
    double variance = h->sum_squares / (double)h->total - mean * mean;
    return variance > 0 ? sqrt(variance) : 0; /* rounding can leave a tiny negative number */
}
