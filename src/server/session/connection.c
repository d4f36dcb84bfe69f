#include "server/session/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/identity/algorithms.h"
#include "server/session/connection_internal.h"
#include "sshecho/log.h"

bool connection_set_phase(struct connection *c, enum phase phase)
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
    if (phase == PHASE_LOGIN) {
        login_open(&c->login);
    } else if (phase == PHASE_CLOSING) {
        login_over(&c->login);
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
    (void)connection_set_phase(c, PHASE_CLOSING);
    pump_retire(&c->pump); /* it may have to wait for its turn with the reaper */
    c->next_doomed = NULL;
    if (c->set->last_doomed != NULL) {
        c->set->last_doomed->next_doomed = c;
    } else {
        c->set->first_doomed = c;
    }
    c->set->last_doomed = c;
}

struct farewell connection_facts(struct connection *c)
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

struct reporting connection_reporting(struct connection *c)
{
    return (struct reporting){.record = &c->record,
                              .pump = &c->pump,
                              .rekey = &c->rekey,
                              .host_keys = c->set->host_keys,
                              .compression = c->set->config->compression,
                              .over = c->phase == PHASE_CLOSING,
                              .left = c->left};
}

/* ---- creation --------------------------------------------------------------------------------------------------- */

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

/* Everything is in the struct and linked: whatever happens from here on, the reaper knows how to undo it. */
static void begin_session(struct connection *c, ssh_session session)
{
    const struct config *config = c->set->config;
    connection_set_callbacks(c);
    token_bucket_init(&c->opens, config->channel_open_rate, 1);
    token_bucket_init(&c->requests, config->request_rate, 1);
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
    c->source_counted = source_counts_add(&set->board->sources[set->slot], c->source);
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
    c->set = set;
    c->id = atomic_fetch_add_explicit(&set->board->next_connection, 1, memory_order_relaxed) + 1;
    c->peer = *peer;
    c->source = net_source_key(peer);
    c->accepted_at = mono_now();
    record_begin(&c->record, c->accepted_at, report_file_is_open(&set->reports));
    c->kex_us = c->login_us = -1;
    counters_set(&set->counters->last_source, c->source);
    if (pump_open(&c->pump, set->loop, session, fd, &connection_pump_owner, c) != 0) {
        goto bad;
    }
    pump_share(&c->pump, &set->turns);
    char text[NET_ADDRESS_TEXT_MAX];
    log_line(LOG_INFO, "accept", log_u64("conn", c->id), log_str("peer", net_print(peer, text, sizeof text)));
    connection_begin_rooms(c);
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
    struct farewell facts = connection_facts(c);
    if (log_enabled(LOG_INFO)) {
        farewell_log(&facts);
    }
    if (report_file_is_open(&set->reports)) {
        struct reporting reporting = connection_reporting(c);
        report_file_write(&set->reports, reporting_json(&facts, &reporting));
    }
    login_end(&c->login);
    postponed_drop(&c->late_opens, NULL);
    postponed_drop(&c->late_replies, NULL);
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
        source_counts_remove(&set->board->sources[set->slot], c->source);
    }
    free(c->user);
    free(c->client_version);
    free(c->disagreement);
    kexinit_end(&c->kexinit);
    record_end(&c->record);
    free(c);
}
