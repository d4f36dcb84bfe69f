#include "server/master/workers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sshecho/log.h"

/* A worker that lived for less is not replaced at once: the pause doubles up to the maximum. */
#define SHORT_LIFE_US (2 * US_PER_S)
#define BACKOFF_FIRST_US (50 * US_PER_MS)
#define BACKOFF_MAX_US (2 * US_PER_S) /* a worker that spins or crashes is to be back within 3 s */

/* What a worker gets beyond the drain deadline to say its goodbyes: 18,000 of them take about two seconds. */
#define DRAIN_GRACE_US (3 * US_PER_S)

/* What a worker gets to turn its loop for the first time, beyond the watchdog's limit. */
#define START_GRACE_US (10 * US_PER_S)

/* A master that looks later than this has not been watching: it was stopped with everybody else (a paused container, a
 * suspended machine), or had no processor, and neither had its workers. */
#define LOOK_LATE_US (250 * US_PER_MS)
#define LOOK_LATE_TOLD_US (1 * US_PER_S)

/* ---- counting ---------------------------------------------------------------------------------------------------- */

static unsigned count(const struct workers *workers, bool leaving_too, const struct generation *of)
{
    unsigned found = 0;
    for (unsigned i = 0; i < SCOREBOARD_WORKERS; i++) {
        const struct worker_process *process = &workers->processes[i];
        bool counts = process->state == PROCESS_RUNNING || (leaving_too && process->state == PROCESS_LEAVING);
        found += counts && (of == NULL || process->generation == of) ? 1 : 0;
    }
    return found;
}

unsigned workers_count(const struct workers *workers, const struct generation *of)
{
    return count(workers, true, of);
}

void workers_log(const struct workers *workers)
{
    for (unsigned i = 0; i < SCOREBOARD_WORKERS; i++) {
        if (workers->processes[i].state != PROCESS_NONE) {
            const struct counters *counters = &workers->board->workers[i];
            log_line(LOG_INFO, "worker", log_u64("worker_pid", (uint64_t)workers->processes[i].pid),
                     log_u64("connections", counters_get(&counters->connections)),
                     log_u64("accepted", counters_get(&counters->accepted)),
                     log_u64("draining", counters_get(&counters->draining)));
        }
    }
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

void workers_forget_losses(struct workers *workers)
{
    workers->backoff_us = 0;
    workers->next_start = mono_now();
}

/* Returns as fork() does; -1 as well when every slot is taken. */
static pid_t start_worker(struct workers *workers, const struct generation *generation, unsigned *slot)
{
    for (*slot = 0; *slot < SCOREBOARD_WORKERS && workers->processes[*slot].state != PROCESS_NONE;) {
        (*slot)++;
    }
    if (*slot == SCOREBOARD_WORKERS) {
        return -1;
    }
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before); /* a signal must not run the master's handlers in the worker */
    pid_t pid = fork();
    if (pid == 0) {
        return 0;
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) {
        log_line(LOG_ERROR, "worker_failed", log_str("why", strerror(errno)));
        return -1;
    }
    workers->processes[*slot] = (struct worker_process){.state = PROCESS_RUNNING,
                                                        .pid = pid,
                                                        .started = mono_now(),
                                                        .since_us = workers->watched_us,
                                                        .beat_us = workers->watched_us,
                                                        .generation = generation};
    scoreboard_enlist(workers->board, *slot, (uint64_t)pid);
    log_line(LOG_DEBUG, "worker_started", log_u64("worker_pid", (uint64_t)pid), log_u64("slot", *slot));
    return pid;
}

enum workers_start workers_start_missing(struct workers *workers, const struct generation *generation, mono_time now,
                                         unsigned *slot)
{
    if (mono_us_between(workers->next_start, now) < 0 ||
        count(workers, false, generation) >= generation->config->workers) {
        return WORKERS_COMPLETE;
    }
    pid_t pid = start_worker(workers, generation, slot);
    if (pid < 0) {
        workers->next_start = mono_add_us(now, BACKOFF_MAX_US);
        return WORKERS_COMPLETE;
    }
    return pid == 0 ? WORKERS_IN_WORKER : WORKERS_STARTED;
}

void workers_adopt(struct workers *workers, unsigned slot, pid_t pid, bool leaving, const struct generation *generation)
{
    workers->processes[slot] = (struct worker_process){.state = leaving ? PROCESS_LEAVING : PROCESS_RUNNING,
                                                       .pid = pid,
                                                       .started = mono_now(),
                                                       .since_us = workers->watched_us,
                                                       .beat_us = workers->watched_us,
                                                       .ready = true,
                                                       .generation = generation};
}

/* ---- losing ------------------------------------------------------------------------------------------------------ */

