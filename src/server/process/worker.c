#include "server/process/worker.h"

#include <errno.h>
#include <ev.h>
#include <libssh/callbacks.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/entry/accept.h"
#include "server/identity/algorithms.h"
#include "server/process/checker.h"
#include "server/process/heap.h"
#include "server/process/sandbox.h"
#include "server/session/connection_set.h"
#include "sshecho/log.h"

/* What a connection takes at least, and how much must have been in use for it to be worth handing back. A
 * few peers that do not read are a crowd too: each may hold megabytes. */
#define CONNECTION_BYTES (32 * 1024)
#define CROWD_BYTES (1024 * 1024)

/* What the log's reader is given at the end: less than the watchdog and the drain deadline allow. */
#define LOG_FINISH_US (200 * US_PER_MS)

/* So often at least the loop turns, for the heartbeat and the summaries. */
#define TICK_S 0.25

struct worker {
    const struct worker_setup *setup;
    struct ev_loop *loop;
    struct counters *counters;
    struct acceptor acceptor;
    struct connection_set set;
    ssh_bind bind;
    char *host_keys; /* their algorithms, see algorithms.h */
    ev_timer tick, drain_deadline;
    ev_prepare turn_end;
    ev_idle heap_waits; /* has the loop turn again at once */
    ev_check turn_start;
    ev_signal terminate, interrupt, hangup, user1, user2;
    mono_time turn_began;
    bool draining;
    bool batched, shortcuts; /* the two seams below libssh are in use */
    uint64_t most_bytes;     /* that memory_in_use() has said since the heap was last handed back */
    struct heap heap;
};

static void end_if_drained(void *data)
{
    struct worker *w = data;
    if (w->draining && w->set.first == NULL && acceptor_is_empty(&w->acceptor)) {
        ev_break(w->loop, EVBREAK_ALL);
    }
}

static void on_connection_closed(void *data)
{
    struct worker *w = data;
    acceptor_has_room(&w->acceptor);
    end_if_drained(w);
}

/* From what is counted anyway; to ask the heap itself is a walk through it. */
static uint64_t memory_in_use(const struct counters *counters)
{
    return counters_get(&counters->connections) * CONNECTION_BYTES + counters_get(&counters->held_bytes) +
           counters_get(&counters->pending_bytes);
}

/* When half of what was in use has been let go, it goes back to the system. */
static void look_at_heap(struct worker *w)
{
    uint64_t bytes = memory_in_use(w->counters);
    w->most_bytes = bytes > w->most_bytes ? bytes : w->most_bytes;
    if (w->most_bytes >= CROWD_BYTES && bytes < w->most_bytes / 2) {
        w->most_bytes = bytes;
        heap_begin(&w->heap);
        ev_idle_start(w->loop, &w->heap_waits);
    }
}

static void on_heap_waits(struct ev_loop *loop, ev_idle *idle, int revents)
{
    (void)loop;
    (void)idle;
    (void)revents; /* that the loop does not wait is all */
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct worker *w = timer->data;
    acceptor_tick(&w->acceptor, mono_now());
    log_flush();
    report_file_look(&w->set.reports);
    counters_set(&w->counters->log_lines_lost, log_lost_lines());
    look_at_heap(w);
}

static void on_turn_start(struct ev_loop *loop, ev_check *check, int revents)
{
    (void)loop;
    (void)revents;
    struct worker *w = check->data;
    w->turn_began = w->set.turn_at = mono_now();
    counters_set(&w->counters->heartbeat_ns, (uint64_t)w->turn_began.ns);
}

static void on_turn_end(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
    (void)revents;
    struct worker *w = prepare->data;
    if (!heap_turn(&w->heap)) {
        ev_idle_stop(loop, &w->heap_waits);
    }
    mono_time now = mono_now();
    if (w->turn_began.ns != 0) {
        counters_observe(&w->counters->turn, counters_turn_bounds_us, (uint64_t)mono_us_between(w->turn_began, now));
    }
    counters_set(&w->counters->last_source, 0);
    counters_set(&w->counters->heartbeat_ns, (uint64_t)now.ns);
}

