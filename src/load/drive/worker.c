#include "load/drive/worker.h"

#include "load/drive/ending.h"
#include "load/drive/traffic.h"
#include "load/plan/schedule.h"
#include "sshecho/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* How often deadlines are looked at, and how often in the drain, where everybody waits for it. */
#define TICK_S 0.1
#define DRAIN_TICK_S 0.01

static double thread_cpu_s(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage) != 0) {
        return 0.0;
    }
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void announce(struct load_worker *worker, _Atomic unsigned *counter)
{
    (void)atomic_fetch_add(counter, 1);
    ev_async_send(worker->control->loop, &worker->control->changed);
}

static void set_phase_timer(struct load_worker *worker, int64_t at_ns)
{
    double after_s = (double)(at_ns - mono_now().ns) / (double)NS_PER_S;
    ev_timer_stop(worker->loop, &worker->phase_timer);
    ev_timer_set(&worker->phase_timer, after_s > 0.0 ? after_s : 0.0, 0.0);
    ev_now_update(worker->loop);
    ev_timer_start(worker->loop, &worker->phase_timer);
}

/* ---- ramp ---- */

static void become_ready(struct load_worker *worker)
{
    worker->phase = WORKER_READY;
    announce(worker, &worker->control->ready);
}

static void ramp_step(struct load_worker *worker)
{
    const struct load_options *o = &worker->settings->options;
    uint64_t cap =
        o->connecting == 0 ? UINT64_MAX : plan_share(o->connecting, worker->settings->threads, worker->index);
    if (cap == 0) {
        cap = 1;
    }
    while (worker->phase == WORKER_RAMP && worker->ramp_next < worker->client_count && worker->connecting < cap) {
        int64_t due_ns = worker->ramp_from_ns + plan_ramp_us(worker->first_client + worker->ramp_next,
                                                             worker->settings->connections_total, o->ramp_us) *
                                                    NS_PER_US;
        if (due_ns > mono_now().ns) {
            set_phase_timer(worker, due_ns);
            return;
        }
        worker->connecting++;
        worker->alive++;
        client_start(&worker->clients[worker->ramp_next++], due_ns);
    }
}

void load_worker_settled(struct load_worker *worker, bool up)
{
    (void)up;
    worker->connecting--;
    worker->settled++;
    if (worker->settled == worker->client_count) {
        become_ready(worker);
    } else {
        ramp_step(worker);
    }
}

/* A target that answers nobody must not cost a time-out for every batch of connections: when a full round of
 * time-outs has passed and nothing came up, the rest is not tried. */
static void ramp_watch(struct load_worker *worker, int64_t now_ns)
{
    const struct load_options *o = &worker->settings->options;
    int64_t patience_ns = (int64_t)(o->connect_timeout_us + o->handshake_timeout_us) * NS_PER_US;
    uint64_t ramp_part = worker->client_count - worker->ramp_next;
    if (worker->tally.connects_up > 0 || worker->settled == 0 || ramp_part == 0 ||
        now_ns - worker->progress_ns < patience_ns) {
        return;
    }
    fault_note(&worker->tally.faults, FAULT_NOT_ISSUED, ramp_part, "connections not tried, since none before came up");
    if (o->rate == 0 && o->count == 0 && o->mode != MODE_HOLD) {
        worker->tally.started += ramp_part * o->channels;
        worker->tally.failed += ramp_part * o->channels;
    }
    worker->ramp_next = worker->client_count;
    worker->settled += ramp_part;
    if (worker->settled == worker->client_count) {
        become_ready(worker);
    }
}

/* ---- phases of traffic ---- */

static void enter_drain(struct load_worker *worker, int64_t now_ns)
{
    struct stream_shared *times = &worker->shared.streams;
    if (times->measure_to_ns > now_ns) {
        times->measure_to_ns = now_ns;
    }
    worker->tally.cpu_s = worker->phase == WORKER_MEASURE ? thread_cpu_s() - worker->cpu_from_s : 0.0;
    ending_abandon(worker);
    ending_measured(worker);
    worker->phase = WORKER_DRAIN;
    worker->drain_until_ns = now_ns + (int64_t)worker->settings->options.drain_timeout_us * NS_PER_US;
    ev_timer_stop(worker->loop, &worker->phase_timer);
    ev_timer_stop(worker->loop, &worker->tick);
    ev_timer_set(&worker->tick, 0.0, DRAIN_TICK_S);
    ev_timer_start(worker->loop, &worker->tick);
}

static void enter_measure(struct load_worker *worker)
{
    worker->phase = WORKER_MEASURE;
    worker->cpu_from_s = thread_cpu_s();
    if (worker->settings->options.count == 0) {
        set_phase_timer(worker, worker->shared.streams.measure_to_ns);
    }
}

