#include "server/process/master.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/entry/admission.h"
#include "server/entry/listener.h"
#include "server/figures/metrics.h"
#include "server/figures/scoreboard.h"
#include "server/process/generation.h"
#include "server/process/notify.h"
#include "server/process/sandbox.h"
#include "server/process/worker.h"
#include "server/process/workers.h"
#include "sshecho/clock.h"
#include "sshecho/log.h"
#include "sshecho/net.h"
#include "sshecho/pump.h"
#include "sshecho/version.h"

/* How often the master looks at its workers: readiness, heartbeats, back-off. */
#define LOOK_S 0.05

/* What the log's reader is given at the end. */
#define LOG_FINISH_US (200 * US_PER_MS)

struct master {
    struct ev_loop *loop;
    struct generation *generation, *previous; /* previous: until its last worker is gone */
    struct listeners listeners;
    struct scoreboard *board;
    struct metrics *metrics; /* NULL: not asked for */
    struct workers workers;
    ev_signal terminate, interrupt, hangup, user1;
    ev_child child;
    ev_timer look;
    pid_t pid;
    int argc;
    char **argv;
    uint64_t fd_limit;
    bool draining, announced;
    bool served; /* announced once: from then on somebody serves, through reloads too */
    uint64_t log_lost_told;
    int status;
    bool is_worker; /* after fork: we are the child, and leave through master_run */
    unsigned worker_slot;
};

static uint64_t wanted_workers(const struct master *m)
{
    return m->generation->config->workers;
}

/* ---- making workers ---------------------------------------------------------------------------------------------- */

/* In the child: nothing of the master's loop may stay, its signal pipe least of all. */
static void become_worker(struct master *m, unsigned slot)
{
    ev_signal_stop(m->loop, &m->terminate);
    ev_signal_stop(m->loop, &m->interrupt);
    ev_signal_stop(m->loop, &m->hangup);
    ev_signal_stop(m->loop, &m->user1);
    ev_child_stop(m->loop, &m->child);
    notify_forked();
    log_forked();
    metrics_forked(m->metrics);
    ev_loop_fork(m->loop);
    ev_break(m->loop, EVBREAK_ALL);
    m->is_worker = true;
    m->worker_slot = slot;
}

static void start_missing_workers(struct master *m, mono_time now)
{
    unsigned slot = 0;
    enum workers_start start = WORKERS_STARTED;
    while (!m->draining && !m->is_worker && start == WORKERS_STARTED) {
        start = workers_start_missing(&m->workers, m->generation, now, &slot);
    }
    if (start == WORKERS_IN_WORKER) {
        become_worker(m, slot);
    }
}

/* ---- losing workers ---------------------------------------------------------------------------------------------- */

static void free_previous_generation(struct master *m)
{
    if (m->previous != NULL && workers_count(&m->workers, m->previous) == 0) {
        generation_free(m->previous);
        m->previous = NULL;
    }
}

static void finish_if_all_gone(struct master *m)
{
    if (m->draining && workers_count(&m->workers, NULL) == 0) {
        ev_break(m->loop, EVBREAK_ALL);
    }
}

