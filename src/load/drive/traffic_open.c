/* Inside the room of traffic.h: the open loop, where operations follow the plan. */
#include "load/drive/traffic_parts.h"

#include <sys/timerfd.h>
#include <unistd.h>

/* How late we are for an operation that could have been begun at `from_ns`. */
static void note_slip(struct traffic *traffic, int64_t from_ns, int64_t now_ns)
{
    histogram_record(tally_histogram(traffic->shared.tally, HISTOGRAM_SLIP), (now_ns - from_ns) / NS_PER_US);
}

static void issue_message(struct traffic *traffic, const struct schedule_operation *operation, int64_t due_ns)
{
    struct tally *tally = traffic->shared.tally;
    struct client *client = &traffic->clients[operation->client];
    struct stream *stream = &client->streams[operation->stream];
    bool coming = client->state != CLIENT_IDLE || traffic_is_planned(client);
    int64_t now_ns = mono_now().ns;
    if (operation->measured) {
        note_slip(traffic, due_ns, now_ns);
    }
    if (coming && stream_queue(stream, due_ns, operation->measured, false)) {
        if (traffic_wants_reconnect(traffic, client, now_ns)) {
            client_kick(client); /* closed as soon as it is silent; the message is for the next connection */
        } else {
            client_send(client, stream);
        }
    } else if (operation->measured && traffic_options(traffic)->mode != MODE_HOLD) {
        tally->started++;
        tally->failed++;
        fault_note(&tally->faults, FAULT_NOT_ISSUED, 1,
                   coming ? "too many messages of one channel are outstanding" : "a message was due on a dead session");
    }
}

static struct client *idle_client(struct traffic *traffic)
{
    for (uint64_t i = 0; i < traffic->client_count; i++) {
        if (traffic->clients[i].state == CLIENT_IDLE && !traffic_is_planned(&traffic->clients[i])) {
            return &traffic->clients[i];
        }
    }
    return NULL;
}

static void arm(struct traffic *traffic, int64_t at_ns)
{
    struct itimerspec when = {.it_value = timespec_of_ns(at_ns)};
    (void)timerfd_settime(traffic->due_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Issues what the plan says is due, and arms the timer for what comes next. */
void traffic_issue_due(struct traffic *traffic)
{
    struct schedule_operation operation;
    while ((traffic->flows || traffic->catches_up) && schedule_peek(&traffic->schedule, &operation)) {
        int64_t due_ns = traffic->gate_ns + operation.due_us * NS_PER_US;
        int64_t now_ns = mono_now().ns;
        if (due_ns > now_ns) {
            arm(traffic, due_ns);
            traffic->next_due_ns = due_ns;
            return;
        }
        if (traffic_options(traffic)->mode != MODE_CONNECT) {
            schedule_take(&traffic->schedule);
            issue_message(traffic, &operation, due_ns);
            continue;
        }
        struct client *client = idle_client(traffic);
        if (client == NULL) {
            return; /* the next slot that comes free takes it, late, but not by our doing */
        }
        schedule_take(&traffic->schedule);
        if (operation.measured) {
            note_slip(traffic, due_ns > client->free_ns ? due_ns : client->free_ns, now_ns);
        }
        traffic_begin_connection(traffic, client, operation.measured, due_ns);
    }
    traffic_check_count(traffic);
}

bool traffic_has_backlog(const struct traffic *traffic)
{
    return traffic->catches_up && schedule_left(&traffic->schedule) > 0;
}

/* There may be billions of them: those that fall into one slot of the histogram are counted together. */
void traffic_give_up_backlog(struct traffic *traffic, int64_t now_ns)
{
    struct tally *tally = traffic->shared.tally;
    struct schedule_operation oldest;
    int64_t now_us = (now_ns - traffic->gate_ns) / NS_PER_US;
    while (traffic_has_backlog(traffic) && schedule_peek(&traffic->schedule, &oldest)) {
        int64_t waited_us = now_us - oldest.due_us;
        int64_t least_us = histogram_slot_low(histogram_slot_of(waited_us));
        tally_give_up_many(tally, waited_us, least_us, schedule_abandon(&traffic->schedule, now_us - least_us + 1));
    }
    traffic->catches_up = false;
}

void traffic_on_due(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    struct traffic *traffic = io->data;
    uint64_t expirations;
    (void)!read(traffic->due_fd, &expirations, sizeof expirations);
    traffic_issue_due(traffic);
}

/* --spin: nothing else to do. The timer is there all the same, for the turns in which there is. */
void traffic_on_spin(struct ev_loop *loop, ev_idle *idle, int revents)
{
    (void)loop;
    (void)revents;
    struct traffic *traffic = idle->data;
    if (mono_now().ns >= traffic->next_due_ns) {
        traffic->next_due_ns = INT64_MAX;
        traffic_issue_due(traffic);
    }
}
