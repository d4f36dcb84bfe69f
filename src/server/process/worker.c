#include "server/process/worker.h"

#include <errno.h>
#include <ev.h>
#include <libssh/callbacks.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/entry/proxy_wait.h"
#include "server/process/sandbox.h"
#include "server/session/connection.h"
#include "sshecho/log.h"

/* How long accepting rests when fds or tokens are used up; a closing connection ends it sooner. */
#define ACCEPT_REST_S 0.1

/* How long a worker that holds more than its share leaves the queue to the others. Short: should they be busy, a
 * connection waits no longer than this. */
#define YIELD_S 0.004

/* How many connections more than the emptiest sibling, in itself and in percent of its own, make a worker step back. */
#define YIELD_LEAD 8
#define YIELD_LEAD_PERCENT 10

/* Sockets that may wait for their PROXY header at once: a balancer that fails to send them must not cost us our fds. */
#define PROXY_WAITING_MAX 512

/* What the log's reader is given at the end: less than the watchdog and the drain deadline allow. */
#define LOG_FINISH_US (200 * US_PER_MS)

/* So often at least the loop turns, for the heartbeat and the summaries. */
#define TICK_S 0.25

struct worker {
    const struct worker_setup *setup;
    struct ev_loop *loop;
    struct counters *counters;
    struct admission admission;
    struct connection_set set;
    struct proxy_wait gate;
    ssh_bind bind;
    ev_io accepts[LISTENERS_MAX];
    ev_timer accept_again, tick, drain_deadline;
    ev_prepare turn_end;
    ev_check turn_start;
    ev_signal terminate, interrupt, hangup, user1, user2;
    mono_time turn_began;
    bool accepting, draining;
    bool paused_for_room;
    uint64_t most_connections; /* since the last trim of the heap */
};

static void set_accepting(struct worker *w, bool accepting)
{
    if (accepting == w->accepting) {
        return;
    }
    w->accepting = accepting;
    for (size_t i = 0; i < w->setup->listeners->count; i++) {
        if (accepting) {
            ev_io_start(w->loop, &w->accepts[i]);
        } else {
            ev_io_stop(w->loop, &w->accepts[i]);
        }
    }
}

static void rest(struct worker *w, double seconds)
{
    set_accepting(w, false);
    ev_timer_stop(w->loop, &w->accept_again);
    ev_timer_set(&w->accept_again, seconds, 0.0);
    ev_timer_start(w->loop, &w->accept_again);
}

static void pause_for_room(struct worker *w, const char *why)
{
    if (!w->paused_for_room) {
        w->paused_for_room = true;
        counters_add(&w->counters->accept_pauses, 1);
        log_line(LOG_WARN, "accept_paused", log_str("why", why),
                 log_u64("connections", counters_get(&w->counters->connections)));
    }
    rest(w, ACCEPT_REST_S);
}

/* The emptiest of the workers that accept, ourselves left out; UINT64_MAX when there is none. */
static uint64_t fewest_elsewhere(const struct worker *w)
{
    uint64_t fewest = UINT64_MAX;
    for (unsigned i = 0; i < SCOREBOARD_WORKERS; i++) {
        const struct counters *other = &w->setup->board->workers[i];
        if (i == w->setup->slot || counters_get(&other->pid) == 0 || counters_get(&other->draining) != 0) {
            continue;
        }
        uint64_t count = counters_get(&other->connections);
        fewest = count < fewest ? count : fewest;
    }
    return fewest;
}

static bool holds_more_than_its_share(const struct worker *w)
{
    if (w->setup->siblings < 2) {
        return false;
    }
    uint64_t mine = counters_get(&w->counters->connections);
    uint64_t fewest = fewest_elsewhere(w);
    return fewest != UINT64_MAX && mine > fewest + YIELD_LEAD && mine > fewest + fewest * YIELD_LEAD_PERCENT / 100;
}