static void on_child(struct ev_loop *loop, ev_child *child, int revents)
{
    (void)loop;
    (void)revents;
    struct master *m = child->data;
    workers_child_ended(&m->workers, child->rpid, child->rstatus);
    free_previous_generation(m);
    finish_if_all_gone(m);
    start_missing_workers(m, mono_now());
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void on_terminate(struct ev_loop *loop, ev_signal *watcher, int revents)
{
    (void)revents;
    struct master *m = watcher->data;
    if (m->draining) {
        log_line(LOG_WARN, "stop_now", log_str("signal", strsignal(watcher->signum)));
        m->status = 1;
        workers_kill(&m->workers);
        ev_break(loop, EVBREAK_ALL);
        return;
    }
    m->draining = true;
    log_line(LOG_INFO, "stopping", log_str("signal", strsignal(watcher->signum)),
             log_u64("connections", scoreboard_connections(m->board)),
             log_f64("deadline_s", (double)m->generation->config->drain_timeout_us / 1e6));
    notify_stopping();
    listeners_close(&m->listeners); /* the workers do the same: from now on clients are refused, not kept waiting */
    workers_dismiss(&m->workers, NULL);
    finish_if_all_gone(m);
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */

static void look_for_metrics(void *data, struct metrics_view *view)
{
    const struct master *m = data;
    const struct config *config = m->generation->config;
    *view = (struct metrics_view){.board = m->board,
                                  .listeners = &m->listeners,
                                  .config = config,
                                  .connections_max = admission_room(m->fd_limit) * config->workers,
                                  .announced = m->served,
                                  .draining = m->draining};
    if (config->max_connections != 0 && config->max_connections < view->connections_max) {
        view->connections_max = config->max_connections;
    }
}

/* What will serve `config`: the one that serves already, a new one, or NULL where none is asked for. Returns 0 or -1.
 */
static int prepare_metrics(struct master *m, const struct config *config, struct metrics **next,
                           struct option_error *error)
{
    *next = metrics_fits(m->metrics, config) ? m->metrics : NULL;
    if (*next == NULL && config->metrics_listen != NULL) {
        *next = metrics_start(m->loop, config, look_for_metrics, m, error);
        return *next != NULL ? 0 : -1;
    }
    return 0;
}

/* Keeps one of the two and ends the other. */
static void settle_metrics(struct master *m, struct metrics *keep, struct metrics *other)
{
    if (other != keep) {
        metrics_stop(other);
    }
    m->metrics = keep;
}

/* ---- reload ------------------------------------------------------------------------------------------------------ */

static struct generation *read_generation(struct master *m, struct option_error *error)
{
    struct config *config = config_read(m->argc, m->argv, error);
    return config != NULL ? generation_create(config, m->generation, error) : NULL;
}

static void on_hangup(struct ev_loop *loop, ev_signal *watcher, int revents)
{
    (void)loop;
    (void)revents;
    struct master *m = watcher->data;
    struct option_error error = {""};
    struct listeners listeners;
    if (m->draining) {
        return;
    }
    if (m->previous != NULL) {
        log_line(LOG_WARN, "reload_deferred", log_str("why", "the workers of the last reload are still draining"));
        return;
    }
    notify_reloading();
    struct metrics *metrics = m->metrics;
    struct generation *next = read_generation(m, &error);
    if (next != NULL && (prepare_metrics(m, next->config, &metrics, &error) != 0 ||
                         listeners_open(&listeners, next->config, &m->listeners, &error) != 0)) {
        settle_metrics(m, m->metrics, metrics);
        generation_free(next);
        next = NULL;
    }
    if (next == NULL) {
        counters_add(&m->board->reload_failures, 1);
        log_line(LOG_ERROR, "reload_failed", log_str("why", error.text), log_str("note", "nothing has changed"));
        notify_ready(NULL);
        return;
    }
    settle_metrics(m, metrics, m->metrics);
    listeners_close(&m->listeners); /* those that nobody took over */
    m->listeners = listeners;
    m->previous = m->generation;
    m->generation = next;
    m->announced = false; /* old workers leave when the new ones are ready */
    workers_forget_losses(&m->workers);
    log_setup((enum log_level)next->config->log_level, (enum log_format)next->config->log_format, STDERR_FILENO,
              notify_wants_priorities());
    counters_add(&m->board->reloads, 1);
    log_line(LOG_INFO, "reloading", log_u64("workers", wanted_workers(m)));
    generation_log(next);
    start_missing_workers(m, mono_now());
}

/* ---- looking after workers --------------------------------------------------------------------------------------- */

static void announce(struct master *m)
{
    struct option_error error = {""};
    const struct config *config = m->generation->config;
    workers_dismiss(&m->workers, m->generation); /* those of the generation before */
    listeners_log(&m->listeners);
    if (config->port_file != NULL && listeners_write_port_file(&m->listeners, config->port_file, &error) != 0) {
        log_line(LOG_ERROR, "port_file", log_str("why", error.text));
    }
    log_line(LOG_INFO, "ready", log_u64("workers", wanted_workers(m)), log_str("libssh", version_libssh()),
             log_str("profile", config->profile == PROFILE_EXPOSED ? "exposed" : "bench"));
    notify_ready("serving");
    m->announced = m->served = true;
}

/* Lines that any of us could not get rid of are told here, once the reader is back: workers come and go. */
static void look_after_log(struct master *m)
{
    struct counters total;
    log_flush();
    counters_set(&m->board->log_lines_lost, log_lost_lines());
    scoreboard_total(m->board, &total);
    uint64_t lost = counters_get(&m->board->log_lines_lost) + counters_get(&total.log_lines_lost);
    if (lost > m->log_lost_told && log_tell_lost(lost - m->log_lost_told)) {
        m->log_lost_told = lost;
    }
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct master *m = timer->data;
    mono_time now = mono_now();
    unsigned ready = workers_watch(&m->workers, m->generation, now);
    start_missing_workers(m, now);
    if (!m->announced && !m->draining && !m->is_worker && ready >= wanted_workers(m)) {
        announce(m);
    }
    notify_watchdog();
    look_after_log(m);
}

static void on_user1(struct ev_loop *loop, ev_signal *watcher, int revents)
{
    (void)loop;
    (void)revents;
    struct master *m = watcher->data;
    struct counters total;
    scoreboard_total(m->board, &total);
    counters_log(&total, "totals");
    workers_log(&m->workers);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void start_watchers(struct master *m)
{
    ev_signal_init(&m->terminate, on_terminate, SIGTERM);
    ev_signal_init(&m->interrupt, on_terminate, SIGINT);
    ev_signal_init(&m->hangup, on_hangup, SIGHUP);
    ev_signal_init(&m->user1, on_user1, SIGUSR1);
    ev_child_init(&m->child, on_child, 0, 0);
    ev_timer_init(&m->look, on_look, 0.01, LOOK_S);
    m->terminate.data = m->interrupt.data = m->hangup.data = m->user1.data = m->child.data = m->look.data = m;
    ev_signal_start(m->loop, &m->terminate);
    ev_signal_start(m->loop, &m->interrupt);
    ev_signal_start(m->loop, &m->hangup);
    ev_signal_start(m->loop, &m->user1);
    ev_child_start(m->loop, &m->child);
    ev_timer_start(m->loop, &m->look);
}

/* Whether libssh can be reached from below is tried here for the line alone: each worker does it for itself. */
static void log_start(const struct master *m)
{
    const struct config *config = m->generation->config;
    bool batched = pump_set_batching(config->batch_io);
    bool shortcuts = config->crypto_shortcuts && crypto_shortcuts_start();
    transport_release_buffers();
    crypto_shortcuts_stop();
    log_line(LOG_INFO, "start", log_str("version", SSHECHO_VERSION), log_str("libssh", version_libssh()),
             log_str("libev", version_libev()), log_u64("fd_limit", m->fd_limit), log_bool("batch_io", batched),
             log_bool("crypto_shortcuts", shortcuts));
}

static int run_as_worker(struct master *m)
{
    const struct generation *generation = m->generation;
    ev_loop_destroy(m->loop);
    struct worker_setup setup = {.config = generation->config,
                                 .credentials = generation->credentials,
                                 .keys = &generation->keys,
                                 .listeners = &m->listeners,
                                 .board = m->board,
                                 .slot = m->worker_slot,
                                 .siblings = (unsigned)wanted_workers(m),
                                 .fd_limit = m->fd_limit,
                                 .master = m->pid};
    int status = worker_run(&setup); /* closes its copies of the listening sockets */
    generation_free(m->previous);
    generation_free(m->generation);
    return status;
}

static void farewell(struct master *m)
{
    struct counters total;
    scoreboard_total(m->board, &total);
    counters_log(&total, "totals");
    log_line(LOG_INFO, "stopped", log_i64("status", m->status),
             log_u64("log_lines_lost", log_lost_lines() + counters_get(&total.log_lines_lost)));
    log_finish(LOG_FINISH_US);
    look_after_log(m);
    if (m->generation->config->port_file != NULL) {
        (void)unlink(m->generation->config->port_file);
    }
}

int master_run(struct config *config, int argc, char **argv)
{
    struct option_error error = {""};
    static struct master master; /* large, and one of a kind */
    struct master *m = &master;
    m->pid = getpid();
    m->argc = argc;
    m->argv = argv;
    m->status = 2;
    (void)signal(SIGPIPE, SIG_IGN); /* before the first log line: stderr may be a pipe that nobody reads any more */
    m->fd_limit = net_raise_fd_limit();
    m->generation = generation_create(config, NULL, &error);
    if (m->generation == NULL || listeners_open(&m->listeners, m->generation->config, NULL, &error) != 0 ||
        listeners_try_port_file(m->generation->config->port_file, &error) != 0) {
        listeners_close(&m->listeners);
        (void)fprintf(stderr, "sshechod: %s\n", error.text);
        generation_free(m->generation);
        return 2;
    }
    log_setup((enum log_level)m->generation->config->log_level, (enum log_format)m->generation->config->log_format,
              STDERR_FILENO, notify_wants_priorities());
    log_never_wait();
    m->board = m->workers.board = scoreboard_create();
    m->loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (m->board == NULL || m->loop == NULL) {
        (void)fprintf(stderr, "sshechod: no memory for the scoreboard, or no epoll: %s\n", strerror(errno));
        m->status = 1;
        goto out;
    }
    if (prepare_metrics(m, m->generation->config, &m->metrics, &error) != 0) {
        (void)fprintf(stderr, "sshechod: %s\n", error.text);
        goto out;
    }
    m->status = 0;
    log_start(m);
    generation_log(m->generation);
    if (sandbox_limit_master(&error) != 0) { /* e.g. in a container that has none of it to give up */
        log_line(LOG_WARN, "sandbox", log_str("why", error.text));
    }
    start_watchers(m);
    start_missing_workers(m, mono_now());
    if (!m->is_worker) {
        ev_run(m->loop, 0);
    }
    if (m->is_worker) {
        return run_as_worker(m);
    }
    farewell(m);
out:
    metrics_stop(m->metrics);
    if (m->loop != NULL) {
        ev_loop_destroy(m->loop);
    }
    listeners_close(&m->listeners);
    scoreboard_destroy(m->board);
    generation_free(m->previous);
    generation_free(m->generation);
    return m->status;
}
