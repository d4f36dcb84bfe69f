#include "load/drive/worker.h"

#include "load/drive/ending.h"
#include "load/plan/plan.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How often deadlines are looked at, and how often in the drain, where everybody waits for it. */
#define TICK_S 0.1
#define DRAIN_TICK_S 0.01

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
    const struct settings *settings = worker->settings;
    const struct traffic *traffic = &worker->traffic;
    while (worker->phase == WORKER_RAMP && worker->ramp_next < traffic->client_count) {
        int64_t due_ns = worker->ramp_from_ns + plan_ramp_us(traffic->first_client + worker->ramp_next,
                                                             settings->connections_total, settings->options.ramp_us) *
                                                    NS_PER_US;
        if (due_ns > mono_now().ns) {
            set_phase_timer(worker, due_ns);
            return;
        }
        if (!slots_take(&worker->control->slots, worker->index)) {
            return; /* on_wake goes on */
        }
        traffic_connect(&worker->traffic, worker->ramp_next++, due_ns);
    }
}

static void ramp_settle(struct load_worker *worker, uint64_t clients)
{
    worker->settled += clients;
    if (worker->settled == worker->traffic.client_count) {
        become_ready(worker);
    } else {
        ramp_step(worker);
    }
}

static void on_settled(void *data)
{
    struct load_worker *worker = data;
    slots_give(&worker->control->slots, worker->index);
    if (worker->phase == WORKER_RAMP) {
        ramp_settle(worker, 1);
    }
}

/* A target that answers nobody must not cost a time-out for every batch of connections: when a full round of
 * time-outs has passed and nothing came up, the rest is not tried. */
static void ramp_watch(struct load_worker *worker, int64_t now_ns)
{
    const struct load_options *o = &worker->settings->options;
    int64_t patience_ns = (int64_t)(o->connect_timeout_us + o->handshake_timeout_us) * NS_PER_US;
    uint64_t rest = worker->traffic.client_count - worker->ramp_next;
    if (worker->tally.connects_up > 0 || worker->settled == 0 || rest == 0 ||
        now_ns - worker->ramp_from_ns < patience_ns) {
        return;
    }
    worker->ramp_next += rest;
    traffic_skip(&worker->traffic, rest);
    ramp_settle(worker, rest);
}

/* ---- phases of traffic ---- */

static void enter_drain(struct load_worker *worker)
{
    struct traffic *traffic = &worker->traffic;
    worker->phase = WORKER_DRAIN;
    ending_measured(&traffic->shared, traffic->clients, traffic->client_count);
    worker->drain_until_ns = mono_now().ns + (int64_t)worker->settings->options.drain_timeout_us * NS_PER_US;
    ev_timer_stop(worker->loop, &worker->phase_timer);
    ev_timer_stop(worker->loop, &worker->tick);
    ev_timer_set(&worker->tick, 0.0, DRAIN_TICK_S);
    ev_timer_start(worker->loop, &worker->tick);
}

static void go_on_with_roll_call(struct load_worker *worker)
{
    if (!roll_call_has_begun(&worker->roll_call)) {
        if (ending_awaits_sessions(worker->traffic.clients, worker->traffic.client_count)) {
            return; /* held too; on_tick looks again, and all that they do has a deadline */
        }
        roll_call_begin(&worker->roll_call, &worker->traffic, mono_now().ns);
        if (!worker->settings->options.final_ping) {
            enter_drain(worker);
            return;
        }
    }
    int64_t next_ns = roll_call_go_on(&worker->roll_call, mono_now().ns);
    if (next_ns != INT64_MAX) {
        set_phase_timer(worker, next_ns);
    }
}

static void cut_roll_call(struct load_worker *worker)
{
    if (!roll_call_has_begun(&worker->roll_call)) {
        roll_call_begin(&worker->roll_call, &worker->traffic, mono_now().ns);
    }
    enter_drain(worker);
}

static void end_measure(struct load_worker *worker, bool stopped)
{
    pressure_end(&worker->pressure, &worker->tally);
    traffic_end(&worker->traffic, stopped);
    if (worker->settings->options.mode != MODE_HOLD) {
        enter_drain(worker);
        return;
    }
    worker->phase = WORKER_ROLL_CALL;
    if (stopped) {
        cut_roll_call(worker);
    } else {
        go_on_with_roll_call(worker);
    }
}

static void enter_measure(struct load_worker *worker)
{
    worker->phase = WORKER_MEASURE;
    pressure_begin(&worker->pressure);
    sampler_begin(&worker->sampler, worker->traffic.shared.streams.measure_from_ns);
    if (worker->settings->options.count == 0) {
        set_phase_timer(worker, worker->traffic.shared.streams.measure_to_ns);
    }
}

static void open_gate(struct load_worker *worker, int64_t gate_ns)
{
    int64_t warmup_ns = (int64_t)worker->settings->options.warmup_us * NS_PER_US;
    worker->phase = WORKER_WARMUP; /* before the first byte */
    if (worker->settings->options.spin) {
        pressure_spin(&worker->pressure);
    }
    traffic_begin(&worker->traffic, gate_ns);
    if (warmup_ns > 0) {
        set_phase_timer(worker, gate_ns + warmup_ns);
    } else {
        enter_measure(worker);
    }
}