static void on_drain_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)revents;
    struct worker *w = timer->data;
    acceptor_destroy(&w->acceptor);
    connection_set_close_all(&w->set, REASON_DRAIN);
    if (w->set.first == NULL) {
        ev_break(loop, EVBREAK_ALL);
    }
}

static void on_terminate(struct ev_loop *loop, ev_signal *signal_watcher, int revents)
{
    (void)revents;
    struct worker *w = signal_watcher->data;
    if (w->draining) {
        return; /* the master counts signals, we only follow */
    }
    w->draining = true;
    counters_set(&w->counters->draining, 1);
    if (getppid() != w->setup->master) { /* it went without a word, and nobody else retires them */
        listeners_retire(w->setup->listeners, NULL);
    }
    acceptor_end(&w->acceptor);
    log_line(LOG_DEBUG, "worker_draining", log_u64("connections", counters_get(&w->counters->connections)));
    connection_set_drain(&w->set);
    end_if_drained(w);
    ev_timer_set(&w->drain_deadline, (double)w->setup->config->drain_timeout_us / 1e6, 0.0);
    ev_timer_start(loop, &w->drain_deadline);
}

static void on_ignored_signal(struct ev_loop *loop, ev_signal *signal_watcher, int revents)
{
    (void)loop;
    (void)signal_watcher;
    (void)revents; /* a terminal sends SIGINT to the whole group: the master decides what it means */
}

static void start_watchers(struct worker *w)
{
    struct ev_loop *loop = w->loop;
    ev_timer_init(&w->tick, on_tick, TICK_S, TICK_S);
    ev_timer_init(&w->drain_deadline, on_drain_deadline, 0.0, 0.0);
    ev_check_init(&w->turn_start, on_turn_start);
    ev_prepare_init(&w->turn_end, on_turn_end);
    ev_idle_init(&w->heap_waits, on_heap_waits);
    ev_signal_init(&w->terminate, on_terminate, SIGTERM);
    ev_signal_init(&w->interrupt, on_ignored_signal, SIGINT);
    ev_signal_init(&w->hangup, on_ignored_signal, SIGHUP);
    ev_signal_init(&w->user1, on_ignored_signal, SIGUSR1);
    ev_signal_init(&w->user2, on_ignored_signal, SIGUSR2);
    w->tick.data = w->drain_deadline.data = w;
    w->turn_start.data = w->turn_end.data = w;
    w->terminate.data = w;
    ev_set_priority(&w->turn_start, EV_MAXPRI);
    ev_set_priority(&w->turn_end, EV_MINPRI); /* after the reaper: its time belongs to the turn */
    ev_timer_start(loop, &w->tick);
    ev_check_start(loop, &w->turn_start);
    ev_prepare_start(loop, &w->turn_end);
    ev_signal_start(loop, &w->terminate);
    ev_signal_start(loop, &w->interrupt);
    ev_signal_start(loop, &w->hangup);
    ev_signal_start(loop, &w->user1);
    ev_signal_start(loop, &w->user2);
    acceptor_start(&w->acceptor);
}

/* At level trace libssh's own log comes along; its words may hold a peer's, which log_str makes harmless. */
static void on_libssh_log(int priority, const char *function, const char *text, void *data)
{
    (void)priority;
    (void)function;
    (void)data;
    log_line(LOG_TRACE, "libssh", log_str("text", text));
}

static bool failed(const char *why)
{
    log_line(LOG_ERROR, "worker_failed", log_str("why", why));
    return false;
}

