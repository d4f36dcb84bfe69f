#include "load/drive/traffic.h"

#include "load/plan/schedule.h"

#include <sys/timerfd.h>

/* After a failure, a slot of connect mode waits this long, so that a target that refuses is not flooded. */
#define FAILURE_PAUSE_NS (10 * INT64_C(1000000))

static const struct load_options *options(const struct load_worker *worker)
{
    return &worker->settings->options;
}

static bool is_running(const struct load_worker *worker)
{
    return worker->phase == WORKER_WARMUP || worker->phase == WORKER_MEASURE;
}

/* ---- closed loop ---- */

/* Whether one more operation may begin now; *measured says whether it counts. */
static bool may_begin(struct load_worker *worker, int64_t now_ns, bool *measured)
{
    const struct stream_shared *times = &worker->shared.streams;
    if (!is_running(worker) || now_ns >= times->measure_to_ns) {
        return false;
    }
    *measured = now_ns >= times->measure_from_ns;
    if (*measured && options(worker)->count > 0) {
        if (worker->remaining == 0) {
            return false;
        }
        worker->remaining--;
    }
    return true;
}

static bool wants_reconnect(const struct load_worker *worker, const struct client *client, int64_t now_ns)
{
    const struct load_options *o = options(worker);
    if (o->reconnect_every_us > 0 && now_ns - client->up_ns >= (int64_t)o->reconnect_every_us * NS_PER_US) {
        return true;
    }
    if (o->reconnect_after == 0) {
        return false;
    }
    uint64_t messages = 0;
    for (uint64_t i = 0; i < o->channels; i++) {
        messages += client->streams[i].completed + (client->streams[i].unsent - client->streams[i].head);
    }
    return messages >= o->reconnect_after;
}

static bool fill_ping(struct load_worker *worker, struct client *client, struct stream *stream, int64_t now_ns)
{
    bool measured = false;
    while (stream_waiting(stream) < options(worker)->pipeline && !wants_reconnect(worker, client, now_ns) &&
           may_begin(worker, now_ns, &measured)) {
        if (!stream_queue(stream, now_ns, measured, false)) {
            break;
        }
    }
    return stream_send(stream);
}

/* Keeps the window full: one message after the other until something stops it. */
static bool fill_stream(struct load_worker *worker, struct client *client, struct stream *stream, int64_t now_ns)
{
    bool measured = false;
    while (true) {
        if (stream_send(stream)) {
            return true;
        }
        if (stream->unsent != stream->tail || options(worker)->direction == DIRECTION_DOWN ||
            wants_reconnect(worker, client, now_ns) || !may_begin(worker, now_ns, &measured) ||
            !stream_queue(stream, now_ns, measured, false)) {
            return false;
        }
    }
}

static bool is_silent(const struct client *client, uint64_t channels)
{
    for (uint64_t i = 0; i < channels; i++) {
        if (client->streams[i].unsent != client->streams[i].head) {
            return false;
        }
    }
    return true;
}

static bool on_turned(struct client *client, void *data)
{
    struct load_worker *worker = data;
    const struct load_options *o = options(worker);
    int64_t now_ns = mono_now().ns;
    bool held = false;
    bool closed_loop = !schedule_is_open(worker->settings) && o->mode != MODE_HOLD;
    for (uint64_t i = 0; i < o->channels; i++) {
        struct stream *stream = &client->streams[i];
        if (o->mode == MODE_STREAM) {
            held = fill_stream(worker, client, stream, now_ns) || held;
        } else if (closed_loop) {
            held = fill_ping(worker, client, stream, now_ns) || held;
        } else if (!wants_reconnect(worker, client, now_ns)) {
            held = stream_send(stream) || held;
        }
    }
    if (is_running(worker) && wants_reconnect(worker, client, now_ns) && is_silent(client, o->channels)) {
        client->keep_unsent = true;
        client_close(client);
    }
    load_worker_check_count(worker);
    return held;
}

/* ---- connections ---- */

