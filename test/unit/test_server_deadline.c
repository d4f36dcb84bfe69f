/* Tests of the room of deadline.h, with a clock of their own: what ends a connection, when, and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "server/session/deadline.h"

#define S(seconds) ((uint64_t)(seconds)*1000000U)

struct world {
    struct config config;
    struct deadline deadline;
    mono_time now;
    bool ended;
    enum close_reason reason;
    mono_time ended_at;
    uint64_t bytes_in, bytes_out;
    bool waiting;
};

static void on_expired(void *data, enum close_reason reason)
{
    struct world *w = data;
    assert_false(w->ended);
    w->ended = true;
    w->reason = reason;
    w->ended_at = w->now;
    deadline_end(&w->deadline);
}

static mono_time at(double seconds)
{
    return (mono_time){.ns = (int64_t)(seconds * 1e9)};
}

/* Lets time pass; the timer comes exactly when it was set to. */
static void run_until(struct world *w, double seconds)
{
    mono_time until = at(seconds);
    while (!w->ended && w->deadline.armed_ns <= until.ns) {
        assert_true(w->deadline.armed_ns >= w->now.ns);
        w->now.ns = w->deadline.armed_ns;
        deadline_look(&w->deadline, w->now);
    }
    if (!w->ended) {
        w->now = until;
    }
}

static void turn(struct world *w)
{
    deadline_turned_at(&w->deadline, w->bytes_in, w->bytes_out, w->waiting, w->now);
}

static struct ev_loop *loop;

static void begin(struct world *w)
{
    w->now = at(0);
    deadline_begin(&w->deadline, loop, &w->config, w->now, on_expired, w);
}

static void to_phase(struct world *w, enum phase phase)
{
    while (w->deadline.phase < phase) {
        deadline_phase(&w->deadline, (enum phase)(w->deadline.phase + 1), w->now);
    }
}

static void assert_ends(struct world *w, double seconds, enum close_reason reason)
{
    run_until(w, 1000);
    assert_true(w->ended);
    assert_string_equal(counters_close_name(w->reason), counters_close_name(reason));
    assert_int_equal(w->ended_at.ns / 1000000, at(seconds).ns / 1000000);
}

/* Each deadline, the state in which it runs, and what begins it. */
enum which { SESSION, LOGIN, BANNER, KEX, IDLE, REKEY, NO_PROGRESS, DEADLINES };

static const struct {
    size_t key;
    enum close_reason reason;
    enum phase first, last; /* in which it runs */
} deadlines[DEADLINES] = {
    [SESSION] = {offsetof(struct config, session_timeout_us), REASON_SESSION_TIMEOUT, PHASE_BANNER, PHASE_OPEN},
    [LOGIN] = {offsetof(struct config, login_timeout_us), REASON_LOGIN_TIMEOUT, PHASE_BANNER, PHASE_LOGIN},
    [BANNER] = {offsetof(struct config, banner_timeout_us), REASON_BANNER_TIMEOUT, PHASE_BANNER, PHASE_BANNER},
    [KEX] = {offsetof(struct config, kex_timeout_us), REASON_KEX_TIMEOUT, PHASE_KEX, PHASE_KEX},
    [IDLE] = {offsetof(struct config, idle_timeout_us), REASON_IDLE_TIMEOUT, PHASE_OPEN, PHASE_OPEN},
    [REKEY] = {offsetof(struct config, kex_timeout_us), REASON_KEX_TIMEOUT, PHASE_OPEN, PHASE_OPEN},
    [NO_PROGRESS] = {offsetof(struct config, no_progress_timeout_us), REASON_NO_PROGRESS, PHASE_OPEN, PHASE_OPEN},
};

static bool run_together(enum which a, enum which b)
{
    return deadlines[a].first <= deadlines[b].last && deadlines[b].first <= deadlines[a].last;
}

/* The phase begins at 1 s, what makes a deadline of it at 2 s. When `which` counts from. */
static double counts_from(enum which which)
{
    return which == SESSION || which == LOGIN || which == BANNER ? 0 : which == REKEY || which == NO_PROGRESS ? 2 : 1;
}

static void set(struct world *w, enum which which, uint64_t us)
{
    memcpy((char *)&w->config + deadlines[which].key, &us, sizeof us);
}

static void bring_about(struct world *w, enum which which)
{
    if (which == REKEY) {
        deadline_rekeying(&w->deadline, true, w->now);
    } else if (which == NO_PROGRESS) {
        w->waiting = true;
        turn(w);
    }
}

static void test_each_beside_each(void **state)
{
    (void)state;
    for (enum which near = 0; near < DEADLINES; near++) {
        for (enum which far = 0; far < DEADLINES; far++) {
            if (near == far || !run_together(near, far)) {
                continue;
            }
            struct world w = {.bytes_in = 0};
            set(&w, near, S(3));
            set(&w, far, S(25));
            begin(&w);
            run_until(&w, 1);
            to_phase(&w, deadlines[near].first > deadlines[far].first ? deadlines[near].first : deadlines[far].first);
            run_until(&w, 2);
            bring_about(&w, far);
            bring_about(&w, near);
            assert_ends(&w, counts_from(near) + 3, deadlines[near].reason);
        }
    }
}

static void test_none(void **state)
{
    (void)state;
    struct world w = {.bytes_in = 0};
    begin(&w);
    to_phase(&w, PHASE_OPEN);
    bring_about(&w, REKEY);
    bring_about(&w, NO_PROGRESS);
    run_until(&w, 100000);
    assert_false(w.ended);
    assert_false(ev_is_active(&w.deadline.timer));
    deadline_end(&w.deadline);
}

