/* Inside the room of connection.h: what libssh, its login and its channels tell a connection. Nothing is freed here. */
#include "server/session/connection_internal.h"

#include <string.h>

#include "sshecho/log.h"

/* Requests on channels whose answers may wait: each holds what the client has put into it, some 32 KiB at most. */
#define LATE_REPLIES_MAX 64

/* ---- what libssh tells ------------------------------------------------------------------------------------------ */

/* libssh's progress bar tells the phases of each key exchange: 0.5 version line read, 0.6 peer's KEXINIT, 1.0 new keys
 * in use. */
static void on_status(void *user, float status)
{
    struct connection *c = user;
    record_progress(&c->record, status);
    if (status >= 0.45F && c->phase == PHASE_BANNER) {
        (void)connection_set_phase(c, PHASE_KEX);
    }
    uint64_t bytes_in = pump_keyed_bytes_in(&c->pump), bytes_out = pump_keyed_bytes_out(&c->pump);
    if (c->phase == PHASE_OPEN && status < 0.95F && !c->deadline.rekeying) {
        rekey_begins(&c->rekey, bytes_in, bytes_out, mono_now());
        deadline_rekeying(&c->deadline, true, mono_now());
        record_rekey_begins(&c->record, mono_now());
    }
    if (status < 0.95F) {
        return;
    }
    if (c->phase == PHASE_KEX) {
        rekey_first_keys(&c->rekey, bytes_in, bytes_out, mono_now());
        c->kex_us = mono_us_between(c->accepted_at, mono_now());
        c->record.keys_at = mono_now();
        counters_add(&c->set->counters->handshakes, 1);
        counters_observe(&c->set->counters->handshake, counters_handshake_bounds_us, (uint64_t)c->kex_us);
        (void)connection_set_phase(c, PHASE_LOGIN);
    } else if (c->phase == PHASE_OPEN) {
        deadline_rekeying(&c->deadline, false, mono_now());
        channels_rekeyed(&c->channels);
        disturb_after_rekey(&c->disturb);
        quiet_rekey_done(&c->quiet_rekey);
        counters_add(&c->set->counters->rekeys, 1);
        if (!rekey_done(&c->rekey, bytes_in, bytes_out, mono_now())) {
            connection_close(c, REASON_RATE);
        }
        record_rekey_done(&c->record, c->rekey.ours, c->rekey.bytes_in, c->rekey.bytes_out, mono_now());
    }
}

/* NULL: it is refused. */
static struct channel *open_channel(struct connection *c)
{
    struct counters *counters = c->set->counters;
    if (c->phase != PHASE_OPEN || c->channels.open_count >= c->set->config->channels_per_connection) {
        counters_add(&counters->channels_refused, 1);
        return NULL;
    }
    if (!token_bucket_take(&c->opens, mono_now())) {
        counters_add(&counters->channels_refused, 1);
        connection_close(c, REASON_RATE);
        return NULL;
    }
    struct channel *channel = channel_create(&c->channels, c->pump.session);
    if (channel == NULL) {
        counters_add(&counters->channels_refused, 1);
    }
    return channel;
}

static ssh_channel on_channel_open(ssh_session session, void *user)
{
    (void)session;
    struct connection *c = user;
    answers_heard(&c->answers);
    struct channel *channel = open_channel(c);
    return channel != NULL ? channel->ssh : NULL;
}

/* channel-open-delay: judged as it would be if it came now. */
static void answer_open(void *data, ssh_message message)
{
    struct channel *channel = open_channel(data);
    if (channel != NULL) {
        (void)ssh_message_channel_request_open_reply_accept_channel(message, channel->ssh);
    } else {
        (void)ssh_message_reply_default(message);
    }
}

/* Requests of libssh's login callbacks, handed on. */

static int on_none(ssh_session session, const char *user, void *data)
{
    (void)session;
    struct connection *c = data;
    answers_heard(&c->answers);
    return login_by_none(&c->login, user);
}

static int on_password(ssh_session session, const char *user, const char *password, void *data)
{
    (void)session;
    struct connection *c = data;
    answers_heard(&c->answers);
    return login_by_password(&c->login, user, password);
}