static void begin_connection(struct load_worker *worker, struct client *client)
{
    struct schedule_operation operation;
    struct schedule_part part = load_worker_part(worker);
    int64_t now_ns = mono_now().ns;
    if (options(worker)->rate == 0) {
        bool measured = false;
        if (!may_begin(worker, now_ns, &measured)) {
            return;
        }
        client->counted = measured;
        if (measured) {
            worker->tally.started++;
        }
        client_start(client, now_ns);
        return;
    }
    if (!is_running(worker) || !schedule_operation_at(worker->settings, &part, worker->next_operation, &operation) ||
        schedule_is_over(worker->settings, &operation)) {
        return;
    }
    int64_t gate_ns = atomic_load(&worker->control->gate_ns);
    int64_t due_ns = gate_ns + operation.due_us * NS_PER_US;
    if (due_ns > now_ns) {
        return;
    }
    worker->next_operation++;
    client->counted = schedule_is_measured(worker->settings, &operation);
    if (client->counted) {
        worker->tally.started++;
        histogram_record(tally_histogram(&worker->tally, HISTOGRAM_SLIP), (now_ns - due_ns) / NS_PER_US);
    }
    client_start(client, due_ns);
}

static void connection_succeeded(struct load_worker *worker, struct client *client)
{
    int64_t now_ns = client->up_ns;
    struct tally *tally = &worker->tally;
    if (client->counted) {
        tally->ok++;
        histogram_record(tally_histogram(tally, HISTOGRAM_LATENCY), (now_ns - client->due_ns) / NS_PER_US);
        histogram_record(tally_histogram(tally, HISTOGRAM_UNCORRECTED), (now_ns - client->started_ns) / NS_PER_US);
    }
    if (now_ns >= worker->shared.streams.measure_from_ns && now_ns < worker->shared.streams.measure_to_ns) {
        tally->echoes++;
    }
    tally_live_add(&tally->live.echoes, 1);
    tally_live_add(&tally->live.latency_sum_us, (uint64_t)((now_ns - client->due_ns) / NS_PER_US));
    client->counted = false;
    client_close(client);
    load_worker_check_count(worker);
}

/* A session that never carried a message: in a closed loop nothing else would show the work that it did not do. */
static void count_absent(struct load_worker *worker, enum fault fault)
{
    const struct load_options *o = options(worker);
    bool message_mode = o->mode == MODE_PING || (o->mode == MODE_STREAM && o->direction != DIRECTION_DOWN);
    if (message_mode && o->rate == 0 && o->count == 0) {
        worker->tally.started += o->channels;
        tally_count_failure(&worker->tally, fault, o->channels);
    }
}

static void on_up(struct client *client, void *data)
{
    struct load_worker *worker = data;
    worker->progress_ns = client->up_ns;
    if (options(worker)->mode == MODE_CONNECT) {
        connection_succeeded(worker, client);
    } else if (worker->phase == WORKER_RAMP && client->generation == 1) {
        load_worker_settled(worker, true);
    }
}

static void on_ended(struct client *client, enum fault fault, void *data)
{
    struct load_worker *worker = data;
    const struct load_options *o = options(worker);
    int64_t now_ns = mono_now().ns;
    if (o->mode == MODE_CONNECT) {
        if (client->counted) {
            tally_count_failure(&worker->tally, fault, 1);
            client->counted = false;
        }
        if (fault == FAULT_NONE && schedule_is_open(worker->settings)) {
            traffic_issue_due(worker); /* or sets the clock, which nobody did while every slot was busy */
        } else if (fault == FAULT_NONE) {
            begin_connection(worker, client);
        } else {
            client->restart_ns = now_ns + (o->retry_us > 0 ? (int64_t)o->retry_us * NS_PER_US : FAILURE_PAUSE_NS);
        }
        load_worker_check_count(worker);
        return;
    }
    bool first = !client->was_up && client->generation == 1;
    if (first) {
        count_absent(worker, fault);
    }
    if (worker->phase < WORKER_DRAIN && fault == FAULT_NONE) {
        client_start(client, now_ns);
    } else if (worker->phase < WORKER_DRAIN && o->retry_us > 0) {
        client->restart_ns = now_ns + (int64_t)o->retry_us * NS_PER_US;
    } else {
        worker->alive--;
    }
    if (first && worker->phase == WORKER_RAMP) {
        load_worker_settled(worker, false);
    }
    load_worker_check_count(worker);
}

