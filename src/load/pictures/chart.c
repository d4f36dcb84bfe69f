#include "load/pictures/chart.h"

#include <math.h>
#include <string.h>

/* Room around the plot for the figures of the axes, in units of the picture. */
enum { LEFT = 80, RIGHT = 16, TOP = 18, BOTTOM = 44 };
#define PLOT_WIDTH ((double)(CHART_WIDTH - LEFT - RIGHT))
/* Of the legend, which lies between TOP and the plot. */
enum { LEGEND_ROW = 16, LEGEND_ROWS_MOST = 6, LEGEND_CHARACTERS = 40 };
#define TICKS_WANTED 5.0

struct axis {
    enum chart_scale scale;
    double low, high;
    int top; /* of the plot */
};

/* How many bytes the character here has; 0: it is none, in UTF-8. */
static size_t character_length(const char *text)
{
    unsigned char first = (unsigned char)*text;
    size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < length; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return length;
}

/* Where the text ends after so many characters, how many of which there are in *characters. */
static const char *text_after(const char *text, size_t most, size_t *characters)
{
    for (*characters = 0; *text != '\0' && *characters < most; (*characters)++) {
        size_t length = character_length(text);
        text += length > 0 ? length : 1;
    }
    return text;
}

static void write_text(const char *text, const char *end, FILE *out)
{
    while (text < end) {
        size_t length = character_length(text);
        switch (*text) {
        case '&':
            (void)fputs("&amp;", out);
            break;
        case '<':
            (void)fputs("&lt;", out);
            break;
        case '>':
            (void)fputs("&gt;", out);
            break;
        case '"':
            (void)fputs("&quot;", out);
            break;
        case '\'':
            (void)fputs("&#39;", out);
            break;
        default:
            if (length == 0) {
                (void)fputc('?', out); /* a picture with such a byte in it is none */
            } else if (length == 1) {
                (void)fputc(*text < 0x20 || *text == 0x7f ? ' ' : *text, out);
            } else {
                (void)fwrite(text, 1, length, out);
            }
        }
        text += length > 0 ? length : 1;
    }
}

void chart_write_text(const char *text, FILE *out)
{
    write_text(text, text + strlen(text), out);
}

const char *chart_print_number(double value, char buffer[32])
{
    static const char *const suffixes[] = {"", "k", "M", "G"};
    unsigned step = 0;
    while (fabs(value) >= 999.95 && step < 3) {
        value /= 1000.0;
        step++;
    }
    (void)snprintf(buffer, 32, "%.4g%s", value, suffixes[step]);
    return buffer;
}

void chart_write_style(FILE *out)
{
    (void)fputs("<style>"
                ".chart{font:12px system-ui,sans-serif;background:#fff;color:#1b1f24}"
                ".chart text{fill:#1b1f24}.chart .grid{stroke:#d8dee4}.chart .axis{stroke:#57606a}"
                ".chart .line{fill:none;stroke-width:2}.chart .dashed{stroke-dasharray:5 4}"
                ".s0{stroke:#0969da}.s1{stroke:#bc4c00}.s2{stroke:#1a7f37}.s3{stroke:#8250df}.s4{stroke:#bf3989}"
                ".s5{stroke:#57606a}"
                ".h0{fill:#e1edfb}.h1{fill:#c2daf6}.h2{fill:#9cc3f0}.h3{fill:#75acea}.h4{fill:#4d96e4}"
                ".h5{fill:#267fdf}.h6{fill:#0969da}"
                "</style>\n",
                out);
}

/* ---- scales ------------------------------------------------------------------------------------------------------ */

static double scaled(const struct axis *axis, double value)
{
    if (axis->scale == CHART_LINEAR) {
        return (value - axis->low) / (axis->high - axis->low);
    }
    double low = log10(axis->low);
    return (log10(value) - low) / (log10(axis->high) - low);
}

static double at_x(const struct axis *x, double value)
{
    return (double)LEFT + PLOT_WIDTH * scaled(x, value);
}

static double at_y(const struct axis *y, double value)
{
    return (double)y->top + (double)(CHART_HEIGHT - BOTTOM - y->top) * (1.0 - scaled(y, value));
}

