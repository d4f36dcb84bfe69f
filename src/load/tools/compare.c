/* Inside the room of tools.h: two results side by side. */
#include "load/tools/tools.h"

#include "sshecho/units.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct compare_options {
    char *tolerance;
    bool help;
};

static const struct option_spec specs[] = {
    {"tolerance", 0, OPTION_STRING, offsetof(struct compare_options, tolerance), 0, 0, "10%", NULL, "PERCENT",
     "How much worse a figure may be before it counts as a regression.", "Options", OPTION_COMMAND_LINE},
    {"help", 'h', OPTION_BOOL, offsetof(struct compare_options, help), 0, 0, "no", NULL, NULL, "Print this and exit.",
     "Options", OPTION_COMMAND_LINE},
};

const struct option_table compare_option_table = {
    .specs = specs,
    .count = sizeof specs / sizeof specs[0],
    .program = "sshload",
    .usage = "sshload compare A.json B.json [--tolerance PERCENT]",
};

enum better { MORE_IS_BETTER, LESS_IS_BETTER, NOTHING_IS_BETTER };

struct row {
    const char *name;
    double a, b; /* NaN: not measured */
    bool time;   /* us */
    enum better better;
};

static bool is_worse(const struct row *row, double tolerance)
{
    if (isnan(row->a) || row->better == NOTHING_IS_BETTER) {
        return false;
    }
    if (isnan(row->b)) {
        return true;
    }
    if (row->better == MORE_IS_BETTER) {
        return row->b < row->a * (1.0 - tolerance);
    }
    return row->b > row->a * (1.0 + tolerance);
}

static void print_value(double value, bool time, FILE *out)
{
    char text[32];
    if (isnan(value)) {
        (void)snprintf(text, sizeof text, "-");
    } else if (time) {
        (void)units_human_duration(text, sizeof text, value);
    } else {
        (void)snprintf(text, sizeof text, "%.*f", value < 100.0 && value != floor(value) ? 2 : 0, value);
    }
    (void)fprintf(out, " %14s", text);
}

static bool print_row(const struct row *row, double tolerance, FILE *out)
{
    bool worse = is_worse(row, tolerance);
    (void)fprintf(out, "%-22s", row->name);
    print_value(row->a, row->time, out);
    print_value(row->b, row->time, out);
    if (isnan(row->a) || isnan(row->b) || row->a == 0.0) {
        (void)fprintf(out, " %8s", "-");
    } else {
        (void)fprintf(out, " %8.3f", row->b / row->a);
    }
    (void)fprintf(out, "%s\n", worse ? "  regression" : "");
    return worse;
}

static unsigned print_latency(const char *prefix, const struct histogram *a, const struct histogram *b,
                              double tolerance, FILE *out)
{
    static const struct {
        const char *name;
        double percentile;
        enum better better;
    } lines[] = {
        /* The far tail of one run is too much chance to fail a build on; it is shown. */
        {"p50", 50.0, LESS_IS_BETTER},      {"p90", 90.0, LESS_IS_BETTER},     {"p99", 99.0, LESS_IS_BETTER},
        {"p99.9", 99.9, NOTHING_IS_BETTER}, {"max", 100.0, NOTHING_IS_BETTER},
    };
    unsigned worse = 0;
    if (a->total == 0 && b->total == 0) {
        return 0;
    }
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s %s", prefix, lines[i].name);
        struct row row = {
            .name = name,
            .a = a->total == 0 ? NAN : (double)histogram_percentile(a, lines[i].percentile),
            .b = b->total == 0 ? NAN : (double)histogram_percentile(b, lines[i].percentile),
            .time = true,
            .better = lines[i].better,
        };
        worse += print_row(&row, tolerance, out) ? 1 : 0;
    }
    return worse;
}

unsigned compare_results(const struct result *a, const struct result *b, double tolerance, FILE *out)
{
    bool by_rate = a->open_loop; /* the plan sets the rate: only falling short is news */
    const struct row rows[] = {
        {"echoes/s", result_echoes_per_s(a), result_echoes_per_s(b), false, MORE_IS_BETTER},
        {"MB/s", result_mb_per_s(a), result_mb_per_s(b), false, by_rate ? NOTHING_IS_BETTER : MORE_IS_BETTER},
        {"handshakes/s", result_handshakes_per_s(a), result_handshakes_per_s(b), false,
         strcmp(a->mode, "connect") == 0 || strcmp(a->mode, "hold") == 0 ? MORE_IS_BETTER : NOTHING_IS_BETTER},
        {"sessions up", (double)a->tally.sessions_up, (double)b->tally.sessions_up, false,
         strcmp(a->mode, "hold") == 0 ? MORE_IS_BETTER : NOTHING_IS_BETTER},
        {"errors", (double)result_errors(a), (double)result_errors(b), false, LESS_IS_BETTER},
        {"generator CPU s", a->tally.cpu_s, b->tally.cpu_s, false, NOTHING_IS_BETTER},
    };
    unsigned worse = 0;
    (void)fprintf(out, "%-22s %14s %14s %8s\n", "", a->label[0] != '\0' ? a->label : "A",
                  b->label[0] != '\0' ? b->label : "B", "B/A");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        worse += print_row(&rows[i], tolerance, out) ? 1 : 0;
    }
    worse += print_latency("latency", tally_histogram(&a->tally, HISTOGRAM_LATENCY),
                           tally_histogram(&b->tally, HISTOGRAM_LATENCY), tolerance, out);
    if (strcmp(a->mode, "connect") != 0) { /* there it is the latency */
        worse += print_latency("handshake", tally_histogram(&a->tally, HISTOGRAM_HANDSHAKE),
                               tally_histogram(&b->tally, HISTOGRAM_HANDSHAKE), HUGE_VAL, out);
    }
    return worse;
}

static bool parse_tolerance(const char *text, double *out)
{
    char *end = NULL;
    double percent = strtod(text, &end);
    if (end == text || (strcmp(end, "%") != 0 && *end != '\0') || !(percent >= 0.0 && percent <= 1000.0)) {
        return false;
    }
    *out = percent / 100.0;
    return true;
}

int compare_run(const void *values, const struct string_list *files)
{
    const struct compare_options *options = values;
    struct result a;
    struct result b;
    char error[512];
    double tolerance = 0.0;
    if (!parse_tolerance(options->tolerance, &tolerance)) {
        return tools_complain(TOOLS_USAGE, "--tolerance: allowed: a percentage from 0 to 1000, such as 5%");
    }
    if (result_load(&a, files->items[0], error, sizeof error) != 0) {
        return tools_complain(TOOLS_USAGE, error);
    }
    int code = TOOLS_OK;
    if (result_load(&b, files->items[1], error, sizeof error) != 0) {
        code = tools_complain(TOOLS_USAGE, error);
    } else {
        if (strcmp(a.mode, b.mode) != 0 || a.open_loop != b.open_loop) {
            (void)snprintf(error, sizeof error, "%s is a %s-loop %s run and %s a %s-loop %s run: no comparison",
                           files->items[0], a.open_loop ? "open" : "closed", a.mode, files->items[1],
                           b.open_loop ? "open" : "closed", b.mode);
            code = tools_complain(TOOLS_USAGE, error);
        } else if (compare_results(&a, &b, tolerance, stdout) > 0) {
            code = TOOLS_REGRESSION;
        }
        result_free(&b);
    }
    result_free(&a);
    return code;
}
