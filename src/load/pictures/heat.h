/*
 * heat.h - room: latency over time as a map, as SVG.
 *
 * A column for each piece of time, a row for each step of a logarithm, stronger in colour where more operations were.
 * Colours come from style classes (h0 to h6), as those of chart.h. Reads a timeline, owns nothing.
 */
#ifndef LOAD_PICTURES_HEAT_H
#define LOAD_PICTURES_HEAT_H

#include "load/timeline/timeline.h"

#include <stdbool.h>
#include <stdio.h>

#define HEAT_COLUMNS 120
#define HEAT_ROWS 30
#define HEAT_SHADES 7

/* Whether a map would say more than the percentiles do: something was measured, and there is more than one column. */
bool heat_is_worth(const struct timeline *timeline);
/* One <svg> element at `top`, as chart_write; nothing where nothing was measured. `timeline` has at most HEAT_COLUMNS
 * intervals. 0, or -1 out of memory. */
int heat_write(const struct timeline *timeline, const char *title, int top, FILE *out);

#endif