static bool is_drawn(const struct axis *y, double value)
{
    return isfinite(value) && (y->scale == CHART_LINEAR || value > 0.0);
}

/* The distance of ticks that people like: 1, 2 or 5 times a power of ten. */
static double nice_step(double range)
{
    double raw = range / TICKS_WANTED;
    double power = pow(10.0, floor(log10(raw)));
    double times = raw / power;
    return power * (times <= 1.0 ? 1.0 : times <= 2.0 ? 2.0 : times <= 5.0 ? 5.0 : 10.0);
}

static struct axis y_axis(const struct chart *chart)
{
    struct axis y = {.scale = chart->y_scale, .low = INFINITY, .high = -INFINITY};
    for (size_t i = 0; i < chart->series_count; i++) {
        for (size_t j = 0; j < chart->series[i].count; j++) {
            double value = chart->series[i].y[j];
            if (is_drawn(&y, value)) {
                y.low = fmin(y.low, value);
                y.high = fmax(y.high, value);
            }
        }
    }
    if (y.scale == CHART_LINEAR) {
        y.low = fmin(0.0, isfinite(y.low) ? y.low : 0.0);
        y.high = isfinite(y.high) && y.high > y.low ? y.high * 1.05 : y.low + 1.0;
    } else {
        y.low = isfinite(y.low) ? pow(10.0, floor(log10(y.low))) : 1.0;
        y.high = isfinite(y.high) ? pow(10.0, ceil(log10(y.high))) : 10.0;
        y.high = y.high > y.low ? y.high : y.low * 10.0;
    }
    return y;
}

static struct axis x_axis(const struct chart *chart)
{
    struct axis x = {.scale = chart->x_scale, .low = INFINITY, .high = -INFINITY};
    for (size_t i = 0; i < chart->series_count; i++) {
        if (chart->series[i].count > 0) {
            x.low = fmin(x.low, chart->series[i].x[0]);
            x.high = fmax(x.high, chart->series[i].x[chart->series[i].count - 1]);
        }
    }
    x.low = x.scale == CHART_NINES ? 1.0 : isfinite(x.low) ? x.low : 0.0;
    x.high = isfinite(x.high) && x.high > x.low ? x.high : x.scale == CHART_LINEAR ? x.low + 1.0 : x.low * 10.0;
    return x;
}

/* ---- what is drawn ----------------------------------------------------------------------------------------------- */

static void x_tick(const struct axis *x, double value, const char *label, FILE *out)
{
    double at = at_x(x, value);
    (void)fprintf(out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", at, at, x->top,
                  CHART_HEIGHT - BOTTOM);
    (void)fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", at, CHART_HEIGHT - BOTTOM + 16,
                  label);
}

static void y_tick(const struct axis *y, double value, const char *label, FILE *out)
{
    double at = at_y(y, value);
    (void)fprintf(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, CHART_WIDTH - RIGHT,
                  at, at);
    (void)fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", LEFT - 6, at + 4.0, label);
}

