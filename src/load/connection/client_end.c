/* Inside the room of client.h: how a connection ends, what is said of it, and what is freed when. */
#include "load/connection/client_internal.h"
#include "load/connection/disagreement.h"
#include "load/connection/streams.h"
#include "sshecho/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum fault_phase client_phase(const struct client *client)
{
    static const enum fault_phase phases[] = {[HANDSHAKE_KEX] = PHASE_KEX,
                                              [HANDSHAKE_AUTH] = PHASE_AUTH,
                                              [HANDSHAKE_CHANNELS] = PHASE_CHANNEL,
                                              [HANDSHAKE_FIRST_ECHO] = PHASE_FIRST_ECHO,
                                              [HANDSHAKE_DONE] = PHASE_TRAFFIC};
    switch (client->state) {
    case CLIENT_TCP:
        return PHASE_TCP;
    case CLIENT_HANDSHAKE:
        if (client->handshake.stage == HANDSHAKE_KEX && ssh_get_serverbanner(client->pump.session) == NULL) {
            return PHASE_BANNER;
        }
        return phases[client->handshake.stage];
    case CLIENT_CLOSING:
        return PHASE_CLOSE;
    default:
        return PHASE_TRAFFIC;
    }
}

void client_end(struct client *client, enum fault fault)
{
    ev_io_stop(client->shared->loop, &client->connecting);
    client->state = CLIENT_ENDING;
    client->fault = fault;
    client->deadline_ns = INT64_MAX;
    client->reap_next = client->shared->reap;
    client->shared->reap = client;
}

void client_fail(struct client *client, enum fault fault, const char *what)
{
    if (client->state == CLIENT_IDLE || client->state == CLIENT_ENDING) {
        return;
    }
    struct tally *tally = client->shared->tally;
    const struct target *target = &client->shared->settings->targets[client->handshake.target];
    const char *phase = fault_phase_name(client_phase(client));
    char text[FAULT_EXAMPLE_MAX];
    (void)snprintf(text, sizeof text, "connection %llu to %s, %s: %s", (unsigned long long)client->number, target->text,
                   phase, what);
    const struct heard *heard = streams_heard(client->streams, client_channels(client));
    if (heard != NULL) {
        heard_append(heard, text, sizeof text);
    }
    fault_note(&tally->faults, fault, 1, text);
    struct target_count *counts = by_target_at(&tally->by_target, client->handshake.target);
    if (counts != NULL) {
        counts->errors++;
    }
    tally_live_fault(tally, fault, 1);
    struct tally_second *second =
        tally_second_at(tally, (mono_now().ns - client->shared->streams.measure_from_ns) / NS_PER_US);
    if (second != NULL) {
        second->errors++;
    }
    log_line(LOG_INFO, "failed", log_u64("conn", client->number), log_str("class", fault_name(fault)),
             log_str("phase", phase), log_str("what", what));
    client_end(client, fault);
}

void client_fail_by_session(struct client *client)
{
    ssh_session session = client->pump.session;
    enum fault_phase phase = client_phase(client);
    const char *said = ssh_get_error(session);
    bool forgot = pump_end(&client->pump) == PUMP_END_PROTOCOL && strncmp(said, "Socket error", 12) == 0;
    if (said[0] == '\0' || forgot) {
        /* libssh wrote to the socket that it had just closed, and forgot why. */
        said = phase == PHASE_KEX ? "it failed, probably for lack of a common algorithm" : "the connection ended";
    }
    char text[FAULT_EXAMPLE_MAX];
    int status = streams_exit_status(client->streams, client_channels(client));
    const struct load_options *o = &client->shared->settings->options;
    const struct disagreement_ours ours = {o->kex, o->host_key_algorithms, o->ciphers, o->macs, o->compression};
    if (disagreement_explain(said, text, sizeof text) ||
        (phase == PHASE_KEX && forgot && disagreement_find(&client->offer, &ours, text, sizeof text))) {
        said = text;
    } else if (status >= 0) {
        (void)snprintf(text, sizeof text, "%s (the channel's exit status was %d)", said, status);
        said = text;
    }
    client_fail(client,
                fault_from_session(phase, said, ssh_get_serverbanner(session) != NULL, client->pump.wire.in_bytes > 0),
                said);
}

/* Says its disconnect if anybody listens, and frees session, pump and fd. */
static void drop_session(struct client *client)
{
    struct pump *pump = &client->pump;
    if (!pump->open) {
        return;
    }
    /* On the plain path libssh closes an fd that it was given in ssh_free, but not once it has disconnected. */
    int left_open = -1;
    if (pump_is_alive(pump) && pump_enter(pump)) {
        left_open = pump->batched ? -1 : client->pump.fd;
        ssh_disconnect(pump->session);
        pump_leave(pump);
    }
    pump_close(pump);
    if (left_open >= 0) {
        (void)close(left_open);
    }
}

void client_release(struct client *client, enum fault fault)
{
    ev_io_stop(client->shared->loop, &client->connecting);
    drop_session(client);
    kexinit_end(&client->offer);
    if (client->fd >= 0) {
        (void)close(client->fd);
        client->fd = -1;
    }
    struct tally *tally = client->shared->tally;
    if (client->was_up) {
        tally_live_add(&tally->live.sessions_up, UINT64_MAX); /* -1 */
        if (fault != FAULT_NONE) {
            tally->sessions_lost++;
        }
    }
}

void client_reap(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
    (void)loop;
    (void)revents;
    struct client_shared *shared = prepare->data;
    struct client *list = shared->reap;
    shared->reap = NULL; /* who ends meanwhile waits for the next turn of the loop */
    while (list != NULL) {
        struct client *client = list;
        list = client->reap_next;
        const uint64_t channels = shared->settings->options.channels;
        client_release(client, client->fault);
        for (uint64_t i = 0; i < channels; i++) {
            stream_detach(&client->streams[i], client->fault, client->keep_unsent);
        }
        client->state = CLIENT_IDLE;
        shared->events->ended(client, client->fault, shared->events_data);
    }
}
