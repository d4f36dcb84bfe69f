/*
 * exporter.h - room: a run for Prometheus (--metrics-listen).
 *
 * Serves /metrics over HTTP from a thread of libmicrohttpd while the run goes on: sessions, counts, errors by class,
 * and the latencies of the measured operations as a histogram, which grows with every interval. Owns socket, thread and
 * that histogram.
 */
#ifndef LOAD_WATCH_EXPORTER_H
#define LOAD_WATCH_EXPORTER_H

#include "load/timeline/timeline.h"
#include "load/watch/watched.h"

struct exporter; /* NULL stands for one that nobody asked for, in every call */

/* Says on stderr where it listens. *out is NULL where nobody asked. 0, or -1 with a sentence. */
int exporter_start(struct exporter **out, const struct watched *watched, char *error, size_t error_size);
/* An interval of the measurement is over. */
void exporter_interval(struct exporter *exporter, const struct interval *interval);
void exporter_stop(struct exporter *exporter);

/* The page. */
void exporter_write(const struct watched *watched, const struct histogram *latency, FILE *out);

#endif
