/*
 * watched.h - room: a run that goes on, as somebody beside it may see it.
 *
 * Reads the live counters of the threads and the moment at which the gate opened, never more. Owns nothing.
 */
#ifndef LOAD_WATCH_WATCHED_H
#define LOAD_WATCH_WATCHED_H

#include "load/settings.h"
#include "load/tally/tally.h"

struct watched {
    const struct settings *settings;
    const struct tally **tallies; /* [threads] */
    unsigned threads;
    const _Atomic int64_t *gate_ns; /* 0: the sessions are still being set up */
    mono_time started;
};

struct watched_counts {
    uint64_t sessions, handshakes, echoes, bytes, latency_sum_us, errors;
    uint64_t faults[FAULT_COUNT];
};

void watched_count(const struct watched *watched, struct watched_counts *out);
/* When the measurement begins; 0: not known yet. */
int64_t watched_measure_from_ns(const struct watched *watched);
/* CPU time of this process so far. */
double watched_cpu_s(void);

#endif
