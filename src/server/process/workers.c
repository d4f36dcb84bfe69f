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

static unsigned count(const struct crew *crew, bool leaving_too, const struct generation *of)
{
    unsigned found = 0;
    for (unsigned i = 0; i < SCOREBOARD_WORKERS; i++) {
        const struct place *place = &crew->places[i];
        bool counts = place->state == PLACE_RUNNING || (leaving_too && place->state == PLACE_LEAVING);
        found += counts && (of == NULL || place->generation == of) ? 1 : 0;
    }
    return found;
}

unsigned crew_count(const struct crew *crew, const struct generation *of)
{
    return count(crew, true, of);
}

unsigned crew_count_running(const struct crew *crew, const struct generation *of)
{
    return count(crew, false, of);
}

void crew_log(const struct crew *crew)
{
    for (unsigned i = 0; i < SCOREBOARD_WORKERS; i++) {
        if (crew->places[i].state != PLACE_EMPTY) {
            const struct stats *stats = &crew->board->workers[i];
            log_line(LOG_INFO, "worker", log_u64("worker_pid", (uint64_t)crew->places[i].pid),
                     log_u64("connections", stats_get(&stats->connections)),
                     log_u64("accepted", stats_get(&stats->accepted)),
                     log_u64("draining", stats_get(&stats->draining)));
        }
    }
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

void crew_forget_losses(struct crew *crew)
{
    crew->backoff_us = 0;
    crew->next_start = mono_now();
}

/* Returns as fork() does; -1 as well when every place is taken. */
static pid_t start_worker(struct crew *crew, const struct generation *generation, unsigned *slot)
{
    for (*slot = 0; *slot < SCOREBOARD_WORKERS && crew->places[*slot].state != PLACE_EMPTY;) {
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
    crew->places[*slot] =
        (struct place){.state = PLACE_RUNNING, .pid = pid, .since = mono_now(), .generation = generation};
    stats_set(&crew->board->workers[*slot].pid, (uint64_t)pid);
    log_line(LOG_DEBUG, "worker_started", log_u64("worker_pid", (uint64_t)pid), log_u64("slot", *slot));
    return pid;
}

enum crew_start crew_start_missing(struct crew *crew, const struct generation *generation, mono_time now,
                                   unsigned *slot)
{
    if (mono_us_between(crew->next_start, now) < 0 ||
        crew_count_running(crew, generation) >= generation->config->workers) {
        return CREW_COMPLETE;
    }
    pid_t pid = start_worker(crew, generation, slot);
    if (pid < 0) {
        crew->next_start = mono_add_us(now, BACKOFF_MAX_US);
        return CREW_COMPLETE;
    }
    return pid == 0 ? CREW_IN_WORKER : CREW_STARTED;
}

/* ---- losing ------------------------------------------------------------------------------------------------------ */

static void describe_death(const struct place *place, int status, char *text, size_t size)
{
    if (place->killed_stuck) {
        (void)snprintf(text, size, "stuck: its loop did not turn");
    } else if (WIFSIGNALED(status)) {
        (void)snprintf(text, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else {
        (void)snprintf(text, size, "exit status %d", WEXITSTATUS(status));
    }
}

static void worker_lost(struct crew *crew, unsigned slot, int status)
{
    const struct place *place = &crew->places[slot];
    struct stats *stats = &crew->board->workers[slot];
    mono_time now = mono_now();
    char why[128];
    describe_death(place, status, why, sizeof why);
    log_line(LOG_WARN, "worker_lost", log_u64("worker_pid", (uint64_t)place->pid), log_str("why", why),
             log_u64("connections_lost", stats_get(&stats->connections)),
             log_f64("lived_s", mono_s_between(place->since, now)));
    scoreboard_strike(crew->board, stats_get(&stats->last_source), (uint64_t)now.ns);
    stats_add(&crew->board->worker_restarts, 1);
    bool short_life = mono_us_between(place->since, now) < SHORT_LIFE_US && !place->killed_stuck;
    if (!short_life) {
        crew->backoff_us = 0;
    } else {
        crew->backoff_us = crew->backoff_us == 0 ? BACKOFF_FIRST_US : crew->backoff_us * 2;
        crew->backoff_us = crew->backoff_us > BACKOFF_MAX_US ? BACKOFF_MAX_US : crew->backoff_us;
    }
    crew->next_start = mono_add_us(now, crew->backoff_us);
}

void crew_child_ended(struct crew *crew, pid_t pid, int status)
{
    for (unsigned slot = 0; slot < SCOREBOARD_WORKERS; slot++) {
        struct place *place = &crew->places[slot];
        if (place->state == PLACE_EMPTY || place->pid != pid) {
            continue;
        }
        bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (place->state == PLACE_RUNNING || !clean) {
            worker_lost(crew, slot, status);
        } else {
            log_line(LOG_DEBUG, "worker_left", log_u64("worker_pid", (uint64_t)pid));
        }
        scoreboard_bury(crew->board, slot);
        *place = (struct place){.state = PLACE_EMPTY};
        break;
    }
}

/* ---- telling to leave -------------------------------------------------------------------------------------------- */

void crew_dismiss(struct crew *crew, const struct generation *keep, mono_time now)
{
    for (unsigned i = 0; i < SCOREBOARD_WORKERS; i++) {
        struct place *place = &crew->places[i];
        if (place->state == PLACE_RUNNING && (keep == NULL || place->generation != keep)) {
            place->state = PLACE_LEAVING;
            place->since = now;
            (void)kill(place->pid, SIGTERM);
        }
    }
}

void crew_kill(struct crew *crew)
{
    for (unsigned i = 0; i < SCOREBOARD_WORKERS; i++) {
        if (crew->places[i].state != PLACE_EMPTY) {
            (void)kill(crew->places[i].pid, SIGKILL);
        }
    }
}

/* ---- watching ---------------------------------------------------------------------------------------------------- */

static void watch_worker(struct place *place, const struct stats *stats, mono_time now)
{
    const struct config *config = place->generation->config;
    uint64_t beat_ns = stats_get(&stats->heartbeat_ns);
    if (beat_ns != 0 && !place->ready) {
        place->ready = true;
    }
    mono_time beat = {.ns = beat_ns != 0 ? (int64_t)beat_ns : place->since.ns};
    int64_t limit_us = (int64_t)config->watchdog_us;
    if (limit_us != 0 && !place->killed_stuck && mono_us_between(beat, now) > limit_us &&
        (place->ready || mono_us_between(beat, now) > limit_us + START_GRACE_US)) {
        place->killed_stuck = true;
        log_line(LOG_ERROR, "worker_stuck", log_u64("worker_pid", (uint64_t)place->pid),
                 log_f64("since_s", mono_s_between(beat, now)));
        (void)kill(place->pid, SIGKILL); /* a stopped or spinning process hears nothing else */
    }
    if (place->state == PLACE_LEAVING && !place->killed_stuck &&
        mono_us_between(place->since, now) > (int64_t)config->drain_timeout_us + DRAIN_GRACE_US) {
        place->killed_stuck = true;
        (void)kill(place->pid, SIGKILL);
    }
}

unsigned crew_watch(struct crew *crew, const struct generation *generation, mono_time now)
{
    unsigned ready = 0;
    for (unsigned i = 0; i < SCOREBOARD_WORKERS; i++) {
        struct place *place = &crew->places[i];
        if (place->state != PLACE_EMPTY) {
            watch_worker(place, &crew->board->workers[i], now);
            ready += place->ready && place->generation == generation ? 1 : 0;
        }
    }
    return ready;
}