/* NOLINTBEGIN(cert-flp30-c,clang-analyzer-security.FloatLoopCounter): a dozen ticks, whose rounding nobody sees */
static void write_x_ticks(const struct axis *x, FILE *out)
{
    static const char *const nines[] = {"0", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"};
    char label[32];
    if (x->scale == CHART_NINES) {
        double value = 1.0;
        for (size_t i = 0; i < sizeof nines / sizeof nines[0] && value <= x->high; i++, value *= 10.0) {
            x_tick(x, value, nines[i], out);
        }
        if (x->high >= 2.0) {
            x_tick(x, 2.0, "50 %", out);
        }
    } else if (x->scale == CHART_LOG) {
        for (double value = pow(10.0, ceil(log10(x->low))); value <= x->high; value *= 10.0) {
            x_tick(x, value, chart_print_number(value, label), out);
        }
    } else {
        double step = nice_step(x->high - x->low);
        for (double value = ceil(x->low / step) * step; value <= x->high; value += step) {
            x_tick(x, value, chart_print_number(value, label), out);
        }
    }
}

static void write_y_ticks(const struct chart *chart, const struct axis *y, FILE *out)
{
    char label[32];
    if (y->scale == CHART_LINEAR) {
        double step = nice_step(y->high - y->low);
        for (double value = ceil(y->low / step) * step; value <= y->high; value += step) {
            y_tick(y, value, chart->print_y(value, label), out);
        }
        return;
    }
    for (double value = y->low; value <= y->high * 1.001; value *= 10.0) {
        y_tick(y, value, chart->print_y(value, label), out);
    }
}
/* NOLINTEND(cert-flp30-c,clang-analyzer-security.FloatLoopCounter) */

static void write_series(const struct chart_series *series, const struct axis *x, const struct axis *y, FILE *out)
{
    bool pen_down = false;
    (void)fprintf(out, "<path class=\"line s%u%s\" d=\"", series->colour % CHART_COLOURS,
                  series->dashed ? " dashed" : "");
    for (size_t i = 0; i < series->count; i++) {
        if (!is_drawn(y, series->y[i])) {
            pen_down = false;
            continue;
        }
        (void)fprintf(out, "%c%.1f %.1f", pen_down ? 'L' : 'M', at_x(x, series->x[i]), at_y(y, series->y[i]));
        pen_down = true;
    }
    (void)fputs("\"/>\n", out);
}

/* Writes it, or with `out` NULL finds how many rows it takes. */
static int write_legend(const struct chart *chart, FILE *out)
{
    double at = LEFT;
    int row = 0;
    for (size_t i = 0; i < chart->series_count; i++) {
        const struct chart_series *series = &chart->series[i];
        size_t characters = 0;
        const char *end = text_after(series->name, LEGEND_CHARACTERS, &characters);
        double width = 23.0 + 7.0 * (double)characters + 16.0;
        if (at > (double)LEFT && at + width > CHART_WIDTH) {
            at = LEFT;
            row++;
        }
        int y = TOP + row * LEGEND_ROW;
        if (row == LEGEND_ROWS_MOST - 1 && at <= (double)LEFT && i + 1 < chart->series_count) {
            if (out != NULL) {
                (void)fprintf(out, "<text x=\"%d\" y=\"%d\">and %zu more</text>\n", LEFT, y + 4,
                              chart->series_count - i);
            }
            break;
        }
        if (out != NULL) {
            (void)fprintf(out,
                          "<line class=\"line s%u%s\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%d\" y2=\"%d\"/><text x=\"%.0f\" "
                          "y=\"%d\">",
                          series->colour % CHART_COLOURS, series->dashed ? " dashed" : "", at, at + 18.0, y, y,
                          at + 23.0, y + 4);
            write_text(series->name, end, out);
            (void)fputs("</text>\n", out);
        }
        at += width;
    }
    return row + 1;
}

void chart_write(const struct chart *chart, int top, FILE *out)
{
    struct axis x = x_axis(chart);
    struct axis y = y_axis(chart);
    x.top = y.top = TOP + write_legend(chart, NULL) * LEGEND_ROW;
    (void)fprintf(out, "<svg class=\"chart\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\"", CHART_WIDTH,
                  CHART_HEIGHT);
    if (top > 0) {
        (void)fprintf(out, " y=\"%d\" width=\"%d\" height=\"%d\"", top, CHART_WIDTH, CHART_HEIGHT);
    }
    (void)fputs(" role=\"img\"><title>", out);
    chart_write_text(chart->title, out);
    (void)fputs("</title>\n", out);
    write_x_ticks(&x, out);
    write_y_ticks(chart, &y, out);
    (void)fprintf(out, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>\n", LEFT, CHART_WIDTH - RIGHT,
                  CHART_HEIGHT - BOTTOM, CHART_HEIGHT - BOTTOM);
    for (size_t i = 0; i < chart->series_count; i++) {
        write_series(&chart->series[i], &x, &y, out);
    }
    (void)write_legend(chart, out);
    (void)fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", LEFT + (CHART_WIDTH - LEFT - RIGHT) / 2,
                  CHART_HEIGHT - 8);
    chart_write_text(chart->x_label, out);
    (void)fprintf(out, "</text><text x=\"12\" y=\"%d\" transform=\"rotate(-90 12 %d)\" text-anchor=\"middle\">",
                  CHART_HEIGHT / 2, CHART_HEIGHT / 2);
    chart_write_text(chart->y_label, out);
    (void)fputs("</text></svg>\n", out);
}
