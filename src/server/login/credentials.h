/*
 * credentials.h - room: who may enter.
 *
 * Holds the credentials that the configuration names (read once by the master, before the workers are made) and answers
 * each method's question. Knows no connection: counting attempts and ending those who exceed them is the connection's
 * affair. Passwords are compared by crypt(3); nothing a client sent is ever logged but the user name and a key's
 * fingerprint.
 */
#ifndef SERVER_LOGIN_CREDENTIALS_H
#define SERVER_LOGIN_CREDENTIALS_H

#include <libssh/libssh.h>
#include <stdbool.h>

#include "server/config.h"

struct credentials;

/* Reads password-file and authorized-keys. NULL with *error filled in (file, line, what) when one cannot be read or
 * understood. */
struct credentials *credentials_read(const struct config *config, struct option_error *error);
void credentials_free(struct credentials *credentials);

/* Whether passwords are looked up at all: crypt(3) takes as long as its hash asks for, and then has a process of its
 * own (password_check.h). */
bool credentials_need_time(const struct credentials *credentials, const struct config *config);
/* Without a file of its kind, every password or key is right. */
bool credentials_password_ok(const struct credentials *credentials, const char *user, const char *password);
bool credentials_key_ok(const struct credentials *credentials, ssh_key key);

/* The methods of `mask` (enum auth_method) as libssh's bit set. */
int auth_libssh_methods(unsigned mask);

#endif