static int on_key(ssh_session session, const char *user, struct ssh_key_struct *key, char state, void *data)
{
    (void)session;
    struct connection *c = data;
    answers_heard(&c->answers);
    return login_by_key(&c->login, user, key, (enum ssh_publickey_state_e)state);
}

/* Without it libssh would ask the system's Kerberos. NULL refuses. */
static ssh_string on_gssapi(ssh_session session, const char *user, int count, ssh_string *oids, void *data)
{
    (void)session;
    (void)count;
    (void)oids;
    struct connection *c = data;
    answers_heard(&c->answers);
    (void)login_by_gssapi(&c->login, user);
    return NULL;
}

/* Takes a request from what the client is allowed in its time; false after it has marked the end. */
static bool take_request(struct connection *c)
{
    if (token_bucket_take(&c->requests, mono_now())) {
        return true;
    }
    connection_close(c, REASON_RATE);
    return false;
}

/* Requests on channels and for channels that are refused: they count against the rate as others do. */
static void count_refused(struct connection *c, int type)
{
    struct counters *counters = c->set->counters;
    if (type == SSH_REQUEST_CHANNEL_OPEN) {
        counters_add(&counters->channels_refused, 1);
    } else if (type == SSH_REQUEST_CHANNEL || type == SSH_REQUEST_GLOBAL) {
        counters_add(&counters->requests, 1);
        counters_add(&counters->requests_refused, 1);
        (void)take_request(c);
    }
}

/* A request for a session comes this way only where its answer is put off. */
static void take_open(struct connection *c, ssh_message message)
{
    if (!postponed_keep(&c->late_opens, message, mono_now())) {
        answer_open(c, message);
    }
}

/* So does one on a channel. False: nothing of ours is asked. */
static bool take_channel_request(struct connection *c, ssh_message message)
{
    if (c->late_replies.delay_us == 0 || !channels_expect(&c->channels, ssh_message_channel_request_channel(message))) {
        return false;
    }
    if (!postponed_keep(&c->late_replies, message, mono_now())) {
        channels_answer(&c->channels, message);
    }
    return true;
}

static void answer_channel_request(void *data, ssh_message message)
{
    struct connection *c = data;
    channels_answer(&c->channels, message);
}

/* What no callback of libssh takes. Returns 1 for libssh's refusal, which honours want_reply. */
static int on_message(ssh_session session, ssh_message message, void *data)
{
    (void)session;
    struct connection *c = data;
    answers_heard(&c->answers);
    switch (ssh_message_type(message)) {
    case SSH_REQUEST_AUTH:
        return login_message(&c->login, message);
    case SSH_REQUEST_SERVICE:
        return login_service(&c->login, ssh_message_service_service(message));
    case SSH_REQUEST_CHANNEL_OPEN:
        if (ssh_message_subtype(message) == (int)SSH_CHANNEL_SESSION && c->phase == PHASE_OPEN) {
            take_open(c, message);
            return 0;
        }
        break;
    case SSH_REQUEST_CHANNEL:
        if (take_channel_request(c, message)) {
            return 0;
        }
        break;
    default:
        break;
    }
    count_refused(c, ssh_message_type(message));
    return 1;
}

void connection_set_callbacks(struct connection *c)
{
    ssh_session session = c->pump.session;
    c->server_callbacks = (struct ssh_server_callbacks_struct){
        .userdata = c,
        .gssapi_select_oid_function = on_gssapi,
    };
    if (c->late_opens.delay_us == 0) { /* what no callback takes comes as a message, which can be kept */
        c->server_callbacks.channel_open_request_session_function = on_channel_open;
    }
    if (!login_is_ordered(&c->login)) {
        c->server_callbacks.auth_none_function = on_none;
        c->server_callbacks.auth_password_function = on_password;
        c->server_callbacks.auth_pubkey_function = on_key;
    }
    ssh_callbacks_init(&c->server_callbacks);
    (void)ssh_set_server_callbacks(session, &c->server_callbacks);
    ssh_set_message_callback(session, on_message, c);
    c->session_callbacks.userdata = c;
    c->session_callbacks.connect_status_function = on_status;
    ssh_callbacks_init(&c->session_callbacks);
    (void)ssh_set_callbacks(session, &c->session_callbacks);
}

