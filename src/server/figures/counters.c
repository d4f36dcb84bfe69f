#include "server/figures/counters.h"

#include "sshecho/log.h"

const uint64_t counters_handshake_bounds_us[COUNTERS_BUCKETS - 1] = COUNTERS_HANDSHAKE_BOUNDS_US;
const uint64_t counters_turn_bounds_us[COUNTERS_BUCKETS - 1] = COUNTERS_TURN_BOUNDS_US;

#define COUNTERS_TEXT(name, text) text,
static const char *const close_names[] = {CLOSE_REASONS(COUNTERS_TEXT)};
static const char *const refuse_names[] = {REFUSE_REASONS(COUNTERS_TEXT)};

const char *counters_close_name(enum close_reason reason)
{
    return close_names[reason];
}

const char *counters_refuse_name(enum refuse_reason reason)
{
    return refuse_names[reason];
}

void counters_observe(struct counters_histogram *h, const uint64_t bounds_us[COUNTERS_BUCKETS - 1], uint64_t value_us)
{
    unsigned bucket = 0;
    while (bucket < COUNTERS_BUCKETS - 1 && value_us > bounds_us[bucket]) {
        bucket++;
    }
    counters_add(&h->count[bucket], 1);
    counters_add(&h->sum_us, value_us);
}

/* The struct is nothing but 64-bit words: gauges first, then counters. */
#define WORDS_BEFORE(field) (offsetof(struct counters, field) / sizeof(uint64_t))

static void add_words(struct counters *into, const struct counters *from, size_t first)
{
    _Atomic uint64_t *to = (_Atomic uint64_t *)into;
    const _Atomic uint64_t *source = (const _Atomic uint64_t *)from;
    for (size_t i = first; i < sizeof *into / sizeof(uint64_t); i++) {
        counters_add(&to[i], counters_get(&source[i]));
    }
}

void counters_absorb(struct counters *into, const struct counters *from)
{
    add_words(into, from, WORDS_BEFORE(accepted));
}

void counters_sum(struct counters *into, const struct counters *from)
{
    add_words(into, from, WORDS_BEFORE(connections));
}

static uint64_t total_of(const _Atomic uint64_t *counters, unsigned count)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        total += counters_get(&counters[i]);
    }
    return total;
}

void counters_log(const struct counters *total, const char *event)
{
    log_line(LOG_INFO, event, log_u64("connections", counters_get(&total->connections)),
             log_u64("unauthenticated", counters_get(&total->unauthenticated)),
             log_u64("channels", counters_get(&total->channels)), log_u64("accepted", counters_get(&total->accepted)),
             log_u64("refused", total_of(total->refused, REFUSE_REASON_COUNT)),
             log_u64("closed", total_of(total->closed, CLOSE_REASON_COUNT)),
             log_u64("handshakes", counters_get(&total->handshakes)), log_u64("logins", counters_get(&total->logins)),
             log_u64("channels_opened", counters_get(&total->channels_opened)),
             log_u64("echoes", counters_get(&total->echoes)), log_u64("bytes_in", counters_get(&total->bytes_in)),
             log_u64("bytes_out", counters_get(&total->bytes_out)),
             log_u64("held_bytes", counters_get(&total->held_bytes)),
             log_u64("accept_pauses", counters_get(&total->accept_pauses)));
}