const struct client_events traffic_events = {.up = on_up, .turned = on_turned, .ended = on_ended};

/* ---- open loop ---- */

static void issue(struct load_worker *worker, const struct schedule_operation *operation, int64_t due_ns)
{
    struct tally *tally = &worker->tally;
    struct client *client = &worker->clients[operation->client];
    struct stream *stream = &client->streams[operation->stream];
    bool measured = options(worker)->mode == MODE_HOLD ? due_ns >= worker->shared.streams.measure_from_ns &&
                                                             due_ns < worker->shared.streams.measure_to_ns
                                                       : schedule_is_measured(worker->settings, operation);
    bool coming = client->state != CLIENT_IDLE || client->restart_ns != INT64_MAX;
    if (measured) {
        histogram_record(tally_histogram(tally, HISTOGRAM_SLIP), (mono_now().ns - due_ns) / NS_PER_US);
    }
    if (coming && stream_queue(stream, due_ns, measured, false)) {
        client_send(client, stream);
    } else if (measured && options(worker)->mode != MODE_HOLD) {
        tally->started++;
        tally->failed++;
        fault_note(&tally->faults, FAULT_NOT_ISSUED, 1,
                   coming ? "too many messages of one channel are outstanding" : "a message was due on a dead session");
    }
}

static void arm(struct load_worker *worker, int64_t at_ns)
{
    struct itimerspec when = {.it_value = {.tv_sec = at_ns / NS_PER_S, .tv_nsec = (long)(at_ns % NS_PER_S)}};
    (void)timerfd_settime(worker->schedule_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static struct client *idle_client(struct load_worker *worker)
{
    for (uint64_t i = 0; i < worker->client_count; i++) {
        if (worker->clients[i].state == CLIENT_IDLE && worker->clients[i].restart_ns == INT64_MAX) {
            return &worker->clients[i];
        }
    }
    return NULL;
}

void traffic_issue_due(struct load_worker *worker)
{
    struct schedule_part part = load_worker_part(worker);
    struct schedule_operation operation;
    int64_t gate_ns = atomic_load(&worker->control->gate_ns);
    while (is_running(worker) && schedule_operation_at(worker->settings, &part, worker->next_operation, &operation) &&
           !schedule_is_over(worker->settings, &operation)) {
        int64_t due_ns = gate_ns + operation.due_us * NS_PER_US;
        if (due_ns > mono_now().ns) {
            arm(worker, due_ns);
            return;
        }
        if (options(worker)->mode == MODE_CONNECT) {
            struct client *client = idle_client(worker);
            if (client == NULL) {
                return; /* the next slot that comes free takes it, late */
            }
            begin_connection(worker, client);
        } else {
            worker->next_operation++;
            issue(worker, &operation, due_ns);
        }
    }
}

/* ---- phases ---- */

void traffic_begin(struct load_worker *worker)
{
    bool open = schedule_is_open(worker->settings);
    for (uint64_t i = 0; i < worker->client_count && !open; i++) {
        struct client *client = &worker->clients[i];
        if (options(worker)->mode == MODE_CONNECT) {
            int64_t late_ns =
                plan_ramp_us(worker->first_client + i, worker->settings->connections_total, options(worker)->ramp_us) *
                NS_PER_US;
            if (late_ns > 0) {
                client->restart_ns = mono_now().ns + late_ns;
            } else {
                begin_connection(worker, client);
            }
        } else {
            client_kick(client);
        }
    }
    if (open) {
        traffic_issue_due(worker);
    }
}

void traffic_restart(struct load_worker *worker, struct client *client)
{
    client->restart_ns = INT64_MAX;
    if (options(worker)->mode != MODE_CONNECT) {
        client_start(client, mono_now().ns);
    } else if (schedule_is_open(worker->settings)) {
        traffic_issue_due(worker);
    } else {
        begin_connection(worker, client);
    }
}
