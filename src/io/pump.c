#include "pump_internal.h"

#include <libssh/callbacks.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* dopoll calls in one turn: a full budget in 4 KiB steps, and as many again for output. A bound, so that no state of
 * libssh's can keep us here. */
#define DRIVE_STEPS 64

/* How often `turned` is asked again in one turn while everything it produces goes out at once; then the loop gets its
 * chance. */
#define TURN_ROUNDS 4

static bool batching;

static _Thread_local struct pump *driven;

/* ---- does libssh really come through our transport? ------------------------------------------------------------ */

static bool probe(void)
{
    static const char banner[] = "SSH-2.0-probe\r\n";
    bool reached = false;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        return false;
    }
    struct transport t;
    bool open = transport_open(&t, pair[0]) == 0;
    ssh_session session = ssh_new();
    int no = 0;
    if (open && session != NULL && write(pair[1], banner, sizeof banner - 1) == (ssize_t)sizeof banner - 1 &&
        ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no) == SSH_OK &&
        ssh_options_set(session, SSH_OPTIONS_HOST, "probe") == SSH_OK &&
        ssh_options_set(session, SSH_OPTIONS_FD, &pair[0]) == SSH_OK) {
        ssh_set_blocking(session, 0);
        transport_begin(&t, 4096, true);
        for (int i = 0; i < 4 && ssh_connect(session) == SSH_AGAIN; i++) {
        }
        transport_end(&t);
        reached = transport_was_reached(&t);
    }
    ssh_free(session);
    if (open) {
        transport_close(&t);
    } else {
        (void)close(pair[0]);
    }
    (void)close(pair[1]);
    return reached;
}

bool pump_set_batching(bool wanted)
{
    batching = wanted && transport_is_built() && probe();
    return batching;
}

bool pump_batching(void)
{
    return batching;
}

struct pump *pump_driven(void)
{
    return driven;
}

/* ---- the turn -------------------------------------------------------------------------------------------------- */

bool pump_is_alive(const struct pump *pump)
{
    if (!pump->open || (pump->batched && pump->transport.closed)) {
        return false;
    }
    return !pump->started ||
           (ssh_get_fd(pump->session) >= 0 && (ssh_get_status(pump->session) & (SSH_CLOSED | SSH_CLOSED_ERROR)) == 0);
}

static void watch(struct pump *pump, bool held_back)
{
    if (!pump->started) {
        return;
    }
    int events = 0;
    if (pump->retired) {
        return;
    }
    if (!pump->read_paused && pump_pending_bytes(pump) < PUMP_READ_STOP_BYTES) {
        events |= EV_READ;
    }
    bool output = pump->batched ? transport_pending_bytes(&pump->transport) > 0
                                : (ssh_get_poll_flags(pump->session) & SSH_WRITE_PENDING) != 0;
    if (output || held_back) {
        events |= EV_WRITE;
    }
    if (events == pump->events_watched) {
        return;
    }
    ev_io_stop(pump->loop, &pump->io);
    if (events != 0) {
        ev_io_set(&pump->io, pump->fd, events);
        ev_io_start(pump->loop, &pump->io);
    }
    pump->events_watched = events;
}

/* Whether one more dopoll could do anything but find that there is nothing. */
static bool has_work(const struct pump *pump)
{
    return transport_has_news(&pump->transport) || (ssh_get_status(pump->session) & SSH_WRITE_PENDING) != 0;
}

static void drive(struct pump *pump)
{
    uint64_t start = pump->wire.in_bytes;
    uint64_t seen = start;
    for (size_t idle_steps = 0; idle_steps < DRIVE_STEPS; idle_steps++) {
        int rc = ssh_event_dopoll(pump->event, 0);
        if (rc == SSH_AGAIN || rc == SSH_ERROR || !pump_is_alive(pump)) {
            break;
        }
        if (pump->wire.in_bytes != seen) {
            seen = pump->wire.in_bytes;
            idle_steps = 0;
        }
        if (pump->batched ? !has_work(pump) : seen - start >= pump->turn_bytes) {
            break;
        }
    }
}

/* Outside of its own poll callback libssh often leaves what it packs (a window adjustment, an exit-status) in its
 * output buffer and waits for POLLOUT. The plain path's watcher will tell it; the transport takes output at any time,
 * so it is told at once. */
static void drive_leftover(struct pump *pump)
{
    if (pump->batched && pump->started && pump_is_alive(pump) &&
        (ssh_get_status(pump->session) & SSH_WRITE_PENDING) != 0) {
        drive(pump);
    }
}

void pump_turn(struct pump *pump)
{
    pump_take_turn(pump, PUMP_TURN_BYTES);
}

