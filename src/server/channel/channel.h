/*
 * channel.h - room: one session channel and its echo.
 *
 * The echo keeps the receive window in step with the peer's window by consuming a byte only once it has been echoed:
 * libssh re-opens the window towards the client only for consumed bytes. What cannot be echoed now (window shut, output
 * pending, key re-exchange) stays in libssh's channel buffer; there is no second buffer that could be lost or
 * reordered. Between data callbacks the room remembers where those bytes are (`held`): libssh 0.10 to 0.12 moves a
 * channel buffer only when data for that channel arrives, and then calls back with the new place. Reading them with
 * ssh_channel_read instead would not do: 0.10's read re-opens the window to its full size whatever is still unread, so
 * that a client with a one-byte window could make us store without end.
 *
 * Owns: the ssh_channel's callbacks and this struct. Callbacks only mark and write; channel_drain, called by the pump's
 * turn, finishes and frees. Knows the pump and libssh, not the connection: it speaks upwards through struct
 * channel_host.
 */
#ifndef SERVER_CHANNEL_CHANNEL_H
#define SERVER_CHANNEL_CHANNEL_H

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/channel/service.h"
#include "server/config.h"
#include "server/figures/counters.h"
#include "server/report/record.h"
#include "sshecho/pump.h"

/* What all channels of a connection share; lives in the connection. */
struct channel_host {
    struct pump *pump;
    const struct config *config;
    struct counters *counters;
    uint64_t connection_id;                                 /* for the log */
    void (*violated)(void *data, enum close_reason reason); /* end the connection (later: it only marks) */
    void (*reset)(void *data);                              /* test bench: end the connection with a TCP reset */
    void (*rekey_every)(void *data, uint64_t bytes);        /* test bench: re-key now and after so many bytes */
    void (*wake_after)(void *data, int64_t us);             /* test bench: a turn of the pump, at the latest then */
    bool (*request_allowed)(void *data); /* rate limit on requests; false after it has marked the end */
    char *(*report)(void *data, bool for_people, bool terminal); /* on the connection so far; to be freed */
    void *data;
    struct record *record;
    const mono_time *turn_at;                   /* when this turn of the loop began */
    struct channel *first;                      /* all of them */
    struct channel *first_queued, *last_queued; /* those with residue, in the order in which they get their turn */
    unsigned open_count;
    unsigned unclosed_count; /* of them: finished by us, and the client has not sent its CLOSE */
    uint64_t opened_count;
    bool waiting_for_room; /* a channel was stopped by pending output or the turn's end: none may overtake it */
    bool writes_wait; /* libssh keeps what is written until new keys are in use: nothing is learnt of packets until then
                       */
    bool rekeys_on_request; /* test bench: keys are re-exchanged at other times than the configuration's */
    uint64_t bytes_in, bytes_out, echoes;
};

/* One direction of input: stdout (0) or stderr (1), each echoed as what it came as. */
struct stream {
    const uint8_t *held; /* in libssh's buffer: received, not yet echoed */
    uint32_t held_bytes;
    uint32_t echoed_bytes; /* in front of `held`: echoed, not yet consumed */
};

struct channel {
    struct channel_host *host;
    struct channel *next, *previous, *next_queued, *previous_queued;
    ssh_channel ssh;
    struct ssh_channel_callbacks_struct callbacks;
    struct stream streams[2];
    struct service service;
    struct channel_record *record; /* what was observed; belongs to the connection's */
    uint32_t packet_bytes;         /* the largest packet it has sent: nobody says what its peer takes */
    uint32_t portion_bytes;        /* what it may still write before the others come */
    bool queued;                   /* has residue, or something to generate, or an end to carry out */
    bool draining;                 /* our own write is in progress: callbacks must not take bytes */
    const char *answer; /* SERVICE_TERMINAL: what is left to send of the echo of a byte that is not its own */
    const char *note;   /* what is left to say to who came with a terminal; NULL: nothing */
    bool terminal;      /* a pty-req came first */
    bool ends;          /* SERVICE_TERMINAL: it does behind the answer */
    bool eof_received;
    bool close_received;
    bool exit_now; /* the test bench ends it before the client does */
    bool finished; /* exit-status, EOF and CLOSE are sent */
};

/* Makes a channel for a request to open a session. NULL when out of memory; the caller has checked the limits. */
struct channel *channel_create(struct channel_host *host, ssh_session session);
/* Removes the callbacks and forgets the ssh_channel. Not inside a callback of its own. */
void channel_destroy(struct channel *channel);

/* Test bench: time has passed, each channel that may care looks at it in the next drain. */
void channels_wake(struct channel_host *host);

/* Puts the channel in line for the next drain. For the rooms of a channel. */
void channel_queue(struct channel *channel);

/* Moves residue of the queued channels, a portion each, finishes what has ended, frees what the client has closed.
 * Returns true if a channel was held back by pending output, its portion or the end of the pump's turn alone. */
bool channels_drain(struct channel_host *host);
void channels_destroy_all(struct channel_host *host);
/* Whether the client has closed every channel it ever opened. */
bool channels_all_closed(const struct channel_host *host);
/* Bytes received and not echoed, over all channels. */
uint64_t channels_held_bytes(const struct channel_host *host);

#endif
