/* Inside the room of campaign.h: `sshload run FILE`, several loads at once and one report of them all. */
#include "load/campaign/campaign.h"
#include "load/campaign/children.h"
#include "load/campaign/scenario.h"
#include "load/result/report.h"
#include "load/result/result.h"
#include "load/result/verdict.h"
#include "load/tools/tools.h"
#include "sshecho/clock.h"
#include "sshecho/units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct scenario_options {
    char *json;
    uint64_t start_in_us;
    bool check, quiet, help;
};

#define AT(field) offsetof(struct scenario_options, field)
static const struct option_spec specs[] = {
    {"json", 0, OPTION_STRING, AT(json), 0, 0, NULL, NULL, "FILE",
     "Write the results of all groups as JSON; - is stdout.", "Options", OPTION_COMMAND_LINE},
    {"start-in", 0, OPTION_DURATION, AT(start_in_us), 0, UINT64_C(3600000000), "3s", NULL, "TIME",
     "All groups begin their traffic this long from now; their sessions should stand by then.", "Options",
     OPTION_COMMAND_LINE},
    {"check", 0, OPTION_BOOL, AT(check), 0, 0, "no", NULL, NULL, "Read the file, say what is wrong with it, and exit.",
     "Options", OPTION_COMMAND_LINE},
    {"quiet", 'q', OPTION_BOOL, AT(quiet), 0, 0, "no", NULL, NULL, "Print no report.", "Options", OPTION_COMMAND_LINE},
    {"help", 'h', OPTION_BOOL, AT(help), 0, 0, "no", NULL, NULL, "Print this and exit.", "Options",
     OPTION_COMMAND_LINE},
};

const struct option_table scenario_option_table = {
    .specs = specs,
    .count = sizeof specs / sizeof specs[0],
    .program = "sshload",
    .usage = "sshload run FILE [--json FILE]",
};

struct part {
    struct result result;
    bool loaded;
    char file[128];
};

/* What every group's run is told beside its own words. */
static int complete_words(struct scenario_group *group, struct part *part, size_t index, const char *directory,
                          int64_t start_at_us)
{
    char start[64];
    char label[96];
    (void)snprintf(part->file, sizeof part->file, "%s/%zu.json", directory, index);
    (void)snprintf(start, sizeof start, "--start-at=%lld.%06lld", (long long)(start_at_us / 1000000),
                   (long long)(start_at_us % 1000000));
    (void)snprintf(label, sizeof label, "--label=%s", group->name);
    const char *const words[] = {"--quiet", "--no-progress", start, label, "--json", part->file};
    int rc = 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        rc |= scenario_add_word(group, words[i]);
    }
    return rc;
}

static void print_overview(const struct scenario *scenario, const struct part *parts)
{
    (void)printf("%-16s %-8s %12s %10s %10s %10s %8s  %s\n", "group", "mode", "a second", "p50", "p99", "max", "errors",
                 "verdict");
    for (size_t i = 0; i < scenario->count; i++) {
        const struct result *r = &parts[i].result;
        char p50[32], p99[32], max[32];
        if (!parts[i].loaded) {
            (void)printf("%-16s left no result\n", scenario->groups[i].name);
            continue;
        }
        struct result_figures f = result_figures_of(tally_histogram(&r->tally, HISTOGRAM_LATENCY));
        const char *unfit = verdict_unfit(r);
        bool stream = strcmp(r->mode, "stream") == 0;
        (void)printf("%-16s %-8s %9.1f %2s %10s %10s %10s %8llu  %s\n", scenario->groups[i].name, r->mode,
                     stream ? result_mb_per_s(r) : result_echoes_per_s(r), stream ? "MB" : "",
                     f.count == 0 ? "-" : units_human_duration(p50, sizeof p50, f.p50),
                     f.count == 0 ? "-" : units_human_duration(p99, sizeof p99, f.p99),
                     f.count == 0 ? "-" : units_human_duration(max, sizeof max, f.max),
                     (unsigned long long)result_errors(r), unfit == NULL ? "ok" : unfit);
    }
}

static void print_groups(const struct scenario *scenario, const struct part *parts)
{
    print_overview(scenario, parts);
    for (size_t i = 0; i < scenario->count; i++) {
        if (parts[i].loaded) {
            (void)printf("\n---- group %s ----\n\n", scenario->groups[i].name);
            report_print(&parts[i].result, stdout);
        }
    }
}

