/* Inside the room of pictures.h: the tables and pictures of `sshload report`. */
#include "load/pictures/chart.h"
#include "load/pictures/curves.h"
#include "load/pictures/page_internal.h"
#include "sshecho/units.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void page_text(const struct page *page, const char *text)
{
    chart_write_text(text, page->out);
}

void page_cell(const struct page *page, const char *tag, const char *text)
{
    (void)fprintf(page->out, "<%s>", tag);
    page_text(page, text);
    (void)fprintf(page->out, "</%.2s>", tag);
}

static const char *page_print_us(double us, char buffer[32])
{
    return units_human_duration(buffer, 32, us);
}

void page_duration(const struct page *page, double us)
{
    char text[32];
    page_cell(page, "td", units_human_duration(text, sizeof text, us));
}

void page_number(const struct page *page, const char *format, double value)
{
    char text[64];
    (void)snprintf(text, sizeof text, format, value);
    page_cell(page, "td", text);
}

void page_table(const struct page *page, const char *caption, const char *const *words, size_t count)
{
    (void)fputs("<div class=\"wide\" tabindex=\"0\"><table><caption>", page->out);
    page_text(page, caption);
    (void)fputs("</caption><thead><tr>", page->out);
    for (size_t i = 0; i < count; i++) {
        page_cell(page, "th scope=\"col\"", words[i]);
    }
    (void)fputs("</tr></thead><tbody>\n", page->out);
}

void page_end_table(const struct page *page)
{
    (void)fputs("</tbody></table></div>\n", page->out);
}

/* ---- pictures ---------------------------------------------------------------------------------------------------- */

static void free_curves(struct curve *curves, size_t count)
{
    for (size_t i = 0; curves != NULL && i < count; i++) {
        curve_free(&curves[i]);
    }
    free(curves);
}

/* A chart with one line a run. -1 out of memory. */
static int put_chart(const struct page *page, const struct chart *shape, const struct curve *curves)
{
    struct chart_series *series = calloc(page->count, sizeof *series);
    if (series == NULL) {
        return -1;
    }
    for (size_t i = 0; i < page->count; i++) {
        series[i] = (struct chart_series){.name = page->names[i],
                                          .x = curves[i].x,
                                          .y = curves[i].y,
                                          .count = curves[i].count,
                                          .colour = (unsigned)i};
    }
    struct chart chart = *shape;
    chart.series = series;
    chart.series_count = page->count;
    (void)fputs("<div class=\"wide\" tabindex=\"0\">", page->out);
    chart_write(&chart, 0, page->out);
    (void)fputs("</div>\n", page->out);
    free(series);
    return 0;
}

void page_percentiles(const struct page *page, enum tally_histogram which, const char *caption)
{
    static const double percentiles[] = {50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99};
    static const char *const words[] = {"run",   "p50",    "p75", "p90",  "p95", "p99",
                                        "p99.9", "p99.99", "max", "mean", "of"};
    page_table(page, caption, words, sizeof words / sizeof words[0]);
    for (size_t i = 0; i < page->count; i++) {
        const struct histogram *h = tally_histogram(&page->results[i].tally, which);
        (void)fputs("<tr>", page->out);
        page_cell(page, "th scope=\"row\"", page->names[i]);
        for (size_t p = 0; p < sizeof percentiles / sizeof percentiles[0]; p++) {
            page_duration(page, h->total > 0 ? (double)histogram_percentile(h, percentiles[p]) : NAN);
        }
        page_duration(page, h->total > 0 ? (double)h->max : NAN);
        page_duration(page, h->total > 0 ? histogram_mean(h) : NAN);
        page_number(page, "%.0f", (double)h->total);
        (void)fputs("</tr>\n", page->out);
    }
    page_end_table(page);
}

static int put_latency(const struct page *page)
{
    int rc = 0;
    struct curve *curves = calloc(page->count, sizeof *curves);
    rc = curves == NULL ? -1 : 0;
    for (size_t i = 0; rc == 0 && i < page->count; i++) {
        rc = curve_percentiles(&curves[i], tally_histogram(&page->results[i].tally, HISTOGRAM_LATENCY));
    }
    if (rc == 0) {
        bool open_loop = page->results[0].open_loop;
        const char *title = open_loop ? "Latency from the due time" : "Service time (closed loop: no message was due)";
        (void)fprintf(page->out, "<section><h2>%s</h2>\n", title);
        const struct chart chart = {.title = title,
                                    .x_label = "percentile",
                                    .y_label = "latency",
                                    .x_scale = CHART_NINES,
                                    .y_scale = CHART_LOG,
                                    .print_y = page_print_us};
        rc = put_chart(page, &chart, curves);
        page_percentiles(page, HISTOGRAM_LATENCY, title);
        if (open_loop) {
            page_percentiles(page, HISTOGRAM_UNCORRECTED, "The same messages from the moment they were sent");
        }
        (void)fputs("</section>\n", page->out);
    }
    free_curves(curves, page->count);
    return rc;
}

