#include "server/process/workers.h"

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

/* What a worker gets beyond the drain deadline to say its goodbyes. */
#define DRAIN_GRACE_US (1 * US_PER_S)

/* What a worker gets to turn its loop for the first time, beyond the watchdog's limit. */
#define START_GRACE_US (10 * US_PER_S)

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

unsigned workers_count_running(const struct workers *workers, const struct generation *of)
{
    return count(workers, false, of);
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
    workers->processes[*slot] =
        (struct worker_process){.state = PROCESS_RUNNING, .pid = pid, .since = mono_now(), .generation = generation};
    counters_set(&workers->board->workers[*slot].pid, (uint64_t)pid);
    log_line(LOG_DEBUG, "worker_started", log_u64("worker_pid", (uint64_t)pid), log_u64("slot", *slot));
    return pid;
}

enum workers_start workers_start_missing(struct workers *workers, const struct generation *generation, mono_time now,
                                         unsigned *slot)
{
    if (mono_us_between(workers->next_start, now) < 0 ||
        workers_count_running(workers, generation) >= generation->config->workers) {
        return WORKERS_COMPLETE;
    }
    pid_t pid = start_worker(workers, generation, slot);
    if (pid < 0) {
        workers->next_start = mono_add_us(now, BACKOFF_MAX_US);
        return WORKERS_COMPLETE;
    }
    return pid == 0 ? WORKERS_IN_WORKER : WORKERS_STARTED;
}

/* ---- losing ------------------------------------------------------------------------------------------------------ */

static void describe_death(const struct worker_process *process, int status, char *text, size_t size)
{
    if (process->killed_stuck) {
        (void)snprintf(text, size, "stuck: its loop did not turn");
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
             log_f64("lived_s", mono_s_between(process->since, now)));
    scoreboard_strike(workers->board, counters_get(&counters->last_source), (uint64_t)now.ns);
    counters_add(&workers->board->worker_restarts, 1);
    bool short_life = mono_us_between(process->since, now) < SHORT_LIFE_US && !process->killed_stuck;
    if (!short_life) {
        workers->backoff_us = 0;
    } else {
        workers->backoff_us = workers->backoff_us == 0 ? BACKOFF_FIRST_US : workers->backoff_us * 2;
        workers->backoff_us = workers->backoff_us > BACKOFF_MAX_US ? BACKOFF_MAX_US : workers->backoff_us;
    }
    workers->next_start = mono_add_us(now, workers->backoff_us);
}

void workers_child_ended(struct workers *workers, pid_t pid, int status)
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
        break;
    }
}

/* ---- telling to leave -------------------------------------------------------------------------------------------- */

void workers_dismiss(struct workers *workers, const struct generation *keep, mono_time now)
{
    for (unsigned i = 0; i < SCOREBOARD_WORKERS; i++) {
        struct worker_process *process = &workers->processes[i];
        if (process->state == PROCESS_RUNNING && (keep == NULL || process->generation != keep)) {
            process->state = PROCESS_LEAVING;
            process->since = now;
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

static void watch_worker(struct worker_process *process, const struct counters *counters, mono_time now)
{
    const struct config *config = process->generation->config;
    uint64_t beat_ns = counters_get(&counters->heartbeat_ns);
    if (beat_ns != 0 && !process->ready) {
        process->ready = true;
    }
    mono_time beat = {.ns = beat_ns != 0 ? (int64_t)beat_ns : process->since.ns};
    int64_t limit_us = (int64_t)config->watchdog_us;
    if (limit_us != 0 && !process->killed_stuck && mono_us_between(beat, now) > limit_us &&
        (process->ready || mono_us_between(beat, now) > limit_us + START_GRACE_US)) {
        process->killed_stuck = true;
        (void)kill(process->pid, SIGKILL); /* a stopped or spinning process hears nothing else; first act, then tell */
        log_line(LOG_ERROR, "worker_stuck", log_u64("worker_pid", (uint64_t)process->pid),
                 log_f64("since_s", mono_s_between(beat, now)));
    }
    if (process->state == PROCESS_LEAVING && !process->killed_stuck &&
        mono_us_between(process->since, now) > (int64_t)config->drain_timeout_us + DRAIN_GRACE_US) {
        process->killed_stuck = true;
        (void)kill(process->pid, SIGKILL);
    }
}

unsigned workers_watch(struct workers *workers, const struct generation *generation, mono_time now)
{
    unsigned ready = 0;
    for (unsigned i = 0; i < SCOREBOARD_WORKERS; i++) {
        struct worker_process *process = &workers->processes[i];
        if (process->state != PROCESS_NONE) {
            watch_worker(process, &workers->board->workers[i], now);
            ready += process->ready && process->generation == generation ? 1 : 0;
        }
    }
    return ready;
}