/* The socket's client is known: in, or out. */
static void take_in(struct worker *w, int fd, const struct net_address *client)
{
    mono_time now = mono_now();
    if (admission_check(&w->admission, client, now) != ADMITTED) {
        (void)close(fd);
    } else if (connection_create(&w->set, fd, client) == NULL) {
        admission_refuse(&w->admission, REFUSED_SYSTEM, client, now);
    }
}

static void end_if_drained(struct worker *w)
{
    if (w->draining && w->set.first == NULL && w->gate.waiting_count == 0) {
        ev_break(w->loop, EVBREAK_ALL);
    }
}

static void on_proxied(void *data, int fd, const struct net_address *client)
{
    take_in(data, fd, client);
    end_if_drained(data);
}

static void on_not_proxied(void *data, const struct net_address *peer)
{
    struct worker *w = data;
    admission_refuse(&w->admission, REFUSED_PROXY, peer, mono_now());
    end_if_drained(w);
}

static const struct proxy_wait_owner gate_owner = {.arrived = on_proxied, .refused = on_not_proxied};

/* One accept; false when there is no more, or no room. */
static bool accept_one(struct worker *w, int listening_fd)
{
    mono_time now = mono_now();
    struct net_address peer = {.length = sizeof peer.storage};
    if (!admission_may_accept(&w->admission, now)) {
        pause_for_room(w, "limit of connections here, or of the handshake rate, reached");
        return false;
    }
    if (w->gate.waiting_count >= PROXY_WAITING_MAX) {
        pause_for_room(w, "too many connections wait for their PROXY header");
        return false;
    }
    int fd = accept4(listening_fd, (struct sockaddr *)&peer.storage, &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        switch (errno) {
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            pause_for_room(w, strerror(errno));
            return false;
        case EAGAIN:
            return false;
        default: /* accept(2): the network's errors of that one connection come this way too */
            return true;
        }
    }
    w->paused_for_room = false;
    if (proxy_wait_guards(&w->gate, &peer)) {
        proxy_wait_enter(&w->gate, fd, &peer);
    } else {
        take_in(w, fd, &peer);
    }
    return true;
}

static void on_acceptable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct worker *w = io->data;
    if (holds_more_than_its_share(w)) {
        rest(w, YIELD_S);
        return;
    }
    for (uint64_t i = 0; i < w->setup->config->kex_per_turn; i++) {
        if (!accept_one(w, io->fd)) {
            break;
        }
    }
}

static void on_accept_again(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct worker *w = timer->data;
    if (!w->draining) {
        set_accepting(w, true);
        /* The queue was left to others once; what is still there is ours to take. */
        for (size_t i = 0; w->accepting && i < w->setup->listeners->count; i++) {
            (void)accept_one(w, w->accepts[i].fd);
        }
    }
}

static void on_connection_closed(void *data)
{
    struct worker *w = data;
    if (w->draining) {
        end_if_drained(w);
    } else if (!w->draining && w->paused_for_room && !w->accepting) {
        ev_timer_stop(w->loop, &w->accept_again);
        set_accepting(w, true);
    }
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct worker *w = timer->data;
    uint64_t connections = counters_get(&w->counters->connections);
    admission_tick(&w->admission, mono_now());
    log_flush();
    counters_set(&w->counters->log_lines_lost, log_lost_lines());
    w->most_connections = connections > w->most_connections ? connections : w->most_connections;
    if (connections < w->most_connections / 2) {
        /* Half of a crowd has left: what it used goes back to the system. Not more often, since a trim walks the heap.
         */
        w->most_connections = connections;
        (void)malloc_trim(0);
    }
}

static void on_turn_start(struct ev_loop *loop, ev_check *check, int revents)
{
    (void)loop;
    (void)revents;
    struct worker *w = check->data;
    w->turn_began = mono_now();
    counters_set(&w->counters->heartbeat_ns, (uint64_t)w->turn_began.ns);
}

