/*
 * workers.h - room: the workers as the master sees them.
 *
 * Who is running, who has been told to leave, who was lost and how long to wait before the next is made. Forks, kills
 * and reads heartbeats; knows no event loop, no signals of the master and no sockets. The workers own their processes;
 * the scoreboard and the generations are borrowed, and a generation must outlive its workers (workers_count says when
 * it may go).
 */
#ifndef SERVER_MASTER_WORKERS_H
#define SERVER_MASTER_WORKERS_H

#include <stdbool.h>
#include <sys/types.h>

#include "server/figures/scoreboard.h"
#include "server/process/generation.h"
#include "sshecho/clock.h"

enum worker_process_state { PROCESS_NONE, PROCESS_RUNNING, PROCESS_LEAVING };

/* Why we have killed one. */
enum worker_process_killed { KILLED_NOT, KILLED_STUCK, KILLED_LATE };

/* A worker process and its slot in the scoreboard. The times are of workers.watched_us. */
struct worker_process {
    enum worker_process_state state;
    pid_t pid;
    mono_time started;
    int64_t since_us; /* started, or told to leave */
    int64_t beat_us;  /* seen to turn its loop */
    uint64_t beat_ns; /* what its heartbeat said then */
    bool ready;
    enum worker_process_killed killed;
    const struct generation *generation;
};

struct workers {
    struct scoreboard *board;
    struct worker_process processes[SCOREBOARD_WORKERS];
    int64_t backoff_us;
    mono_time next_start;
    mono_time looked_at;
    int64_t watched_us; /* a clock that stands still while the master does: what it has not watched it does not judge */
};

/* Workers of a generation (NULL: of any). */
unsigned workers_count(const struct workers *workers, const struct generation *of);

/* From now on a missing worker is made at once, whatever happened before. */
void workers_forget_losses(struct workers *workers);

/* Makes one worker if the generation lacks one and the pause after a loss is over. */
enum workers_start { WORKERS_COMPLETE, WORKERS_STARTED, WORKERS_IN_WORKER };
/* WORKERS_IN_WORKER: this is the new process, with every signal blocked; it sits in *slot. */
enum workers_start workers_start_missing(struct workers *workers, const struct generation *generation, mono_time now,
                                         unsigned *slot);

/* A worker that this process has not made, as one of `generation`, in its slot. */
void workers_adopt(struct workers *workers, unsigned slot, pid_t pid, bool leaving,
                   const struct generation *generation);

/* A child has ended with this wait status: logs it unless it had been told to leave, and frees its slot. Whether it was
 * a worker. */
bool workers_child_ended(struct workers *workers, pid_t pid, int status);

/* Tells to leave (SIGTERM, then the drain deadline) all but the workers of `keep`; NULL: every one. */
void workers_dismiss(struct workers *workers, const struct generation *keep);
void workers_kill(struct workers *workers);

/* Call often. Kills whoever stands still or has not left in time. Returns how many workers of the generation have
 * turned a loop. */
unsigned workers_watch(struct workers *workers, const struct generation *generation, mono_time now);

/* A line for each worker. */
void workers_log(const struct workers *workers);

#endif
