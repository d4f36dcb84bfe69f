/*
 * master_state.h - room: what the master's files share, and nobody else sees.
 *
 * master.c runs the loop and hears signals, reload.c changes from one generation to the next.
 */
#ifndef SERVER_PROCESS_MASTER_STATE_H
#define SERVER_PROCESS_MASTER_STATE_H

#include <ev.h>

#include "server/figures/scoreboard.h"
#include "server/process/generation.h"
#include "server/process/metrics_process.h"
#include "server/process/workers.h"

struct master {
    struct ev_loop *loop;
    /* previous: until its last worker is gone. It serves until `generation` is announced, then it leaves; one that was
     * rolled back leaves as well. */
    struct generation *generation, *previous;
    struct scoreboard *board;
    struct metrics_process metrics;
    struct workers workers;
    ev_signal terminate, interrupt, hangup, user1;
    ev_child child;
    ev_timer look;
    pid_t pid;
    int argc;
    char **argv;
    uint64_t fd_limit;
    bool draining, announced;
    bool served;         /* announced once: from then on somebody serves, through reloads too */
    int64_t ready_by_us; /* of workers.watched_us: when a new generation has had its time */
    bool reload_again;   /* asked for while the last one was not over */
    mono_time sampled_at;
    uint64_t log_lost_told;
    int status;
    bool is_worker; /* after fork: we are the child, and leave through master_run */
    unsigned worker_slot;
};

/* master.c */
void master_start_missing_workers(struct master *m);

/* reload.c */
/* SIGHUP: now, or when the last reload is over. */
void reload_ask(struct master *m);
/* Call after looking at the workers, of whom so many of the generation are ready: takes over, or gives up in time. */
void reload_look(struct master *m, unsigned ready);
/* Call when a child has ended: the previous generation may be over. */
void reload_child_ended(struct master *m);

#endif
