/*
 * quiet_rekey.h - room: key re-exchanges for a client that sends data behind its own KEXINIT.
 *
 * RFC 4253, 7.1 forbids that, asyncssh does it, and libssh ends the session. Nothing goes wrong where the client has
 * nothing to send; so for such a client libssh's own limit is moved out of the way, and when ours comes near nothing
 * more is consumed (its window runs dry) and nothing generated (channels_hush). Once nothing has come for a while,
 * or the patience is used up, the exchange begins; with the new keys everything goes on.
 *
 * Says when the channels are to be hushed, starts the exchange through libssh; knows no connection.
 */
#ifndef SERVER_SESSION_QUIET_REKEY_H
#define SERVER_SESSION_QUIET_REKEY_H

#include <libssh/libssh.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/config.h"
#include "server/session/rekey.h"
#include "sshecho/clock.h"

struct quiet_rekey {
    bool adopted; /* the client is of that kind, and there is a limit */
    bool hushed;  /* the channels are to be quiet until there are new keys */
    bool begun;   /* the exchange that was waited for */
    mono_time heard_at, quiet_from;
    int64_t pause_us; /* how long nothing has to come */
};

/* Before the first keys. */
void quiet_rekey_adopt(struct quiet_rekey *quiet, ssh_session session, const struct config *config);

/* After each turn, with the bytes under keys since the connection began and whether the turn brought any: sets
 * `hushed`, begins the exchange when it is time. Returns in how many microseconds to ask again at the latest; 0: no
 * need. */
int64_t quiet_rekey_turned(struct quiet_rekey *quiet, struct rekey *rekey, ssh_session session, uint64_t bytes_in,
                           uint64_t bytes_out, bool came, mono_time now);

/* New keys are in use. */
void quiet_rekey_done(struct quiet_rekey *quiet);

#endif
