#include "server/login/login.h"

#include <stdlib.h>
#include <string.h>

#include "server/login/answers.h"
#include "sshecho/log.h"

/* A key may be offered without a signature to learn whether it would do; more such questions than this per allowed
 * failure is a flood. */
#define PROBES_PER_ATTEMPT 10

/* What a client may send on while its password is being checked; then its socket is left alone. */
#define SENT_AHEAD_BYTES 16384

static int failed(struct connection *c, _Atomic uint64_t *counter, const char *method, const char *user)
{
    counters_add(counter, 1);
    c->failures++;
    record_login(&c->record, method, RECORD_REFUSED);
    log_line(LOG_DEBUG, "login_failed", log_u64("conn", c->id), log_str("user", user), log_str("method", method),
             log_u64("failures", c->failures));
    if (c->failures >= c->set->config->auth_attempts) {
        connection_close(c, REASON_AUTH_ATTEMPTS);
    }
    return SSH_AUTH_DENIED;
}

static int succeeded(struct connection *c, const char *method, const char *user)
{
    if (c->phase != PHASE_LOGIN) {
        return SSH_AUTH_DENIED; /* being closed */
    }
    record_login(&c->record, method, RECORD_ACCEPTED);
    connection_logged_in(c, method, user);
    return SSH_AUTH_SUCCESS;
}

static int on_none(ssh_session session, const char *user, void *data)
{
    (void)session;
    struct connection *c = data;
    c->heard = true;
    if ((c->set->config->auth_mask & AUTH_NONE) != 0) {
        return succeeded(c, "none", user);
    }
    if (c->requests_none++ == 0) {
        record_login(&c->record, "none", RECORD_REFUSED);
        return SSH_AUTH_DENIED; /* RFC 4252, 5.2: how a client asks which methods there are */
    }
    return failed(c, &c->set->counters->login_failures_none, "none", user);
}

static int on_password(ssh_session session, const char *user, const char *password, void *data)
{
    (void)session;
    struct connection *c = data;
    c->heard = true;
    if (c->phase == PHASE_LOGIN && (c->set->config->auth_mask & AUTH_PASSWORD) != 0 &&
        credentials_password_ok(c->set->credentials, user, password)) {
        return succeeded(c, "password", user);
    }
    return failed(c, &c->set->counters->login_failures_password, "password", user);
}

static int on_key(ssh_session session, const char *user, struct ssh_key_struct *key, char state, void *data)
{
    (void)session;
    struct connection *c = data;
    c->heard = true;
    bool right = c->phase == PHASE_LOGIN && (c->set->config->auth_mask & AUTH_PUBLICKEY) != 0 &&
                 credentials_key_ok(c->set->credentials, key);
    if (ssh_key_type(key) == SSH_KEYTYPE_DSS) {
        right = false; /* its signatures are SHA-1: say so before the client makes one */
    }
    record_login_key(&c->record, (int)ssh_key_type(key), state != SSH_PUBLICKEY_STATE_NONE);
    if (right && state == SSH_PUBLICKEY_STATE_NONE) {
        record_login(&c->record, "publickey", RECORD_WOULD_DO);
        if (++c->probes > c->set->config->auth_attempts * PROBES_PER_ATTEMPT) {
            connection_close(c, REASON_AUTH_ATTEMPTS);
            return SSH_AUTH_DENIED;
        }
        return SSH_AUTH_SUCCESS;
    }
    if (right && state == SSH_PUBLICKEY_STATE_VALID) {
        return succeeded(c, "publickey", user);
    }
    return failed(c, &c->set->counters->login_failures_publickey, "publickey", user);
}

static const char *keyboard_answer(ssh_session session)
{
    return ssh_userauth_kbdint_getnanswers(session) == 1 ? ssh_userauth_kbdint_getanswer(session, 0) : NULL;
}

