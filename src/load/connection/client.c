#include "load/connection/client_internal.h"
#include "load/connection/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A peer that writes to stderr and then does not echo for so long is not going to: it is a shell, or refuses. */
#define WORDS_INSTEAD_NS (2 * NS_PER_S)

/* ---- pump ---- */

/* What the data callbacks found. False when the connection has been failed for it. */
static bool channels_healthy(struct client *client, bool patient)
{
    char text[FAULT_EXAMPLE_MAX];
    enum fault fault = streams_find_fault(client->streams, client_channels(client), patient, text, sizeof text);
    if (fault != FAULT_NONE) {
        client_fail(client, fault, text);
    }
    return fault == FAULT_NONE;
}

static bool has_channels(const struct client *client)
{
    return client->state == CLIENT_UP ||
           (client->state == CLIENT_HANDSHAKE && client->handshake.stage >= HANDSHAKE_FIRST_ECHO);
}

static void come_up(struct client *client, int64_t now_ns)
{
    struct tally *tally = client->shared->tally;
    const struct stream_shared *times = &client->shared->streams;
    histogram_record(tally_histogram(tally, HISTOGRAM_HANDSHAKE), (now_ns - client->started_ns) / NS_PER_US);
    tally->connects_up++;
    struct target_count *target = by_target_at(&tally->by_target, client->handshake.target);
    if (target != NULL) {
        target->connects_up++;
    }
    if (times->measure_from_ns == INT64_MAX) {
        tally->connects_in_ramp++;
    }
    if (now_ns >= times->measure_from_ns && now_ns < times->measure_to_ns) {
        tally->connects_in_measure++;
    }
    struct tally_second *second = tally_second_at(tally, (now_ns - times->measure_from_ns) / NS_PER_US);
    if (second != NULL) {
        second->handshakes++;
    }
    tally_live_add(&tally->live.handshakes, 1);
    tally_live_add(&tally->live.sessions_up, 1);
    uint64_t up = atomic_load_explicit(&tally->live.sessions_up, memory_order_relaxed);
    tally->sessions_up_max = up > tally->sessions_up_max ? up : tally->sessions_up_max;
    client->was_up = true;
    client->up_ns = now_ns;
    client->deadline_ns = INT64_MAX;
    client->state = CLIENT_UP;
    client->shared->events->up(client, client->shared->events_data);
}

/* The handshake as far as it goes now. */
static void advance(struct client *client)
{
    struct handshake *handshake = &client->handshake;
    const struct handshake_shared *shared = &client->shared->handshake;
    struct handshake_failure failure;
    enum handshake_verdict verdict = HANDSHAKE_GOES_ON;
    if (handshake->stage < HANDSHAKE_FIRST_ECHO) {
        verdict = handshake_to_channels(handshake, shared, &client->pump, client->streams, &failure);
    }
    if (verdict == HANDSHAKE_GOES_ON) {
        if (!channels_healthy(client, true)) {
            return;
        }
        verdict = handshake_first_echo(handshake, shared, client->streams, &failure);
    }
    if (verdict == HANDSHAKE_GOES_ON) {
        come_up(client, mono_now().ns);
    } else if (verdict == HANDSHAKE_FAILED && failure.fault == FAULT_NONE) {
        client_fail_by_session(client);
    } else if (verdict == HANDSHAKE_FAILED) {
        client_fail(client, failure.fault, failure.text);
    }
}

static bool on_turned(struct pump *pump, void *data)
{
    (void)pump;
    struct client *client = data;
    if (client->state == CLIENT_HANDSHAKE) {
        advance(client);
        if (client->handshake.stage != HANDSHAKE_KEX) {
            kexinit_end(&client->offer); /* not kept for as long as a session is held */
        }
    } else if (client->state == CLIENT_UP && !channels_healthy(client, true)) {
        return false;
    }
    if (client->state == CLIENT_UP) {
        return client->shared->events->turned(client, client->shared->events_data);
    }
    if (client->state == CLIENT_CLOSING && streams_all_closed(client->streams, client_channels(client))) {
        client_end(client, FAULT_NONE);
    }
    return false;
}

