/* Inside the room of pictures.h: what `sshload report` makes of the answer of a find. The file may be anybody's. */
#include "load/pictures/chart.h"
#include "load/pictures/page_internal.h"
#include "load/tally/printable.h"
#include "sshecho/units.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MOST 1000

static const char *text_of(json_t *object, const char *key, char buffer[512])
{
    const char *text = json_string_value(json_object_get(object, key));
    (void)snprintf(buffer, 512, "%s", text == NULL ? "" : text);
    printable_mend(buffer);
    return buffer;
}

/* NAN for what is not there. */
static double number_of(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static void put_steps(const struct page *page, json_t *steps, const char *by, const char *percentile)
{
    const char *const words[] = {"step", by, "why", "seconds", "answered/s", percentile, "verdict"};
    size_t i;
    json_t *step;
    char text[512];
    (void)fputs("<section><h2>Steps</h2>\n", page->out);
    page_table(page, "What was tried, in order", words, sizeof words / sizeof words[0]);
    json_array_foreach(steps, i, step)
    {
        bool kept = json_is_true(json_object_get(step, "kept"));
        (void)fputs("<tr>", page->out);
        page_number(page, "%.0f", (double)i + 1.0);
        page_number(page, "%.0f", number_of(step, "level"));
        page_cell(page, "td", text_of(step, "purpose", text));
        page_number(page, "%.1f", number_of(step, "seconds"));
        page_number(page, "%.1f", number_of(step, "achieved_per_s"));
        page_duration(page, number_of(step, "latency_us"));
        (void)fputs("<td class=\"text\">", page->out);
        page_text(page, kept ? "kept" : text_of(step, "limited_by", text));
        page_text(page, kept ? "" : ": ");
        page_text(page, kept ? "" : text_of(step, "reason", text));
        (void)fputs("</td></tr>\n", page->out);
    }
    page_end_table(page);
    (void)fputs("</section>\n", page->out);
}

struct point {
    double level, latency_us;
    bool kept;
};

static int by_level(const void *a, const void *b)
{
    double left = ((const struct point *)a)->level;
    double right = ((const struct point *)b)->level;
    return (left > right) - (left < right);
}

static const char *print_us(double us, char buffer[32])
{
    return units_human_duration(buffer, 32, us);
}

/* Latency against load: one line for what was kept, another for what was not. */
static int put_curve(const struct page *page, json_t *steps, const char *by, const char *percentile)
{
    static const char *const names[] = {"promise broken", "promise kept"};
    size_t count = json_array_size(steps);
    struct point *points = calloc(count + 1, sizeof *points);
    double *numbers = calloc(4 * (count + 1), sizeof *numbers);
    struct chart_series series[2];
    size_t lines = 0;
    if (points == NULL || numbers == NULL) {
        free(points);
        free(numbers);
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        json_t *step = json_array_get(steps, i);
        points[i] = (struct point){.level = number_of(step, "level"),
                                   .latency_us = number_of(step, "latency_us"),
                                   .kept = json_is_true(json_object_get(step, "kept"))};
    }
    qsort(points, count, sizeof *points, by_level);
    for (int kept = 1; kept >= 0; kept--) {
        double *x = numbers + (size_t)kept * 2 * (count + 1);
        double *y = x + count + 1;
        size_t n = 0;
        for (size_t i = 0; i < count; i++) {
            if (points[i].kept == (kept == 1) && points[i].level > 0.0 && points[i].latency_us > 0.0) {
                x[n] = points[i].level;
                y[n++] = points[i].latency_us;
            }
        }
        if (n > 0) {
            series[lines++] = (struct chart_series){
                .name = names[kept], .x = x, .y = y, .count = n, .colour = kept ? 0 : 1, .dashed = kept == 0};
        }
    }
    const struct chart chart = {.title = "Latency against load",
                                .x_label = by,
                                .y_label = percentile,
                                .x_scale = CHART_LINEAR,
                                .y_scale = CHART_LOG,
                                .print_y = print_us,
                                .series = series,
                                .series_count = lines};
    if (lines > 0) {
        (void)fputs("<section><h2>Latency against load</h2>\n<div class=\"wide\" tabindex=\"0\">", page->out);
        chart_write(&chart, 0, page->out);
        (void)fputs("</div></section>\n", page->out);
    }
    free(points);
    free(numbers);
    return 0;
}

int page_find(const struct page *page)
{
    json_t *steps = json_object_get(page->find, "steps");
    char by[512];
    char percentile[64];
    char text[512];
    bool found = json_is_object(json_object_get(page->find, "found"));
    if (json_array_size(steps) > STEPS_MOST) {
        return -1;
    }
    (void)text_of(page->find, "by", by);
    (void)snprintf(percentile, sizeof percentile, "p%.6g", number_of(page->find, "percentile"));
    (void)fprintf(page->out, "<div class=\"verdict %s\"><p><strong>", found ? "good" : "bad");
    page_text(page, text_of(page->find, "sentence", text));
    (void)fputs("</strong></p>\n", page->out);
    if (!json_is_true(json_object_get(page->find, "confirmed"))) {
        (void)fputs("<p class=\"bad\">It was not confirmed by a second run just below and just above.</p>\n",
                    page->out);
    }
    (void)fputs("<p class=\"soft\"><code>sshload find", page->out);
    size_t i;
    json_t *word;
    json_array_foreach(json_object_get(page->find, "options"), i, word)
    {
        page_text(page, " ");
        page_word(page, json_is_string(word) ? json_string_value(word) : "?");
    }
    (void)fputs("</code></p></div>\n", page->out);
    if (put_curve(page, steps, by, percentile) != 0) {
        return -1;
    }
    put_steps(page, steps, by, percentile);
    return 0;
}

json_t *page_find_load(const char *path)
{
    json_error_t problem;
    json_t *document = json_load_file(path, 0, &problem);
    const char *schema = json_string_value(json_object_get(document, "schema"));
    if (schema == NULL || strcmp(schema, "sshload-find/1") != 0) {
        json_decref(document);
        return NULL;
    }
    return document;
}
