/*
 * echo.h - room: how the bytes of a channel move.
 *
 * The echo proper: what may be written now (the peer's window, the cap on pending output), writing it, consuming what
 * has been echoed, and the generators. Everything that keeps the receive window in step with the peer's is here
 * (channel.h says how). Part of a channel, in a file of its own; decides nothing about a channel's life.
 */
#ifndef SERVER_CHANNEL_ECHO_H
#define SERVER_CHANNEL_ECHO_H

#include "server/channel/channel.h"

/* Whether anything may be written in this turn: pending output is below its cap, and the turn's budget not used up. */
bool echo_has_room(struct channel_host *host);

/* libssh's data callback: `length` bytes are unconsumed. Echoes what may go now; returns how much is consumed by now.
 */
int echo_on_data(ssh_session session, ssh_channel ssh, void *data, uint32_t length, int is_stderr, void *user);

/* Opens the window beyond the little that a channel begins with, before data does, where libssh has a way to. Inside a
 * request's callback only. */
void echo_open_window(struct channel *channel);

/* Outside of callbacks: echoes what is held, and has libssh re-open the window for it. */
void echo_held(struct channel *channel);
/* Takes for echoed what is held: the bytes are not wanted back. */
void echo_discard(struct channel *channel);
/* RFC 864 or a report on stdout, or a complaint on stderr, as far as this turn goes. Returns true when everything is
 * out. */
bool echo_generate(struct channel *channel);

bool echo_is_complete(const struct channel *channel);

#endif
