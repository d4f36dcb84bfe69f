#include "load/tally/tally.h"

#include "load/tally/printable.h"

#include <stdlib.h>
#include <string.h>

int tally_init(struct tally *tally)
{
    memset(tally, 0, sizeof *tally);
    tally->histograms = calloc(HISTOGRAM_COUNT, sizeof *tally->histograms);
    if (tally->histograms == NULL) {
        return -1;
    }
    for (int i = 0; i < HISTOGRAM_COUNT; i++) {
        histogram_reset(&tally->histograms[i]);
    }
    return 0;
}

void tally_free(struct tally *tally)
{
    free(tally->histograms);
    free(tally->seconds);
    by_target_free(&tally->by_target);
    tally->histograms = NULL;
    tally->seconds = NULL;
    tally->second_count = tally->second_capacity = 0;
}

static bool reach_second(struct tally *tally, size_t index)
{
    if (index >= TALLY_SECONDS_MAX) {
        return false;
    }
    if (index >= tally->second_capacity) {
        size_t capacity = tally->second_capacity == 0 ? 64 : tally->second_capacity;
        while (capacity <= index) {
            capacity *= 2;
        }
        struct tally_second *larger = realloc(tally->seconds, capacity * sizeof *larger);
        if (larger == NULL) {
            return false;
        }
        tally->seconds = larger;
        tally->second_capacity = capacity;
    }
    while (tally->second_count <= index) {
        tally->seconds[tally->second_count++] = (struct tally_second){0};
    }
    return true;
}

void tally_give_up_many(struct tally *tally, int64_t longest_us, int64_t least_us, uint64_t operations)
{
    struct histogram *latency = tally_histogram(tally, HISTOGRAM_LATENCY);
    if (operations == 0) {
        return;
    }
    tally->started += operations;
    tally->unfinished += operations;
    tally->censored += operations;
    histogram_record(latency, longest_us);
    histogram_record_many(latency, (longest_us + least_us) / 2, operations - 1);
}

int tally_delay(struct tally *tally, size_t seconds)
{
    size_t count = tally->second_count;
    if (seconds == 0 || count == 0) {
        return 0;
    }
    if (!reach_second(tally, count + seconds - 1)) {
        return -1;
    }
    memmove(&tally->seconds[seconds], &tally->seconds[0], count * sizeof tally->seconds[0]);
    memset(&tally->seconds[0], 0, seconds * sizeof tally->seconds[0]);
    return 0;
}

struct tally_second *tally_second_at(struct tally *tally, int64_t us)
{
    if (us < 0 || !reach_second(tally, (size_t)(us / US_PER_S))) {
        return NULL;
    }
    return &tally->seconds[us / US_PER_S];
}

/* The way of a server's words out of the thread that heard them: from here on they are fit to be shown. */
static void take_negotiated(struct tally_negotiated *into, const struct tally_negotiated *from)
{
    (void)printable_copy(into->banner, sizeof into->banner, from->banner);
    (void)printable_copy(into->kex, sizeof into->kex, from->kex);
    (void)printable_copy(into->host_key, sizeof into->host_key, from->host_key);
    (void)printable_copy(into->cipher_out, sizeof into->cipher_out, from->cipher_out);
    (void)printable_copy(into->cipher_in, sizeof into->cipher_in, from->cipher_in);
    (void)printable_copy(into->mac_out, sizeof into->mac_out, from->mac_out);
    (void)printable_copy(into->mac_in, sizeof into->mac_in, from->mac_in);
}

static void merge_trend(struct tally_trend *into, const struct tally_trend *from)
{
    into->count += from->count;
    into->x += from->x;
    into->y += from->y;
    into->xx += from->xx;
    into->xy += from->xy;
    into->yy += from->yy;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static void merge_pressure(struct tally_pressure *into, const struct tally_pressure *from)
{
    into->windows += from->windows;
    into->busy_windows += from->busy_windows;
    into->busiest_window_cpu = larger(into->busiest_window_cpu, from->busiest_window_cpu);
    into->run_delay = larger(into->run_delay, from->run_delay);
    into->throttled = larger(into->throttled, from->throttled);
    into->steal = larger(into->steal, from->steal);
}

int tally_merge(struct tally *into, const struct tally *from)
{
    into->started += from->started;
    into->ok += from->ok;
    into->failed += from->failed;
    into->timed_out += from->timed_out;
    into->unfinished += from->unfinished;
    into->censored += from->censored;
    into->echoes += from->echoes;
    into->bytes += from->bytes;
    into->connects_tried += from->connects_tried;
    into->connects_up += from->connects_up;
    into->connects_in_ramp += from->connects_in_ramp;
    into->connects_in_measure += from->connects_in_measure;
    into->sessions_lost += from->sessions_lost;
    into->sessions_up += from->sessions_up;
    into->sessions_held += from->sessions_held;
    into->sessions_pinged += from->sessions_pinged;
    into->sessions_up_max += from->sessions_up_max;
    into->messages_rekeyed += from->messages_rekeyed;
    into->stops_at_window += from->stops_at_window;
    into->stops_at_output += from->stops_at_output;
    into->window_limit_bytes_per_s += from->window_limit_bytes_per_s;
    into->rated = into->rated || from->rated;
    into->ok_in_time += from->ok_in_time;
    into->backlog += from->backlog;
    merge_trend(&into->trend, &from->trend);
    into->slice_count = from->slice_count > into->slice_count ? from->slice_count : into->slice_count;
    for (unsigned i = 0; i < into->slice_count; i++) {
        merge_trend(&into->slices[i], &from->slices[i]);
    }
    merge_pressure(&into->pressure, &from->pressure);
    into->cpu_s += from->cpu_s;
    into->busiest_thread_cpu = larger(into->busiest_thread_cpu, from->busiest_thread_cpu);
    fault_merge(&into->faults, &from->faults);
    if (into->negotiated.banner[0] == '\0') {
        take_negotiated(&into->negotiated, &from->negotiated);
    }
    for (int i = 0; i < HISTOGRAM_COUNT; i++) {
        histogram_merge(&into->histograms[i], &from->histograms[i]);
    }
    if (by_target_merge(&into->by_target, &from->by_target) != 0) {
        return -1;
    }
    if (from->second_count > 0 && !reach_second(into, from->second_count - 1)) {
        return -1;
    }
    for (size_t i = 0; i < from->second_count; i++) {
        struct tally_second *second = &into->seconds[i];
        second->echoes += from->seconds[i].echoes;
        second->bytes += from->seconds[i].bytes;
        second->handshakes += from->seconds[i].handshakes;
        second->errors += from->seconds[i].errors;
        second->latency_sum_us += from->seconds[i].latency_sum_us;
        if (from->seconds[i].latency_max_us > second->latency_max_us) {
            second->latency_max_us = from->seconds[i].latency_max_us;
        }
    }
    return 0;
}
