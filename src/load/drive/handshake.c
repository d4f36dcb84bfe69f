#include "load/drive/handshake.h"

#include <stdio.h>
#include <string.h>

/* How far a channel has come; client->steps. */
enum { STEP_OPEN, STEP_PTY, STEP_REQUEST, STEP_GREETING, STEP_READY };

/* ---- before the connection ---- */

int handshake_set_options(struct client *client, ssh_session session)
{
    static const char no_file[] = "/dev/null/none"; /* cannot exist, and costs one failing open */
    const struct settings *settings = client->shared->settings;
    const struct load_options *o = &settings->options;
    const struct target *target = &settings->targets[client->target];
    const int no = 0;
    unsigned port = net_port(&target->address);
    uint32_t rekey_s = (uint32_t)(o->rekey_interval_us / (uint64_t)US_PER_S);
    int rc = ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no);
    rc |= ssh_options_set(session, SSH_OPTIONS_SSH_DIR, settings->ssh_directory);
    rc |= ssh_options_set(session, SSH_OPTIONS_HOST, target->host);
    rc |= ssh_options_set(session, SSH_OPTIONS_PORT, &port);
    rc |= ssh_options_set(session, SSH_OPTIONS_USER, target->user);
    rc |= ssh_options_set(session, SSH_OPTIONS_FD, &client->fd);
    rc |= ssh_options_set(session, SSH_OPTIONS_COMPRESSION, o->compression);
    if (target->insecure || o->host_key != NULL) {
        /* Else libssh reads both files for every connection, to order its host key algorithms. */
        rc |= ssh_options_set(session, SSH_OPTIONS_KNOWNHOSTS, no_file);
        rc |= ssh_options_set(session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, no_file);
    } else if (o->known_hosts != NULL) {
        rc |= ssh_options_set(session, SSH_OPTIONS_KNOWNHOSTS, o->known_hosts);
        rc |= ssh_options_set(session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, no_file);
    }
    if (o->ciphers != NULL) {
        rc |= ssh_options_set(session, SSH_OPTIONS_CIPHERS_C_S, o->ciphers);
        rc |= ssh_options_set(session, SSH_OPTIONS_CIPHERS_S_C, o->ciphers);
    }
    if (o->macs != NULL) {
        rc |= ssh_options_set(session, SSH_OPTIONS_HMAC_C_S, o->macs);
        rc |= ssh_options_set(session, SSH_OPTIONS_HMAC_S_C, o->macs);
    }
    if (o->kex != NULL) {
        rc |= ssh_options_set(session, SSH_OPTIONS_KEY_EXCHANGE, o->kex);
    }
    if (o->host_key_algorithms != NULL) {
        rc |= ssh_options_set(session, SSH_OPTIONS_HOSTKEYS, o->host_key_algorithms);
    }
    if (o->rekey_bytes > 0) {
        rc |= ssh_options_set(session, SSH_OPTIONS_REKEY_DATA, &o->rekey_bytes);
    }
    if (rekey_s > 0) {
        rc |= ssh_options_set(session, SSH_OPTIONS_REKEY_TIME, &rekey_s);
    }
    return rc == SSH_OK ? 0 : -1;
}

/* ---- phases ---- */

void handshake_finish_phase(struct client *client, enum tally_phase phase, int64_t now_ns)
{
    histogram_record(
        tally_histogram(client->shared->tally, (enum tally_histogram)((int)HISTOGRAM_HANDSHAKE_PARTS + (int)phase)),
        (now_ns - client->phase_ns) / NS_PER_US);
    client->phase_ns = now_ns;
}

static void copy_text(char *out, size_t size, const char *text)
{
    (void)snprintf(out, size, "%s", text == NULL ? "" : text);
}

