/*
 * token_bucket.h - room: a limit on how often something may happen.
 *
 * Pure; owns nothing, the clock is the caller's.
 */
#ifndef SSHECHO_TOKEN_BUCKET_H
#define SSHECHO_TOKEN_BUCKET_H

#include "sshecho/clock.h"

#include <stdbool.h>
#include <stdint.h>

/* `size` tokens arrive, evenly, in each period, and no more than `size` wait; size 0 never runs dry. */
struct token_bucket {
    double size, rate_per_s, tokens;
    mono_time at;
};
void token_bucket_init(struct token_bucket *bucket, uint64_t size, uint64_t period_s);
bool token_bucket_take(struct token_bucket *bucket, mono_time now);
/* Whether it could be taken. */
bool token_bucket_has(struct token_bucket *bucket, mono_time now);

#endif
