#include "server/master/master.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/entry/listener.h"
#include "server/figures/scoreboard.h"
#include "server/master/master_state.h"
#include "server/master/notify.h"
#include "server/master/workers.h"
#include "server/process/generation.h"
#include "server/process/sandbox.h"
#include "server/process/worker.h"
#include "sshecho/clock.h"
#include "sshecho/log.h"
#include "sshecho/net.h"
#include "sshecho/pump.h"
#include "sshecho/version.h"

/* What the log's reader is given at the end. */
#define LOG_FINISH_US (200 * US_PER_MS)

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
    loop_look_after_log(m);
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
    if (sandbox_limit_master(m->generation->config, &error) !=
        0) { /* e.g. in a container that has none of it to give up */
        log_line(LOG_WARN, "sandbox", log_str("why", error.text));
    }
    loop_look_after_metrics(m); /* first, so that whoever asks hears "starting" */
    loop_start(m);
    loop_start_missing_workers(m);
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
