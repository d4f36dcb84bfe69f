/* Inside the room of pictures.h: what a page shows of the intervals of a run: its heat map, its server's side. */
#include "load/pictures/heat.h"
#include "load/pictures/page_internal.h"
#include "load/result/result_server.h"
#include "load/tools/sets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- latency over time ---- */

static int put_heat_table(const struct page *page, const struct timeline *pieces, const char *caption)
{
    static const char *const words[] = {"until second", "measured", "p50", "p99", "max", "errors", "sessions"};
    struct histogram *h = malloc(sizeof *h);
    if (h == NULL) {
        return -1;
    }
    (void)fputs("<details><summary>These numbers as a table</summary>\n", page->out);
    page_table(page, caption, words, sizeof words / sizeof words[0]);
    for (size_t i = 0; i < pieces->count; i++) {
        interval_unpack(&pieces->rows[i], h);
        bool some = h->total > 0;
        (void)fprintf(page->out, "<tr><th scope=\"row\">%.6g</th>", (double)(i + 1) * (double)pieces->length_us / 1e6);
        page_number(page, "%.0f", (double)h->total);
        page_duration(page, some ? (double)histogram_percentile(h, 50.0) : NAN);
        page_duration(page, some ? (double)histogram_percentile(h, 99.0) : NAN);
        page_duration(page, some ? (double)h->max : NAN);
        page_number(page, "%.0f", (double)pieces->rows[i].errors);
        page_number(page, "%.0f", (double)pieces->rows[i].sessions);
        (void)fputs("</tr>\n", page->out);
    }
    page_end_table(page);
    (void)fputs("</details>\n", page->out);
    free(h);
    return 0;
}

static int put_heat(const struct page *page, size_t index)
{
    const struct result *result = &page->results[index];
    struct timeline pieces;
    char title[200];
    if (!heat_is_worth(&result->timeline)) {
        return 0;
    }
    if (timeline_thin(&result->timeline, HEAT_COLUMNS, &pieces) != 0) {
        return -1;
    }
    (void)snprintf(title, sizeof title, "Latency over time: %s", page->names[index]);
    (void)fputs("<section><h2>", page->out);
    page_text(page, title);
    (void)fputs(
        "</h2>\n<p class=\"soft\">The stronger the colour, the more operations, by the logarithm of their number.</p>\n"
        "<div class=\"wide\" tabindex=\"0\">",
        page->out);
    int rc = heat_write(&pieces, title, 0, page->out);
    (void)fputs("</div>\n", page->out);
    rc = rc != 0 ? rc : put_heat_table(page, &pieces, title);
    (void)fputs("</section>\n", page->out);
    timeline_free(&pieces);
    return rc;
}

/* ---- the server's side ---- */

static void put_known(const struct page *page, const char *format, double value)
{
    if (value < 0.0) {
        page_cell(page, "td", "-");
    } else {
        page_number(page, format, value);
    }
}

static void put_server(const struct page *page)
{
    static const char *const words[] = {"run",      "CPU, s",           "memory, MiB", "CPU us/echo",
                                        "CPU s/GB", "CPU ms/handshake", "KiB/session", "read from"};
    (void)fputs("<section><h2>The server's side</h2>\n", page->out);
    page_table(page, "What the server used in the measured time", words, sizeof words / sizeof words[0]);
    for (size_t i = 0; i < page->count; i++) {
        const struct result *r = &page->results[i];
        if (r->server.source[0] == '\0') {
            continue;
        }
        (void)fputs("<tr>", page->out);
        page_cell(page, "th scope=\"row\"", page->names[i]);
        put_known(page, "%.2f", r->server.cpu_s);
        put_known(page, "%.1f", r->server.bytes / (1024.0 * 1024.0));
        for (size_t figure = 0; figure < server_figure_count; figure++) {
            put_known(page, "%.3f", server_figures[figure].value(r));
        }
        (void)fputs("<td class=\"text\">", page->out);
        page_text(page, r->server.source);
        (void)fputs("</td></tr>\n", page->out);
    }
    page_end_table(page);
    (void)fputs("</section>\n", page->out);
}

int page_time(const struct page *page)
{
    bool observed = false;
    for (size_t i = 0; i < page->count; i++) {
        observed = observed || page->results[i].server.source[0] != '\0';
        if (put_heat(page, i) != 0) {
            return -1;
        }
    }
    if (observed) {
        put_server(page);
    }
    return page_intervals(page, observed);
}

/* ---- several runs of one kind ---- */

/* Runs of one label are tries of the same thing. */
static int put_set(const struct page *page, const char *label, struct result *runs, size_t count)
{
    static const char *const words[] = {"figure", "median", "least", "most", "together", "95 % from", "to"};
    struct sets_row rows[SETS_ROWS_MOST];
    char caption[256];
    const struct run_set set = {.runs = runs, .count = count};
    size_t found = sets_describe(&set, 1, rows);
    (void)snprintf(caption, sizeof caption, "%zu runs%s%s", count, label[0] != '\0' ? ": " : " without a label", label);
    page_table(page, caption, words, sizeof words / sizeof words[0]);
    for (size_t i = 0; i < found; i++) {
        const double values[] = {rows[i].median,       rows[i].least,        rows[i].most, rows[i].interval.estimate,
                                 rows[i].interval.low, rows[i].interval.high};
        (void)fputs("<tr>", page->out);
        page_cell(page, "th scope=\"row\"", rows[i].name);
        for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
            if (rows[i].is_time) {
                page_duration(page, values[v]);
            } else if (isfinite(values[v])) {
                page_number(page, fabs(values[v]) < 100.0 ? "%.3g" : "%.0f", values[v]);
            } else {
                page_cell(page, "td", "-");
            }
        }
        (void)fputs("</tr>\n", page->out);
    }
    page_end_table(page);
    return 0;
}

int page_sets(const struct page *page)
{
    struct result *runs = calloc(page->count, sizeof *runs);
    bool *taken = calloc(page->count, sizeof *taken);
    int rc = runs == NULL || taken == NULL ? -1 : 0;
    bool begun = false;
    for (size_t i = 0; rc == 0 && i < page->count; i++) {
        size_t count = 0;
        for (size_t j = i; j < page->count && count < BOOTSTRAP_RUNS_MAX; j++) {
            if (!taken[j] && strcmp(page->results[j].label, page->results[i].label) == 0 &&
                page->results[j].open_loop == page->results[i].open_loop) {
                taken[j] = true;
                runs[count++] = page->results[j]; /* borrowed */
            }
        }
        if (count >= 2) {
            (void)fputs(begun ? "" : "<section><h2>Runs together</h2>\n", page->out);
            begun = true;
            rc = put_set(page, page->results[i].label, runs, count);
        }
    }
    (void)fputs(begun ? "</section>\n" : "", page->out);
    free(runs);
    free(taken);
    return rc;
}
