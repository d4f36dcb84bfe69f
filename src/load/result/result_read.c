/* Inside the room of result.h: reading a result file; everything in it is checked. */
#include "load/result/result.h"
#include "load/result/result_server.h"
#include "load/result/result_targets.h"

#include <stdio.h>
#include <string.h>

#include "load/result/result_format.h"
#include "load/tally/printable.h"

struct reader {
    char *error;
    size_t error_size;
    bool good;
};

static void complain(struct reader *reader, const char *where, const char *what)
{
    if (reader->good) {
        (void)snprintf(reader->error, reader->error_size, "%s: %s", where, what);
        printable_mend(reader->error);
    }
    reader->good = false;
}

static uint64_t read_count(struct reader *reader, json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        complain(reader, name, "is not a count");
        return 0;
    }
    return (uint64_t)json_integer_value(value);
}

static double read_real(struct reader *reader, json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    if (!json_is_number(value) || !(json_number_value(value) >= 0.0)) {
        complain(reader, name, "is not a number from 0 up");
        return 0.0;
    }
    return json_number_value(value);
}

static json_t *read_object(struct reader *reader, json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    if (!json_is_object(value)) {
        complain(reader, name, "is missing or no object");
    }
    return value;
}

static void read_text(struct reader *reader, json_t *object, const char *name, char *out, size_t size)
{
    json_t *value = json_object_get(object, name);
    if (!json_is_string(value)) {
        complain(reader, name, "is missing or no text");
        return;
    }
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);
    if (length >= size) { /* cut between characters: half a one could not be written again */
        length = size - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) {
            length--;
        }
    }
    memcpy(out, text, length);
    out[length] = '\0';
    printable_mend(out);
}

static void read_histogram(struct reader *reader, json_t *all, const char *name, struct histogram *h)
{
    json_t *object = read_object(reader, all, name);
    json_t *buckets = json_object_get(object, "buckets");
    uint64_t total = read_count(reader, object, "total");
    uint64_t sum = 0;
    size_t i;
    json_t *bucket;
    json_array_foreach(buckets, i, bucket)
    {
        json_t *low = json_array_get(bucket, 0);
        json_t *count = json_array_get(bucket, 1);
        if (!json_is_integer(low) || !json_is_integer(count) || json_integer_value(low) < 0 ||
            json_integer_value(count) < 0) {
            complain(reader, name, "has a bucket that is no pair of counts");
            return;
        }
        h->counts[histogram_slot_of(json_integer_value(low))] += (uint64_t)json_integer_value(count);
        sum += (uint64_t)json_integer_value(count);
    }
    if (sum != total) {
        complain(reader, name, "has buckets that do not add up to its total");
    }
    h->total = total;
    h->above_range = read_count(reader, object, "above_range");
    h->min = (int64_t)read_count(reader, object, "min");
    h->max = (int64_t)read_count(reader, object, "max");
    h->sum = read_real(reader, object, "sum");
    h->sum_squares = read_real(reader, object, "sum_squares");
}

static void read_errors(struct reader *reader, json_t *errors, struct fault_log *log)
{
    const char *name;
    json_t *entry;
    json_object_foreach(errors, name, entry)
    {
        enum fault fault = fault_from_name(name);
        const char *first = json_string_value(json_object_get(entry, "first"));
        if (fault == FAULT_NONE || first == NULL) {
            complain(reader, name, "is no class of errors, or has no example");
            return;
        }
        fault_note(log, fault, read_count(reader, entry, "count"), first);
    }
}

static void read_series(struct reader *reader, json_t *series, struct tally *tally)
{
    size_t i;
    json_t *entry;
    json_array_foreach(series, i, entry)
    {
        struct tally_second *second = tally_second_at(tally, (int64_t)i * US_PER_S);
        if (second == NULL) {
            complain(reader, "series", "is longer than there is memory for");
            return;
        }
        second->echoes = read_count(reader, entry, "echoes");
        second->bytes = read_count(reader, entry, "bytes");
        second->handshakes = read_count(reader, entry, "handshakes");
        second->errors = read_count(reader, entry, "errors");
        second->latency_sum_us = read_count(reader, entry, "latency_sum_us");
        second->latency_max_us = read_count(reader, entry, "latency_max_us");
    }
}

