#include "load/tools/sets.h"

#include "load/result/result_server.h"
#include "sshecho/units.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum better { MORE_IS_BETTER, LESS_IS_BETTER, SHOWN_ONLY };

/* One figure: a value of each run, or a percentile of a histogram. */
struct figure {
    char name[40];
    double (*value)(const struct result *result);
    enum tally_histogram histogram; /* where value is NULL */
    double percentile;
    enum better better;
};

#define FIGURES_MAX SETS_ROWS_MOST

static double sessions_up(const struct result *result)
{
    return (double)result->tally.sessions_up;
}

static double errors(const struct result *result)
{
    return (double)result_errors(result);
}

static double cpu_s(const struct result *result)
{
    return result->tally.cpu_s;
}

static void add_value(struct figure *figures, size_t *count, const char *name,
                      double (*value)(const struct result *result), enum better better)
{
    struct figure *figure = &figures[(*count)++];
    *figure = (struct figure){.value = value, .better = better};
    (void)snprintf(figure->name, sizeof figure->name, "%s", name);
}

static void add_percentiles(struct figure *figures, size_t *count, const char *prefix, enum tally_histogram histogram,
                            bool judged)
{
    static const struct {
        const char *name;
        double percentile;
        bool judged; /* the far tail of a few runs is too much chance to fail a build on; it is shown */
    } lines[] = {
        {"p50", 50.0, true}, {"p90", 90.0, true}, {"p99", 99.0, true}, {"p99.9", 99.9, false}, {"max", 100.0, false}};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct figure *figure = &figures[(*count)++];
        *figure = (struct figure){.histogram = histogram,
                                  .percentile = lines[i].percentile,
                                  .better = judged && lines[i].judged ? LESS_IS_BETTER : SHOWN_ONLY};
        (void)snprintf(figure->name, sizeof figure->name, "%s %s", prefix, lines[i].name);
    }
}

static size_t choose_figures(const struct result *like, struct figure *figures)
{
    bool connect = strcmp(like->mode, "connect") == 0;
    bool hold = strcmp(like->mode, "hold") == 0;
    size_t count = 0;
    /* At a rate the plan sets the throughput; falling short of it is news all the same. */
    add_value(figures, &count, "echoes/s", result_echoes_per_s, MORE_IS_BETTER);
    add_value(figures, &count, "MB/s", result_mb_per_s, like->open_loop ? SHOWN_ONLY : MORE_IS_BETTER);
    add_value(figures, &count, "handshakes/s", result_handshakes_per_s, connect || hold ? MORE_IS_BETTER : SHOWN_ONLY);
    add_value(figures, &count, "sessions up", sessions_up, hold ? MORE_IS_BETTER : SHOWN_ONLY);
    add_value(figures, &count, "errors", errors, LESS_IS_BETTER);
    add_value(figures, &count, "generator CPU s", cpu_s, SHOWN_ONLY);
    for (size_t i = 0; i < server_figure_count; i++) {
        bool few = !connect && server_figures[i].of_the_ramp; /* a handful of handshakes proves nothing */
        add_value(figures, &count, server_figures[i].name, server_figures[i].value, few ? SHOWN_ONLY : LESS_IS_BETTER);
    }
    add_percentiles(figures, &count, like->open_loop ? "latency" : "service time", HISTOGRAM_LATENCY, true);
    if (!connect) { /* there it is the latency */
        add_percentiles(figures, &count, "handshake", HISTOGRAM_HANDSHAKE, false);
    }
    return count;
}

/* ---- the figures of a set ---- */

struct column {
    double values[BOOTSTRAP_RUNS_MAX];
    const struct histogram *histograms[BOOTSTRAP_RUNS_MAX];
    struct bootstrap_side side;
    double sum;
    bool measured;
};

