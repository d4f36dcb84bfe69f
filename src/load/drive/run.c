#include "load/drive/run.h"

#include "load/drive/intervals.h"
#include "load/drive/worker.h"
#include "load/plan/schedule.h"
#include "load/watch/exporter.h"
#include "load/watch/link.h"
#include "load/watch/live.h"
#include "load/watch/progress.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How often a part of a run tells the process over it how far it is, at least. */
#define TELL_EVERY_S 0.25

struct run {
    const struct settings *settings;
    struct load_control control;
    struct load_worker *workers;
    unsigned started; /* workers that run */
    struct ev_loop *loop;
    ev_signal interrupt, terminate;
    ev_timer start_timer;
    struct watched watched;
    struct progress progress;
    struct live live;
    struct exporter *exporter;
    struct link link; /* to the process over this one; loop NULL: there is none */
    struct intervals intervals;
    struct observer *observer;
    unsigned signals;
    mono_time began, ready, opened; /* ready: every session stood or had failed */
    int64_t opened_us;              /* since 1970 */
};

static void wake_all(struct run *run)
{
    for (unsigned i = 0; i < run->started; i++) {
        load_worker_wake(&run->workers[i]);
    }
}

/* From whichever thread gave a slot back; `thread` runs, since it has asked for one. */
static void on_slot_free(unsigned thread, void *data)
{
    struct run *run = data;
    load_worker_wake(&run->workers[thread]);
}

static void open_gate(struct run *run, mono_time at, int64_t at_us)
{
    run->opened_us = at_us;
    run->opened = at;
    atomic_store(&run->control.gate_ns, run->opened.ns);
    wake_all(run);
}

static void on_start_time(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)revents;
    struct run *run = timer->data;
    int64_t early_us = run->settings->start_at_us - wall_us();
    if (early_us > 0) { /* the timer is coarser than the clock */
        ev_timer_stop(loop, timer);
        ev_timer_set(timer, (double)early_us / 1e6, 0.0);
        ev_timer_start(loop, timer);
        return;
    }
    open_gate(run, mono_now(), wall_us());
}

/* The sessions stand, everywhere. */
static void begin_traffic(struct run *run, mono_time at, int64_t at_us)
{
    int64_t early_us = run->settings->start_at_us - wall_us();
    if (run->settings->start_at_us > 0 && early_us > 0) {
        ev_timer_set(&run->start_timer, (double)early_us / 1e6, 0.0);
        ev_now_update(run->loop);
        ev_timer_start(run->loop, &run->start_timer);
    } else {
        open_gate(run, at, at_us);
    }
}

static void on_changed(struct ev_loop *loop, ev_async *async, int revents)
{
    (void)revents;
    struct run *run = async->data;
    if (atomic_load(&run->control.done) == run->started) {
        ev_break(loop, EVBREAK_ALL);
        return;
    }
    if (atomic_load(&run->control.ready) == run->started && run->ready.ns == 0) {
        run->ready = mono_now();
        if (run->link.loop != NULL) {
            link_tell(&run->link); /* on_go follows */
        } else {
            begin_traffic(run, run->ready, wall_us());
        }
    }
}

static void on_whole_interval(struct interval *interval, uint64_t index, void *data)
{
    struct run *run = data;
    progress_interval(&run->progress, interval, index);
    live_interval(&run->live, interval);
    exporter_interval(run->exporter, interval);
}

static void on_sampled(struct ev_loop *loop, ev_async *async, int revents)
{
    (void)loop;
    (void)revents;
    struct run *run = async->data;
    intervals_collect(&run->intervals);
}

static void stop(struct run *run)
{
    ev_timer_stop(run->loop, &run->start_timer);
    atomic_store(&run->control.stop, true);
    wake_all(run);
}

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int revents)
{
    (void)loop;
    (void)revents;
    struct run *run = watcher->data;
    if (++run->signals > 1) {
        live_clear(&run->live);
        _exit(128 + watcher->signum); /* asked twice: now */
    }
    stop(run);
}

/* ---- a part of a run in several processes ---- */

static void tell_figures(struct link_figures *out, void *data)
{
    struct run *run = data;
    watched_count(&run->watched, &out->counts);
    out->cpu_us = (uint64_t)(watched_cpu_s(&run->watched) * 1e6);
    out->ready = run->ready.ns != 0;
}

static void on_go(struct link_go go, void *data)
{
    struct run *run = data;
    if (run->opened.ns == 0 && run->signals == 0) {
        begin_traffic(run, (mono_time){.ns = go.gate_ns}, go.gate_us);
    }
}

static void on_link_lost(void *data)
{
    stop(data);
}

static const struct link_events link_events = {.figures = tell_figures, .go = on_go, .lost = on_link_lost};

