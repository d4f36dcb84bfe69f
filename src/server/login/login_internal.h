/*
 * login_internal.h - inside the room of login.h: requests whose answer takes time, in a file of their own.
 */
#ifndef SERVER_LOGIN_LOGIN_INTERNAL_H
#define SERVER_LOGIN_LOGIN_INTERNAL_H

#include "server/login/login.h"

/* Count, record and log; they return what a callback of libssh returns: SSH_AUTH_PARTIAL where a step is left. */
int login_failed(struct login *login, _Atomic uint64_t *counter, const char *method, const char *user);
int login_succeeded(struct login *login, const char *method, const char *user);

/* Whether this user may try this method now. One of another name begins with the first step. */
bool login_offers(struct login *login, enum auth_method method, const char *user);
/* Tells the client what a callback of libssh would return. */
int login_reply(ssh_message message, int verdict);

/* The answer was right: asks again where there is to be another round, and returns true if it has. */
bool login_next_round(struct login *login, ssh_message message);

/* What was answered to the one prompt, or NULL. */
const char *login_keyboard_answer(ssh_session session);
/* The request, as the callbacks would have it: returns 1 for libssh's refusal. */
int login_judge_message(struct login *login, ssh_message message);

/* Keeps the message until its turn comes. False: it cannot wait, and is to be answered now. */
bool login_keep(struct login *login, ssh_message message);
/* Answers it, as libssh does behind its callbacks. */
void login_answer(struct login *login, ssh_message message);
/* Drops what waits. */
void login_drop_requests(struct login *login);

#endif
