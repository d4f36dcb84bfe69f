/* Inside the room of login.h: where a password takes time. Requests wait here, and are answered in their order. */
#include "server/login/login_internal.h"

#include <stdlib.h>
#include <string.h>

/* What a client may send on while its password is being checked; then its socket is left alone. */
#define SENT_AHEAD_BYTES 16384

struct login_request {
    ssh_message message;
    struct login_request *next;
};

bool login_is_ordered(const struct login *login)
{
    return credentials_need_time(login->host.credentials, login->host.config);
}

bool login_keep(struct login *login, ssh_message message)
{
    struct login_request *request = answers_reached() ? malloc(sizeof *request) : NULL;
    if (request == NULL) {
        return false;
    }
    *request = (struct login_request){.message = message};
    if (login->last_request != NULL) {
        login->last_request->next = request;
    } else {
        login->first_request = request;
    }
    login->last_request = request;
    answers_keep(login->host.answers, message);
    return true;
}

static ssh_message take_request(struct login *login)
{
    struct login_request *request = login->first_request;
    if (request == NULL) {
        return NULL;
    }
    ssh_message message = request->message;
    login->first_request = request->next;
    login->last_request = request->next != NULL ? login->last_request : NULL;
    free(request);
    return message;
}

static void on_checked(void *data, enum password_verdict verdict)
{
    struct login *login = data;
    struct login_host *host = &login->host;
    ssh_message message = login->unanswered;
    bool by_keyboard = ssh_message_subtype(message) == (int)SSH_AUTH_METHOD_INTERACTIVE;
    const char *method = by_keyboard ? "keyboard-interactive" : "password";
    const char *user = by_keyboard ? login->keyboard_user : ssh_message_auth_user(message);
    int outcome = SSH_AUTH_DENIED;
    login->unanswered = NULL;
    if (login->state == LOGIN_OPEN && pump_enter(host->pump)) {
        if (verdict == PASSWORD_RIGHT && by_keyboard && login_next_round(login, message)) {
            ; /* it has been asked again */
        } else if (verdict == PASSWORD_RIGHT && (outcome = login_succeeded(login, method, user)) != SSH_AUTH_DENIED) {
            (void)login_reply(message, outcome);
        } else if (verdict == PASSWORD_UNKNOWN) {
            login->host.close(login->host.data, REASON_INTERNAL); /* "wrong" would be a lie */
        } else {
            (void)login_failed(login,
                               by_keyboard ? &host->counters->login_failures_keyboard
                                           : &host->counters->login_failures_password,
                               method, user);
            (void)ssh_message_reply_default(message);
        }
        pump_leave(host->pump);
    }
    ssh_message_free(message);
    if (login->state != LOGIN_OVER) {
        pump_pause_reading(host->pump, false);
        pump_turn(host->pump); /* what the client has sent meanwhile */
    }
}

/* True: the message is kept until its answer is known. */
static bool begin_check(struct login *login, ssh_message message, const char *user, const char *password)
{
    if (user == NULL || password == NULL || strlen(password) > PASSWORD_MAX_BYTES) {
        return false; /* crypt(3) refuses it at once */
    }
    if (strlen(user) > PASSWORD_USER_MAX_BYTES) {
        user = ""; /* is nobody either, and takes as long */
    }
    login->check.done = on_checked;
    login->check.data = login;
    if (!password_check_begin(login->host.password_checks, &login->check, login->host.source, user, password)) {
        login->host.close(login->host.data, REASON_INTERNAL);
        return false;
    }
    login->unanswered = message;
    login->unanswered_wire_in = pump_wire_in(login->host.pump);
    return true;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* callbacks are the newer way, which cannot wait */

static const char *password_of(ssh_message message)
{
    const char *password = ssh_message_auth_password(message);
    return password != NULL ? password : "";
}

static void answer_key(struct login *login, ssh_message message)
{
    enum ssh_publickey_state_e state = ssh_message_auth_publickey_state(message);
    int rc = login_by_key(login, ssh_message_auth_user(message), ssh_message_auth_pubkey(message), state);
    if (rc == SSH_AUTH_SUCCESS && state == SSH_PUBLICKEY_STATE_NONE) {
        (void)ssh_message_auth_reply_pk_ok_simple(message);
    } else {
        (void)login_reply(message, rc);
    }
}

/* True if a password of this message is being checked now; it wants no answer yet. */
static bool check_message(struct login *login, ssh_session session, ssh_message message)
{
    const char *user = ssh_message_auth_user(message);
    switch (ssh_message_subtype(message)) {
    case SSH_AUTH_METHOD_PASSWORD:
        return login_offers(login, AUTH_PASSWORD, user) && begin_check(login, message, user, password_of(message));
    case SSH_AUTH_METHOD_INTERACTIVE:
        return ssh_message_auth_kbdint_is_response(message) &&
               login_offers(login, AUTH_KEYBOARD_INTERACTIVE, login->keyboard_user) &&
               begin_check(login, message, login->keyboard_user != NULL ? login->keyboard_user : "",
                           login_keyboard_answer(session));
    default:
        return false;
    }
}

#pragma GCC diagnostic pop

void login_answer(struct login *login, ssh_message message)
{
    const char *user = ssh_message_auth_user(message);
    switch (ssh_message_subtype(message)) {
    case SSH_AUTH_METHOD_NONE:
        (void)login_reply(message, login_by_none(login, user));
        break;
    case SSH_AUTH_METHOD_PUBLICKEY:
        answer_key(login, message);
        break;
    case SSH_AUTH_METHOD_PASSWORD: /* not offered, nothing that could be right, or not to be kept */
        (void)login_reply(message, login_by_password(login, user, password_of(message)));
        break;
    default:
        if (login_judge_message(login, message) == 1) {
            (void)ssh_message_reply_default(message);
        }
        break;
    }
}

void login_after_turn(struct login *login)
{
    ssh_session session = login->host.pump->session;
    while (login->state == LOGIN_OPEN && login->unanswered == NULL && login->first_request != NULL) {
        ssh_message message = take_request(login);
        if (!check_message(login, session, message)) {
            login_answer(login, message);
            answers_heard(login->host.answers); /* answers.h need not refuse it */
            ssh_message_free(message);
        }
    }
    if (login->unanswered != NULL && pump_wire_in(login->host.pump) - login->unanswered_wire_in > SENT_AHEAD_BYTES) {
        pump_pause_reading(login->host.pump, true);
    }
}

void login_drop_requests(struct login *login)
{
    password_check_cancel(login->host.password_checks, &login->check);
    if (login->unanswered != NULL) {
        ssh_message_free(login->unanswered);
        login->unanswered = NULL;
    }
    for (ssh_message message = take_request(login); message != NULL; message = take_request(login)) {
        ssh_message_free(message);
    }
}
