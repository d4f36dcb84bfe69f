#include "server/entry/accept.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/entry/wake_one.h"
#include "sshecho/log.h"

/* How long accepting rests when fds or tokens are used up; a closing connection ends it sooner. */
#define ACCEPT_REST_S 0.1

/* How long a worker that holds more than its share leaves the queue to the others. Short: should they be busy, a
 * connection waits no longer than this. */
#define YIELD_S 0.004

/* How many connections more than the emptiest sibling, in itself and in percent of its own, make a worker step back. */
#define YIELD_LEAD 8
#define YIELD_LEAD_PERCENT 10

/* Up to so many workers all are woken for a connection: the first one that runs takes it. More would spend their time
 * on being woken. */
#define ALL_WOKEN_MAX 8
#define EVERY_SOCKET (-1)

/* How long a retired socket is kept open: what the last packet of a TCP handshake takes from a balancer next door. Then
 * it is looked at as often until its queue is empty. */
#define LAST_CALL_S 0.02

/* Sockets that may wait for their PROXY header at once: a balancer that fails to send them must not cost us our fds. */
#define PROXY_WAITING_MAX 512

/* Accepting may pause ten times a second for as long as a rush lasts; the log hears of it so often. */
#define PAUSE_LOG_INTERVAL_US (10 * US_PER_S)

/* The fewest and the most connections of the workers that accept, ourselves left out. */
struct elsewhere {
    uint64_t fewest; /* UINT64_MAX when there is none */
    uint64_t most;
};

static struct elsewhere look_elsewhere(const struct acceptor *a)
{
    struct elsewhere found = {.fewest = UINT64_MAX};
    for (unsigned i = 0; i < scoreboard_slots(a->board); i++) {
        const struct counters *other = &a->board->workers[i];
        if (i == a->slot || counters_get(&other->pid) == 0 || counters_get(&other->draining) != 0) {
            continue;
        }
        uint64_t count = counters_get(&other->connections);
        found.fewest = count < found.fewest ? count : found.fewest;
        found.most = count > found.most ? count : found.most;
    }
    return found;
}

static bool leads(uint64_t more, uint64_t fewer)
{
    return more > fewer + YIELD_LEAD && more > fewer + fewer * YIELD_LEAD_PERCENT / 100;
}

static bool holds_more_than_its_share(const struct acceptor *a)
{
    if (a->siblings < 2 || a->ending) {
        return false;
    }
    uint64_t fewest = look_elsewhere(a).fewest;
    return fewest != UINT64_MAX && leads(counters_get(&a->set->counters->connections), fewest);
}

/* To the end of the line of this socket, or out of all lines where somebody holds so much more that it leaves
 * connections to us. */
static void stand_in_line(struct acceptor *a, int served_fd)
{
    bool was_behind = a->is_behind;
    a->is_behind = leads(look_elsewhere(a).most, counters_get(&a->set->counters->connections));
    for (size_t i = 0; i < a->listeners->count; i++) {
        int fd = a->listeners->items[i].fd;
        if (!a->is_closed[i] && (fd == served_fd || served_fd == EVERY_SOCKET || a->is_behind != was_behind)) {
            wake_one_watch(fd, a->is_behind);
        }
    }
}

static bool has_a_line(const struct acceptor *a)
{
    return a->siblings > ALL_WOKEN_MAX;
}

static void set_accepting(struct acceptor *a, bool accepting)
{
    if (accepting == a->accepting) {
        return;
    }
    a->accepting = accepting;
    if (accepting && has_a_line(a)) {
        stand_in_line(a, EVERY_SOCKET);
    }
    for (size_t i = 0; i < a->listeners->count; i++) {
        if (a->is_closed[i]) {
            continue;
        }
        if (accepting) {
            ev_io_start(a->loop, &a->watchers[i]);
        } else {
            ev_io_stop(a->loop, &a->watchers[i]);
            wake_one_leave(a->listeners->items[i].fd);
        }
    }
}