static void on_dead(struct pump *pump, void *data)
{
    (void)pump;
    struct client *client = data;
    /* Servers for one channel (tinysshd) end the connection with it, and our CLOSE may cross theirs. */
    if (client->state == CLIENT_CLOSING && streams_all_done(client->streams, client_channels(client))) {
        client_end(client, FAULT_NONE);
    } else if (has_channels(client) && !channels_healthy(client, false)) {
        return; /* what the channels know is the better story */
    } else {
        client_fail_by_session(client);
    }
}

/* The server's lists, in case that libssh forgets what was wrong with them. */
static size_t on_arrived(struct pump *pump, void *data, const uint8_t *bytes, size_t size)
{
    struct client *client = data;
    if (kexinit_feed(&client->offer, bytes, size) != KEXINIT_MORE) {
        pump_read_along(pump, false);
    }
    return size;
}

static const struct pump_owner pump_owner = {.arrived = on_arrived, .turned = on_turned, .dead = on_dead};

/* ---- connecting ---- */

static void begin_session(struct client *client)
{
    ssh_session session = ssh_new();
    if (session == NULL) {
        client_fail(client, FAULT_LOCAL_LIMIT, "no memory for a session");
        return;
    }
    const struct settings *settings = client->shared->settings;
    if (handshake_set_options(settings, &client->handshake, client->fd, session) != 0) {
        client_fail(client, FAULT_INTERNAL, ssh_get_error(session));
        ssh_free(session); /* an fd that it only knows as an option stays ours */
        return;
    }
    ssh_set_blocking(session, 0);
    struct pump *pump = &client->pump;
    if (pump_open(pump, client->shared->loop, session, client->fd, &pump_owner, client) != 0) {
        client_fail(client, FAULT_LOCAL_LIMIT, "no memory for a session");
        ssh_free(session);
        return;
    }
    kexinit_end(&client->offer);
    client->offer.state = KEXINIT_MORE;
    pump_read_along(pump, true);
    int fd = client->fd;
    client->fd = -1;
    client->state = CLIENT_HANDSHAKE;
    (void)pump_enter(pump);
    int rc = ssh_connect(session);
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); /* libssh has made it blocking */
    if (rc == SSH_ERROR || pump_start(pump) != 0) {
        client_fail_by_session(client);
    }
    pump_leave(pump);
}

static void on_connected(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)revents;
    struct client *client = io->data;
    ev_io_stop(loop, io);
    int error = net_connect_error(client->fd);
    if (error != 0) {
        client_fail(client, fault_from_errno(error), strerror(error));
        return;
    }
    int64_t now_ns = mono_now().ns;
    handshake_finish_phase(&client->handshake, client->shared->tally, TALLY_TCP, now_ns);
    client->deadline_ns = now_ns + (int64_t)client->shared->settings->options.handshake_timeout_us * NS_PER_US;
    begin_session(client);
}

void client_start(struct client *client, int64_t due_ns)
{
    const struct settings *settings = client->shared->settings;
    client->generation++;
    client->due_ns = due_ns;
    client->started_ns = mono_now().ns;
    uint64_t turn = client->number / settings->target_count + client->generation - 1; /* connect mode takes them all */
    handshake_begin(&client->handshake, (uint32_t)(client->number % settings->target_count),
                    settings->user_count > 0 ? (uint32_t)(turn % settings->user_count) : 0, client->generation,
                    client->started_ns);
    client->deadline_ns = client->started_ns + (int64_t)settings->options.connect_timeout_us * NS_PER_US;
    client->was_up = client->keep_unsent = false;
    client->state = CLIENT_TCP;
    client->shared->tally->connects_tried++;
    struct net_address local;
    bool bound = net_sources_at(&settings->sources, client->number, &local);
    client->fd = net_connect(&settings->targets[client->handshake.target].address, bound ? &local : NULL);
    if (client->fd < 0) {
        client_fail(client, fault_from_errno(errno), strerror(errno));
        return;
    }
    ev_io_init(&client->connecting, on_connected, client->fd, EV_WRITE);
    client->connecting.data = client;
    ev_io_start(client->shared->loop, &client->connecting);
}

/* ---- from outside ---- */

void client_close(struct client *client)
{
    if (client->state != CLIENT_UP) {
        return;
    }
    client->state = CLIENT_CLOSING;
    client->deadline_ns = mono_now().ns + (int64_t)client->shared->settings->options.timeout_us * NS_PER_US;
    bool entered = pump_enter(&client->pump); /* or we are in its turn already */
    for (uint64_t i = 0; i < client_channels(client); i++) {
        if (client->streams[i].handle != NULL) {
            (void)ssh_channel_close(client->streams[i].handle); /* sends EOF first */
        }
    }
    if (entered) {
        pump_leave(&client->pump);
    }
}