static void put_time_table(const struct page *page, const struct chart *chart, const struct curve *curves)
{
    size_t longest = 0;
    for (size_t i = 0; i < page->count; i++) {
        longest = curves[i].count > curves[longest].count ? i : longest;
    }
    (void)fputs(
        "<details><summary>These numbers as a table</summary>\n<div class=\"wide\" tabindex=\"0\"><table><caption>",
        page->out);
    page_text(page, chart->title);
    (void)fputs("</caption><thead><tr><th scope=\"col\">until second</th>", page->out);
    for (size_t i = 0; i < page->count; i++) {
        page_cell(page, "th scope=\"col\"", page->names[i]);
    }
    (void)fputs("</tr></thead><tbody>\n", page->out);
    for (size_t row = 0; row < curves[longest].count; row++) {
        (void)fprintf(page->out, "<tr><th scope=\"row\">%.6g</th>", curves[longest].x[row]);
        for (size_t i = 0; i < page->count; i++) {
            char text[32] = "-";
            bool there = row < curves[i].count && isfinite(curves[i].y[row]);
            page_cell(page, "td", there ? chart->print_y(curves[i].y[row], text) : text);
        }
        (void)fputs("</tr>\n", page->out);
    }
    page_end_table(page);
    (void)fputs("</details>\n", page->out);
}

static int put_over_time(const struct page *page, enum curve_figure figure, const struct chart *chart)
{
    struct curve *curves = calloc(page->count, sizeof *curves);
    int rc = curves == NULL ? -1 : 0;
    for (size_t i = 0; rc == 0 && i < page->count; i++) {
        rc = curve_over_time(&curves[i], &page->results[i], figure);
    }
    if (rc == 0) {
        (void)fputs("<section><h2>", page->out);
        page_text(page, chart->title);
        (void)fputs("</h2>\n", page->out);
        rc = put_chart(page, chart, curves);
        put_time_table(page, chart, curves);
        (void)fputs("</section>\n", page->out);
    }
    free_curves(curves, page->count);
    return rc;
}

int page_pictures(const struct page *page)
{
    const char *mode = page->results[0].mode;
    bool stream = strcmp(mode, "stream") == 0;
    const struct chart rate = {.title = strcmp(mode, "connect") == 0 ? "Handshakes a second"
                                        : stream                     ? "MB a second"
                                                                     : "Echoes a second",
                               .x_label = "second of the measurement",
                               .y_label = "a second",
                               .print_y = chart_print_number};
    const struct chart worst = {.title = "Worst latency over time",
                                .x_label = "second of the measurement",
                                .y_label = "latency",
                                .y_scale = CHART_LOG,
                                .print_y = page_print_us};
    const struct chart errors = {.title = "Errors a second",
                                 .x_label = "second of the measurement",
                                 .y_label = "errors a second",
                                 .print_y = chart_print_number};
    if (put_latency(page) != 0 || put_over_time(page, stream ? CURVE_MB : CURVE_OPERATIONS, &rate) != 0 ||
        put_over_time(page, CURVE_WORST_US, &worst) != 0) {
        return -1;
    }
    uint64_t seen = 0;
    for (size_t i = 0; i < page->count; i++) {
        seen += result_errors(&page->results[i]);
    }
    return seen > 0 ? put_over_time(page, CURVE_ERRORS, &errors) : 0;
}

static const char *print_share(double share, char buffer[32])
{
    (void)snprintf(buffer, 32, "%.3g %%", share * 100.0);
    return buffer;
}

int page_intervals(const struct page *page, bool observed)
{
    const struct chart sessions = {.title = "Sessions over time",
                                   .x_label = "second of the measurement",
                                   .y_label = "sessions",
                                   .print_y = chart_print_number};
    const struct chart cpu = {.title = "CPU of the server over time",
                              .x_label = "second of the measurement",
                              .y_label = "share of a core",
                              .print_y = print_share};
    const struct chart memory = {.title = "Memory of the server over time, MiB",
                                 .x_label = "second of the measurement",
                                 .y_label = "MiB",
                                 .print_y = chart_print_number};
    bool kept = false;
    for (size_t i = 0; i < page->count; i++) {
        kept = kept || page->results[i].timeline.count > 0;
    }
    if (!kept) {
        return 0;
    }
    if (put_over_time(page, CURVE_SESSIONS, &sessions) != 0) {
        return -1;
    }
    return observed && (put_over_time(page, CURVE_SERVER_CPU, &cpu) != 0 ||
                        put_over_time(page, CURVE_SERVER_MIB, &memory) != 0)
               ? -1
               : 0;
}
