/*
 * watched.h - room: a run that goes on, as somebody beside it may see it.
 *
 * Reads the live counters of the threads, or those that the processes below have told, and the moment at which the gate
 * opened, never more. Owns nothing.
 */
#ifndef LOAD_WATCH_WATCHED_H
#define LOAD_WATCH_WATCHED_H

#include "load/settings.h"
#include "load/tally/tally.h"

struct watched {
    const struct settings *settings;
    const struct tally_live **lives; /* [live_count]: of each thread, or of each process where there are several */
    unsigned live_count, threads;
    const _Atomic uint64_t *cpu_us_below; /* CPU time of the processes below this one; NULL: there are none */
    const _Atomic int64_t *gate_ns;       /* 0: the sessions are still being set up */
    bool by_interval;                     /* its intervals are told as they end */
    mono_time started;
};

struct watched_counts {
    uint64_t sessions, handshakes, echoes, bytes, latency_sum_us, errors;
    uint64_t faults[FAULT_COUNT];
};

void watched_count(const struct watched *watched, struct watched_counts *out);
/* Puts counts where watched_count finds them. */
void watched_tell(struct tally_live *live, const struct watched_counts *counts);
/* When the measurement begins; 0: not known yet. */
int64_t watched_measure_from_ns(const struct watched *watched);
/* CPU time of this process so far, and of those below it. */
double watched_cpu_s(const struct watched *watched);

#endif