static void on_phase_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct load_worker *worker = timer->data;
    int64_t now_ns = mono_now().ns;
    const struct stream_shared *times = &worker->traffic.shared.streams;
    if (worker->phase == WORKER_RAMP) {
        ramp_step(worker);
    } else if (worker->phase == WORKER_WARMUP && now_ns >= times->measure_from_ns) {
        enter_measure(worker);
    } else if (worker->phase == WORKER_MEASURE && now_ns >= times->measure_to_ns) {
        end_measure(worker, false);
    } else if (worker->phase == WORKER_ROLL_CALL) {
        go_on_with_roll_call(worker);
    } else if (worker->phase == WORKER_WARMUP || worker->phase == WORKER_MEASURE) {
        set_phase_timer(worker, worker->phase == WORKER_WARMUP ? times->measure_from_ns : times->measure_to_ns);
    }
}

static void on_enough(void *data)
{
    struct load_worker *worker = data;
    ev_feed_event(worker->loop, &worker->phase_timer, EV_TIMER);
}

static const struct traffic_events traffic_events = {.settled = on_settled, .enough = on_enough};

static void on_wake(struct ev_loop *loop, ev_async *async, int revents)
{
    (void)loop;
    (void)revents;
    struct load_worker *worker = async->data;
    int64_t gate_ns = atomic_load(&worker->control->gate_ns);
    if (atomic_load(&worker->control->stop)) {
        if (worker->phase < WORKER_ROLL_CALL) {
            end_measure(worker, true);
        } else if (worker->phase == WORKER_ROLL_CALL) {
            cut_roll_call(worker);
        }
    } else if (worker->phase == WORKER_RAMP) {
        ramp_step(worker);
    } else if (gate_ns != 0 && worker->phase == WORKER_READY) {
        open_gate(worker, gate_ns);
    }
    slots_told(&worker->control->slots, worker->index);
}

static bool is_settled(const struct traffic *traffic)
{
    return !traffic_has_backlog(traffic) && ending_is_quiet(&traffic->shared, traffic->clients, traffic->client_count);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct load_worker *worker = timer->data;
    struct traffic *traffic = &worker->traffic;
    int64_t now_ns = mono_now().ns;
    traffic_look(traffic, now_ns);
    if (worker->phase == WORKER_RAMP) {
        ramp_watch(worker, now_ns);
    } else if (worker->phase == WORKER_MEASURE) {
        pressure_look(&worker->pressure);
    }
    if ((worker->phase == WORKER_WARMUP || worker->phase == WORKER_MEASURE) && traffic_is_dead(traffic, now_ns)) {
        end_measure(worker, false);
    }
    if (worker->phase == WORKER_ROLL_CALL && !roll_call_has_begun(&worker->roll_call)) {
        go_on_with_roll_call(worker);
    } else if (worker->phase == WORKER_ROLL_CALL && roll_call_is_over(&worker->roll_call)) {
        enter_drain(worker);
    }
    if (worker->phase == WORKER_DRAIN && (now_ns >= worker->drain_until_ns || is_settled(traffic))) {
        traffic_give_up_backlog(traffic, now_ns);
        ending_give_up(&traffic->shared, traffic->clients, traffic->client_count);
        worker->phase = WORKER_DONE;
        ev_break(worker->loop, EVBREAK_ALL);
    }
}

/* ---- life ---- */

static void *run(void *argument)
{
    struct load_worker *worker = argument;
    traffic_start(&worker->traffic);
    if (worker->settings->options.crypto_shortcuts) {
        (void)crypto_shortcuts_start();
    }
    worker->ramp_from_ns = mono_now().ns;
    if (worker->settings->options.mode == MODE_CONNECT) {
        become_ready(worker);
    } else {
        ramp_step(worker);
    }
    ev_run(worker->loop, 0);
    sampler_end(&worker->sampler);
    traffic_stop(&worker->traffic);
    transport_release_buffers();
    crypto_shortcuts_stop();
    announce(worker, &worker->control->done);
    return NULL;
}

static void prepare_watchers(struct load_worker *worker)
{
    pressure_init(&worker->pressure, worker->loop);
    ev_async_init(&worker->wake, on_wake);
    worker->wake.data = worker;
    ev_async_start(worker->loop, &worker->wake);
    ev_timer_init(&worker->tick, on_tick, TICK_S, TICK_S);
    worker->tick.data = worker;
    ev_timer_start(worker->loop, &worker->tick);
    ev_timer_init(&worker->phase_timer, on_phase_timer, 0.0, 0.0);
    worker->phase_timer.data = worker;
}

int load_worker_init(struct load_worker *worker, const struct settings *settings, struct load_control *control,
                     unsigned index)
{
    *worker = (struct load_worker){.settings = settings, .control = control, .index = index, .phase = WORKER_RAMP};
    (void)snprintf(worker->error, sizeof worker->error, "out of memory");
    if (tally_init(&worker->tally) != 0) {
        return -1;
    }
    worker->loop = ev_loop_new(EVBACKEND_EPOLL);
    if (worker->loop == NULL) {
        (void)snprintf(worker->error, sizeof worker->error, "no event loop to be had from the system");
        return -1;
    }
    if (traffic_init(&worker->traffic, settings, settings->first_thread + index, worker->loop, &worker->tally,
                     &traffic_events, worker, worker->error, sizeof worker->error) != 0) {
        return -1;
    }
    if (sampler_init(&worker->sampler, settings->timeline_us, &worker->tally, worker->loop, control->loop,
                     &control->sampled) != 0) {
        return -1;
    }
    prepare_watchers(worker);
    return 0;
}

int load_worker_start(struct load_worker *worker)
{
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
    traffic_free(&worker->traffic);
    sampler_free(&worker->sampler);
    if (worker->loop != NULL) {
        ev_loop_destroy(worker->loop);
    }
    tally_free(&worker->tally);
    *worker = (struct load_worker){0};
}
