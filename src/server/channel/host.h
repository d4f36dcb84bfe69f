/*
 * host.h - room: what the rooms of a channel may know of the connection that it belongs to.
 *
 * The one way upwards from this folder: what a connection lends its channels, and what they tell it. It lives in struct
 * channels, is filled in at first, and only the totals change. An event may mark, write and ask for a turn; it frees
 * nothing.
 */
#ifndef SERVER_CHANNEL_HOST_H
#define SERVER_CHANNEL_HOST_H

#include <libssh/libssh.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/config.h"
#include "server/figures/counters.h"
#include "server/report/record.h"
#include "sshecho/clock.h"
#include "sshecho/pump.h"

/* Over all channels of a connection. */
struct channel_totals {
    uint64_t opened, bytes_in, bytes_out, echoes;
};

struct channel_host {
    struct pump *pump;
    const struct config *config;
    struct counters *counters;
    struct record *record;
    const mono_time *turn_at; /* when this turn of the loop began */
    uint64_t connection_id;   /* for the log */

    void (*close)(void *data, enum close_reason reason); /* end the connection (later: it only marks) */
    bool (*request_allowed)(void *data);                 /* rate limit on requests; false after it has marked the end */
    char *(*report)(void *data, bool for_people, bool terminal); /* on the connection so far; to be freed */
    void (*reset)(void *data);                                   /* misbehaviour: end the connection with a TCP reset */
    void (*rekey_every)(void *data, uint64_t bytes);             /* misbehaviour: re-key now and after so many bytes */
    void (*wake_after)(void *data, int64_t us); /* misbehaviour: a turn of the pump, at the latest then */
    void (*goes)(void *data,
                 ssh_channel channel); /* reply-delay: it is to be freed, and nobody waits for its answers */
    void *data;

    struct channel_totals totals;
};

#endif
