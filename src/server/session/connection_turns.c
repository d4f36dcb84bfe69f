/* Inside the room of connection.h: what a connection does before, in and after a turn of its pump. */
#include "server/session/connection_internal.h"

#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "server/session/agreement.h"

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

static void wait_for_quiet(struct connection *c)
{
    struct pump *pump = &c->pump;
    bool came = pump_wire_in(pump) != c->turn_in_mark;
    int64_t again_us = quiet_rekey_turned(&c->quiet_rekey, &c->rekey, pump->session, pump_keyed_bytes_in(pump),
                                          pump_keyed_bytes_out(pump), came, mono_now());
    if (c->quiet_rekey.hushed) {
        channels_hush(&c->channels);
    }
    if (again_us > 0) {
        disturb_wake_after(&c->disturb, again_us);
    }
}

/* libssh keeps one request: the first call after its reply only takes that, so it may take two to send the next. */
static void ask_whether_alive(struct connection *c)
{
    int64_t interval_us = (int64_t)c->set->config->client_alive_interval_us;
    mono_time now = mono_now();
    if (c->asked_alive_at.ns == 0) {
        c->asked_alive_at = now;
    }
    int64_t left_us = interval_us - mono_us_between(c->asked_alive_at, now);
    if (left_us <= 0) {
        uint64_t packets = pump_packets_out(&c->pump);
        for (int calls = 0; calls < 2 && pump_packets_out(&c->pump) == packets; calls++) {
            (void)ssh_send_keepalive(c->pump.session);
        }
        c->asked_alive_at = now;
        left_us = interval_us;
    }
    disturb_wake_after(&c->disturb, left_us);
}

/* Test bench: what is due now. */
static void answer_postponed(struct connection *c, struct postponed *postponed)
{
    int64_t next_us = postponed->first != NULL ? postponed_answer(postponed, mono_now()) : 0;
    if (next_us > 0) {
        disturb_wake_after(&c->disturb, next_us);
    }
}

static bool on_turned(struct pump *pump, void *data)
{
    struct connection *c = data;
    if (c->phase == PHASE_CLOSING || !pump_is_alive(pump)) {
        return false; /* on_dead tells why */
    }
    if (ssh_get_error_code(c->pump.session) == SSH_FATAL && !answers_settled(&c->answers)) {
        /* e.g. a message for a channel that does not exist: libssh notes it and goes on */
        /* libssh 0.11 looks after the window that it has granted; 0.10 leaves that to echo.h. */
        bool overrun = strcmp(ssh_get_error(c->pump.session), "Window exceeded") == 0;
        connection_close(c, overrun ? REASON_WINDOW_OVERRUN : REASON_PROTOCOL);
        return false;
    }
    login_after_turn(&c->login);
    if (c->set->config->client_alive_interval_us != 0 && c->phase == PHASE_OPEN && !c->deadline.rekeying) {
        ask_whether_alive(c);
    }
    answer_postponed(c, &c->late_opens);
    answer_postponed(c, &c->late_replies);
    if (c->phase == PHASE_CLOSING || !pump_is_alive(pump)) {
        return false;
    }
    bool had_channels = c->channels.first != NULL;
    if (disturb_woken(&c->disturb)) {
        channels_wake(&c->channels);
    }
    bool held_back = channels_drain(&c->channels);
    if (had_channels && c->channels.first == NULL && c->set->draining) {
        connection_close(c, REASON_DRAIN);
        return false;
    }
    if (c->quiet_rekey.adopted && c->phase == PHASE_OPEN) {
        wait_for_quiet(c);
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
    if (agreement_is_talkative(&c->kexinit)) {
        quiet_rekey_adopt(&c->quiet_rekey, pump->session, c->set->config);
    }
    if (agreement_is_hasty(&c->kexinit)) {
        pump_hold_newkeys(pump);
    }
    kexinit_end(&c->kexinit);
    pump_read_along(pump, false);
    return allowed;
}

const struct pump_owner connection_pump_owner = {
    .arrived = on_arrived, .turning = on_turning, .turned = on_turned, .settled = on_settled, .dead = on_dead};
