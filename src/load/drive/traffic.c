#include "load/drive/traffic.h"

#include "load/drive/streams.h"
#include "load/plan/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* After a failure, a slot of connect mode waits this long, so that a target that refuses is not flooded. */
#define FAILURE_PAUSE_US 10000

static const struct load_options *options(const struct traffic *traffic)
{
    return &traffic->shared.settings->options;
}

/* ---- a measurement by count ---- */

static bool has_enough(const struct traffic *traffic)
{
    const struct tally *tally = traffic->shared.tally;
    struct schedule_operation operation;
    return traffic->remaining == 0 &&
           tally->started == tally->ok + tally->failed + tally->timed_out + tally->unfinished &&
           (options(traffic)->rate == 0 || !schedule_peek(&traffic->schedule, &operation));
}

/* After anything that may have been the last operation, however it ended. */
static void check_count(struct traffic *traffic)
{
    int64_t now_ns = mono_now().ns;
    if (traffic->by_count && now_ns >= traffic->shared.streams.measure_from_ns && has_enough(traffic)) {
        traffic->by_count = false;
        traffic->shared.streams.measure_to_ns = now_ns;
        traffic->events->enough(traffic->events_data);
    }
}

/* ---- closed loop ---- */

/* Whether one more operation may begin now; *measured says whether it counts. */
static bool may_begin(struct traffic *traffic, int64_t now_ns, bool *measured)
{
    const struct stream_shared *times = &traffic->shared.streams;
    if (!traffic->flows || now_ns >= times->measure_to_ns) {
        return false;
    }
    *measured = now_ns >= times->measure_from_ns;
    if (*measured && options(traffic)->count > 0) {
        if (traffic->remaining == 0) {
            return false;
        }
        traffic->remaining--;
    }
    return true;
}

static bool wants_reconnect(const struct traffic *traffic, const struct client *client, int64_t now_ns)
{
    const struct load_options *o = options(traffic);
    if (o->reconnect_every_us > 0 && now_ns - client->up_ns >= (int64_t)o->reconnect_every_us * NS_PER_US) {
        return true;
    }
    return o->reconnect_after > 0 && streams_messages(client->streams, o->channels) >= o->reconnect_after;
}

static bool fill_ping(struct traffic *traffic, struct client *client, struct stream *stream, int64_t now_ns)
{
    bool measured = false;
    while (stream_waiting(stream) < options(traffic)->pipeline && !wants_reconnect(traffic, client, now_ns) &&
           stream_has_room(stream) && may_begin(traffic, now_ns, &measured)) {
        (void)stream_queue(stream, now_ns, measured, false);
    }
    return stream_send(stream);
}

/* Keeps the window full: one message after the other until something stops it. */
static bool fill_stream(struct traffic *traffic, struct client *client, struct stream *stream, int64_t now_ns)
{
    bool measured = false;
    while (true) {
        if (stream_send(stream)) {
            return true;
        }
        if (stream->unsent != stream->tail || options(traffic)->direction == DIRECTION_DOWN ||
            wants_reconnect(traffic, client, now_ns) || !stream_has_room(stream) ||
            !may_begin(traffic, now_ns, &measured)) {
            return false;
        }
        (void)stream_queue(stream, now_ns, measured, false);
    }
}

static bool on_turned(struct client *client, void *data)
{
    struct traffic *traffic = data;
    const struct load_options *o = options(traffic);
    int64_t now_ns = mono_now().ns;
    bool held = false;
    bool closed_loop = !traffic->open && o->mode != MODE_HOLD;
    for (uint64_t i = 0; i < o->channels; i++) {
        struct stream *stream = &client->streams[i];
        if (o->mode == MODE_STREAM) {
            held = fill_stream(traffic, client, stream, now_ns) || held;
        } else if (closed_loop) {
            held = fill_ping(traffic, client, stream, now_ns) || held;
        } else if (wants_reconnect(traffic, client, now_ns)) {
            held = stream_send_begun(stream) || held;
        } else {
            held = stream_send(stream) || held;
        }
    }
    if (traffic->flows && wants_reconnect(traffic, client, now_ns) &&
        streams_are_silent(client->streams, o->channels)) {
        client->keep_unsent = true;
        client_close(client);
    }
    check_count(traffic);
    return held;
}

/* ---- connections ---- */

