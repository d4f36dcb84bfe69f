#include "load/drive/intervals.h"

#include <stdlib.h>
#include <string.h>

int intervals_init(struct intervals *intervals, unsigned threads, int64_t length_us,
                   void (*on_whole)(struct interval *interval, uint64_t index, void *data), void *data)
{
    *intervals = (struct intervals){
        .threads = threads, .timeline = {.length_us = length_us}, .on_whole = on_whole, .data = data};
    intervals->samplers = calloc(threads, sizeof(struct sampler *));
    intervals->handed_to = calloc(threads, sizeof *intervals->handed_to);
    return intervals->samplers == NULL || intervals->handed_to == NULL ? -1 : 0;
}

void intervals_free(struct intervals *intervals)
{
    for (size_t i = 0; i < intervals->pending_count; i++) {
        interval_free(&intervals->pending[i]);
    }
    free(intervals->pending);
    free(intervals->samplers);
    free(intervals->handed_to);
    timeline_free(&intervals->timeline);
    *intervals = (struct intervals){0};
}

static struct interval *pending_at(struct intervals *intervals, uint64_t index)
{
    uint64_t at = index < intervals->first ? 0 : index - intervals->first; /* what is late is told late */
    if (intervals->pending == NULL || at >= intervals->pending_capacity) {
        size_t capacity = (size_t)at * 2 + 8;
        struct interval *larger =
            at < TIMELINE_ROWS_MAX ? realloc(intervals->pending, capacity * sizeof *larger) : NULL;
        if (larger == NULL) {
            return NULL;
        }
        intervals->pending = larger;
        intervals->pending_capacity = capacity;
    }
    while (intervals->pending_count <= at) {
        intervals->pending[intervals->pending_count++] = INTERVAL_EMPTY;
    }
    return &intervals->pending[at];
}

/* Tells the first of those that are pending. */
static void tell_first(struct intervals *intervals)
{
    struct interval *first = &intervals->pending[0];
    intervals->on_whole(first, intervals->first, intervals->data);
    struct interval *row = timeline_at(&intervals->timeline, (int64_t)intervals->first * intervals->timeline.length_us);
    if (row != NULL) {
        (void)interval_add(row, first, INTERVALS_IN_TURN);
    }
    interval_free(first);
    intervals->pending_count--;
    memmove(&intervals->pending[0], &intervals->pending[1], intervals->pending_count * sizeof *first);
    intervals->first++;
}

/* The moments between the end of the measurement and that of the threads, as a rule. */
static bool is_nothing(const struct interval *c)
{
    return c->echoes + c->bytes + c->errors + c->handshakes == 0 && (c->latency == NULL || c->latency->total == 0);
}

void intervals_collect(struct intervals *intervals)
{
    uint64_t whole_to = UINT64_MAX;
    for (unsigned i = 0; i < intervals->threads; i++) {
        struct sample *sample = intervals->samplers[i] == NULL ? NULL : sampler_take(intervals->samplers[i]);
        while (sample != NULL) {
            struct sample *next = sample->next;
            struct interval *interval = pending_at(intervals, sample->index);
            if (interval != NULL) {
                (void)interval_add(interval, &sample->counts, INTERVALS_BESIDE);
            }
            intervals->handed_to[i] = sample->last ? UINT64_MAX : sample->index + 1;
            sample_free(sample);
            sample = next;
        }
        whole_to = intervals->handed_to[i] < whole_to ? intervals->handed_to[i] : whole_to;
    }
    size_t count = intervals->pending_count;
    if (intervals->pending != NULL && whole_to == UINT64_MAX && count > 0 && intervals->first > 0 &&
        is_nothing(&intervals->pending[count - 1])) {
        interval_free(&intervals->pending[--intervals->pending_count]);
    }
    while (intervals->pending != NULL && intervals->pending_count > 0 && intervals->first < whole_to) {
        tell_first(intervals);
    }
}
