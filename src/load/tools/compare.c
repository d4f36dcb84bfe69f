/* Inside the room of tools.h: which runs may be compared, and the comparison. */
#include "load/result/verdict.h"
#include "load/tools/tools.h"

#include "load/tools/sets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct compare_options {
    char *tolerance, *json;
    bool paired, differing, force, help;
};

#define AT(field) offsetof(struct compare_options, field)
static const struct option_spec specs[] = {
    {"tolerance", 0, OPTION_STRING, AT(tolerance), 0, 0, "5%", NULL, "PERCENT",
     "How far a figure may move and still count as the same.", "Options", OPTION_COMMAND_LINE},
    {"paired", 0, OPTION_BOOL, AT(paired), 0, 0, "no", NULL, NULL,
     "The n-th run of A stood beside the n-th of B, as those of sshload ab do.", "Options", OPTION_COMMAND_LINE},
    {"differing", 0, OPTION_BOOL, AT(differing), 0, 0, "no", NULL, NULL,
     "The options of A and B differ on purpose: they are what is compared.", "Options", OPTION_COMMAND_LINE},
    {"force", 0, OPTION_BOOL, AT(force), 0, 0, "no", NULL, NULL,
     "Use runs too that say little about the server: client-bound, unfinished, interrupted, not sustained.", "Options",
     OPTION_COMMAND_LINE},
    {"json", 0, OPTION_STRING, AT(json), 0, 0, NULL, NULL, "FILE", "Write the comparison as JSON; - is stdout.",
     "Options", OPTION_COMMAND_LINE},
    {"help", 'h', OPTION_BOOL, AT(help), 0, 0, "no", NULL, NULL, "Print this and exit.", "Options",
     OPTION_COMMAND_LINE},
};

const struct option_table compare_option_table = {
    .specs = specs,
    .count = sizeof specs / sizeof specs[0],
    .program = "sshload",
    .usage = "sshload compare A.json B.json\n       sshload compare A.json... -- B.json... [--tolerance PERCENT]",
};

/* How a run was written down and logged in is no part of what it did. */
static const char *const told_apart_options[] = {
    "json",           "hdr",        "label",         "interval",   "progress",
    "quiet",          "fail-if",    "log-level",     "log-format", "password-file",
    "password-env",   "identity",   "known-hosts",   "host-key",   "start-at",
    "hlog",           "csv",        "percentiles",   "live",       "metrics-listen",
    "server-metrics", "server-pid", "server-cgroup", NULL};

bool compare_parse_tolerance(const char *text, double *out)
{
    char *end = NULL;
    double percent = strtod(text, &end);
    if (end == text || (strcmp(end, "%") != 0 && *end != '\0') || !(percent >= 0.0 && percent <= 1000.0)) {
        return false;
    }
    *out = percent / 100.0;
    return true;
}

/* ---- what fits together ---- */

static bool fits(const struct result *first, const struct result *next, bool may_differ, char *reason, size_t size)
{
    if (strcmp(first->mode, next->mode) != 0 || first->open_loop != next->open_loop) {
        (void)snprintf(reason, size, "it is a %s-loop %s run, not a %s-loop %s run",
                       next->open_loop ? "open" : "closed", next->mode, first->open_loop ? "open" : "closed",
                       first->mode);
        return false;
    }
    return may_differ || tools_options_match(first, next, told_apart_options, reason, size);
}

static int check_side(const struct compare_set *a, const struct compare_set *side, bool may_differ)
{
    char reason[256];
    char text[768];
    for (size_t i = 0; i < side->count; i++) {
        const struct compare_set *with = side;
        bool good = fits(&side->results[0], &side->results[i], false, reason, sizeof reason);
        if (good) {
            with = a;
            good = fits(&a->results[0], &side->results[i], may_differ, reason, sizeof reason);
        }
        if (!good) {
            (void)snprintf(text, sizeof text, "no comparison: %s does not match %s: %s", side->names[i], with->names[0],
                           reason);
            return tools_complain(TOOLS_USAGE, text);
        }
    }
    return TOOLS_OK;
}

static void drop(struct compare_set *set, size_t i)
{
    result_free(&set->results[i]);
    set->count--;
    memmove(&set->results[i], &set->results[i + 1], (set->count - i) * sizeof set->results[0]);
    memmove(&set->names[i], &set->names[i + 1], (set->count - i) * sizeof set->names[0]);
}

