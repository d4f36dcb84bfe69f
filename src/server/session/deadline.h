/*
 * deadline.h - room: the deadlines of a connection.
 *
 * Version line, key exchange, login, idleness, lack of progress, the whole session: whatever ends first has the one
 * timer. It is told each change of state and keeps what it needs of it; deadline_nearest is the one place that knows
 * what the deadlines are. What a deadline counts from only ever moves forward within a state, so a packet re-arms
 * nothing: the timer comes at the moment that was nearest once, looks again, and goes on to the next. Every call takes
 * the time, for tests with a clock of their own.
 *
 * Owns its timer; knows no connection: it says `expired`, once, with the reason.
 */
#ifndef SERVER_SESSION_DEADLINE_H
#define SERVER_SESSION_DEADLINE_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/config.h"
#include "server/figures/counters.h"
#include "server/session/phase.h"
#include "sshecho/clock.h"

struct deadline {
    const struct config *config;
    struct ev_loop *loop;
    void (*expired)(void *data, enum close_reason reason);
    void *data;
    ev_timer timer;
    int64_t armed_ns; /* what the timer is set to; INT64_MAX: to nothing */
    enum phase phase;
    mono_time accepted_at, phase_at;
    mono_time input_at;    /* the last input was seen */
    mono_time progress_at; /* something began to wait, or some of it has gone since */
    mono_time rekey_at;
    uint64_t bytes_in, bytes_out; /* through the socket, at the last look */
    bool waiting, rekeying;
};

/* The first phase begins now. */
void deadline_begin(struct deadline *deadline, struct ev_loop *loop, const struct config *config, mono_time now,
                    void (*expired)(void *data, enum close_reason reason), void *data);
/* Stops the timer for good. Safe before deadline_begin on a zeroed struct, and twice. */
void deadline_end(struct deadline *deadline);

void deadline_phase(struct deadline *deadline, enum phase phase, mono_time now);
/* A key re-exchange has begun, or ended. */
void deadline_rekeying(struct deadline *deadline, bool rekeying, mono_time now);
/* After each turn: bytes through the socket so far, and whether something waits for the client to take it. Without a
 * deadline that depends on these it does not even look at the clock. */
void deadline_turned(struct deadline *deadline, uint64_t bytes_in, uint64_t bytes_out, bool waiting);

/* The nearest deadline and why; INT64_MAX when there is none. */
int64_t deadline_nearest(const struct deadline *deadline, enum close_reason *reason);
/* What the timer does, and deadline_turned with a given time: for tests. */
void deadline_look(struct deadline *deadline, mono_time now);
void deadline_turned_at(struct deadline *deadline, uint64_t bytes_in, uint64_t bytes_out, bool waiting, mono_time now);

#endif