/* ---- what its rooms tell ---------------------------------------------------------------------------------------- */

static void on_close_wanted(void *data, enum close_reason reason)
{
    connection_close(data, reason);
}

/* A request that libssh dropped: whether it is due an answer. */
static bool on_refused(void *data, ssh_message message)
{
    struct connection *c = data;
    int type = ssh_message_type(message);
    if (type == SSH_REQUEST_AUTH) {
        return login_refused(&c->login, message);
    }
    if (type == SSH_REQUEST_CHANNEL_OPEN && c->phase != PHASE_OPEN) {
        return false; /* before login it is an error that ends the connection */
    }
    count_refused(c, type);
    return true;
}

static void on_logged_in(void *data, const char *method, const char *user)
{
    struct connection *c = data;
    static bool warned;
    if (!connection_set_phase(c, PHASE_OPEN)) {
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

static void on_reset_wanted(void *data)
{
    struct connection *c = data;
    disturb_reset(&c->disturb);
    c->no_farewell = true;
    connection_close(c, REASON_ON_REQUEST);
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

static char *on_report_wanted(void *data, bool for_people, bool terminal)
{
    struct connection *c = data;
    struct farewell facts = connection_facts(c);
    struct reporting reporting = connection_reporting(c);
    c->record.wanted = true;
    return for_people ? reporting_text(&facts, &reporting, terminal) : reporting_json(&facts, &reporting);
}

static void on_channel_goes(void *data, ssh_channel channel)
{
    struct connection *c = data;
    postponed_drop(&c->late_replies, channel);
}

static bool on_request_allowed(void *data)
{
    struct connection *c = data;
    answers_heard(&c->answers);
    return take_request(c);
}

void connection_begin_rooms(struct connection *c)
{
    const struct connection_set *set = c->set;
    deadline_begin(&c->deadline, set->loop, set->config, c->accepted_at, on_close_wanted, c);
    disturb_init(&c->disturb, &c->pump, set->config->rekey_interval_us);
    rekey_init(&c->rekey, set->config, c->accepted_at);
    c->answers = (struct answers){
        .pump = &c->pump, .connection_id = c->id, .refused = on_refused, .close = on_close_wanted, .data = c};
    c->late_opens = (struct postponed){.answers = &c->answers,
                                       .delay_us = set->config->channel_open_delay_us,
                                       .most = set->config->channels_per_connection,
                                       .answer = answer_open,
                                       .data = c};
    c->late_replies = (struct postponed){.answers = &c->answers,
                                         .delay_us = set->config->reply_delay_us,
                                         .most = LATE_REPLIES_MAX,
                                         .answer = answer_channel_request,
                                         .data = c};
    login_begin(&c->login, &(struct login_host){.pump = &c->pump,
                                                .config = set->config,
                                                .credentials = set->credentials,
                                                .password_checks = &c->set->password_checks,
                                                .counters = set->counters,
                                                .record = &c->record,
                                                .answers = &c->answers,
                                                .connection_id = c->id,
                                                .source = c->source,
                                                .logged_in = on_logged_in,
                                                .close = on_close_wanted,
                                                .data = c});
    channels_begin(&c->channels, &(struct channel_host){.pump = &c->pump,
                                                        .config = set->config,
                                                        .counters = set->counters,
                                                        .record = &c->record,
                                                        .turn_at = &set->turn_at,
                                                        .connection_id = c->id,
                                                        .close = on_close_wanted,
                                                        .request_allowed = on_request_allowed,
                                                        .report = on_report_wanted,
                                                        .reset = on_reset_wanted,
                                                        .rekey_every = on_rekey_wanted,
                                                        .wake_after = on_wake_wanted,
                                                        .goes = on_channel_goes,
                                                        .data = c});
}
