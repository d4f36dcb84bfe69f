#include "server/master/master.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/entry/admission.h"
#include "server/entry/listener.h"
#include "server/figures/scoreboard.h"
#include "server/master/master_state.h"
#include "server/master/notify.h"
#include "server/master/sampler.h"
#include "server/master/workers.h"
#include "server/process/generation.h"
#include "server/process/sandbox.h"
#include "server/process/worker.h"
#include "sshecho/clock.h"
#include "sshecho/log.h"
#include "sshecho/net.h"
#include "sshecho/pump.h"
#include "sshecho/version.h"

/* How often the master looks at its workers: readiness, heartbeats, back-off. */
#define LOOK_S 0.05

/* How often it looks up for the metrics what the kernel says of workers and accept queues. */
#define SAMPLE_US (250 * US_PER_MS)

/* What the log's reader is given at the end. */
#define LOG_FINISH_US (200 * US_PER_MS)

/* ---- making workers ---------------------------------------------------------------------------------------------- */

/* In the child: nothing of the master's loop may stay, its signal pipe least of all. */
static void become_worker(struct master *m, unsigned slot)
{
    ev_signal_stop(m->loop, &m->terminate);
    ev_signal_stop(m->loop, &m->interrupt);
    ev_signal_stop(m->loop, &m->hangup);
    ev_signal_stop(m->loop, &m->user1);
    ev_signal_stop(m->loop, &m->user2);
    ev_child_stop(m->loop, &m->child);
    notify_forked();
    log_forked();
    if (m->previous != NULL) {
        generation_close(m->previous);
    }
    generation_close_metrics(m->generation);
    (void)close(m->board_fd);
    if (m->rehearsal.pid != 0) {
        (void)close(m->rehearsal.estate_fd);
        (void)close(m->rehearsal.output_fd);
    }
    ev_loop_fork(m->loop);
    ev_break(m->loop, EVBREAK_ALL);
    m->is_worker = true;
    m->worker_slot = slot;
}

void master_start_missing_workers(struct master *m)
{
    mono_time now = mono_now();
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
    if (metrics_process_ended(&m->metrics, child->rpid, child->rstatus)) {
        return;
    }
    if (upgrade_child_ended(m, child->rpid, child->rstatus)) {
        reload_go_on(m);
        return;
    }
    bool ours = workers_child_ended(&m->workers, child->rpid, child->rstatus);
    if (ours && m->generation->adopted && m->announced) {
        m->reload_again = true; /* an heir that could not: a loss is the time to try again */
    }
    reload_go_on(m);
    finish_if_all_gone(m);
    master_start_missing_workers(m);
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */

/* What the process that serves them cannot know. */
static void publish(struct master *m)
{
    const struct config *config = m->generation->config;
    if (m->generation->adopted) {
        return; /* what the program before has published stays */
    }
    uint64_t room = admission_room(m->fd_limit) * config->workers;
    bool limited = config->max_connections != 0 && config->max_connections < room;
    counters_set(&m->board->connections_max, limited ? config->max_connections : room);
    counters_set(&m->board->announced, m->served ? 1 : 0);
    counters_set(&m->board->draining, m->draining ? 1 : 0);
}

static void look_after_metrics(struct master *m)
{
    mono_time now = mono_now();
    publish(m);
    if (m->inheritance.kind == INHERITS_REHEARSAL) {
        return;
    }
    if (m->announced || !m->served) {
        metrics_process_look(&m->metrics, m->generation, m->previous, m->board, m->pid);
    }
    if (m->metrics.pid != 0 && mono_us_between(m->sampled_at, now) >= SAMPLE_US) {
        m->sampled_at = now;
        sampler_take(m->board, &m->generation->listeners);
    }
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* The workers close theirs when nobody waits in a queue any more: from then on clients are refused. */
static void retire(struct master *m)
{
    generation_retire(m->generation, NULL);
    if (m->previous != NULL) {
        generation_retire(m->previous, NULL);
    }
}

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
    if (m->inheritance.kind != INHERITS_REHEARSAL) { /* its sockets are others' */
        retire(m);
    }
    publish(m);
    upgrade_look(m);
    workers_dismiss(&m->workers, NULL);
    finish_if_all_gone(m);
}

static void on_hangup(struct ev_loop *loop, ev_signal *watcher, int revents)
{
    (void)loop;
    (void)revents;
    reload_ask(watcher->data);
}

/* ---- looking after workers --------------------------------------------------------------------------------------- */

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
    unsigned ready = workers_watch(&m->workers, m->generation, mono_now());
    master_start_missing_workers(m);
    if (m->is_worker) {
        return;
    }
    upgrade_look(m);
    reload_look(m, ready);
    if (m->is_worker) {
        return;
    }
    look_after_metrics(m);
    notify_watchdog();
    look_after_log(m);
}