static void test_a_phase_ends_its_deadline(void **state)
{
    (void)state;
    struct world w = {.config = {.banner_timeout_us = S(2), .kex_timeout_us = S(3), .login_timeout_us = S(10)}};
    begin(&w);
    run_until(&w, 1.9);
    to_phase(&w, PHASE_KEX);
    run_until(&w, 4.8);
    to_phase(&w, PHASE_LOGIN);
    run_until(&w, 9.9);
    assert_false(w.ended);
    to_phase(&w, PHASE_OPEN);
    assert_false(ev_is_active(&w.deadline.timer));
    run_until(&w, 1000);
    assert_false(w.ended);
}

/* A mark of long ago is no reason: what waits now has waited from now on. */
static void test_waiting_counts_from_its_beginning(void **state)
{
    (void)state;
    for (int with_idle = 0; with_idle < 2; with_idle++) {
        struct world w = {.config = {.no_progress_timeout_us = S(3), .idle_timeout_us = with_idle ? S(300) : 0}};
        begin(&w);
        to_phase(&w, PHASE_OPEN);
        w.waiting = true;
        turn(&w);
        run_until(&w, 1);
        w.waiting = false;
        w.bytes_out += 100;
        turn(&w);
        run_until(&w, 100);
        assert_false(w.ended);
        w.waiting = true; /* the window is shut: not a byte has gone */
        w.bytes_in += 100;
        turn(&w);
        assert_ends(&w, 103, REASON_NO_PROGRESS);
    }
}

static void test_progress_and_input_defer(void **state)
{
    (void)state;
    struct world w = {.config = {.no_progress_timeout_us = S(3), .idle_timeout_us = S(5)}, .waiting = true};
    begin(&w);
    to_phase(&w, PHASE_OPEN);
    turn(&w);
    for (int i = 1; i <= 10; i++) {
        run_until(&w, 2.5 * i);
        assert_false(w.ended);
        w.bytes_out += 10;
        w.bytes_in += 10;
        turn(&w);
    }
    assert_ends(&w, 28, REASON_NO_PROGRESS);
}

static void test_output_is_no_input(void **state)
{
    (void)state;
    struct world w = {.config = {.no_progress_timeout_us = S(30), .idle_timeout_us = S(5)}, .waiting = true};
    begin(&w);
    to_phase(&w, PHASE_OPEN);
    for (int i = 1; i < 5; i++) {
        run_until(&w, i);
        w.bytes_out += 10;
        turn(&w);
    }
    assert_ends(&w, 5, REASON_IDLE_TIMEOUT);
}

static void test_a_reexchange_that_ends(void **state)
{
    (void)state;
    struct world w = {.config = {.kex_timeout_us = S(2), .session_timeout_us = S(50)}};
    begin(&w);
    to_phase(&w, PHASE_OPEN);
    run_until(&w, 10);
    deadline_rekeying(&w.deadline, true, w.now);
    run_until(&w, 11.9);
    deadline_rekeying(&w.deadline, false, w.now);
    assert_ends(&w, 50, REASON_SESSION_TIMEOUT);
}

/* Whatever happens in whatever order, the timer is never set later than the nearest deadline, and ends nobody early. */
static void test_any_order(void **state)
{
    (void)state;
    srand(1);
    for (int life = 0; life < 2000; life++) {
        struct world w = {.bytes_in = 0};
        for (enum which which = 0; which < DEADLINES; which++) {
            set(&w, which, rand() % 3 != 0 ? S(1 + rand() % 20) : 0);
        }
        begin(&w);
        for (int step = 0; step < 60 && !w.ended; step++) {
            enum close_reason reason;
            assert_true(w.deadline.armed_ns <= deadline_nearest(&w.deadline, &reason));
            int64_t nearest_ns = deadline_nearest(&w.deadline, &reason);
            run_until(&w, (double)w.now.ns / 1e9 + rand() % 3000 / 1000.0);
            if (w.ended) {
                assert_int_equal(w.ended_at.ns, nearest_ns);
                assert_int_equal(w.reason, reason);
                break;
            }
            assert_true(w.now.ns < nearest_ns);
            switch (rand() % 5) {
            case 0:
                to_phase(&w, w.deadline.phase < PHASE_OPEN ? (enum phase)(w.deadline.phase + 1) : PHASE_OPEN);
                break;
            case 1:
                w.bytes_in += 1;
                break;
            case 2:
                w.bytes_out += 1;
                break;
            case 3:
                w.waiting = !w.waiting;
                break;
            default:
                deadline_rekeying(&w.deadline, rand() % 2 == 0, w.now);
                break;
            }
            turn(&w);
        }
        deadline_end(&w.deadline);
        assert_false(ev_is_active(&w.deadline.timer));
    }
}

static void test_ended_before_it_began(void **state)
{
    (void)state;
    struct deadline deadline = {0};
    deadline_end(&deadline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_beside_each),          cmocka_unit_test(test_none),
        cmocka_unit_test(test_a_phase_ends_its_deadline), cmocka_unit_test(test_waiting_counts_from_its_beginning),
        cmocka_unit_test(test_progress_and_input_defer),  cmocka_unit_test(test_output_is_no_input),
        cmocka_unit_test(test_a_reexchange_that_ends),    cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_ended_before_it_began),
    };
    loop = ev_loop_new(EVBACKEND_SELECT | EVFLAG_NOENV);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ev_loop_destroy(loop);
    return failed;
}
