#include "load/result.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The histograms, by name, in the order of enum tally_histogram. */
static const char *const histogram_names[HISTOGRAM_COUNT] = {
    [HISTOGRAM_LATENCY] = "latency_us",
    [HISTOGRAM_UNCORRECTED] = "latency_uncorrected_us",
    [HISTOGRAM_SLIP] = "schedule_slip_us",
    [HISTOGRAM_CONNECTION_KB] = "connection_kb",
    [HISTOGRAM_HANDSHAKE] = "handshake_us",
    [HISTOGRAM_HANDSHAKE_PARTS + (int)TALLY_TCP] = "handshake_tcp_us",
    [HISTOGRAM_HANDSHAKE_PARTS + (int)TALLY_BANNER_KEX] = "handshake_banner_kex_us",
    [HISTOGRAM_HANDSHAKE_PARTS + (int)TALLY_AUTH] = "handshake_auth_us",
    [HISTOGRAM_HANDSHAKE_PARTS + (int)TALLY_CHANNEL] = "handshake_channel_us",
    [HISTOGRAM_HANDSHAKE_PARTS + (int)TALLY_FIRST_ECHO] = "handshake_first_echo_us",
};

static const char *const phase_names[TALLY_PHASES] = {"tcp", "banner_kex", "auth", "channel", "first_echo"};

/* Counters of the summary: name, offset in struct tally. The same table writes and reads. */
#define COUNTER(field)                                                                                                 \
    {                                                                                                                  \
#field, offsetof(struct tally, field)                                                                          \
    }
static const struct {
    const char *name;
    size_t offset;
} counters[] = {
    COUNTER(started),
    COUNTER(ok),
    COUNTER(failed),
    COUNTER(timed_out),
    COUNTER(unfinished),
    COUNTER(echoes),
    COUNTER(bytes),
    COUNTER(sessions_up),
    COUNTER(sessions_lost),
    COUNTER(connects_tried),
    COUNTER(connects_up),
    COUNTER(connects_in_ramp),
    COUNTER(connects_in_measure),
    COUNTER(sessions_up_max),
    COUNTER(messages_rekeyed),
    COUNTER(stops_at_window),
    COUNTER(stops_at_output),
};
#define COUNTERS (sizeof counters / sizeof counters[0])

#define TEXT(field)                                                                                                    \
    {                                                                                                                  \
#field, offsetof(struct tally_negotiated, field), sizeof((struct tally_negotiated *)0)->field                  \
    }
static const struct {
    const char *name;
    size_t offset, size;
} negotiated_texts[] = {TEXT(banner),    TEXT(kex),     TEXT(host_key), TEXT(cipher_out),
                        TEXT(cipher_in), TEXT(mac_out), TEXT(mac_in)};
#define NEGOTIATED_TEXTS (sizeof negotiated_texts / sizeof negotiated_texts[0])

/* ---- writing ---- */

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* Three decimals are more than any figure here means. */
static json_t *number(double value)
{
    return json_real(isfinite(value) ? round(value * 1000.0) / 1000.0 : 0.0);
}

static json_t *figures_json(const struct histogram *histogram)
{
    struct result_figures f = result_figures_of(histogram);
    if (f.count == 0) {
        return json_pack("{s:i, s:n, s:n, s:n, s:n, s:n, s:n}", "count", 0, "p50", "p90", "p99", "p99_9", "max",
                         "mean");
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "count", integer(f.count), "p50", number(f.p50), "p90",
                     number(f.p90), "p99", number(f.p99), "p99_9", number(f.p99_9), "max", number(f.max), "mean",
                     number(f.mean));
}

static json_t *histogram_json(const struct histogram *h)
{
    json_t *buckets = json_array();
    for (uint32_t slot = 0; slot < HISTOGRAM_SLOTS; slot++) {
        if (h->counts[slot] > 0) {
            (void)json_array_append_new(
                buckets, json_pack("[I, o]", (json_int_t)histogram_slot_low(slot), integer(h->counts[slot])));
        }
    }
    return json_pack("{s:o, s:o, s:I, s:I, s:f, s:f, s:o}", "total", integer(h->total), "above_range",
                     integer(h->above_range), "min", (json_int_t)h->min, "max", (json_int_t)h->max, "sum", h->sum,
                     "sum_squares", h->sum_squares, "buckets", buckets);
}

static json_t *histograms_json(const struct tally *tally)
{
    json_t *all = json_object();
    for (int i = 0; i < HISTOGRAM_COUNT; i++) {
        (void)json_object_set_new(all, histogram_names[i], histogram_json(&tally->histograms[i]));
    }
    return all;
}

