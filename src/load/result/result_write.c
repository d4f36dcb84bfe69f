/* Inside the room of result.h: writing a result file. */
#include "load/result/result.h"
#include "load/result/result_server.h"
#include "load/result/result_targets.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "load/result/result_format.h"
#include "load/result/verdict.h"

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
        (void)json_object_set_new(all, result_histogram_names[i], histogram_json(&tally->histograms[i]));
    }
    return all;
}

static json_t *summary_json(const struct result *result)
{
    json_t *summary = json_object();
    for (size_t i = 0; i < result_counter_count; i++) {
        const uint64_t *value =
            (const uint64_t *)(const void *)((const char *)&result->tally + result_counters[i].offset);
        (void)json_object_set_new(summary, result_counters[i].name, integer(*value));
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
        (void)json_object_set_new(phases, result_phase_names[i],
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
    for (size_t i = 0; i < result_text_count; i++) {
        json_t *text = json_string((const char *)n + result_texts[i].offset);
        (void)json_object_set_new(texts, result_texts[i].name, text != NULL ? text : json_string("?"));
    }
    return texts;
}

static void append_remark(const char *sentence, void *data)
{
    (void)json_array_append_new(data, json_string(sentence));
}

static json_t *generator_json(const struct result *result)
{
    const struct tally_pressure *p = &result->tally.pressure;
    json_t *remarks = json_array();
    verdict_remarks(result, append_remark, remarks);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:o, s:o}", "cpu_s",
                     number(result->tally.cpu_s), "busiest_thread_cpu", number(result->tally.busiest_thread_cpu),
                     "busiest_window_cpu", number(p->busiest_window_cpu), "windows", integer(p->windows),
                     "busy_windows", integer(p->busy_windows), "run_delay", number(p->run_delay), "throttled",
                     number(p->throttled), "steal", number(p->steal), "client_bound", verdict_is_client_bound(result),
                     "window_limited", result_is_window_limited(result), "window_limit_bytes_per_s",
                     number(result->tally.window_limit_bytes_per_s), "remarks", remarks);
}

static json_t *trend_json(const struct tally_trend *t)
{
    return json_pack("{s:o, s:f, s:f, s:f, s:f, s:f}", "count", integer(t->count), "x", t->x, "y", t->y, "xx", t->xx,
                     "xy", t->xy, "yy", t->yy);
}

/* null where there was no rate. */
static json_t *offered_json(const struct result *result)
{
    const struct tally *tally = &result->tally;
    if (!tally->rated) {
        return json_null();
    }
    struct verdict_offered v = verdict_offered(result);
    json_t *slices = json_array();
    for (unsigned i = 0; i < tally->slice_count; i++) {
        (void)json_array_append_new(slices, trend_json(&tally->slices[i]));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o}", "per_s", number(v.per_s), "achieved_per_s",
                     number(v.achieved_per_s), "ok_in_time", integer(tally->ok_in_time), "backlog",
                     integer(tally->backlog), "latency_slope", number(v.latency_slope), "sustained", v.sustained,
                     "trend", trend_json(&tally->trend), "slices", slices);
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
    rc |= json_object_set_new(document, "processes", integer(result->processes));
    rc |= json_object_set_new(document, "shard",
                              json_pack("{s:o, s:o, s:o}", "index", integer(result->shard_index), "count",
                                        integer(result->shard_count), "merged", integer(result->shards_merged)));
    rc |= json_object_set_new(document, "phases",
                              json_pack("{s:f, s:f, s:f, s:f, s:f}", "ramp_s", result->ramp_s, "wait_s", result->wait_s,
                                        "warmup_s", result->warmup_s, "measure_s", result->seconds, "drain_s",
                                        result->drain_s));
    rc |= json_object_set_new(document, "summary", summary_json(result));
    rc |= json_object_set_new(document, "offered", offered_json(result));
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
    json_t *targets = result_targets_json(result);
    if (targets != NULL) {
        rc |= json_object_set_new(document, "targets", targets);
    }
    json_t *server = server_use_json(result);
    if (server != NULL) {
        rc |= json_object_set_new(document, "server", server);
    }
    if (result->timeline.length_us > 0) {
        rc |= json_object_set_new(document, "intervals", timeline_to_json(&result->timeline));
    }
    rc |= json_object_set_new(document, "histograms", histograms_json(tally));
    rc |= result->about != NULL ? json_object_set(document, "about", result->about) : 0;
    if (rc != 0) {
        json_decref(document);
        return NULL;
    }
    return document;
}

int result_save(const struct result *result, const char *path, char *error, size_t error_size)
{
    json_t *document = result_to_json(result);
    if (document == NULL) {
        (void)snprintf(error, error_size, "%s: out of memory", path);
        return -1;
    }
    int rc = result_save_document(document, path, error, error_size);
    json_decref(document);
    return rc;
}

int result_save_document(json_t *document, const char *path, char *error, size_t error_size)
{
    char temporary[4096];
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
    return rc != 0 ? -1 : 0;
}
