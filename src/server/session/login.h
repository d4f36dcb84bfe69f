/*
 * login.h - room: the authentication dialogue of a connection.
 *
 * libssh's authentication callbacks: asks credentials.h whether credentials are right, counts failures, ends those who
 * fail too often, refuses services and messages nobody offers. Part of a connection's life, in a file of its own.
 */
#ifndef SERVER_SESSION_LOGIN_H
#define SERVER_SESSION_LOGIN_H

#include "server/session/connection.h"

/* Fills in the authentication part of c->server_callbacks and sets the message callback. */
void login_set_callbacks(struct connection *c, ssh_session session);

/* A login request that libssh could not use is about to be refused: it counts as a failed attempt. */
void login_refused_unread(struct connection *c, ssh_message message);

/* Of connection.c: the client is in. `method` is static storage. */
void connection_logged_in(struct connection *c, const char *method, const char *user);

#endif
