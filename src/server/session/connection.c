#include "server/session/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/identity/algorithms.h"
#include "server/login/answers.h"
#include "server/login/login.h"
#include "server/session/agreement.h"
#include "server/session/farewell.h"
#include "server/session/reporting.h"
#include "sshecho/log.h"

/* The one setter. Returns false, and changes nothing, for a transition that cannot be. */
static bool set_phase(struct connection *c, enum phase phase)
{
    if (!phase_may_follow(c->phase, phase)) {
        return false;
    }
    log_line(LOG_TRACE, "phase", log_u64("conn", c->id), log_str("from", phase_name(c->phase)),
             log_str("to", phase_name(phase)));
    bool was_outside = c->phase < PHASE_OPEN;
    c->phase = phase;
    if (was_outside && phase >= PHASE_OPEN) {
        counters_sub(&c->set->counters->unauthenticated, 1);
    }
    if (phase != PHASE_CLOSING) {
        deadline_phase(&c->deadline, phase, mono_now());
    } else {
        deadline_end(&c->deadline);
    }
    return true;
}

void connection_close(struct connection *c, enum close_reason reason)
{
    if (c->phase == PHASE_CLOSING) {
        return;
    }
    c->reason = reason;
    c->phase_before_close = c->phase;
    (void)set_phase(c, PHASE_CLOSING);
    pump_retire(&c->pump); /* it may have to wait for its turn with the reaper */
    c->next_doomed = NULL;
    if (c->set->last_doomed != NULL) {
        c->set->last_doomed->next_doomed = c;
    } else {
        c->set->first_doomed = c;
    }
    c->set->last_doomed = c;
}

static void on_close_wanted(void *data, enum close_reason reason)
{
    connection_close(data, reason);
}

/* ---- what libssh tells ------------------------------------------------------------------------------------------- */

/* libssh's progress bar tells the phases of each key exchange: 0.5 version line read, 0.6 peer's KEXINIT, 1.0 new keys
 * in use. */
static void on_status(void *user, float status)
{
    struct connection *c = user;
    record_progress(&c->record, status);
    if (status >= 0.45F && c->phase == PHASE_BANNER) {
        (void)set_phase(c, PHASE_KEX);
    }
    if (c->phase == PHASE_OPEN && status < 0.95F && !c->deadline.rekeying) {
        deadline_rekeying(&c->deadline, true, mono_now());
        record_rekey_begins(&c->record, mono_now());
    }
    if (status < 0.95F) {
        return;
    }
    uint64_t bytes_in = pump_keyed_bytes_in(&c->pump), bytes_out = pump_keyed_bytes_out(&c->pump);
    if (c->phase == PHASE_KEX) {
        rekey_first_keys(&c->rekey, bytes_in, bytes_out, mono_now());
        c->kex_us = mono_us_between(c->accepted_at, mono_now());
        c->record.keys_at = mono_now();
        counters_add(&c->set->counters->handshakes, 1);
        counters_observe(&c->set->counters->handshake, counters_handshake_bounds_us, (uint64_t)c->kex_us);
        (void)set_phase(c, PHASE_LOGIN);
    } else if (c->phase == PHASE_OPEN) {
        deadline_rekeying(&c->deadline, false, mono_now());
        channels_rekeyed(&c->channels);
        disturb_after_rekey(&c->disturb);
        counters_add(&c->set->counters->rekeys, 1);
        uint64_t in = bytes_in - c->rekey.bytes_in_mark, out = bytes_out - c->rekey.bytes_out_mark;
        if (!rekey_done(&c->rekey, bytes_in, bytes_out, mono_now())) {
            connection_close(c, REASON_RATE);
        }
        record_rekey_done(&c->record, c->rekey.ours, in, out, mono_now());
    }
}