static void on_turn_end(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
    (void)loop;
    (void)revents;
    struct worker *w = prepare->data;
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
    proxy_wait_destroy(&w->gate);
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
    set_accepting(w, false);
    ev_timer_stop(loop, &w->accept_again);
    for (size_t i = 0; i < w->setup->listeners->count; i++) {
        (void)close(w->setup->listeners->items[i].fd); /* our copy: the port closes when nobody has one left */
    }
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
    for (size_t i = 0; i < w->setup->listeners->count; i++) {
        ev_io_init(&w->accepts[i], on_acceptable, w->setup->listeners->items[i].fd, EV_READ);
        w->accepts[i].data = w;
    }
    ev_timer_init(&w->accept_again, on_accept_again, 0.0, 0.0);
    ev_timer_init(&w->tick, on_tick, TICK_S, TICK_S);
    ev_timer_init(&w->drain_deadline, on_drain_deadline, 0.0, 0.0);
    ev_check_init(&w->turn_start, on_turn_start);
    ev_prepare_init(&w->turn_end, on_turn_end);
    ev_signal_init(&w->terminate, on_terminate, SIGTERM);
    ev_signal_init(&w->interrupt, on_ignored_signal, SIGINT);
    ev_signal_init(&w->hangup, on_ignored_signal, SIGHUP);
    ev_signal_init(&w->user1, on_ignored_signal, SIGUSR1);
    ev_signal_init(&w->user2, on_ignored_signal, SIGUSR2);
    w->accept_again.data = w->tick.data = w->drain_deadline.data = w;
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
    set_accepting(w, true);
}

/* At level trace libssh's own log comes along; its words may hold a peer's, which log_str makes harmless. */
static void on_libssh_log(int priority, const char *function, const char *text, void *data)
{
    (void)priority;
    (void)function;
    (void)data;
    log_line(LOG_TRACE, "libssh", log_str("text", text));
}

int worker_run(const struct worker_setup *setup)
{
    struct option_error error = {""};
    int status = 1;
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL) {
        return 1;
    }
    w->setup = setup;
    w->counters = &setup->board->workers[setup->slot];
    w->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    w->bind = hostkeys_make_bind(setup->keys, setup->config, &error);
    if (w->loop == NULL || w->bind == NULL) {
        log_line(LOG_ERROR, "worker_failed", log_str("why", w->loop == NULL ? "no epoll loop" : error.text));
        goto out;
    }
    if (log_enabled(LOG_TRACE)) {
        (void)ssh_set_log_callback(on_libssh_log);
        (void)ssh_set_log_level(SSH_LOG_FUNCTIONS);
    }
    bool batched = pump_set_batching(setup->config->batch_io);
    admission_init(&w->admission, setup->config, setup->board, setup->slot, setup->fd_limit);
    (void)connection_set_init(&w->set, w->loop, setup->config, setup->credentials, w->bind, setup->board, setup->slot);
    if (proxy_wait_init(&w->gate, w->loop, setup->config, &gate_owner, w) != 0) {
        log_line(LOG_ERROR, "worker_failed", log_str("why", "out of memory"));
        goto out;
    }
    w->set.closed = on_connection_closed;
    w->set.data = w;
    start_watchers(w);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (sandbox_enter(setup->config, &error) != 0) {
        log_line(LOG_ERROR, "worker_failed", log_str("why", error.text));
        goto out;
    }
    counters_set(&w->counters->heartbeat_ns, (uint64_t)mono_now().ns); /* from now on the master takes us for ready */
    log_line(LOG_DEBUG, "worker_ready", log_u64("slot", setup->slot), log_bool("batch_io", batched));
    ev_run(w->loop, 0);
    connection_set_destroy(&w->set);
    log_finish(LOG_FINISH_US);
    counters_set(&w->counters->log_lines_lost, log_lost_lines());
    status = 0;
out:
    proxy_wait_destroy(&w->gate);
    ssh_bind_free(w->bind);
    transport_release_buffers();
    if (w->loop != NULL) {
        ev_loop_destroy(w->loop);
    }
    free(w);
    return status;
}
