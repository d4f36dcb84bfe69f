/*
 * traffic_parts.h - inside the room of traffic.h: what its files know of one another.
 *
 * traffic.c decides for sessions and phases, traffic_open.c issues what the plan says, traffic_life.c makes and ends
 * it.
 */
#ifndef LOAD_DRIVE_TRAFFIC_PARTS_H
#define LOAD_DRIVE_TRAFFIC_PARTS_H

#include "load/drive/traffic.h"

static inline const struct load_options *traffic_options(const struct traffic *traffic)
{
    return &traffic->shared.settings->options;
}

/* Whether the client's slot waits for being started again. */
static inline bool traffic_is_planned(const struct client *client)
{
    return ev_is_active(&client->restart);
}

/* traffic.c */
extern const struct client_events traffic_client_events;
/* After anything that may have been the last operation, however it ended. */
void traffic_check_count(struct traffic *traffic);
bool traffic_wants_reconnect(const struct traffic *traffic, const struct client *client, int64_t now_ns);
void traffic_begin_connection(struct traffic *traffic, struct client *client, bool measured, int64_t due_ns);

/* traffic_open.c: issues what is due, and sets the clock for what comes next */
void traffic_issue_due(struct traffic *traffic);
void traffic_on_due(struct ev_loop *loop, ev_io *io, int revents);
void traffic_on_spin(struct ev_loop *loop, ev_idle *idle, int revents);

#endif
