#include "load/connection/handshake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How far a channel has come; handshake->steps. */
enum { STEP_OPEN, STEP_PTY, STEP_REQUEST, STEP_GREETING, STEP_READY };

/* ---- before the connection ---- */

int handshake_init(struct handshake *handshake, uint64_t channels)
{
    *handshake = (struct handshake){.steps = calloc((size_t)channels, 1)};
    return handshake->steps == NULL ? -1 : 0;
}

void handshake_free(struct handshake *handshake)
{
    free(handshake->steps);
    handshake->steps = NULL;
}

void handshake_begin(struct handshake *handshake, uint32_t target, uint32_t user, uint32_t generation, int64_t now_ns)
{
    handshake->stage = HANDSHAKE_KEX;
    handshake->target = target;
    handshake->generation = generation;
    handshake->phase_ns = now_ns;
    handshake->login = (struct login_state){.user = user};
    handshake->first_unready = 0;
}

int handshake_set_options(const struct settings *settings, const struct handshake *handshake, int fd,
                          ssh_session session)
{
    static const char no_file[] = "/dev/null/none"; /* cannot exist, and costs one failing open */
    const struct load_options *o = &settings->options;
    const struct target *target = &settings->targets[handshake->target];
    const char *user = settings->user_count > 0 ? settings->users[handshake->login.user].name : target->user;
    const int no = 0;
    unsigned port = net_port(&target->address);
    uint32_t rekey_s = (uint32_t)(o->rekey_interval_us / (uint64_t)US_PER_S);
    int rc = ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no);
    rc |= ssh_options_set(session, SSH_OPTIONS_SSH_DIR, settings->ssh_directory);
    rc |= ssh_options_set(session, SSH_OPTIONS_HOST, target->host);
    rc |= ssh_options_set(session, SSH_OPTIONS_PORT, &port);
    rc |= ssh_options_set(session, SSH_OPTIONS_USER, user);
    rc |= ssh_options_set(session, SSH_OPTIONS_FD, &fd);
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

void handshake_finish_phase(struct handshake *handshake, struct tally *tally, enum tally_phase phase, int64_t now_ns)
{
    histogram_record(tally_histogram(tally, (enum tally_histogram)((int)HISTOGRAM_HANDSHAKE_PARTS + (int)phase)),
                     (now_ns - handshake->phase_ns) / NS_PER_US);
    handshake->phase_ns = now_ns;
}

static enum handshake_verdict fail(struct handshake_failure *failure, enum fault fault, const char *what)
{
    failure->fault = fault;
    (void)snprintf(failure->text, sizeof failure->text, "%s", what);
    return HANDSHAKE_FAILED;
}

