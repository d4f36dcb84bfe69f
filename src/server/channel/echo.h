/*
 * echo.h - room: how the bytes of a channel come back.
 *
 * Keeps the receive window in step with the peer's window by consuming a byte only once it has been echoed: libssh
 * re-opens the window towards the client only for consumed bytes. What cannot be echoed now (window shut, output
 * pending, key re-exchange) stays in libssh's channel buffer; there is no second buffer that could be lost or
 * reordered. Between data callbacks the room remembers where those bytes are (`held`): libssh 0.10 to 0.12 moves a
 * channel buffer only when data for that channel arrives, and then calls back with the new place. Reading them with
 * ssh_channel_read instead would not do: 0.10's read re-opens the window to its full size whatever is still unread, so
 * that a client with a one-byte window could make us store without end.
 *
 * Owns struct echo, a part of the channel, with its output. Knows libssh's reads and the channel's host; decides
 * nothing about a channel's life and answers with verdicts.
 */
#ifndef SERVER_CHANNEL_ECHO_H
#define SERVER_CHANNEL_ECHO_H

#include <libssh/libssh.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/channel/host.h"
#include "server/channel/misbehave.h"
#include "server/channel/output.h"

/* What becomes of what comes. */
enum echo_mode {
    ECHO_NOT_YET,  /* it stays where it is: nothing has been asked for */
    ECHO_BYTES,    /* it comes back */
    ECHO_TERMINAL, /* as it would on a terminal */
    ECHO_DISCARD,  /* nobody wants it back */
    ECHO_CLOSED    /* consuming would grant more window on a channel that we have closed */
};

/* One direction of input: stdout (0) or stderr (1), each echoed as what it came as. */
struct stream {
    const uint8_t *held; /* in libssh's buffer: received, not yet echoed */
    uint32_t held_bytes;
    uint32_t echoed_bytes; /* in front of `held`: echoed, not yet consumed */
};

struct echo {
    struct channel_host *host;
    struct output output;
    struct stream streams[2];
    struct misbehaviour *misbehaviour; /* NULL: none; not ours */
    enum echo_mode mode;
    bool over;          /* it ends before the client ends it */
    bool ends;          /* ECHO_TERMINAL: it does behind the answer */
    const char *answer; /* ECHO_TERMINAL: what is left to send of the echo of a byte that is not its own */
    const char *note;   /* what is left to say to who came with a terminal; NULL: nothing */
};

enum echo_verdict {
    ECHO_DONE,
    ECHO_HELD,   /* something is left for a turn outside of callbacks */
    ECHO_OVERRUN /* more than the window that was granted */
};

/* The record belongs to the connection's. */
void echo_begin(struct echo *echo, struct outputs *outputs, ssh_channel ssh, struct channel_record *record);
/* A service has begun. The note is static. */
void echo_serve(struct echo *echo, enum echo_mode mode, struct misbehaviour *misbehaviour, const char *note);

/* In libssh's data callback: `length` bytes are unconsumed. Echoes what may go now; *consumed is how much is consumed
 * by now. */
enum echo_verdict echo_take(struct echo *echo, const uint8_t *data, uint32_t length, bool is_stderr,
                            uint32_t *consumed);

/* Opens the window beyond the little that a channel begins with, before data does, where libssh has a way to. Inside a
 * request's callback only. */
void echo_open_window(struct echo *echo);

/* Outside of callbacks: echoes what is held, as far as this turn goes, and has libssh re-open the window for it. */
void echo_drain(struct echo *echo);

/* Nobody is there to read it. */
void echo_forget_note(struct echo *echo);

uint64_t echo_held_bytes(const struct echo *echo);
/* Everything that came has gone back. */
bool echo_is_complete(const struct echo *echo);

#endif
