#include "load/result/report.h"
#include "load/result/result_server.h"
#include "load/result/result_targets.h"

#include "load/result/percentiles.h"
#include "load/result/verdict.h"
#include "load/tally/printable.h"
#include "sshecho/units.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *report_grouped(char *buffer, size_t size, uint64_t value)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    size_t at = 0;
    for (int i = 0; i < length && at + 2 < size; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            buffer[at++] = ',';
        }
        buffer[at++] = digits[i];
    }
    buffer[at] = '\0';
    return buffer;
}

#define GROUPED(value) report_grouped((char[32]){0}, 32, (value))

/* From a file it may be anybody's words. */
static const char *about_text(const struct result *result, const char *section, const char *key, char buffer[128])
{
    const char *text = json_string_value(json_object_get(json_object_get(result->about, section), key));
    return printable_copy(buffer, 128, text == NULL ? "?" : text);
}

static void chosen_percentiles(const struct result *result, struct percentiles *out)
{
    char text[128];
    char problem[256];
    if (percentiles_parse(about_text(result, "options", "percentiles", text), out, problem, sizeof problem) != 0) {
        (void)percentiles_parse(PERCENTILES_DEFAULT, out, problem, sizeof problem);
    }
}

static uint64_t about_option(const struct result *result, const char *key)
{
    json_t *value = json_object_get(json_object_get(result->about, "options"), key);
    return json_is_integer(value) ? (uint64_t)json_integer_value(value) : 0;
}

static const char *plural(char buffer[48], uint64_t count, const char *word)
{
    (void)snprintf(buffer, 48, "%s %s%s", GROUPED(count), word, count == 1 ? "" : "s");
    return buffer;
}

static void print_head(const struct result *result, FILE *out)
{
    const struct tally_negotiated *n = &result->tally.negotiated;
    char version[128];
    (void)fprintf(out, "sshload %s  %s%s%s\n\n", about_text(result, "program", "version", version), result->mode,
                  result->label[0] != '\0' ? "  " : "", result->label);
    (void)fprintf(out, "Target       ");
    json_t *targets = json_object_get(result->about, "targets");
    for (size_t i = 0; i < json_array_size(targets) && i < 4; i++) {
        const char *text = json_string_value(json_array_get(targets, i));
        (void)fprintf(out, "%s%s", i > 0 ? ", " : "", printable_copy((char[320]){0}, 320, text == NULL ? "?" : text));
    }
    if (json_array_size(targets) > 4) {
        (void)fprintf(out, " and %zu more", json_array_size(targets) - 4);
    }
    (void)fprintf(out, "  %s\n", n->banner);
    if (n->kex[0] != '\0') {
        (void)fprintf(out, "Algorithms   %s, %s, %s%s%s\n", n->kex, n->host_key, n->cipher_out,
                      strstr(n->mac_out, "aead") != NULL || n->mac_out[0] == '\0' ? "" : ", ",
                      strstr(n->mac_out, "aead") != NULL ? "" : n->mac_out);
    }
    char load[128];
    (void)snprintf(load, sizeof load, "%s, %s each, %s",
                   plural((char[48]){0}, about_option(result, "connections"), "connection"),
                   plural((char[48]){0}, about_option(result, "channels"), "channel"),
                   plural((char[48]){0}, result->threads, "thread"));
    (void)fprintf(out, "Load         %s", load);
    if (result->processes > 1) {
        (void)fprintf(out, " in %s processes", GROUPED(result->processes));
    }
    if (result->open_loop && about_option(result, "rate") > 0) {
        (void)fprintf(out, ", open loop at %s/s", GROUPED(about_option(result, "rate")));
    } else if (result->tally.rated) {
        (void)fprintf(out, ", open loop at %s", about_text(result, "options", "rate", (char[128]){0}));
    } else {
        (void)fprintf(out, result->open_loop ? ", open loop" : ", closed loop");
    }
    if (result->shards_merged > 1) {
        (void)fprintf(out, ", %llu results merged", (unsigned long long)result->shards_merged);
    } else if (result->shard_count > 1) {
        (void)fprintf(out, ", shard %llu of %llu", (unsigned long long)result->shard_index,
                      (unsigned long long)result->shard_count);
    }
    (void)fprintf(out, "\nPhases       ramp %.2f s, ", result->ramp_s);
    if (result->start_skew_us != RESULT_SKEW_NONE) {
        (void)fprintf(out, "wait %.2f s, ", result->wait_s);
    }
    (void)fprintf(out, "warm-up %.2f s, measured %.2f s, drain %.2f s\n", result->warmup_s, result->seconds,
                  result->drain_s);
    if (result->start_skew_us != RESULT_SKEW_NONE) {
        (void)fprintf(out, "Start skew   %.3f ms\n", (double)result->start_skew_us / 1e3);
    }
}

static void print_offered(const struct result *result, FILE *out)
{
    struct verdict_offered v = verdict_offered(result);
    if (v.judged) {
        (void)fprintf(out,
                      "Offered      %.1f /s, answered in time %.1f /s, backlog at the end %s, latency %+.3f ms each "
                      "second: %ssustained\n",
                      v.per_s, v.achieved_per_s, GROUPED(v.backlog), v.latency_slope * 1e3, v.sustained ? "" : "not ");
    }
}

