#include "sshecho/token_bucket.h"

void token_bucket_init(struct token_bucket *bucket, uint64_t size, uint64_t period_s)
{
    *bucket = (struct token_bucket){
        .size = (double)size, .rate_per_s = (double)size / (double)period_s, .tokens = (double)size, .at = mono_now()};
}

bool token_bucket_has(struct token_bucket *bucket, mono_time now)
{
    if (bucket->size < 1.0) {
        return true;
    }
    bucket->tokens += mono_s_between(bucket->at, now) * bucket->rate_per_s;
    bucket->at = now;
    if (bucket->tokens > bucket->size) {
        bucket->tokens = bucket->size;
    }
    return bucket->tokens >= 1.0;
}

bool token_bucket_take(struct token_bucket *bucket, mono_time now)
{
    bool has = token_bucket_has(bucket, now);
    bucket->tokens -= has && bucket->size >= 1.0 ? 1.0 : 0.0;
    return has;
}