static void begin_connection(struct traffic *traffic, struct client *client, bool measured, int64_t due_ns)
{
    client->counted = measured;
    traffic->shared.tally->started += measured ? 1 : 0;
    client_start(client, due_ns);
}

/* Closed loop of connect mode. */
static void begin_next_connection(struct traffic *traffic, struct client *client)
{
    int64_t now_ns = mono_now().ns;
    bool measured = false;
    if (may_begin(traffic, now_ns, &measured)) {
        begin_connection(traffic, client, measured, now_ns);
    }
}

static void issue_due(struct traffic *traffic);

static bool is_planned(const struct client *client)
{
    return ev_is_active(&client->restart);
}

static void on_restart(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct client *client = timer->data;
    struct traffic *traffic = client->shared->events_data;
    client->free_ns = mono_now().ns;
    if (options(traffic)->mode != MODE_CONNECT) {
        client_start(client, client->free_ns);
    } else if (traffic->open) {
        issue_due(traffic);
    } else {
        begin_next_connection(traffic, client);
    }
}

static void restart_after(struct traffic *traffic, struct client *client, uint64_t us)
{
    ev_timer_init(&client->restart, on_restart, (double)us / 1e6, 0.0);
    client->restart.data = client;
    ev_now_update(traffic->shared.loop);
    ev_timer_start(traffic->shared.loop, &client->restart);
}

static void connection_succeeded(struct traffic *traffic, struct client *client)
{
    int64_t now_ns = client->up_ns;
    struct tally *tally = traffic->shared.tally;
    if (client->counted) {
        int64_t latency_us = (now_ns - client->due_ns) / NS_PER_US;
        tally->ok++;
        tally_note_trend(tally, (client->due_ns - traffic->shared.streams.measure_from_ns) / NS_PER_US, latency_us);
        histogram_record(tally_histogram(tally, HISTOGRAM_LATENCY), latency_us);
        histogram_record(tally_histogram(tally, HISTOGRAM_UNCORRECTED), (now_ns - client->started_ns) / NS_PER_US);
    }
    if (now_ns >= traffic->shared.streams.measure_from_ns && now_ns < traffic->shared.streams.measure_to_ns) {
        tally->echoes++;
    }
    tally_live_add(&tally->live.echoes, 1);
    tally_live_add(&tally->live.latency_sum_us, (uint64_t)((now_ns - client->due_ns) / NS_PER_US));
    client->counted = false;
    client_close(client);
    check_count(traffic);
}

/* Work of a closed loop that sessions which never came up did not do: nothing else would show it. */
static void count_absent(struct traffic *traffic, enum fault fault, uint64_t sessions)
{
    const struct load_options *o = options(traffic);
    bool message_mode = o->mode == MODE_PING || (o->mode == MODE_STREAM && o->direction != DIRECTION_DOWN);
    if (message_mode && o->rate == 0 && o->count == 0) {
        traffic->shared.tally->started += sessions * o->channels;
        tally_count_failure(traffic->shared.tally, fault, sessions * o->channels);
    }
}

static void on_up(struct client *client, void *data)
{
    struct traffic *traffic = data;
    traffic->came_up_ns = client->up_ns;
    if (options(traffic)->mode == MODE_CONNECT) {
        connection_succeeded(traffic, client);
    } else if (client->generation == 1) {
        traffic->events->settled(traffic->events_data);
    }
}

static void connection_ended(struct traffic *traffic, struct client *client, enum fault fault)
{
    const struct load_options *o = options(traffic);
    if (client->counted) {
        tally_count_failure(traffic->shared.tally, fault, 1);
        client->counted = false;
    }
    if (fault != FAULT_NONE) {
        restart_after(traffic, client, o->retry_us > 0 ? o->retry_us : FAILURE_PAUSE_US);
    } else if (traffic->open) {
        issue_due(traffic); /* or sets the clock, which nobody did while every slot was busy */
    } else {
        begin_next_connection(traffic, client);
    }
}