/* How far apart the parts of a merged result began. */
static void print_parts(const struct result *result, FILE *out)
{
    json_t *parts = json_object_get(result->about, "parts");
    json_t *part;
    size_t i;
    json_int_t first_us = 0, last_us = 0;
    json_array_foreach(parts, i, part)
    {
        json_int_t us = json_integer_value(json_object_get(part, "started_at_us"));
        first_us = i == 0 || us < first_us ? us : first_us;
        last_us = i == 0 || us > last_us ? us : last_us;
    }
    if (json_array_size(parts) > 1) {
        (void)fprintf(out, "Parts        %zu, the last began %.3f ms after the first\n", json_array_size(parts),
                      ((double)last_us - (double)first_us) / 1e3);
    }
}

static void print_counts(const struct result *result, FILE *out)
{
    const struct tally *t = &result->tally;
    (void)fprintf(out, "\nEchoes       %-14s %12.1f /s\n", GROUPED(t->echoes), result_echoes_per_s(result));
    (void)fprintf(out, "Data         %-14s %12.2f MB/s\n", GROUPED(t->bytes), result_mb_per_s(result));
    (void)fprintf(out, "Handshakes   %-14s %12.1f /s\n",
                  GROUPED(strcmp(result->mode, "connect") == 0 ? t->connects_in_measure : t->connects_in_ramp),
                  result_handshakes_per_s(result));
    (void)fprintf(out, "Operations   %s started = %s ok + %s failed + %s timed out + %s unfinished\n",
                  GROUPED(t->started), GROUPED(t->ok), GROUPED(t->failed), GROUPED(t->timed_out),
                  GROUPED(t->unfinished));
    print_offered(result, out);
    (void)fprintf(out, "Sessions     %s up at the end, %s at most, %s lost\n", GROUPED(t->sessions_up),
                  GROUPED(t->sessions_up_max), GROUPED(t->sessions_lost));
    if (t->sessions_held > 0) {
        (void)fprintf(out, "Pinged       %s of %s sessions answered%s\n", GROUPED(t->sessions_pinged),
                      GROUPED(t->sessions_held),
                      t->sessions_pinged < t->sessions_held ? "; of the others only the connection is known" : "");
    }
}

static void print_figures(const char *name, const struct histogram *histogram, const struct percentiles *wanted,
                          FILE *out)
{
    char text[32];
    if (histogram->total == 0) {
        return;
    }
    (void)fprintf(out, "  %-16s", name);
    for (size_t i = 0; i < wanted->count; i++) {
        double value = (double)histogram_percentile(histogram, wanted->values[i]);
        (void)fprintf(out, " %9s", units_human_duration(text, sizeof text, value));
    }
    (void)fprintf(out, " %9s", units_human_duration(text, sizeof text, (double)histogram->max));
    (void)fprintf(out, " %9s\n", units_human_duration(text, sizeof text, histogram_mean(histogram)));
}

static void print_table_head(const char *title, const struct percentiles *wanted, FILE *out)
{
    (void)fprintf(out, "\n%-18s", title);
    for (size_t i = 0; i < wanted->count; i++) {
        (void)fprintf(out, " %9s", wanted->names[i]);
    }
    (void)fprintf(out, " %9s %9s\n", "max", "mean");
}

/* Percentiles of what was answered say nothing of what was not. */
static void print_censoring(const struct result *result, FILE *out)
{
    const struct tally *t = &result->tally;
    uint64_t answered = t->ok < t->started ? t->ok : t->started;
    if (answered == t->started || strcmp(result->mode, "hold") == 0) {
        return;
    }
    (void)fprintf(out, "  over %s of %s operations; %s were never answered", GROUPED(answered + t->censored),
                  GROUPED(t->started), GROUPED(t->started - answered));
    if (t->censored > 0) {
        (void)fprintf(out, ", %s of them counted as long as they had waited", GROUPED(t->censored));
    }
    (void)fputc('\n', out);
}

