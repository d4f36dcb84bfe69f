/*
 * output.h - room: what a channel writes.
 *
 * How much may go now (the peer's window, the cap on pending output, the turn's budget, the channel's portion of it),
 * and writing it, counted. Owns struct output, a part of the channel's echo, and struct outputs, which those of a
 * connection share. Knows the pump, libssh's writes and the channel's host; not what the bytes are.
 */
#ifndef SERVER_CHANNEL_OUTPUT_H
#define SERVER_CHANNEL_OUTPUT_H

#include <libssh/libssh.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/channel/host.h"

/* What the outputs of a connection have in common. */
struct outputs {
    struct channel_host *host;
    bool waiting_for_room; /* one was stopped by pending output or the turn's end: none may overtake it */
    bool writes_wait; /* libssh keeps what is written until new keys are in use: nothing is learnt of packets until then
                       */
    bool quiet;       /* before a re-key: nothing is consumed, so that windows run dry, and nothing generated */
    bool rekeys_on_request; /* misbehaviour: keys are re-exchanged at other times than the configuration's */
};

struct output {
    struct outputs *all;
    ssh_channel ssh;
    struct channel_record *record;
    uint32_t packet_bytes;  /* the largest packet it has sent: nobody says what its peer takes */
    uint32_t portion_bytes; /* what it may still write before the others come */
    bool writing;           /* from outside of a callback: callbacks must not take bytes */
};

/* The portion of a channel that nobody waits for. */
#define OUTPUT_ALL UINT32_MAX

/* Whether anything may be written in this turn: pending output is below its cap, and the turn's budget not used up. */
bool outputs_have_room(const struct outputs *all);

/* Whether what has just come may go at once: we are not writing, and no channel waits for room. */
bool output_is_free(const struct output *output);

/* How much of `want` may be written now. */
uint32_t output_allows(struct output *output, uint64_t want);

/* Writes n bytes, not more than were allowed. Returns what libssh took, which may be less while keys are re-exchanged,
 * or -1 when the channel can carry no more. output_write is for callbacks of libssh. Outside of them the write may read
 * the socket, and call back: the data must not be libssh's own. */
int64_t output_write(struct output *output, const void *data, uint32_t n, bool is_stderr);
int64_t output_write_outside(struct output *output, const void *data, uint32_t n, bool is_stderr);

/* Outside of callbacks. Returns what follows the part of the text that could be sent; NULL when that was all of it, or
 * the client has closed. */
const char *output_write_text(struct output *output, const char *text, bool is_stderr);

#endif
