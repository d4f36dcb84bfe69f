#include "server/session/deadline.h"

/* Timers of libev may come a little early; one that comes this much after its deadline finds it passed. */
#define TIMER_SLACK_S 0.001

struct nearest {
    int64_t at_ns;
    enum close_reason reason;
};

static void consider(struct nearest *nearest, mono_time since, uint64_t limit_us, enum close_reason reason)
{
    if (limit_us == 0) {
        return;
    }
    int64_t at_ns = mono_add_us(since, (int64_t)limit_us).ns;
    if (at_ns < nearest->at_ns) {
        *nearest = (struct nearest){at_ns, reason};
    }
}

int64_t deadline_nearest(const struct deadline *deadline, enum close_reason *reason)
{
    const struct config *config = deadline->config;
    struct nearest nearest = {INT64_MAX, REASON_INTERNAL};
    if (deadline->phase == PHASE_CLOSING) {
        return INT64_MAX;
    }
    consider(&nearest, deadline->accepted_at, config->session_timeout_us, REASON_SESSION_TIMEOUT);
    if (deadline->phase < PHASE_OPEN) {
        consider(&nearest, deadline->accepted_at, config->login_timeout_us, REASON_LOGIN_TIMEOUT);
    }
    if (deadline->phase == PHASE_BANNER) {
        consider(&nearest, deadline->phase_at, config->banner_timeout_us, REASON_BANNER_TIMEOUT);
    } else if (deadline->phase == PHASE_KEX) {
        consider(&nearest, deadline->phase_at, config->kex_timeout_us, REASON_KEX_TIMEOUT);
    } else if (deadline->phase == PHASE_OPEN) {
        consider(&nearest, deadline->input_at, config->idle_timeout_us, REASON_IDLE_TIMEOUT);
        if (deadline->rekeying) {
            consider(&nearest, deadline->rekey_at, config->kex_timeout_us, REASON_KEX_TIMEOUT);
        }
        if (deadline->waiting) {
            consider(&nearest, deadline->progress_at, config->no_progress_timeout_us, REASON_NO_PROGRESS);
        }
    }
    *reason = nearest.reason;
    return nearest.at_ns;
}

static void set_timer(struct deadline *deadline, int64_t at_ns, mono_time now)
{
    if (at_ns == deadline->armed_ns) {
        return;
    }
    deadline->armed_ns = at_ns;
    ev_timer_stop(deadline->loop, &deadline->timer);
    if (at_ns != INT64_MAX) {
        int64_t left_ns = at_ns > now.ns ? at_ns - now.ns : 0;
        ev_timer_set(&deadline->timer, (double)left_ns / 1e9 + TIMER_SLACK_S, 0.0);
        ev_timer_start(deadline->loop, &deadline->timer);
    }
}

/* A change of state: the timer is right at once, also where the nearest has gone. */
static void arm(struct deadline *deadline, mono_time now)
{
    enum close_reason reason;
    set_timer(deadline, deadline_nearest(deadline, &reason), now);
}

void deadline_look(struct deadline *deadline, mono_time now)
{
    enum close_reason reason = REASON_INTERNAL; /* where no deadline is set, and none can be over */
    int64_t at_ns = deadline_nearest(deadline, &reason);
    deadline->armed_ns = INT64_MAX;
    if (at_ns > now.ns) {
        set_timer(deadline, at_ns, now);
    } else {
        deadline->expired(deadline->data, reason);
    }
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    deadline_look(timer->data, mono_now());
}

void deadline_begin(struct deadline *deadline, struct ev_loop *loop, const struct config *config, mono_time now,
                    void (*expired)(void *data, enum close_reason reason), void *data)
{
    *deadline = (struct deadline){.config = config,
                                  .loop = loop,
                                  .expired = expired,
                                  .data = data,
                                  .armed_ns = INT64_MAX,
                                  .accepted_at = now,
                                  .phase_at = now};
    ev_timer_init(&deadline->timer, on_timer, 0.0, 0.0);
    deadline->timer.data = deadline;
    arm(deadline, now);
}

void deadline_end(struct deadline *deadline)
{
    if (deadline->loop != NULL) {
        deadline->phase = PHASE_CLOSING;
        deadline->armed_ns = INT64_MAX;
        ev_timer_stop(deadline->loop, &deadline->timer);
    }
}

void deadline_phase(struct deadline *deadline, enum phase phase, mono_time now)
{
    deadline->phase = phase;
    deadline->phase_at = deadline->input_at = deadline->progress_at = now;
    deadline->rekeying = false;
    arm(deadline, now);
}

void deadline_rekeying(struct deadline *deadline, bool rekeying, mono_time now)
{
    deadline->rekeying = rekeying;
    deadline->rekey_at = now;
    arm(deadline, now);
}

void deadline_turned_at(struct deadline *deadline, uint64_t bytes_in, uint64_t bytes_out, bool waiting, mono_time now)
{
    if (bytes_in != deadline->bytes_in) {
        deadline->bytes_in = bytes_in;
        deadline->input_at = now;
    }
    bool begins = waiting && !deadline->waiting;
    if (begins || bytes_out != deadline->bytes_out) {
        deadline->bytes_out = bytes_out;
        deadline->progress_at = now;
    }
    deadline->waiting = waiting;
    if (begins && mono_add_us(now, (int64_t)deadline->config->no_progress_timeout_us).ns < deadline->armed_ns) {
        arm(deadline, now);
    }
}

void deadline_turned(struct deadline *deadline, uint64_t bytes_in, uint64_t bytes_out, bool waiting)
{
    if (deadline->phase != PHASE_OPEN || (!waiting && !deadline->waiting && deadline->config->idle_timeout_us == 0)) {
        return;
    }
    deadline_turned_at(deadline, bytes_in, bytes_out, waiting, mono_now());
}
