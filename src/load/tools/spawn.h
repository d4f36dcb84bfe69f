/*
 * spawn.h - room: this program, run again.
 *
 * A run is a process of its own, so that none inherits anything from the one before. Owns the child while it runs.
 */
#ifndef LOAD_TOOLS_SPAWN_H
#define LOAD_TOOLS_SPAWN_H

#include <stddef.h>

/* Runs "sshload WORDS...", its reports silenced by the words, and waits for it. SIGINT and SIGTERM to us are
 * passed on. Returns its exit code, or -1 with a line on stderr when it could not be
 * started or was killed. *stopped is set when we were told to stop meanwhile. */
int spawn_run(char *const *words, size_t count, int *stopped);

#endif
