/*
 * rate.h - room: the shape of the load.
 *
 * A profile of rates over time ("0..5000 over 30s, 5000 for 1m, spike 20000 for 5s") and the pattern of arrivals within
 * it. What is asked of it is answered by arithmetic in whole numbers: how many operations were due until a time, and
 * when operation n is, so that nothing drifts and any two threads, shards or machines agree. Pure.
 */
#ifndef LOAD_PLAN_RATE_H
#define LOAD_PLAN_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sshecho/wide.h"

#define PLAN_RATE_MAX UINT64_C(100000000)
#define PLAN_RATE_PARTS 24 /* that a text may have */
#define PLAN_RATE_SLOPE 4  /* slices that a slope is looked at in, each by itself */
#define PLAN_RATE_SLICES (PLAN_RATE_PARTS * PLAN_RATE_SLOPE + 1)
/* Poisson arrivals: so many operations at a time keep to the profile exactly; within them chance rules. */
#define PLAN_RATE_BLOCK 256

/* Operations are counted in units of a two-millionth: the sum of all that a profile of whole rates and whole us can
 * hold is a whole number of them. */
#define PLAN_OPERATION 2000000U

struct plan_rate_part {
    int64_t begin_us, length_us; /* after the start of traffic; the last has no end: length 0 */
    uint64_t from_per_s, to_per_s;
    wide before; /* units due before it began */
    unsigned first_slice, slices;
};

struct plan_rate {
    unsigned count; /* of parts; 0: no rate, a closed loop */
    unsigned slices;
    struct plan_rate_part parts[PLAN_RATE_PARTS + 1];
    bool open; /* the text names a rate that has no end */
    bool poisson;
    uint64_t seed;
};

/* The block of Poisson arrivals that was asked for last; zeroed before its first use. */
struct plan_rate_block {
    uint64_t number; /* plus one; 0: none */
    uint32_t offsets[PLAN_RATE_BLOCK];
};

/* "off", "500", or parts joined by commas: "A..B over TIME", "A for TIME", "spike A for TIME" (and then as before it),
 * last perhaps "A". When the last part is over, its rate stays. 0, or -1 with a sentence. */
int plan_rate_parse(const char *text, struct plan_rate *out, char *error, size_t error_size);
struct plan_rate plan_rate_even(uint64_t per_s);

/* One rate for ever: how many a second; 0 for a profile, or for none. */
uint64_t plan_rate_plain(const struct plan_rate *rate);
/* Length of all parts that have one. */
uint64_t plan_rate_length_us(const struct plan_rate *rate);
/* Operations in all; UINT64_MAX: no end of them. */
uint64_t plan_rate_total(const struct plan_rate *rate);

/* When operation n (from 0) is due, us after the start; INT64_MAX: never. `block` is kept by whoever asks often. */
int64_t plan_rate_due_us(const struct plan_rate *rate, uint64_t n, struct plan_rate_block *block);
/* The first n that is due at or after `us`. */
uint64_t plan_rate_first_due_at(const struct plan_rate *rate, int64_t us);
/* Which slice this time lies in, and which part of the text a slice belongs to. */
unsigned plan_rate_slice_at(const struct plan_rate *rate, int64_t us);
unsigned plan_rate_part_of(const struct plan_rate *rate, unsigned slice);

#endif
