/*
 * schedule.h - room: which operation of the open loop comes when, and where.
 *
 * Every operation of the whole run has a number, a due time and a place that follow from the settings alone; a worker
 * owns those whose place is among its clients. Pure.
 */
#ifndef LOAD_PLAN_SCHEDULE_H
#define LOAD_PLAN_SCHEDULE_H

#include "load/settings.h"

#include <stdbool.h>
#include <stdint.h>

/* Which part of the run a worker has. */
struct schedule_part {
    unsigned worker;       /* index */
    uint64_t first_client; /* number of its first connection */
    uint64_t client_count;
};

struct schedule_operation {
    uint64_t number; /* in the whole run */
    int64_t due_us;  /* after the start of traffic */
    uint64_t client; /* among the worker's; connect mode: any */
    uint64_t stream; /* of that client */
};

/* Whether operations follow a plan (--rate, or the pings of hold mode) rather than each other. */
bool schedule_is_open(const struct settings *settings);

/* Operation k (from 0) of the worker; false when it has none at all. due_us never decreases with k. */
bool schedule_operation_at(const struct settings *settings, const struct schedule_part *part, uint64_t k,
                           struct schedule_operation *out);

/* Whether this operation belongs to the measurement, and whether all later ones lie beyond it. */
bool schedule_is_measured(const struct settings *settings, const struct schedule_operation *operation);
bool schedule_is_over(const struct settings *settings, const struct schedule_operation *operation);

#endif