/* What serves connections: loop, libssh's options, the set of connections, the way in. */
static bool prepare(struct worker *w, int checker_fd)
{
    const struct worker_setup *setup = w->setup;
    struct option_error error = {""};
    w->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    password_checks_init(&w->set.password_checks, w->loop, w->loop != NULL ? checker_fd : -1, w->counters);
    w->bind = algorithms_make_bind(setup->keys, setup->config, &error);
    w->host_keys = algorithms_host_keys(setup->keys, setup->config);
    if (w->loop == NULL || w->bind == NULL || w->host_keys == NULL) {
        return failed(w->loop == NULL ? "no epoll loop" : w->bind == NULL ? error.text : "out of memory");
    }
    if (log_enabled(LOG_TRACE)) {
        (void)ssh_set_log_callback(on_libssh_log);
        (void)ssh_set_log_level(SSH_LOG_FUNCTIONS);
    }
    w->batched = pump_set_batching(setup->config->batch_io);
    w->shortcuts = setup->config->crypto_shortcuts && crypto_shortcuts_start();
    (void)connection_set_init(&w->set, w->loop, setup->config, setup->credentials, w->bind, setup->board, setup->slot);
    const struct acceptor_setup entry = {.config = setup->config,
                                         .listeners = setup->listeners,
                                         .board = setup->board,
                                         .slot = setup->slot,
                                         .siblings = setup->siblings,
                                         .fd_limit = setup->fd_limit,
                                         .settled = end_if_drained,
                                         .data = w};
    if (acceptor_init(&w->acceptor, w->loop, &w->set, &entry) != 0) {
        return failed("out of memory");
    }
    w->set.host_keys = w->host_keys;
    report_file_begin(&w->set.reports, setup->report_fd, w->counters);
    w->set.closed = on_connection_closed;
    w->set.data = w;
    start_watchers(w);
    return true;
}

/* From the moment that the master takes us for ready to the last connection's end. */
static bool serve(struct worker *w)
{
    const struct worker_setup *setup = w->setup;
    struct option_error error = {""};
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (sandbox_enter(setup->config, setup->master, &error) != 0) {
        return failed(error.text);
    }
    counters_set(&w->counters->heartbeat_ns, (uint64_t)mono_now().ns); /* from now on the master takes us for ready */
    log_line(LOG_DEBUG, "worker_ready", log_u64("slot", setup->slot), log_bool("batch_io", w->batched),
             log_bool("crypto_shortcuts", w->shortcuts));
    ev_run(w->loop, 0);
    heap_end(&w->heap);
    connection_set_destroy(&w->set);
    struct crypto_served served = crypto_shortcuts_served();
    log_line(LOG_DEBUG, "crypto_served", log_u64("slot", setup->slot), log_u64("draws", served.draws),
             log_u64("draws_refused", served.draws_refused), log_u64("host_keys", served.host_keys),
             log_u64("ephemeral_keys", served.ephemeral_keys));
    report_file_end(&w->set.reports);
    log_finish(LOG_FINISH_US);
    counters_set(&w->counters->log_lines_lost, log_lost_lines());
    return true;
}

int worker_run(const struct worker_setup *setup)
{
    /* Small free blocks are joined with their neighbours at once: put off, glibc does it in one go for all that a crowd
     * has left. */
    (void)mallopt(M_MXFAST, 0);
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL) {
        return 1;
    }
    w->setup = setup;
    w->counters = &setup->board->workers[setup->slot];
    int checker_fd = -1;
    if (credentials_need_time(setup->credentials, setup->config)) {
        checker_fd = checker_start(setup->config, setup->credentials);
        if (checker_fd < 0) {
            (void)failed(strerror(errno));
            free(w);
            return 1;
        }
    }
    bool served = prepare(w, checker_fd) && serve(w);
    acceptor_destroy(&w->acceptor);
    ssh_bind_free(w->bind);
    free(w->host_keys);
    transport_release_buffers();
    crypto_shortcuts_stop();
    password_checks_destroy(&w->set.password_checks);
    if (w->loop != NULL) {
        ev_loop_destroy(w->loop);
    }
    free(w);
    return served ? 0 : 1;
}
