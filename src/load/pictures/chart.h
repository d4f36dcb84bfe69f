/*
 * chart.h - room: the pictures of sshload, as SVG.
 *
 * Lines over a linear or logarithmic axis. Knows numbers and text, not what they mean; whatever text it is given
 * becomes text in the picture, never markup. Colours come from style classes (s0 to s5, grid, axis), so that a page can
 * be dark or light; chart_style is what a picture that stands alone needs. Writes to a FILE, owns nothing.
 */
#ifndef LOAD_PICTURES_CHART_H
#define LOAD_PICTURES_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define CHART_WIDTH 720
#define CHART_HEIGHT 300
#define CHART_COLOURS 6

/* NINES: x is 1/(1-p), so that each further nine of a percentile gets the same room. */
enum chart_scale { CHART_LINEAR, CHART_LOG, CHART_NINES };

struct chart_series {
    const char *name;
    const double *x, *y; /* [count], x ascending; a y that is no number is a gap */
    size_t count;
    unsigned colour; /* modulo CHART_COLOURS */
    bool dashed;
};

struct chart {
    const char *title; /* also what a screen reader says */
    const char *x_label, *y_label;
    enum chart_scale x_scale, y_scale; /* NINES for x alone */
    /* The figure beside a tick of y; returns buffer. */
    const char *(*print_y)(double value, char buffer[32]);
    const struct chart_series *series;
    size_t series_count;
};

/* One <svg> element whose upper edge is at `top` of the picture around it (0 in a page). */
void chart_write(const struct chart *chart, int top, FILE *out);
/* A <style> element for a picture without a page. */
void chart_write_style(FILE *out);
/* Text as text: & < > " and ' are written as entities, control characters as spaces. */
void chart_write_text(const char *text, FILE *out);
/* "1.5k", "20M". */
const char *chart_print_number(double value, char buffer[32]);

#endif
