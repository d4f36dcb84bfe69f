#include "load/watch/live.h"

#include "load/watch/terminal.h"
#include "sshecho/units.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVERY_S 0.25

/* One line, cut to the width: one that wraps would be two. */
__attribute__((format(printf, 3, 4))) static void put(struct live *live, unsigned width, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "%.*s\x1b[K\r\n", (int)width - 1, line);
    live->lines++;
}

static const char *print_us(double us, char buffer[32])
{
    (void)units_human_duration(buffer, 32, us);
    return buffer;
}

static void put_head(struct live *live, unsigned width, mono_time now)
{
    const struct load_options *o = &live->watched->settings->options;
    int64_t from_ns = watched_measure_from_ns(live->watched);
    double measured_s = from_ns == 0 ? -1.0 : (double)(now.ns - from_ns) / (double)NS_PER_S;
    double wanted_s = (double)o->duration_us / 1e6;
    char phase[96];
    if (from_ns == 0) {
        (void)snprintf(phase, sizeof phase, "setting up sessions");
    } else if (measured_s < 0.0) {
        (void)snprintf(phase, sizeof phase, "warm-up, %.1f s more", -measured_s);
    } else if (o->count > 0) {
        (void)snprintf(phase, sizeof phase, "measured for %.1f s", measured_s);
    } else {
        (void)snprintf(phase, sizeof phase, measured_s < wanted_s ? "measured %.1f of %.1f s" : "%.1f s: draining",
                       measured_s, wanted_s);
    }
    put(live, width, "sshload %s  %s%s  %.1f s, %s", load_mode_names[o->mode], live->watched->settings->targets[0].text,
        live->watched->settings->target_count > 1 ? " and more" : "", mono_s_between(live->watched->started, now),
        phase);
}

static void put_latency(struct live *live, unsigned width)
{
    const struct histogram *h = live->last;
    if (!live->has_interval || h->total == 0) {
        put(live, width, "latency    %s", live->has_interval ? "nothing was measured in the last interval" : "-");
        return;
    }
    put(live, width, "latency    p50 %s  p99 %s  max %s  (last interval)",
        print_us((double)histogram_percentile(h, 50.0), (char[32]){0}),
        print_us((double)histogram_percentile(h, 99.0), (char[32]){0}), print_us((double)h->max, (char[32]){0}));
}

static void put_errors(struct live *live, unsigned width, const struct watched_counts *counts)
{
    char text[400] = "";
    size_t at = 0;
    for (int i = 0; i < FAULT_COUNT && at + 1 < sizeof text; i++) {
        if (counts->faults[i] > 0) {
            int length = snprintf(text + at, sizeof text - at, "  %s %llu", fault_name((enum fault)i),
                                  (unsigned long long)counts->faults[i]);
            at += length > 0 ? (size_t)length : 0;
        }
    }
    put(live, width, "errors     %llu%s", (unsigned long long)counts->errors, text);
}

static void draw(struct live *live)
{
    struct watched_counts now_counts;
    mono_time now = mono_now();
    unsigned width = terminal_width();
    double seconds = mono_s_between(live->drawn, now);
    double cpu_s = watched_cpu_s(live->watched);
    watched_count(live->watched, &now_counts);
    seconds = seconds > 0.0 ? seconds : 1e-6;
    live_clear(live);
    put_head(live, width, now);
    put(live, width, "rate       %.0f echoes/s  %.2f MB/s  %.0f handshakes/s",
        (double)(now_counts.echoes - live->before.echoes) / seconds,
        (double)(now_counts.bytes - live->before.bytes) / 1e6 / seconds,
        (double)(now_counts.handshakes - live->before.handshakes) / seconds);
    put(live, width, "sessions   %llu of %llu", (unsigned long long)now_counts.sessions,
        (unsigned long long)live->watched->settings->connections);
    put_latency(live, width);
    put_errors(live, width, &now_counts);
    put(live, width, "generator  %.0f %% of a core, %u thread%s", (cpu_s - live->cpu_s) / seconds * 100.0,
        live->watched->threads, live->watched->threads == 1 ? "" : "s");
    (void)fflush(stderr);
    live->before = now_counts;
    live->drawn = now;
    live->cpu_s = cpu_s;
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    draw(timer->data);
}

int live_start(struct live *live, const struct watched *watched, struct ev_loop *loop)
{
    *live = (struct live){0};
    if (!watched->settings->options.live) {
        return 0;
    }
    live->last = calloc(1, sizeof *live->last);
    if (live->last == NULL) {
        return -1;
    }
    live->watched = watched;
    live->loop = loop;
    live->drawn = mono_now();
    live->cpu_s = watched_cpu_s(watched);
    ev_timer_init(&live->timer, on_timer, EVERY_S, EVERY_S);
    live->timer.data = live;
    ev_timer_start(loop, &live->timer);
    return 0;
}

void live_interval(struct live *live, const struct interval *interval)
{
    if (live->watched != NULL) {
        interval_unpack(interval, live->last);
        live->has_interval = true;
    }
}

void live_clear(struct live *live)
{
    if (live->lines > 0) {
        (void)fprintf(stderr, "\r\x1b[%uA\x1b[J", live->lines);
        (void)fflush(stderr);
        live->lines = 0;
    }
}

void live_stop(struct live *live)
{
    if (live->watched != NULL) {
        ev_timer_stop(live->loop, &live->timer);
        live_clear(live);
        free(live->last);
        *live = (struct live){0};
    }
}