static json_t *summary_json(const struct result *result)
{
    json_t *summary = json_object();
    for (size_t i = 0; i < COUNTERS; i++) {
        const uint64_t *value = (const uint64_t *)(const void *)((const char *)&result->tally + counters[i].offset);
        (void)json_object_set_new(summary, counters[i].name, integer(*value));
    }
    (void)json_object_set_new(summary, "errors", integer(result_errors(result)));
    (void)json_object_set_new(summary, "seconds", json_real(result->seconds));
    (void)json_object_set_new(summary, "echoes_per_s", number(result_echoes_per_s(result)));
    (void)json_object_set_new(summary, "mb_per_s", number(result_mb_per_s(result)));
    (void)json_object_set_new(summary, "handshakes_per_s", number(result_handshakes_per_s(result)));
    return summary;
}

static json_t *handshake_json(const struct tally *tally)
{
    json_t *all = figures_json(tally_histogram(tally, HISTOGRAM_HANDSHAKE));
    json_t *phases = json_object();
    for (int i = 0; i < TALLY_PHASES; i++) {
        (void)json_object_set_new(phases, phase_names[i],
                                  figures_json(&tally->histograms[HISTOGRAM_HANDSHAKE_PARTS + i]));
    }
    (void)json_object_set_new(all, "phases", phases);
    return all;
}

static json_t *errors_json(const struct fault_log *log)
{
    json_t *errors = json_object();
    for (int i = 0; i < FAULT_COUNT; i++) {
        if (log->counts[i] > 0) {
            (void)json_object_set_new(
                errors, fault_name((enum fault)i),
                json_pack("{s:o, s:s}", "count", integer(log->counts[i]), "first", log->first[i]));
        }
    }
    return errors;
}

static json_t *series_json(const struct tally *tally)
{
    json_t *series = json_array();
    for (size_t i = 0; i < tally->second_count; i++) {
        const struct tally_second *s = &tally->seconds[i];
        (void)json_array_append_new(series, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "second", integer(i),
                                                      "echoes", integer(s->echoes), "bytes", integer(s->bytes),
                                                      "handshakes", integer(s->handshakes), "errors",
                                                      integer(s->errors), "latency_sum_us", integer(s->latency_sum_us),
                                                      "latency_max_us", integer(s->latency_max_us)));
    }
    return series;
}

static json_t *negotiated_json(const struct tally_negotiated *n)
{
    json_t *texts = json_object();
    for (size_t i = 0; i < NEGOTIATED_TEXTS; i++) {
        json_t *text = json_string((const char *)n + negotiated_texts[i].offset);
        (void)json_object_set_new(texts, negotiated_texts[i].name, text != NULL ? text : json_string("?"));
    }
    return texts;
}

static void append_remark(const char *sentence, void *data)
{
    (void)json_array_append_new(data, json_string(sentence));
}

static json_t *generator_json(const struct result *result)
{
    json_t *remarks = json_array();
    result_remarks(result, append_remark, remarks);
    return json_pack("{s:o, s:o, s:b, s:b, s:o, s:o}", "cpu_s", number(result->tally.cpu_s), "busiest_thread_cpu",
                     number(result->tally.busiest_thread_cpu), "client_bound", result_is_client_bound(result),
                     "window_limited", result_is_window_limited(result), "window_limit_bytes_per_s",
                     number(result->tally.window_limit_bytes_per_s), "remarks", remarks);
}

static json_t *instant_json(int64_t us_since_1970)
{
    char text[40];
    time_t seconds = (time_t)(us_since_1970 / US_PER_S);
    struct tm tm;
    (void)gmtime_r(&seconds, &tm);
    size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text + length, sizeof text - length, ".%06uZ", (unsigned)(us_since_1970 % US_PER_S));
    return json_string(text);
}

json_t *result_to_json(const struct result *result)
{
    const struct tally *tally = &result->tally;
    json_t *document = json_object();
    if (document == NULL) {
        return NULL;
    }
    int rc = json_object_set_new(document, "schema", json_string(RESULT_SCHEMA));
    rc |= json_object_set_new(document, "mode", json_string(result->mode));
    rc |= json_object_set_new(document, "loop", json_string(result->open_loop ? "open" : "closed"));
    rc |= json_object_set_new(document, "label", result->label[0] != '\0' ? json_string(result->label) : json_null());
    rc |= json_object_set_new(document, "started_at", instant_json(result->started_at_us));
    rc |= json_object_set_new(document, "start_skew_us",
                              result->start_skew_us == RESULT_SKEW_NONE ? json_null()
                                                                        : json_integer(result->start_skew_us));
    rc |= json_object_set_new(document, "interrupted", json_boolean(result->interrupted));
    rc |= json_object_set_new(document, "threads", integer(result->threads));
    rc |= json_object_set_new(document, "shard",
                              json_pack("{s:o, s:o, s:o}", "index", integer(result->shard_index), "count",
                                        integer(result->shard_count), "merged", integer(result->shards_merged)));
    rc |= json_object_set_new(document, "phases",
                              json_pack("{s:f, s:f, s:f, s:f}", "ramp_s", result->ramp_s, "warmup_s", result->warmup_s,
                                        "measure_s", result->seconds, "drain_s", result->drain_s));
    rc |= json_object_set_new(document, "summary", summary_json(result));
    rc |= json_object_set_new(document, "latency_us", figures_json(tally_histogram(tally, HISTOGRAM_LATENCY)));
    rc |= json_object_set_new(document, "latency_uncorrected_us",
                              figures_json(tally_histogram(tally, HISTOGRAM_UNCORRECTED)));
    rc |= json_object_set_new(document, "handshake_us", handshake_json(tally));
    rc |= json_object_set_new(document, "schedule_slip_us", figures_json(tally_histogram(tally, HISTOGRAM_SLIP)));
    rc |= json_object_set_new(document, "connection_kb", figures_json(tally_histogram(tally, HISTOGRAM_CONNECTION_KB)));
    rc |= json_object_set_new(document, "errors", errors_json(&tally->faults));
    rc |= json_object_set_new(document, "generator", generator_json(result));
    rc |= json_object_set_new(document, "negotiated", negotiated_json(&tally->negotiated));
    rc |= json_object_set_new(document, "series", series_json(tally));
    rc |= json_object_set_new(document, "histograms", histograms_json(tally));
    rc |= result->about != NULL ? json_object_set(document, "about", result->about) : 0;
    if (rc != 0) {
        json_decref(document);
        return NULL;
    }
    return document;
}

