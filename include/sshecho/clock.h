/*
 * clock.h - room: time.
 *
 * A monotonic instant is its own type, so that it is never mixed up with a duration or with the
 * wall clock. Pure: reads the clock, owns nothing. Durations are int64_t in the unit of their name.
 */
#ifndef SSHECHO_CLOCK_H
#define SSHECHO_CLOCK_H

#include <stdint.h>
#include <time.h>

typedef struct {
    int64_t ns; /* since an arbitrary start; only differences mean anything */
} mono_time;

#define NS_PER_US INT64_C(1000)
#define US_PER_MS INT64_C(1000)
#define US_PER_S INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

static inline mono_time mono_now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock on Linux */
    return (mono_time){.ns = (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec};
}

/* Microseconds from `from` to `to`; negative when `to` is earlier. */
static inline int64_t mono_us_between(mono_time from, mono_time to)
{
    return (to.ns - from.ns) / NS_PER_US;
}

static inline double mono_s_between(mono_time from, mono_time to)
{
    return (double)(to.ns - from.ns) / (double)NS_PER_S;
}

static inline mono_time mono_add_us(mono_time at, int64_t us)
{
    return (mono_time){.ns = at.ns + us * NS_PER_US};
}

/* A span, or an instant of the monotonic clock, as system calls take it (their types are 32 bits on some machines). */
static inline struct timespec timespec_of_ns(int64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

/* Microseconds since 1970, by the clock that people and other machines go by; it may be set meanwhile. */
static inline int64_t wall_us(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / NS_PER_US;
}

#endif
