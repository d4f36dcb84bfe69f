/*
 * histogram.h - room: the latency histogram.
 *
 * Log-linear (HDR) buckets: 3 significant digits from 1 to 3.6e9 (1 us to 1 h when values are microseconds).
 * Larger values are counted in the last bucket and in `above_range`; zero counts as 1. Merging adds counts and never
 * averages percentiles. Pure. The struct is the owner's, by value or malloc'd (about 190 KiB); one writer at a time.
 */
#ifndef SSHECHO_HISTOGRAM_H
#define SSHECHO_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_MAX_VALUE INT64_C(3600000000)
#define HISTOGRAM_SUB_BITS 11 /* 2048 sub-buckets: relative error below 1/1024, three significant digits */
#define HISTOGRAM_SUB_COUNT (1 << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_SUB_HALF (HISTOGRAM_SUB_COUNT / 2)
#define HISTOGRAM_TIERS 22 /* 2^(11+21) = 4.29e9 > HISTOGRAM_MAX_VALUE */
#define HISTOGRAM_SLOTS ((HISTOGRAM_TIERS + 1) * HISTOGRAM_SUB_HALF)

struct histogram {
    uint64_t total;
    uint64_t above_range;
    int64_t min; /* 0 when empty; exact, not bucketed */
    int64_t max;
    double sum;         /* of exact values */
    double sum_squares; /* of exact values */
    uint64_t counts[HISTOGRAM_SLOTS];
};

void histogram_reset(struct histogram *h);
void histogram_record(struct histogram *h, int64_t value);
void histogram_record_many(struct histogram *h, int64_t value, uint64_t times);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value that `percentile` (0..100) of the recorded values do not exceed, to 3 significant digits; 0 when empty. */
int64_t histogram_percentile(const struct histogram *h, double percentile);
double histogram_mean(const struct histogram *h);
double histogram_stddev(const struct histogram *h);

/* Slot arithmetic, for writing buckets to a file and reading them back. */
uint32_t histogram_slot_of(int64_t value);
int64_t histogram_slot_low(uint32_t slot);  /* smallest value of the slot */
int64_t histogram_slot_high(uint32_t slot); /* largest value of the slot */

#endif
