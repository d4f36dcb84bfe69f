/* Inside the room of tools.h: pictures, drawn by gnuplot. */
#include "load/tools/tools.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct plot_options {
    char *output, *title;
    bool help;
};

static const struct option_spec specs[] = {
    {"output", 0, OPTION_STRING, offsetof(struct plot_options, output), 0, 0, NULL, NULL, "FILE",
     "The picture to write, .svg or .png (short: -o).", "Options", OPTION_COMMAND_LINE},
    {"title", 0, OPTION_STRING, offsetof(struct plot_options, title), 0, 0, NULL, NULL, "TEXT", "A heading.", "Options",
     OPTION_COMMAND_LINE},
    {"help", 'h', OPTION_BOOL, offsetof(struct plot_options, help), 0, 0, "no", NULL, NULL, "Print this and exit.",
     "Options", OPTION_COMMAND_LINE},
};

const struct option_table plot_option_table = {
    .specs = specs,
    .count = sizeof specs / sizeof specs[0],
    .program = "sshload",
    .usage = "sshload plot FILE.json... -o OUT.svg|OUT.png",
};

/* In gnuplot's single quotes, where only the quote itself is special. */
static void put_quoted(const char *text, FILE *out)
{
    (void)fputc('\'', out);
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            (void)fputc('\'', out);
        }
        (void)fputc((unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text, out);
    }
    (void)fputc('\'', out);
}

#define POINT_STEP 1.01

/* The axis of percentiles is logarithmic in 1/(1-p): each further nine gets the same room. */
static void put_percentiles(size_t index, const struct histogram *h, FILE *out)
{
    (void)fprintf(out, "$latency%zu << EOD\n", index);
    uint64_t seen = 0;
    double drawn_x = 0.0,
           drawn_ms = 0.0; /* the last point; the next is at least a pixel further, or the picture is all points */
    for (uint32_t slot = 0; slot < HISTOGRAM_SLOTS; slot++) {
        if (h->counts[slot] == 0) {
            continue;
        }
        double before = (double)seen / (double)h->total;
        seen += h->counts[slot];
        int64_t high = histogram_slot_high(slot);
        double value_ms = (double)(high < h->max ? high : h->max) / 1e3;
        double x = 1.0 / (1.0 - before);
        if (seen < h->total && x < drawn_x * POINT_STEP && value_ms < drawn_ms * POINT_STEP) {
            continue;
        }
        drawn_x = x;
        drawn_ms = value_ms;
        (void)fprintf(out, "%.6f %.6f\n", x, value_ms);
        if (seen < h->total) {
            (void)fprintf(out, "%.6f %.6f\n", 1.0 / (1.0 - (double)seen / (double)h->total), value_ms);
        }
    }
    if (h->total == 0) {
        (void)fputs("1 NaN\n", out);
    }
    (void)fputs("EOD\n", out);
}

/* Whole seconds only: a last one that was cut short would look like a collapse. */
static void put_series(size_t index, const struct result *result, FILE *out)
{
    const struct tally *t = &result->tally;
    size_t whole = result->seconds < 1.0 ? 1 : (size_t)result->seconds;
    bool connect = strcmp(result->mode, "connect") == 0;
    (void)fprintf(out, "$series%zu << EOD\n", index);
    for (size_t i = 0; i < t->second_count && i < whole; i++) {
        const struct tally_second *s = &t->seconds[i];
        (void)fprintf(out, "%zu %llu %.3f %llu %.3f\n", i + 1,
                      (unsigned long long)(connect ? s->handshakes : s->echoes), (double)s->bytes / 1e6,
                      (unsigned long long)s->errors, (double)s->latency_max_us / 1e3);
    }
    if (t->second_count == 0) {
        (void)fputs("0 0 0 0 0\n", out); /* gnuplot refuses a picture without a point */
    }
    (void)fputs("EOD\n", out);
}

static void put_name(const struct result *result, const char *path, FILE *out)
{
    const char *slash = strrchr(path, '/');
    put_quoted(result->label[0] != '\0' ? result->label : slash != NULL ? slash + 1 : path, out);
}

static void put_curves(const struct result *results, const struct string_list *files, const char *block,
                       const char *columns, const char *style, FILE *out)
{
    (void)fputs("plot ", out);
    for (size_t i = 0; i < files->count; i++) {
        (void)fprintf(out, "%s$%s%zu using %s with %s lw 2 lc %zu title ", i > 0 ? ", " : "", block, i, columns, style,
                      i + 1);
        put_name(&results[i], files->items[i], out);
    }
    (void)fputc('\n', out);
}

static uint64_t most_errors(const struct result *results, size_t count)
{
    uint64_t most = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < results[i].tally.second_count; j++) {
            most = results[i].tally.seconds[j].errors > most ? results[i].tally.seconds[j].errors : most;
        }
    }
    return most;
}

