/*
 * sampler.h - room: what only the master can look up.
 *
 * The kernel's figures about workers (processor time, memory) and listening sockets (accept queues), put on the
 * scoreboard for those who read it without any right of their own.
 */
#ifndef SERVER_MASTER_SAMPLER_H
#define SERVER_MASTER_SAMPLER_H

#include "server/entry/listener.h"
#include "server/figures/scoreboard.h"

void sampler_take(struct scoreboard *board, const struct listeners *listeners);

#endif
