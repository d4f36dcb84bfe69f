#include "load/result/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/result/result_format.h"

int result_init(struct result *result)
{
    *result = (struct result){.start_skew_us = RESULT_SKEW_NONE,
                              .processes = 1,
                              .shards_merged = 1,
                              .shard_index = 1,
                              .shard_count = 1,
                              .server = SERVER_USE_NONE};
    return tally_init(&result->tally);
}

void result_free(struct result *result)
{
    tally_free(&result->tally);
    timeline_free(&result->timeline);
    json_decref(result->about);
    result->about = NULL;
}

double result_echoes_per_s(const struct result *result)
{
    return result->seconds > 0.0 ? (double)result->tally.echoes / result->seconds : 0.0;
}

double result_mb_per_s(const struct result *result)
{
    return result->seconds > 0.0 ? (double)result->tally.bytes / 1e6 / result->seconds : 0.0;
}

double result_handshakes_per_s(const struct result *result)
{
    if (strcmp(result->mode, "connect") == 0) {
        return result->seconds > 0.0 ? (double)result->tally.connects_in_measure / result->seconds : 0.0;
    }
    return result->ramp_s > 0.0 ? (double)result->tally.connects_in_ramp / result->ramp_s : 0.0;
}

uint64_t result_errors(const struct result *result)
{
    return fault_total(&result->tally.faults);
}

struct result_figures result_figures_of(const struct histogram *histogram)
{
    return (struct result_figures){
        .count = histogram->total,
        .p50 = (double)histogram_percentile(histogram, 50.0),
        .p90 = (double)histogram_percentile(histogram, 90.0),
        .p99 = (double)histogram_percentile(histogram, 99.0),
        .p99_9 = (double)histogram_percentile(histogram, 99.9),
        .max = (double)histogram->max,
        .mean = histogram_mean(histogram),
    };
}

bool result_is_window_limited(const struct result *result)
{
    const struct tally *tally = &result->tally;
    if (strcmp(result->mode, "stream") != 0 || tally->window_limit_bytes_per_s <= 0.0 || result->seconds <= 0.0) {
        return false;
    }
    return tally->stops_at_window > tally->stops_at_output &&
           (double)tally->bytes / result->seconds > 0.5 * tally->window_limit_bytes_per_s;
}

bool result_adds_up(const struct result *result)
{
    const struct tally *t = &result->tally;
    return t->started == t->ok + t->failed + t->timed_out + t->unfinished;
}

bool result_is_bad(const struct result *result)
{
    const struct tally *t = &result->tally;
    return t->started == 0 || result_errors(result) > 0 || t->failed + t->timed_out + t->unfinished > 0 ||
           !result_adds_up(result);
}

/* ---- the names in a result file ---- */

const char *const result_histogram_names[HISTOGRAM_COUNT] = {
    [HISTOGRAM_LATENCY] = "latency_us",
    [HISTOGRAM_UNCORRECTED] = "latency_uncorrected_us",
    [HISTOGRAM_SLIP] = "schedule_slip_us",
    [HISTOGRAM_CONNECTION_KB] = "connection_kb",
    [HISTOGRAM_HANDSHAKE] = "handshake_us",
    [HISTOGRAM_HANDSHAKE_PARTS + (int) TALLY_TCP] = "handshake_tcp_us",
    [HISTOGRAM_HANDSHAKE_PARTS + (int) TALLY_BANNER_KEX] = "handshake_banner_kex_us",
    [HISTOGRAM_HANDSHAKE_PARTS + (int) TALLY_AUTH] = "handshake_auth_us",
    [HISTOGRAM_HANDSHAKE_PARTS + (int) TALLY_CHANNEL] = "handshake_channel_us",
    [HISTOGRAM_HANDSHAKE_PARTS + (int) TALLY_FIRST_ECHO] = "handshake_first_echo_us",
};

const char *const result_phase_names[TALLY_PHASES] = {"tcp", "banner_kex", "auth", "channel", "first_echo"};

#define COUNTER(field)                                                                                                 \
    {                                                                                                                  \
        .name = #field, .offset = offsetof(struct tally, field)                                                        \
    }
#define LATER(field)                                                                                                   \
    {                                                                                                                  \
        .name = #field, .offset = offsetof(struct tally, field), .optional = true                                      \
    }
const struct result_counter result_counters[] = {
    COUNTER(started),          COUNTER(ok),
    COUNTER(failed),           COUNTER(timed_out),
    COUNTER(unfinished),       LATER(censored),
    COUNTER(echoes),           COUNTER(bytes),
    COUNTER(sessions_up),      COUNTER(sessions_lost),
    COUNTER(connects_tried),   COUNTER(connects_up),
    COUNTER(connects_in_ramp), COUNTER(connects_in_measure),
    COUNTER(sessions_up_max),  COUNTER(messages_rekeyed),
    COUNTER(stops_at_window),  COUNTER(stops_at_output),
    LATER(sessions_held),      LATER(sessions_pinged),
};
const size_t result_counter_count = sizeof result_counters / sizeof result_counters[0];

#define TEXT(field)                                                                                                    \
    {                                                                                                                  \
#field, offsetof(struct tally_negotiated, field), sizeof((struct tally_negotiated *)0)->field                  \
    }
const struct result_text result_texts[] = {TEXT(banner),    TEXT(kex),     TEXT(host_key), TEXT(cipher_out),
                                           TEXT(cipher_in), TEXT(mac_out), TEXT(mac_in)};
const size_t result_text_count = sizeof result_texts / sizeof result_texts[0];
