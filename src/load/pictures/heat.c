#include "load/pictures/heat.h"

#include "load/pictures/chart.h"
#include "sshecho/units.h"

#include <math.h>
#include <stdlib.h>

enum { LEFT = 80, RIGHT = 16, TOP = 12, BOTTOM = 44 };
#define PLOT_WIDTH ((double)(CHART_WIDTH - LEFT - RIGHT))
#define PLOT_HEIGHT ((double)(CHART_HEIGHT - TOP - BOTTOM))
#define TICKS_MOST 8
#define FEW_POWERS 2.5 /* of ten: then 2 and 5 times each have a tick too */

struct map {
    uint64_t counts[HEAT_COLUMNS][HEAT_ROWS];
    uint64_t most; /* in one cell */
    size_t columns;
    double low, high; /* powers of ten of a microsecond */
};

static int row_of(const struct map *map, double us)
{
    double share = (log10(us < 1.0 ? 1.0 : us) - map->low) / (map->high - map->low);
    int row = (int)(share * HEAT_ROWS);
    return row < 0 ? 0 : row >= HEAT_ROWS ? HEAT_ROWS - 1 : row;
}

static void find_range(struct map *map, const struct timeline *timeline)
{
    double least = INFINITY;
    double most = 0.0;
    for (size_t i = 0; i < timeline->count; i++) {
        const struct packed *latency = timeline->rows[i].latency;
        if (latency != NULL && latency->total > 0) {
            least = fmin(least, (double)latency->min);
            most = fmax(most, (double)latency->max);
        }
    }
    map->low = log10(fmax(least, 1.0));
    map->high = log10(fmax(most, 1.0)) * 1.0001;
    if (most > 0.0 && map->high - map->low < 0.3) { /* a flat run is a line, not a field */
        map->low -= 0.3;
        map->high += 0.3;
    }
}

static void fill(struct map *map, const struct timeline *timeline, struct histogram *scratch)
{
    map->columns = timeline->count < HEAT_COLUMNS ? timeline->count : HEAT_COLUMNS;
    for (size_t column = 0; column < map->columns; column++) {
        interval_unpack(&timeline->rows[column], scratch);
        for (uint32_t slot = 0; scratch->total > 0 && slot < HISTOGRAM_SLOTS; slot++) {
            if (scratch->counts[slot] == 0) {
                continue;
            }
            double middle = ((double)histogram_slot_low(slot) + (double)histogram_slot_high(slot)) / 2.0;
            uint64_t *cell = &map->counts[column][row_of(map, middle)];
            *cell += scratch->counts[slot];
            map->most = *cell > map->most ? *cell : map->most;
        }
    }
}

/* A single slow message must be seen beside a hundred thousand quick ones. */
static int shade_of(const struct map *map, uint64_t count)
{
    double share = map->most > 1 ? log((double)count) / log((double)map->most) : 1.0;
    int shade = (int)(share * HEAT_SHADES);
    return shade >= HEAT_SHADES ? HEAT_SHADES - 1 : shade;
}

/* One path for each shade: a page with an hour in it stays small. */
static void write_cells(const struct map *map, FILE *out)
{
    double width = PLOT_WIDTH / (double)map->columns;
    double height = PLOT_HEIGHT / HEAT_ROWS;
    for (int shade = 0; shade < HEAT_SHADES; shade++) {
        (void)fprintf(out, "<path class=\"h%d\" d=\"", shade);
        for (size_t column = 0; column < map->columns; column++) {
            for (int row = 0; row < HEAT_ROWS; row++) {
                uint64_t count = map->counts[column][row];
                if (count > 0 && shade_of(map, count) == shade) {
                    (void)fprintf(out, "M%.1f %.1fh%.1fv%.1fh-%.1fz", (double)LEFT + width * (double)column,
                                  (double)TOP + PLOT_HEIGHT - height * (row + 1), width, height, width);
                }
            }
        }
        (void)fputs("\"/>\n", out);
    }
}

static void write_axes(const struct map *map, double seconds, FILE *out)
{
    char label[32];
    static const int times[] = {1, 2, 5};
    size_t of_each = map->high - map->low < FEW_POWERS ? sizeof times / sizeof times[0] : 1;
    for (size_t tick = 0; tick < 11 * of_each; tick++) {
        size_t decade = tick / of_each;
        double us = pow(10.0, (double)decade) * times[tick % of_each];
        double share = (log10(us) - map->low) / (map->high - map->low);
        if (share >= 0.0 && share <= 1.0) {
            double y = (double)TOP + PLOT_HEIGHT * (1.0 - share);
            (void)fprintf(out,
                          "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" "
                          "text-anchor=\"end\">%s</text>\n",
                          LEFT, CHART_WIDTH - RIGHT, y, y, LEFT - 6, y + 4.0,
                          units_human_duration(label, sizeof label, us));
        }
    }
    double step = pow(10.0, floor(log10(seconds / TICKS_MOST)));
    step *= seconds / step <= TICKS_MOST * 2.0 ? 2.0 : seconds / step <= TICKS_MOST * 5.0 ? 5.0 : 10.0;
    for (int tick = 0; tick * step <= seconds; tick++) {
        (void)fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                      (double)LEFT + PLOT_WIDTH * tick * step / seconds, CHART_HEIGHT - BOTTOM + 16,
                      chart_print_number(step * tick, label));
    }
    (void)fprintf(
        out,
        "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/><text x=\"%d\" y=\"%d\" "
        "text-anchor=\"middle\">second of the measurement (the stronger the colour, the more operations)</text>\n",
        LEFT, CHART_WIDTH - RIGHT, CHART_HEIGHT - BOTTOM, CHART_HEIGHT - BOTTOM,
        LEFT + (CHART_WIDTH - LEFT - RIGHT) / 2, CHART_HEIGHT - 8);
}

bool heat_is_worth(const struct timeline *timeline)
{
    for (size_t i = 0; timeline->count >= 2 && i < timeline->count; i++) {
        if (timeline->rows[i].latency != NULL && timeline->rows[i].latency->total > 0) {
            return true;
        }
    }
    return false;
}

int heat_write(const struct timeline *timeline, const char *title, int top, FILE *out)
{
    struct map *map = calloc(1, sizeof *map);
    struct histogram *scratch = calloc(1, sizeof *scratch);
    int rc = map == NULL || scratch == NULL ? -1 : 0;
    if (rc == 0) {
        find_range(map, timeline);
        fill(map, timeline, scratch);
    }
    if (rc == 0 && map->most > 0) {
        (void)fprintf(out,
                      "<svg class=\"chart\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\"",
                      CHART_WIDTH, CHART_HEIGHT);
        if (top > 0) {
            (void)fprintf(out, " y=\"%d\" width=\"%d\" height=\"%d\"", top, CHART_WIDTH, CHART_HEIGHT);
        }
        (void)fputs("><title>", out);
        chart_write_text(title, out);
        (void)fputs("</title>\n", out);
        write_cells(map, out);
        write_axes(map, (double)timeline->length_us / 1e6 * (double)map->columns, out);
        (void)fputs("</svg>\n", out);
    }
    free(map);
    free(scratch);
    return rc;
}