void client_send(struct client *client, struct stream *stream)
{
    if (client->state == CLIENT_UP && pump_enter(&client->pump)) {
        (void)stream_send(stream);
        pump_leave(&client->pump);
    }
}

void client_kick(struct client *client)
{
    if (client->state == CLIENT_UP && pump_enter(&client->pump)) {
        (void)on_turned(&client->pump, client);
        pump_leave(&client->pump);
    }
}

void client_check_deadlines(struct client *client, int64_t now_ns)
{
    char text[FAULT_EXAMPLE_MAX];
    if (has_channels(client) && !channels_healthy(client, false)) {
        return;
    }
    if (client->state == CLIENT_UP) {
        int64_t allowed_ns = (int64_t)client->shared->settings->options.timeout_us * NS_PER_US;
        enum fault fault =
            streams_find_late(client->streams, client_channels(client), now_ns, allowed_ns, text, sizeof text);
        if (fault != FAULT_NONE) {
            client_fail(client, fault, text);
        }
    }
    if (has_channels(client) && client->state == CLIENT_HANDSHAKE) {
        const struct heard *heard = streams_heard(client->streams, client_channels(client));
        if (heard != NULL && now_ns - heard->from_ns > WORDS_INSTEAD_NS) {
            client_fail(client, FAULT_HANDSHAKE_TIMEOUT, "no echo, perhaps a shell (see --request)");
            return;
        }
    }
    if (now_ns < client->deadline_ns) {
        return;
    }
    if (client->state == CLIENT_TCP) {
        client_fail(client, FAULT_CONNECT_TIMEOUT, "no TCP connection in time");
    } else if (client->state == CLIENT_CLOSING) {
        client_fail(client, FAULT_CLOSE_TIMEOUT, "the peer did not answer our close in time");
    } else if (client_phase(client) == PHASE_BANNER) {
        (void)snprintf(text, sizeof text, "no SSH version string in time (%llu other bytes came)",
                       (unsigned long long)client->pump.wire.in_bytes);
        client_fail(client, FAULT_HANDSHAKE_TIMEOUT, text);
    } else {
        bool silent = client_phase(client) == PHASE_FIRST_ECHO;
        client_fail(client, FAULT_HANDSHAKE_TIMEOUT,
                    silent ? "not finished in time; a shell would wait for a line end (see --request)"
                           : "not finished in time");
    }
}

/* ---- life ---- */

void client_shared_start(struct client_shared *shared)
{
    shared->reap = NULL;
    ev_prepare_init(&shared->reaper, client_reap);
    shared->reaper.data = shared;
    ev_prepare_start(shared->loop, &shared->reaper);
    ev_unref(shared->loop);
}

void client_shared_stop(struct client_shared *shared)
{
    ev_ref(shared->loop);
    ev_prepare_stop(shared->loop, &shared->reaper);
}

int client_init(struct client *client, struct client_shared *shared, uint64_t number)
{
    const uint64_t count = shared->settings->options.channels;
    *client =
        (struct client){.shared = shared, .fd = -1, .number = number, .fault = FAULT_NONE, .deadline_ns = INT64_MAX};
    ev_io_init(&client->connecting, on_connected, 0, EV_WRITE);
    client->streams = calloc((size_t)count, sizeof *client->streams);
    if (client->streams == NULL || handshake_init(&client->handshake, count) != 0) {
        free(client->streams);
        client->streams = NULL;
        return -1;
    }
    for (uint64_t i = 0; i < count; i++) {
        stream_init(&client->streams[i], &shared->streams, number * count + i);
    }
    return 0;
}

void client_destroy(struct client *client)
{
    if (client->streams == NULL) {
        return;
    }
    client_release(client, FAULT_NONE);
    ev_timer_stop(client->shared->loop, &client->restart);
    for (uint64_t i = 0; i < client_channels(client); i++) {
        stream_free(&client->streams[i]);
    }
    free(client->streams);
    client->streams = NULL;
    handshake_free(&client->handshake);
    client->state = CLIENT_IDLE;
    client->was_up = false;
}
