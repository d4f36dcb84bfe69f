/*
 * master_state.h - room: what the master's files share, and nobody else sees.
 *
 * master.c begins and ends, loop.c hears signals and looks after what runs, reload.c changes from one generation to the
 * next, upgrade.c from one program to the next. An upgrade is executed in place: the process stays the same for whoever
 * supervises it (a service manager, a shell, a container whose first process it is) and stays the parent of the
 * workers, who go on meanwhile. What cannot be undone after an execve is tried before it: the new program rehearses as
 * a child, with the same arguments and copies of the sockets, up to a worker that is ready.
 */
#ifndef SERVER_MASTER_MASTER_STATE_H
#define SERVER_MASTER_MASTER_STATE_H

#include <ev.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>

#include "server/figures/scoreboard.h"
#include "server/master/inheritance.h"
#include "server/master/workers.h"
#include "server/process/generation.h"
#include "server/process/metrics_process.h"

/* A new program that tries whether it could take over. */
struct rehearsal {
    pid_t pid; /* 0: none */
    int estate_fd, output_fd;
    int64_t deadline_us; /* of workers.watched_us */
    bool killed;
    bool over; /* it could serve: this program becomes that one in the next turn, all signals are held back */
    ev_timer take_over;
    sigset_t heard_before;
    struct stat program;
    char path[PATH_MAX], version[64];
};

struct master {
    struct ev_loop *loop;
    /* previous: until its last worker is gone. It serves until `generation` is announced, then it leaves; one that was
     * rolled back leaves as well. */
    struct generation *generation, *previous;
    struct scoreboard *board;
    struct metrics_process metrics;
    struct workers workers;
    struct rehearsal rehearsal;
    ev_signal terminate, interrupt, hangup, user1, user2;
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
    bool upgrade_again;
    int board_fd;
    struct inheritance inheritance; /* of an heir until it serves, of a rehearsal until it has answered */
    mono_time sampled_at;
    uint64_t log_lost_told;
    int status;
    bool is_worker; /* after fork: we are the child, and leave through master_run */
    unsigned worker_slot;
};

/* loop.c */
void loop_start(struct master *m);
/* Those there are too few of. In a new worker it returns with the loop broken and m->is_worker. */
void loop_start_missing_workers(struct master *m);
void loop_look_after_metrics(struct master *m);
void loop_look_after_log(struct master *m);

/* reload.c */
/* SIGHUP: now, or when the last reload is over. */
void reload_ask(struct master *m);
/* Call after looking at the workers, of whom so many of the generation are ready: takes over, or gives up in time. */
void reload_look(struct master *m, unsigned ready);
/* Call when something is over: the previous generation may be too, and what was asked for meanwhile be done. */
void reload_go_on(struct master *m);
/* An heir whose own generation cannot be made: `previous` goes on. */
void reload_disinherit(struct master *m, const char *why);

/* upgrade.c */
/* SIGUSR2: now, or when what is going on is over. */
void upgrade_ask(struct master *m);
bool upgrade_is_possible(const struct master *m);
void upgrade_start(struct master *m);
/* An heir takes workers and scoreboard, and then hears what has been sent since the program before was no more. */
void upgrade_inherit(struct master *m);
void upgrade_hear_signals(void);
void upgrade_look(struct master *m);
/* Whether the child was the rehearsal. If it could serve, the next turn of the loop is this program's last. */
bool upgrade_child_ended(struct master *m, pid_t pid, int status);

#endif
