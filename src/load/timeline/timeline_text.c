/* Inside the room of timeline.h: the timeline as an HdrHistogram log and as comma-separated values. */
#include "load/timeline/timeline.h"

#include <stdlib.h>
#include <time.h>

static double seconds(int64_t us)
{
    return (double)us / 1e6;
}

void timeline_write_hdr_log(const struct timeline *timeline, int64_t started_at_us, const char *program, FILE *out)
{
    char when[64] = "";
    time_t started = (time_t)(started_at_us / 1000000);
    struct tm tm;
    (void)gmtime_r(&started, &tm);
    (void)strftime(when, sizeof when, "%a %b %d %H:%M:%S UTC %Y", &tm);
    (void)fprintf(out, "#[Written by %s; values are microseconds, Interval_Max is in milliseconds]\n", program);
    (void)fprintf(out, "#[Histogram log format version 1.2]\n#[StartTime: %.3f (seconds since epoch), %s]\n",
                  seconds(started_at_us), when);
    (void)fprintf(out, "#[BaseTime: %.3f (seconds since epoch)]\n", seconds(started_at_us));
    (void)fprintf(out, "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n");
    struct packed empty = {0};
    for (size_t i = 0; i < timeline->count; i++) {
        const struct packed *latency = timeline->rows[i].latency != NULL ? timeline->rows[i].latency : &empty;
        char *text = packed_to_text(latency);
        (void)fprintf(out, "%.3f,%.3f,%.3f,%s\n", seconds((int64_t)i * timeline->length_us),
                      seconds(timeline->length_us), (double)latency->max / 1e3, text == NULL ? "" : text);
        free(text);
    }
}

static void put_known(double value, const char *format, FILE *out)
{
    (void)fputc(',', out);
    if (value >= 0.0) {
        (void)fprintf(out, format, value);
    }
}

void timeline_write_csv(const struct timeline *timeline, FILE *out)
{
    static const double percentiles[] = {50.0, 90.0, 99.0, 99.9};
    struct histogram *h = malloc(sizeof *h);
    (void)fprintf(out,
                  "start_s,length_s,echoes,bytes,handshakes,errors,sessions,measured,p50_us,p90_us,p99_us,p99_9_us,"
                  "max_us,mean_us,server_cpu_s,server_bytes\n");
    for (size_t i = 0; h != NULL && i < timeline->count; i++) {
        const struct interval *r = &timeline->rows[i];
        interval_unpack(r, h);
        (void)fprintf(out, "%.3f,%.3f,%llu,%llu,%llu,%llu,%llu,%llu", seconds((int64_t)i * timeline->length_us),
                      seconds(r->covered_us), (unsigned long long)r->echoes, (unsigned long long)r->bytes,
                      (unsigned long long)r->handshakes, (unsigned long long)r->errors, (unsigned long long)r->sessions,
                      (unsigned long long)h->total);
        for (size_t p = 0; p < sizeof percentiles / sizeof percentiles[0]; p++) {
            put_known(h->total > 0 ? (double)histogram_percentile(h, percentiles[p]) : -1.0, "%.0f", out);
        }
        put_known(h->total > 0 ? (double)h->max : -1.0, "%.0f", out);
        put_known(h->total > 0 ? histogram_mean(h) : -1.0, "%.1f", out);
        put_known(r->server_cpu_s, "%.6f", out);
        put_known(r->server_bytes, "%.0f", out);
        (void)fputc('\n', out);
    }
    free(h);
}