static double read_share(struct reader *reader, json_t *object, const char *name)
{
    return json_object_get(object, name) == NULL ? 0.0 : read_real(reader, object, name);
}

static void read_pressure(struct reader *reader, json_t *generator, struct tally *tally)
{
    struct tally_pressure *p = &tally->pressure;
    tally->cpu_s = read_real(reader, generator, "cpu_s");
    tally->busiest_thread_cpu = read_real(reader, generator, "busiest_thread_cpu");
    tally->window_limit_bytes_per_s = read_real(reader, generator, "window_limit_bytes_per_s");
    if (json_object_get(generator, "windows") != NULL) { /* the oldest files have none of it */
        p->windows = read_count(reader, generator, "windows");
        p->busy_windows = read_count(reader, generator, "busy_windows");
    }
    p->busiest_window_cpu = read_share(reader, generator, "busiest_window_cpu");
    p->run_delay = read_share(reader, generator, "run_delay");
    p->throttled = read_share(reader, generator, "throttled");
    p->steal = read_share(reader, generator, "steal");
}

static void read_trend(struct reader *reader, json_t *trend, struct tally_trend *t)
{
    t->count = read_count(reader, trend, "count");
    t->x = read_real(reader, trend, "x");
    t->y = read_real(reader, trend, "y");
    t->xx = read_real(reader, trend, "xx");
    t->xy = read_real(reader, trend, "xy");
    t->yy = read_real(reader, trend, "yy");
}

static void read_offered(struct reader *reader, json_t *offered, struct tally *tally)
{
    size_t i;
    json_t *slice;
    if (!json_is_object(offered)) {
        return; /* no rate, or an old file */
    }
    tally->rated = true;
    tally->ok_in_time = read_count(reader, offered, "ok_in_time");
    tally->backlog = read_count(reader, offered, "backlog");
    read_trend(reader, read_object(reader, offered, "trend"), &tally->trend);
    json_array_foreach(json_object_get(offered, "slices"), i, slice)
    {
        if (i < PLAN_RATE_SLICES) {
            read_trend(reader, slice, &tally->slices[i]);
            tally->slice_count = (unsigned)i + 1;
        }
    }
}

static void read_tally(struct reader *reader, json_t *document, struct tally *tally)
{
    json_t *summary = read_object(reader, document, "summary");
    json_t *histograms = read_object(reader, document, "histograms");
    json_t *generator = read_object(reader, document, "generator");
    json_t *negotiated = read_object(reader, document, "negotiated");
    for (size_t i = 0; i < result_counter_count && reader->good; i++) {
        uint64_t *value = (uint64_t *)(void *)((char *)tally + result_counters[i].offset);
        const char *name = result_counters[i].name;
        bool absent = result_counters[i].optional && json_object_get(summary, name) == NULL;
        *value = absent ? 0 : read_count(reader, summary, name);
    }
    for (int i = 0; i < HISTOGRAM_COUNT && reader->good; i++) {
        read_histogram(reader, histograms, result_histogram_names[i], &tally->histograms[i]);
    }
    for (size_t i = 0; i < result_text_count && reader->good; i++) {
        read_text(reader, negotiated, result_texts[i].name, (char *)&tally->negotiated + result_texts[i].offset,
                  result_texts[i].size);
    }
    read_pressure(reader, generator, tally);
    read_offered(reader, json_object_get(document, "offered"), tally);
    read_errors(reader, read_object(reader, document, "errors"), &tally->faults);
    read_series(reader, json_object_get(document, "series"), tally);
}

