/*
 * gate.h - room: conditions on a result.
 *
 * "FIGURE OPERATOR VALUE", e.g. "p99.9 > 5ms", "errors > 0", "rate < 1000", "mb < 400". Pure.
 */
#ifndef LOAD_RESULT_GATE_H
#define LOAD_RESULT_GATE_H

#include "load/result/result.h"

#include <stdbool.h>
#include <stddef.h>

enum gate_operator { GATE_LESS, GATE_LESS_EQUAL, GATE_MORE, GATE_MORE_EQUAL, GATE_EQUAL, GATE_NOT_EQUAL };

#define GATE_PERCENTILE (-1)

struct gate {
    int figure;                     /* index into gate.c's table, or GATE_PERCENTILE */
    enum tally_histogram histogram; /* of a percentile */
    double percentile;
    enum gate_operator operator;
    double value; /* us for times */
};

/* 0, or -1 with a sentence that lists what is allowed. */
int gate_parse(const char *text, struct gate *out, char *error, size_t error_size);

/* Whether the condition holds, that is, whether the run failed it. *actual is the figure's value. A latency that was
 * never measured fails every gate on it: silence must not pass for speed. */
bool gate_is_crossed(const struct gate *gate, const struct result *result, double *actual);

/* Whether it looks at this figure. */
bool gate_is_about(const struct gate *gate, const char *figure);

#endif