static void open_gate(struct load_worker *worker, int64_t gate_ns)
{
    const struct load_options *o = &worker->settings->options;
    struct stream_shared *times = &worker->shared.streams;
    times->measure_from_ns = gate_ns + (int64_t)o->warmup_us * NS_PER_US;
    times->measure_to_ns = o->count > 0 ? INT64_MAX : times->measure_from_ns + (int64_t)o->duration_us * NS_PER_US;
    if (o->warmup_us > 0) {
        worker->phase = WORKER_WARMUP;
        set_phase_timer(worker, times->measure_from_ns);
    } else {
        enter_measure(worker);
    }
    traffic_begin(worker);
}

static void on_phase_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct load_worker *worker = timer->data;
    int64_t now_ns = mono_now().ns;
    const struct stream_shared *times = &worker->shared.streams;
    if (worker->phase == WORKER_RAMP) {
        ramp_step(worker);
    } else if (worker->phase == WORKER_WARMUP && now_ns >= times->measure_from_ns) {
        enter_measure(worker);
    } else if (worker->phase == WORKER_MEASURE && now_ns >= times->measure_to_ns) {
        enter_drain(worker, now_ns);
    } else if (worker->phase == WORKER_WARMUP || worker->phase == WORKER_MEASURE) {
        set_phase_timer(worker, worker->phase == WORKER_WARMUP ? times->measure_from_ns : times->measure_to_ns);
    }
}

void load_worker_check_count(struct load_worker *worker)
{
    if (worker->phase == WORKER_MEASURE && worker->shared.streams.measure_to_ns == INT64_MAX &&
        ending_has_enough(worker)) {
        worker->shared.streams.measure_to_ns = mono_now().ns;
        ev_feed_event(worker->loop, &worker->phase_timer, EV_TIMER);
    }
}

static void on_wake(struct ev_loop *loop, ev_async *async, int revents)
{
    (void)loop;
    (void)revents;
    struct load_worker *worker = async->data;
    int64_t gate_ns = atomic_load(&worker->control->gate_ns);
    if (atomic_load(&worker->control->stop)) {
        if (worker->phase == WORKER_RAMP || worker->phase == WORKER_READY) {
            worker->shared.streams.measure_from_ns = worker->shared.streams.measure_to_ns = mono_now().ns;
            worker->ramp_next = worker->client_count;
        }
        if (worker->phase < WORKER_DRAIN) {
            enter_drain(worker, mono_now().ns);
        }
    } else if (gate_ns != 0 && worker->phase == WORKER_READY) {
        open_gate(worker, gate_ns);
    }
}

static void on_schedule(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct load_worker *worker = io->data;
    uint64_t expirations;
    (void)!read(worker->schedule_fd, &expirations, sizeof expirations);
    traffic_issue_due(worker);
}

static void finish(struct load_worker *worker)
{
    ending_give_up(worker);
    for (uint64_t i = 0; i < worker->client_count; i++) {
        client_destroy(&worker->clients[i]);
    }
    worker->shared.reap = NULL;
    worker->phase = WORKER_DONE;
    ev_break(worker->loop, EVBREAK_ALL);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct load_worker *worker = timer->data;
    int64_t now_ns = mono_now().ns;
    for (uint64_t i = 0; i < worker->client_count; i++) {
        struct client *client = &worker->clients[i];
        client_check_deadlines(client, now_ns);
        if (client->state == CLIENT_IDLE && now_ns >= client->restart_ns && worker->phase < WORKER_DRAIN) {
            traffic_restart(worker, client);
        }
    }
    if (worker->phase == WORKER_RAMP) {
        ramp_watch(worker, now_ns);
    }
    bool traffic = worker->phase == WORKER_WARMUP || worker->phase == WORKER_MEASURE;
    if (traffic && worker->settings->options.mode != MODE_CONNECT && worker->alive == 0) {
        enter_drain(worker, now_ns); /* nobody is left to do anything */
    }
    if (worker->phase == WORKER_DRAIN && (now_ns >= worker->drain_until_ns || ending_is_quiet(worker))) {
        finish(worker);
    }
}

/* ---- life ---- */

static void *run(void *argument)
{
    struct load_worker *worker = argument;
    const struct load_options *o = &worker->settings->options;
    client_shared_start(&worker->shared);
    worker->ramp_from_ns = worker->progress_ns = mono_now().ns;
    if (o->mode == MODE_CONNECT) {
        become_ready(worker);
    } else {
        ramp_step(worker);
    }
    ev_run(worker->loop, 0);
    struct tally *tally = &worker->tally;
    double seconds =
        (double)(worker->shared.streams.measure_to_ns - worker->shared.streams.measure_from_ns) / (double)NS_PER_S;
    tally->busiest_thread_cpu = seconds > 0.0 ? tally->cpu_s / seconds : 0.0;
    client_shared_stop(&worker->shared);
    transport_release_buffers();
    announce(worker, &worker->control->done);
    return NULL;
}

