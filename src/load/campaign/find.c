/* Inside the room of campaign.h: `sshload find`, the highest load that keeps a promise. */
#include "load/campaign/campaign.h"
#include "load/campaign/find_step.h"
#include "load/tools/tools.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEVEL_MOST UINT64_C(100000000)
#define STEPS_MOST 200

struct find_options {
    struct string_list slo;
    unsigned by;
    uint64_t from, to;
    char *precision, *json;
    bool quiet, help;
};

#define AT(field) offsetof(struct find_options, field)
static const struct option_spec specs[] = {
    {"slo", 0, OPTION_STRING_LIST, AT(slo), 0, 0, NULL, NULL, "CONDITION",
     "What must hold, e.g. 'p99 < 5ms', 'errors == 0' (the figures of --fail-if); repeatable. That the load is "
     "sustained is always asked.",
     "Options", OPTION_COMMAND_LINE},
    {"by", 0, OPTION_CHOICE, AT(by), 0, 0, "rate", find_by_names, "WHAT",
     "What grows: rate (messages a second), sessions (held at the same time), handshakes (a second).", "Options",
     OPTION_COMMAND_LINE},
    {"from", 0, OPTION_COUNT, AT(from), 1, LEVEL_MOST, "off", NULL, "N",
     "Begin there (default: 250 messages or 25 handshakes a second, 10 sessions).", "Options",
     OPTION_COMMAND_LINE | OPTION_OFF_ALLOWED},
    {"to", 0, OPTION_COUNT, AT(to), 1, LEVEL_MOST, "off", NULL, "N", "Go no further than that.", "Options",
     OPTION_COMMAND_LINE | OPTION_OFF_ALLOWED},
    {"precision", 0, OPTION_STRING, AT(precision), 0, 0, "5%", NULL, "PERCENT",
     "How far apart what is kept and what is broken may be in the end.", "Options", OPTION_COMMAND_LINE},
    {"json", 0, OPTION_STRING, AT(json), 0, 0, NULL, NULL, "FILE",
     "Write answer and steps as JSON; - is stdout (sshload report draws it).", "Options", OPTION_COMMAND_LINE},
    {"quiet", 'q', OPTION_BOOL, AT(quiet), 0, 0, "no", NULL, NULL, "Print no answer.", "Options", OPTION_COMMAND_LINE},
    {"help", 'h', OPTION_BOOL, AT(help), 0, 0, "no", NULL, NULL, "Print this and exit.", "Options",
     OPTION_COMMAND_LINE},
};

const struct option_table find_option_table = {
    .specs = specs,
    .count = sizeof specs / sizeof specs[0],
    .program = "sshload",
    .usage = "sshload find [--slo CONDITION]... [--by rate|sessions|handshakes] [OPTION OF A RUN]... TARGET...",
};

/* ---- the question ---- */

static int fail(struct option_error *error, const char *where, const char *what)
{
    return option_fail(error, NULL, where, "%s", what);
}

/* What a find decides for itself, or what makes a run part of something else. */
static int check_run(const struct find_options *own, const struct find_question *question,
                     const struct option_state *given, struct option_error *error)
{
    static const char *const ours[] = {"count", "repeat", "shard", "start-at"};
    const struct load_options *o = question->options;
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (options_was_given(&load_option_table, given, ours[i])) {
            return option_fail(error, NULL, "find", "--%s has no meaning here", ours[i]);
        }
    }
    if (own->by != FIND_SESSIONS && options_was_given(&load_option_table, given, "rate")) {
        return fail(error, "find", "--rate is what it looks for; see --from and --to");
    }
    if (own->by == FIND_SESSIONS && options_was_given(&load_option_table, given, "connections")) {
        return fail(error, "find", "--connections is what it looks for by sessions; see --from and --to");
    }
    bool fits = !question->mode_given || (own->by == FIND_RATE         ? o->mode == MODE_PING || o->mode == MODE_CONNECT
                                          : own->by == FIND_HANDSHAKES ? o->mode == MODE_CONNECT
                                                                       : o->mode == MODE_PING || o->mode == MODE_HOLD);
    return fits ? 0
                : fail(error, "--mode",
                       "find: by rate takes ping and connect, by sessions hold and ping, by handshakes connect");
}

static int read_promises(const struct find_options *own, struct find_question *question, struct option_error *error)
{
    char problem[480];
    question->texts = &own->slo;
    question->percentile = 0.0;
    question->histogram = HISTOGRAM_LATENCY;
    if (own->slo.count > FIND_PROMISES) {
        return fail(error, "--slo", "at most 16 conditions");
    }
    for (size_t i = 0; i < own->slo.count; i++) {
        struct gate *gate = &question->promises[i];
        if (gate_parse(own->slo.items[i], gate, problem, sizeof problem) != 0) {
            return fail(error, "--slo", problem);
        }
        if (gate->figure == GATE_PERCENTILE && gate->percentile > question->percentile) {
            question->percentile = gate->percentile;
            question->histogram = gate->histogram;
        }
    }
    question->asks_percentile = question->percentile > 0.0;
    if (!question->asks_percentile) {
        question->percentile = 99.0;
    }
    return 0;
}

