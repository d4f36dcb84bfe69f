/*
 * bootstrap.h - room: what two sets of runs say about a ratio.
 *
 * The ratio B/A of a figure with a 95 % interval: runs are drawn again with replacement, many times, since runs differ
 * by more than chance within one explains. Percentiles are those of the pooled histograms, never means of percentiles.
 * Pure; the same seed gives the same interval.
 */
#ifndef LOAD_TOOLS_BOOTSTRAP_H
#define LOAD_TOOLS_BOOTSTRAP_H

#include "sshecho/histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* With fewer runs a side, how much runs differ is not known: no interval. */
#define BOOTSTRAP_RUNS_MIN 4
#define BOOTSTRAP_RUNS_MAX 1000

struct bootstrap_interval {
    double estimate;  /* of what is asked for; NaN where it cannot be computed */
    double low, high; /* 95 %; NaN when there are too few runs */
    double low_99, high_99;
};

enum verdict { VERDICT_SAME, VERDICT_BETTER, VERDICT_WORSE, VERDICT_UNKNOWN };

/* One side: the figure of each run as a value, or as a histogram with the percentile that is wanted. */
struct bootstrap_side {
    size_t runs;
    const double *values;                      /* [runs], or NULL */
    const struct histogram *const *histograms; /* [runs], where values is NULL */
};

/* B/A. `paired`: run i of A stood beside run i of B, so they are drawn together. */
struct bootstrap_interval bootstrap_ratio(const struct bootstrap_side *a, const struct bootstrap_side *b,
                                          double percentile, bool paired, uint64_t seed);
/* Of one side by itself: the mean of the values, or the pooled percentile. */
struct bootstrap_interval bootstrap_figure(const struct bootstrap_side *side, double percentile, uint64_t seed);

/* Worse or better: the whole interval lies beyond the tolerance (0.05: 5 %), and a 99 % interval excludes 1: several
 * figures are looked at at once, each with its own chance to be wrong. Same: it lies within the tolerance. */
enum verdict bootstrap_verdict(const struct bootstrap_interval *ratio, double tolerance, bool less_is_better);
const char *bootstrap_verdict_name(enum verdict verdict);

#endif