static void session_ended(struct traffic *traffic, struct client *client, enum fault fault)
{
    const struct load_options *o = options(traffic);
    bool first = !client->was_up && client->generation == 1;
    bool ending = traffic->shared.streams.measure_to_ns <= mono_now().ns;
    if (first) {
        count_absent(traffic, fault, 1);
    }
    if (!ending && fault == FAULT_NONE) {
        client_start(client, client->free_ns);
    } else if (!ending && o->retry_us > 0) {
        restart_after(traffic, client, o->retry_us);
    } else {
        traffic->alive--;
    }
    if (first) {
        traffic->events->settled(traffic->events_data);
    }
}

static void on_ended(struct client *client, enum fault fault, void *data)
{
    struct traffic *traffic = data;
    client->free_ns = mono_now().ns;
    if (options(traffic)->mode == MODE_CONNECT) {
        connection_ended(traffic, client, fault);
    } else {
        session_ended(traffic, client, fault);
    }
    check_count(traffic);
}

static const struct client_events client_events = {.up = on_up, .turned = on_turned, .ended = on_ended};

/* ---- open loop ---- */

/* How late we are for an operation that could have been begun at `from_ns`. */
static void note_slip(struct traffic *traffic, int64_t from_ns, int64_t now_ns)
{
    histogram_record(tally_histogram(traffic->shared.tally, HISTOGRAM_SLIP), (now_ns - from_ns) / NS_PER_US);
}

static void issue_message(struct traffic *traffic, const struct schedule_operation *operation, int64_t due_ns)
{
    struct tally *tally = traffic->shared.tally;
    struct client *client = &traffic->clients[operation->client];
    struct stream *stream = &client->streams[operation->stream];
    bool coming = client->state != CLIENT_IDLE || is_planned(client);
    int64_t now_ns = mono_now().ns;
    if (operation->measured) {
        note_slip(traffic, due_ns, now_ns);
    }
    if (coming && stream_queue(stream, due_ns, operation->measured, false)) {
        if (wants_reconnect(traffic, client, now_ns)) {
            client_kick(client); /* closed as soon as it is silent; the message is for the next connection */
        } else {
            client_send(client, stream);
        }
    } else if (operation->measured && options(traffic)->mode != MODE_HOLD) {
        tally->started++;
        tally->failed++;
        fault_note(&tally->faults, FAULT_NOT_ISSUED, 1,
                   coming ? "too many messages of one channel are outstanding" : "a message was due on a dead session");
    }
}

static struct client *idle_client(struct traffic *traffic)
{
    for (uint64_t i = 0; i < traffic->client_count; i++) {
        if (traffic->clients[i].state == CLIENT_IDLE && !is_planned(&traffic->clients[i])) {
            return &traffic->clients[i];
        }
    }
    return NULL;
}

