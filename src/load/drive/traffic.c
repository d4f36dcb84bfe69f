#include "load/drive/traffic_parts.h"

#include "load/connection/streams.h"
#include "load/plan/plan.h"

/* After a failure, a slot of connect mode waits this long, so that a target that refuses is not flooded. */
#define FAILURE_PAUSE_US 10000
#define LOOK_SHARES 10  /* in so many looks, a second, every client has its turn */
#define LOOK_LEAST 1000 /* clients in each look, where there are as many */

/* ---- a measurement by count ---- */

static bool has_enough(struct traffic *traffic)
{
    const struct tally *tally = traffic->shared.tally;
    struct schedule_operation operation;
    return traffic->remaining == 0 &&
           tally->started == tally->ok + tally->failed + tally->timed_out + tally->unfinished &&
           (traffic->shared.settings->rate.count == 0 || !schedule_peek(&traffic->schedule, &operation));
}

/* After anything that may have been the last operation, however it ended. */
void traffic_check_count(struct traffic *traffic)
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
    if (*measured && traffic_options(traffic)->count > 0) {
        if (traffic->remaining == 0) {
            return false;
        }
        traffic->remaining--;
    }
    return true;
}

bool traffic_wants_reconnect(const struct traffic *traffic, const struct client *client, int64_t now_ns)
{
    const struct load_options *o = traffic_options(traffic);
    if (o->reconnect_every_us > 0 && now_ns - client->up_ns >= (int64_t)o->reconnect_every_us * NS_PER_US) {
        return true;
    }
    return o->reconnect_after > 0 && streams_messages(client->streams, o->channels) >= o->reconnect_after;
}

static bool fill_ping(struct traffic *traffic, struct client *client, struct stream *stream, int64_t now_ns)
{
    bool measured = false;
    while (stream_waiting(stream) < traffic_options(traffic)->pipeline &&
           !traffic_wants_reconnect(traffic, client, now_ns) && stream_has_room(stream) &&
           may_begin(traffic, now_ns, &measured)) {
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
        if (stream->unsent != stream->tail || traffic_options(traffic)->direction == DIRECTION_DOWN ||
            traffic_wants_reconnect(traffic, client, now_ns) || !stream_has_room(stream) ||
            !may_begin(traffic, now_ns, &measured)) {
            return false;
        }
        (void)stream_queue(stream, now_ns, measured, false);
    }
}

static bool on_turned(struct client *client, void *data)
{
    struct traffic *traffic = data;
    const struct load_options *o = traffic_options(traffic);
    int64_t now_ns = mono_now().ns;
    bool held = false;
    bool closed_loop = !traffic->open && o->mode != MODE_HOLD;
    bool may_replace = traffic->flows; /* afterwards what is left to send goes to the sessions that there are */
    for (uint64_t i = 0; i < o->channels; i++) {
        struct stream *stream = &client->streams[i];
        if (o->mode == MODE_STREAM) {
            held = fill_stream(traffic, client, stream, now_ns) || held;
        } else if (closed_loop) {
            held = fill_ping(traffic, client, stream, now_ns) || held;
        } else if (may_replace && traffic_wants_reconnect(traffic, client, now_ns)) {
            held = stream_send_begun(stream) || held;
        } else {
            held = stream_send(stream) || held;
        }
    }
    if (traffic->flows && traffic_wants_reconnect(traffic, client, now_ns) &&
        streams_are_silent(client->streams, o->channels)) {
        client->keep_unsent = true;
        client_close(client);
    }
    traffic_check_count(traffic);
    return held;
}

/* ---- connections ---- */

void traffic_begin_connection(struct traffic *traffic, struct client *client, bool measured, int64_t due_ns)
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
        traffic_begin_connection(traffic, client, measured, now_ns);
    }
}

