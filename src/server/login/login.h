/*
 * login.h - room: the authentication dialogue of a connection.
 *
 * What becomes of each login request: asks credentials.h whether credentials are right, counts failures, ends those who
 * fail too often, refuses services and methods nobody offers. Owns struct login, a part of the connection; what it may
 * touch of the rest is in struct login_host, and it speaks upwards through the events there. The callbacks of libssh
 * are the connection's, which hands their arguments on.
 *
 * With auth-steps a login takes several methods: each but the last ends in a partial success (RFC 4252, 5.1), and only
 * the next is offered. They are one user's: with another name it begins anew (RFC 4252, 5).
 *
 * libssh answers a request as its callback returns, and then frees it. Where passwords take time (password_check.h)
 * there is no callback for login requests but the one for all messages, which need not answer; and a message is kept by
 * having its end come through answers.h. Where libssh's calls do not arrive there, passwords are checked in the loop.
 */
#ifndef SERVER_LOGIN_LOGIN_H
#define SERVER_LOGIN_LOGIN_H

#include <libssh/libssh.h>
#include <libssh/server.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/config.h"
#include "server/figures/counters.h"
#include "server/login/answers.h"
#include "server/login/credentials.h"
#include "server/login/password_check.h"
#include "server/report/record.h"
#include "sshecho/pump.h"

/* What a connection lends its login, and what that tells it. */
struct login_host {
    struct pump *pump;
    const struct config *config;
    const struct credentials *credentials;
    struct password_checks *password_checks;
    struct counters *counters;
    struct record *record;
    struct answers *answers;
    uint64_t connection_id, source;
    void (*logged_in)(void *data, const char *method, const char *user); /* the client is in; method is static */
    void (*close)(void *data, enum close_reason reason);                 /* end the connection (later: it only marks) */
    void *data;
};

enum login_state { LOGIN_NOT_YET, LOGIN_OPEN, LOGIN_DONE, LOGIN_OVER };

struct login_request;

struct login {
    struct login_host host;
    enum login_state state;
    unsigned failures, requests_none, probes, rounds;
    unsigned steps_done; /* of auth-steps, by step_user */
    char *step_user;
    bool greeted; /* the banner is out */
    struct password_check check;
    ssh_message unanswered; /* the request whose password is being checked */
    uint64_t unanswered_wire_in;
    struct login_request *first_request, *last_request; /* that came meanwhile */
    char *keyboard_user; /* of the last keyboard-interactive request; the response does not repeat it */
};

void login_begin(struct login *login, const struct login_host *host);
/* Keys are in use: from now on requests are judged. */
void login_open(struct login *login);
/* The connection is being closed: nobody gets in any more. */
void login_over(struct login *login);
/* The connection goes: whatever is under way is dropped. */
void login_end(struct login *login);

/* Whether requests are to be handed to login_message, all of them, because their answers may take time. */
bool login_is_ordered(const struct login *login);

/* One request each. They return what libssh's callbacks of that name return. */
int login_by_none(struct login *login, const char *user);
int login_by_password(struct login *login, const char *user, const char *password);
int login_by_key(struct login *login, const char *user, ssh_key key, enum ssh_publickey_state_e state);
int login_by_gssapi(struct login *login, const char *user);
/* SSH_REQUEST_AUTH that none of these takes. Returns 1 for libssh's refusal. */
int login_message(struct login *login, ssh_message message);
/* SSH_REQUEST_SERVICE. Returns 1 for SERVICE_ACCEPT. */
int login_service(struct login *login, const char *service);

/* A login request that libssh could not use: it counts as a failed attempt. False when none is due an answer. */
bool login_refused(struct login *login, ssh_message message);

/* Takes the login requests that wait, one by one, in the order they came, the next only once the last has its answer.
 */
void login_after_turn(struct login *login);

#endif
