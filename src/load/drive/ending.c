#include "load/drive/ending.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "load/plan/schedule.h"

static const struct load_options *options(const struct load_worker *worker)
{
    return &worker->settings->options;
}

void ending_abandon(struct load_worker *worker)
{
    struct tally *tally = &worker->tally;
    uint64_t missing = worker->remaining;
    worker->remaining = 0;
    struct schedule_part part = load_worker_part(worker);
    struct schedule_operation operation;
    bool stopped = atomic_load(&worker->control->stop);
    int64_t end_us = (worker->shared.streams.measure_to_ns - atomic_load(&worker->control->gate_ns)) / NS_PER_US;
    while (options(worker)->rate > 0 && worker->client_count > 0 &&
           schedule_operation_at(worker->settings, &part, worker->next_operation, &operation) &&
           !schedule_is_over(worker->settings, &operation) && !(stopped && operation.due_us >= end_us)) {
        worker->next_operation++;
        missing += schedule_is_measured(worker->settings, &operation) ? 1 : 0;
    }
    if (stopped && options(worker)->rate == 0) {
        return; /* the user took the rest of the count back */
    }
    tally->started += missing;
    tally->failed += missing;
    fault_note(&tally->faults, FAULT_NOT_ISSUED, missing, "work was left when the measurement ended");
    tally_live_add(&tally->live.errors, missing);
}

/* What window and round trip allow a connection: the most that was ever in flight, once per round trip. The round trip
 * is that of the network or, where something beyond it takes longer (a relay, a far backend, a server that waits), that
 * of a session's first echo, when nothing queued yet. */
static double window_limit(const struct client *client, uint64_t channels, int64_t first_echo_us)
{
    struct tcp_info info;
    socklen_t length = sizeof info;
    uint64_t in_flight = 0;
    for (uint64_t i = 0; i < channels; i++) {
        in_flight += client->streams[i].most_in_flight;
    }
    if (getsockopt(client->pump.fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0 || info.tcpi_min_rtt == 0) {
        return 0.0;
    }
    int64_t round_trip_us = (int64_t)info.tcpi_min_rtt;
    round_trip_us = first_echo_us > round_trip_us ? first_echo_us : round_trip_us;
    return (double)in_flight / ((double)round_trip_us / 1e6);
}

void ending_measured(struct load_worker *worker)
{
    const struct load_options *o = options(worker);
    struct tally *tally = &worker->tally;
    uint64_t per_session = o->mode == MODE_HOLD                                       ? 1
                           : o->mode == MODE_STREAM && o->direction == DIRECTION_DOWN ? o->channels
                                                                                      : 0;
    int64_t first_echo_us =
        tally_histogram(tally, (enum tally_histogram)(HISTOGRAM_HANDSHAKE_PARTS + (int)TALLY_FIRST_ECHO))->min;
    for (uint64_t i = 0; i < worker->client_count; i++) {
        const struct client *client = &worker->clients[i];
        bool up = client_is_up(client);
        tally->sessions_up += up ? 1 : 0;
        tally->started += per_session;
        tally->ok += up ? per_session : 0;
        if (!up) {
            tally_count_failure(tally, client->fault, per_session);
        }
        uint64_t bytes = 0;
        for (uint64_t j = 0; j < o->channels; j++) {
            bytes += client->streams[j].measured_bytes;
        }
        if (o->mode == MODE_STREAM || o->mode == MODE_PING) {
            histogram_record(tally_histogram(tally, HISTOGRAM_CONNECTION_KB), (int64_t)(bytes / 1000));
        }
        if (up && o->mode == MODE_STREAM) {
            tally->window_limit_bytes_per_s += window_limit(client, o->channels, first_echo_us);
        }
    }
}

bool ending_is_quiet(const struct load_worker *worker)
{
    for (uint64_t i = 0; i < worker->client_count; i++) {
        const struct client *client = &worker->clients[i];
        if (client->counted || client->state == CLIENT_CLOSING || client->state == CLIENT_ENDING) {
            return false;
        }
        for (uint64_t j = 0; j < options(worker)->channels; j++) {
            if (stream_waiting(&client->streams[j]) > 0) {
                return false;
            }
        }
    }
    return true;
}

bool ending_has_enough(const struct load_worker *worker)
{
    const struct load_options *o = options(worker);
    const struct tally *tally = &worker->tally;
    if (o->count == 0 || worker->remaining > 0 ||
        tally->started != tally->ok + tally->failed + tally->timed_out + tally->unfinished) {
        return false;
    }
    struct schedule_part part = load_worker_part(worker);
    struct schedule_operation operation;
    return o->rate == 0 || !schedule_operation_at(worker->settings, &part, worker->next_operation, &operation) ||
           schedule_is_over(worker->settings, &operation);
}

void ending_give_up(struct load_worker *worker)
{
    for (uint64_t i = 0; i < worker->client_count; i++) {
        struct client *client = &worker->clients[i];
        if (client->counted) {
            worker->tally.unfinished++;
            client->counted = false;
        }
        for (uint64_t j = 0; j < options(worker)->channels; j++) {
            stream_give_up(&client->streams[j]);
        }
    }
}
