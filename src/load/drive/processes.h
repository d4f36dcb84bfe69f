/*
 * processes.h - room: a run in several processes, where one has too few file descriptors.
 *
 * Each process runs its share of the threads (run.h) and hands its result over in an unnamed file. This one, over them,
 * opens the gate when the sessions of all of them stand, shows progress, passes signals on, and makes one result of
 * theirs. Owns the processes; starts them before it has a loop or a thread.
 */
#ifndef LOAD_DRIVE_PROCESSES_H
#define LOAD_DRIVE_PROCESSES_H

#include "load/result/result.h"
#include "load/settings.h"

/* How many processes this run needs, or was told to take, where each may have so many descriptors. */
unsigned processes_for(const struct settings *settings, uint64_t descriptors);

/* As run_load of run.h. */
int processes_run(const struct settings *settings, unsigned count, struct result *result, char *error,
                  size_t error_size);

#endif
