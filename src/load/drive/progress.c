#include "load/drive/progress.h"

#include "sshecho/units.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint64_t live(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit((_Atomic uint64_t *)counter, memory_order_relaxed);
}

static void show(struct progress *p)
{
    uint64_t sessions = 0, echoes = 0, bytes = 0, errors = 0, handshakes = 0, latency_us = 0;
    for (unsigned i = 0; i < p->settings->threads; i++) {
        const struct tally_live *l = &p->workers[i].tally.live;
        sessions += live(&l->sessions_up);
        echoes += live(&l->echoes);
        bytes += live(&l->bytes);
        errors += live(&l->errors);
        handshakes += live(&l->handshakes);
        latency_us += live(&l->latency_sum_us);
    }
    mono_time now = mono_now();
    double seconds = mono_s_between(p->last, now);
    uint64_t done = echoes - p->echoes;
    char mean[32] = "-";
    if (done > 0) {
        (void)units_human_duration(mean, sizeof mean, (double)(latency_us - p->latency_sum_us) / (double)done);
    }
    const char *phase = atomic_load((_Atomic int64_t *)&p->control->gate_ns) == 0 ? "ramp" : "load";
    (void)fprintf(
        p->out, "%s%7.1fs  %s  sessions=%llu  handshakes/s=%.0f  echoes/s=%.0f  MB/s=%.2f  mean=%s  errors=%llu%s",
        p->on_terminal ? "\r\x1b[K" : "", mono_s_between(p->started, now), phase, (unsigned long long)sessions,
        (double)(handshakes - p->handshakes) / seconds, (double)done / seconds,
        (double)(bytes - p->bytes) / 1e6 / seconds, mean, (unsigned long long)errors, p->on_terminal ? "" : "\n");
    (void)fflush(p->out);
    p->echoes = echoes;
    p->bytes = bytes;
    p->errors = errors;
    p->handshakes = handshakes;
    p->latency_sum_us = latency_us;
    p->last = now;
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    show(timer->data);
}

void progress_start(struct progress *progress, const struct settings *settings, const struct load_control *control,
                    const struct load_worker *workers, struct ev_loop *loop)
{
    const struct load_options *o = &settings->options;
    *progress = (struct progress){.settings = settings, .workers = workers, .control = control, .loop = loop};
    progress->started = progress->last = mono_now();
    progress->on_terminal = o->interval_us == 0;
    progress->out = progress->on_terminal || (o->json != NULL && strcmp(o->json, "-") == 0) ? stderr : stdout;
    progress->active = o->interval_us > 0 || (o->progress && !o->quiet && isatty(STDERR_FILENO));
    if (progress->active) {
        double every_s = o->interval_us > 0 ? (double)o->interval_us / 1e6 : 0.5;
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
    if (progress->on_terminal) {
        (void)fprintf(stderr, "\r\x1b[K");
        (void)fflush(stderr);
    }
    progress->active = false;
}
