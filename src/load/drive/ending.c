#include "load/drive/ending.h"

#include "load/connection/streams.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

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

/* Down by --reconnect-*, and nothing was wrong with it. */
static bool is_being_replaced(const struct client *client)
{
    return client->fault == FAULT_NONE && (client->generation > 1 || client->was_up);
}

void ending_measured(struct client_shared *shared, const struct client *clients, uint64_t count)
{
    const struct load_options *o = &shared->settings->options;
    struct tally *tally = shared->tally;
    uint64_t per_session = o->mode == MODE_HOLD                                       ? 1
                           : o->mode == MODE_STREAM && o->direction == DIRECTION_DOWN ? o->channels
                                                                                      : 0;
    int64_t first_echo_us =
        tally_histogram(tally, (enum tally_histogram)(HISTOGRAM_HANDSHAKE_PARTS + (int)TALLY_FIRST_ECHO))->min;
    for (uint64_t i = 0; i < count; i++) {
        const struct client *client = &clients[i];
        bool up = client_is_up(client);
        tally->sessions_up += up ? 1 : 0;
        tally->sessions_pinged +=
            up && o->mode == MODE_HOLD && streams_messages_answered(client->streams, o->channels) > 0 ? 1 : 0;
        tally->started += per_session;
        if (up || (o->mode == MODE_STREAM && is_being_replaced(client))) {
            tally->ok += per_session;
        } else if (client->fault == FAULT_NONE) {
            tally->unfinished += per_session; /* interrupted; the session can be called neither up nor lost */
        } else {
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

bool ending_awaits_sessions(const struct client *clients, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (clients[i].state != CLIENT_IDLE && !client_is_up(&clients[i]) && clients[i].fault == FAULT_NONE) {
            return true;
        }
    }
    return false;
}

bool ending_is_quiet(const struct client_shared *shared, const struct client *clients, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        const struct client *client = &clients[i];
        if (client->counted || client->state == CLIENT_CLOSING || client->state == CLIENT_ENDING) {
            return false;
        }
        if (streams_wait(client->streams, shared->settings->options.channels)) {
            return false;
        }
    }
    return true;
}

void ending_give_up(struct client_shared *shared, struct client *clients, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct client *client = &clients[i];
        if (client->counted) {
            tally_give_up(shared->tally, client->due_ns, mono_now().ns, shared->settings->rate.count > 0);
            client->counted = false;
        }
        for (uint64_t j = 0; j < shared->settings->options.channels; j++) {
            stream_give_up(&client->streams[j]);
        }
    }
}
