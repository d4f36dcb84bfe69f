/* Inside the room of pump.h: whose turn it is. */
#include "pump_internal.h"

#include "sshecho/clock.h"

/* What those in line get of one turn of the loop; a turn that has begun is not cut short. A quiet session waits as long
 * at most, and a little for each other session that has something to say. */
#define LINE_US (2 * US_PER_MS)

static void join(struct pump_turns *turns, struct pump *pump)
{
    pump->in_line = true;
    pump->next_in_line = NULL;
    pump->previous_in_line = turns->last;
    if (turns->last != NULL) {
        turns->last->next_in_line = pump;
    } else {
        turns->first = pump;
        ev_idle_start(turns->loop, &turns->more);
    }
    turns->last = pump;
}

void pump_leave_line(struct pump *pump)
{
    struct pump_turns *turns = pump->turns;
    if (!pump->in_line) {
        return;
    }
    pump->in_line = false;
    if (pump->previous_in_line != NULL) {
        pump->previous_in_line->next_in_line = pump->next_in_line;
    } else {
        turns->first = pump->next_in_line;
    }
    if (pump->next_in_line != NULL) {
        pump->next_in_line->previous_in_line = pump->previous_in_line;
    } else {
        turns->last = pump->previous_in_line;
    }
    if (turns->first == NULL) {
        ev_idle_stop(turns->loop, &turns->more);
    }
}

/* Who stands in line and is still ready will be here again in the next turn of the loop, and then joins at the end. */
void pump_wants_turn(struct pump *pump)
{
    if (pump->turns == NULL) {
        pump_take_turn(pump, PUMP_TURN_BYTES);
    } else if (!pump->stranger && !pump->greedy) {
        pump_leave_line(pump);
        pump_take_turn(pump, PUMP_SMALL_TURN_BYTES);
    } else if (!pump->in_line) {
        join(pump->turns, pump);
    }
}

static void serve(struct ev_loop *loop, ev_check *check, int revents)
{
    (void)loop;
    (void)revents;
    struct pump_turns *turns = check->data;
    if (turns->first == NULL) {
        return;
    }
    mono_time began = mono_now();
    do {
        struct pump *pump = turns->first;
        pump_leave_line(pump);
        pump_take_turn(pump, PUMP_TURN_BYTES);
    } while (turns->first != NULL && mono_us_between(began, mono_now()) < LINE_US);
}

static void on_more(struct ev_loop *loop, ev_idle *idle, int revents)
{
    (void)loop;
    (void)idle;
    (void)revents; /* that the loop does not wait is all */
}

void pump_turns_init(struct pump_turns *turns, struct ev_loop *loop)
{
    *turns = (struct pump_turns){.loop = loop};
    ev_check_init(&turns->serve, serve);
    ev_idle_init(&turns->more, on_more);
    ev_set_priority(&turns->serve, EV_MINPRI); /* after those who have their turn at once */
    turns->serve.data = turns;
    ev_check_start(loop, &turns->serve);
}

void pump_turns_end(struct pump_turns *turns)
{
    ev_check_stop(turns->loop, &turns->serve);
    ev_idle_stop(turns->loop, &turns->more);
}

void pump_share(struct pump *pump, struct pump_turns *turns)
{
    pump->turns = turns;
    pump->stranger = true;
}

void pump_is_known(struct pump *pump)
{
    pump->stranger = false;
}
