/* Inside the room of exporter.h: the page, in the text form that Prometheus reads. */
#include "load/watch/exporter.h"

#include <inttypes.h>

#define PREFIX "sshload_"

static const int64_t bounds_us[] = {100,   250,    500,    1000,   2500,    5000,    10000,   25000,
                                    50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};

static void head(FILE *out, const char *name, const char *type, const char *help)
{
    (void)fprintf(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static void one(FILE *out, const char *name, const char *type, const char *help, double value)
{
    head(out, name, type, help);
    (void)fprintf(out, PREFIX "%s %.15g\n", name, value);
}

static void label(FILE *out, const char *name, const char *text, const char *after)
{
    (void)fprintf(out, "%s=\"", name);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\\' || *c == '"') {
            (void)fputc('\\', out);
        }
        (void)fputc(*c == '\n' ? ' ' : *c, out);
    }
    (void)fprintf(out, "\"%s", after);
}

static void write_info(const struct watched *watched, FILE *out)
{
    const struct load_options *o = &watched->settings->options;
    head(out, "run_info", "gauge", "What runs; the value is 1.");
    (void)fprintf(out, PREFIX "run_info{");
    label(out, "version", SSHECHO_VERSION, ",");
    label(out, "mode", load_mode_names[o->mode], ",");
    label(out, "label", o->label == NULL ? "" : o->label, ",");
    label(out, "target", watched->settings->targets[0].text, "} 1\n");
}

/* A bucket of ours counts where its smallest value is: one that crosses a bound belongs above it. */
static void write_latency(const struct histogram *h, FILE *out)
{
    uint64_t below = 0;
    uint32_t slot = 0;
    head(out, "latency_seconds", "histogram",
         "Latency of the measured operations, from their due time at a rate; renewed with every interval.");
    for (size_t i = 0; i < sizeof bounds_us / sizeof bounds_us[0]; i++) {
        while (slot < HISTOGRAM_SLOTS && histogram_slot_high(slot) <= bounds_us[i]) {
            below += h->counts[slot++];
        }
        (void)fprintf(out, PREFIX "latency_seconds_bucket{le=\"%g\"} %" PRIu64 "\n", (double)bounds_us[i] / 1e6, below);
    }
    (void)fprintf(out, PREFIX "latency_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n", h->total);
    (void)fprintf(out, PREFIX "latency_seconds_sum %.6f\n", h->sum / 1e6);
    (void)fprintf(out, PREFIX "latency_seconds_count %" PRIu64 "\n", h->total);
}

void exporter_write(const struct watched *watched, const struct histogram *latency, FILE *out)
{
    struct watched_counts counts;
    int64_t from_ns = watched_measure_from_ns(watched);
    watched_count(watched, &counts);
    write_info(watched, out);
    one(out, "measuring", "gauge", "1 from the start of the measurement on.",
        from_ns != 0 && mono_now().ns >= from_ns ? 1.0 : 0.0);
    one(out, "connections_wanted", "gauge", "Connections that were asked for.", (double)watched->settings->connections);
    one(out, "sessions", "gauge", "Sessions that are up.", (double)counts.sessions);
    one(out, "handshakes_total", "counter", "Sessions that came up.", (double)counts.handshakes);
    one(out, "echoes_total", "counter", "Messages that came back; in connect mode connections.", (double)counts.echoes);
    one(out, "echoed_bytes_total", "counter", "Payload that came back, or was sent where nothing comes back.",
        (double)counts.bytes);
    head(out, "errors_total", "counter", "Errors, by class as in the report.");
    for (int i = 0; i < FAULT_COUNT; i++) {
        (void)fprintf(out, PREFIX "errors_total{class=\"%s\"} %" PRIu64 "\n", fault_name((enum fault)i),
                      counts.faults[i]);
    }
    if (watched->by_interval) { /* else it would stay empty */
        write_latency(latency, out);
    }
    one(out, "cpu_seconds_total", "counter", "CPU time of the generator itself.", watched_cpu_s(watched));
    one(out, "threads", "gauge", "Threads of the generator.", (double)watched->threads);
}