static void on_user2(struct ev_loop *loop, ev_signal *watcher, int revents)
{
    (void)loop;
    (void)revents;
    upgrade_ask(watcher->data);
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
    ev_signal_init(&m->user2, on_user2, SIGUSR2);
    ev_child_init(&m->child, on_child, 0, 0);
    ev_timer_init(&m->look, on_look, 0.01, LOOK_S);
    m->terminate.data = m->interrupt.data = m->hangup.data = m->user1.data = m->user2.data = m->child.data =
        m->look.data = m;
    ev_signal_start(m->loop, &m->terminate);
    ev_signal_start(m->loop, &m->interrupt);
    ev_signal_start(m->loop, &m->hangup);
    ev_signal_start(m->loop, &m->user1);
    ev_signal_start(m->loop, &m->user2);
    ev_child_start(m->loop, &m->child);
    ev_timer_start(m->loop, &m->look);
    if (m->inheritance.kind == INHERITS_ALL) {
        upgrade_hear_signals();
    }
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
    if (m->inheritance.kind == INHERITS_REHEARSAL) { /* clients are the affair of those who serve */
        listeners_close(&m->generation->listeners);
    }
    struct worker_setup setup = {.config = generation->config,
                                 .report_fd = generation->report_fd,
                                 .credentials = generation->credentials,
                                 .keys = &generation->keys,
                                 .listeners = &m->generation->listeners,
                                 .board = m->board,
                                 .slot = m->worker_slot,
                                 .siblings = (unsigned)m->generation->config->workers,
                                 .fd_limit = m->fd_limit,
                                 .master = m->pid};
    int status = worker_run(&setup); /* closes its copies of the listening sockets */
    m->generation->listeners.count = 0;
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
    if (m->generation->config->port_file != NULL && m->inheritance.kind != INHERITS_REHEARSAL) {
        (void)unlink(m->generation->config->port_file);
    }
}

bool master_is_heir(void)
{
    const char *text = getenv(INHERITANCE_VARIABLE);
    return text != NULL && strncmp(text, "all:", 4) == 0;
}

/* Everything that may be wrong with configuration, keys and sockets. Returns 0, or -1 with *error. */
static int make_generation(struct master *m, struct config *config, struct option_error *error)
{
    m->generation = generation_create(config, m->previous, error);
    if (m->generation != NULL && (generation_open(m->generation, m->previous, error) != 0 ||
                                  listeners_try_port_file(m->generation->config->port_file, error) != 0)) {
        generation_free(m->generation);
        m->generation = NULL;
    }
    if (m->generation != NULL && m->inheritance.kind == INHERITS_REHEARSAL) {
        m->generation->config->workers = 1; /* one shows what a hundred would */
        m->generation->config->log_level = LOG_ERROR;
        notify_forked();
    }
    return m->generation != NULL ? 0 : -1;
}

/* The scoreboard and the loop, where an inherited board is the board. Returns 0 or -1. */
static int make_ground(struct master *m)
{
    m->board_fd = m->inheritance.kind == INHERITS_ALL && m->inheritance.board_fd >= 0
                      ? fcntl(m->inheritance.board_fd, F_DUPFD_CLOEXEC, 0)
                      : scoreboard_memory();
    m->board = m->workers.board = m->board_fd >= 0 ? scoreboard_map(m->board_fd) : NULL;
    m->loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (m->board == NULL || m->loop == NULL) {
        (void)fprintf(stderr, "sshechod: no memory for the scoreboard, or no epoll: %s\n", strerror(errno));
        m->status = 1;
        return -1;
    }
    if (m->inheritance.kind == INHERITS_ALL) {
        upgrade_inherit(m);
    }
    return 0;
}

static void run(struct master *m, const struct option_error *refused)
{
    struct option_error error = {""};
    log_start(m);
    if (m->generation != NULL) {
        generation_log(m->generation);
    } else {
        reload_disinherit(m, refused->text);
    }
    if (sandbox_limit_master(&error) != 0) { /* e.g. in a container that has none of it to give up */
        log_line(LOG_WARN, "sandbox", log_str("why", error.text));
    }
    look_after_metrics(m); /* first, so that whoever asks hears "starting" */
    start_watchers(m);
    master_start_missing_workers(m);
    if (!m->is_worker) {
        ev_run(m->loop, 0);
    }
}

int master_run(struct config *config, const struct option_error *refused, int argc, char **argv)
{
    struct option_error error = {""};
    static struct master master; /* large, and one of a kind */
    struct master *m = &master;
    m->pid = getpid();
    m->argc = argc;
    m->argv = argv;
    m->status = 2;
    m->board_fd = -1;
    (void)signal(SIGPIPE, SIG_IGN); /* before the first log line: stderr may be a pipe that nobody reads any more */
    m->fd_limit = net_raise_fd_limit();
    inheritance_take(&m->inheritance, &error);
    m->previous = m->inheritance.generation;
    m->inheritance.generation = NULL;
    if (config == NULL) {
        error = *refused;
    } else if (error.text[0] != '\0') {
        config_free(config);
    } else {
        (void)make_generation(m, config, &error);
    }
    if (m->generation == NULL && m->inheritance.kind != INHERITS_ALL) {
        (void)fprintf(stderr, "sshechod: %s\n", error.text);
        generation_free(m->previous);
        return 2;
    }
    const struct config *log = m->generation != NULL ? m->generation->config : m->previous->config;
    log_setup((enum log_level)log->log_level, (enum log_format)log->log_format, STDERR_FILENO,
              notify_wants_priorities());
    log_never_wait();
    if (make_ground(m) != 0) {
        goto out;
    }
    m->status = 0;
    run(m, &error);
    if (m->is_worker) {
        return run_as_worker(m);
    }
    farewell(m);
out:
    metrics_process_stop(&m->metrics);
    if (m->loop != NULL) {
        ev_loop_destroy(m->loop);
    }
    scoreboard_destroy(m->board);
    inheritance_end(&m->inheritance);
    generation_free(m->previous);
    generation_free(m->generation);
    return m->status;
}
