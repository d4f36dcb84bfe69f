/*
 * farewell.h - room: the last words about and to a client.
 *
 * The CLOSE line of the log, and SSH_MSG_DISCONNECT with its reason. Takes what it tells as arguments; keeps nothing.
 */
#ifndef SERVER_SESSION_FAREWELL_H
#define SERVER_SESSION_FAREWELL_H

#include <libssh/libssh.h>
#include <stdint.h>

#include "server/channel/host.h"
#include "server/figures/counters.h"
#include "server/session/phase.h"
#include "sshecho/clock.h"
#include "sshecho/net.h"
#include "sshecho/pump.h"

/* What is to be told about a connection. */
struct farewell {
    ssh_session session;
    uint64_t id;
    const struct net_address *peer;
    enum close_reason reason;
    enum phase phase; /* in which it ended */
    mono_time accepted_at;
    int64_t kex_us, login_us;
    const struct channel_totals *totals; /* of its channels */
    uint64_t rekeys;
    const char *user, *method, *client_version; /* NULL where it did not come so far */
    const char *disagreement;                   /* why there is nothing in common, or NULL */
};

/* What went wrong, in a sentence; empty where nothing did. */
const char *farewell_error(const struct farewell *farewell);
/* Before anything of the connection is taken apart. */
void farewell_log(const struct farewell *farewell);
/* After its channels are gone. Says nothing to a client that has disconnected by itself, or is gone. */
void farewell_say(struct pump *pump, enum close_reason reason, const char *disagreement);

#endif
