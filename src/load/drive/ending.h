/*
 * ending.h - room: how a measurement ends.
 *
 * What remains to be settled once the measured time is over: what each connection did in it, what is still waited for,
 * and what is given up. Works on a thread's clients and its tally; owns nothing.
 */
#ifndef LOAD_DRIVE_ENDING_H
#define LOAD_DRIVE_ENDING_H

#include "load/connection/client.h"

#include <stdbool.h>
#include <stdint.h>

/* At the end of the measured time: who is up, what each connection moved, what its window would have allowed. */
void ending_measured(struct client_shared *shared, const struct client *clients, uint64_t count);
/* Whether a session is down only because it is being replaced (--reconnect-*). */
bool ending_awaits_sessions(const struct client *clients, uint64_t count);
/* Nothing is outstanding, and nobody is closing. */
bool ending_is_quiet(const struct client_shared *shared, const struct client *clients, uint64_t count);
/* Counts as unfinished what the drain did not settle. */
void ending_give_up(struct client_shared *shared, struct client *clients, uint64_t count);

#endif