static void note_negotiated(struct tally_negotiated *n, ssh_session session)
{
    if (n->banner[0] != '\0') {
        return;
    }
    copy_text(n->banner, sizeof n->banner, ssh_get_serverbanner(session));
    copy_text(n->kex, sizeof n->kex, ssh_get_kex_algo(session));
    copy_text(n->cipher_out, sizeof n->cipher_out, ssh_get_cipher_out(session));
    copy_text(n->cipher_in, sizeof n->cipher_in, ssh_get_cipher_in(session));
    copy_text(n->mac_out, sizeof n->mac_out, ssh_get_hmac_out(session));
    copy_text(n->mac_in, sizeof n->mac_in, ssh_get_hmac_in(session));
    ssh_key key = NULL;
    if (ssh_get_server_publickey(session, &key) == SSH_OK) {
        copy_text(n->host_key, sizeof n->host_key, ssh_key_type_to_char(ssh_key_type(key)));
        ssh_key_free(key);
    }
}

static bool key_exchanged(struct client *client)
{
    int rc = ssh_connect(client->pump.session);
    if (rc == SSH_AGAIN) {
        return false;
    }
    if (rc != SSH_OK) {
        client_fail_by_session(client);
        return false;
    }
    handshake_finish_phase(client, TALLY_BANNER_KEX, mono_now().ns);
    char error[FAULT_EXAMPLE_MAX];
    if (!login_check_host_key(&client->shared->login, client->target, client->pump.session, error, sizeof error)) {
        client_fail(client, FAULT_HOST_KEY, error);
        return false;
    }
    note_negotiated(&client->shared->tally->negotiated, client->pump.session);
    client->login = (struct login_state){0};
    client->state = CLIENT_AUTH;
    return true;
}

static bool logged_in(struct client *client)
{
    int rc = login_step(&client->shared->login, &client->login, client->pump.session);
    if (rc == SSH_AUTH_AGAIN) {
        return false;
    }
    if (rc == SSH_AUTH_DENIED) {
        client_fail(client, FAULT_AUTHENTICATION, ssh_get_error(client->pump.session));
        return false;
    }
    if (rc != SSH_AUTH_SUCCESS) {
        client_fail_by_session(client);
        return false;
    }
    handshake_finish_phase(client, TALLY_AUTH, mono_now().ns);
    client->first_unready = 0;
    memset(client->steps, STEP_OPEN, client->shared->settings->options.channels);
    client->state = CLIENT_CHANNELS;
    return true;
}

static int request(const struct settings *settings, ssh_channel handle)
{
    switch (settings->request) {
    case REQUEST_SHELL:
        return ssh_channel_request_shell(handle);
    case REQUEST_EXEC:
        return ssh_channel_request_exec(handle, settings->request_text);
    case REQUEST_SUBSYSTEM:
        return ssh_channel_request_subsystem(handle, settings->request_text);
    }
    return SSH_ERROR;
}

static bool one_way(const struct settings *settings)
{
    return settings->options.mode == MODE_STREAM && settings->options.direction != DIRECTION_BOTH;
}

static void channel_failed(struct client *client, bool opening)
{
    ssh_session session = client->pump.session;
    const char *said = ssh_get_error(session);
    enum fault fault = opening ? FAULT_CHANNEL : FAULT_REQUEST;
    if (!pump_is_alive(&client->pump) || strstr(said, "SSH_MSG_DISCONNECT") != NULL) {
        client_fail_by_session(client);
    } else {
        client_fail(client, fault, said);
    }
}

