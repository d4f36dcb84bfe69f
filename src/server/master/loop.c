/* Inside the room of master_state.h: what the master does while it runs. Signals, children, a look every now and then.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "server/entry/admission.h"
#include "server/master/master_state.h"
#include "server/master/notify.h"
#include "server/master/sampler.h"
#include "sshecho/log.h"

/* How often the master looks at its workers: readiness, heartbeats, back-off. */
#define LOOK_S 0.05

/* How often it looks up for the metrics what the kernel says of workers and accept queues. */
#define SAMPLE_US (250 * US_PER_MS)

/* ---- making workers ---------------------------------------------------------------------------------------------- */

/* In the child: nothing of the master's loop may stay, its signal pipe least of all. */
static void become_worker(struct master *m, unsigned slot)
{
    ev_signal_stop(m->loop, &m->terminate);
    ev_signal_stop(m->loop, &m->interrupt);
    ev_signal_stop(m->loop, &m->hangup);
    ev_signal_stop(m->loop, &m->user1);
    ev_signal_stop(m->loop, &m->user2);
    ev_child_stop(m->loop, &m->child);
    ev_timer_stop(m->loop, &m->rehearsal.take_over);
    notify_forked();
    log_forked();
    if (m->previous != NULL) {
        generation_close(m->previous);
    }
    generation_close_metrics(m->generation);
    (void)close(m->board_fd);
    inheritance_end(&m->inheritance); /* it holds keys, and a board of its own */
    if (m->rehearsal.pid != 0) {
        (void)close(m->rehearsal.estate_fd);
        (void)close(m->rehearsal.output_fd);
    }
    ev_loop_fork(m->loop);
    ev_break(m->loop, EVBREAK_ALL);
    m->is_worker = true;
    m->worker_slot = slot;
}

void loop_start_missing_workers(struct master *m)
{
    mono_time now = mono_now();
    unsigned slot = 0;
    enum workers_start start = WORKERS_STARTED;
    while (!m->draining && !m->is_worker && start == WORKERS_STARTED) {
        start = workers_start_missing(&m->workers, m->generation, now, &slot);
    }
    if (start == WORKERS_IN_WORKER) {
        become_worker(m, slot);
    }
}

/* ---- losing workers ---------------------------------------------------------------------------------------------- */

static void finish_if_all_gone(struct master *m)
{
    if (m->draining && workers_count(&m->workers, NULL) == 0) {
        ev_break(m->loop, EVBREAK_ALL);
    }
}

