/*
 * handshake.h - room: from a TCP connection to a usable session.
 *
 * The steps between connect(2) and the first echo: key exchange, host key, login, channels and their requests,
 * greeting; each a non-blocking libssh call, tried again in each pump turn until it no longer says "again". Times each
 * phase. Owns how far a connection has come; answers with a verdict, and leaves what follows from it to its caller.
 * Called from within pump turns only.
 */
#ifndef LOAD_CONNECTION_HANDSHAKE_H
#define LOAD_CONNECTION_HANDSHAKE_H

#include "load/connection/login.h"
#include "load/connection/stream.h"
#include "load/settings.h"
#include "load/tally/fault.h"
#include "load/tally/tally.h"
#include "sshecho/pump.h"

#include <libssh/libssh.h>
#include <stdint.h>

enum handshake_stage { HANDSHAKE_KEX, HANDSHAKE_AUTH, HANDSHAKE_CHANNELS, HANDSHAKE_FIRST_ECHO, HANDSHAKE_DONE };

enum handshake_verdict { HANDSHAKE_WAITS, HANDSHAKE_GOES_ON, HANDSHAKE_FAILED };

struct handshake_failure {
    enum fault fault; /* FAULT_NONE: the session's own error says */
    char text[FAULT_EXAMPLE_MAX];
};

struct handshake {
    enum handshake_stage stage;
    uint32_t target;     /* index into settings->targets */
    uint32_t generation; /* connections made by this client */
    int64_t phase_ns;    /* end of the last finished phase */
    struct login_state login;
    uint32_t first_unready;
    unsigned char *steps; /* [settings->options.channels]: how far each has come */
};

/* What the connections of a thread share. */
struct handshake_shared {
    const struct settings *settings;
    struct login_material *login;
    struct tally *tally;
};

/* 0, or -1 out of memory. */
int handshake_init(struct handshake *handshake, uint64_t channels);
void handshake_free(struct handshake *handshake);

/* At connect(2). */
void handshake_begin(struct handshake *handshake, uint32_t target, uint32_t user, uint32_t generation, int64_t now_ns);
/* Notes the time since the end of the phase before. */
void handshake_finish_phase(struct handshake *handshake, struct tally *tally, enum tally_phase phase, int64_t now_ns);
/* Everything that the settings say about a session, the fd included. 0, or -1 (ask ssh_get_error). */
int handshake_set_options(const struct settings *settings, const struct handshake *handshake, int fd,
                          ssh_session session);

/* As far as it goes now; HANDSHAKE_GOES_ON when every channel stands. */
enum handshake_verdict handshake_to_channels(struct handshake *handshake, const struct handshake_shared *shared,
                                             struct pump *pump, struct stream *streams,
                                             struct handshake_failure *failure);
/* Greets, and counts the echoes; HANDSHAKE_GOES_ON when the session is usable. */
enum handshake_verdict handshake_first_echo(struct handshake *handshake, const struct handshake_shared *shared,
                                            struct stream *streams, struct handshake_failure *failure);

#endif