static void fill_column(struct column *column, const struct figure *figure, const struct run_set *set)
{
    column->side = (struct bootstrap_side){.runs = set->count};
    column->sum = 0.0;
    column->measured = figure->value != NULL;
    for (size_t i = 0; i < set->count; i++) {
        if (figure->value != NULL) {
            column->values[i] = figure->value(&set->runs[i]);
            column->measured = column->measured && column->values[i] >= 0.0; /* below: it is not known */
            column->sum += column->values[i];
        } else {
            column->histograms[i] = tally_histogram(&set->runs[i].tally, figure->histogram);
            column->measured = column->measured || column->histograms[i]->total > 0;
        }
    }
    if (figure->value != NULL) {
        column->side.values = column->values;
    } else {
        column->side.histograms = column->histograms;
    }
}

static double figure_of_set(const struct column *column, const struct figure *figure)
{
    return column->measured ? bootstrap_figure(&column->side, figure->percentile, 1).estimate : NAN;
}

static void print_value(bool is_time, double value, FILE *out)
{
    char text[32];
    if (isnan(value)) {
        (void)snprintf(text, sizeof text, "-");
    } else if (is_time) {
        (void)units_human_duration(text, sizeof text, value);
    } else {
        (void)snprintf(text, sizeof text, "%.*f", value < 100.0 && value != floor(value) ? 2 : 0, value);
    }
    (void)fprintf(out, " %13s", text);
}

/* Where A has none at all there is no ratio, and yet something to say: runs with and runs without. */
static enum verdict judge_from_nothing(const struct column *a, const struct column *b, bool less_is_better)
{
    size_t fewest = a->side.runs < b->side.runs ? a->side.runs : b->side.runs;
    size_t with = 0;
    for (size_t i = 0; i < b->side.runs; i++) {
        with += b->values[i] > 0.0 ? 1 : 0;
    }
    if (fewest < BOOTSTRAP_RUNS_MIN) {
        return VERDICT_UNKNOWN;
    }
    if (with == 0) {
        return VERDICT_SAME;
    }
    bool most = with * 2 > b->side.runs;
    return !most ? VERDICT_UNKNOWN : less_is_better ? VERDICT_WORSE : VERDICT_BETTER;
}

static enum verdict judge(const struct figure *figure, const struct column *a, const struct column *b,
                          const struct bootstrap_interval *ratio, double tolerance)
{
    bool less_is_better = figure->better == LESS_IS_BETTER;
    if (figure->value != NULL && a->sum == 0.0) {
        return judge_from_nothing(a, b, less_is_better);
    }
    if (a->measured && !b->measured) {
        return b->side.runs >= BOOTSTRAP_RUNS_MIN ? VERDICT_WORSE : VERDICT_UNKNOWN; /* silence is not speed */
    }
    return bootstrap_verdict(ratio, tolerance, less_is_better);
}

static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *figure_json(const struct figure *figure, double a, double b, const struct bootstrap_interval *ratio,
                           const char *verdict)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:s}", "figure", figure->name, "a", real_or_null(a), "b",
                     real_or_null(b), "ratio", real_or_null(ratio->estimate), "low", real_or_null(ratio->low), "high",
                     real_or_null(ratio->high), "verdict", verdict);
}

static void print_ratio(const struct bootstrap_interval *ratio, FILE *out)
{
    char text[40] = "-";
    if (isfinite(ratio->low)) {
        (void)snprintf(text, sizeof text, "%.3f to %.3f", ratio->low, ratio->high);
    }
    if (isfinite(ratio->estimate)) {
        (void)fprintf(out, " %8.3f %17s", ratio->estimate, text);
    } else {
        (void)fprintf(out, " %8s %17s", "-", text);
    }
}

static const char *side_name(const struct run_set *set, const char *letter, char buffer[160])
{
    (void)snprintf(buffer, 160, "%.8s (%zu)", set->runs[0].label[0] != '\0' ? set->runs[0].label : letter, set->count);
    return buffer;
}

