#include "load/result/result.h"

#include "load/result/verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int result_init(struct result *result)
{
    *result =
        (struct result){.start_skew_us = RESULT_SKEW_NONE, .shards_merged = 1, .shard_index = 1, .shard_count = 1};
    return tally_init(&result->tally);
}

void result_free(struct result *result)
{
    tally_free(&result->tally);
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

bool result_is_client_bound(const struct result *result)
{
    return verdict_client_bound(result, NULL, NULL) > 0;
}

bool result_is_sustained(const struct result *result)
{
    return verdict_offered(result).sustained;
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

const char *result_unfit(const struct result *result)
{
    if (result->tally.started == 0) {
        return "nothing was measured";
    }
    if (result->interrupted) {
        return "interrupted";
    }
    if (result->tally.unfinished > 0) {
        return "unfinished";
    }
    if (result_is_client_bound(result)) {
        return "client-bound";
    }
    return result_is_sustained(result) ? NULL : "its load was not sustained";
}

bool result_is_bad(const struct result *result)
{
    const struct tally *t = &result->tally;
    return t->started == 0 || result_errors(result) > 0 || t->failed + t->timed_out + t->unfinished > 0 ||
           !result_adds_up(result);
}

void result_remarks(const struct result *result, void (*say)(const char *sentence, void *data), void *data)
{
    const struct tally *t = &result->tally;
    char text[256];
    (void)verdict_client_bound(result, say, data);
    struct verdict_offered offered = verdict_offered(result);
    if (!offered.sustained) {
        (void)snprintf(text, sizeof text,
                       "not sustained: of %.1f/s offered %.1f/s were answered in time, %.1f %% never, and the latency "
                       "grew by %.1f ms each second; the percentiles would be others in a longer run",
                       offered.per_s, offered.achieved_per_s, offered.lost * 100.0, offered.latency_slope * 1e3);
        say(text, data);
    }
    if (result_is_window_limited(result)) {
        (void)snprintf(text, sizeof text,
                       "window-limited: the channel windows allow about %.1f MB/s at this round-trip time; use more "
                       "channels or connections",
                       t->window_limit_bytes_per_s / 1e6);
        say(text, data);
    }
    if (t->faults.counts[FAULT_LOCAL_LIMIT] > 0) {
        say("local-limit: this machine ran out of file descriptors, ports or memory; raise ulimit -n, or use --bind "
            "with "
            "several addresses",
            data);
    }
    if (t->unfinished > 0) {
        (void)snprintf(text, sizeof text, "unfinished: %llu operations had no answer when the drain time was over",
                       (unsigned long long)t->unfinished);
        say(text, data);
    }
    if (t->started == 0) {
        say("nothing was measured: the run ended before any operation", data);
    }
    if (result->interrupted) {
        say("interrupted: the measurement was ended by a signal; the figures cover what ran", data);
    }
    if (!result_adds_up(result)) {
        say("inconsistent: started is not ok + failed + timed out + unfinished; please report this as a defect", data);
    }
}
