/*
 * login.h - room: the authentication dialogue of a connection.
 *
 * libssh's authentication callbacks: asks credentials.h whether credentials are right, counts failures, ends those who
 * fail too often, refuses services and messages nobody offers. Part of a connection's life, in a file of its own.
 *
 * libssh answers a request as its callback returns, and then frees it. Where passwords take time (password_check.h)
 * there is no callback for login requests but the one for all messages, which need not answer; and a message is kept by
 * having its end come through answers.h. Where libssh's calls do not arrive there, passwords are checked in the loop.
 */
#ifndef SERVER_LOGIN_LOGIN_H
#define SERVER_LOGIN_LOGIN_H

#include "server/session/connection.h"

/* Fills in the authentication part of c->server_callbacks and sets the message callback. */
void login_set_callbacks(struct connection *c, ssh_session session);

/* A login request that libssh could not use is about to be refused: it counts as a failed attempt. */
void login_refused_unread(struct connection *c, ssh_message message);

/* Takes the login requests that wait, one by one, in the order they came, the next only once the last has its answer.
 */
void login_after_turn(struct connection *c);
/* The connection goes: whatever is under way is dropped. */
void login_forget(struct connection *c);
/* Of answers.c: libssh is done with this message; true if we are not. */
bool login_keeps(struct connection *c, ssh_message message);

/* Of connection.c: the client is in. `method` is static storage. */
void connection_logged_in(struct connection *c, const char *method, const char *user);

#endif