static void on_restart(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct client *client = timer->data;
    struct traffic *traffic = client->shared->events_data;
    client->free_ns = mono_now().ns;
    if (traffic_options(traffic)->mode != MODE_CONNECT) {
        client_start(client, client->free_ns);
    } else if (traffic->open) {
        traffic_issue_due(traffic);
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

static void count_for_target(struct traffic *traffic, const struct client *client)
{
    const struct stream_shared *times = &traffic->shared.streams;
    struct target_count *target = by_target_at(&traffic->shared.tally->by_target, client->handshake.target);
    if (target != NULL) {
        target->echoes += client->up_ns >= times->measure_from_ns && client->up_ns < times->measure_to_ns ? 1 : 0;
        target->ok += client->counted ? 1 : 0;
        if (client->counted) {
            histogram_record(&target->latency, (client->up_ns - client->due_ns) / NS_PER_US);
        }
    }
}

static void connection_succeeded(struct traffic *traffic, struct client *client)
{
    int64_t now_ns = client->up_ns;
    struct tally *tally = traffic->shared.tally;
    if (client->counted) {
        int64_t latency_us = (now_ns - client->due_ns) / NS_PER_US;
        tally->ok++;
        tally_note_trend(tally, &traffic->shared.settings->rate,
                         (client->due_ns - traffic->shared.streams.measure_from_ns) / NS_PER_US,
                         (int64_t)traffic_options(traffic)->warmup_us, latency_us);
        histogram_record(tally_histogram(tally, HISTOGRAM_LATENCY), latency_us);
        histogram_record(tally_histogram(tally, HISTOGRAM_UNCORRECTED), (now_ns - client->started_ns) / NS_PER_US);
    }
    if (now_ns >= traffic->shared.streams.measure_from_ns && now_ns < traffic->shared.streams.measure_to_ns) {
        tally->echoes++;
    }
    tally_live_add(&tally->live.echoes, 1);
    tally_live_add(&tally->live.latency_sum_us, (uint64_t)((now_ns - client->due_ns) / NS_PER_US));
    count_for_target(traffic, client);
    client->counted = false;
    client_close(client);
    traffic_check_count(traffic);
}

/* Work of a closed loop that sessions which never came up did not do: nothing else would show it. */
static void count_absent(struct traffic *traffic, enum fault fault, uint64_t sessions)
{
    const struct load_options *o = traffic_options(traffic);
    bool message_mode = o->mode == MODE_PING || (o->mode == MODE_STREAM && o->direction != DIRECTION_DOWN);
    if (message_mode && traffic->shared.settings->rate.count == 0 && o->count == 0) {
        traffic->shared.tally->started += sessions * o->channels;
        tally_count_failure(traffic->shared.tally, fault, sessions * o->channels);
    }
}

static void on_up(struct client *client, void *data)
{
    struct traffic *traffic = data;
    traffic->came_up_ns = client->up_ns;
    if (traffic_options(traffic)->mode == MODE_CONNECT) {
        connection_succeeded(traffic, client);
    } else if (client->generation == 1) {
        traffic->events->settled(traffic->events_data);
    }
}

static void connection_ended(struct traffic *traffic, struct client *client, enum fault fault)
{
    const struct load_options *o = traffic_options(traffic);
    if (client->counted) {
        tally_count_failure(traffic->shared.tally, fault, 1);
        client->counted = false;
    }
    if (fault != FAULT_NONE) {
        restart_after(traffic, client, o->retry_us > 0 ? o->retry_us : FAILURE_PAUSE_US);
    } else if (traffic->open) {
        traffic_issue_due(traffic); /* or sets the clock, which nobody did while every slot was busy */
    } else {
        begin_next_connection(traffic, client);
    }
}

/* Closed by us to come back, when the measured time was over: for the roll call, or for messages that are due. */
static bool is_awaited(const struct traffic *traffic, const struct client *client)
{
    const struct load_options *o = traffic_options(traffic);
    return o->mode == MODE_HOLD || streams_wait(client->streams, o->channels);
}

static void session_ended(struct traffic *traffic, struct client *client, enum fault fault)
{
    const struct load_options *o = traffic_options(traffic);
    bool first = !client->was_up && client->generation == 1;
    bool ending = traffic->shared.streams.measure_to_ns <= mono_now().ns;
    if (first) {
        count_absent(traffic, fault, 1);
    }
    if (fault == FAULT_NONE && (!ending || is_awaited(traffic, client))) {
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
    if (traffic_options(traffic)->mode == MODE_CONNECT) {
        connection_ended(traffic, client, fault);
    } else {
        session_ended(traffic, client, fault);
    }
    traffic_check_count(traffic);
}

const struct client_events traffic_client_events = {.up = on_up, .turned = on_turned, .ended = on_ended};

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
    const struct load_options *o = traffic_options(traffic);
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
        traffic_issue_due(traffic);
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
        traffic_issue_due(traffic); /* what was due and not begun is late, not lost */
    }
    traffic->flows = false;
    traffic->catches_up = traffic_options(traffic)->mode == MODE_CONNECT && traffic->open;
    ev_idle_stop(traffic->shared.loop, &traffic->spin);
    for (uint64_t i = 0; !traffic->catches_up && i < traffic->client_count; i++) {
        ev_timer_stop(traffic->shared.loop, &traffic->clients[i].restart);
    }
    if (times->measure_from_ns == INT64_MAX) {
        times->measure_from_ns = now_ns; /* it never began */
    }
    if (times->measure_to_ns > now_ns) {
        times->measure_to_ns = now_ns > times->measure_from_ns ? now_ns : times->measure_from_ns;
    }
    uint64_t missing = 0;
    uint64_t waiting = 0;
    if (traffic->catches_up) {
        schedule_cut(&traffic->schedule, traffic->gate_ns > 0 ? (now_ns - traffic->gate_ns) / NS_PER_US : 0);
        waiting = schedule_left(&traffic->schedule);
    } else if (!stopped) {
        missing = traffic->remaining + schedule_abandon(&traffic->schedule, INT64_MAX);
    } else if (traffic->gate_ns > 0) { /* the user took the rest back */
        missing = schedule_abandon(&traffic->schedule, (now_ns - traffic->gate_ns) / NS_PER_US);
    }
    traffic->remaining = 0;
    tally->rated = traffic->shared.settings->rate.count > 0;
    tally->slice_count = traffic->shared.settings->rate.slices > 1 ? traffic->shared.settings->rate.slices : 0;
    tally->ok_in_time = tally->ok;
    tally->backlog = tally->started - tally->ok - tally->failed - tally->timed_out - tally->unfinished +
                     (tally->rated ? missing + waiting : 0);
    tally->started += missing;
    tally->failed += missing;
    fault_note(&tally->faults, FAULT_NOT_ISSUED, missing, "work was left when the measurement ended");
    tally_live_fault(tally, FAULT_NOT_ISSUED, missing);
}

void traffic_look(struct traffic *traffic, int64_t now_ns)
{
    uint64_t share = traffic->client_count / LOOK_SHARES;
    uint64_t looks = share > LOOK_LEAST ? share : LOOK_LEAST;
    for (uint64_t i = 0; i < looks && i < traffic->client_count; i++) {
        traffic->look_from = (traffic->look_from + 1) % traffic->client_count;
        client_check_deadlines(&traffic->clients[traffic->look_from], now_ns);
    }
    traffic_check_count(traffic);
}

bool traffic_is_dead(const struct traffic *traffic, int64_t now_ns)
{
    const struct load_options *o = traffic_options(traffic);
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