/* One channel towards its request granted. False when it waits for the peer, or has failed. */
static bool prepare_channel(struct client *client, uint64_t index)
{
    const struct settings *settings = client->shared->settings;
    struct stream *stream = &client->streams[index];
    unsigned char *step = &client->steps[index];
    if (*step == STEP_OPEN) {
        if (stream->handle == NULL) {
            ssh_channel handle = ssh_channel_new(client->pump.session);
            if (handle == NULL || stream_attach(stream, &client->pump, handle, client->generation) != 0) {
                client_fail(client, FAULT_INTERNAL, "no memory for a channel");
                return false;
            }
        }
        int rc = ssh_channel_open_session(stream->handle);
        if (rc != SSH_OK) {
            if (rc != SSH_AGAIN) {
                channel_failed(client, true);
            }
            return false;
        }
        *step = settings->options.pty ? STEP_PTY : STEP_REQUEST;
    }
    if (*step == STEP_PTY) {
        int rc = ssh_channel_request_pty(stream->handle);
        if (rc != SSH_OK) {
            if (rc != SSH_AGAIN) {
                channel_failed(client, false);
            }
            return false;
        }
        *step = STEP_REQUEST;
    }
    if (*step == STEP_REQUEST) {
        int rc = request(settings, stream->handle);
        if (rc != SSH_OK) {
            if (rc != SSH_AGAIN) {
                channel_failed(client, false);
            }
            return false;
        }
        *step = STEP_GREETING;
    }
    return true;
}

static bool channels_stand(struct client *client)
{
    const uint64_t count = client->shared->settings->options.channels;
    bool all = true;
    for (uint64_t i = client->first_unready; i < count && client->state == CLIENT_CHANNELS; i++) {
        if (client->steps[i] < STEP_GREETING && !prepare_channel(client, i)) {
            all = false;
        } else if (all) {
            client->first_unready = (uint32_t)i + 1;
        }
    }
    if (!all || client->state != CLIENT_CHANNELS) {
        return false;
    }
    handshake_finish_phase(client, TALLY_CHANNEL, mono_now().ns);
    client->first_unready = 0;
    client->state = CLIENT_FIRST_ECHO;
    return true;
}

bool handshake_to_channels(struct client *client)
{
    if (client->state == CLIENT_KEX && !key_exchanged(client)) {
        return false;
    }
    if (client->state == CLIENT_AUTH && !logged_in(client)) {
        return false;
    }
    return client->state == CLIENT_CHANNELS && channels_stand(client);
}

static void come_up(struct client *client, int64_t now_ns)
{
    struct tally *tally = client->shared->tally;
    histogram_record(tally_histogram(tally, HISTOGRAM_HANDSHAKE), (now_ns - client->started_ns) / NS_PER_US);
    tally->connects_up++;
    if (client->shared->streams.measure_from_ns == INT64_MAX) {
        tally->connects_in_ramp++;
    }
    if (now_ns >= client->shared->streams.measure_from_ns && now_ns < client->shared->streams.measure_to_ns) {
        tally->connects_in_measure++;
    }
    struct tally_second *second =
        tally_second_at(tally, (now_ns - client->shared->streams.measure_from_ns) / NS_PER_US);
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

/* The greeting goes ahead of messages that are due already: it is queued on a stream that has nothing else, or, after
 * a reconnect, simply counts as the first message to wait for. */
bool handshake_first_echo(struct client *client)
{
    const struct settings *settings = client->shared->settings;
    const uint64_t count = settings->options.channels;
    bool all = true;
    for (uint64_t i = 0; i < count; i++) {
        struct stream *stream = &client->streams[i];
        if (one_way(settings)) {
            client->steps[i] = STEP_READY;
            continue;
        }
        if (client->steps[i] == STEP_GREETING) {
            client->steps[i] = STEP_READY;
            if (stream_waiting(stream) == 0 && !stream_queue(stream, mono_now().ns, false, true)) {
                client_fail(client, FAULT_INTERNAL, "no memory for a message");
                return false;
            }
        }
        (void)stream_send(stream);
        all = all && (stream->greeted || stream->completed > 0);
    }
    if (!all) {
        return false;
    }
    int64_t now_ns = mono_now().ns;
    if (!one_way(settings)) {
        handshake_finish_phase(client, TALLY_FIRST_ECHO, now_ns);
    }
    come_up(client, now_ns);
    return true;
}
