#include "load/result/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
