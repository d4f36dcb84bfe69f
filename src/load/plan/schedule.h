/*
 * schedule.h - room: which operation of the open loop comes when, and where.
 *
 * Every operation of the whole run has a number, a due time and a place that follow from the settings alone; a worker
 * owns those whose place is among its clients, and takes them one after the other. What is left is counted by
 * arithmetic, never one by one. Pure.
 */
#ifndef LOAD_PLAN_SCHEDULE_H
#define LOAD_PLAN_SCHEDULE_H

#include "load/plan/rate.h"
#include "load/settings.h"

#include <stdbool.h>
#include <stdint.h>

/* Which part of the run a worker has. */
struct schedule_part {
    unsigned worker;       /* index */
    uint64_t first_client; /* number of its first connection */
    uint64_t client_count;
};

struct schedule {
    const struct settings *settings;
    struct schedule_part part;
    uint64_t taken; /* operations of this part so far */
    uint64_t measured_from,
        over; /* numbers in the whole run: [measured_from, over) are measured. Unused in hold mode */
    struct plan_rate_block block;
};

struct schedule_operation {
    uint64_t number; /* in the whole run */
    int64_t due_us;  /* after the start of traffic */
    uint64_t client; /* among the worker's; connect mode: any */
    uint64_t stream; /* of that client */
    bool measured;
};

/* Whether operations follow a plan (--rate, or the pings of hold mode) rather than each other. */
bool schedule_is_open(const struct settings *settings);

void schedule_init(struct schedule *schedule, const struct settings *settings, struct schedule_part part);

/* The next operation of this part; false when there is none within the run. due_us never decreases. */
bool schedule_peek(struct schedule *schedule, struct schedule_operation *out);
void schedule_take(struct schedule *schedule);
/* What is due at until_us or later will not come. */
void schedule_cut(struct schedule *schedule, int64_t until_us);
/* Takes all that are due before until_us (INT64_MAX: all there are). Returns how many of them are measured; pings of
 * hold mode never are. */
uint64_t schedule_abandon(struct schedule *schedule, int64_t until_us);
/* How many schedule_abandon would find. */
uint64_t schedule_left(const struct schedule *schedule);

#endif
