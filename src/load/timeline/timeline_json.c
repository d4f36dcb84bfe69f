/* Inside the room of timeline.h: the timeline in a result file; what is read is checked. */
#include "load/timeline/timeline.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *count_json(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* Three decimals, null for what is not known. */
static json_t *known_json(double value)
{
    return value < 0.0 ? json_null() : json_real(round(value * 1e6) / 1e6);
}

static void put_latency(json_t *row, const struct interval *interval, struct histogram *scratch)
{
    static const struct {
        const char *name;
        double percentile;
    } figures[] = {{"p50", 50.0}, {"p90", 90.0}, {"p99", 99.0}, {"p99_9", 99.9}};
    interval_unpack(interval, scratch);
    bool some = scratch->total > 0;
    (void)json_object_set_new(row, "count", count_json(scratch->total));
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        (void)json_object_set_new(row, figures[i].name,
                                  some ? json_integer(histogram_percentile(scratch, figures[i].percentile))
                                       : json_null());
    }
    (void)json_object_set_new(row, "max", some ? json_integer(scratch->max) : json_null());
    (void)json_object_set_new(row, "mean", some ? known_json(histogram_mean(scratch)) : json_null());
    char *text = some ? packed_to_text(interval->latency) : NULL;
    (void)json_object_set_new(row, "latency", text != NULL ? json_string(text) : json_null());
    free(text);
}

json_t *timeline_to_json(const struct timeline *timeline)
{
    struct histogram *scratch = timeline->length_us > 0 ? malloc(sizeof *scratch) : NULL;
    if (scratch == NULL) {
        return NULL;
    }
    json_t *rows = json_array();
    for (size_t i = 0; i < timeline->count; i++) {
        const struct interval *interval = &timeline->rows[i];
        json_t *row = json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "covered_us", (json_int_t)interval->covered_us,
                                "echoes", count_json(interval->echoes), "bytes", count_json(interval->bytes),
                                "handshakes", count_json(interval->handshakes), "errors", count_json(interval->errors),
                                "sessions", count_json(interval->sessions));
        put_latency(row, interval, scratch);
        if (interval->server_cpu_s >= 0.0 || interval->server_bytes >= 0.0) {
            (void)json_object_set_new(row, "server_cpu_s", known_json(interval->server_cpu_s));
            (void)json_object_set_new(row, "server_bytes", known_json(interval->server_bytes));
        }
        (void)json_array_append_new(rows, row);
    }
    free(scratch);
    return json_pack("{s:I, s:o}", "length_us", (json_int_t)timeline->length_us, "rows", rows);
}

/* ---- reading ---- */

static bool take_count(json_t *row, const char *name, uint64_t *out)
{
    json_t *value = json_object_get(row, name);
    bool good = json_is_integer(value) && json_integer_value(value) >= 0;
    *out = good ? (uint64_t)json_integer_value(value) : 0;
    return good;
}

/* Absent or null: not known. */
static bool take_known(json_t *row, const char *name, double *out)
{
    json_t *value = json_object_get(row, name);
    *out = -1.0;
    if (value == NULL || json_is_null(value)) {
        return true;
    }
    *out = json_number_value(value);
    return json_is_number(value) && *out >= 0.0;
}

static bool take_latency(json_t *row, struct interval *interval)
{
    const char *text = json_string_value(json_object_get(row, "latency"));
    uint64_t count = 0;
    if (!take_count(row, "count", &count)) {
        return false;
    }
    if (text == NULL) {
        return count == 0;
    }
    interval->latency = packed_from_text(text);
    if (interval->latency == NULL || interval->latency->total != count || count == 0) {
        return false;
    }
    /* The text knows the largest by its bucket only. */
    uint64_t largest = 0;
    if (!take_count(row, "max", &largest)) {
        return false;
    }
    struct packed *latency = interval->latency;
    if (histogram_slot_of((int64_t)largest) == histogram_slot_of(latency->max)) {
        latency->max = (int64_t)largest;
    }
    double mean = 0.0;
    if (!take_known(row, "mean", &mean) || mean < 0.0) {
        return false;
    }
    latency->sum = mean * (double)count;
    return true;
}

static bool take_row(json_t *row, struct interval *interval)
{
    uint64_t covered_us = 0;
    bool good = take_count(row, "covered_us", &covered_us) && take_count(row, "echoes", &interval->echoes) &&
                take_count(row, "bytes", &interval->bytes) && take_count(row, "handshakes", &interval->handshakes) &&
                take_count(row, "errors", &interval->errors) && take_count(row, "sessions", &interval->sessions) &&
                take_known(row, "server_cpu_s", &interval->server_cpu_s) &&
                take_known(row, "server_bytes", &interval->server_bytes) && take_latency(row, interval);
    interval->covered_us = (int64_t)covered_us;
    return good;
}

int timeline_from_json(struct timeline *timeline, json_t *document, char *error, size_t error_size)
{
    json_t *length = json_object_get(document, "length_us");
    json_t *rows = json_object_get(document, "rows");
    *timeline = (struct timeline){0};
    if (!json_is_integer(length) || json_integer_value(length) < 1 ||
        json_integer_value(length) > INT64_MAX / 10000000 || !json_is_array(rows) ||
        json_array_size(rows) > TIMELINE_ROWS_MAX) {
        (void)snprintf(error, error_size, "has no length_us above 0, or no rows (at most %u)", TIMELINE_ROWS_MAX);
        return -1;
    }
    timeline->length_us = json_integer_value(length);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        struct interval *interval = timeline_at(timeline, (int64_t)i * timeline->length_us);
        if (interval == NULL || !take_row(json_array_get(rows, i), interval)) {
            (void)snprintf(error, error_size,
                           interval == NULL ? "row %zu: out of memory" : "row %zu is not one of ours", i);
            timeline_free(timeline);
            return -1;
        }
    }
    return 0;
}
