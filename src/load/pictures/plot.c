/* Inside the room of pictures.h: `sshload plot`, the curves of one run or several as a picture. */
#include "load/pictures/chart.h"
#include "load/pictures/curves.h"
#include "load/pictures/heat.h"
#include "load/pictures/picture_options.h"
#include "load/pictures/pictures.h"
#include "load/tools/tools.h"
#include "sshecho/units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TITLE_HEIGHT 30
#define MAP_HEADING_HEIGHT 24
#define CURVES 4
#define PERCENTILES (-1) /* beside enum curve_figure */

const struct option_table plot_option_table = {
    .specs = picture_specs,
    .count = PICTURE_SPECS,
    .program = "sshload",
    .usage = "sshload plot FILE.json... -o OUT.svg",
};

static const char *print_us(double us, char buffer[32])
{
    return units_human_duration(buffer, 32, us);
}

static const char *name_of(const struct result *result, const char *path)
{
    const char *slash = strrchr(path, '/');
    return result->label[0] != '\0' ? result->label : slash != NULL ? slash + 1 : path;
}

/* One line a run. -1 out of memory. */
static int put_curves(const struct result *results, const struct string_list *files, struct chart chart, int which,
                      int top, FILE *out)
{
    struct curve *curves = calloc(files->count, sizeof *curves);
    struct chart_series *series = calloc(files->count, sizeof *series);
    int rc = curves == NULL || series == NULL ? -1 : 0;
    for (size_t i = 0; rc == 0 && i < files->count; i++) {
        rc = which == PERCENTILES ? curve_percentiles(&curves[i], tally_histogram(&results[i].tally, HISTOGRAM_LATENCY))
                                  : curve_over_time(&curves[i], &results[i], (enum curve_figure)which);
        series[i] = (struct chart_series){.name = name_of(&results[i], files->items[i]),
                                          .x = curves[i].x,
                                          .y = curves[i].y,
                                          .count = curves[i].count,
                                          .colour = (unsigned)i};
    }
    if (rc == 0) {
        chart.series = series;
        chart.series_count = files->count;
        chart_write(&chart, top, out);
    }
    for (size_t i = 0; curves != NULL && i < files->count; i++) {
        curve_free(&curves[i]);
    }
    free(curves);
    free(series);
    return rc;
}

/* One map a run. -1 out of memory. */
static int put_maps(const struct result *results, const struct string_list *files, int top, FILE *out)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < files->count; i++) {
        struct timeline pieces;
        char title[200];
        if (!heat_is_worth(&results[i].timeline)) {
            continue;
        }
        if (timeline_thin(&results[i].timeline, HEAT_COLUMNS, &pieces) != 0) {
            return -1;
        }
        (void)snprintf(title, sizeof title, "latency over time: %s", name_of(&results[i], files->items[i]));
        (void)fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", CHART_WIDTH / 2,
                      top + MAP_HEADING_HEIGHT - 6);
        chart_write_text(title, out);
        (void)fputs("</text>\n", out);
        rc = heat_write(&pieces, title, top + MAP_HEADING_HEIGHT, out);
        timeline_free(&pieces);
        top += MAP_HEADING_HEIGHT + CHART_HEIGHT;
    }
    return rc;
}

static int height_of(const struct result *results, size_t count)
{
    int height = TITLE_HEIGHT + CURVES * CHART_HEIGHT;
    for (size_t i = 0; i < count; i++) {
        height += heat_is_worth(&results[i].timeline) ? MAP_HEADING_HEIGHT + CHART_HEIGHT : 0;
    }
    return height;
}

static int put_picture(const struct result *results, const struct string_list *files, const char *title, FILE *out)
{
    bool stream = strcmp(results[0].mode, "stream") == 0;
    int height = height_of(results, files->count);
    const struct chart latency = {.title = "latency",
                                  .x_label = "percentile",
                                  .y_label = results[0].open_loop ? "latency from due time" : "service time",
                                  .x_scale = CHART_NINES,
                                  .y_scale = CHART_LOG,
                                  .print_y = print_us};
    const struct chart rate = {.title = "over time",
                               .x_label = "second of the measurement",
                               .y_label = stream                                    ? "MB/s"
                                          : strcmp(results[0].mode, "connect") == 0 ? "handshakes/s"
                                                                                    : "echoes/s",
                               .print_y = chart_print_number};
    const struct chart worst = {.title = "worst latency over time",
                                .x_label = "second of the measurement",
                                .y_label = "worst latency",
                                .y_scale = CHART_LOG,
                                .print_y = print_us};
    const struct chart errors = {.title = "errors over time",
                                 .x_label = "second of the measurement",
                                 .y_label = "errors a second",
                                 .print_y = chart_print_number};
    (void)fprintf(out,
                  "<svg class=\"chart\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
                  "height=\"%d\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
                  CHART_WIDTH, height, CHART_WIDTH, height);
    chart_write_style(out);
    (void)fprintf(out, "<text x=\"%d\" y=\"20\" text-anchor=\"middle\" font-size=\"15\">", CHART_WIDTH / 2);
    chart_write_text(title, out);
    (void)fputs("</text>\n", out);
    if (put_curves(results, files, latency, PERCENTILES, TITLE_HEIGHT, out) != 0 ||
        put_curves(results, files, rate, stream ? CURVE_MB : CURVE_OPERATIONS, CHART_HEIGHT + TITLE_HEIGHT, out) != 0 ||
        put_curves(results, files, worst, CURVE_WORST_US, 2 * CHART_HEIGHT + TITLE_HEIGHT, out) != 0 ||
        put_curves(results, files, errors, CURVE_ERRORS, 3 * CHART_HEIGHT + TITLE_HEIGHT, out) != 0 ||
        put_maps(results, files, CURVES * CHART_HEIGHT + TITLE_HEIGHT, out) != 0) {
        return -1;
    }
    (void)fputs("</svg>\n", out);
    return 0;
}

static int draw(const struct result *results, const struct string_list *files, const struct picture_options *options)
{
    char title[256];
    char text[512];
    (void)snprintf(title, sizeof title, "sshload %s", results[0].mode);
    FILE *out = fopen(options->output, "we");
    if (out == NULL) {
        (void)snprintf(text, sizeof text, "plot: %s: %s", options->output, strerror(errno));
        return tools_complain(TOOLS_WRONG, text);
    }
    int rc = put_picture(results, files, options->title != NULL ? options->title : title, out);
    bool written = ferror(out) == 0;
    written = fclose(out) == 0 && written;
    if (rc != 0 || !written) {
        (void)remove(options->output); /* half a picture must not pass for one */
        (void)snprintf(text, sizeof text, "plot: %s: %s", options->output, rc != 0 ? "out of memory" : strerror(errno));
        return tools_complain(TOOLS_WRONG, text);
    }
    return TOOLS_OK;
}

int plot_run(const void *values, const struct string_list *files)
{
    const struct picture_options *options = values;
    const char *dot = options->output == NULL ? NULL : strrchr(options->output, '.');
    if (dot == NULL || strcmp(dot, ".svg") != 0) {
        return tools_complain(TOOLS_USAGE, "plot: -o must name a file that ends in .svg (a page: sshload report)");
    }
    struct result *results = NULL;
    int code = tools_load(files, "plot", &results);
    if (code == TOOLS_OK) {
        code = draw(results, files, options);
    }
    tools_free(results, files->count);
    return code;
}
