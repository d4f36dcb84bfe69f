/*
 * master.h - room: the master process.
 *
 * Holds what outlives a worker: configuration, host keys, credentials, listening sockets, the scoreboard. Makes
 * workers, replaces those that die (with back-off) or no longer turn (watchdog), reloads, drains, reports. It never
 * speaks SSH and never touches a client.
 */
#ifndef SERVER_PROCESS_MASTER_H
#define SERVER_PROCESS_MASTER_H

#include "server/config.h"

/* Takes over config. argv is kept for reloads. Returns the exit status of the process; also in the workers, which come
 * out of here too. */
int master_run(struct config *config, int argc, char **argv);

#endif
