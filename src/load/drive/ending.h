/*
 * ending.h - room: how a measurement comes to its end.
 *
 * What was planned and never begun, what stands when the time is up, what is still outstanding and for how long that is
 * waited for: all so that started = ok + failed + timed out + unfinished. Works on the worker's clients and tally; owns
 * nothing.
 */
#ifndef LOAD_DRIVE_ENDING_H
#define LOAD_DRIVE_ENDING_H

#include "load/drive/worker.h"

/* No more work: what the plan still held for the measurement counts as not issued. */
void ending_abandon(struct load_worker *worker);
/* The measurement has just ended: notes the sessions that stand, and the modes whose operations are sessions. */
void ending_measured(struct load_worker *worker);
/* Whether everything that was begun has come to its end. */
bool ending_is_quiet(const struct load_worker *worker);
/* Whether a measurement by count has all it wants. */
bool ending_has_enough(const struct load_worker *worker);
/* The drain is over: what is outstanding counts as unfinished. */
void ending_give_up(struct load_worker *worker);

#endif
