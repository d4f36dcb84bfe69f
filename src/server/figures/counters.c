#include "server/figures/counters.h"

#include "sshecho/log.h"

const uint64_t stats_handshake_bounds_us[STATS_BUCKETS - 1] = STATS_HANDSHAKE_BOUNDS_US;
const uint64_t stats_turn_bounds_us[STATS_BUCKETS - 1] = STATS_TURN_BOUNDS_US;

#define STATS_TEXT(name, text) text,
static const char *const close_names[] = {CLOSE_REASONS(STATS_TEXT)};
static const char *const refuse_names[] = {REFUSE_REASONS(STATS_TEXT)};

const char *stats_close_name(enum close_reason reason)
{
    return close_names[reason];
}

const char *stats_refuse_name(enum refuse_reason reason)
{
    return refuse_names[reason];
}

void stats_observe(struct stats_histogram *h, const uint64_t bounds_us[STATS_BUCKETS - 1], uint64_t value_us)
{
    unsigned bucket = 0;
    while (bucket < STATS_BUCKETS - 1 && value_us > bounds_us[bucket]) {
        bucket++;
    }
    stats_add(&h->count[bucket], 1);
    stats_add(&h->sum_us, value_us);
}

/* The struct is nothing but 64-bit words: gauges first, then counters. */
#define WORDS_BEFORE(field) (offsetof(struct stats, field) / sizeof(uint64_t))

static void add_words(struct stats *into, const struct stats *from, size_t first)
{
    _Atomic uint64_t *to = (_Atomic uint64_t *)into;
    const _Atomic uint64_t *source = (const _Atomic uint64_t *)from;
    for (size_t i = first; i < sizeof *into / sizeof(uint64_t); i++) {
        stats_add(&to[i], stats_get(&source[i]));
    }
}

void stats_absorb(struct stats *into, const struct stats *from)
{
    add_words(into, from, WORDS_BEFORE(accepted));
}

void stats_sum(struct stats *into, const struct stats *from)
{
    add_words(into, from, WORDS_BEFORE(connections));
}

static uint64_t total_of(const _Atomic uint64_t *counters, unsigned count)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        total += stats_get(&counters[i]);
    }
    return total;
}

void stats_log(const struct stats *total, const char *event)
{
    log_line(LOG_INFO, event, log_u64("connections", stats_get(&total->connections)),
             log_u64("unauthenticated", stats_get(&total->unauthenticated)),
             log_u64("channels", stats_get(&total->channels)), log_u64("accepted", stats_get(&total->accepted)),
             log_u64("refused", total_of(total->refused, REFUSE_REASON_COUNT)),
             log_u64("closed", total_of(total->closed, CLOSE_REASON_COUNT)),
             log_u64("handshakes", stats_get(&total->handshakes)), log_u64("logins", stats_get(&total->logins)),
             log_u64("channels_opened", stats_get(&total->channels_opened)),
             log_u64("echoes", stats_get(&total->echoes)), log_u64("bytes_in", stats_get(&total->bytes_in)),
             log_u64("bytes_out", stats_get(&total->bytes_out)), log_u64("held_bytes", stats_get(&total->held_bytes)),
             log_u64("accept_pauses", stats_get(&total->accept_pauses)));
}
