/*
 * stream.h - room: the messages of one channel.
 *
 * Keeps what is due, what was sent and what must come back next; writes within the peer's window and the cap on unsent
 * output; verifies what arrives and counts it. Positions in the stream are all that is kept of the content.
 * A channel outlives its SSH channel: when a connection is replaced, messages that were due and not sent stay due.
 * Owned by its client; calls libssh only from within a pump turn of that client. Knows no mode: whoever owns the client
 * decides what is due when.
 */
#ifndef LOAD_CONNECTION_STREAM_H
#define LOAD_CONNECTION_STREAM_H

#include "load/connection/heard.h"
#include "load/settings.h"
#include "load/tally/tally.h"
#include "sshecho/clock.h"
#include "sshecho/pump.h"

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <stdbool.h>
#include <stdint.h>

/* Output that may wait unsent per connection before a channel holds back: two turns' worth for the peer. */
#define STREAM_OUTPUT_CAP ((size_t)256 * 1024)

/* Messages of one channel that may be due or outstanding; beyond it, work counts as not issued. */
#define STREAM_MESSAGES_MAX 65536U

struct stream_message {
    int64_t due_ns;
    int64_t sent_ns; /* 0: not yet */
    uint32_t size;
    bool measured; /* counts in the tally */
    bool greeting; /* the first echo of a connection: never counted */
};

/* What all channels of a thread share. */
struct stream_shared {
    const struct settings *settings;
    struct tally *tally;
    int64_t measure_from_ns, measure_to_ns; /* INT64_MAX while not known */
    uint32_t outstanding_most;              /* messages of one channel sent and not answered */
    bool messages_are_operations;           /* else they are timed, and sessions are what is counted */
};

struct stream {
    ssh_channel handle; /* belongs to the session; NULL when there is none */
    struct stream_shared *shared;
    struct pump *pump;
    struct target_count *target; /* where there are several */
    struct ssh_channel_callbacks_struct callbacks;
    uint64_t number; /* among all channels of the whole run */
    uint64_t seed;   /* of the content; changes with each connection */
    uint64_t issued; /* messages so far, for their sizes */

    struct stream_message *ring;
    uint32_t ring_size;          /* a power of two, or 0 */
    uint32_t head, unsent, tail; /* sequence numbers: head..unsent are outstanding, unsent..tail wait to be sent */
    uint32_t head_left;          /* bytes of the head message still to come back */
    uint32_t unsent_left;        /* bytes of the first unsent message still to be written; 0: not begun */

    uint64_t written, read;  /* stream positions on this connection */
    uint64_t measured_bytes; /* that came back (or were sent, where nothing comes back) in the measured time */
    uint64_t most_in_flight; /* bytes */

    int64_t progress_ns; /* last message answered, or the connection's begin */
    uint64_t completed;  /* messages on this connection, its greeting not counted */
    bool one_way;        /* stream up: a message is done when it is written */
    bool greeted;        /* the greeting came back */
    bool remote_closed;  /* the peer sent CLOSE */
    bool remote_eof;
    bool mismatch;      /* content went wrong; `complaint` says how */
    int exit_status;    /* -1: none seen */
    char *complaint;    /* malloc'd, or NULL */
    struct heard heard; /* while nothing has been echoed */
};

void stream_init(struct stream *stream, struct stream_shared *shared, uint64_t number);
void stream_free(struct stream *stream);

/* A new SSH channel for this channel's stream; `generation` numbers the connection, for fresh content. The messages
 * that were not sent stay. Returns 0, or -1 out of memory. */
int stream_attach(struct stream *stream, struct pump *pump, ssh_channel handle, uint64_t generation);
/* The connection has gone. Outstanding messages count as `fault`; unsent ones stay if keep_unsent, else count as not
 * issued. `complaint` explains the latter. */
void stream_detach(struct stream *stream, enum fault fault, bool keep_unsent);

/* Whether one more message can be queued: not at STREAM_MESSAGES_MAX, or out of memory. */
bool stream_has_room(struct stream *stream);
/* One more message, due at due_ns. False where there is no room (nothing is counted then). */
bool stream_queue(struct stream *stream, int64_t due_ns, bool measured, bool greeting);
/* Writes what is due and may be written. True when output was held back because of the cap. */
bool stream_send(struct stream *stream);
/* The same for the rest of a message that has been sent in part; nothing new is begun. */
bool stream_send_begun(struct stream *stream);

/* Ends what is outstanding as unfinished, at the end of the run. */
void stream_give_up(struct stream *stream);
/* Since when the oldest message waits for its answer, or to be sent; INT64_MAX when there is none. */
int64_t stream_oldest_ns(const struct stream *stream);

/* Whether anything of ours has come back on this connection. */
static inline bool stream_has_echoed(const struct stream *stream)
{
    return stream->greeted || stream->completed > 0;
}

static inline uint32_t stream_waiting(const struct stream *stream)
{
    return stream->tail - stream->head;
}

#endif
