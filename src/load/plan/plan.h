/*
 * plan.h - room: who does what, and when.
 *
 * All arithmetic of a run that can be done beforehand: shares of shards and threads, staggered starts,
 * message sizes. Pure; owns nothing; everything is a function of the plan and an index, so that any two machines agree
 * without talking to each other.
 */
#ifndef LOAD_PLAN_PLAN_H
#define LOAD_PLAN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- shares ---- */

/* The part of `total` that belongs to `index` of `parts`; remainders are dealt out, one each, from the front. */
uint64_t plan_share(uint64_t total, uint64_t parts, uint64_t index);
/* How many of `total` belong to those before `index`. */
uint64_t plan_share_start(uint64_t total, uint64_t parts, uint64_t index);

struct plan_shard {
    uint32_t index; /* from 0 */
    uint32_t count; /* at least 1 */
};

/* "I/N" with I from 1 to N, or "/N" with the index (from 0) taken from `environment_index`, which may be NULL.
 * Returns 0, or -1 with a sentence in `error`. */
int plan_parse_shard(const char *text, const char *environment_index, struct plan_shard *out, char *error,
                     size_t error_size);

/* ---- time ---- */

/* When operation n (from 0) of `rate` per second is due, in us after the start; exact for any n, so no drift. */
int64_t plan_due_us(uint64_t n, uint64_t rate_per_s);
/* When connection n of `total` starts within a ramp. */
int64_t plan_ramp_us(uint64_t n, uint64_t total, uint64_t ramp_us);

/* "2026-11-20T23:07:54Z" (fractions allowed) or seconds since 1970 with an optional fraction: us since 1970. */
bool plan_parse_instant(const char *text, int64_t *us_since_1970);

/* ---- message sizes ---- */

#define PLAN_SIZE_CHOICES 16
#define PLAN_SIZE_MAX ((uint64_t)16 * 1024 * 1024)

enum plan_size_kind { PLAN_SIZE_FIXED, PLAN_SIZE_RANGE, PLAN_SIZE_EXPONENTIAL, PLAN_SIZE_LIST };

/* "64", "64-1024" (uniform), "exp:512" (exponential with that mean), "64:90,32K:10" (sizes with weights). */
struct plan_size {
    enum plan_size_kind kind;
    uint64_t low, high; /* FIXED: both the size; EXPONENTIAL: low is the mean, high the cut (16 means) */
    unsigned choices;
    uint64_t sizes[PLAN_SIZE_CHOICES];
    uint64_t weights[PLAN_SIZE_CHOICES]; /* running sums */
};

int plan_parse_size(const char *text, struct plan_size *out, char *error, size_t error_size);
/* Size of message n of the channel with this seed: 1..PLAN_SIZE_MAX bytes, the same on every call. */
uint32_t plan_size_of(const struct plan_size *size, uint64_t seed, uint64_t n);

/* A well-mixed 64-bit value from `value` (SplitMix64's finaliser). */
uint64_t plan_mix(uint64_t value);

#endif