/* ---- reading ---- */

struct reader {
    char *error;
    size_t error_size;
    bool good;
};

/* A file's words go to a terminal: they must not move its cursor. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        *text = (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text;
    }
}

static void complain(struct reader *reader, const char *where, const char *what)
{
    if (reader->good) {
        (void)snprintf(reader->error, reader->error_size, "%s: %s", where, what);
        make_printable(reader->error);
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
    make_printable(out);
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

static void read_tally(struct reader *reader, json_t *document, struct tally *tally)
{
    json_t *summary = read_object(reader, document, "summary");
    json_t *histograms = read_object(reader, document, "histograms");
    json_t *generator = read_object(reader, document, "generator");
    json_t *negotiated = read_object(reader, document, "negotiated");
    for (size_t i = 0; i < COUNTERS && reader->good; i++) {
        uint64_t *value = (uint64_t *)(void *)((char *)tally + counters[i].offset);
        *value = read_count(reader, summary, counters[i].name);
    }
    for (int i = 0; i < HISTOGRAM_COUNT && reader->good; i++) {
        read_histogram(reader, histograms, histogram_names[i], &tally->histograms[i]);
    }
    for (size_t i = 0; i < NEGOTIATED_TEXTS && reader->good; i++) {
        read_text(reader, negotiated, negotiated_texts[i].name, (char *)&tally->negotiated + negotiated_texts[i].offset,
                  negotiated_texts[i].size);
    }
    tally->cpu_s = read_real(reader, generator, "cpu_s");
    tally->busiest_thread_cpu = read_real(reader, generator, "busiest_thread_cpu");
    tally->window_limit_bytes_per_s = read_real(reader, generator, "window_limit_bytes_per_s");
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
    json_t *shard = read_object(reader, document, "shard");
    result->shard_index = read_count(reader, shard, "index");
    result->shard_count = read_count(reader, shard, "count");
    result->shards_merged = read_count(reader, shard, "merged");
    json_t *phases = read_object(reader, document, "phases");
    result->ramp_s = read_real(reader, phases, "ramp_s");
    result->warmup_s = read_real(reader, phases, "warmup_s");
    result->seconds = read_real(reader, phases, "measure_s");
    result->drain_s = read_real(reader, phases, "drain_s");
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
        make_printable(error);
        return -1;
    }
    read_tally(&reader, document, &result->tally);
    if (reader.good) {
        read_rest(&reader, document, result);
    }
    return reader.good ? 0 : -1;
}

/* ---- files ---- */

int result_save(const struct result *result, const char *path, char *error, size_t error_size)
{
    char temporary[4096];
    json_t *document = result_to_json(result);
    if (document == NULL) {
        (void)snprintf(error, error_size, "%s: out of memory", path);
        return -1;
    }
    const size_t flags = JSON_INDENT(1) | JSON_REAL_PRECISION(12);
    int rc;
    if (strcmp(path, "-") == 0) {
        rc = json_dumpf(document, stdout, flags) != 0 || fputc('\n', stdout) == EOF || fflush(stdout) != 0;
    } else {
        FILE *file = NULL;
        (void)snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
        file = fopen(temporary, "we");
        rc = file == NULL || json_dumpf(document, file, flags) != 0 || fputc('\n', file) == EOF;
        rc |= file != NULL && fclose(file) != 0;
        rc = rc != 0 || rename(temporary, path) != 0;
        if (rc != 0) {
            int reason = errno;
            (void)unlink(temporary);
            errno = reason;
        }
    }
    if (rc != 0) {
        (void)snprintf(error, error_size, "%s: cannot be written: %s", path, strerror(errno));
    }
    json_decref(document);
    return rc != 0 ? -1 : 0;
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