/* Runs that say little about the server are left out, with their partner where runs stand in pairs. */
static int leave_out(struct compare_set *a, struct compare_set *b, bool paired)
{
    struct compare_set *const sides[] = {a, b};
    for (int side = 0; side < 2; side++) {
        for (size_t i = sides[side]->count; i-- > 0;) {
            const char *why = verdict_unfit(&sides[side]->results[i]);
            if (why == NULL) {
                continue;
            }
            (void)fprintf(stderr, "sshload: %s is left out: %s (--force takes it)\n", sides[side]->names[i], why);
            drop(sides[side], i);
            if (paired) {
                drop(sides[1 - side], i);
            }
        }
    }
    if (a->count == 0 || b->count == 0) {
        return tools_complain(TOOLS_USAGE, "no comparison: no run is left on one side");
    }
    return TOOLS_OK;
}

static int write_json(const char *path, json_t *figures, const struct compare_set *a, const struct compare_set *b,
                      double tolerance)
{
    char error[512];
    json_t *document =
        json_pack("{s:s, s:{s:I, s:I}, s:f, s:o}", "schema", "sshload-compare/1", "runs", "a", (json_int_t)a->count,
                  "b", (json_int_t)b->count, "tolerance", tolerance, "figures", figures);
    int rc = document == NULL ? -1 : result_save_document(document, path, error, sizeof error);
    json_decref(document);
    return rc != 0 ? tools_complain(TOOLS_WRONG, document == NULL ? "out of memory" : error) : TOOLS_OK;
}

int compare_judge(struct compare_set *a, struct compare_set *b, const struct compare_rules *rules)
{
    struct sets_rules how = {.tolerance = rules->tolerance, .paired = rules->paired, .seed = 1};
    int code = check_side(a, a, false);
    if (code == TOOLS_OK) {
        code = check_side(a, b, rules->differing);
    }
    if (code == TOOLS_OK && !rules->force) {
        code = leave_out(a, b, rules->paired);
    }
    if (code != TOOLS_OK) {
        return code;
    }
    bool json_on_stdout = rules->json != NULL && strcmp(rules->json, "-") == 0;
    json_t *figures = NULL;
    unsigned worse = sets_compare(&(struct run_set){a->results, a->count}, &(struct run_set){b->results, b->count},
                                  &how, json_on_stdout ? stderr : stdout, &figures);
    if (rules->json != NULL) {
        code = write_json(rules->json, figures, a, b, rules->tolerance);
    } else {
        json_decref(figures);
    }
    return code != TOOLS_OK ? code : worse > 0 ? TOOLS_REGRESSION : TOOLS_OK;
}

/* ---- from files ---- */

int compare_set_load(struct compare_set *set, char *const *files, size_t count)
{
    char error[512];
    *set = (struct compare_set){.results = calloc(count, sizeof *set->results),
                                .names = calloc(count, sizeof *set->names)};
    if (set->results == NULL || set->names == NULL) {
        return tools_complain(TOOLS_WRONG, "out of memory");
    }
    for (; set->count < count; set->count++) {
        if (result_load(&set->results[set->count], files[set->count], error, sizeof error) != 0) {
            return tools_complain(TOOLS_USAGE, error);
        }
        set->names[set->count] = files[set->count];
    }
    return TOOLS_OK;
}

void compare_set_free(struct compare_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        result_free(&set->results[i]);
    }
    free(set->results);
    free(set->names);
    *set = (struct compare_set){0};
}

int compare_run(const void *values, const struct string_list *files)
{
    const struct compare_options *options = values;
    struct compare_rules rules = {
        .paired = options->paired, .differing = options->differing, .force = options->force, .json = options->json};
    struct compare_set a = {0};
    struct compare_set b = {0};
    size_t border = 0;
    while (border < files->count && strcmp(files->items[border], TOOLS_BORDER) != 0) {
        border++;
    }
    bool sets = border < files->count;
    size_t count_a = sets ? border : 1;
    size_t from_b = sets ? border + 1 : 1;
    size_t count_b = files->count - from_b;
    if (!compare_parse_tolerance(options->tolerance, &rules.tolerance)) {
        return tools_complain(TOOLS_USAGE, "--tolerance: allowed: a percentage from 0 to 1000, such as 5%");
    }
    if ((!sets && files->count != 2) || count_a == 0 || count_b == 0 || count_a > BOOTSTRAP_RUNS_MAX ||
        count_b > BOOTSTRAP_RUNS_MAX) {
        return tools_complain(TOOLS_USAGE,
                              "compare: needs two results, A.json B.json, or two sets, A.json... -- B.json...");
    }
    if (rules.paired && count_a != count_b) {
        return tools_complain(TOOLS_USAGE, "compare: --paired needs as many results of A as of B");
    }
    int code = compare_set_load(&a, files->items, count_a);
    if (code == TOOLS_OK) {
        code = compare_set_load(&b, files->items + from_b, count_b);
    }
    if (code == TOOLS_OK) {
        code = compare_judge(&a, &b, &rules);
    }
    compare_set_free(&a);
    compare_set_free(&b);
    return code;
}