static void describe_death(const struct worker_process *process, int status, char *text, size_t size)
{
    if (process->killed == KILLED_STUCK) {
        (void)snprintf(text, size, "stuck: its loop did not turn");
    } else if (process->killed == KILLED_LATE) {
        (void)snprintf(text, size, "killed: it had not left by its drain deadline");
    } else if (WIFSIGNALED(status)) {
        (void)snprintf(text, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else {
        (void)snprintf(text, size, "exit status %d", WEXITSTATUS(status));
    }
}

static void worker_lost(struct workers *workers, unsigned slot, int status)
{
    const struct worker_process *process = &workers->processes[slot];
    struct counters *counters = &workers->board->workers[slot];
    mono_time now = mono_now();
    char why[128];
    describe_death(process, status, why, sizeof why);
    log_line(LOG_WARN, "worker_lost", log_u64("worker_pid", (uint64_t)process->pid), log_str("why", why),
             log_u64("connections_lost", counters_get(&counters->connections)),
             log_f64("lived_s", mono_s_between(process->started, now)));
    if (process->killed == KILLED_LATE) {
        return; /* nobody's fault, and nobody to replace */
    }
    source_strike(&workers->board->hold_offs, counters_get(&counters->last_source), (uint64_t)now.ns);
    if (process->state == PROCESS_LEAVING) {
        return;
    }
    counters_add(&workers->board->worker_restarts, 1);
    bool short_life = mono_us_between(process->started, now) < SHORT_LIFE_US && process->killed == KILLED_NOT;
    if (!short_life) {
        workers->backoff_us = 0;
    } else {
        workers->backoff_us = workers->backoff_us == 0 ? BACKOFF_FIRST_US : workers->backoff_us * 2;
        workers->backoff_us = workers->backoff_us > BACKOFF_MAX_US ? BACKOFF_MAX_US : workers->backoff_us;
    }
    workers->next_start = mono_add_us(now, workers->backoff_us);
}

bool workers_child_ended(struct workers *workers, pid_t pid, int status)
{
    for (unsigned slot = 0; slot < SCOREBOARD_WORKERS; slot++) {
        struct worker_process *process = &workers->processes[slot];
        if (process->state == PROCESS_NONE || process->pid != pid) {
            continue;
        }
        bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (process->state == PROCESS_RUNNING || !clean) {
            worker_lost(workers, slot, status);
        } else {
            log_line(LOG_DEBUG, "worker_left", log_u64("worker_pid", (uint64_t)pid));
        }
        scoreboard_bury(workers->board, slot);
        *process = (struct worker_process){.state = PROCESS_NONE};
        return true;
    }
    return false;
}

/* ---- telling to leave -------------------------------------------------------------------------------------------- */

void workers_dismiss(struct workers *workers, const struct generation *keep)
{
    for (unsigned i = 0; i < SCOREBOARD_WORKERS; i++) {
        struct worker_process *process = &workers->processes[i];
        if (process->state == PROCESS_RUNNING && (keep == NULL || process->generation != keep)) {
            process->state = PROCESS_LEAVING;
            process->since_us = workers->watched_us;
            (void)kill(process->pid, SIGTERM);
        }
    }
}

void workers_kill(struct workers *workers)
{
    for (unsigned i = 0; i < SCOREBOARD_WORKERS; i++) {
        if (workers->processes[i].state != PROCESS_NONE) {
            (void)kill(workers->processes[i].pid, SIGKILL);
        }
    }
}

/* ---- watching ---------------------------------------------------------------------------------------------------- */

static void kill_worker(struct worker_process *process, enum worker_process_killed why)
{
    process->killed = why;
    (void)kill(process->pid, SIGKILL); /* a stopped or spinning process hears nothing else; first act, then tell */
}

static void watch_worker(struct workers *workers, struct worker_process *process, const struct counters *counters)
{
    const struct config *config = process->generation->config;
    uint64_t beat_ns = counters_get(&counters->heartbeat_ns);
    if (beat_ns != process->beat_ns) {
        process->ready = true;
        process->beat_ns = beat_ns;
        process->beat_us = workers->watched_us;
    }
    if (process->killed != KILLED_NOT) {
        return;
    }
    int64_t still_us = workers->watched_us - process->beat_us;
    int64_t limit_us = (int64_t)config->watchdog_us + (process->ready ? 0 : START_GRACE_US);
    if (config->watchdog_us != 0 && still_us > limit_us) {
        kill_worker(process, KILLED_STUCK);
        log_line(LOG_ERROR, "worker_stuck", log_u64("worker_pid", (uint64_t)process->pid),
                 log_f64("since_s", (double)still_us / (double)US_PER_S));
    } else if (process->state == PROCESS_LEAVING &&
               workers->watched_us - process->since_us > (int64_t)config->drain_timeout_us + DRAIN_GRACE_US) {
        kill_worker(process, KILLED_LATE);
    }
}

static void advance_clock(struct workers *workers, mono_time now)
{
    int64_t passed_us = workers->looked_at.ns != 0 ? mono_us_between(workers->looked_at, now) : 0;
    workers->looked_at = now;
    workers->watched_us += passed_us < LOOK_LATE_US ? passed_us : LOOK_LATE_US;
    if (passed_us > LOOK_LATE_TOLD_US) {
        log_line(LOG_WARN, "master_late", log_f64("late_s", (double)passed_us / (double)US_PER_S),
                 log_str("note", "the master itself stood still, so its workers are not judged by this time"));
    }
}

unsigned workers_watch(struct workers *workers, const struct generation *generation, mono_time now)
{
    unsigned ready = 0;
    advance_clock(workers, now);
    for (unsigned i = 0; i < SCOREBOARD_WORKERS; i++) {
        struct worker_process *process = &workers->processes[i];
        if (process->state != PROCESS_NONE) {
            watch_worker(workers, process, &workers->board->workers[i]);
            ready += process->ready && process->generation == generation ? 1 : 0;
        }
    }
    return ready;
}
