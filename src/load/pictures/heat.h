/*
 * heat.h - room: latency over time as a map, as SVG.
 *
 * A column for each piece of time, a row for each step of a logarithm, darker where more operations were. Colours come
 * from style classes (h0 to h6), as those of chart.h. Reads a timeline, owns nothing.
 */
#ifndef LOAD_PICTURES_HEAT_H
#define LOAD_PICTURES_HEAT_H

#include "load/timeline/timeline.h"

#include <stdio.h>

#define HEAT_COLUMNS 120
#define HEAT_ROWS 30
#define HEAT_SHADES 7

/* One <svg> element; nothing where nothing was measured. `timeline` has at most HEAT_COLUMNS intervals. 0, or -1 out of
 * memory. */
int heat_write(const struct timeline *timeline, const char *title, FILE *out);

#endif
