#include "server/session/connection_set.h"

#include "sshecho/libssh_log.h"

/* What one turn spends on destroying connections: one costs 30 to 100 us, and tens of thousands may end together. They
 * wait in a queue and the kernel does not name them again, so a short share costs no more than a long one. */
#define REAP_TURN_US (US_PER_MS / 2)

static void destroy_first_doomed(struct connection_set *set)
{
    struct connection *c = set->first_doomed;
    set->first_doomed = c->next_doomed;
    if (set->first_doomed == NULL) {
        set->last_doomed = NULL;
    }
    connection_destroy(c);
}

static void reap(struct ev_loop *loop, ev_prepare *reaper, int revents)
{
    (void)loop;
    (void)revents;
    struct connection_set *set = reaper->data;
    if (set->first_doomed == NULL) {
        return;
    }
    mono_time began = mono_now();
    do {
        destroy_first_doomed(set);
    } while (set->first_doomed != NULL && mono_us_between(began, mono_now()) < REAP_TURN_US);
    if (set->first_doomed != NULL) {
        ev_idle_start(set->loop, &set->more_to_reap);
    } else {
        ev_idle_stop(set->loop, &set->more_to_reap);
    }
    set->closed(set->data);
}

static void on_more_to_reap(struct ev_loop *loop, ev_idle *idle, int revents)
{
    (void)loop;
    (void)idle;
    (void)revents; /* that the loop does not wait is all */
}

static struct answers *answers_of(struct pump *pump)
{
    struct connection *c = pump->owner_data;
    return &c->answers;
}

static void on_window_adjusted(uint32_t number, uint32_t bytes, uint32_t window_bytes)
{
    struct pump *pump = pump_driven();
    if (pump != NULL) {
        struct connection *c = pump->owner_data;
        channels_window(&c->channels, number, window_bytes, bytes);
    }
}

int connection_set_init(struct connection_set *set, struct ev_loop *loop, const struct config *config,
                        const struct credentials *credentials, ssh_bind bind, struct scoreboard *board, unsigned slot)
{
    set->loop = loop;
    set->config = config;
    set->credentials = credentials;
    set->bind = bind;
    set->board = board;
    set->slot = slot;
    set->counters = &board->workers[slot];
    answers_listen(answers_of);
    libssh_log_listen_windows(on_window_adjusted);
    pump_turns_init(&set->turns, loop);
    ev_prepare_init(&set->reaper, reap);
    set->reaper.data = set;
    ev_idle_init(&set->more_to_reap, on_more_to_reap);
    ev_prepare_start(loop, &set->reaper);
    return 0;
}

void connection_set_drain(struct connection_set *set)
{
    set->draining = true;
    for (struct connection *c = set->first; c != NULL; c = c->next) {
        if (c->phase == PHASE_OPEN && c->channels.first == NULL && c->channels.host.totals.opened > 0) {
            connection_close(c, REASON_DRAIN);
        }
    }
}

void connection_set_close_all(struct connection_set *set, enum close_reason reason)
{
    for (struct connection *c = set->first; c != NULL; c = c->next) {
        connection_close(c, reason);
    }
}

void connection_set_destroy(struct connection_set *set)
{
    connection_set_close_all(set, REASON_DRAIN);
    while (set->first_doomed != NULL) {
        destroy_first_doomed(set);
    }
    pump_turns_end(&set->turns);
    ev_idle_stop(set->loop, &set->more_to_reap);
    ev_prepare_stop(set->loop, &set->reaper);
}
