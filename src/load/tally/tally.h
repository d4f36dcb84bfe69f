/*
 * tally.h - room: what happened, in numbers.
 *
 * Each thread counts into a tally of its own, which nobody else touches until the thread has been joined; then they are
 * merged. An operation is a message (ping, stream), a connection (connect) or a session (hold). Of the operations that
 * were due within the measured time, started = ok + failed + timed_out + unfinished.
 */
#ifndef LOAD_TALLY_TALLY_H
#define LOAD_TALLY_TALLY_H

#include "load/plan/rate.h"
#include "load/tally/by_target.h"
#include "load/tally/fault.h"
#include "sshecho/clock.h"
#include "sshecho/histogram.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parts of a handshake, each measured from the end of the one before. */
enum tally_phase { TALLY_TCP, TALLY_BANNER_KEX, TALLY_AUTH, TALLY_CHANNEL, TALLY_FIRST_ECHO, TALLY_PHASES };

/* The histograms of a tally, in one allocation. */
enum tally_histogram {
    HISTOGRAM_LATENCY,         /* us, from the due time; ok operations only */
    HISTOGRAM_UNCORRECTED,     /* us, the same operations from the moment they were really sent */
    HISTOGRAM_SLIP,            /* us that the generator was late, per operation of a rate */
    HISTOGRAM_CONNECTION_KB,   /* payload bytes / 1000 that each connection moved in the measured time */
    HISTOGRAM_HANDSHAKE,       /* us, connect(2) to usable, of every session that came up in the whole run */
    HISTOGRAM_HANDSHAKE_PARTS, /* TALLY_PHASES of them from here on */
    HISTOGRAM_COUNT = HISTOGRAM_HANDSHAKE_PARTS + TALLY_PHASES
};

/* One second of the run, counted from the start of the measurement, by when things happened. */
struct tally_second {
    uint64_t echoes;
    uint64_t bytes;
    uint64_t handshakes;
    uint64_t errors;
    uint64_t latency_sum_us; /* of the echoes */
    uint64_t latency_max_us;
};

#define TALLY_SECONDS_MAX 1000000U

/* What the first session of a thread agreed on with its server. */
struct tally_negotiated {
    char banner[128];
    char kex[64], host_key[64];
    char cipher_out[64], cipher_in[64];
    char mac_out[64], mac_in[64];
};

/* Read by the main thread while the owner writes: single writer, relaxed. For progress only. */
struct tally_live {
    _Atomic uint64_t sessions_up;
    _Atomic uint64_t handshakes;
    _Atomic uint64_t echoes;
    _Atomic uint64_t bytes;
    _Atomic uint64_t errors;
    _Atomic uint64_t faults[FAULT_COUNT]; /* the same by class */
    _Atomic uint64_t latency_sum_us;
};

/* Sums for the line through the latencies (y, in s) over the due times (x, in s after the start of the measurement). */
struct tally_trend {
    uint64_t count;
    double x, y, xx, xy, yy;
};

/* How the machine treated the busiest thread of the generator, as shares of the measured time. */
struct tally_pressure {
    uint64_t windows, busy_windows; /* tenths of a second, and those of them with hardly any rest; merged by adding */
    double busiest_window_cpu;      /* share of a core; this and the rest merged by taking the larger */
    double run_delay;               /* runnable, and waiting for a CPU */
    double throttled;               /* held back by the quota of the control group */
    double steal;                   /* taken from the machine by its hypervisor */
};

struct tally {
    uint64_t started, ok, failed, timed_out, unfinished;
    uint64_t censored; /* subset of unfinished, at a rate: in HISTOGRAM_LATENCY with the time that they had waited */
    uint64_t echoes;   /* that came back within the measured time, whenever sent */
    uint64_t bytes;    /* payload that came back (direction up: was sent) within the measured time */

    uint64_t connects_tried;      /* whole run */
    uint64_t connects_up;         /* whole run; subset of connects_tried */
    uint64_t connects_in_ramp;    /* subset of connects_up: before traffic began */
    uint64_t connects_in_measure; /* subset of connects_up */
    uint64_t sessions_lost;       /* were up and ended against our will */
    uint64_t sessions_up;         /* at the end of the measurement */
    uint64_t sessions_held;       /* hold mode: up when the measured time was over; 0 where that is not known */
    uint64_t sessions_pinged;     /* subset of sessions_held: up at the end, and have answered a ping */
    uint64_t sessions_up_max;     /* most at the same time; merged by adding */
    uint64_t messages_rekeyed;    /* writes that a key re-exchange held up */

