/*
 * crew.h - room: the workers as the master sees them.
 *
 * Who is running, who has been told to leave, who was lost and how long to wait before the next is made. Forks, kills
 * and reads heartbeats; knows no event loop, no signals of the master and no sockets. The crew owns its places; the
 * scoreboard and the generations are borrowed, and a generation must outlive its workers (crew_count says when it may
 * go).
 */
#ifndef SERVER_PROCESS_WORKERS_H
#define SERVER_PROCESS_WORKERS_H

#include <stdbool.h>
#include <sys/types.h>

#include "server/figures/scoreboard.h"
#include "server/process/generation.h"
#include "sshecho/clock.h"

enum place_state { PLACE_EMPTY, PLACE_RUNNING, PLACE_LEAVING };

/* A worker's place in the scoreboard. */
struct place {
    enum place_state state;
    pid_t pid;
    mono_time since; /* started, or told to leave */
    bool ready;
    bool killed_stuck;
    const struct generation *generation;
};

struct crew {
    struct scoreboard *board;
    struct place places[SCOREBOARD_WORKERS];
    int64_t backoff_us;
    mono_time next_start;
};

/* Workers of a generation (NULL: of any), and of those the ones that have not been told to leave. */
unsigned crew_count(const struct crew *crew, const struct generation *of);
unsigned crew_count_running(const struct crew *crew, const struct generation *of);

/* From now on a missing worker is made at once, whatever happened before. */
void crew_forget_losses(struct crew *crew);

/* Makes one worker if the generation lacks one and the pause after a loss is over. */
enum crew_start { CREW_COMPLETE, CREW_STARTED, CREW_IN_WORKER };
/* CREW_IN_WORKER: this is the new process, with every signal blocked; its place is *slot. */
enum crew_start crew_start_missing(struct crew *crew, const struct generation *generation, mono_time now,
                                   unsigned *slot);

/* A child has ended with this wait status: logs it unless it had been told to leave, and frees its place. */
void crew_child_ended(struct crew *crew, pid_t pid, int status);

/* Tells to leave (SIGTERM, then the drain deadline) all but the workers of `keep`; NULL: every one. */
void crew_dismiss(struct crew *crew, const struct generation *keep, mono_time now);
void crew_kill(struct crew *crew);

/* Kills whoever stands still or has not left in time. Returns how many workers of the generation have turned a loop. */
unsigned crew_watch(struct crew *crew, const struct generation *generation, mono_time now);

/* A line for each worker. */
void crew_log(const struct crew *crew);

#endif