static ssh_channel on_channel_open(ssh_session session, void *user)
{
    struct connection *c = user;
    struct counters *counters = c->set->counters;
    c->heard = true;
    if (c->phase != PHASE_OPEN || c->channels.open_count >= c->set->config->channels_per_connection) {
        counters_add(&counters->channels_refused, 1);
        return NULL;
    }
    if (!token_bucket_take(&c->opens, mono_now())) {
        counters_add(&counters->channels_refused, 1);
        connection_close(c, REASON_RATE);
        return NULL;
    }
    struct channel *channel = channel_create(&c->channels, session);
    if (channel == NULL) {
        counters_add(&counters->channels_refused, 1);
        return NULL;
    }
    return channel->ssh;
}

static void on_reset_wanted(void *data)
{
    struct connection *c = data;
    disturb_reset(&c->disturb);
    c->no_farewell = true;
    connection_close(c, REASON_TEST_BENCH);
}

static void on_rekey_wanted(void *data, uint64_t bytes)
{
    struct connection *c = data;
    disturb_rekey_every(&c->disturb, bytes);
    rekey_every(&c->rekey, bytes);
}

static void on_wake_wanted(void *data, int64_t us)
{
    struct connection *c = data;
    disturb_wake_after(&c->disturb, us);
}

/* What its end, or a report, tells of a connection. */
static struct farewell facts_of(struct connection *c)
{
    return (struct farewell){.session = c->pump.session,
                             .id = c->id,
                             .peer = &c->peer,
                             .reason = c->reason,
                             .phase = c->phase == PHASE_CLOSING ? c->phase_before_close : c->phase,
                             .accepted_at = c->accepted_at,
                             .kex_us = c->kex_us,
                             .login_us = c->login_us,
                             .totals = &c->channels.host.totals,
                             .rekeys = c->rekey.count,
                             .user = c->user,
                             .method = c->method,
                             .client_version = c->client_version,
                             .disagreement = c->disagreement};
}

static struct reporting about(struct connection *c)
{
    return (struct reporting){.record = &c->record,
                              .pump = &c->pump,
                              .rekey = &c->rekey,
                              .host_keys = c->set->host_keys,
                              .compression = c->set->config->compression,
                              .over = c->phase == PHASE_CLOSING,
                              .left = c->left};
}

static char *on_report_wanted(void *data, bool for_people, bool terminal)
{
    struct connection *c = data;
    struct farewell facts = facts_of(c);
    struct reporting reporting = about(c);
    c->record.wanted = true;
    return for_people ? reporting_text(&facts, &reporting, terminal) : reporting_json(&facts, &reporting);
}

static bool on_request_allowed(void *data)
{
    struct connection *c = data;
    c->heard = true;
    if (token_bucket_take(&c->requests, mono_now())) {
        return true;
    }
    connection_close(c, REASON_RATE);
    return false;
}

void connection_logged_in(struct connection *c, const char *method, const char *user)
{
    static bool warned;
    if (!set_phase(c, PHASE_OPEN)) {
        return;
    }
    if (!answers_reached() && !warned) { /* the request for the service has come and gone */
        warned = true;
        log_line(LOG_WARN, "unreadable_unseen",
                 log_str("why", "this libssh cannot be watched: a request that it cannot use gets no answer"));
    }
    pump_is_known(&c->pump);
    c->login_us = mono_us_between(c->accepted_at, mono_now());
    c->method = method;
    c->user = strdup(user != NULL ? user : "");
    c->client_version =
        strdup(ssh_get_clientbanner(c->pump.session) != NULL ? ssh_get_clientbanner(c->pump.session) : "");
    counters_add(&c->set->counters->logins, 1);
    ssh_session session = c->pump.session;
    log_line(LOG_DEBUG, "login", log_u64("conn", c->id), log_str("user", user), log_str("method", method),
             log_str("client", c->client_version), log_str("kex", ssh_get_kex_algo(session)),
             log_str("cipher_in", ssh_get_cipher_in(session)), log_str("cipher_out", ssh_get_cipher_out(session)),
             log_str("mac_in", ssh_get_hmac_in(session)), log_str("mac_out", ssh_get_hmac_out(session)));
}

/* ---- what the pump tells ----------------------------------------------------------------------------------------- */

