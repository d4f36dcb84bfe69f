#include "server/session/disturb.h"

#include <sys/socket.h>

static void on_reset(void *data)
{
    struct connection *c = data;
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(c->pump.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    c->no_farewell = true;
    connection_close(c, REASON_TEST_BENCH);
}

/* libssh has no call for it, but looks at the re-key interval with every packet; one that has never been set is long
 * over. The byte limit takes hold with the new keys. */
static void on_rekey(void *data, uint64_t bytes)
{
    struct connection *c = data;
    uint32_t second = 1;
    (void)ssh_options_set(c->pump.session, SSH_OPTIONS_REKEY_DATA, &bytes);
    (void)ssh_options_set(c->pump.session, SSH_OPTIONS_REKEY_TIME, &second);
    c->rekey_forced = true;
    rekey_every(&c->rekey, bytes);
}

static void on_wake_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct connection *c = timer->data;
    if (c->phase != PHASE_CLOSING) {
        pump_turn(&c->pump);
    }
}

static void on_wake(void *data, int64_t us)
{
    struct connection *c = data;
    double seconds = (double)us / 1e6;
    if (ev_is_active(&c->wake) && ev_timer_remaining(c->set->loop, &c->wake) <= seconds) {
        return;
    }
    ev_now_update(c->set->loop);
    ev_timer_stop(c->set->loop, &c->wake);
    ev_timer_set(&c->wake, seconds, 0.0);
    ev_timer_start(c->set->loop, &c->wake);
}

void disturb_init(struct connection *c)
{
    ev_timer_init(&c->wake, on_wake_timer, 0.0, 0.0);
    c->wake.data = c;
}

void disturb_grant(struct channel_host *host)
{
    host->reset = on_reset;
    host->rekey_every = on_rekey;
    host->wake_after = on_wake;
}

void disturb_after_rekey(struct connection *c)
{
    if (c->rekey_forced) {
        uint32_t seconds = (uint32_t)(c->set->config->rekey_interval_us / 1000000);
        (void)ssh_options_set(c->pump.session, SSH_OPTIONS_REKEY_TIME, &seconds);
        c->rekey_forced = false;
    }
}
