/*
 * login.h - room: who we are, and who the server is.
 *
 * Tries the login methods of the settings in their order, one non-blocking step at a time, and judges host keys. Owns,
 * per thread, the private keys (libssh's keys are not for several threads) and the host keys already accepted. Calls
 * libssh from within pump turns only.
 */
#ifndef LOAD_CONNECTION_LOGIN_H
#define LOAD_CONNECTION_LOGIN_H

#include "load/settings.h"

#include <libssh/libssh.h>
#include <stdbool.h>
#include <stddef.h>

struct login_material {
    const struct settings *settings;
    ssh_key *keys; /* [options.identity.count] */
    size_t key_count;
    ssh_key *user_keys; /* [settings->user_count]: NULL for one who has a password */
    ssh_key *accepted;  /* [settings->target_count]: the host key that was found good, or NULL */
};

/* Where one session stands; but for its user zero is the start. */
struct login_state {
    uint32_t user;        /* index into settings->users, where there are any */
    unsigned char method; /* index into settings->auth */
    unsigned char key;    /* index into what there is: the user's own, else those of --identity */
    bool asked;           /* keyboard-interactive: the server has asked at least once */
};

/* Reads the keys. Returns 0, or -1 with a sentence that names the file. */
int login_prepare(struct login_material *material, const struct settings *settings, char *error, size_t error_size);
void login_release(struct login_material *material);

/* One step: SSH_AUTH_SUCCESS, SSH_AUTH_AGAIN (wait for the peer), SSH_AUTH_DENIED (nothing left to try) or
 * SSH_AUTH_ERROR (ask ssh_get_error). */
int login_step(const struct login_material *material, struct login_state *state, ssh_session session);

/* Whether the server's key is the right one for targets[target]; false with a sentence. Once a key has been accepted,
 * the same key costs one comparison. */
bool login_check_host_key(struct login_material *material, size_t target, ssh_session session, char *error,
                          size_t error_size);

#endif