/* RFC 4256: one prompt, the password. Returns true if it has replied. */
static bool on_keyboard(struct connection *c, ssh_session session, ssh_message message)
{
    const char *user = ssh_message_auth_user(message);
    bool is_response = ssh_message_auth_kbdint_is_response(message);
    static const char *prompts[] = {"Password: "};
    static char echo[] = {0};
    if ((c->set->config->auth_mask & AUTH_KEYBOARD_INTERACTIVE) == 0) {
        (void)failed(c, &c->set->counters->login_failures_keyboard, "keyboard-interactive", user);
        return false;
    }
    if (!is_response) {
        free(c->keyboard_user);
        c->keyboard_user = user != NULL ? strdup(user) : NULL;
        return ssh_message_auth_interactive_request(message, "", "", 1, prompts, echo) == SSH_OK;
    }
    const char *answer = keyboard_answer(session);
    user = c->keyboard_user;
    if (answer != NULL && c->phase == PHASE_LOGIN &&
        credentials_password_ok(c->set->credentials, user != NULL ? user : "", answer) &&
        succeeded(c, "keyboard-interactive", user) == SSH_AUTH_SUCCESS) {
        return ssh_message_auth_reply_success(message, 0) == SSH_OK;
    }
    (void)failed(c, &c->set->counters->login_failures_keyboard, "keyboard-interactive", user);
    return false;
}

/* Without it libssh would ask the system's Kerberos. NULL refuses. */
static ssh_string on_gssapi(ssh_session session, const char *user, int count, ssh_string *oids, void *data)
{
    (void)session;
    (void)count;
    (void)oids;
    struct connection *c = data;
    c->heard = true;
    (void)failed(c, &c->set->counters->login_failures_none, "gssapi-with-mic", user);
    return NULL;
}

void login_refused_unread(struct connection *c, ssh_message message)
{
    struct counters *counters = c->set->counters;
    const char *user = ssh_message_auth_user(message);
    switch (ssh_message_subtype(message)) {
    case SSH_AUTH_METHOD_PASSWORD:
        (void)failed(c, &counters->login_failures_password, "password", user);
        break;
    case SSH_AUTH_METHOD_PUBLICKEY:
        (void)failed(c, &counters->login_failures_publickey, "publickey", user);
        break;
    case SSH_AUTH_METHOD_INTERACTIVE:
        (void)failed(c, &counters->login_failures_keyboard, "keyboard-interactive", user);
        break;
    default:
        (void)failed(c, &counters->login_failures_none, "other", user);
        break;
    }
}

/* Returns 1 for SERVICE_ACCEPT. */
static int on_service(struct connection *c, const char *service)
{
    if (strcmp(service, "ssh-userauth") == 0) {
        /* RFC 4252, 5.1: nothing more to do once logged in, and nothing to say. A client that is answered (Twisted's
         * asks again with every new key) would log in anew, which libssh takes for a breach of the protocol. */
        return c->phase == PHASE_OPEN ? 0 : 1;
    }
    if (strcmp(service, "ssh-connection") == 0 && c->phase == PHASE_OPEN) {
        return 1;
    }
    connection_close(c, REASON_PROTOCOL); /* RFC 4253, 10: disconnect when the service is not available */
    return 0;
}

/* What no callback of libssh takes. Returns 1 for libssh's refusal, which honours want_reply. */
static int on_message(ssh_session session, ssh_message message, void *data)
{
    struct connection *c = data;
    c->heard = true;
    switch (ssh_message_type(message)) {
    case SSH_REQUEST_AUTH:
        if (ssh_message_subtype(message) == (int)SSH_AUTH_METHOD_INTERACTIVE) {
            return on_keyboard(c, session, message) ? 0 : 1;
        }
        (void)failed(c, &c->set->counters->login_failures_none, "other", ssh_message_auth_user(message));
        return 1;
    case SSH_REQUEST_SERVICE:
        return on_service(c, ssh_message_service_service(message));
    case SSH_REQUEST_CHANNEL_OPEN:
        counters_add(&c->set->counters->channels_refused, 1);
        return 1;
    case SSH_REQUEST_CHANNEL:
    case SSH_REQUEST_GLOBAL:
        counters_add(&c->set->counters->requests, 1);
        counters_add(&c->set->counters->requests_refused, 1);
        (void)c->channels.host.request_allowed(c);
        return 1;
    default:
        return 1;
    }
}

