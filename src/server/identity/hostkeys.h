/*
 * hostkeys.h - room: the server's identity.
 *
 * Reads or makes the host keys, in the master, once per configuration. Owns the private keys; they never reach the log,
 * only their SHA256 fingerprints do.
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
/* A throw-away key as text, to be wiped and freed with ssh_string_free_char; NULL where it came from a file. And back
 * again, to be `previous` in hostkeys_load; 0 or -1. */
char *hostkeys_export_generated(const struct hostkeys *keys, size_t index);
int hostkeys_adopt_generated(struct hostkeys *keys, const char *text);
void hostkeys_free(struct hostkeys *keys);
/* One log line a key. */
void hostkeys_log(const struct hostkeys *keys);

#endif
