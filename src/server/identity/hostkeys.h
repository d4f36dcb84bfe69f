/*
 * hostkeys.h - room: the server's identity and its algorithms.
 *
 * Reads or makes the host keys (in the master, once per configuration), and makes from keys and configuration the
 * ssh_bind from which each worker's sessions take keys and algorithm lists. Owns the private keys; they never reach the
 * log, only their SHA256 fingerprints do.
 */
#ifndef SERVER_IDENTITY_HOSTKEYS_H
#define SERVER_IDENTITY_HOSTKEYS_H

#include <libssh/libssh.h>
#include <libssh/server.h>

#include "server/config.h"

#define HOSTKEYS_MAX 8

struct hostkeys {
    ssh_key keys[HOSTKEYS_MAX];
    const char *origins[HOSTKEYS_MAX]; /* file name (owned by config), or "generated" */
    char *standard[HOSTKEYS_MAX];      /* owned names of files found in the standard place */
    size_t count;
};

/* Keys that would have to be made are taken from `previous` (may be NULL) where it has made them: a reload keeps the
 * identity. Refuses a key file that others can read, that is no private key, or a second one of a type. Returns 0, or
 * -1 with *error filled in. */
int hostkeys_load(struct hostkeys *keys, const struct config *config, const struct hostkeys *previous,
                  struct option_error *error);
void hostkeys_free(struct hostkeys *keys);
/* One log line a key. */
void hostkeys_log(const struct hostkeys *keys);

/* The bind all sessions of a process start from; not bound to any socket. NULL with *error naming the list libssh
 * refused. */
ssh_bind hostkeys_make_bind(const struct hostkeys *keys, const struct config *config, struct option_error *error);
/* What must be set on each session itself: compression and re-key limits. Returns 0 or -1. */
int hostkeys_prepare_session(ssh_session session, const struct config *config);

#endif
