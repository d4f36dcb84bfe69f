/*
 * observer.h - room: the server's side of a run, looked at while it goes on.
 *
 * A thread of its own reads a source (source.h) all through a run and keeps what it read with the time, so that the
 * parts of the run can be asked for afterwards. It spends at most a twentieth of a core on it. Owns source and thread.
 */
#ifndef LOAD_OBSERVE_OBSERVER_H
#define LOAD_OBSERVE_OBSERVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* At most one of them; none: there is nothing to observe. */
struct observed {
    const char *metrics_url;
    pid_t pid;
    const char *group;
};

struct observer; /* NULL stands for one that observes nothing, in every call */

/* Reads once, now, and starts to watch. *out is NULL where nothing is to be observed. 0, or -1 with a sentence. */
int observer_start(const struct observed *what, struct observer **out, char *error, size_t error_size);
/* Whether it could be started: reads once. 0, or -1 with a sentence. */
int observer_try(const struct observed *what, char *error, size_t error_size);
/* Reads for the last time and ends the thread; what was read stays. In bounded time. */
void observer_stop(struct observer *observer);
void observer_free(struct observer *observer);

/* What was observed, in a word or two; NULL for nothing. */
const char *observer_name(const struct observer *observer);
/* Why readings are missing; empty when none is. */
const char *observer_complaint(const struct observer *observer);

/* After observer_stop, by the monotonic clock; negative: not known. */
double observer_cpu_between_s(const struct observer *observer, int64_t from_ns, int64_t to_ns);
/* The last that was read in that time. */
double observer_bytes_in(const struct observer *observer, int64_t from_ns, int64_t to_ns);
/* Before the first session. */
double observer_bytes_before(const struct observer *observer);

#endif