static void put_script(const struct result *results, const struct string_list *files,
                       const struct plot_options *options, bool svg, FILE *out)
{
    bool stream = strcmp(results[0].mode, "stream") == 0;
    bool connect = strcmp(results[0].mode, "connect") == 0;
    for (size_t i = 0; i < files->count; i++) {
        put_percentiles(i, tally_histogram(&results[i].tally, HISTOGRAM_LATENCY), out);
        put_series(i, &results[i], out);
    }
    (void)fprintf(out, "set terminal %s size 900,1100 noenhanced\nset output ",
                  svg ? "svg background 'white' font 'sans,12'" : "pngcairo font 'sans,11'");
    put_quoted(options->output, out);
    (void)fputs("\nset multiplot layout 3,1 title ", out);
    char title[256];
    (void)snprintf(title, sizeof title, "sshload %s", results[0].mode);
    put_quoted(options->title != NULL ? options->title : title, out);
    (void)fputs("\nset lmargin 11\nset rmargin 9\nset grid\nset key top left\nset logscale x\nset logscale y\n"
                "set xtics ('0 %%' 1, '50 %%' 2, '90 %%' 10, '99 %%' 100, '99.9 %%' 1000, '99.99 %%' 10000, '99.999 "
                "%%' 100000)\n"
                "set xrange [1:*]\nset xlabel 'percentile'\nset ylabel 'latency from due time, ms'\n",
                out);
    put_curves(results, files, "latency", "1:2", "lines", out);
    (void)fputs("unset logscale\nset xtics auto\nset xrange [0:*]\nset yrange [0:1<*]\nset xlabel 'second of the "
                "measurement'\n",
                out);
    (void)fprintf(out, "set key bottom left\nset ylabel '%s'\n",
                  stream    ? "MB/s"
                  : connect ? "handshakes/s"
                            : "echoes/s");
    put_curves(results, files, "series", stream ? "1:3" : "1:2", "linespoints", out);
    (void)fputs(
        "set key top left\nset ylabel 'errors per second'\nset y2label 'worst latency of the second, ms (dashed)'\n"
        "set ytics nomirror\nset y2tics\nset y2range [0:*]\n",
        out);
    (void)fprintf(out, "set yrange [0:%llu]\n", (unsigned long long)most_errors(results, files->count) + 4);
    (void)fputs("plot ", out);
    for (size_t i = 0; i < files->count; i++) {
        (void)fprintf(out, "%s$series%zu using 1:4 with impulses lw 4 lc %zu title ", i > 0 ? ", " : "", i, i + 1);
        put_name(&results[i], files->items[i], out);
        (void)fprintf(out, ", $series%zu using 1:5 axes x1y2 with lines dt 2 lc %zu notitle", i, i + 1);
    }
    (void)fputs("\nunset multiplot\nset output\n", out);
}

static int draw(const struct result *results, const struct string_list *files, const struct plot_options *options,
                bool svg)
{
    (void)unlink(options->output);          /* so that an old picture cannot pass for a new one */
    FILE *gnuplot = popen("gnuplot", "we"); /* NOLINT(cert-env33-c): no word of a user's is in the command */
    if (gnuplot == NULL) {
        return tools_complain(TOOLS_WRONG, "plot: gnuplot cannot be started");
    }
    put_script(results, files, options, svg, gnuplot);
    int status = pclose(gnuplot);
    struct stat file;
    if (status != 0 || stat(options->output, &file) != 0 || file.st_size == 0) {
        (void)unlink(options->output);
        bool missing = WIFEXITED(status) && WEXITSTATUS(status) == 127;
        return tools_complain(TOOLS_WRONG, missing ? "plot: gnuplot is not installed (Debian: gnuplot-nox)"
                                                   : "plot: gnuplot failed, see above; no picture was written");
    }
    return TOOLS_OK;
}

int plot_run(const void *values, const struct string_list *files)
{
    const struct plot_options *options = values;
    const char *dot = options->output == NULL ? NULL : strrchr(options->output, '.');
    bool svg = dot != NULL && strcmp(dot, ".svg") == 0;
    if (dot == NULL || (!svg && strcmp(dot, ".png") != 0)) {
        return tools_complain(TOOLS_USAGE, "plot: -o must name a file that ends in .svg or .png");
    }
    struct result *results = calloc(files->count, sizeof *results);
    if (results == NULL) {
        return tools_complain(TOOLS_WRONG, "out of memory");
    }
    int code = TOOLS_OK;
    size_t loaded = 0;
    while (loaded < files->count && code == TOOLS_OK) {
        char error[512];
        if (result_load(&results[loaded], files->items[loaded], error, sizeof error) != 0) {
            code = tools_complain(TOOLS_USAGE, error);
        } else {
            loaded++;
        }
    }
    for (size_t i = 1; i < loaded && code == TOOLS_OK; i++) {
        if (strcmp(results[i].mode, results[0].mode) != 0) {
            code = tools_complain(TOOLS_USAGE, "plot: results of different modes do not fit in one picture");
        }
    }
    if (code == TOOLS_OK) {
        code = draw(results, files, options, svg);
    }
    for (size_t i = 0; i < loaded; i++) {
        result_free(&results[i]);
    }
    free(results);
    return code;
}