static void read_rest(struct reader *reader, json_t *document, struct result *result)
{
    char loop[16] = "";
    char started[64] = "";
    read_text(reader, document, "mode", result->mode, sizeof result->mode);
    read_text(reader, document, "loop", loop, sizeof loop);
    read_text(reader, document, "started_at", started, sizeof started);
    result->open_loop = strcmp(loop, "open") == 0;
    if (reader->good && !plan_parse_instant(started, &result->started_at_us)) {
        complain(reader, "started_at", "is no instant");
    }
    if (json_is_string(json_object_get(document, "label"))) {
        read_text(reader, document, "label", result->label, sizeof result->label);
    }
    json_t *skew = json_object_get(document, "start_skew_us");
    result->start_skew_us = json_is_integer(skew) ? json_integer_value(skew) : RESULT_SKEW_NONE;
    result->interrupted = json_is_true(json_object_get(document, "interrupted"));
    result->threads = read_count(reader, document, "threads");
    if (json_object_get(document, "processes") != NULL) { /* not in older files */
        result->processes = read_count(reader, document, "processes");
    }
    json_t *shard = read_object(reader, document, "shard");
    result->shard_index = read_count(reader, shard, "index");
    result->shard_count = read_count(reader, shard, "count");
    result->shards_merged = read_count(reader, shard, "merged");
    json_t *phases = read_object(reader, document, "phases");
    result->ramp_s = read_real(reader, phases, "ramp_s");
    if (json_object_get(phases, "wait_s") != NULL) { /* not in the oldest files */
        result->wait_s = read_real(reader, phases, "wait_s");
    }
    result->warmup_s = read_real(reader, phases, "warmup_s");
    result->seconds = read_real(reader, phases, "measure_s");
    result->drain_s = read_real(reader, phases, "drain_s");
    json_t *intervals = json_object_get(document, "intervals"); /* not in older files */
    char why[64];
    if (intervals != NULL && timeline_from_json(&result->timeline, intervals, why, sizeof why) != 0) {
        complain(reader, "intervals", why);
    }
    if (result_targets_read(&result->tally.by_target, json_object_get(document, "targets")) != 0) {
        complain(reader, "targets", "are not what sshload writes");
    }
    if (server_use_read(&result->server, json_object_get(document, "server")) != 0) {
        complain(reader, "server", "is not what sshload writes");
    }
    result->about = json_incref(json_object_get(document, "about"));
}

int result_from_json(struct result *result, json_t *document, char *error, size_t error_size)
{
    struct reader reader = {.error = error, .error_size = error_size, .good = true};
    if (result_init(result) != 0) {
        (void)snprintf(error, error_size, "out of memory");
        return -1;
    }
    const char *schema = json_string_value(json_object_get(document, "schema"));
    if (schema == NULL || strcmp(schema, RESULT_SCHEMA) != 0) {
        (void)snprintf(error, error_size, "is no result of sshload (its schema is \"%s\", not \"" RESULT_SCHEMA "\")",
                       schema == NULL ? "" : schema);
        printable_mend(error);
        return -1;
    }
    read_tally(&reader, document, &result->tally);
    if (reader.good) {
        read_rest(&reader, document, result);
    }
    return reader.good ? 0 : -1;
}

int result_load(struct result *result, const char *path, char *error, size_t error_size)
{
    json_error_t problem;
    char reason[256];
    *result = (struct result){0};
    json_t *document = json_load_file(path, 0, &problem);
    if (document == NULL) {
        if (problem.line < 0) {
            (void)snprintf(error, error_size, "%s: cannot be read: %s", path, problem.text);
        } else {
            (void)snprintf(error, error_size, "%s:%d: is no JSON: %s", path, problem.line, problem.text);
        }
        return -1;
    }
    int rc = result_from_json(result, document, reason, sizeof reason);
    json_decref(document);
    if (rc != 0) {
        (void)snprintf(error, error_size, "%s: %s", path, reason);
        result_free(result);
    }
    return rc;
}