static void report_memory(struct connection *c)
{
    uint64_t held = c->channels.first_queued != NULL ? channels_held_bytes(&c->channels) : 0;
    uint64_t pending = pump_pending_bytes(&c->pump);
    if (held != c->held_reported) {
        counters_add(&c->set->counters->held_bytes, held - c->held_reported);
        c->held_reported = held;
    }
    if (pending != c->pending_reported) {
        counters_add(&c->set->counters->pending_bytes, pending - c->pending_reported);
        c->pending_reported = pending;
    }
}

static bool on_turned(struct pump *pump, void *data)
{
    struct connection *c = data;
    if (c->phase == PHASE_CLOSING || !pump_is_alive(pump)) {
        return false; /* on_dead tells why */
    }
    if (ssh_get_error_code(c->pump.session) == SSH_FATAL && !answers_settled(c)) {
        /* e.g. a message for a channel that does not exist: libssh notes it and goes on */
        /* libssh 0.11 looks after the window that it has granted; 0.10 leaves that to echo.h. */
        bool overrun = strcmp(ssh_get_error(c->pump.session), "Window exceeded") == 0;
        connection_close(c, overrun ? REASON_WINDOW_OVERRUN : REASON_PROTOCOL);
        return false;
    }
    login_after_turn(c);
    bool had_channels = c->channels.first != NULL;
    if (disturb_woken(&c->disturb)) {
        channels_wake(&c->channels);
    }
    bool held_back = channels_drain(&c->channels);
    if (had_channels && c->channels.first == NULL && c->set->draining) {
        connection_close(c, REASON_DRAIN);
        return false;
    }
    if (c->set->config->session_bytes != 0 && pump_wire_in(&c->pump) > c->set->config->session_bytes) {
        connection_close(c, REASON_SESSION_BYTES);
        return false;
    }
    return held_back;
}

/* Whether something of ours waits for the client to take it (or to close what we have closed). */
static bool something_waits(struct connection *c)
{
    return channels_wait(&c->channels) || pump_pending_bytes(&c->pump) > 0;
}

/* Many clients leave Nagle's algorithm on: what they send in pieces (a handshake's messages, a packet in two segments)
 * waits for the acknowledgement of the piece before, which Linux holds back for 40 ms in the hope of an answer that
 * could carry it. Where none has come out of this turn it is sent now. The kernel forgets this wish, so it is told
 * again. */
