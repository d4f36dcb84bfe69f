/*
 * sets.h - room: two sets of runs, figure by figure.
 *
 * Which figures of a run are compared, which way is better, and how the comparison is printed and written. Reads
 * results, owns nothing.
 */
#ifndef LOAD_TOOLS_SETS_H
#define LOAD_TOOLS_SETS_H

#include "load/result/result.h"
#include "load/tools/bootstrap.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct run_set {
    const struct result *runs;
    size_t count;
};

struct sets_rules {
    double tolerance; /* 0.05: 5 % */
    bool paired;
    uint64_t seed;
};

/* Prints B beside A; returns how many judged figures of B are worse. `out_json`, where not NULL, gets a new array of
 * the figures. Both sets have at least one run, all of one mode and loop. */
unsigned sets_compare(const struct run_set *a, const struct run_set *b, const struct sets_rules *rules, FILE *out,
                      json_t **out_json);
/* A figure of one set; what was not measured is NaN. */
struct sets_row {
    char name[40];
    bool is_time; /* us */
    double median, least, most;
    struct bootstrap_interval interval;
};
#define SETS_ROWS_MOST 24
/* Fills rows; returns how many. */
size_t sets_describe(const struct run_set *set, uint64_t seed, struct sets_row rows[SETS_ROWS_MOST]);
/* One set by itself: median, least and most, and the interval of each figure. */
void sets_summarize(const struct run_set *set, uint64_t seed, FILE *out);

#endif