unsigned sets_compare(const struct run_set *a, const struct run_set *b, const struct sets_rules *rules, FILE *out,
                      json_t **out_json)
{
    static struct column left;
    static struct column right;
    struct figure figures[FIGURES_MAX];
    unsigned worse = 0;
    size_t count = choose_figures(&a->runs[0], figures);
    json_t *all = out_json != NULL ? json_array() : NULL;
    (void)fprintf(out, "%-20s %13s %13s %8s %17s  %s\n", "", side_name(a, "A", (char[160]){0}),
                  side_name(b, "B", (char[160]){0}), "B/A", "95 % interval", "verdict");
    for (size_t i = 0; i < count; i++) {
        const struct figure *figure = &figures[i];
        fill_column(&left, figure, a);
        fill_column(&right, figure, b);
        bool known = left.measured && right.measured; /* what one side did not look at is no news */
        if (figure->value != NULL ? !known : !left.measured && !right.measured) {
            continue;
        }
        struct bootstrap_interval ratio =
            bootstrap_ratio(&left.side, &right.side, figure->percentile, rules->paired, rules->seed);
        enum verdict verdict = judge(figure, &left, &right, &ratio, rules->tolerance);
        const char *word = figure->better == SHOWN_ONLY ? "" : bootstrap_verdict_name(verdict);
        double value_a = figure_of_set(&left, figure);
        double value_b = figure_of_set(&right, figure);
        (void)fprintf(out, "%-20s", figure->name);
        print_value(figure->value == NULL, value_a, out);
        print_value(figure->value == NULL, value_b, out);
        print_ratio(&ratio, out);
        (void)fprintf(out, "  %s\n", word);
        worse += figure->better != SHOWN_ONLY && verdict == VERDICT_WORSE ? 1 : 0;
        (void)json_array_append_new(all, figure_json(figure, value_a, value_b, &ratio, word));
    }
    if (out_json != NULL) {
        *out_json = all;
    }
    if (a->count < BOOTSTRAP_RUNS_MIN || b->count < BOOTSTRAP_RUNS_MIN) {
        (void)fprintf(out,
                      "Note: %zu run%s against %zu cannot tell a change from chance: the same command twice differs by "
                      "as much. At least %d a side can (sshload ab -n 10, or --repeat 10).\n",
                      a->count, a->count == 1 ? "" : "s", b->count, BOOTSTRAP_RUNS_MIN);
    }
    return worse;
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

size_t sets_describe(const struct run_set *set, uint64_t seed, struct sets_row rows[SETS_ROWS_MOST])
{
    static struct column column;
    struct figure figures[FIGURES_MAX];
    size_t count = choose_figures(&set->runs[0], figures);
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        const struct figure *figure = &figures[i];
        fill_column(&column, figure, set);
        if (!column.measured) {
            continue;
        }
        struct sets_row *row = &rows[found++];
        row->interval = bootstrap_figure(&column.side, figure->percentile, seed);
        for (size_t run = 0; figure->value == NULL && run < set->count; run++) {
            column.values[run] = (double)histogram_percentile(column.histograms[run], figure->percentile);
        }
        double sorted[BOOTSTRAP_RUNS_MAX];
        memcpy(sorted, column.values, set->count * sizeof sorted[0]);
        qsort(sorted, set->count, sizeof sorted[0], by_value);
        size_t middle = set->count / 2;
        memcpy(row->name, figure->name, sizeof row->name);
        row->is_time = figure->value == NULL;
        row->median = set->count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2.0;
        row->least = sorted[0];
        row->most = sorted[set->count - 1];
    }
    return found;
}

void sets_summarize(const struct run_set *set, uint64_t seed, FILE *out)
{
    struct sets_row rows[SETS_ROWS_MOST];
    size_t found = sets_describe(set, seed, rows);
    (void)fprintf(out, "%zu runs%16s %13s %13s %13s %27s\n", set->count, "median", "least", "most", "together",
                  "95 % interval");
    for (size_t i = 0; i < found; i++) {
        const struct sets_row *row = &rows[i];
        (void)fprintf(out, "%-20s", row->name);
        print_value(row->is_time, row->median, out);
        print_value(row->is_time, row->least, out);
        print_value(row->is_time, row->most, out);
        print_value(row->is_time, row->interval.estimate, out);
        print_value(row->is_time, row->interval.low, out);
        print_value(row->is_time, row->interval.high, out);
        (void)fputc('\n', out);
    }
}