static void acknowledge(struct connection *c)
{
    bool came = pump_wire_in(&c->pump) != c->turn_in_mark;
    bool answered = pump_wire_out(&c->pump) != c->turn_out_mark;
    if (came && (!answered || c->phase < PHASE_OPEN || c->deadline.rekeying)) {
        int on = 1;
        (void)setsockopt(c->pump.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
    }
}

/* What could be sent has been sent: only now is what waits known. */
static void on_settled(struct pump *pump, void *data)
{
    struct connection *c = data;
    acknowledge(c);
    if (c->phase == PHASE_OPEN) {
        record_turned(&c->record, pump_wire_in(pump), pump->payload.in_packets, c->turn_in_mark);
    }
    if (c->phase != PHASE_CLOSING) {
        report_memory(c);
        deadline_turned(&c->deadline, pump_wire_in(pump), pump_wire_out(pump), something_waits(c));
    }
}

static void on_dead(struct pump *pump, void *data)
{
    struct connection *c = data;
    static const enum close_reason reasons[] = {[PUMP_END_DISCONNECT] = REASON_CLIENT,
                                                [PUMP_END_EOF] = REASON_CLIENT,
                                                [PUMP_END_SOCKET] = REASON_RESET,
                                                [PUMP_END_PROTOCOL] = REASON_PROTOCOL};
    enum close_reason reason = reasons[pump_end(pump)];
    /* A disconnect that crosses our own re-key: libssh closes, tries to write all the same and forgets the message. */
    if (reason == REASON_PROTOCOL && c->channels.host.totals.opened > 0 && channels_all_closed(&c->channels) &&
        strncmp(ssh_get_error(pump->session), "Socket error", 12) == 0) {
        reason = REASON_CLIENT;
    }
    c->left = c->phase != PHASE_CLOSING && reason != REASON_PROTOCOL;
    connection_close(c, reason);
}

/* Should libssh crash or spin from here on, the master reads whom it was serving. */
static void on_turning(struct pump *pump, void *data)
{
    struct connection *c = data;
    c->turn_in_mark = pump_wire_in(pump);
    c->turn_out_mark = pump_wire_out(pump);
    counters_set(&c->set->counters->last_source, c->source);
}

/* The client's lists, before libssh closes over them without a word. It is still given the version line, so that our
 * lists go out and the client can judge for itself. */
static size_t on_arrived(struct pump *pump, void *data, const uint8_t *bytes, size_t size)
{
    struct connection *c = data;
    char text[AGREEMENT_TEXT_MAX];
    size_t before = c->kexinit.size;
    size_t allowed = size;
    enum kexinit_state state = kexinit_feed(&c->kexinit, bytes, size);
    if (state == KEXINIT_MORE) {
        return size;
    }
    record_arrived(&c->record, &c->kexinit);
    if (state == KEXINIT_COMPLETE &&
        !agreement_possible(&c->kexinit, c->set->config, c->set->host_keys, text, sizeof text)) {
        c->disagreement = strdup(text);
        allowed = c->kexinit.line_bytes > before ? c->kexinit.line_bytes - before : 0;
        connection_close(c, REASON_PROTOCOL);
    }
    if (agreement_is_hasty(&c->kexinit)) {
        pump_hold_newkeys(pump);
    }
    kexinit_end(&c->kexinit);
    pump_read_along(pump, false);
    return allowed;
}

static const struct pump_owner pump_owner = {
    .arrived = on_arrived, .turning = on_turning, .turned = on_turned, .settled = on_settled, .dead = on_dead};

/* ---- creation -------------------------------------------------------------------------------------------------------
 */

static void set_socket_options(int fd, const struct config *config)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (config->keepalive_interval_us == 0) {
        return;
    }
    int seconds = (int)((config->keepalive_interval_us + 999999) / 1000000);
    int probes = 3;
    unsigned timeout_ms = (unsigned)seconds * 1000U;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

static void set_callbacks(struct connection *c, ssh_session session)
{
    login_set_callbacks(c, session);
    c->server_callbacks.channel_open_request_session_function = on_channel_open;
    ssh_callbacks_init(&c->server_callbacks);
    (void)ssh_set_server_callbacks(session, &c->server_callbacks);
    c->session_callbacks.userdata = c;
    c->session_callbacks.connect_status_function = on_status;
    ssh_callbacks_init(&c->session_callbacks);
    (void)ssh_set_callbacks(session, &c->session_callbacks);
}

/* Everything is in the struct and linked: whatever happens from here on, the reaper knows how to undo it. */
static void begin_session(struct connection *c, ssh_session session)
{
    const struct config *config = c->set->config;
    set_callbacks(c, session);
    channels_begin(&c->channels, &(struct channel_host){.pump = &c->pump,
                                                        .config = config,
                                                        .counters = c->set->counters,
                                                        .record = &c->record,
                                                        .turn_at = &c->set->turn_at,
                                                        .connection_id = c->id,
                                                        .close = on_close_wanted,
                                                        .request_allowed = on_request_allowed,
                                                        .report = on_report_wanted,
                                                        .reset = on_reset_wanted,
                                                        .rekey_every = on_rekey_wanted,
                                                        .wake_after = on_wake_wanted,
                                                        .data = c});
    token_bucket_init(&c->opens, config->channel_open_rate, 1);
    token_bucket_init(&c->requests, config->request_rate, 1);
    rekey_init(&c->rekey, config, c->accepted_at);
    (void)pump_enter(&c->pump);
    int rc = ssh_handle_key_exchange(session);
    if (rc != SSH_ERROR) {
        rc = pump_start(&c->pump);
        pump_read_along(&c->pump, true);
    }
    pump_leave(&c->pump);
    if (rc == SSH_ERROR || rc == -1) {
        /* What came with the first segment (only the plain path reads that early) may be wrong already. Like any other
         * end of a connection it waits for the reaper. */
        connection_close(c, REASON_PROTOCOL);
    }
}

static void link_connection(struct connection *c)
{
    struct connection_set *set = c->set;
    c->next = set->first;
    if (set->first != NULL) {
        set->first->previous = c;
    }
    set->first = c;
    counters_add(&set->counters->connections, 1);
    counters_add(&set->counters->unauthenticated, 1);
    counters_add(&set->counters->accepted, 1);
    c->source_counted = scoreboard_source_add(set->board, set->slot, c->source);
}

struct connection *connection_create(struct connection_set *set, int fd, const struct net_address *peer)
{
    struct connection *c = calloc(1, sizeof *c);
    ssh_session session = ssh_new();
    if (c == NULL || session == NULL || algorithms_tell_session(session, set->config) != 0) {
        goto bad;
    }
    set_socket_options(fd, set->config);
    crypto_enter(NULL);
    int accepted = ssh_bind_accept_fd(set->bind, session, fd);
    crypto_leave();
    if (accepted != SSH_OK) {
        goto bad;
    }
    ssh_set_blocking(session, 0);
    ssh_set_auth_methods(session, auth_libssh_methods(set->config->auth_mask));
    c->set = set;
    c->id = atomic_fetch_add_explicit(&set->board->next_connection, 1, memory_order_relaxed) + 1;
    c->peer = *peer;
    c->source = net_source_key(peer);
    c->accepted_at = mono_now();
    record_begin(&c->record, c->accepted_at, report_file_is_open(&set->reports));
    c->kex_us = c->login_us = -1;
    counters_set(&set->counters->last_source, c->source);
    if (pump_open(&c->pump, set->loop, session, fd, &pump_owner, c) != 0) {
        goto bad;
    }
    pump_share(&c->pump, &set->turns);
    char text[NET_ADDRESS_TEXT_MAX];
    log_line(LOG_INFO, "accept", log_u64("conn", c->id), log_str("peer", net_print(peer, text, sizeof text)));
    deadline_begin(&c->deadline, set->loop, set->config, c->accepted_at, on_close_wanted, c);
    disturb_init(&c->disturb, &c->pump, set->config->rekey_interval_us);
    link_connection(c);
    begin_session(c, session);
    return c;
bad:
    ssh_free(session); /* closes the fd if it took it; ssh_get_fd would crash where it has no socket for it */
    if (fcntl(fd, F_GETFD) >= 0) {
        (void)close(fd);
    }
    free(c);
    return NULL;
}

/* ---- destruction
 * ------------------------------------------------------------------------------------------------------- */

void connection_destroy(struct connection *c)
{
    struct connection_set *set = c->set;
    deadline_end(&c->deadline);
    disturb_end(&c->disturb);
    counters_add(&set->counters->closed[c->reason], 1);
    counters_add(&set->counters->wire_bytes_in, pump_wire_in(&c->pump));
    counters_add(&set->counters->wire_bytes_out, pump_wire_out(&c->pump));
    counters_sub(&set->counters->held_bytes, c->held_reported);
    counters_sub(&set->counters->pending_bytes, c->pending_reported);
    struct farewell facts = facts_of(c);
    if (log_enabled(LOG_INFO)) {
        farewell_log(&facts);
    }
    if (report_file_is_open(&set->reports)) {
        struct reporting reporting = about(c);
        report_file_write(&set->reports, reporting_json(&facts, &reporting));
    }
    login_forget(c);
    channels_destroy_all(&c->channels);
    if (!c->no_farewell) {
        farewell_say(&c->pump, c->reason, c->disagreement);
    }
    pump_close(&c->pump);
    if (c->previous != NULL) {
        c->previous->next = c->next;
    } else {
        set->first = c->next;
    }
    if (c->next != NULL) {
        c->next->previous = c->previous;
    }
    counters_sub(&set->counters->connections, 1);
    if (c->source_counted) {
        scoreboard_source_remove(set->board, set->slot, c->source);
    }
    free(c->user);
    free(c->keyboard_user);
    free(c->client_version);
    free(c->disagreement);
    kexinit_end(&c->kexinit);
    record_end(&c->record);
    free(c);
}