static void on_child(struct ev_loop *loop, ev_child *child, int revents)
{
    (void)loop;
    (void)revents;
    struct master *m = child->data;
    if (metrics_process_ended(&m->metrics, child->rpid, child->rstatus)) {
        return;
    }
    if (upgrade_child_ended(m, child->rpid, child->rstatus)) {
        reload_go_on(m);
        return;
    }
    bool ours = workers_child_ended(&m->workers, child->rpid, child->rstatus);
    if (ours && m->generation->adopted && m->announced) {
        m->reload_again = true; /* an heir that could not: a loss is the time to try again */
    }
    reload_go_on(m);
    finish_if_all_gone(m);
    loop_start_missing_workers(m);
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */

/* What the process that serves them cannot know. */
static void publish(struct master *m)
{
    const struct config *config = m->generation->config;
    if (m->generation->adopted) {
        return; /* what the program before has published stays */
    }
    uint64_t room = admission_room(m->fd_limit) * config->workers;
    bool limited = config->max_connections != 0 && config->max_connections < room;
    counters_set(&m->board->connections_max, limited ? config->max_connections : room);
    counters_set(&m->board->announced, m->served ? 1 : 0);
    counters_set(&m->board->draining, m->draining ? 1 : 0);
}

void loop_look_after_metrics(struct master *m)
{
    mono_time now = mono_now();
    publish(m);
    if (m->inheritance.kind == INHERITS_REHEARSAL) {
        return;
    }
    if (m->announced || !m->served) {
        metrics_process_look(&m->metrics, m->generation, m->previous, m->board, m->pid);
    }
    if (m->metrics.pid != 0 && mono_us_between(m->sampled_at, now) >= SAMPLE_US) {
        m->sampled_at = now;
        sampler_take(m->board, &m->generation->listeners);
    }
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* The workers close theirs when nobody waits in a queue any more: from then on clients are refused. The figures stay to
 * the end: a drain is when somebody looks at them. */
static void retire(struct master *m)
{
    generation_stop_listening(m->generation, NULL);
    if (m->previous != NULL) {
        generation_stop_listening(m->previous, NULL);
    }
}

static void on_terminate(struct ev_loop *loop, ev_signal *watcher, int revents)
{
    (void)revents;
    struct master *m = watcher->data;
    if (m->draining) {
        log_line(LOG_WARN, "stop_now", log_str("signal", strsignal(watcher->signum)));
        m->status = 1;
        workers_kill(&m->workers);
        ev_break(loop, EVBREAK_ALL);
        return;
    }
    m->draining = true;
    log_line(LOG_INFO, "stopping", log_str("signal", strsignal(watcher->signum)),
             log_u64("connections", scoreboard_connections(m->board)),
             log_f64("deadline_s", (double)m->generation->config->drain_timeout_us / 1e6));
    notify_stopping();
    if (m->inheritance.kind != INHERITS_REHEARSAL) { /* its sockets are others' */
        retire(m);
    }
    publish(m);
    upgrade_look(m);
    workers_dismiss(&m->workers, NULL);
    finish_if_all_gone(m);
}

static void on_hangup(struct ev_loop *loop, ev_signal *watcher, int revents)
{
    (void)loop;
    (void)revents;
    reload_ask(watcher->data);
}

/* ---- looking after workers --------------------------------------------------------------------------------------- */

/* Lines that any of us could not get rid of are told here, once the reader is back: workers come and go. */
void loop_look_after_log(struct master *m)
{
    struct counters total;
    log_flush();
    counters_set(&m->board->log_lines_lost, log_lost_lines());
    scoreboard_total(m->board, &total);
    uint64_t lost = counters_get(&m->board->log_lines_lost) + counters_get(&total.log_lines_lost);
    if (lost > m->log_lost_told && log_tell_lost(lost - m->log_lost_told)) {
        m->log_lost_told = lost;
    }
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    struct master *m = timer->data;
    unsigned ready = workers_watch(&m->workers, m->generation, mono_now());
    loop_start_missing_workers(m);
    if (m->is_worker) {
        return;
    }
    upgrade_look(m);
    reload_look(m, ready);
    if (m->is_worker) {
        return;
    }
    loop_look_after_metrics(m);
    notify_watchdog();
    loop_look_after_log(m);
}

static void on_user2(struct ev_loop *loop, ev_signal *watcher, int revents)
{
    (void)loop;
    (void)revents;
    upgrade_ask(watcher->data);
}

static void on_user1(struct ev_loop *loop, ev_signal *watcher, int revents)
{
    (void)loop;
    (void)revents;
    struct master *m = watcher->data;
    struct counters total;
    scoreboard_total(m->board, &total);
    counters_log(&total, "totals");
    workers_log(&m->workers);
}

void loop_start(struct master *m)
{
    ev_signal_init(&m->terminate, on_terminate, SIGTERM);
    ev_signal_init(&m->interrupt, on_terminate, SIGINT);
    ev_signal_init(&m->hangup, on_hangup, SIGHUP);
    ev_signal_init(&m->user1, on_user1, SIGUSR1);
    ev_signal_init(&m->user2, on_user2, SIGUSR2);
    ev_child_init(&m->child, on_child, 0, 0);
    ev_timer_init(&m->look, on_look, 0.01, LOOK_S);
    m->terminate.data = m->interrupt.data = m->hangup.data = m->user1.data = m->user2.data = m->child.data =
        m->look.data = m;
    ev_signal_start(m->loop, &m->terminate);
    ev_signal_start(m->loop, &m->interrupt);
    ev_signal_start(m->loop, &m->hangup);
    ev_signal_start(m->loop, &m->user1);
    ev_signal_start(m->loop, &m->user2);
    ev_child_start(m->loop, &m->child);
    ev_timer_start(m->loop, &m->look);
    if (m->inheritance.kind == INHERITS_ALL) {
        upgrade_hear_signals();
    }
}