static void rest(struct acceptor *a, double seconds)
{
    set_accepting(a, false);
    ev_timer_stop(a->loop, &a->again);
    ev_timer_set(&a->again, seconds, 0.0);
    ev_timer_start(a->loop, &a->again);
}

static void log_pause(struct acceptor *a, const char *why, mono_time now)
{
    a->pauses_unlogged++;
    if (a->pause_logged_at.ns != 0 && mono_us_between(a->pause_logged_at, now) < PAUSE_LOG_INTERVAL_US) {
        return;
    }
    log_line(LOG_WARN, "accept_paused", log_str("why", why), log_u64("times", a->pauses_unlogged),
             log_u64("connections", counters_get(&a->set->counters->connections)),
             log_str("note", "at most one such line every 10 s"));
    a->pause_logged_at = now;
    a->pauses_unlogged = 0;
}

static void pause_for_room(struct acceptor *a, const char *why)
{
    if (!a->paused_for_room) {
        a->paused_for_room = true;
        counters_add(&a->set->counters->accept_pauses, 1);
        log_pause(a, why, mono_now());
    }
    rest(a, ACCEPT_REST_S);
}

/* The socket's client is known: in, or out. */
static void take_in(struct acceptor *a, int fd, const struct net_address *client)
{
    mono_time now = mono_now();
    if (admission_check(&a->admission, client, now) != ADMITTED) {
        (void)close(fd);
    } else if (connection_create(a->set, fd, client) == NULL) {
        admission_refuse(&a->admission, REFUSED_SYSTEM, client, now);
    }
}

static void on_proxied(void *data, int fd, const struct net_address *client)
{
    struct acceptor *a = data;
    take_in(a, fd, client);
    a->settled(a->data);
}

static void on_not_proxied(void *data, const struct net_address *peer)
{
    struct acceptor *a = data;
    admission_refuse(&a->admission, REFUSED_PROXY, peer, mono_now());
    a->settled(a->data);
}

static const struct proxy_wait_owner gate_owner = {.arrived = on_proxied, .refused = on_not_proxied};

enum accepted { ACCEPTED, ACCEPT_NO_MORE, ACCEPT_NO_ROOM };

/* accept(2) has failed. */
static enum accepted accepted_after(struct acceptor *a, int reason)
{
    switch (reason) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        pause_for_room(a, strerror(reason));
        return ACCEPT_NO_ROOM;
    case EAGAIN:
        return ACCEPT_NO_MORE;
    default: /* accept(2): the network's errors of that one connection come this way too */
        return ACCEPTED;
    }
}

static enum accepted accept_one(struct acceptor *a, int listening_fd)
{
    mono_time now = mono_now();
    struct net_address peer = {.length = sizeof peer.storage};
    if (!admission_may_accept(&a->admission, now)) {
        pause_for_room(a, "limit of connections here, or of the handshake rate, reached");
        return ACCEPT_NO_ROOM;
    }
    if (a->gate.waiting_count >= PROXY_WAITING_MAX) {
        pause_for_room(a, "too many connections wait for their PROXY header");
        return ACCEPT_NO_ROOM;
    }
    int fd = accept4(listening_fd, (struct sockaddr *)&peer.storage, &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return accepted_after(a, errno);
    }
    admission_accepted(&a->admission, now);
    a->paused_for_room = false;
    if (proxy_wait_guards(&a->gate, &peer)) {
        proxy_wait_enter(&a->gate, fd, &peer);
    } else {
        take_in(a, fd, &peer);
    }
    return ACCEPTED;
}

/* As many as a turn may take. */
static enum accepted accept_some(struct acceptor *a, int listening_fd)
{
    enum accepted last = ACCEPTED;
    for (uint64_t i = 0; last == ACCEPTED && i < a->config->kex_per_turn; i++) {
        last = accept_one(a, listening_fd);
    }
    return last;
}

