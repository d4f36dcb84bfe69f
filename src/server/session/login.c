#include "server/session/login.h"

#include <stdlib.h>
#include <string.h>

#include "sshecho/log.h"

/* A key may be offered without a signature to learn whether it would do; more such questions than this per allowed
 * failure is a flood. */
#define PROBES_PER_ATTEMPT 10

static int failed(struct connection *c, _Atomic uint64_t *counter, const char *method, const char *user)
{
    counters_add(counter, 1);
    c->failures++;
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
    if (right && state == SSH_PUBLICKEY_STATE_NONE) {
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
    const char *answer =
        ssh_userauth_kbdint_getnanswers(session) == 1 ? ssh_userauth_kbdint_getanswer(session, 0) : NULL;
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
        (void)c->host.request_allowed(c);
        return 1;
    default:
        return 1;
    }
}

void login_set_callbacks(struct connection *c, ssh_session session)
{
    c->server_callbacks = (struct ssh_server_callbacks_struct){
        .userdata = c,
        .auth_none_function = on_none,
        .auth_password_function = on_password,
        .auth_pubkey_function = on_key,
        .gssapi_select_oid_function = on_gssapi,
    };
    ssh_set_message_callback(session, on_message, c);
}