static void print_latencies(const struct result *result, FILE *out)
{
    static const char *const parts[TALLY_PHASES] = {"TCP", "banner + kex", "login", "channel", "first echo"};
    const struct tally *t = &result->tally;
    struct percentiles wanted;
    chosen_percentiles(result, &wanted);
    if (tally_histogram(t, HISTOGRAM_LATENCY)->total > 0 && !result->open_loop) {
        /* Nothing was due at a time of its own: that the next message waited for this answer is in no figure. */
        print_table_head("Service time", &wanted, out);
        print_figures("closed loop", tally_histogram(t, HISTOGRAM_LATENCY), &wanted, out);
    } else if (tally_histogram(t, HISTOGRAM_LATENCY)->total > 0) {
        print_table_head("Latency", &wanted, out);
        print_figures("from due time", tally_histogram(t, HISTOGRAM_LATENCY), &wanted, out);
        print_figures("from send time", tally_histogram(t, HISTOGRAM_UNCORRECTED), &wanted, out);
        print_figures("schedule slip", tally_histogram(t, HISTOGRAM_SLIP), &wanted, out);
    }
    print_censoring(result, out);
    if (tally_histogram(t, HISTOGRAM_HANDSHAKE)->total > 0) {
        print_table_head("Handshake", &wanted, out);
        for (int i = 0; i < TALLY_PHASES; i++) {
            print_figures(parts[i], &t->histograms[HISTOGRAM_HANDSHAKE_PARTS + i], &wanted, out);
        }
        print_figures("in all", tally_histogram(t, HISTOGRAM_HANDSHAKE), &wanted, out);
    }
    const struct histogram *spread = tally_histogram(t, HISTOGRAM_CONNECTION_KB);
    if (strcmp(result->mode, "stream") == 0 && spread->total > 1 && result->seconds > 0.0) {
        double scale = 1e3 * result->seconds;
        (void)fprintf(out, "\nPer connection  least %.2f, median %.2f, most %.2f MB/s\n", (double)spread->min / scale,
                      (double)histogram_percentile(spread, 50.0) / scale, (double)spread->max / scale);
    }
}

static void print_remark(const char *sentence, void *data)
{
    (void)fprintf(data, "Note         %s\n", sentence);
}

void report_print(const struct result *result, FILE *out)
{
    const struct tally *t = &result->tally;
    print_head(result, out);
    print_parts(result, out);
    print_counts(result, out);
    print_latencies(result, out);
    result_targets_print(result, out);
    (void)fprintf(out, "\nErrors       %s\n", GROUPED(result_errors(result)));
    for (int i = 0; i < FAULT_COUNT; i++) {
        if (t->faults.counts[i] > 0) {
            (void)fprintf(out, "  %-18s %8s  first: %s\n", fault_name((enum fault)i), GROUPED(t->faults.counts[i]),
                          t->faults.first[i]);
        }
    }
    (void)fprintf(out, "Generator    %.2f s CPU, busiest thread %.0f %% of a core\n", t->cpu_s,
                  t->busiest_thread_cpu * 100.0);
    server_use_print(result, out);
    verdict_remarks(result, print_remark, out);
}

/* ---- percentile file ---- */

static void print_hdr(const struct histogram *h, FILE *out)
{
    (void)fprintf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    uint64_t seen = 0;
    for (uint32_t slot = 0; slot < HISTOGRAM_SLOTS; slot++) {
        if (h->counts[slot] == 0) {
            continue;
        }
        seen += h->counts[slot];
        double share = (double)seen / (double)h->total;
        int64_t high = histogram_slot_high(slot);
        double value = (double)(high < h->max ? high : h->max) / 1e3;
        if (seen < h->total) {
            (void)fprintf(out, "%12.3f %2.12f %10llu %14.2f\n", value, share, (unsigned long long)seen,
                          1.0 / (1.0 - share));
        } else {
            (void)fprintf(out, "%12.3f %2.12f %10llu\n", value, share, (unsigned long long)seen);
        }
    }
    (void)fprintf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", histogram_mean(h) / 1e3,
                  histogram_stddev(h) / 1e3);
    (void)fprintf(out, "#[Max     = %12.3f, Total count    = %12llu]\n", (double)h->max / 1e3,
                  (unsigned long long)h->total);
    (void)fprintf(out, "#[Buckets = %12d, SubBuckets     = %12d]\n", HISTOGRAM_TIERS, HISTOGRAM_SUB_COUNT);
}

/* One file, by whichever of the writers below. */
static int save(const struct result *result, const char *path, void (*write)(const struct result *result, FILE *out),
                char *error, size_t error_size)
{
    FILE *file = path == NULL ? NULL : fopen(path, "we");
    bool bad = path != NULL && file == NULL;
    if (file != NULL) {
        write(result, file);
        bad = ferror(file) != 0;
        bad = fclose(file) != 0 || bad;
    }
    if (bad) {
        (void)snprintf(error, error_size, "%s: cannot be written: %s", path, strerror(errno));
        return -1;
    }
    return 0;
}

static void write_hdr(const struct result *result, FILE *out)
{
    print_hdr(tally_histogram(&result->tally, HISTOGRAM_LATENCY), out);
}

static void write_hlog(const struct result *result, FILE *out)
{
    char program[160];
    char version[128];
    (void)snprintf(program, sizeof program, "sshload %s", about_text(result, "program", "version", version));
    timeline_write_hdr_log(&result->timeline, result->started_at_us + (int64_t)(result->warmup_s * 1e6), program, out);
}

static void write_csv(const struct result *result, FILE *out)
{
    timeline_write_csv(&result->timeline, out);
}

int report_save_files(const struct result *result, const char *hdr, const char *hlog, const char *csv, char *error,
                      size_t error_size)
{
    return save(result, hdr, write_hdr, error, error_size) != 0 ||
                   save(result, hlog, write_hlog, error, error_size) != 0 ||
                   save(result, csv, write_csv, error, error_size) != 0
               ? -1
               : 0;
}
