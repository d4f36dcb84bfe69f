/*
 * channel.h - room: one session channel, from its opening to its end; and all channels of a connection.
 *
 * Life and turns: which channel has something left to do, in which order they get their portions, how each ends. The
 * bytes are the echo's (echo.h) or the generator's (generator.h); requests are read in channel_requests.c.
 *
 * Owns: the ssh_channel's callbacks and these structs. Callbacks only mark and write; channels_drain, called by the
 * pump's turn, finishes and frees. Knows the pump and libssh, not the connection: it speaks upwards through struct
 * channel_host.
 */
#ifndef SERVER_CHANNEL_CHANNEL_H
#define SERVER_CHANNEL_CHANNEL_H

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/channel/echo.h"
#include "server/channel/host.h"
#include "server/channel/output.h"
#include "server/channel/service.h"

/* All channels of a connection; lives in the connection. */
struct channels {
    struct channel_host host;
    struct outputs outputs;
    struct channel *first;
    struct channel *first_queued, *last_queued; /* those with residue, in the order in which they get their turn */
    unsigned open_count;
    unsigned unclosed_count; /* of them: finished by us, and the client has not sent its CLOSE */
};

struct channel {
    struct channels *all;
    struct channel *next, *previous, *next_queued, *previous_queued;
    ssh_channel ssh;
    struct ssh_channel_callbacks_struct callbacks;
    struct echo echo;
    struct service service;
    struct channel_record *record; /* what was observed; belongs to the connection's */
    unsigned late_requests;        /* reply-delay: came, and have not been answered */
    bool queued;                   /* has residue, or something to generate, or an end to carry out */
    bool terminal;                 /* a pty-req came first */
    bool eof_received;
    bool close_received;
    bool finished; /* exit-status, EOF and CLOSE are sent */
};

void channels_begin(struct channels *channels, const struct channel_host *host);

/* Makes a channel for a request to open a session. NULL when out of memory; the caller has checked the limits. */
struct channel *channel_create(struct channels *channels, ssh_session session);
/* The client opens the window of the channel with this number, of which `left` bytes are left, by so many bytes. Of a
 * connection with very many open channels not all are found. */
void channels_window(struct channels *channels, uint32_t number, uint32_t left, uint32_t bytes);

/* Moves residue of the queued channels, a portion each, finishes what has ended, frees what the client has closed.
 * Returns true if a channel was held back by pending output, its portion or the end of the pump's turn alone. */
bool channels_drain(struct channels *channels);
/* Misbehaviour: time has passed, each channel that may care looks at it in the next drain. */
void channels_wake(struct channels *channels);
/* A re-key is to come when the client has nothing to send: until there are new keys nothing is consumed, so that its
 * windows run dry, and nothing generated. */
void channels_hush(struct channels *channels);
/* New keys are in use. */
void channels_rekeyed(struct channels *channels);
/* reply-delay: a request on a channel has come, and channels_answer will be told of it. False: it is none of these, or
 * at its end. */
bool channels_expect(struct channels *channels, ssh_channel ssh);
/* Does what is asked for, and answers. */
void channels_answer(struct channels *channels, ssh_message message);
void channels_destroy_all(struct channels *channels);

/* Whether the client has closed every channel it ever opened. */
bool channels_all_closed(const struct channels *channels);
/* Whether something waits for the client: to take it, or to close what we have closed. */
bool channels_wait(const struct channels *channels);
/* Bytes received and not echoed, over all channels. */
uint64_t channels_held_bytes(const struct channels *channels);

#endif
