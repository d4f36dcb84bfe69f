/*
 * handshake.h - room: from a TCP connection to a usable session.
 *
 * The steps of a client between connect(2) and its first echo: key exchange, host key, login, channels and their
 * requests, greeting; each a non-blocking libssh call, tried again in each pump turn until it no longer says "again".
 * Times each phase. Works on struct client, which client.c owns; called from inside its pump turns.
 */
#ifndef LOAD_DRIVE_HANDSHAKE_H
#define LOAD_DRIVE_HANDSHAKE_H

#include "load/drive/client.h"

/* Everything that the settings say about a session, the fd included. 0, or -1 (ask ssh_get_error). */
int handshake_set_options(struct client *client, ssh_session session);

/* Notes the time since the end of the phase before. */
void handshake_finish_phase(struct client *client, enum tally_phase phase, int64_t now_ns);

/* As far as it goes now. True when every channel stands and the client has become CLIENT_FIRST_ECHO; false when it
 * waits for the peer or has failed. */
bool handshake_to_channels(struct client *client);

/* Greets, and counts the echoes. True when the client has come up (and its owner has been told). */
bool handshake_first_echo(struct client *client);

#endif
