/*
 * curves.h - room: results as lines for chart.h.
 *
 * Turns a result into points: latency against percentile, and what happened over time. A long run is cut into at most
 * CURVES_POINTS pieces, of which counts are averaged per second and the worst latency is kept. Owns what it makes:
 * curve_free.
 */
#ifndef LOAD_PICTURES_CURVES_H
#define LOAD_PICTURES_CURVES_H

#include "load/result/result.h"

#include <stddef.h>

#define CURVES_POINTS 240

struct curve {
    double *x, *y;
    size_t count;
};

/* What a point of time shows. */
enum curve_figure {
    CURVE_OPERATIONS, /* echoes a second; handshakes a second in connect mode */
    CURVE_MB,         /* 10^6 bytes a second */
    CURVE_ERRORS,     /* a second */
    CURVE_WORST_US,   /* worst latency */
    CURVE_MEAN_US,    /* mean latency; NaN where nothing came back */
    CURVE_SESSIONS,   /* up at the end; these three from the intervals */
    CURVE_SERVER_CPU, /* share of a core; NaN where it is not known */
    CURVE_SERVER_MIB
};

/* x is 1/(1-p), y microseconds. 0, or -1 out of memory. */
int curve_percentiles(struct curve *curve, const struct histogram *histogram);
/* x is the end of the piece in seconds of the measurement. Whole seconds only: a last one that was cut short would look
 * like a collapse. 0, or -1 out of memory. */
int curve_over_time(struct curve *curve, const struct result *result, enum curve_figure figure);
void curve_free(struct curve *curve);

#endif
