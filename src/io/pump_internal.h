/*
 * pump_internal.h - inside the room of pump.h: what its files know of one another.
 *
 * pump.c turns, pump_counts.c knows what has gone through; pump_turns.c decides who has his turn when many have
 * something to do.
 */
#ifndef IO_PUMP_INTERNAL_H
#define IO_PUMP_INTERNAL_H

#include "sshecho/pump.h"

/* What the session has cost so far, in bytes: its turns are measured by the difference. */
uint64_t pump_cost_bytes(const struct pump *pump);

/* A turn with a portion of so many bytes from the socket. */
void pump_take_turn(struct pump *pump, size_t bytes);

/* Its socket is ready: a turn, now or later. */
void pump_wants_turn(struct pump *pump);
/* It has nothing to do any more. */
void pump_leave_line(struct pump *pump);

#endif
