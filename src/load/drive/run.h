/*
 * run.h - room: a run from start to end, in the main thread.
 *
 * Starts the workers, opens the gate when all their sessions stand (or at --start-at), shows progress, passes signals
 * on, waits for the end in bounded time, and gathers the result. Owns the workers and the control.
 */
#ifndef LOAD_DRIVE_RUN_H
#define LOAD_DRIVE_RUN_H

#include "load/observe/observer.h"
#include "load/result/result.h"
#include "load/settings.h"

/* What the options say is to be observed of the server. */
struct observed run_observed(const struct settings *settings);
/* Fills *result (result_init'ed by the caller). link_fd: to the process over this one (link.h), -1 where there is none;
 * owned from here on. Returns 0, or -1 with a sentence when nothing could be started. */
int run_load(const struct settings *settings, int link_fd, struct result *result, char *error, size_t error_size);

#endif
