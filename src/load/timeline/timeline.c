#include "load/timeline/timeline.h"

#include <stdlib.h>
#include <string.h>

/* ---- one interval ---- */

static double known_sum(double a, double b)
{
    return a < 0.0 ? b : b < 0.0 ? a : a + b;
}

int interval_add(struct interval *into, const struct interval *from, enum interval_sum how)
{
    if (from->latency != NULL) {
        struct packed *both = packed_sum(into->latency, from->latency);
        if (both == NULL) {
            return -1;
        }
        free(into->latency);
        into->latency = both;
    }
    into->echoes += from->echoes;
    into->bytes += from->bytes;
    into->handshakes += from->handshakes;
    into->errors += from->errors;
    if (how == INTERVALS_BESIDE) { /* of the server both saw the same */
        into->covered_us = from->covered_us > into->covered_us ? from->covered_us : into->covered_us;
        into->sessions += from->sessions;
        into->server_cpu_s = from->server_cpu_s > into->server_cpu_s ? from->server_cpu_s : into->server_cpu_s;
    } else {
        into->covered_us += from->covered_us;
        into->sessions = from->sessions;
        into->server_cpu_s = known_sum(into->server_cpu_s, from->server_cpu_s);
    }
    into->server_bytes = from->server_bytes > into->server_bytes ? from->server_bytes : into->server_bytes;
    return 0;
}

void interval_free(struct interval *interval)
{
    free(interval->latency);
    *interval = INTERVAL_EMPTY;
}

void interval_unpack(const struct interval *interval, struct histogram *into)
{
    histogram_reset(into);
    if (interval->latency != NULL) {
        packed_unpack(interval->latency, into);
    }
}

/* ---- all of them ---- */

void timeline_free(struct timeline *timeline)
{
    for (size_t i = 0; i < timeline->count; i++) {
        interval_free(&timeline->rows[i]);
    }
    free(timeline->rows);
    *timeline = (struct timeline){0};
}

static int reach(struct timeline *timeline, size_t index)
{
    if (index >= timeline->capacity) {
        size_t capacity = timeline->capacity == 0 ? 64 : timeline->capacity;
        while (capacity <= index) {
            capacity *= 2;
        }
        struct interval *larger = realloc(timeline->rows, capacity * sizeof *larger);
        if (larger == NULL) {
            return -1;
        }
        timeline->rows = larger;
        timeline->capacity = capacity;
    }
    while (timeline->count <= index) {
        timeline->rows[timeline->count++] = INTERVAL_EMPTY;
    }
    return 0;
}

int timeline_coarsen(struct timeline *timeline, size_t times)
{
    struct timeline coarse = {.length_us = timeline->length_us * (int64_t)times};
    for (size_t i = 0; i < timeline->count; i++) {
        if (reach(&coarse, i / times) != 0 ||
            interval_add(&coarse.rows[i / times], &timeline->rows[i], INTERVALS_IN_TURN) != 0) {
            timeline_free(&coarse);
            return -1;
        }
    }
    timeline_free(timeline);
    *timeline = coarse;
    return 0;
}

struct interval *timeline_at(struct timeline *timeline, int64_t us)
{
    if (timeline->length_us <= 0 || us < 0) {
        return NULL;
    }
    while ((uint64_t)(us / timeline->length_us) >= TIMELINE_ROWS_MAX) {
        if (timeline_coarsen(timeline, 2) != 0) {
            return NULL;
        }
    }
    size_t index = (size_t)(us / timeline->length_us);
    return reach(timeline, index) == 0 ? &timeline->rows[index] : NULL;
}

int timeline_thin(const struct timeline *timeline, size_t rows, struct timeline *out)
{
    size_t times = (timeline->count + rows - 1) / rows;
    times = times == 0 ? 1 : times;
    *out = (struct timeline){.length_us = timeline->length_us * (int64_t)times};
    for (size_t i = 0; i < timeline->count; i++) {
        if (reach(out, i / times) != 0 ||
            interval_add(&out->rows[i / times], &timeline->rows[i], INTERVALS_IN_TURN) != 0) {
            timeline_free(out);
            return -1;
        }
    }
    return 0;
}

bool timeline_fits(const struct timeline *a, const struct timeline *b)
{
    return a->length_us == 0 || b->length_us == 0 || a->length_us % b->length_us == 0 ||
           b->length_us % a->length_us == 0;
}

/* So many empty intervals in front. */
static int shift(struct timeline *timeline, size_t rows)
{
    size_t count = timeline->count;
    if (rows == 0 || count == 0) {
        return 0;
    }
    if (reach(timeline, count + rows - 1) != 0) {
        return -1;
    }
    memmove(&timeline->rows[rows], &timeline->rows[0], count * sizeof timeline->rows[0]);
    for (size_t i = 0; i < rows; i++) {
        timeline->rows[i] = INTERVAL_EMPTY;
    }
    return 0;
}

static int match_lengths(struct timeline *a, struct timeline *b)
{
    if (a->length_us < b->length_us) {
        return timeline_coarsen(a, (size_t)(b->length_us / a->length_us));
    }
    return a->length_us > b->length_us ? timeline_coarsen(b, (size_t)(a->length_us / b->length_us)) : 0;
}

int timeline_merge(struct timeline *into, struct timeline *from, int64_t later_us)
{
    if (into->length_us == 0 || from->length_us == 0 || !timeline_fits(into, from)) {
        timeline_free(into);
        return 0;
    }
    if (match_lengths(into, from) != 0) {
        return -1;
    }
    int64_t apart_us = later_us > 0 ? later_us : -later_us;
    size_t rows = (size_t)((apart_us + into->length_us / 2) / into->length_us);
    if (shift(later_us > 0 ? from : into, rows) != 0) {
        return -1;
    }
    for (size_t i = 0; i < from->count; i++) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): a coarsened `from` has the rows that reach() made, not the old */
        if (reach(into, i) != 0 || interval_add(&into->rows[i], &from->rows[i], INTERVALS_BESIDE) != 0) {
            return -1;
        }
    }
    return 0;
}
