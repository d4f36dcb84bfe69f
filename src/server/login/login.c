#include "server/login/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/login/login_internal.h"
#include "sshecho/log.h"

/* A key may be offered without a signature to learn whether it would do; more such questions than this per allowed
 * failure is a flood. */
#define PROBES_PER_ATTEMPT 10

/* A line, with its end. */
#define BANNER_MAX_BYTES 1024

/* The methods of which one may be tried now. */
static unsigned methods_offered(const struct login *login)
{
    const struct config *config = login->host.config;
    return config->auth_step_count > 0 ? config->auth_step[login->steps_done] : config->auth_mask;
}

/* What a FAILURE is to name. */
static void offer_methods(const struct login *login)
{
    ssh_set_auth_methods(login->host.pump->session, auth_libssh_methods(methods_offered(login)));
}

void login_begin(struct login *login, const struct login_host *host)
{
    *login = (struct login){.host = *host};
    offer_methods(login);
}

void login_open(struct login *login)
{
    login->state = LOGIN_OPEN;
}

void login_over(struct login *login)
{
    login->state = LOGIN_OVER;
}

void login_end(struct login *login)
{
    login_drop_requests(login);
    free(login->keyboard_user);
    login->keyboard_user = NULL;
    free(login->step_user);
    login->step_user = NULL;
}

static bool is_step_user(const struct login *login, const char *user)
{
    return login->step_user != NULL && strcmp(login->step_user, user != NULL ? user : "") == 0;
}

/* RFC 4252, 5: what one user has shown does not count for another. */
static bool took_the_steps(struct login *login, const char *user)
{
    if (login->steps_done == 0 || is_step_user(login, user)) {
        return true;
    }
    login->steps_done = 0;
    offer_methods(login);
    return false;
}

bool login_offers(struct login *login, enum auth_method method, const char *user)
{
    (void)took_the_steps(login, user);
    return (methods_offered(login) & method) != 0;
}

int login_failed(struct login *login, _Atomic uint64_t *counter, const char *method, const char *user)
{
    struct login_host *host = &login->host;
    counters_add(counter, 1);
    login->failures++;
    record_login(host->record, method, RECORD_REFUSED);
    log_line(LOG_DEBUG, "login_failed", log_u64("conn", host->connection_id), log_str("user", user),
             log_str("method", method), log_u64("failures", login->failures));
    if (login->failures >= host->config->auth_attempts) {
        host->close(host->data, REASON_AUTH_ATTEMPTS);
    }
    return SSH_AUTH_DENIED;
}

static int next_step(struct login *login, const char *method, const char *user)
{
    struct login_host *host = &login->host;
    if (!is_step_user(login, user)) {
        free(login->step_user);
        login->step_user = strdup(user != NULL ? user : "");
    }
    if (login->step_user == NULL) {
        return SSH_AUTH_DENIED;
    }
    login->steps_done++;
    offer_methods(login);
    record_login(host->record, method, RECORD_PARTIAL);
    log_line(LOG_DEBUG, "login_step", log_u64("conn", host->connection_id), log_str("user", user),
             log_str("method", method), log_u64("steps", login->steps_done));
    return SSH_AUTH_PARTIAL;
}

int login_succeeded(struct login *login, const char *method, const char *user)
{
    struct login_host *host = &login->host;
    if (login->state != LOGIN_OPEN) {
        return SSH_AUTH_DENIED; /* being closed */
    }
    if (!took_the_steps(login, user)) {
        return SSH_AUTH_DENIED;
    }
    if (login->steps_done + 1 < host->config->auth_step_count) {
        return next_step(login, method, user);
    }
    login->state = LOGIN_DONE;
    record_login(host->record, method, RECORD_ACCEPTED);
    host->logged_in(host->data, method, user);
    return SSH_AUTH_SUCCESS;
}

/* With the first request: some clients bear it no sooner than they have their service. */
static void greet(struct login *login)
{
    ssh_string text = NULL;
    if (login->greeted || login->host.config->login_banner == NULL) {
        return;
    }
    login->greeted = true;
    char line[BANNER_MAX_BYTES];
    (void)snprintf(line, sizeof line, "%s\r\n", login->host.config->login_banner);
    text = ssh_string_from_char(line);
    if (text != NULL) {
        (void)ssh_send_issue_banner(login->host.pump->session, text);
        ssh_string_free(text);
    }
}

int login_by_none(struct login *login, const char *user)
{
    struct login_host *host = &login->host;
    greet(login);
    if (login_offers(login, AUTH_NONE, user)) {
        return login_succeeded(login, "none", user);
    }
    if (login->requests_none++ == 0) {
        record_login(host->record, "none", RECORD_REFUSED);
        return SSH_AUTH_DENIED; /* RFC 4252, 5.2: how a client asks which methods there are */
    }
    return login_failed(login, &host->counters->login_failures_none, "none", user);
}

int login_by_password(struct login *login, const char *user, const char *password)
{
    greet(login);
    if (login->state == LOGIN_OPEN && login_offers(login, AUTH_PASSWORD, user) &&
        credentials_password_ok(login->host.credentials, user, password)) {
        return login_succeeded(login, "password", user);
    }
    return login_failed(login, &login->host.counters->login_failures_password, "password", user);
}