static int save(const struct scenario *scenario, const struct part *parts, const char *source, const char *path)
{
    char error[512];
    json_t *groups = json_array();
    for (size_t i = 0; i < scenario->count; i++) {
        json_t *result = parts[i].loaded ? result_to_json(&parts[i].result) : json_null();
        (void)json_array_append_new(groups,
                                    json_pack("{s:s, s:o}", "name", scenario->groups[i].name, "result", result));
    }
    json_t *document =
        json_pack("{s:s, s:o, s:o}", "schema", "sshload-run/1", "file", json_string(source), "groups", groups);
    int rc = document == NULL ? -1 : result_save_document(document, path, error, sizeof error);
    json_decref(document);
    return rc == 0 ? TOOLS_OK : tools_complain(TOOLS_WRONG, document == NULL ? "out of memory" : error);
}

/* The worst that a group ended with; a condition that was crossed outranks an error. */
static int worst_of(const struct child_run *runs, size_t count)
{
    int worst = TOOLS_OK;
    for (size_t i = 0; i < count; i++) {
        int code = runs[i].code < 0 ? TOOLS_WRONG : runs[i].code;
        worst = code > worst ? code : worst;
    }
    return worst;
}

static int run_groups(struct scenario *scenario, struct part *parts, const struct scenario_options *options,
                      const char *directory)
{
    struct child_run runs[SCENARIO_GROUPS] = {0};
    char error[512];
    int64_t start_at_us = wall_us() + (int64_t)options->start_in_us;
    for (size_t i = 0; i < scenario->count; i++) {
        if (complete_words(&scenario->groups[i], &parts[i], i, directory, start_at_us) != 0) {
            return tools_complain(TOOLS_WRONG, "out of memory");
        }
        runs[i] = (struct child_run){.words = scenario->groups[i].words, .count = scenario->groups[i].count};
    }
    (void)children_run(runs, scenario->count, NULL);
    int code = worst_of(runs, scenario->count);
    for (size_t i = 0; i < scenario->count; i++) {
        if (access(parts[i].file, R_OK) != 0) {
            (void)fprintf(stderr, "sshload: run: group %s left no result\n", scenario->groups[i].name);
            code = code == TOOLS_OK ? TOOLS_WRONG : code;
        } else if (result_load(&parts[i].result, parts[i].file, error, sizeof error) == 0) {
            parts[i].loaded = true;
        } else {
            result_free(&parts[i].result);
            code = tools_complain(TOOLS_WRONG, error);
        }
        (void)unlink(parts[i].file);
    }
    return code;
}

int scenario_run(const void *values, const struct string_list *files)
{
    const struct scenario_options *options = values;
    struct scenario scenario;
    struct option_error error = {.text = ""};
    char directory[] = "/tmp/sshload-run.XXXXXX";
    struct part *parts = calloc(SCENARIO_GROUPS, sizeof *parts);
    int code;
    if (files->count != 1 || parts == NULL) {
        free(parts);
        return tools_complain(TOOLS_USAGE, "run: takes one scenario file");
    }
    if (scenario_load(&scenario, files->items[0], &error) != 0) {
        code = tools_complain(TOOLS_USAGE, error.text);
    } else if (options->check) {
        code = TOOLS_OK;
    } else if (mkdtemp(directory) == NULL) {
        code = tools_complain(TOOLS_WRONG, "run: no temporary directory can be made in /tmp");
    } else {
        code = run_groups(&scenario, parts, options, directory);
        (void)rmdir(directory);
        if (!options->quiet && code != TOOLS_USAGE && (options->json == NULL || strcmp(options->json, "-") != 0)) {
            print_groups(&scenario, parts);
        }
        if (options->json != NULL && code != TOOLS_USAGE &&
            save(&scenario, parts, files->items[0], options->json) != 0) {
            code = TOOLS_WRONG;
        }
    }
    for (size_t i = 0; i < SCENARIO_GROUPS; i++) {
        if (parts[i].loaded) {
            result_free(&parts[i].result);
        }
    }
    free(parts);
    scenario_free(&scenario);
    return code;
}
