/*
 * master.h - room: the master process.
 *
 * Holds what outlives a worker: configuration, host keys, credentials, listening sockets, the scoreboard. Makes
 * workers, replaces those that die (with back-off) or no longer turn (watchdog), reloads, drains, reports. It never
 * speaks SSH and never touches a client.
 */
#ifndef SERVER_MASTER_MASTER_H
#define SERVER_MASTER_MASTER_H

#include "server/config.h"

/* Takes over config; NULL where there is none for the reason in *refused, which only an heir survives. argv is kept for
 * reloads. Returns the exit status of the process; also in the workers, which come out of here too. */
int master_run(struct config *config, const struct option_error *refused, int argc, char **argv);
/* Whether this program has been executed in place of another, whose workers serve. */
bool master_is_heir(void);

#endif
