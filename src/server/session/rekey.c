#include "server/session/rekey.h"

/* libssh begins one when the limit would be passed by the packet it is about to send, and rounds. */
#define NEXT_PACKET_BYTES 35000U
#define NEXT_MOMENT_US (50 * US_PER_MS)

/* What RFC 4253 and libssh allow under one key, whatever the configuration says. */
#define LIMIT_MAX_BYTES (UINT64_C(1) << 30)

void rekey_init(struct rekey *rekey, const struct config *config, mono_time now)
{
    *rekey = (struct rekey){.interval_us = config->rekey_interval_us, .keys_at = now};
    rekey->limit_bytes =
        config->rekey_bytes != 0 && config->rekey_bytes < LIMIT_MAX_BYTES ? config->rekey_bytes : LIMIT_MAX_BYTES;
    token_bucket_init(&rekey->clients, config->client_rekey_rate, 60);
}

void rekey_every(struct rekey *rekey, uint64_t limit_bytes)
{
    rekey->limit_bytes = limit_bytes;
    rekey->forced = true;
}

void rekey_asked_for(struct rekey *rekey)
{
    rekey->forced = true;
}

static bool was_due(const struct rekey *rekey, uint64_t bytes_in, uint64_t bytes_out, mono_time now)
{
    uint64_t in = bytes_in - rekey->bytes_in_mark;
    uint64_t out = bytes_out - rekey->bytes_out_mark;
    return rekey->forced || (in > out ? in : out) + NEXT_PACKET_BYTES >= rekey->limit_bytes ||
           (rekey->interval_us != 0 &&
            mono_us_between(rekey->keys_at, now) + NEXT_MOMENT_US >= (int64_t)rekey->interval_us);
}

void rekey_first_keys(struct rekey *rekey, uint64_t bytes_in, uint64_t bytes_out, mono_time now)
{
    rekey->bytes_in_mark = bytes_in;
    rekey->bytes_out_mark = bytes_out;
    rekey->keys_at = now;
    rekey->forced = false;
}

void rekey_begins(struct rekey *rekey, uint64_t bytes_in, uint64_t bytes_out, mono_time now)
{
    rekey->ours = was_due(rekey, bytes_in, bytes_out, now);
    rekey->bytes_out_at_begin = bytes_out;
    rekey->began_at = now;
    rekey->under_way = true;
}

bool rekey_done(struct rekey *rekey, uint64_t bytes_in, uint64_t bytes_out, mono_time now)
{
    if (!rekey->under_way) {
        rekey_begins(rekey, bytes_in, bytes_out, now);
    }
    rekey->under_way = false;
    rekey->bytes_in = bytes_in - rekey->bytes_in_mark;
    rekey->bytes_out = rekey->bytes_out_at_begin - rekey->bytes_out_mark;
    rekey->count++;
    rekey_first_keys(rekey, bytes_in, rekey->bytes_out_at_begin, rekey->began_at);
    return rekey->ours || token_bucket_take(&rekey->clients, now);
}
