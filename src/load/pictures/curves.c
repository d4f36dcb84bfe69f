#include "load/pictures/curves.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A point of a percentile curve is at least this much further than the last, or the picture is all points. */
#define POINT_STEP 1.01

static int make(struct curve *curve, size_t room)
{
    *curve = (struct curve){.x = calloc(room + 1, sizeof *curve->x), .y = calloc(room + 1, sizeof *curve->y)};
    if (curve->x == NULL || curve->y == NULL) {
        curve_free(curve);
        return -1;
    }
    return 0;
}

static void add(struct curve *curve, double x, double y)
{
    curve->x[curve->count] = x;
    curve->y[curve->count] = y;
    curve->count++;
}

void curve_free(struct curve *curve)
{
    free(curve->x);
    free(curve->y);
    *curve = (struct curve){0};
}

int curve_percentiles(struct curve *curve, const struct histogram *h)
{
    size_t used = 0;
    for (uint32_t slot = 0; slot < HISTOGRAM_SLOTS; slot++) {
        used += h->counts[slot] != 0 ? 1 : 0;
    }
    if (make(curve, 2 * used) != 0) {
        return -1;
    }
    uint64_t seen = 0;
    double drawn_x = 0.0, drawn_us = 0.0;
    for (uint32_t slot = 0; slot < HISTOGRAM_SLOTS; slot++) {
        if (h->counts[slot] == 0) {
            continue;
        }
        double x = 1.0 / (1.0 - (double)seen / (double)h->total);
        seen += h->counts[slot];
        int64_t high = histogram_slot_high(slot);
        double us = (double)(high < h->max ? high : h->max);
        if (seen < h->total && x < drawn_x * POINT_STEP && us < drawn_us * POINT_STEP) {
            continue;
        }
        drawn_x = x;
        drawn_us = us;
        add(curve, x, us);
        if (seen < h->total) {
            add(curve, 1.0 / (1.0 - (double)seen / (double)h->total), us);
        }
    }
    return 0;
}

static double figure_of(const struct tally_second *sum, size_t seconds, enum curve_figure figure, bool connect)
{
    switch (figure) {
    case CURVE_OPERATIONS:
        return (double)(connect ? sum->handshakes : sum->echoes) / (double)seconds;
    case CURVE_MB:
        return (double)sum->bytes / 1e6 / (double)seconds;
    case CURVE_ERRORS:
        return (double)sum->errors / (double)seconds;
    case CURVE_WORST_US:
        return sum->latency_max_us > 0 ? (double)sum->latency_max_us : NAN;
    case CURVE_MEAN_US:
        return sum->echoes > 0 ? (double)sum->latency_sum_us / (double)sum->echoes : NAN;
    case CURVE_SESSIONS:
    case CURVE_SERVER_CPU:
    case CURVE_SERVER_MIB:
        break;
    }
    return NAN;
}

static double figure_of_interval(const struct interval *interval, enum curve_figure figure)
{
    if (figure == CURVE_SESSIONS) {
        return (double)interval->sessions;
    }
    if (figure == CURVE_SERVER_MIB) {
        return interval->server_bytes < 0.0 ? NAN : interval->server_bytes / (1024.0 * 1024.0);
    }
    bool known = interval->server_cpu_s >= 0.0 && interval->covered_us > 0;
    return known ? interval->server_cpu_s / ((double)interval->covered_us / 1e6) : NAN;
}

static int curve_of_intervals(struct curve *curve, const struct timeline *timeline, enum curve_figure figure)
{
    struct timeline pieces;
    if (make(curve, CURVES_POINTS) != 0) {
        return -1;
    }
    if (timeline->count == 0) {
        return 0;
    }
    if (timeline_thin(timeline, CURVES_POINTS, &pieces) != 0) {
        return -1;
    }
    for (size_t i = 0; i < pieces.count; i++) {
        add(curve, (double)(i + 1) * (double)pieces.length_us / 1e6, figure_of_interval(&pieces.rows[i], figure));
    }
    timeline_free(&pieces);
    return 0;
}

int curve_over_time(struct curve *curve, const struct result *result, enum curve_figure figure)
{
    const struct tally *t = &result->tally;
    if (figure >= CURVE_SESSIONS) {
        return curve_of_intervals(curve, &result->timeline, figure);
    }
    size_t whole = result->seconds < 1.0 ? 1 : (size_t)result->seconds;
    whole = whole < t->second_count ? whole : t->second_count;
    size_t piece = (whole + CURVES_POINTS - 1) / CURVES_POINTS;
    bool connect = strcmp(result->mode, "connect") == 0;
    if (make(curve, CURVES_POINTS) != 0) {
        return -1;
    }
    for (size_t at = 0; at < whole; at += piece) {
        struct tally_second sum = {0};
        size_t end = at + piece < whole ? at + piece : whole;
        for (size_t i = at; i < end; i++) {
            const struct tally_second *s = &t->seconds[i];
            sum.echoes += s->echoes;
            sum.bytes += s->bytes;
            sum.handshakes += s->handshakes;
            sum.errors += s->errors;
            sum.latency_sum_us += s->latency_sum_us;
            sum.latency_max_us = s->latency_max_us > sum.latency_max_us ? s->latency_max_us : sum.latency_max_us;
        }
        add(curve, (double)end, figure_of(&sum, end - at, figure, connect));
    }
    return 0;
}