static enum handshake_verdict fail_by_session(struct handshake_failure *failure)
{
    return fail(failure, FAULT_NONE, "");
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

static enum handshake_verdict exchange_keys(struct handshake *handshake, const struct handshake_shared *shared,
                                            ssh_session session, struct handshake_failure *failure)
{
    int rc = ssh_connect(session);
    if (rc != SSH_OK) {
        return rc == SSH_AGAIN ? HANDSHAKE_WAITS : fail_by_session(failure);
    }
    handshake_finish_phase(handshake, shared->tally, TALLY_BANNER_KEX, mono_now().ns);
    if (!login_check_host_key(shared->login, handshake->target, session, failure->text, sizeof failure->text)) {
        failure->fault = FAULT_HOST_KEY;
        return HANDSHAKE_FAILED;
    }
    note_negotiated(&shared->tally->negotiated, session);
    handshake->stage = HANDSHAKE_AUTH;
    return HANDSHAKE_GOES_ON;
}

static enum handshake_verdict log_in(struct handshake *handshake, const struct handshake_shared *shared,
                                     ssh_session session, struct handshake_failure *failure)
{
    int rc = login_step(shared->login, &handshake->login, session);
    if (rc == SSH_AUTH_AGAIN) {
        return HANDSHAKE_WAITS;
    }
    if (rc == SSH_AUTH_DENIED) {
        return fail(failure, FAULT_AUTHENTICATION, ssh_get_error(session));
    }
    if (rc != SSH_AUTH_SUCCESS) {
        return fail_by_session(failure);
    }
    handshake_finish_phase(handshake, shared->tally, TALLY_AUTH, mono_now().ns);
    memset(handshake->steps, STEP_OPEN, (size_t)shared->settings->options.channels);
    handshake->stage = HANDSHAKE_CHANNELS;
    return HANDSHAKE_GOES_ON;
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

/* What an answer of libssh to a channel's step means. */
static enum handshake_verdict judge(int rc, enum fault fault, const struct pump *pump,
                                    struct handshake_failure *failure)
{
    if (rc == SSH_OK) {
        return HANDSHAKE_GOES_ON;
    }
    if (rc == SSH_AGAIN) {
        return HANDSHAKE_WAITS;
    }
    const char *said = ssh_get_error(pump->session);
    if (!pump_is_alive(pump) || strstr(said, "SSH_MSG_DISCONNECT") != NULL) {
        return fail_by_session(failure);
    }
    (void)fail(failure, fault, said);
    if (fault == FAULT_REQUEST) { /* an SFTP server or an appliance has no shell, and another request may do */
        size_t length = strlen(failure->text);
        (void)snprintf(failure->text + length, sizeof failure->text - length, " (see --request)");
    }
    return HANDSHAKE_FAILED;
}

/* One channel towards its request granted. */
static enum handshake_verdict prepare_channel(struct handshake *handshake, const struct settings *settings,
                                              struct pump *pump, struct stream *stream, unsigned char *step,
                                              struct handshake_failure *failure)
{
    enum handshake_verdict verdict = HANDSHAKE_GOES_ON;
    if (*step == STEP_OPEN && stream->handle == NULL) {
        ssh_channel handle = ssh_channel_new(pump->session);
        stream->target = by_target_at(&stream->shared->tally->by_target, handshake->target);
        if (handle == NULL || stream_attach(stream, pump, handle, handshake->generation) != 0) {
            return fail(failure, FAULT_INTERNAL, "no memory for a channel");
        }
    }
    if (*step == STEP_OPEN) {
        verdict = judge(ssh_channel_open_session(stream->handle), FAULT_CHANNEL, pump, failure);
        if (verdict == HANDSHAKE_GOES_ON) {
            *step = settings->options.pty ? STEP_PTY : STEP_REQUEST;
        }
    }
    if (*step == STEP_PTY) {
        verdict = judge(ssh_channel_request_pty(stream->handle), FAULT_REQUEST, pump, failure);
        if (verdict == HANDSHAKE_GOES_ON) {
            *step = STEP_REQUEST;
        }
    }
    if (*step == STEP_REQUEST) {
        verdict = judge(request(settings, stream->handle), FAULT_REQUEST, pump, failure);
        if (verdict == HANDSHAKE_GOES_ON) {
            *step = STEP_GREETING;
        }
    }
    return verdict;
}

static enum handshake_verdict open_channels(struct handshake *handshake, const struct handshake_shared *shared,
                                            struct pump *pump, struct stream *streams,
                                            struct handshake_failure *failure)
{
    const uint64_t count = shared->settings->options.channels;
    bool all = true;
    for (uint64_t i = handshake->first_unready; i < count; i++) {
        enum handshake_verdict verdict = HANDSHAKE_GOES_ON;
        if (handshake->steps[i] < STEP_GREETING) {
            verdict = prepare_channel(handshake, shared->settings, pump, &streams[i], &handshake->steps[i], failure);
        }
        if (verdict == HANDSHAKE_FAILED) {
            return verdict;
        }
        all = all && verdict == HANDSHAKE_GOES_ON;
        if (all) {
            handshake->first_unready = (uint32_t)i + 1;
        }
    }
    if (!all) {
        return HANDSHAKE_WAITS;
    }
    handshake_finish_phase(handshake, shared->tally, TALLY_CHANNEL, mono_now().ns);
    handshake->first_unready = 0;
    handshake->stage = HANDSHAKE_FIRST_ECHO;
    return HANDSHAKE_GOES_ON;
}

enum handshake_verdict handshake_to_channels(struct handshake *handshake, const struct handshake_shared *shared,
                                             struct pump *pump, struct stream *streams,
                                             struct handshake_failure *failure)
{
    enum handshake_verdict verdict = HANDSHAKE_GOES_ON;
    if (handshake->stage == HANDSHAKE_KEX) {
        verdict = exchange_keys(handshake, shared, pump->session, failure);
    }
    if (verdict == HANDSHAKE_GOES_ON && handshake->stage == HANDSHAKE_AUTH) {
        verdict = log_in(handshake, shared, pump->session, failure);
    }
    if (verdict == HANDSHAKE_GOES_ON && handshake->stage == HANDSHAKE_CHANNELS) {
        verdict = open_channels(handshake, shared, pump, streams, failure);
    }
    return verdict;
}

static bool one_way(const struct settings *settings)
{
    return settings->options.mode == MODE_STREAM && settings->options.direction != DIRECTION_BOTH;
}

/* The greeting goes ahead of messages that are due already: it is queued on a stream that has nothing else, or, after
 * a reconnect, simply counts as the first message to wait for. */
enum handshake_verdict handshake_first_echo(struct handshake *handshake, const struct handshake_shared *shared,
                                            struct stream *streams, struct handshake_failure *failure)
{
    const uint64_t count = shared->settings->options.channels;
    const bool silent = one_way(shared->settings);
    bool all = true;
    for (uint64_t i = 0; i < count && !silent; i++) {
        struct stream *stream = &streams[i];
        if (handshake->steps[i] == STEP_GREETING) {
            handshake->steps[i] = STEP_READY;
            if (stream_waiting(stream) == 0 && !stream_queue(stream, mono_now().ns, false, true)) {
                return fail(failure, FAULT_INTERNAL, "no memory for a message");
            }
        }
        (void)stream_send(stream);
        all = all && (stream->greeted || stream->completed > 0);
    }
    if (!all) {
        return HANDSHAKE_WAITS;
    }
    if (!silent) {
        handshake_finish_phase(handshake, shared->tally, TALLY_FIRST_ECHO, mono_now().ns);
    }
    handshake->stage = HANDSHAKE_DONE;
    return HANDSHAKE_GOES_ON;
}