static void watch(struct run *run)
{
    ev_async_init(&run->control.changed, on_changed);
    run->control.changed.data = run;
    ev_async_start(run->loop, &run->control.changed);
    ev_async_init(&run->control.sampled, on_sampled);
    run->control.sampled.data = run;
    ev_async_start(run->loop, &run->control.sampled);
    ev_signal_init(&run->interrupt, on_signal, SIGINT);
    ev_signal_init(&run->terminate, on_signal, SIGTERM);
    run->interrupt.data = run->terminate.data = run;
    ev_signal_start(run->loop, &run->interrupt);
    ev_signal_start(run->loop, &run->terminate);
    ev_timer_init(&run->start_timer, on_start_time, 0.0, 0.0);
    run->start_timer.data = run;
}

/* The server's side, once the observer has stopped. */
static void gather_server(const struct run *run, struct result *result, int64_t from_ns, int64_t to_ns)
{
    const struct observer *observer = run->observer;
    struct timeline *timeline = &result->timeline;
    if (observer == NULL) {
        return;
    }
    for (size_t i = 0; i < timeline->count; i++) {
        int64_t begin_ns = from_ns + (int64_t)i * timeline->length_us * NS_PER_US;
        int64_t end_ns = begin_ns + timeline->rows[i].covered_us * NS_PER_US;
        timeline->rows[i].server_cpu_s = observer_cpu_between_s(observer, begin_ns, end_ns);
        timeline->rows[i].server_bytes = observer_bytes_in(observer, begin_ns, end_ns);
    }
    struct server_use *use = &result->server;
    (void)snprintf(use->source, sizeof use->source, "%s", observer_name(observer));
    (void)snprintf(use->complaint, sizeof use->complaint, "%s", observer_complaint(observer));
    use->cpu_s = observer_cpu_between_s(observer, from_ns, to_ns);
    use->ramp_cpu_s = observer_cpu_between_s(observer, run->began.ns, run->ready.ns);
    use->bytes_before = observer_bytes_before(observer);
    use->bytes = observer_bytes_in(observer, run->ready.ns, to_ns);
}

struct observed run_observed(const struct settings *settings)
{
    const struct load_options *o = &settings->options;
    return (struct observed){.metrics_url = o->server_metrics, .pid = (pid_t)o->server_pid, .group = o->server_cgroup};
}

static void gather(struct run *run, struct result *result)
{
    const struct settings *settings = run->settings;
    const struct load_options *o = &settings->options;
    mono_time end = mono_now();
    int64_t measured_ns = 0;
    int64_t from_ns = 0, to_ns = 0;
    const struct by_target *first = &run->workers[0].tally.by_target; /* what the sum is to have, all at 0 */
    if (by_target_init(&result->tally.by_target, first->count) == 0) {
        for (size_t i = 0; i < result->tally.by_target.count; i++) {
            memcpy(result->tally.by_target.items[i].name, first->items[i].name, sizeof first->items[i].name);
        }
    }
    for (unsigned i = 0; i < run->started; i++) {
        const struct stream_shared *times = &run->workers[i].traffic.shared.streams;
        int64_t ns = times->measure_to_ns - times->measure_from_ns;
        measured_ns = ns > measured_ns ? ns : measured_ns;
        from_ns = from_ns == 0 || times->measure_from_ns < from_ns ? times->measure_from_ns : from_ns;
        to_ns = times->measure_to_ns > to_ns ? times->measure_to_ns : to_ns;
        (void)tally_merge(&result->tally, &run->workers[i].tally);
    }
    result->timeline = run->intervals.timeline;
    run->intervals.timeline = (struct timeline){0};
    (void)snprintf(result->mode, sizeof result->mode, "%s", load_mode_names[o->mode]);
    (void)snprintf(result->label, sizeof result->label, "%s", o->label == NULL ? "" : o->label);
    result->open_loop = schedule_is_open(settings);
    result->interrupted = run->signals > 0;
    result->threads = settings->threads;
    result->shard_index = settings->shard.index + 1;
    result->shard_count = settings->shard.count;
    result->seconds = (double)measured_ns / (double)NS_PER_S;
    result->warmup_s = (double)o->warmup_us / 1e6;
    if (run->opened.ns == 0) {
        run->opened = end;
        run->opened_us = wall_us();
    }
    if (run->ready.ns == 0) {
        run->ready = run->opened;
    }
    result->started_at_us = run->opened_us;
    if (settings->start_at_us > 0) {
        result->start_skew_us = run->opened_us - settings->start_at_us;
    }
    result->ramp_s = mono_s_between(run->began, run->ready);
    result->wait_s = mono_s_between(run->ready, run->opened);
    double rest_s = mono_s_between(run->opened, end) - result->warmup_s - result->seconds;
    result->drain_s = rest_s > 0.0 ? rest_s : 0.0;
    gather_server(run, result, from_ns, to_ns);
}

static void free_workers(struct run *run)
{
    for (unsigned i = 0; i < run->settings->threads; i++) {
        load_worker_free(&run->workers[i]);
    }
    free(run->workers);
}

