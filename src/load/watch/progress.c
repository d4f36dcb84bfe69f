#include "load/watch/progress.h"

#include "sshecho/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct line {
    double at_s, seconds;
    const char *phase;
    uint64_t sessions, handshakes, echoes, bytes, errors;
    double mean_us;            /* of the echoes; negative: none came */
    const struct histogram *h; /* of the measured ones; NULL: not known */
};

static const char *print_us(double us, char buffer[32])
{
    if (us < 0.0) {
        return "-";
    }
    (void)units_human_duration(buffer, 32, us);
    return buffer;
}

static void print_line(const struct progress *p, const struct line *l)
{
    (void)fprintf(p->out, "%s%7.1fs  %s  sessions=%llu  handshakes/s=%.0f  echoes/s=%.0f  MB/s=%.2f  mean=%s",
                  p->on_terminal ? "\r\x1b[K" : "", l->at_s, l->phase, (unsigned long long)l->sessions,
                  (double)l->handshakes / l->seconds, (double)l->echoes / l->seconds,
                  (double)l->bytes / 1e6 / l->seconds, print_us(l->mean_us, (char[32]){0}));
    if (l->h != NULL) {
        bool some = l->h->total > 0;
        (void)fprintf(p->out, "  p50=%s  p99=%s  max=%s",
                      print_us(some ? (double)histogram_percentile(l->h, 50.0) : -1.0, (char[32]){0}),
                      print_us(some ? (double)histogram_percentile(l->h, 99.0) : -1.0, (char[32]){0}),
                      print_us(some ? (double)l->h->max : -1.0, (char[32]){0}));
    }
    (void)fprintf(p->out, "  errors=%llu%s", (unsigned long long)l->errors, p->on_terminal ? "" : "\n");
    (void)fflush(p->out);
}

static void show(struct progress *p)
{
    struct watched_counts now_counts;
    mono_time now = mono_now();
    watched_count(p->watched, &now_counts);
    struct line line = {.at_s = mono_s_between(p->watched->started, now),
                        .seconds = mono_s_between(p->last, now),
                        .phase = watched_measure_from_ns(p->watched) == 0 ? "ramp" : "load",
                        .sessions = now_counts.sessions,
                        .handshakes = now_counts.handshakes - p->before.handshakes,
                        .echoes = now_counts.echoes - p->before.echoes,
                        .bytes = now_counts.bytes - p->before.bytes,
                        .errors = now_counts.errors,
                        .mean_us = -1.0};
    if (line.echoes > 0) {
        line.mean_us = (double)(now_counts.latency_sum_us - p->before.latency_sum_us) / (double)line.echoes;
    }
    print_line(p, &line);
    p->before = now_counts;
    p->last = now;
}

void progress_interval(struct progress *p, const struct interval *interval, uint64_t index)
{
    if (!p->active || p->on_terminal) {
        return;
    }
    struct watched_counts now_counts;
    const struct settings *settings = p->watched->settings;
    watched_count(p->watched, &now_counts);
    interval_unpack(interval, p->scratch);
    int64_t end_us = (int64_t)(index + 1) * settings->timeline_us;
    struct line line = {
        .at_s = (double)(watched_measure_from_ns(p->watched) - p->watched->started.ns) / (double)NS_PER_S +
                (double)end_us / 1e6,
        .seconds = (double)(interval->covered_us > 0 ? interval->covered_us : settings->timeline_us) / 1e6,
        .phase = "load",
        .sessions = interval->sessions,
        .handshakes = interval->handshakes,
        .echoes = interval->echoes,
        .bytes = interval->bytes,
        .errors = now_counts.errors,
        .mean_us = p->scratch->total > 0 ? histogram_mean(p->scratch) : -1.0,
        .h = p->scratch,
    };
    print_line(p, &line);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct progress *p = timer->data;
    int64_t from_ns = watched_measure_from_ns(p->watched);
    if (p->on_terminal || !p->watched->by_interval || from_ns == 0 || mono_now().ns < from_ns) {
        show(p);
    }
}

double progress_every_s(const struct settings *settings)
{
    return settings->options.interval_us > 0 ? (double)settings->options.interval_us / 1e6 : 0.5;
}

void progress_start(struct progress *progress, const struct watched *watched, struct ev_loop *loop)
{
    const struct load_options *o = &watched->settings->options;
    *progress = (struct progress){.watched = watched, .loop = loop, .last = mono_now()};
    progress->on_terminal = o->interval_us == 0;
    progress->out = progress->on_terminal || (o->json != NULL && strcmp(o->json, "-") == 0) ? stderr : stdout;
    progress->active = !o->live && (o->interval_us > 0 || (o->progress && !o->quiet && isatty(STDERR_FILENO)));
    progress->scratch = progress->active ? malloc(sizeof *progress->scratch) : NULL;
    progress->active = progress->scratch != NULL;
    if (progress->active) {
        double every_s = progress_every_s(watched->settings);
        ev_timer_init(&progress->timer, on_timer, every_s, every_s);
        progress->timer.data = progress;
        ev_timer_start(loop, &progress->timer);
    }
}

void progress_stop(struct progress *progress)
{
    if (!progress->active) {
        return;
    }
    ev_timer_stop(progress->loop, &progress->timer);
    free(progress->scratch);
    progress->scratch = NULL;
    if (progress->on_terminal) {
        (void)fprintf(stderr, "\r\x1b[K");
        (void)fflush(stderr);
    }
    progress->active = false;
}