static void on_acceptable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct acceptor *a = io->data;
    if (holds_more_than_its_share(a)) {
        rest(a, YIELD_S);
        return;
    }
    (void)accept_some(a, io->fd);
    if (a->accepting && has_a_line(a)) {
        stand_in_line(a, io->fd);
    }
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct acceptor *a = timer->data;
    set_accepting(a, true);
    /* The queue was left to others once; what is still there is ours to take. */
    for (size_t i = 0; a->accepting && i < a->listeners->count; i++) {
        if (!a->is_closed[i]) {
            (void)accept_one(a, a->watchers[i].fd);
        }
    }
}

/* Our copy: the port closes when nobody has one left. */
static void close_listener(struct acceptor *a, size_t i)
{
    if (!a->is_closed[i]) {
        ev_io_stop(a->loop, &a->watchers[i]);
        wake_one_forget(a->listeners->items[i].fd);
        (void)close(a->listeners->items[i].fd);
        a->is_closed[i] = true;
        a->open_count--;
    }
}

static void on_last_call(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)revents;
    struct acceptor *a = timer->data;
    for (size_t i = 0; i < a->listeners->count; i++) {
        if (!a->is_closed[i] && accept_some(a, a->listeners->items[i].fd) == ACCEPT_NO_MORE) {
            close_listener(a, i);
        }
    }
    if (a->open_count == 0) {
        ev_timer_stop(a->loop, &a->again);
        ev_timer_stop(loop, timer);
        a->settled(a->data);
    }
}

int acceptor_init(struct acceptor *a, struct ev_loop *loop, struct connection_set *set,
                  const struct acceptor_setup *setup)
{
    *a = (struct acceptor){.loop = loop,
                           .config = setup->config,
                           .listeners = setup->listeners,
                           .board = setup->board,
                           .slot = setup->slot,
                           .siblings = setup->siblings,
                           .set = set,
                           .settled = setup->settled,
                           .data = setup->data};
    admission_init(&a->admission, setup->config, setup->board, setup->slot, setup->fd_limit);
    a->open_count = a->listeners->count;
    for (size_t i = 0; i < a->listeners->count; i++) {
        ev_io_init(&a->watchers[i], on_acceptable, a->listeners->items[i].fd, EV_READ);
        a->watchers[i].data = a;
    }
    ev_timer_init(&a->again, on_again, 0.0, 0.0);
    ev_timer_init(&a->last_call, on_last_call, LAST_CALL_S, LAST_CALL_S);
    a->again.data = a->last_call.data = a;
    return proxy_wait_init(&a->gate, loop, setup->config, &gate_owner, a);
}

void acceptor_start(struct acceptor *a)
{
    set_accepting(a, true);
}

void acceptor_end(struct acceptor *a)
{
    a->ending = true;
    for (size_t i = 0; i < a->listeners->count; i++) {
        if (!listener_is_retired(&a->listeners->items[i])) {
            close_listener(a, i);
        }
    }
    if (a->open_count > 0) {
        ev_timer_start(a->loop, &a->last_call);
    } else {
        ev_timer_stop(a->loop, &a->again);
    }
}

bool acceptor_is_empty(const struct acceptor *a)
{
    return a->gate.waiting_count == 0 && a->open_count == 0;
}

void acceptor_destroy(struct acceptor *a)
{
    if (a->loop != NULL) {
        ev_timer_stop(a->loop, &a->again);
        ev_timer_stop(a->loop, &a->last_call);
        for (size_t i = 0; i < a->listeners->count; i++) {
            close_listener(a, i);
        }
    }
    proxy_wait_destroy(&a->gate);
}

void acceptor_has_room(struct acceptor *a)
{
    if (a->paused_for_room && !a->accepting && a->open_count > 0) {
        ev_timer_stop(a->loop, &a->again);
        set_accepting(a, true);
    }
}

void acceptor_tick(struct acceptor *a, mono_time now)
{
    admission_tick(&a->admission, now);
    if (a->accepting && has_a_line(a) &&
        a->is_behind != leads(look_elsewhere(a).most, counters_get(&a->set->counters->connections))) {
        stand_in_line(a, EVERY_SOCKET);
    }
}
