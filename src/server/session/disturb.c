#include "server/session/disturb.h"

#include <sys/socket.h>

void disturb_reset(struct disturb *disturb)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(disturb->pump->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/* libssh has no call for it, but looks at the re-key interval with every packet; one that has never been set is long
 * over. The byte limit takes hold with the new keys. */
void disturb_rekey_every(struct disturb *disturb, uint64_t bytes)
{
    uint32_t second = 1;
    (void)ssh_options_set(disturb->pump->session, SSH_OPTIONS_REKEY_DATA, &bytes);
    (void)ssh_options_set(disturb->pump->session, SSH_OPTIONS_REKEY_TIME, &second);
    disturb->rekey_forced = true;
}

void disturb_after_rekey(struct disturb *disturb)
{
    if (disturb->rekey_forced) {
        uint32_t seconds = (uint32_t)(disturb->rekey_interval_us / 1000000);
        (void)ssh_options_set(disturb->pump->session, SSH_OPTIONS_REKEY_TIME, &seconds);
        disturb->rekey_forced = false;
    }
}

static void on_wake_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct disturb *disturb = timer->data;
    disturb->woken = true;
    pump_turn(disturb->pump);
}

bool disturb_woken(struct disturb *disturb)
{
    bool woken = disturb->woken;
    disturb->woken = false;
    return woken;
}

void disturb_wake_after(struct disturb *disturb, int64_t us)
{
    struct ev_loop *loop = disturb->pump->loop;
    double seconds = (double)us / 1e6;
    if (ev_is_active(&disturb->wake) && ev_timer_remaining(loop, &disturb->wake) <= seconds) {
        return;
    }
    ev_now_update(loop);
    ev_timer_stop(loop, &disturb->wake);
    ev_timer_set(&disturb->wake, seconds, 0.0);
    ev_timer_start(loop, &disturb->wake);
}

void disturb_init(struct disturb *disturb, struct pump *pump, uint64_t rekey_interval_us)
{
    *disturb = (struct disturb){.pump = pump, .rekey_interval_us = rekey_interval_us};
    ev_timer_init(&disturb->wake, on_wake_timer, 0.0, 0.0);
    disturb->wake.data = disturb;
}

void disturb_end(struct disturb *disturb)
{
    ev_timer_stop(disturb->pump->loop, &disturb->wake);
}