    /* Streams: how often a channel had something to send and stopped at a shut window or at the cap on unsent output,
     * and the rate that window and round-trip time allow, summed over the connections. */
    uint64_t stops_at_window, stops_at_output;
    double window_limit_bytes_per_s;

    /* Open loop at a rate: `rated`; what ended well before the measured time did; what was due in it and neither
     * settled nor given up at its end; how the latency went. */
    bool rated;
    uint64_t ok_in_time, backlog;
    struct tally_trend trend;
    unsigned slice_count; /* of a profile of rates; 0: one rate */
    struct tally_trend slices[PLAN_RATE_SLICES];

    struct tally_pressure pressure;
    double cpu_s;              /* of the generator's threads, during the measurement */
    double busiest_thread_cpu; /* share of one core, 0..1; merged by taking the larger */

    struct fault_log faults;
    struct tally_negotiated negotiated;
    struct histogram *histograms; /* [HISTOGRAM_COUNT] */
    struct by_target by_target;
    struct tally_second *seconds;
    size_t second_count, second_capacity;

    struct tally_live live;
};

/* 0, or -1 out of memory. */
int tally_init(struct tally *tally);
void tally_free(struct tally *tally);
/* Adds `from` to `into` (live counters excepted). 0, or -1 out of memory (only the series is then incomplete). */
int tally_merge(struct tally *into, const struct tally *from);
/* Moves the series so many seconds later, for a merge with what began earlier. 0, or -1 out of memory. */
int tally_delay(struct tally *tally, size_t seconds);

/* The second that `us` after the start of the measurement falls into; NULL before it, or out of memory. */
struct tally_second *tally_second_at(struct tally *tally, int64_t us);

static inline struct histogram *tally_histogram(const struct tally *tally, enum tally_histogram which)
{
    return &tally->histograms[which];
}

/* Operations that were due and never answered before the run ended. At a rate they count among the latencies as long as
 * they have waited: without them the slowest would be missing there. Of many, the longest wait is exact, and the others
 * lie evenly between the two. */
void tally_give_up_many(struct tally *tally, int64_t longest_us, int64_t least_us, uint64_t operations);
/* One of them. */
static inline void tally_give_up(struct tally *tally, int64_t due_ns, int64_t now_ns, bool at_a_rate)
{
    tally->unfinished++;
    if (at_a_rate) {
        tally->censored++;
        histogram_record(tally_histogram(tally, HISTOGRAM_LATENCY), (now_ns - due_ns) / NS_PER_US);
    }
}

/* Operations that did not succeed: timed out or failed, as the fault says. */
static inline void tally_count_failure(struct tally *tally, enum fault fault, uint64_t operations)
{
    if (fault_is_timeout(fault)) {
        tally->timed_out += operations;
    } else {
        tally->failed += operations;
    }
}

static inline void tally_add_to_trend(struct tally_trend *t, int64_t due_us, int64_t latency_us)
{
    double x = (double)due_us / 1e6;
    double y = (double)latency_us / 1e6;
    t->count++;
    t->x += x;
    t->y += y;
    t->xx += x * x;
    t->xy += x * y;
    t->yy += y * y;
}

/* An operation that was due and got its answer; due_us after the start of the measurement, and `warmup_us` more after
 * that of the rate. */
static inline void tally_note_trend(struct tally *tally, const struct plan_rate *rate, int64_t due_us,
                                    int64_t warmup_us, int64_t latency_us)
{
    tally_add_to_trend(&tally->trend, due_us, latency_us);
    if (rate->slices > 1) {
        tally_add_to_trend(&tally->slices[plan_rate_slice_at(rate, due_us + warmup_us)], due_us, latency_us);
    }
}

static inline void tally_live_add(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + value, memory_order_relaxed);
}

static inline void tally_live_fault(struct tally *tally, enum fault fault, uint64_t times)
{
    tally_live_add(&tally->live.errors, times);
    if (times > 0 && fault < FAULT_COUNT) {
        tally_live_add(&tally->live.faults[fault], times);
    }
}

#endif