static int read_limits(const struct find_options *own, struct search *search, struct option_error *error)
{
    static const uint64_t starts[] = {[FIND_RATE] = 250, [FIND_SESSIONS] = 10, [FIND_HANDSHAKES] = 25};
    double precision = 0.0;
    if (!compare_parse_tolerance(own->precision, &precision) || precision < 0.001 || precision > 1.0) {
        return fail(error, "--precision", "allowed: a percentage from 0.1 to 100, such as 5%");
    }
    uint64_t most = own->by == FIND_SESSIONS ? 1000000 : LEVEL_MOST;
    most = own->to > 0 && own->to < most ? own->to : most;
    if (own->from > most) {
        return fail(error, "--from", "is beyond --to");
    }
    search_init(search, own->from > 0 ? own->from : starts[own->by], most, precision);
    return 0;
}

/* ---- the steps ---- */

static void show(const struct find_question *question, const struct find_step *step)
{
    if (isatty(STDERR_FILENO)) {
        (void)fprintf(stderr, "\r\x1b[Kfind: %llu %s (%s)", (unsigned long long)step->level,
                      find_by_names[question->by], search_purpose_names[step->purpose]);
    }
}

/* 0: it has its answer; 1: told to stop; -1: nothing can be found. */
static int take_steps(const struct find_question *question, struct search *search, struct find_step *steps,
                      size_t *count)
{
    struct find_step step = {0};
    int rc = 0;
    while (rc == 0 && *count < STEPS_MOST && search_next(search, &step.level, &step.purpose)) {
        show(question, &step);
        rc = find_step_run(question, &step);
        if (rc == 0) {
            search_note(search, step.level, step.kept, (uint64_t)step.achieved_per_s);
            steps[(*count)++] = step;
        } else {
            json_decref(step.result);
        }
        step = (struct find_step){0};
    }
    if (isatty(STDERR_FILENO)) {
        (void)fputs("\r\x1b[K", stderr);
    }
    return rc;
}

static int say(const struct find_answer *answer, const struct find_options *own)
{
    char error[512];
    int code = search_low(answer->search) > 0 && !answer->interrupted ? TOOLS_OK : TOOLS_WRONG;
    bool json_on_stdout = own->json != NULL && strcmp(own->json, "-") == 0;
    if (!own->quiet) {
        find_answer_print(answer, json_on_stdout ? stderr : stdout);
    }
    if (own->json != NULL) {
        json_t *document = find_answer_json(answer);
        if (document == NULL || result_save_document(document, own->json, error, sizeof error) != 0) {
            code = tools_complain(TOOLS_WRONG, document == NULL ? "out of memory" : error);
        }
        json_decref(document);
    }
    return code;
}

static int look(struct find_question *question, struct search *search, const struct find_options *own)
{
    char directory[] = "/tmp/sshload-find.XXXXXX";
    size_t count = 0;
    struct find_step *steps = calloc(STEPS_MOST, sizeof *steps);
    if (steps == NULL || mkdtemp(directory) == NULL) {
        free(steps);
        return tools_complain(TOOLS_WRONG, "find: no temporary directory can be made in /tmp");
    }
    question->directory = directory;
    int rc = take_steps(question, search, steps, &count);
    int code = TOOLS_WRONG;
    if (rc >= 0 && count > 0) {
        struct find_answer answer = {
            .question = question, .search = search, .steps = steps, .count = count, .interrupted = rc > 0};
        code = say(&answer, own);
    }
    for (size_t i = 0; i < count; i++) {
        json_decref(steps[i].result);
    }
    free(steps);
    (void)rmdir(directory);
    question->directory = NULL;
    return code;
}

int find_run(int argc, char **argv)
{
    struct find_options own = {0};
    struct option_state own_given = {0};
    struct load_options options = {0};
    struct option_state given = {0};
    struct option_error error = {.text = "out of memory"};
    struct string_list rest = {0};
    struct string_list targets = {0};
    struct words_line line = {0};
    struct find_question question = {.runs = &line.runs, .options = &options};
    struct search search;
    int code = TOOLS_OK;
    if (words_sort(&find_option_table, argc, argv, &line) != 0 ||
        options_init(&find_option_table, &own, &own_given, &error) != 0 ||
        options_parse_arguments(&find_option_table, &own, &own_given, (int)line.ours.count, line.ours.items, &rest,
                                &error) != 0) { /* NOLINT(bugprone-branch-clone): --help goes before what follows */
        code = tools_complain(TOOLS_USAGE, error.text);
    } else if (own.help) {
        options_print_help(&find_option_table, stdout);
    } else if (words_read_run(&line.runs, &options, &given, &targets, &error) != 0) {
        code = tools_complain(TOOLS_USAGE, error.text);
    } else {
        question.by = (enum find_by)own.by;
        question.mode_given = options_was_given(&load_option_table, &given, "mode");
        question.duration_given = options_was_given(&load_option_table, &given, "duration");
        question.warmup_given = options_was_given(&load_option_table, &given, "warmup");
        bool asked = targets.count > 0 || fail(&error, "find", "no target: say which server to load") == 0;
        code = asked && check_run(&own, &question, &given, &error) == 0 &&
                       read_promises(&own, &question, &error) == 0 && read_limits(&own, &search, &error) == 0
                   ? look(&question, &search, &own)
                   : tools_complain(TOOLS_USAGE, error.text);
    }
    options_free(&load_option_table, &options, &given);
    options_free(&find_option_table, &own, &own_given);
    words_free(&line);
    free(rest.items);
    free(targets.items);
    return code;
}