void pump_take_turn(struct pump *pump, size_t bytes)
{
    if (pump->in_turn || !pump->open || !pump->started || pump->retired) {
        return;
    }
    pump->in_turn = true;
    pump->turn_bytes = bytes;
    pump->turn_cost_mark = pump_cost_bytes(pump);
    driven = pump;
    crypto_enter(&pump->crypto);
    if (pump->owner->turning != NULL) {
        pump->owner->turning(pump, pump->owner_data);
    }
    if (pump->batched) {
        transport_begin(&pump->transport, bytes,
                        !pump->read_paused && transport_pending_bytes(&pump->transport) < PUMP_READ_STOP_BYTES);
        if (pump->reading_along) {
            size_t size = 0;
            const uint8_t *arrived = transport_input(&pump->transport, &size);
            if (size > 0) {
                transport_limit_input(&pump->transport, pump->owner->arrived(pump, pump->owner_data, arrived, size));
            }
        }
    }
    drive(pump);
    bool held_back = false;
    for (int round = 0; round < TURN_ROUNDS && pump_is_alive(pump); round++) {
        held_back = pump->owner->turned(pump, pump->owner_data);
        drive_leftover(pump);
        if (pump->batched) {
            transport_flush(&pump->transport);
        }
        if (!held_back || pump_pending_bytes(pump) > 0 || pump_turn_left_bytes(pump) == 0) {
            break;
        }
    }
    if (pump->batched) {
        transport_end(&pump->transport);
    }
    crypto_leave();
    pump->in_turn = false;
    driven = NULL;
    pump->greedy = pump_cost_bytes(pump) - pump->turn_cost_mark >= PUMP_SMALL_TURN_BYTES;
    if (pump_is_alive(pump)) {
        watch(pump, held_back);
        if (pump->owner->settled != NULL) {
            pump->owner->settled(pump, pump->owner_data);
        }
    } else if (!pump->death_told) {
        pump->death_told = true;
        ev_io_stop(pump->loop, &pump->io);
        pump->owner->dead(pump, pump->owner_data);
    }
}

static void on_ready(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    pump_wants_turn(io->data);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

int pump_open(struct pump *pump, struct ev_loop *loop, ssh_session session, int fd, const struct pump_owner *owner,
              void *data)
{
    *pump = (struct pump){.loop = loop, .session = session, .fd = fd, .owner = owner, .owner_data = data};
    pump->event = ssh_event_new();
    if (pump->event == NULL) {
        return -1;
    }
    pump->transport.fd = -1;
    if (batching) {
        pump->batched = transport_open(&pump->transport, fd) == 0;
    }
    ssh_set_counters(session, &pump->wire, &pump->payload);
    ev_io_init(&pump->io, on_ready, fd, EV_READ);
    pump->io.data = pump;
    pump->open = true;
    return 0;
}

int pump_start(struct pump *pump)
{
    if (ssh_event_add_session(pump->event, pump->session) != SSH_OK) {
        return -1;
    }
    pump->started = true;
    watch(pump, false);
    return 0;
}

void pump_read_along(struct pump *pump, bool wanted)
{
    pump->reading_along = wanted && pump->owner->arrived != NULL;
}

void pump_hold_newkeys(struct pump *pump)
{
    if (pump->batched) {
        transport_hold_newkeys(&pump->transport);
    }
}

bool pump_enter(struct pump *pump)
{
    if (pump->in_turn || !pump->open) {
        return false;
    }
    pump->in_turn = true;
    pump->turn_bytes = PUMP_TURN_BYTES;
    pump->turn_cost_mark = pump_cost_bytes(pump);
    driven = pump;
    crypto_enter(&pump->crypto);
    if (pump->batched) {
        transport_begin(&pump->transport, 0, false);
        if (pump->started && pump_is_alive(pump)) {
            drive(pump); /* lets libssh know that it may write: ssh_disconnect closes behind whatever it could not */
        }
    }
    return true;
}

void pump_leave(struct pump *pump)
{
    drive_leftover(pump);
    if (pump->batched) {
        transport_end(&pump->transport);
    }
    crypto_leave();
    pump->in_turn = false;
    driven = NULL;
    if (!pump->started) {
        return;
    }
    if (pump_is_alive(pump)) {
        watch(pump, false);
    } else if (!pump->retired) {
        /* Whoever called us is not ready to see everything go: the next loop turn tells. */
        ev_feed_event(pump->loop, &pump->io, EV_READ);
    }
}

void pump_retire(struct pump *pump)
{
    pump->retired = true;
    pump->events_watched = 0;
    pump_leave_line(pump);
    ev_io_stop(pump->loop, &pump->io);
    ev_clear_pending(pump->loop, &pump->io);
}

void pump_pause_reading(struct pump *pump, bool paused)
{
    pump->read_paused = paused;
    if (!pump->in_turn) {
        watch(pump, false);
    }
}

void pump_close(struct pump *pump)
{
    if (!pump->open) {
        return;
    }
    pump->open = false;
    pump_leave_line(pump);
    ev_io_stop(pump->loop, &pump->io);
    ev_clear_pending(pump->loop, &pump->io);
    if (pump->batched) {
        transport_begin(&pump->transport, 0, false);
    }
    if (pump->started) {
        (void)ssh_event_remove_session(pump->event, pump->session);
    }
    ssh_event_free(pump->event);
    ssh_free(pump->session);
    crypto_kept_free(&pump->crypto);
    if (pump->batched) {
        transport_end(&pump->transport);
        transport_close(&pump->transport);
    }
    pump->session = NULL;
    pump->event = NULL;
}