/* ---- where a password takes time --------------------------------------------------------------------------------- */

struct login_request {
    ssh_message message;
    struct login_request *next;
};

static bool is_ordered(const struct connection *c)
{
    return credentials_need_time(c->set->credentials, c->set->config);
}

bool login_keeps(struct connection *c, ssh_message message)
{
    bool kept = c->kept == message;
    c->kept = NULL;
    return kept;
}

/* From within its callback: the message is ours until it is answered. */
static bool keep_request(struct connection *c, ssh_message message)
{
    struct login_request *request = answers_reached() ? malloc(sizeof *request) : NULL;
    if (request == NULL) {
        return false;
    }
    *request = (struct login_request){.message = message};
    if (c->last_request != NULL) {
        c->last_request->next = request;
    } else {
        c->first_request = request;
    }
    c->last_request = request;
    c->kept = message;
    return true;
}

static ssh_message take_request(struct connection *c)
{
    struct login_request *request = c->first_request;
    if (request == NULL) {
        return NULL;
    }
    ssh_message message = request->message;
    c->first_request = request->next;
    c->last_request = request->next != NULL ? c->last_request : NULL;
    free(request);
    return message;
}

static void on_checked(void *data, enum password_verdict verdict)
{
    struct connection *c = data;
    ssh_message message = c->unanswered;
    bool by_keyboard = ssh_message_subtype(message) == (int)SSH_AUTH_METHOD_INTERACTIVE;
    const char *method = by_keyboard ? "keyboard-interactive" : "password";
    const char *user = by_keyboard ? c->keyboard_user : ssh_message_auth_user(message);
    c->unanswered = NULL;
    if (c->phase == PHASE_LOGIN && pump_enter(&c->pump)) {
        if (verdict == PASSWORD_RIGHT && succeeded(c, method, user) == SSH_AUTH_SUCCESS) {
            (void)ssh_message_auth_reply_success(message, 0);
        } else if (verdict == PASSWORD_UNKNOWN) {
            connection_close(c, REASON_INTERNAL); /* "wrong" would be a lie */
        } else {
            (void)failed(c,
                         by_keyboard ? &c->set->counters->login_failures_keyboard
                                     : &c->set->counters->login_failures_password,
                         method, user);
            (void)ssh_message_reply_default(message);
        }
        pump_leave(&c->pump);
    }
    ssh_message_free(message);
    if (c->phase != PHASE_CLOSING) {
        pump_pause_reading(&c->pump, false);
        pump_turn(&c->pump); /* what the client has sent meanwhile */
    }
}

/* True: the message is kept until its answer is known. */
static bool begin_check(struct connection *c, ssh_message message, const char *user, const char *password)
{
    if (user == NULL || password == NULL || strlen(password) > PASSWORD_MAX_BYTES) {
        return false; /* crypt(3) refuses it at once */
    }
    if (strlen(user) > PASSWORD_USER_MAX_BYTES) {
        user = ""; /* is nobody either, and takes as long */
    }
    c->password_check.done = on_checked;
    c->password_check.data = c;
    if (!password_check_begin(&c->set->password_checks, &c->password_check, c->source, user, password)) {
        connection_close(c, REASON_INTERNAL);
        return false;
    }
    c->unanswered = message;
    c->unanswered_wire_in = pump_wire_in(&c->pump);
    return true;
}

