#include "load/watch/progress.h"

#include "load/watch/terminal.h"
#include "load/watch/told.h"
#include "sshecho/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a line may have: counts of 20 digits included. */
#define LINE_MOST 512

static const char *print_us(double us, char buffer[32])
{
    if (us < 0.0) {
        return "-";
    }
    (void)units_human_duration(buffer, 32, us);
    return buffer;
}

void progress_print(FILE *out, bool on_terminal, const struct progress_line *l)
{
    char text[LINE_MOST];
    char latencies[128] = "";
    if (l->h != NULL) {
        bool some = l->h->total > 0;
        (void)snprintf(latencies, sizeof latencies, "  p50=%s  p99=%s  max=%s",
                       print_us(some ? (double)histogram_percentile(l->h, 50.0) : -1.0, (char[32]){0}),
                       print_us(some ? (double)histogram_percentile(l->h, 99.0) : -1.0, (char[32]){0}),
                       print_us(some ? (double)l->h->max : -1.0, (char[32]){0}));
    }
    (void)snprintf(text, sizeof text,
                   "%7.1fs  %s%s  sessions=%llu  handshakes/s=%.0f  echoes/s=%.0f  MB/s=%.2f  mean=%s%s  errors=%llu",
                   l->at_s, l->load ? "load" : "ramp", l->whose, (unsigned long long)l->sessions,
                   (double)l->handshakes / l->seconds, (double)l->echoes / l->seconds,
                   (double)l->bytes / 1e6 / l->seconds, print_us(l->mean_us, (char[32]){0}), latencies,
                   (unsigned long long)l->errors);
    if (on_terminal) { /* cut: one that wraps would be two */
        (void)fprintf(out, "\r\x1b[K%.*s", (int)terminal_width() - 1, text);
    } else {
        (void)fprintf(out, "%s\n", text);
    }
    (void)fflush(out);
}

void progress_print_end(FILE *out, bool on_terminal)
{
    if (on_terminal) {
        (void)fprintf(out, "\r\x1b[K");
        (void)fflush(out);
    }
}

/* Which interval of the plan lies around an instant; where sessions are late, the plan has begun without them. */
static int64_t index_at(const struct progress *p, int64_t from_ns, int64_t back_us)
{
    const struct settings *settings = p->watched->settings;
    int64_t us = -1;
    if (from_ns != 0) {
        us = (mono_now().ns - from_ns) / NS_PER_US - back_us;
    } else if (settings->start_at_us > 0) {
        us = wall_us() - settings->start_at_us - (int64_t)settings->options.warmup_us - back_us;
    }
    return us < 0 ? -((-us - 1) / settings->timeline_us) - 1 : us / settings->timeline_us;
}

static void tell(const struct progress *p, const struct progress_line *line, uint64_t latency_sum_us)
{
    int64_t covered_us = (int64_t)(line->seconds * 1e6);
    struct told told = {.index = index_at(p, watched_measure_from_ns(p->watched), covered_us / 2),
                        .load = line->load,
                        .errors = line->errors,
                        .latency_sum_us = latency_sum_us,
                        .interval = INTERVAL_EMPTY};
    told.interval.covered_us = covered_us;
    told.interval.sessions = line->sessions;
    told.interval.handshakes = line->handshakes;
    told.interval.echoes = line->echoes;
    told.interval.bytes = line->bytes;
    told_write(&told, p->out);
}

static void show(struct progress *p)
{
    struct watched_counts now_counts;
    mono_time now = mono_now();
    watched_count(p->watched, &now_counts);
    struct progress_line line = {.at_s = mono_s_between(p->watched->started, now),
                                 .seconds = mono_s_between(p->last, now),
                                 .load = watched_measure_from_ns(p->watched) != 0,
                                 .whose = "",
                                 .sessions = now_counts.sessions,
                                 .handshakes = now_counts.handshakes - p->before.handshakes,
                                 .echoes = now_counts.echoes - p->before.echoes,
                                 .bytes = now_counts.bytes - p->before.bytes,
                                 .errors = now_counts.errors,
                                 .mean_us = -1.0};
    uint64_t latency_sum_us = now_counts.latency_sum_us - p->before.latency_sum_us;
    if (line.echoes > 0) {
        line.mean_us = (double)latency_sum_us / (double)line.echoes;
    }
    if (p->tells) {
        tell(p, &line, latency_sum_us);
    } else {
        progress_print(p->out, p->on_terminal, &line);
    }
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
    if (p->tells) {
        struct told told = {.index = (int64_t)index,
                            .load = true,
                            .errors = now_counts.errors,
                            .latency_sum_us = (uint64_t)p->scratch->sum,
                            .interval = *interval};
        told_write(&told, p->out);
        return;
    }
    int64_t end_us = (int64_t)(index + 1) * settings->timeline_us;
    struct progress_line line = {
        .at_s = (double)(watched_measure_from_ns(p->watched) - p->watched->started.ns) / (double)NS_PER_S +
                (double)end_us / 1e6,
        .seconds = (double)(interval->covered_us > 0 ? interval->covered_us : settings->timeline_us) / 1e6,
        .load = true,
        .whose = "",
        .sessions = interval->sessions,
        .handshakes = interval->handshakes,
        .echoes = interval->echoes,
        .bytes = interval->bytes,
        .errors = now_counts.errors,
        .mean_us = p->scratch->total > 0 ? histogram_mean(p->scratch) : -1.0,
        .h = p->scratch,
    };
    progress_print(p->out, false, &line);
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
    if (settings->options.tell) {
        return (double)settings->timeline_us / 1e6;
    }
    return settings->options.interval_us > 0 ? (double)settings->options.interval_us / 1e6 : 0.5;
}

void progress_start(struct progress *progress, const struct watched *watched, struct ev_loop *loop)
{
    const struct load_options *o = &watched->settings->options;
    *progress = (struct progress){.watched = watched, .loop = loop, .last = mono_now()};
    progress->tells = o->tell;
    progress->on_terminal = o->interval_us == 0 && !o->tell;
    progress->out =
        progress->on_terminal || o->tell || (o->json != NULL && strcmp(o->json, "-") == 0) ? stderr : stdout;
    progress->active =
        o->tell || (!o->live && (o->interval_us > 0 || (o->progress && !o->quiet && isatty(STDERR_FILENO))));
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
    progress_print_end(progress->out, progress->on_terminal);
    progress->active = false;
}
