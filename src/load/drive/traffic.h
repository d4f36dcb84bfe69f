/*
 * traffic.h - room: what each mode does with its sessions.
 *
 * The decisions of a worker that depend on the mode: what is sent when, when a connection is closed and opened again,
 * and which operations count as what. Works on the worker's clients and tally; owns nothing.
 */
#ifndef LOAD_DRIVE_TRAFFIC_H
#define LOAD_DRIVE_TRAFFIC_H

#include "load/drive/worker.h"

/* The events of the worker's clients; their data is the worker. */
extern const struct client_events traffic_events;

/* The gate has opened: traffic may flow. */
void traffic_begin(struct load_worker *worker);
/* Issues what the plan says is due, and arms the timer for what comes next. */
void traffic_issue_due(struct load_worker *worker);
/* A slot whose restart_ns has come. */
void traffic_restart(struct load_worker *worker, struct client *client);

/* worker.c, for traffic.c: a client of the ramp has come up or failed. */
void load_worker_settled(struct load_worker *worker, bool up);
/* worker.c: ends a measurement by count as soon as it has all it wants. */
void load_worker_check_count(struct load_worker *worker);

#endif