static void reply(ssh_message message, int verdict)
{
    if (verdict == SSH_AUTH_SUCCESS) {
        (void)ssh_message_auth_reply_success(message, 0);
    } else {
        (void)ssh_message_reply_default(message);
    }
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* callbacks are the newer way, which cannot wait */

static const char *password_of(ssh_message message)
{
    const char *password = ssh_message_auth_password(message);
    return password != NULL ? password : "";
}

static void answer_key(struct connection *c, ssh_session session, ssh_message message)
{
    enum ssh_publickey_state_e state = ssh_message_auth_publickey_state(message);
    int rc = on_key(session, ssh_message_auth_user(message), ssh_message_auth_pubkey(message), (char)state, c);
    if (rc == SSH_AUTH_SUCCESS && state == SSH_PUBLICKEY_STATE_NONE) {
        (void)ssh_message_auth_reply_pk_ok_simple(message);
    } else {
        reply(message, rc);
    }
}

/* True if a password of this message is being checked now; it wants no answer yet. */
static bool check_message(struct connection *c, ssh_session session, ssh_message message)
{
    unsigned mask = c->set->config->auth_mask;
    const char *user = ssh_message_auth_user(message);
    switch (ssh_message_subtype(message)) {
    case SSH_AUTH_METHOD_PASSWORD:
        return (mask & AUTH_PASSWORD) != 0 && begin_check(c, message, user, password_of(message));
    case SSH_AUTH_METHOD_INTERACTIVE:
        return (mask & AUTH_KEYBOARD_INTERACTIVE) != 0 && ssh_message_auth_kbdint_is_response(message) &&
               begin_check(c, message, c->keyboard_user != NULL ? c->keyboard_user : "", keyboard_answer(session));
    default:
        return false;
    }
}

#pragma GCC diagnostic pop

static void answer_login(struct connection *c, ssh_session session, ssh_message message)
{
    const char *user = ssh_message_auth_user(message);
    switch (ssh_message_subtype(message)) {
    case SSH_AUTH_METHOD_NONE:
        reply(message, on_none(session, user, c));
        break;
    case SSH_AUTH_METHOD_PUBLICKEY:
        answer_key(c, session, message);
        break;
    case SSH_AUTH_METHOD_PASSWORD: /* not offered, nothing that could be right, or not to be kept */
        reply(message, on_password(session, user, password_of(message), c));
        break;
    default:
        if (on_message(session, message, c) == 1) {
            (void)ssh_message_reply_default(message);
        }
        break;
    }
}

void login_after_turn(struct connection *c)
{
    ssh_session session = c->pump.session;
    while (c->phase == PHASE_LOGIN && c->unanswered == NULL && c->first_request != NULL) {
        ssh_message message = take_request(c);
        if (!check_message(c, session, message)) {
            answer_login(c, session, message);
            c->heard = true; /* answers.h need not refuse it */
            ssh_message_free(message);
        }
    }
    if (c->unanswered != NULL && pump_wire_in(&c->pump) - c->unanswered_wire_in > SENT_AHEAD_BYTES) {
        pump_pause_reading(&c->pump, true);
    }
}

/* Where there are no callbacks for them. */
static int on_ordered_message(ssh_session session, ssh_message message, void *data)
{
    struct connection *c = data;
    if (ssh_message_type(message) != (int)SSH_REQUEST_AUTH || c->phase != PHASE_LOGIN) {
        return on_message(session, message, c);
    }
    c->heard = true;
    if (!keep_request(c, message)) {
        answer_login(c, session, message);
    }
    return 0;
}

void login_forget(struct connection *c)
{
    password_check_cancel(&c->set->password_checks, &c->password_check);
    if (c->unanswered != NULL) {
        ssh_message_free(c->unanswered);
        c->unanswered = NULL;
    }
    for (ssh_message message = take_request(c); message != NULL; message = take_request(c)) {
        ssh_message_free(message);
    }
}

void login_set_callbacks(struct connection *c, ssh_session session)
{
    if (is_ordered(c)) {
        c->server_callbacks =
            (struct ssh_server_callbacks_struct){.userdata = c, .gssapi_select_oid_function = on_gssapi};
        ssh_set_message_callback(session, on_ordered_message, c);
        return;
    }
    c->server_callbacks = (struct ssh_server_callbacks_struct){
        .userdata = c,
        .auth_none_function = on_none,
        .auth_password_function = on_password,
        .auth_pubkey_function = on_key,
        .gssapi_select_oid_function = on_gssapi,
    };
    ssh_set_message_callback(session, on_message, c);
}
