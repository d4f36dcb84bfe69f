/*
 * verdict.h - room: may the figures of a run be believed, and what do they say about the server?
 *
 * Two judgements: whether the load that was offered was also carried (open loop), and whether the generator itself was
 * the limit. Pure, from the tally.
 */
#ifndef LOAD_RESULT_VERDICT_H
#define LOAD_RESULT_VERDICT_H

#include "load/result/result.h"

#include <stdbool.h>
#include <stdint.h>

struct verdict_offered {
    bool judged; /* there was a rate, and something was due */
    double per_s, achieved_per_s;
    uint64_t backlog;     /* due in the measured time, and neither answered nor given up at its end */
    double latency_slope; /* seconds by which the latency grew in each second of the run */
    double lost;          /* share of what was due that never got its answer */
    bool sustained;       /* also true where nothing is judged */
    int slice;            /* of a profile: the first in which the latency grew and grew; -1: none, or no profile */
};

struct verdict_offered verdict_offered(const struct result *result);

/* Why the generator was the limit: one sentence for each reason, through say. Returns how many. `say` may be NULL. */
unsigned verdict_client_bound(const struct result *result, void (*say)(const char *sentence, void *data), void *data);

/* The generator itself was the limit: its CPU, or its schedule. */
bool verdict_is_client_bound(const struct result *result);

/* What was offered at a rate was also carried; true for a closed loop. */
bool verdict_is_sustained(const struct result *result);

/* Why the figures say little about the server: a word or two, NULL when they do not. */
const char *verdict_unfit(const struct result *result);

/* Sentences that a reader of the figures must know: limits met, errors to expect. Calls say for each. */
void verdict_remarks(const struct result *result, void (*say)(const char *sentence, void *data), void *data);

#endif
