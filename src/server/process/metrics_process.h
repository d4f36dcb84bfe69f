/*
 * metrics_process.h - room: the process that serves the figures.
 *
 * HTTP is answered by a process of its own that has nothing to lose: no root, no key, no file, no listening socket but
 * its own, the scoreboard read-only, a filter on its system calls. The master makes it, makes it anew when it dies, and
 * puts on the scoreboard what only the master can look up (sampler_take).
 */
#ifndef SERVER_PROCESS_METRICS_PROCESS_H
#define SERVER_PROCESS_METRICS_PROCESS_H

#include <sys/types.h>

#include "server/figures/scoreboard.h"
#include "server/process/generation.h"
#include "sshecho/clock.h"

struct metrics_process {
    pid_t pid;                 /* 0: none */
    struct net_address serves; /* the address asked for by the generation it was made for */
    mono_time next_start;
};

/* Has the process that this generation asks for, and no other. Call when a generation takes over and now and then.
 * Never returns in the new process. */
void metrics_process_look(struct metrics_process *process, struct generation *generation, struct generation *previous,
                          struct scoreboard *board, pid_t master);
/* Whether the child that has ended was it; then it is missed. */
bool metrics_process_ended(struct metrics_process *process, pid_t pid, int status);
void metrics_process_stop(struct metrics_process *process);

#endif