static void arm(struct traffic *traffic, int64_t at_ns)
{
    struct itimerspec when = {.it_value = {.tv_sec = at_ns / NS_PER_S, .tv_nsec = (long)(at_ns % NS_PER_S)}};
    (void)timerfd_settime(traffic->due_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Issues what the plan says is due, and arms the timer for what comes next. */
static void issue_due(struct traffic *traffic)
{
    struct schedule_operation operation;
    while (traffic->flows && schedule_peek(&traffic->schedule, &operation)) {
        int64_t due_ns = traffic->gate_ns + operation.due_us * NS_PER_US;
        int64_t now_ns = mono_now().ns;
        if (due_ns > now_ns) {
            arm(traffic, due_ns);
            traffic->next_due_ns = due_ns;
            return;
        }
        if (options(traffic)->mode != MODE_CONNECT) {
            schedule_take(&traffic->schedule);
            issue_message(traffic, &operation, due_ns);
            continue;
        }
        struct client *client = idle_client(traffic);
        if (client == NULL) {
            return; /* the next slot that comes free takes it, late, but not by our doing */
        }
        schedule_take(&traffic->schedule);
        if (operation.measured) {
            note_slip(traffic, due_ns > client->free_ns ? due_ns : client->free_ns, now_ns);
        }
        begin_connection(traffic, client, operation.measured, due_ns);
    }
    check_count(traffic);
}

static void on_due(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct traffic *traffic = io->data;
    uint64_t expirations;
    (void)!read(traffic->due_fd, &expirations, sizeof expirations);
    issue_due(traffic);
}

/* --spin: nothing else to do. The timer is there all the same, for the turns in which there is. */
static void on_spin(struct ev_loop *loop, ev_idle *idle, int revents)
{
    (void)loop;
    (void)revents;
    struct traffic *traffic = idle->data;
    if (mono_now().ns >= traffic->next_due_ns) {
        traffic->next_due_ns = INT64_MAX;
        issue_due(traffic);
    }
}

/* ---- phases ---- */

void traffic_connect(struct traffic *traffic, uint64_t index, int64_t due_ns)
{
    traffic->alive++;
    client_start(&traffic->clients[index], due_ns);
}

void traffic_skip(struct traffic *traffic, uint64_t clients)
{
    fault_note(&traffic->shared.tally->faults, FAULT_NOT_ISSUED, clients,
               "connections not tried, since none before came up");
    count_absent(traffic, FAULT_NOT_ISSUED, clients);
}

void traffic_begin(struct traffic *traffic, int64_t gate_ns)
{
    const struct load_options *o = options(traffic);
    struct stream_shared *times = &traffic->shared.streams;
    traffic->flows = true;
    traffic->gate_ns = traffic->came_up_ns = gate_ns;
    traffic->by_count = o->count > 0;
    traffic->next_due_ns = INT64_MAX;
    if (o->spin) {
        ev_idle_start(traffic->shared.loop, &traffic->spin);
    }
    times->measure_from_ns = gate_ns + (int64_t)o->warmup_us * NS_PER_US;
    times->measure_to_ns = o->count > 0 ? INT64_MAX : times->measure_from_ns + (int64_t)o->duration_us * NS_PER_US;
    if (traffic->open) {
        issue_due(traffic);
        return;
    }
    for (uint64_t i = 0; i < traffic->client_count; i++) {
        struct client *client = &traffic->clients[i];
        if (o->mode != MODE_CONNECT) {
            client_kick(client);
            continue;
        }
        int64_t late_us =
            plan_ramp_us(traffic->first_client + i, traffic->shared.settings->connections_total, o->ramp_us);
        if (late_us > 0) {
            restart_after(traffic, client, (uint64_t)late_us);
        } else {
            begin_next_connection(traffic, client);
        }
    }
}

void traffic_end(struct traffic *traffic, bool stopped)
{
    struct tally *tally = traffic->shared.tally;
    struct stream_shared *times = &traffic->shared.streams;
    int64_t now_ns = mono_now().ns;
    traffic->by_count = false;
    if (traffic->open) {
        issue_due(traffic); /* what was due and not begun is late, not lost */
    }
    traffic->flows = false;
    ev_idle_stop(traffic->shared.loop, &traffic->spin);
    for (uint64_t i = 0; i < traffic->client_count; i++) {
        ev_timer_stop(traffic->shared.loop, &traffic->clients[i].restart);
    }
    if (times->measure_from_ns == INT64_MAX) {
        times->measure_from_ns = now_ns; /* it never began */
    }
    if (times->measure_to_ns > now_ns) {
        times->measure_to_ns = now_ns > times->measure_from_ns ? now_ns : times->measure_from_ns;
    }
    uint64_t missing = 0;
    if (!stopped) {
        missing = traffic->remaining + schedule_abandon(&traffic->schedule, INT64_MAX);
    } else if (traffic->gate_ns > 0) { /* the user took the rest back */
        missing = schedule_abandon(&traffic->schedule, (now_ns - traffic->gate_ns) / NS_PER_US);
    }
    traffic->remaining = 0;
    tally->rated = options(traffic)->rate > 0;
    tally->ok_in_time = tally->ok;
    tally->backlog = tally->started - tally->ok - tally->failed - tally->timed_out - tally->unfinished +
                     (tally->rated ? missing : 0);
    tally->started += missing;
    tally->failed += missing;
    fault_note(&tally->faults, FAULT_NOT_ISSUED, missing, "work was left when the measurement ended");
    tally_live_add(&tally->live.errors, missing);
}

void traffic_look(struct traffic *traffic, int64_t now_ns)
{
    for (uint64_t i = 0; i < traffic->client_count; i++) {
        client_check_deadlines(&traffic->clients[i], now_ns);
    }
    check_count(traffic);
}

bool traffic_is_dead(const struct traffic *traffic, int64_t now_ns)
{
    const struct load_options *o = options(traffic);
    if (o->mode == MODE_CONNECT) {
        return false; /* its slots are tried again and again */
    }
    if (traffic->alive == 0) {
        return true;
    }
    /* A count never ends where --retry tries for ever and nobody comes up. */
    int64_t patience_ns = (int64_t)(o->connect_timeout_us + o->handshake_timeout_us + o->retry_us) * NS_PER_US;
    if (o->count == 0 || now_ns - traffic->came_up_ns < patience_ns) {
        return false;
    }
    for (uint64_t i = 0; i < traffic->client_count; i++) {
        if (client_is_up(&traffic->clients[i])) {
            return false;
        }
    }
    return true;
}

/* ---- life ---- */

static int make_clients(struct traffic *traffic)
{
    traffic->clients = calloc(traffic->client_count, sizeof *traffic->clients);
    bool good = traffic->clients != NULL;
    for (uint64_t i = 0; good && i < traffic->client_count; i++) {
        good = client_init(&traffic->clients[i], &traffic->shared, traffic->first_client + i) == 0;
    }
    return good ? 0 : -1;
}

int traffic_init(struct traffic *traffic, const struct settings *settings, unsigned worker, struct ev_loop *loop,
                 struct tally *tally, const struct traffic_events *events, void *events_data, char *error,
                 size_t error_size)
{
    const struct load_options *o = &settings->options;
    *traffic = (struct traffic){
        .shared = {.settings = settings,
                   .loop = loop,
                   .tally = tally,
                   .streams = {.settings = settings,
                               .tally = tally,
                               .measure_from_ns = INT64_MAX,
                               .measure_to_ns = INT64_MAX,
                               .outstanding_most = o->mode == MODE_STREAM ? UINT32_MAX : (uint32_t)o->pipeline,
                               .messages_are_operations = o->mode == MODE_PING || o->mode == MODE_STREAM},
                   .handshake = {.settings = settings, .login = &traffic->shared.login, .tally = tally},
                   .events = &client_events,
                   .events_data = traffic},
        .client_count = plan_share(settings->connections, settings->threads, worker),
        .first_client = settings->first_connection + plan_share_start(settings->connections, settings->threads, worker),
        .open = schedule_is_open(settings),
        .events = events,
        .events_data = events_data};
    schedule_init(&traffic->schedule, settings,
                  (struct schedule_part){
                      .worker = worker, .first_client = traffic->first_client, .client_count = traffic->client_count});
    if (o->rate == 0 && o->count > 0) {
        uint64_t parts = (uint64_t)settings->shard.count * settings->threads;
        traffic->remaining = plan_share(o->count, parts, (uint64_t)settings->shard.index * settings->threads + worker);
    }
    traffic->due_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (traffic->due_fd < 0) {
        (void)snprintf(error, error_size, "no timer to be had from the system");
        return -1;
    }
    if (login_prepare(&traffic->shared.login, settings, error, error_size) != 0) {
        return -1;
    }
    if (make_clients(traffic) != 0) {
        (void)snprintf(error, error_size, "out of memory for %llu connections",
                       (unsigned long long)traffic->client_count);
        return -1;
    }
    return 0;
}

void traffic_start(struct traffic *traffic)
{
    client_shared_start(&traffic->shared);
    ev_idle_init(&traffic->spin, on_spin);
    traffic->spin.data = traffic;
    ev_io_init(&traffic->due, on_due, traffic->due_fd, EV_READ);
    traffic->due.data = traffic;
    ev_set_priority(&traffic->due, EV_MAXPRI); /* what is due goes before what has come back */
    ev_io_start(traffic->shared.loop, &traffic->due);
}

void traffic_stop(struct traffic *traffic)
{
    for (uint64_t i = 0; i < traffic->client_count; i++) {
        client_destroy(&traffic->clients[i]);
    }
    traffic->shared.reap = NULL;
    ev_io_stop(traffic->shared.loop, &traffic->due);
    client_shared_stop(&traffic->shared);
}

void traffic_free(struct traffic *traffic)
{
    if (traffic->shared.settings == NULL) {
        return; /* never made */
    }
    for (uint64_t i = 0; traffic->clients != NULL && i < traffic->client_count; i++) {
        client_destroy(&traffic->clients[i]);
    }
    free(traffic->clients);
    login_release(&traffic->shared.login);
    if (traffic->due_fd >= 0) {
        (void)close(traffic->due_fd);
    }
    *traffic = (struct traffic){.due_fd = -1};
}