int login_by_key(struct login *login, const char *user, ssh_key key, enum ssh_publickey_state_e state)
{
    struct login_host *host = &login->host;
    greet(login);
    bool right = login->state == LOGIN_OPEN && login_offers(login, AUTH_PUBLICKEY, user) &&
                 credentials_key_ok(host->credentials, key);
    if (ssh_key_type(key) == SSH_KEYTYPE_DSS) {
        right = false; /* its signatures are SHA-1: say so before the client makes one */
    }
    record_login_key(host->record, (int)ssh_key_type(key), state != SSH_PUBLICKEY_STATE_NONE);
    if (right && state == SSH_PUBLICKEY_STATE_NONE) {
        record_login(host->record, "publickey", RECORD_WOULD_DO);
        if (++login->probes > host->config->auth_attempts * PROBES_PER_ATTEMPT) {
            host->close(host->data, REASON_AUTH_ATTEMPTS);
            return SSH_AUTH_DENIED;
        }
        return SSH_AUTH_SUCCESS;
    }
    if (right && state == SSH_PUBLICKEY_STATE_VALID) {
        return login_succeeded(login, "publickey", user);
    }
    return login_failed(login, &host->counters->login_failures_publickey, "publickey", user);
}

int login_by_gssapi(struct login *login, const char *user)
{
    return login_failed(login, &login->host.counters->login_failures_none, "gssapi-with-mic", user);
}

int login_reply(ssh_message message, int verdict)
{
    return verdict == SSH_AUTH_SUCCESS || verdict == SSH_AUTH_PARTIAL
               ? ssh_message_auth_reply_success(message, verdict == SSH_AUTH_PARTIAL)
               : ssh_message_reply_default(message);
}

const char *login_keyboard_answer(ssh_session session)
{
    return ssh_userauth_kbdint_getnanswers(session) == 1 ? ssh_userauth_kbdint_getanswer(session, 0) : NULL;
}

/* RFC 4256: one prompt, the password. */
static bool ask(ssh_message message, const char *instruction)
{
    static const char *prompts[] = {"Password: "};
    static char echo[] = {0};
    return ssh_message_auth_interactive_request(message, "", instruction, 1, prompts, echo) == SSH_OK;
}

bool login_next_round(struct login *login, ssh_message message)
{
    return ++login->rounds < login->host.config->keyboard_rounds && ask(message, "Once more, please.");
}

/* Returns true if it has replied. */
static bool by_keyboard(struct login *login, ssh_message message)
{
    _Atomic uint64_t *failures = &login->host.counters->login_failures_keyboard;
    bool is_response = ssh_message_auth_kbdint_is_response(message);
    const char *user = is_response ? login->keyboard_user : ssh_message_auth_user(message);
    if (!login_offers(login, AUTH_KEYBOARD_INTERACTIVE, user)) {
        (void)login_failed(login, failures, "keyboard-interactive", user);
        return false;
    }
    if (!is_response) {
        free(login->keyboard_user);
        login->keyboard_user = user != NULL ? strdup(user) : NULL;
        login->rounds = 0;
        return ask(message, "");
    }
    const char *answer = login_keyboard_answer(login->host.pump->session);
    if (answer != NULL && login->state == LOGIN_OPEN &&
        credentials_password_ok(login->host.credentials, user != NULL ? user : "", answer)) {
        if (login_next_round(login, message)) {
            return true;
        }
        int verdict = login_succeeded(login, "keyboard-interactive", user);
        if (verdict != SSH_AUTH_DENIED) {
            return login_reply(message, verdict) == SSH_OK;
        }
    }
    (void)login_failed(login, failures, "keyboard-interactive", user);
    return false;
}

bool login_refused(struct login *login, ssh_message message)
{
    struct counters *counters = login->host.counters;
    const char *user = ssh_message_auth_user(message);
    if (login->state != LOGIN_OPEN) {
        return false;
    }
    switch (ssh_message_subtype(message)) {
    case SSH_AUTH_METHOD_PASSWORD:
        (void)login_failed(login, &counters->login_failures_password, "password", user);
        break;
    case SSH_AUTH_METHOD_PUBLICKEY:
        (void)login_failed(login, &counters->login_failures_publickey, "publickey", user);
        break;
    case SSH_AUTH_METHOD_INTERACTIVE:
        (void)login_failed(login, &counters->login_failures_keyboard, "keyboard-interactive", user);
        break;
    default:
        (void)login_failed(login, &counters->login_failures_none, "other", user);
        break;
    }
    return true;
}

int login_service(struct login *login, const char *service)
{
    if (strcmp(service, "ssh-userauth") == 0) {
        /* RFC 4252, 5.1: nothing more to do once logged in, and nothing to say. A client that is answered (Twisted's
         * asks again with every new key) would log in anew, which libssh takes for a breach of the protocol. */
        return login->state == LOGIN_DONE ? 0 : 1;
    }
    if (strcmp(service, "ssh-connection") == 0 && login->state == LOGIN_DONE) {
        return 1;
    }
    /* RFC 4253, 10: disconnect when the service is not available */
    login->host.close(login->host.data, REASON_PROTOCOL);
    return 0;
}

int login_judge_message(struct login *login, ssh_message message)
{
    if (ssh_message_subtype(message) == (int)SSH_AUTH_METHOD_INTERACTIVE) {
        return by_keyboard(login, message) ? 0 : 1;
    }
    return login_failed(login, &login->host.counters->login_failures_none, "other", ssh_message_auth_user(message)) ==
           SSH_AUTH_DENIED;
}

int login_message(struct login *login, ssh_message message)
{
    greet(login);
    if (!login_is_ordered(login) || login->state != LOGIN_OPEN) {
        return login_judge_message(login, message);
    }
    if (!login_keep(login, message)) {
        login_answer(login, message);
    }
    return 0;
}