/* All of them are there before anybody looks on. */
static int init_workers(struct run *run, char *error, size_t error_size)
{
#ifdef M_ARENA_MAX
    /* glibc has a thread's own heap grow by a page or two at a time, a system call for each, and the process's by 128
     * KiB; where there is one thread they can share it. */
    if (run->settings->threads == 1) {
        (void)mallopt(M_ARENA_MAX, 1);
    }
#endif
    for (unsigned i = 0; i < run->settings->threads; i++) {
        if (load_worker_init(&run->workers[i], run->settings, &run->control, i) != 0) {
            (void)snprintf(error, error_size, "%s", run->workers[i].error);
            return -1;
        }
        run->intervals.samplers[i] = &run->workers[i].sampler;
    }
    return 0;
}

/* Stops with the first that cannot begin; those before it have been told to stop. */
static int start_workers(struct run *run, char *error, size_t error_size)
{
    for (; run->started < run->settings->threads; run->started++) {
        struct load_worker *worker = &run->workers[run->started];
        if (load_worker_start(worker) != 0) {
            (void)snprintf(error, error_size, "%s", worker->error);
            atomic_store(&run->control.stop, true);
            wake_all(run);
            return -1;
        }
    }
    return 0;
}

/* Whoever looks on: the server's side, the terminal, Prometheus; of a part of a run the process over it. */
static int start_watching(struct run *run, int link_fd, char *error, size_t error_size)
{
    struct observed observed = run_observed(run->settings);
    unsigned threads = run->settings->threads;
    run->watched = (struct watched){.settings = run->settings,
                                    .lives = calloc(threads, sizeof *run->watched.lives),
                                    .live_count = threads,
                                    .threads = threads,
                                    .gate_ns = &run->control.gate_ns,
                                    .by_interval = true,
                                    .started = mono_now()};
    if (run->watched.lives == NULL) {
        (void)snprintf(error, error_size, "out of memory");
        return -1;
    }
    for (unsigned i = 0; i < threads; i++) {
        run->watched.lives[i] = &run->workers[i].tally.live;
    }
    if (link_fd >= 0) {
        double every_s = progress_every_s(run->settings);
        link_start(&run->link, link_fd, every_s < TELL_EVERY_S ? every_s : TELL_EVERY_S, run->loop, &link_events, run);
    } else if (live_start(&run->live, &run->watched, run->loop) != 0) {
        (void)snprintf(error, error_size, "out of memory");
        return -1;
    } else {
        progress_start(&run->progress, &run->watched, run->loop);
        if (exporter_start(&run->exporter, &run->watched, error, error_size) != 0) {
            return -1;
        }
    }
    return observer_start(&observed, &run->observer, error, error_size);
}

static void stop_watching(struct run *run)
{
    progress_stop(&run->progress);
    live_stop(&run->live);
    exporter_stop(run->exporter);
    observer_stop(run->observer);
    link_stop(&run->link);
    free(run->watched.lives);
}

int run_load(const struct settings *settings, int link_fd, struct result *result, char *error, size_t error_size)
{
    struct run run = {.settings = settings};
    run.loop = ev_default_loop(EVFLAG_AUTO);
    run.workers = calloc(settings->threads, sizeof *run.workers);
    if (run.loop == NULL || run.workers == NULL ||
        intervals_init(&run.intervals, settings->threads, settings->timeline_us, on_whole_interval, &run) != 0 ||
        slots_init(&run.control.slots, settings->connecting, settings->threads, on_slot_free, &run) != 0) {
        (void)snprintf(error, error_size, "out of memory");
        intervals_free(&run.intervals);
        free(run.workers);
        return -1;
    }
    run.control.loop = run.loop;
    if (init_workers(&run, error, error_size) != 0 || start_watching(&run, link_fd, error, error_size) != 0) {
        stop_watching(&run);
        free_workers(&run);
        intervals_free(&run.intervals);
        slots_destroy(&run.control.slots);
        return -1;
    }
    run.began = mono_now();
    watch(&run);
    int rc = start_workers(&run, error, error_size);
    if (run.started > 0) {
        ev_run(run.loop, 0);
    }
    for (unsigned i = 0; i < run.started; i++) {
        load_worker_join(&run.workers[i]);
    }
    intervals_collect(&run.intervals);
    stop_watching(&run);
    if (rc == 0) {
        gather(&run, result);
    }
    free_workers(&run);
    observer_free(run.observer);
    intervals_free(&run.intervals);
    slots_destroy(&run.control.slots);
    ev_signal_stop(run.loop, &run.interrupt);
    ev_signal_stop(run.loop, &run.terminate);
    ev_async_stop(run.loop, &run.control.changed);
    ev_async_stop(run.loop, &run.control.sampled);
    ev_loop_destroy(run.loop);
    return rc;
}