static int prepare(struct load_worker *worker)
{
    const struct settings *settings = worker->settings;
    const struct load_options *o = &settings->options;
    worker->client_count = plan_share(settings->connections, settings->threads, worker->index);
    worker->first_client =
        settings->first_connection + plan_share_start(settings->connections, settings->threads, worker->index);
    if (o->rate == 0 && o->count > 0) {
        uint64_t parts = (uint64_t)settings->shard.count * settings->threads;
        worker->remaining =
            plan_share(o->count, parts, (uint64_t)settings->shard.index * settings->threads + worker->index);
    }
    worker->shared = (struct client_shared){
        .settings = settings,
        .loop = worker->loop,
        .tally = &worker->tally,
        .streams = {.settings = settings,
                    .tally = &worker->tally,
                    .measure_from_ns = INT64_MAX,
                    .measure_to_ns = INT64_MAX,
                    .outstanding_most = o->mode == MODE_STREAM ? UINT32_MAX : (uint32_t)o->pipeline,
                    .messages_are_operations = o->mode == MODE_PING || o->mode == MODE_STREAM},
        .events = &traffic_events,
        .events_data = worker,
    };
    if (login_prepare(&worker->shared.login, settings, worker->error, sizeof worker->error) != 0) {
        return -1;
    }
    worker->clients = calloc(worker->client_count, sizeof *worker->clients);
    bool good = worker->clients != NULL;
    for (uint64_t i = 0; good && i < worker->client_count; i++) {
        good = client_init(&worker->clients[i], &worker->shared, worker->first_client + i) == 0;
    }
    if (!good) {
        (void)snprintf(worker->error, sizeof worker->error, "out of memory for %llu connections",
                       (unsigned long long)worker->client_count);
        return -1;
    }
    return 0;
}

static void prepare_watchers(struct load_worker *worker)
{
    ev_async_init(&worker->wake, on_wake);
    worker->wake.data = worker;
    ev_async_start(worker->loop, &worker->wake);
    ev_timer_init(&worker->tick, on_tick, TICK_S, TICK_S);
    worker->tick.data = worker;
    ev_timer_start(worker->loop, &worker->tick);
    ev_timer_init(&worker->phase_timer, on_phase_timer, 0.0, 0.0);
    worker->phase_timer.data = worker;
    ev_io_init(&worker->schedule, on_schedule, worker->schedule_fd, EV_READ);
    worker->schedule.data = worker;
    ev_set_priority(&worker->schedule, EV_MAXPRI); /* what is due goes before what has come back */
    ev_io_start(worker->loop, &worker->schedule);
}

int load_worker_start(struct load_worker *worker, const struct settings *settings, struct load_control *control,
                      unsigned index)
{
    *worker = (struct load_worker){
        .settings = settings, .control = control, .index = index, .schedule_fd = -1, .phase = WORKER_RAMP};
    (void)snprintf(worker->error, sizeof worker->error, "out of memory");
    if (tally_init(&worker->tally) != 0) {
        return -1;
    }
    worker->loop = ev_loop_new(EVBACKEND_EPOLL);
    worker->schedule_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (worker->loop == NULL || worker->schedule_fd < 0) {
        (void)snprintf(worker->error, sizeof worker->error, "no event loop or timer to be had from the system");
        return -1;
    }
    if (prepare(worker) != 0) {
        return -1;
    }
    prepare_watchers(worker);
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
    int rc = pthread_create(&worker->thread, NULL, run, worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        (void)snprintf(worker->error, sizeof worker->error, "no thread: %s", strerror(rc));
        return -1;
    }
    return 0;
}

void load_worker_wake(struct load_worker *worker)
{
    ev_async_send(worker->loop, &worker->wake);
}

void load_worker_join(struct load_worker *worker)
{
    (void)pthread_join(worker->thread, NULL);
}

void load_worker_free(struct load_worker *worker)
{
    for (uint64_t i = 0; worker->clients != NULL && i < worker->client_count; i++) {
        client_destroy(&worker->clients[i]);
    }
    free(worker->clients);
    if (worker->settings != NULL) {
        login_release(&worker->shared.login);
    }
    if (worker->schedule_fd >= 0) {
        (void)close(worker->schedule_fd);
    }
    if (worker->loop != NULL) {
        ev_loop_destroy(worker->loop);
    }
    tally_free(&worker->tally);
    *worker = (struct load_worker){.schedule_fd = -1};
}
