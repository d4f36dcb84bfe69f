#include "server/session/deadline.h"

static int64_t left_us(mono_time since, uint64_t limit_us, mono_time now)
{
    return limit_us == 0 ? INT64_MAX : (int64_t)limit_us - mono_us_between(since, now);
}

/* Whether something of ours waits for the client to take it (or to close what we have closed). */
static bool something_waits(struct connection *c)
{
    return c->host.first_queued != NULL || pump_pending_bytes(&c->pump) > 0 || c->host.unclosed_count > 0;
}

/* Time to the nearest deadline, and which it is. */
static int64_t nearest_deadline(struct connection *c, mono_time now, enum close_reason *reason)
{
    const struct config *config = c->set->config;
    int64_t nearest = INT64_MAX;
#define DEADLINE(since, limit_us, why)                                                                                 \
    do {                                                                                                               \
        int64_t left = left_us((since), (limit_us), now);                                                              \
        if (left < nearest) {                                                                                          \
            nearest = left;                                                                                            \
            *reason = (why);                                                                                           \
        }                                                                                                              \
    } while (0)
    DEADLINE(c->accepted_at, config->session_timeout_us, REASON_SESSION_TIMEOUT);
    if (c->phase < PHASE_OPEN) {
        DEADLINE(c->accepted_at, config->login_timeout_us, REASON_LOGIN_TIMEOUT);
    }
    if (c->phase == PHASE_BANNER) {
        DEADLINE(c->phase_at, config->banner_timeout_us, REASON_BANNER_TIMEOUT);
    } else if (c->phase == PHASE_KEX) {
        DEADLINE(c->phase_at, config->kex_timeout_us, REASON_KEX_TIMEOUT);
    } else if (c->phase == PHASE_OPEN) {
        DEADLINE(c->input_at, config->idle_timeout_us, REASON_IDLE_TIMEOUT);
        if (c->rekeying) {
            DEADLINE(c->rekey_at, config->kex_timeout_us, REASON_KEX_TIMEOUT);
        }
        if (something_waits(c)) {
            DEADLINE(c->progress_at, config->no_progress_timeout_us, REASON_NO_PROGRESS);
        }
    }
#undef DEADLINE
    return nearest;
}

void deadline_arm(struct connection *c)
{
    enum close_reason reason;
    mono_time now = mono_now();
    int64_t left = nearest_deadline(c, now, &reason);
    ev_timer_stop(c->set->loop, &c->timer);
    if (left != INT64_MAX) {
        ev_timer_set(&c->timer, left > 0 ? (double)left / 1e6 + 0.001 : 0.0, 0.0);
        ev_timer_start(c->set->loop, &c->timer);
    }
}

/* Notes what has moved since the last look. */
static void look_at_progress(struct connection *c, mono_time now)
{
    uint64_t in = pump_wire_in(&c->pump);
    if (in != c->wire_in_mark) {
        c->wire_in_mark = in;
        c->input_at = now;
    }
    uint64_t out = pump_wire_out(&c->pump);
    if (out != c->progress_mark) {
        c->progress_mark = out;
        c->progress_at = now;
    }
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct connection *c = timer->data;
    enum close_reason reason = REASON_INTERNAL;
    mono_time now = mono_now();
    look_at_progress(c, now);
    int64_t left = nearest_deadline(c, now, &reason);
    if (left <= 0) {
        connection_close(c, reason);
    } else {
        deadline_arm(c);
    }
}

void deadline_after_turn(struct connection *c)
{
    if (c->phase != PHASE_OPEN) {
        return;
    }
    if (ev_is_active(&c->timer)) {
        look_at_progress(c, mono_now()); /* when it moved, not when the timer saw that it had */
    } else if (something_waits(c)) {
        c->progress_at = mono_now();
        c->progress_mark = pump_wire_out(&c->pump);
        deadline_arm(c);
    }
}

void deadline_init(struct connection *c)
{
    ev_timer_init(&c->timer, on_timer, 0.0, 0.0);
    c->timer.data = c;
}
